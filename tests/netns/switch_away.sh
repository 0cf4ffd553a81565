#!/usr/bin/env bash
# The switch and its database go away and come back: nobody falls silent, over a restart too.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest web-1
guest web-2
guest web-3
configure
leasehold_start
for vm in web-1 web-2 web-3; do run_udhcpc "$vm"; done
first=$(address4 web-1) second=$(address4 web-2)
[[ $first == 10.20.[1-9].*/16 ]] && ok "an address of the range: $first" || bad "address: $first"

# ended NAME: ends a daemon of the switch, the way a crash does.
ended() {
  local pid
  pid=$(on node cat "/run/openvswitch/$1.pid")
  kill -KILL "$pid"
  wait_for "$LIMIT" gone "$pid" || die "$1 is still there"
}
again() { forget "$1"; run_udhcpc "$1"; }
source_state() { lh status --json | jq -rs '[.. | objects | .sources? // empty][0][0] | .up'; }
source_error() { lh status --json | jq -rs '[.. | objects | .sources? // empty][0][0] | .error'; }
says() { [[ $("$1") == *"$2"* ]]; }

ended ovs-vswitchd
again web-1
expect "without ovs-vswitchd" "$first" address4 web-1
ended ovsdb-server
expect "the source is down" false source_state
again web-1
expect "without ovsdb-server" "$first" address4 web-1
expect "its port" serving port_field vnet0 state

# What the database said last is written down within a second or so of the last change.
check "the ports are written down" on node grep -q '"vnet2"' /var/lib/leasehold/ports.json
leasehold_stop KILL
# One VM's device is made anew while nobody looks: nobody can say that it is still that VM's.
stop_clients web-2
on node ip link delete vnet1
ip link add vnet1 netns "${HOLDER[node]}" type veth \
  peer name eth0 address "${MAC[web-2]}" netns "${HOLDER[web-2]}"
on node ip link set vnet1 up
leasehold_spawn
wait_serving web-1
wait_serving web-3
again web-1
expect "a restart without the database" "$first" address4 web-1
expect "a device made anew meanwhile" no-device port_field vnet1 state
check "the status says so" says source_error "ports from before the start: 3"
expect "and is ready" 200 on node timeout 5 bash -c 'exec 3<>/dev/tcp/127.0.0.1/9768
  printf "GET /readyz HTTP/1.0\r\n\r\n" >&3; read -r _ code _ <&3; echo "$code"'

# A second restart, ended in order.
leasehold_stop TERM
leasehold_spawn
wait_serving web-1
expect "after a second restart" "${first%/*}" port_field vnet0 ipv4
expect "still no device that anybody knows" no-device port_field vnet1 state

# The database comes back, with one port less.
spawn node ovsdb-server ovsdb-server /etc/openvswitch/conf.db \
  --remote=punix:/run/openvswitch/db.sock --pidfile -vconsole:warn
check "the database takes changes again" vsctl --no-wait --if-exists del-port "$BRIDGE" vnet2
expect "the source is up again" true source_state
expect "a port that went meanwhile" "" port_field vnet2 state
wait_serving web-2
again web-2
expect "the device made anew" "$second" address4 web-2
again web-1
expect "and the others as ever" "$first" address4 web-1
finish
