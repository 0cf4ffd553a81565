# shellcheck shell=bash
# A node with many ports, for benches/ports.sh and tests/netns/ports_many.sh. Source lab/lib.sh first.

# many_ports NUMBER: the node with devices vm0, vm1 and so on, each the end of a veth pair whose other
# end, g0, g1 and so on, is in the host `guests`. The database has no row of them yet, and nothing
# switches: ovs-vswitchd would take minutes, and leasehold does not ask for it.
many_ports() {
  local number
  host "$NODE"
  host guests
  for host in "$NODE" guests; do
    on "$host" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
  done
  on "$NODE" ip link set lo up
  for ((number = 0; number < $1; number++)); do
    echo "link add vm$number netns ${HOLDER[$NODE]} up type veth peer name g$number netns ${HOLDER[guests]}"
  done | ip -batch - || die "no veth pairs"
  for ((number = 0; number < $1; number++)); do
    echo "link set g$number up"
  done | on guests ip -batch - || die "guests' interfaces do not come up"
  ovsdb_up
  vsctl --no-wait add-br "$BRIDGE" || die "no bridge $BRIDGE"
  configure 's/^ranges = \["10\..*/ranges = ["10.20.1.0-10.20.99.255"]/'
  on "$NODE" sh -c 'cat >>/etc/leasehold/leasehold.toml' <<'LIMITS'

[limits]
max-ports = 6000
frames-per-second = 0                # a guest of the bench asks 200 times a second
LIMITS
}
