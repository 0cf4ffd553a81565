#!/usr/bin/env bash
# A network for guests that do without IPv4: option 108 (RFC 8925) beside the prefix of a NAT64
# (RFC 8781). dhcpcd takes the offer up; a guest that does not ask for the option keeps IPv4.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
guest web-1
configure '/^lease-time/a ipv6-only-wait = "30m"
  /^\[\[vm\]\]/i [ipv6.ra]\npref64 = "64:ff9b::/96"'
leasehold_start

client db-1 dhcpcd dhcpcd -B -d -t "$LIMIT" -o ipv6_only_preferred eth0
check "an IPv6 address" has_address6 db-1
expect "IPv6 address" 2001:db8:20::10/128 address6 db-1
expect "IPv6 router" fe80::1 default6 db-1
check "dhcpcd takes the network for one that does without IPv4" \
  grep -q 'IPv6-Only Preferred received (1800 seconds)' "$LAB/log/db-1.dhcpcd"
asked() { metric leasehold_requests_total protocol=dhcpv4 message=request; }
expect "it asks for no IPv4 address" 0 asked
expect "and has none" "" address4 db-1
name_servers() { dns db-1 | tr ' ' '\n' | sort -u | paste -sd' '; }
expect "name servers" 2001:db8:20::53 name_servers

# What no client here reads: type 38, 1,800 s and length code 0, the prefix's first twelve bytes.
link_up web-1
check "a link-local address" has_link_local web-1
has_nat64_prefix() {
  on web-1 timeout 5 tcpdump -i eth0 -p -c 1 -x 'icmp6 and ip6[40] == 134' 2>/dev/null &
  local listener=$!
  on web-1 rdisc6 -1 -r 5 -w 1000 eth0 >/dev/null 2>&1
  wait "$listener"
}
nat64_prefix() { has_nat64_prefix | sed 's/^.*: //' | tr -d ' \n\t' | grep -o 260207080064ff9b0000000000000000; }
expect "the prefix of the NAT64 is advertised" 260207080064ff9b0000000000000000 nat64_prefix

run_udhcpc web-1
check "a guest that does not know the option has an IPv4 address" has_address4 web-1
finish
