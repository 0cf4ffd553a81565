#!/usr/bin/env bash
# The life of a lease with ISC dhclient.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/life.sh"

life_begins db-1

run_dhclient4 db-1
step_boot db-1
step_renewal db-1 "$ADDRESS"
step_rebinding db-1
step_readdress db-1
step_renewal db-1 "$OTHER"

# dhclient begins anew if it finds its lease past T2, so from here on T2 outlasts a slow machine.
LONG=${TIMES/3s/40s}
LONG=${LONG/6s/50s}
power_cut db-1
apply "$LONG; s/$ADDRESS\"/$OTHER\"/"
run_dhclient4 db-1

power_cut db-1
mark db-1
run_dhclient4 db-1
step_reboot db-1 "$OTHER"

# The address changes back while the guest is off.
power_cut db-1
apply "$LONG"
mark db-1
run_dhclient4 db-1
check "INIT-REBOOT with an old address: REQUEST" heard db-1 "Request $ANY > $ALL requested=$OTHER"
check "INIT-REBOOT with an old address: NAK" heard db-1 "NACK $SERVER > $ALL server=$SERVER"
expect "address" "$ADDRESS/16" address4 db-1

learn_router db-1
on db-1 dhclient -4 -r -pf /run/dhclient4.pid -lf /var/lib/dhcp/dhclient4.leases eth0 \
  >"$LAB/log/release" 2>&1
step_release db-1 "$ADDRESS"
finish
