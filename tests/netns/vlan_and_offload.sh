#!/usr/bin/env bash
# An access port of a VLAN, and a guest that leaves its checksums unfinished, as virtio guests do.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1 tag=100 offload=on
guest web-1
configure 's/^bridge = "br-int"/&\nvlan = 100/'
leasehold_spawn
wait_serving db-1
expect "a port of no network's VLAN" no-network port_field vnet1 state

run_udhcpc db-1
expect "IPv4 address on the access port" 10.20.0.10/16 address4 db-1

# The renewal comes from a UDP socket: its checksum is not finished when it reaches the port.
spawn node tcpdump tcpdump -Z root -U -l -n -vv -i vnet0 udp dst port 67
TCPDUMP=$SPAWNED
wait_for "$LIMIT" grep -q 'listening on' "$LAB/log/tcpdump" || die "tcpdump does not listen"
renew db-1
expect "renewal" renew seen db-1 udhcpc event
check "its checksum was unfinished" grep -q 'bad udp cksum' "$LAB/log/tcpdump"
kill "$TCPDUMP"
expect "address after it" 10.20.0.10 seen db-1 udhcpc ip
expect "checksum drops" 0 metric leasehold_drops_total reason=bad-checksum

run_dhclient6 db-1
expect "IPv6 address, every message with an unfinished checksum" 2001:db8:20::10/128 address6 db-1

# A tag that the guest writes itself is not the access port's.
stop_clients db-1
frame() { on db-1 /usr/bin/python3 "$ROOT/tests/netns/frame.py" "$@"; }
expect "untagged DISCOVER" "answered 10.20.0.10" frame discover
EXPECT_LIMIT=0
expect "DISCOVER with a tag" silent frame discover --vlan 100
expect "DISCOVER with another tag" silent frame discover --vlan 7
check "the drops are counted" metric_at_least 2 leasehold_drops_total reason=vlan
finish
