#!/usr/bin/env bash
# systemd-networkd as a router that is delegated a prefix, in a network that has no IPv4.
. "$(dirname "$0")/../../lab/lib.sh"

NO_IPV4='/^\[ipv4\]/,/^routes/d; /^ipv4 = /d; s/"10\.20\.[0-9.]*", //'
PREFIX='s|^mode = .*|&\ndelegate = { pool = "2001:db8:8000::/40", length = 56 }|
  s|^ipv6 = .*|&\nprefix = "2001:db8:8000:100::/56"|'

node_up
guest db-1
configure "$NO_IPV4; $PREFIX; s/^\\[\\[vm\\]\\]/[ipv6.ra]\\npref64 = \"64:ff9b::\\/96\"\\n&/"
leasehold_start

on db-1 ip link add lan0 type veth peer name lan1
on db-1 ip link set lan1 up
on db-1 sh -c 'mkdir -p /etc/systemd/network; cat >/etc/systemd/network/20-lan0.network' <<'NETWORK'
[Match]
Name=lan0
[Network]
DHCPPrefixDelegation=yes
[DHCPPrefixDelegation]
UplinkInterface=eth0
SubnetId=5
Token=::1
NETWORK
start_networkd db-1

EXPECT_LIMIT=$LIMIT expect "IPv6 address" 2001:db8:20::10/128 address6 db-1
expect "IPv6 router" fe80::1 default6 db-1
collected() {
  on db-1 sh -c 'sed -n "s/^$1=//p" /run/systemd/netif/links/*' _ "$1" | tr ' ' '\n' | sort -u |
    grep . | paste -sd' '
}
expect "name servers" 2001:db8:20::53 collected DNS
expect "NTP servers" 2001:db8:20::123 collected NTP
behind() { on db-1 ip -6 -o addr show dev lan0 scope global | awk '{ print $4; exit }'; }
EXPECT_LIMIT=$LIMIT expect "the address behind it" 2001:db8:8000:105::1/64 behind
expect "no IPv4 address" "" address4 db-1
expect "nor an answer to its DHCPDISCOVER" 0 metric leasehold_replies_total protocol=dhcpv4
check "though it asked" metric_at_least 1 leasehold_drops_total protocol=dhcpv4
finish
