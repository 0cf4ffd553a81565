#!/usr/bin/env bash
# Shows leasehold at work on a real switch, with real DHCP clients. `make demo` runs it.
. "$(dirname "$0")/lib.sh"

VMS=(web-1 web-2 db-1)
declare -A CLIENT=([web-1]="dhclient -4, dhclient -6" [web-2]=dhcpcd [db-1]="udhcpc, dhcp6c")
declare -A SAW=()                  # guest:what -> what the guest saw

main() {
  cat <<'TEXT'
leasehold: network settings for VMs, on their own switch ports

  Open vSwitch with three VM ports, as libvirt makes them. leasehold reads from the switch's
  database which VM is behind each port, and answers DHCPv4, DHCPv6 and router solicitations
  there. Then it is killed, the VMs are installed anew, and one of them gets another MAC: all
  addresses stay. It takes about a minute, in namespaces that vanish at the end.
TEXT
  step "A switch and three VMs"
  node_up
  guest web-1 vm=demo/web-1
  guest web-2 vm=3f2b8c1e-0d5a-4b7e-9c11-5a6d7e8f9a01
  guest db-1 vm=demo/db-1
  local vm
  for vm in "${VMS[@]}"; do
    printf '  %-6s port %s  attached-mac=%s  vm-id=%s\n' "$vm" "${PORT[$vm]}" "${MAC[$vm]}" "${VM[$vm]}"
  done

  step "leasehold run"
  configure
  leasehold_start
  echo "  serving, with lab/config/leasehold.toml and networks.d/blue.toml"

  step "Five clients take their leases"
  boot_all
  what_they_saw

  step "leasehold ports"
  lh ports | indented
  step "leasehold leases list"
  lh leases list | indented
  step "Metrics (an excerpt of http://$METRICS/metrics)"
  metrics |
    grep -E '^leasehold_(requests|replies)_total.*(dhcpv4|dhcpv6|nd).* [1-9]|^leasehold_ports.* [1-9]' |
    indented

  local -A before=()
  for vm in "${VMS[@]}"; do before[$vm]="${SAW[$vm:IPv4]} ${SAW[$vm:IPv6]}"; done

  step "kill -9 leasehold; start it again"
  leasehold_stop KILL
  leasehold_start
  echo "  killed and back"
  step "web-1 gets another port and another MAC; all guests are installed anew"
  local old="${PORT[web-1]} ${MAC[web-1]}"
  for vm in "${VMS[@]}"; do forget "$vm"; done
  unplug web-1
  plug web-1 port=vnet7 mac=52:54:00:77:88:99
  wait_serving web-1
  echo "  web-1: $old -> ${PORT[web-1]} ${MAC[web-1]}"
  boot_all

  step "Before and after"
  printf '  %-6s  %-16s %-16s  %-26s %s\n' '' IPv4 'IPv4 now' IPv6 'IPv6 now'
  local kept=0
  for vm in "${VMS[@]}"; do
    local now="${SAW[$vm:IPv4]} ${SAW[$vm:IPv6]}"
    # shellcheck disable=SC2086
    set -- ${before[$vm]} $now
    printf '  %-6s  %-16s %-16s  %-26s %s\n' "$vm" "$1" "$3" "$2" "$4"
    [[ $now == "${before[$vm]}" ]] && kept=$((kept + 1))
  done
  echo
  ((kept == ${#VMS[@]})) || die "only $kept of ${#VMS[@]} VMs kept their addresses"
  echo "Every VM kept its addresses. ($SECONDS s)"
}

step() { printf '\n%s\n' "$*"; }
indented() { sed 's/^/  /'; }

boot_all() {
  run_dhclient4 web-1
  SAW[web-1:DNS]=$(settled dns web-1)
  SAW[web-1:search]=$(settled search web-1)
  run_dhclient6 web-1
  wait_for "$LIMIT" eval '[[ $(dns web-1) == *:* ]]' || die "web-1: no IPv6 name server"
  SAW[web-1:DNS]+=" $(dns web-1)"

  run_dhcpcd web-2
  wait_for "$LIMIT" eval '[[ $(dns web-2) == *.*:* || $(dns web-2) == *:*.* ]]' ||
    die "web-2: no name servers of both families"
  SAW[web-2:DNS]=$(dns web-2 | tr ' ' '\n' | sort -u | paste -sd' ')
  SAW[web-2:search]=$(settled search web-2)

  run_udhcpc db-1
  run_dhcp6c db-1
  SAW[db-1:DNS]="$(settled dns db-1) $(settled seen db-1 dhcp6c dns)"
  SAW[db-1:search]=$(settled search db-1)

  local vm
  for vm in "${VMS[@]}"; do
    SAW[$vm:client]=${CLIENT[$vm]}
    SAW[$vm:IPv4]=$(settled address4 "$vm")
    SAW[$vm:gateway]=$(settled default4 "$vm")
    SAW[$vm:routes]=$(settled routes4 "$vm")
    SAW[$vm:IPv6]=$(settled address6 "$vm")
    SAW[$vm:router]=$(settled default6 "$vm")
    SAW[$vm:host name]=$(name_of "$vm")
    SAW[$vm:MTU]=$(mtu "$vm")
    SAW[$vm:valid for]="$(valid4 "$vm") s"
  done
}

# settled COMMAND...: what COMMAND prints once it prints something; a client sets things one by one.
settled() {
  wait_for 10 eval '[[ -n $('"$*"') ]]' || true
  "$@"
}

what_they_saw() {
  local vm what line
  line=$(printf '  %-10s' '')
  for vm in "${VMS[@]}"; do line+=$(printf ' %-28s' "$vm"); done
  echo "${line%"${line##*[! ]}"}"
  for what in client IPv4 gateway routes IPv6 router DNS search "host name" MTU "valid for"; do
    line=$(printf '  %-10s' "$what")
    for vm in "${VMS[@]}"; do line+=$(printf ' %-28s' "${SAW[$vm:$what]:--}"); done
    echo "${line%"${line##*[! ]}"}"
  done
}

main
