#!/usr/bin/env bash
# dhcpcd, both families at once: Raspberry Pi OS, Void, the BSDs' way.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
configure
leasehold_start

run_dhcpcd db-1
expect "IPv4 address and mask" 10.20.0.10/16 address4 db-1
expect "IPv4 gateway" 10.20.0.1 default4 db-1
expect "routes" "10.0.0.0/8 via 10.20.0.254" routes4 db-1
expect "IPv6 address" 2001:db8:20::10/128 address6 db-1
expect "IPv6 router" fe80::1 default6 db-1
expect "MTU" 1450 mtu db-1
# Its hook takes the full name, option 81 (RFC 4702), where there is one.
expect "host name" db-1.blue.example name_of db-1

# dhcpcd joins what DHCPv4, DHCPv6 and the router advertisement say.
name_servers() { dns db-1 | tr ' ' '\n' | sort -u | paste -sd' '; }
expect "name servers of both families" "10.20.0.53 2001:db8:20::53" name_servers
expect "search list" "blue.example example" search db-1

told() { on db-1 dhcpcd -4 -U eth0 | sed -n "s/^$1=//p" | tr -d "'"; }
expect "lease time" 3600 told dhcp_lease_time
expect "renewal time" 1800 told dhcp_renewal_time
expect "server" 10.20.0.1 told dhcp_server_identifier
within "IPv6 valid lifetime" 7100 7200 "$(valid6 db-1)"
finish
