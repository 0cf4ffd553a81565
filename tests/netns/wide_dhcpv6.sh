#!/usr/bin/env bash
# wide-dhcpv6: a DHCPv6 client that is nobody's relative.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
guest web-1
configure
leasehold_start

run_dhcp6c db-1
expect "address" 2001:db8:20::10/128 address6 db-1
expect "router" fe80::1 default6 db-1
expect "name servers" 2001:db8:20::53 seen db-1 dhcp6c dns
expect "search list" "blue.example. example." seen db-1 dhcp6c search
expect "SNTP servers" 2001:db8:20::123 seen db-1 dhcp6c ntp

# It gives the kernel no lifetimes: they are read in its own words.
said() { grep -o "$1" "$LAB/log/db-1.dhcp6c" | tail -n 1; }
expect "lifetimes" "pltime=3600 vltime=7200" said 'pltime=[0-9]* vltime=[0-9]*'
expect "T1 and T2" "T1=1800, T2=2880" said 'T1=[0-9]*, T2=[0-9]*'

# Where guests make their own addresses it asks for the rest alone.
configure '/^ranges = \["2001/d; /^ipv6 = /d; s/^mode = .*/mode = "stateless"/'
check "reload" lh reload
start_dhcp6c web-1 'information-only;'
EXPECT_LIMIT=$LIMIT expect "stateless: name servers" 2001:db8:20::53 seen web-1 dhcp6c dns
expect "stateless: search list" "blue.example. example." seen web-1 dhcp6c search
expect "stateless: SNTP servers" 2001:db8:20::123 seen web-1 dhcp6c ntp
check "stateless: an address of the guest's own" eval \
  '[[ $(address6 web-1) == 2001:db8:20:0:5054:ff:fe12:3402/64 ]]'
finish
