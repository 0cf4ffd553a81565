#!/usr/bin/env bash
# ISC dhclient, IPv6: addresses by DHCPv6, the router by the kernel's router solicitation.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
configure
leasehold_start

run_dhclient6 db-1
# dhclient sets a /128, as RFC 5942 wants: what is on link is the router advertisement's to say.
expect "address" 2001:db8:20::10/128 address6 db-1
expect "router" fe80::1 default6 db-1
expect "MTU of the router advertisement" 1450 mtu6 db-1
expect "name servers" 2001:db8:20::53 dns db-1
expect "search list" "blue.example example" search db-1
within "valid lifetime" 7100 7200 "$(valid6 db-1)"
within "preferred lifetime" 3500 3600 "$(preferred6 db-1)"

lease6() { on db-1 sed -n "s/^ *$1 \(.*\);/\1/p" /var/lib/dhcp/dhclient6.leases | tail -n 1; }
expect "T1" 1800 lease6 renew
expect "T2" 2880 lease6 rebind

# The link goes and comes: a client that remembers asks whether its address still fits the link.
solicits() { metric leasehold_requests_total message=solicit; }
SOLICITS=$(solicits)
stop_clients db-1
on db-1 ip addr flush dev eth0 scope global
on db-1 ip link set eth0 down
run_dhclient6 db-1
check "Confirm after the link was away" \
  eval '(($(metric leasehold_requests_total message=confirm) > 0))'
expect "address" 2001:db8:20::10/128 address6 db-1
expect "and no further Solicit" "$SOLICITS" solicits
finish
