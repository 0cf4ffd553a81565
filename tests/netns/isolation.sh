#!/usr/bin/env bash
# Two VMs on one switch: neither hears the other's answers, takes its addresses, or plays server.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
guest web-1
configure
leasehold_start
link_up db-1
link_up web-1
frame() { on web-1 /usr/bin/python3 "$ROOT/tests/netns/frame.py" "$@"; }

# web-1 records whatever a server says on its port while db-1 takes its leases.
spawn web-1 tcpdump tcpdump -Z root -U -l -n -i eth0 -Q in \
  'udp src port 67 or udp src port 547'
TCPDUMP=$SPAWNED
wait_for "$LIMIT" grep -q 'listening on' "$LAB/log/tcpdump" || die "tcpdump does not listen"
run_udhcpc db-1
run_dhclient6 db-1
expect "address of db-1" 10.20.0.10/16 address4 db-1
# The router speaks to each VM by itself: what it told web-1 is web-1's.
expect "router of web-1" fe80::1 default6 web-1
expect "DHCP answers that web-1 heard" 0 grep -c '\.67 >\|\.547 >' "$LAB/log/tcpdump"
kill "$TCPDUMP"

own=$(port_field vnet1 ipv4)
expect "a DISCOVER with its own MAC" "answered $own" frame discover
EXPECT_LIMIT=0
expect "a DISCOVER with the chaddr of db-1" silent frame discover --chaddr "${MAC[db-1]}"
expect "a DISCOVER with source and chaddr of db-1" silent frame discover --source "${MAC[db-1]}"
check "the drops are counted" metric_at_least 2 leasehold_drops_total reason=source-mac

expect "an OFFER from a VM" silent frame offer
check "foreign servers are counted" \
  metric_at_least 1 leasehold_foreign_servers_total network=blue protocol=dhcpv4
check "and named in the log" log_says 'demo/web-1'
expect "address of db-1 after all that" 10.20.0.10/16 address4 db-1
finish
