#!/usr/bin/env bash
# NetworkManager where guests make their own IPv6 addresses: once with DHCPv6 for the rest, once
# with router advertisements alone.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
guest web-1
configure '/^ranges = \["2001/d; /^ipv6 = /d; s/^mode = .*/mode = "stateless"/'
leasehold_start

# Its default hides the MAC (RFC 7217); from the MAC the address can be told beforehand.
auto() { run_networkmanager "$1" '[ipv6]' method=auto addr-gen-mode=eui64; }
told() { on "$1" nmcli -g "$2" device show eth0 | sed 's/ | /\n/g; s/\\//g' | sort -u | paste -sd' '; }
asked() { metric leasehold_requests_total protocol=dhcpv6 "message=$1"; }

auto db-1
expect "stateless: IPv6 address" 2001:db8:20:0:5054:ff:fe12:3401/64 address6 db-1
expect "stateless: IPv6 router" fe80::1 default6 db-1
expect "stateless: name server" 2001:db8:20::53 told db-1 IP6.DNS
expect "stateless: search list" "blue.example example" told db-1 IP6.SEARCHES
check "stateless: it asked for information" metric_at_least 1 leasehold_replies_total \
  protocol=dhcpv6 message=reply
expect "stateless: it asked for no address" 0 asked solicit
stop_clients db-1
before=$(asked information-request)

configure '/^ranges = \["2001/d; /^ipv6 = /d; s/^mode = .*/mode = "slaac"/'
check "reload" lh reload
auto web-1
expect "slaac: IPv6 address" 2001:db8:20:0:5054:ff:fe12:3402/64 address6 web-1
expect "slaac: IPv6 router" fe80::1 default6 web-1
expect "slaac: name server" 2001:db8:20::53 told web-1 IP6.DNS
expect "slaac: search list" "blue.example example" told web-1 IP6.SEARCHES
expect "slaac: it did not ask DHCPv6" "$before" asked information-request
finish
