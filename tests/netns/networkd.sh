#!/usr/bin/env bash
# systemd-networkd, both families and router advertisements: most cloud images.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
configure
leasehold_start

run_networkd db-1
expect "IPv4 address and mask" 10.20.0.10/16 address4 db-1
expect "IPv4 gateway" 10.20.0.1 default4 db-1
expect "routes" "10.0.0.0/8 via 10.20.0.254" routes4 db-1
expect "MTU" 1450 mtu db-1
expect "IPv6 address" 2001:db8:20::10/128 address6 db-1
expect "IPv6 router" fe80::1 default6 db-1
within "IPv4 lease time" 3500 3600 "$(valid4 db-1)"
within "IPv6 valid lifetime" 7100 7200 "$(valid6 db-1)"

# networkd keeps what DHCPv4 told it in a file, and what it would give to systemd-resolved and
# systemd-timesyncd in another.
told() { on db-1 sh -c 'sed -n "s/^$1=//p" /run/systemd/netif/leases/*' _ "$1"; }
collected() {
  on db-1 sh -c 'sed -n "s/^$1=//p" /run/systemd/netif/links/*' _ "$1" | tr ' ' '\n' | sort -u |
    paste -sd' '
}
expect "DHCPv4 name servers" 10.20.0.53 told DNS
expect "NTP servers of both families" "10.20.0.123 2001:db8:20::123" collected NTP
expect "host name" db-1 told HOSTNAME
expect "domain" blue.example told DOMAINNAME
expect "search list" "blue.example example" told DOMAIN_SEARCH_LIST
expect "name servers of both families" "10.20.0.53 2001:db8:20::53" collected DNS
expect "search list of both families" "blue.example example" collected DOMAINS
finish
