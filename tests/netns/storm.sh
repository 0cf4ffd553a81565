#!/usr/bin/env bash
# Everything that can happen to ports, in a storm: at rest each guest is served as its own VM.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
vsctl add-br br-other -- set Bridge br-other datapath_type=netdev fail_mode=standalone
for number in 1 2 3 4 5; do guest "vm-$number"; done
configure
leasehold_start

declare -A ADDRESS=()              # VM identity -> its address
for guest in "${!PORT[@]}"; do
  link_up "$guest"
  ADDRESS[${VM[$guest]}]=$(lease_field "$guest" ipv4)
done
[[ $(printf '%s\n' "${ADDRESS[@]}" | grep -c '^10\.20\.') == 5 ]] && ok "five VMs have addresses" ||
  bad "addresses: ${ADDRESS[*]}"

declare -A STATE=()                # guest -> the state that its port is to be listed in
for guest in "${!PORT[@]}"; do STATE[$guest]=serving; done

# again GUEST [KEY=VALUE...]: unplugged, and plugged as `plug` says; it is in use and on br-int.
again() {
  vsctl del-port "${PORT[$1]}"
  on node ip link delete "${PORT[$1]}"
  plug "$@"
  on "$1" ip link set eth0 up
  STATE[$1]=serving
}

# gust KIND GUEST OTHER NUMBER: one thing that happens.
gust() {
  local guest=$2 other=$3 port=${PORT[$2]} vm
  case $1 in
    0) again "$guest" ;;
    1) again "$guest" "port=port$4" ;;
    2) again "$guest" "mac=52:54:00:99:00:$(printf %02x $(($4 % 256)))" ;;
    3) # Two guests change names while both are served.
      vm=${VM[$guest]}
      VM[$guest]=${VM[$other]}
      VM[$other]=$vm
      vsctl set Interface "$port" "external_ids:vm-id=\"${VM[$guest]}\""
      vsctl set Interface "${PORT[$other]}" "external_ids:vm-id=\"${VM[$other]}\""
      ;;
    4) # The device is away under another name for a moment.
      on node ip link set "$port" down
      on node ip link set "$port" name "away$4"
      on node ip link set "away$4" name "$port"
      on node ip link set "$port" up
      ;;
    5) on node ip link set "$port" down; on node ip link set "$port" up ;;
    6) on node ip link set "$port" mtu $((1400 + $4)) ;;
    7) # Onto a bridge that no network is for.
      vsctl del-port "$port" -- add-port br-other "$port" -- set Interface "$port" \
        "external_ids:attached-mac=\"${MAC[$guest]}\"" external_ids:iface-id=eth0 \
        "external_ids:vm-id=\"${VM[$guest]}\""
      STATE[$guest]=no-network
      ;;
    8)
      vsctl set Interface "$port" external_ids:iface-status=inactive
      [[ ${STATE[$guest]} == no-network ]] || STATE[$guest]=inactive
      ;;
    9)
      vsctl set Interface "$port" external_ids:iface-status=active
      [[ ${STATE[$guest]} == no-network ]] || STATE[$guest]=serving
      ;;
  esac
}

RANDOM=4711
for number in $(seq 1 80); do
  kind=$((RANDOM % 10)) guest=vm-$((RANDOM % 5 + 1)) other=vm-$((RANDOM % 5 + 1))
  gust "$kind" "$guest" "$other" "$number"
done

# The daemon is not there to listen while more happens than the kernel keeps for it.
mapfile -t PIDS < <(leasehold_pids)
kill -STOP "${PIDS[@]}"
on node bash -c 'for number in {1..3000}; do echo "link set lo mtu $((60000 + number % 2))"; done |
  ip -batch -'
again vm-2
on node ip link set "${PORT[vm-4]}" mtu 1300
lost() { on node awk 'NR > 1 { lost += $9 } END { exit lost == 0 }' /proc/net/netlink; }
lost && ok "the kernel threw news of links away" || bad "no news of links were lost"
kill -CONT "${PIDS[@]}"

# offered GUEST: the address that a DISCOVER of the guest is answered with.
offered() { on "$1" /usr/bin/python3 "$ROOT/tests/netns/frame.py" discover; }

for guest in vm-1 vm-2 vm-3 vm-4 vm-5; do
  expect "$guest is" "${STATE[$guest]}" port_field "${PORT[$guest]}" state
  expect "$guest is taken for" "${VM[$guest]}" port_field "${PORT[$guest]}" vm
  wanted=silent
  [[ ${STATE[$guest]} != serving ]] || wanted="answered ${ADDRESS[${VM[$guest]}]}"
  expect "a DISCOVER of $guest" "$wanted" offered "$guest"
done
ports() { lh ports --json | jq -s '[.. | objects | select(has("interface"))] | length'; }
# Two ports of one VM: both are served, and the list says which guest spoke last.
unplug vm-1
plug vm-1 "vm=${VM[vm-2]}"
on vm-1 ip link set eth0 up
wait_serving vm-1
wait_serving vm-2
for guest in vm-2 vm-1; do
  expect "$guest, one of two ports of its VM" "answered ${ADDRESS[${VM[vm-2]}]}" offered "$guest"
done
expect "the one that spoke before" "its VM is now at ${PORT[vm-1]}" port_field "${PORT[vm-2]}" reason
leases() { lh leases list --json | jq -s '[.. | objects | select(has("vm"))] | length'; }
expect "ports in all" 5 ports
expect "leases in all" 5 leases
finish
