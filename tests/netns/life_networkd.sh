#!/usr/bin/env bash
# The life of a lease with systemd-networkd.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/life.sh"

life_begins db-1

run_networkd db-1
step_boot db-1
step_renewal db-1 "$ADDRESS"
step_rebinding db-1
step_readdress db-1
step_renewal db-1 "$OTHER"

# It verifies what it had when the link comes back.
mark db-1
on node ip link set "${PORT[db-1]}" down
expect "address without a link" "" address4 db-1
on node ip link set "${PORT[db-1]}" up
step_reboot db-1 "$OTHER"

learn_router db-1
kill -TERM "${CLIENTS[db-1]##* }"
step_release db-1 "$OTHER"
finish
