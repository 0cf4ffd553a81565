#!/usr/bin/env bash
# The life of a lease with busybox udhcpc. It renews at half of the lease whatever option 58 says,
# takes no lease below 30 s, goes from renewing to rebinding when a renewal is not answered in -T
# seconds, and remembers nothing once it ends: it has no INIT-REBOOT.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/life.sh"

TIMES=${TIMES/60s/30s}
LEASE=30
life_begins db-1

run_udhcpc db-1
step_boot db-1
step_renewal db-1 "$ADDRESS"
step_rebinding db-1
step_readdress db-1

# Told its old address, it only asks for it in the DISCOVER.
stop_clients db-1
mark db-1
run_udhcpc db-1 -r "$ADDRESS"
check "boot with a wish: DISCOVER" heard db-1 "Discover $ANY > $ALL requested=$ADDRESS*"
check "boot with a wish: OFFER" heard db-1 "Offer $SERVER > * yiaddr=$OTHER server=$SERVER lease=30"
expect "address" "$OTHER/16" address4 db-1

learn_router db-1
kill -USR2 "${CLIENTS[db-1]##* }"
step_release db-1 "$OTHER"
finish
