#!/usr/bin/env bash
# A running VM moves between two nodes, each with its own switch and its own leasehold, and on to a
# second port of one node. It notices nothing but its new gateway and router. (clauses D3-D6)
. "$(dirname "$0")/../../lab/lib.sh"

VM_ID=demo/db-1                    # its addresses are reserved: nodes share no store here
GATEWAY_A=0a:58:0a:14:00:0a GATEWAY_B=0a:58:0a:14:00:01
MAC[vm]=52:54:00:12:34:01

# The hypervisor: it plugs the VM's NIC, whose link stays up, into one port after the other.
host hypervisor
on hypervisor sysctl -qw net.ipv6.conf.default.disable_ipv6=1
on hypervisor ip link add name nic type bridge mcast_snooping 0
on hypervisor ip link set nic up
host vm
on vm sysctl -qw net.ipv6.conf.default.accept_ra=1
ip link add vm netns "${HOLDER[hypervisor]}" type veth \
  peer name eth0 address "${MAC[vm]}" netns "${HOLDER[vm]}"
on vm ethtool -K eth0 tx off >/dev/null
on hypervisor ip link set vm master nic
on hypervisor ip link set vm up

# add_port NAME: a port of this node for the VM, which is not plugged into it yet. What is on it is
# captured from the start.
add_port() {
  ip link add "$1" netns "${HOLDER[$NODE]}" type veth \
    peer name "$1@$NODE" netns "${HOLDER[hypervisor]}"
  on "$NODE" ip link set "$1" up
  on hypervisor ip link set "$1@$NODE" up
  spawn hypervisor "wire.$1@$NODE" tcpdump -Z root -U -n -i "$1@$NODE" -w "$LAB/$1@$NODE.pcap"
  wait_for "$LIMIT" grep -q 'listening on' "$LAB/log/wire.$1@$NODE" || die "tcpdump does not listen"
  vsctl add-port "$BRIDGE" "$1" -- set Interface "$1" external_ids:iface-id=net0 \
    "external_ids:attached-mac=\"${MAC[vm]}\"" external_ids:iface-status=active \
    "external_ids:vm-id=\"$VM_ID\""
}
# plugged PORT: the VM is there from now on, and nowhere else.
plugged() {
  local port
  for port in vnet0@node-a vnet0@node-b vnet1@node-b; do
    [[ $port == "$1" ]] || on hypervisor ip link set "$port" nomaster 2>/dev/null || true
  done
  on hypervisor ip link set "$1" master nic
}
# moved PORT: the same, and the hypervisor announces it, as QEMU does.
moved() {
  plugged "$1"
  on hypervisor /usr/bin/python3 "$ROOT/tests/netns/frame.py" rarp --interface "$1" \
    --source "${MAC[vm]}"
}
RA='icmp6 and ip6[40] = 134'
# advertised PORT: how many router advertisements were on it.
advertised() { tcpdump -r "$LAB/$1.pcap" -n "$RA" 2>/dev/null | wc -l; }
advertised_at_least() { (($(advertised "$2") >= $1)); }
# spoke_first PORT: the VM had spoken there before it was advertised to.
spoke_first() {
  tcpdump -r "$LAB/$1.pcap" -n -e "($RA) or ether src ${MAC[vm]}" 2>/dev/null | head -n 1 |
    grep -q " ${MAC[vm]} >"
}
neighbor() { on vm ip neigh show "$1" dev eth0 | sed -n 's/.* lladdr \([^ ]*\) .*/\1/p'; }
routers() { on vm ip -6 route show default | grep -o 'fe80::[0-9a-f]*' | sort | paste -sd' '; }
lh_lease() { lh leases list --json | jq -rs --arg f "$1" "[.. | objects | select(.vm? == \"$VM_ID\")][0][\$f]"; }
# heard PATTERN: how often the VM heard a line like this since `listen`.
heard() { grep -c -- "$1" "$LAB/log/vm.heard"; }
heard_again() { (($(heard "$1") >= 3)); }      # a busy machine may miss one of the four rounds

# Each node is as it would be in a cluster whose gateway is not yet the same everywhere: what the
# VM learnt on node-a is wrong on node-b.
node_up node-a
configure "s/0a:58:0a:14:00:01/$GATEWAY_A/; s/^gateway = \"fe80::1\"/gateway = \"fe80::a\"/"
add_port vnet0
leasehold_spawn
wait_for "$LIMIT" in_state serving vnet0 || die "vnet0 is not served: $(lh ports 2>&1)"
node_up node-b
configure "s/^mac = .*/&\nretire = [\"fe80::a\"]/
  /^\[\[vm\]\]/i [ipv6.ra]\ninterval = \"3s-4s\"\nrouter-lifetime = \"30m\""
on node-b sed -i "s/node-a/node-b/" /etc/leasehold/leasehold.toml
leasehold_spawn
plugged vnet0@node-a

run_udhcpc vm
expect "address" 10.20.0.10/16 address4 vm
expect "router on node-a" fe80::a routers
on vm busybox ping -c 1 -W 1 10.20.0.1 >/dev/null 2>&1
expect "the gateway's MAC on node-a" "$GATEWAY_A" neighbor 10.20.0.1
NODE=node-a
expect "the VM arrived on node-a" 1 metric leasehold_arrivals_total network=blue
expect "where its lease says it is" node-a lh_lease node

# The target's port is there before the VM is.
NODE=node-b
add_port vnet0
wait_for "$LIMIT" in_state serving vnet0 || die "vnet0 is not served: $(lh ports 2>&1)"
expect "arrivals on node-b while its port waits" 0 metric leasehold_arrivals_total network=blue

spawn vm vm.heard tcpdump -Z root -U -l -n -v -e -i eth0 -Q in 'arp or icmp6'
wait_for "$LIMIT" grep -q 'listening on' "$LAB/log/vm.heard" || die "tcpdump does not listen"
expect "router advertisements there while it waits" 0 advertised vnet0@node-b
moved vnet0@node-b
expect "the gateway's MAC on node-b" "$GATEWAY_B" neighbor 10.20.0.1
expect "the retired router is forgotten" fe80::1 routers
expect "address, kept" 10.20.0.10/16 address4 vm
expect "arrivals on node-b" 1 metric leasehold_arrivals_total network=blue
# Two ARPs, one NA, our RA, and the retired router's: each time.
check "announcements on node-b" metric_at_least 15 leasehold_announcements_total network=blue
check "an ARP request, repeated" heard_again "Request who-has 10.20.0.1 .*tell 10.20.0.1"
check "an ARP reply, repeated" heard_again "Reply 10.20.0.1 is-at $GATEWAY_B"
check "a neighbour advertisement, repeated" heard_again 'neighbor advertisement.*fe80::1'
check "our router's advertisement" heard_again 'fe80::1 > ff02::1.*router advertisement'
check "no router advertisement there before the VM spoke" spoke_first vnet0@node-b
check "the retired router's" heard_again 'fe80::a > ff02::1.*router advertisement'
expect "frames to anybody else" 0 heard "> \(33:33\|ff:ff\).*\(advertisement\|who-has\)"

renew vm
check "a renewal on node-b is answered" metric_at_least 1 leasehold_replies_total message=ack
expect "NAKs" 0 metric leasehold_replies_total message=nak

# A second port of the same VM and NIC on the node: both are served, the last one heard is named.
add_port vnet1
wait_for "$LIMIT" in_state serving vnet1 || die "vnet1 is not served: $(lh ports 2>&1)"
expect "addresses of both ports" "10.20.0.10 10.20.0.10" \
  eval 'echo "$(port_field vnet0 ipv4) $(port_field vnet1 ipv4)"'
moved vnet1@node-b
check "the arrival is in the log" log_says 'has come to its port interface=vnet1 vm=demo/db-1.*by='
expect "where the old port says the VM is" "served with the same lease as vnet1, whose guest spoke last" port_field vnet0 reason
check "no router advertisement at the new port before the VM spoke" spoke_first vnet1@node-b
check "the VM is advertised to at its new port" advertised_at_least 2 vnet1@node-b
LEFT=$(advertised vnet0@node-b)
check "again and again" advertised_at_least 5 vnet1@node-b
expect "router advertisements at the port that it left" "$LEFT" advertised vnet0@node-b
# The move is aborted: the VM goes on behind the old port, and nobody announces it.
plugged vnet0@node-b
renew vm
expect "and the other way round" "served with the same lease as vnet0, whose guest spoke last" port_field vnet1 reason
expect "what the first one says now" "" port_field vnet0 reason
expect "arrivals on node-b in all" 3 metric leasehold_arrivals_total network=blue

# Back to where it came from: that port was there all the time.
moved vnet0@node-a
NODE=node-a
# The renewal before may have had the kernel give the entry up on the way: then it asks for it.
used() { on vm busybox ping -c 1 -W 1 "$1" >/dev/null 2>&1; neighbor "$1"; }
expect "the gateway's MAC on node-a again" "$GATEWAY_A" used 10.20.0.1
expect "arrivals on node-a" 2 metric leasehold_arrivals_total network=blue
expect "address at the end" 10.20.0.10/16 address4 vm

# Once more to node-b, whose leasehold comes up later and knows nothing of the VM.
NODE=node-b
kill -TERM "$LEASEHOLD_PID"
wait_for "$LIMIT" gone "$LEASEHOLD_PID" || die "leasehold of node-b does not end"
on node-b sh -c 'rm -rf /var/lib/leasehold/*'
plugged vnet0@node-b
leasehold_spawn
expect "the VM is asked, and arrives" 1 metric leasehold_arrivals_total network=blue
check "by questions" metric_at_least 1 leasehold_arrival_probes_total network=blue
expect "the gateway's MAC on node-b" "$GATEWAY_B" neighbor 10.20.0.1
asked() {
  tcpdump -r "$LAB/vnet0@node-b.pcap" -n "arp and src host 10.20.0.1 and dst host 10.20.0.10" \
    2>/dev/null | wc -l
}
asked_once() { (($(asked) >= 1)); }
check "by the gateway, on its port" asked_once
expect "its address is no duplicate" 10.20.0.10/16 address4 vm
finish
