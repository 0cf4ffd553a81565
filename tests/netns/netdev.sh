#!/usr/bin/env bash
# A node without Open vSwitch: ports of a Linux bridge and a plain veth end, found by their names.
. "$(dirname "$0")/../../lab/lib.sh"

host node
on node sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv4.conf.all.arp_ignore=1
on node ip link add name br0 type bridge forward_delay 0
on node ip link set br0 up

# wire GUEST PORT MAC: a guest whose eth0 is PORT on the node.
wire() {
  [[ -n ${HOLDER[$1]:-} ]] || host "$1"
  on "$1" sysctl -qw net.ipv6.conf.default.accept_ra=1
  PORT[$1]=$2 MAC[$1]=$3 VM[$1]=lab/$2
  ip link add "$2" netns "${HOLDER[node]}" type veth \
    peer name eth0 address "$3" netns "${HOLDER[$1]}" || die "no veth pair for $1"
  on node ip link set "$2" up
}

wire web-1 vm-web-1 52:54:00:12:34:01
wire db-1 vm-db-1 52:54:00:12:34:02
on node ip link set vm-web-1 master br0

configure_netdev
leasehold_start

run_udhcpc web-1
web=$(address4 web-1)
[[ $web == 10.20.*/16 ]] && ok "a guest on a Linux bridge: $web" || bad "address: $web"
run_udhcpc db-1
db=$(address4 db-1)
[[ $db == 10.20.*/16 && $db != "$web" ]] && ok "a guest on a plain veth: $db" || bad "address: $db"
expect "the VM by its interface's name" lab/vm-web-1 port_field vm-web-1 vm
expect "what does not match is not listed" "" port_field br0 state

# The same name, made anew: the same VM, the same address.
stop_clients db-1
on node ip link delete vm-db-1
expect "a deleted interface is not listed" "" port_field vm-db-1 state
wire db-1 vm-db-1 52:54:00:12:34:99
wait_serving db-1
forget db-1
run_udhcpc db-1
expect "made anew with another MAC" "$db" address4 db-1

# Another name is another VM.
on node ip link set vm-db-1 down
on node ip link set vm-db-1 name vm-db-2
on node ip link set vm-db-2 up
PORT[db-1]=vm-db-2
wait_serving db-1
expect "a renamed interface" lab/vm-db-2 port_field vm-db-2 vm
expect "its old name" "" port_field vm-db-1 state
finish
