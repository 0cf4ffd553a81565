#!/usr/bin/env bash
# From a VM's first frame on the node that it has come to, to the first announcement that it hears
# there: many VMs, two nodes, each VM with a port on both. `make bench-migration` calls it.
#
#   benches/migration/frames.sh [VMS]
. "$(dirname "$0")/../../lab/lib.sh"

VMS=${1:-500}
NODES=(node-a node-b)

# There is no switch: what is measured is leasehold, from a port's device to the port's device.
host guests
for node in "${NODES[@]}"; do host "$node"; done
for host in guests "${NODES[@]}"; do
  on "$host" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
done
# wires NODE: a veth pair for each VM, from the guests to this node; its MAC is 52:54:00:00:XX:XX.
wires() {
  local node=$1 vm name
  for ((vm = 0; vm < VMS; vm++)); do
    name=${node#node-}$vm
    printf 'link add %s type veth peer name vm%s netns %s\nlink set %s address 52:54:00:00:%02x:%02x up\n' \
      "$name" "$vm" "${HOLDER[$node]}" "$name" $((vm / 256)) $((vm % 256))
  done | on guests ip -batch -
  for ((vm = 0; vm < VMS; vm++)); do echo "link set vm$vm up"; done | on "$node" ip -batch -
}
for node in "${NODES[@]}"; do wires "$node"; done
ip link add ab netns "${HOLDER[node-a]}" type veth peer name ba netns "${HOLDER[node-b]}"
on node-a ip addr add 192.0.2.1/24 dev ab
on node-a ip link set ab up
on node-b ip addr add 192.0.2.2/24 dev ba
on node-b ip link set ba up

# files NODE STORE: what both nodes are configured by.
files() {
  local vm
  on "$1" mkdir -p /etc/leasehold/networks.d
  on "$1" sh -c 'cat >/etc/leasehold/leasehold.toml' < <(
    printf '[node]\nname = "%s"\n[store]\n%s\n[[source]]\nkind = "static"\n' "$1" "$2"
    for ((vm = 0; vm < VMS; vm++)); do
      printf '[[source.port]]\ninterface = "vm%d"\nvm = "bench/vm-%d"\nmac = "52:54:00:00:%02x:%02x"\n' \
        "$vm" "$vm" $((vm / 256)) $((vm % 256))
    done)
  on "$1" sh -c 'cat >/etc/leasehold/networks.d/bench.toml' < <(
    cat <<'NETWORK'
name = "bench"
domain = "bench.example"
mtu = 1450
dns = ["10.20.0.53", "2001:db8:20::53"]
[gateway]
mac = "0a:58:0a:14:00:01"
retire = ["fe80::a"]
[ipv4]
subnet = "10.20.0.0/16"
gateway = "10.20.0.1"
[ipv6]
subnet = "2001:db8:20::/64"
gateway = "fe80::1"
NETWORK
    for ((vm = 0; vm < VMS; vm++)); do
      printf '[[vm]]\nid = "bench/vm-%d"\nipv4 = "10.20.%d.%d"\n' \
        "$vm" $((1 + vm / 250)) $((1 + vm % 250))
    done)
}
declare -A DAEMON=()
serve() {
  spawn "$1" "$1.leasehold" env LEASEHOLD_LOG=warn "$LEASEHOLD" run
  DAEMON[$1]=$SPAWNED
  NODE=$1
  wait_for "$LIMIT" all_served || die "$1 does not serve its ports: $(lh ports 2>&1 | tail -n 3)"
}
all_served() { (($(lh ports --json | grep -o '"state": *"serving"' | wc -l) == VMS)); }
end_daemon() {
  kill "-$2" "${DAEMON[$1]}"
  wait_for "$LIMIT" gone "${DAEMON[$1]}" || die "leasehold on $1 does not end"
}
# arrive TEXT NODE KIND...: every VM comes to a node, the kinds of its first frame one after another.
arrive() {
  local text=$1 node=$2
  shift 2
  on guests /usr/bin/python3 "$ROOT/benches/migration/arrivals.py" \
    "$text" "${node#node-}" "$VMS" "$@" || die "$text: not every VM was told"
}
ALL=(rarp garp na discover rs)

for node in "${NODES[@]}"; do
  files "$node" ''
  serve "$node"
done
arrive "first boot on node-a" node-a discover
arrive "migration to node-b" node-b "${ALL[@]}"
end_daemon node-b KILL
serve node-b
# Its leases say that the VMs are here: only their announcements are arrivals.
arrive "migration back to a node-b that was killed and restarted" node-b rarp
for node in "${NODES[@]}"; do end_daemon "$node" TERM; done

if ! command -v etcd >/dev/null || ! grep -qa 'watching leases in etcd' "$LEASEHOLD"; then
  note "with etcd: not measured, etcd is not installed or leasehold was built without it"
  exit 0
fi
spawn node-a etcd etcd --data-dir /run/etcd --log-level error \
  --listen-client-urls http://192.0.2.1:2379 --advertise-client-urls http://192.0.2.1:2379
wait_for "$LIMIT" on node-a env ETCDCTL_API=3 etcdctl --endpoints http://192.0.2.1:2379 \
  --command-timeout=2s put /up 1 || die "etcd does not come up"
for node in "${NODES[@]}"; do
  files "$node" "backend = \"etcd\"
path = \"/var/lib/leasehold-etcd\"
[store.etcd]
endpoints = [\"http://192.0.2.1:2379\"]"
  serve "$node"
done
arrive "etcd: first boot on node-a" node-a discover
arrive "etcd: migration to node-b" node-b "${ALL[@]}"
arrive "etcd: aborted, the VMs speak on node-a again" node-a discover
