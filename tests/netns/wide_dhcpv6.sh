#!/usr/bin/env bash
# wide-dhcpv6: a DHCPv6 client that is nobody's relative.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
configure
leasehold_start

run_dhcp6c db-1
expect "address" 2001:db8:20::10/128 address6 db-1
expect "router" fe80::1 default6 db-1
expect "name servers" 2001:db8:20::53 seen db-1 dhcp6c dns
expect "search list" "blue.example. example." seen db-1 dhcp6c search

# It gives the kernel no lifetimes: they are read in its own words.
said() { grep -o "$1" "$LAB/log/db-1.dhcp6c" | tail -n 1; }
expect "lifetimes" "pltime=3600 vltime=7200" said 'pltime=[0-9]* vltime=[0-9]*'
expect "T1 and T2" "T1=1800, T2=2880" said 'T1=[0-9]*, T2=[0-9]*'
finish
