#!/usr/bin/env bash
# systemd-networkd where guests make their own IPv6 addresses: once with DHCPv6 for the rest, once
# with router advertisements alone.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
guest web-1
configure '/^ranges = \["2001/d; /^ipv6 = /d; s/^mode = .*/mode = "stateless"/'
leasehold_start

# What networkd would give to systemd-resolved and systemd-timesyncd.
collected() {
  on "$1" sh -c 'sed -n "s/^$1=//p" /run/systemd/netif/links/*' _ "$2" | tr ' ' '\n' | sort -u |
    paste -sd' '
}
asked() { metric leasehold_requests_total protocol=dhcpv6 "message=$1"; }

run_networkd db-1
expect "stateless: IPv6 address" 2001:db8:20:0:5054:ff:fe12:3401/64 address6 db-1
expect "stateless: IPv6 router" fe80::1 default6 db-1
expect "stateless: name servers" "10.20.0.53 2001:db8:20::53" collected db-1 DNS
expect "stateless: search list" "blue.example example" collected db-1 DOMAINS
check "stateless: it asked for information" metric_at_least 1 leasehold_replies_total \
  protocol=dhcpv6 message=reply
expect "stateless: it asked for no address" 0 asked solicit
stop_clients db-1
before=$(asked information-request)

configure '/^ranges = \["2001/d; /^ipv6 = /d; s/^mode = .*/mode = "slaac"/'
check "reload" lh reload
run_networkd web-1
expect "slaac: IPv6 address" 2001:db8:20:0:5054:ff:fe12:3402/64 address6 web-1
expect "slaac: IPv6 router" fe80::1 default6 web-1
expect "slaac: name servers" "10.20.0.53 2001:db8:20::53" collected web-1 DNS
expect "slaac: NTP servers, of IPv4 alone" 10.20.0.123 collected web-1 NTP
expect "slaac: search list" "blue.example example" collected web-1 DOMAINS
expect "slaac: it did not ask DHCPv6" "$before" asked information-request
finish
