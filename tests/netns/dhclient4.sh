#!/usr/bin/env bash
# ISC dhclient, IPv4: what Debian and Ubuntu guests run.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
configure
leasehold_start

run_dhclient4 db-1
expect "address and mask" 10.20.0.10/16 address4 db-1
expect "gateway" 10.20.0.1 default4 db-1
expect "routes" "10.0.0.0/8 via 10.20.0.254" routes4 db-1
expect "name servers" 10.20.0.53 dns db-1
expect "search list" "blue.example example" search db-1
expect "host name" db-1 name_of db-1
expect "MTU" 1450 mtu db-1
expect "NTP server" 10.20.0.123 lease4 db-1 ntp-servers
expect "domain" blue.example lease4 db-1 domain-name
expect "broadcast address" 10.20.255.255 lease4 db-1 broadcast-address
expect "lease time" 3600 lease4 db-1 dhcp-lease-time
expect "renewal time" 1800 lease4 db-1 dhcp-renewal-time
expect "rebinding time" 3150 lease4 db-1 dhcp-rebinding-time
expect "server" 10.20.0.1 lease4 db-1 dhcp-server-identifier
finish
