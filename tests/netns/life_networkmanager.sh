#!/usr/bin/env bash
# The life of a lease with NetworkManager's own client.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/life.sh"

life_begins db-1

run_networkmanager db-1
step_boot db-1
step_renewal db-1 "$ADDRESS"
step_rebinding db-1
step_readdress db-1
step_renewal db-1 "$OTHER"

power_cut db-1
mark db-1
run_networkmanager db-1
step_reboot db-1 "$OTHER"

# This version takes the address away without a RELEASE: it stays with the VM in any case.
on db-1 nmcli device disconnect eth0 >"$LAB/log/disconnect" 2>&1
expect "address of a device that is disconnected" "" address4 db-1
expect "address that stays with the VM" "$OTHER" lease_field db-1 ipv4
finish
