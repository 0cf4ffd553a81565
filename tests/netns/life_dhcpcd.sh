#!/usr/bin/env bash
# The life of a lease with dhcpcd, which also asks for what it has no lease of: INFORM.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/life.sh"

life_begins db-1

run_dhcpcd db-1 -4
step_boot db-1
step_renewal db-1 "$ADDRESS"
step_rebinding db-1
step_readdress db-1
step_renewal db-1 "$OTHER"

power_cut db-1
mark db-1
run_dhcpcd db-1 -4
step_reboot db-1 "$OTHER"

learn_router db-1
on db-1 dhcpcd -4 -k eth0 >"$LAB/log/release" 2>&1
step_release db-1 "$OTHER"

# An address set by hand, and the rest from the server.
forget db-1
link_up db-1
mark db-1
run_dhcpcd db-1 -4 --inform=10.20.0.77/16
check "INFORM" heard db-1 "Inform 10.20.0.77 > $ALL ciaddr=10.20.0.77*"
check "INFORM: ACK by unicast, no lease" \
  heard db-1 "ACK $SERVER > 10.20.0.77 ciaddr=10.20.0.77 server=$SERVER"
expect "address" 10.20.0.77/16 address4 db-1
expect "name servers" 10.20.0.53 dns db-1
expect "search list" "blue.example example" search db-1
expect "address of the VM" "$OTHER" lease_field db-1 ipv4
finish
