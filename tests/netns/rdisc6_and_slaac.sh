#!/usr/bin/env bash
# Router advertisements, read by rdisc6 and used by the kernel: SLAAC.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
# Addresses by SLAAC: no IPv6 range and no reserved IPv6 address, as the files demand.
configure '/^ranges = \["2001/d; s/^mode = .*/mode = "slaac"/; /^ipv6 = /d'
leasehold_start

link_up db-1
slaac=2001:db8:20:0:5054:ff:fe12:3401/64
expect "address that the kernel made" "$slaac" address6 db-1
expect "router" fe80::1 default6 db-1
expect "MTU" 1450 mtu6 db-1
within "valid lifetime" 7100 7200 "$(valid6 db-1)"
within "preferred lifetime" 3500 3600 "$(preferred6 db-1)"

on db-1 rdisc6 -1 -w 5000 eth0 >"$LAB/log/rdisc6" || bad "rdisc6 heard nothing"
# ra NAME: what rdisc6 printed behind a name, without remarks in parentheses.
ra() {
  sed -n "s/^ *$1 *: *//p" "$LAB/log/rdisc6" | sed 's/ *(.*//; s/ *$//' | tr -s ' ' | paste -sd' '
}
expect "prefix" 2001:db8:20::/64 ra Prefix
expect "on link" Yes ra "On-link"
expect "autonomous (A)" Yes ra "Autonomous address conf."
expect "managed (M)" No ra "Stateful address conf."
expect "other (O)" No ra "Stateful other conf."
expect "router preference" medium ra "Router preference"
expect "router lifetime" 1800 sed -n 's/^Router lifetime.*: *\([0-9]*\) .*/\1/p' "$LAB/log/rdisc6"
expect "MTU option" "1450 bytes" ra MTU
expect "router's MAC" 0A:58:0A:14:00:01 ra "Source link-layer address"
expect "name servers" 2001:db8:20::53 ra "Recursive DNS server"
expect "search list" "blue.example example" ra "DNS search list"
expect "lifetimes of prefix, name servers, search list" "7200 3600 1800 1800" \
  awk '/(Valid|Pref\.) time/ { v = v " " $4 } /(server|list) lifetimes?/ { v = v " " $5 }
    END { print substr(v, 2) }' "$LAB/log/rdisc6"
expect "sender" fe80::1 sed -n 's/^ from //p' "$LAB/log/rdisc6"

# DHCPv6 is silent, DHCPv4 goes on.
run_dhclient4 db-1
expect "IPv4 address" 10.20.0.10/16 address4 db-1
finish
