#!/usr/bin/env bash
# answer-ping: the gateway answers echo requests on the port; a reload switches it on and off.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
configure
leasehold_start
run_udhcpc db-1
check "a link-local address" has_link_local db-1

# ping HOST [OPTION...]: busybox's, once.
ping() { on db-1 busybox ping -c 1 -W 1 "$@"; }
silent() { ! ping "$@"; }
pings() { metric leasehold_requests_total protocol=other message=echo-request; }

check "without answer-ping the gateway is silent" silent 10.20.0.1
expect "and no ping reaches leasehold" 0 pings

configure '/^mac = /a answer-ping = true'
check "reload" lh reload
wait_serving db-1
check "IPv4" ping 10.20.0.1
check "IPv6" ping -6 -I eth0 fe80::1
check "IPv4, as long as the MTU allows" ping -s 1422 10.20.0.1
check "replies are counted" metric_at_least 3 leasehold_replies_total protocol=other message=echo-reply
check "another address is silent" silent 10.20.0.77
check "and counted" metric_at_least 1 leasehold_drops_total protocol=arp reason=not-our-address
# A guest with a wrong neighbour entry: the ping itself comes.
on db-1 ip neigh replace 10.20.0.77 lladdr 0a:58:0a:14:00:01 dev eth0
check "another address at the gateway's MAC is silent" silent 10.20.0.77
check "and counted" metric_at_least 1 leasehold_drops_total protocol=other reason=not-our-address
renew db-1
expect "DHCP goes on" 10.20.0.10 seen db-1 udhcpc ip

configure
check "reload" lh reload
wait_serving db-1
before=$(pings)
check "switched off, the gateway is silent" silent 10.20.0.1
expect "and no ping reaches leasehold" "$before" pings
finish
