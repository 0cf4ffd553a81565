#!/usr/bin/env bash
# The lease store's file system is full: known VMs are served on, a new one waits and is served once
# there is room again. A store that may not be written is refused at the start, in words.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest old-1
configure
on node mount -t tmpfs -o size=2m,mode=700 tmpfs /var/lib/leasehold || die "no tmpfs"
leasehold_start
run_udhcpc old-1
first=$(address4 old-1)
expect "leasehold_store_up" 1 metric leasehold_store_up

# Not a byte is left: dd ends with an error.
on node dd if=/dev/zero of=/var/lib/leasehold/ballast bs=4k 2>/dev/null
guest new-1
start_udhcpc new-1
expect "leasehold_store_up with a full disk" 0 metric leasehold_store_up
expect "state of the new VM's port" no-address port_field vnet1 state
check "the log names the file and what would help" \
  log_says 'leases\.sqlite.*no space is left.*free some'
acks() { metric leasehold_replies_total message=ack; }
before=$(acks)
renew old-1
check "the old VM's renewal is answered" metric_at_least $((before + 1)) \
  leasehold_replies_total message=ack
expect "address of the old VM" "$first" address4 old-1
# A few retries later nothing is said again, and the new VM was told nothing.
tries() { metric leasehold_store_operation_duration_seconds_count operation=write; }
tried=$(tries)
check "the store is tried again" metric_at_least $((tried + 2)) \
  leasehold_store_operation_duration_seconds_count operation=write
expect "log lines about it" 1 grep -c 'writing leases' "$LAB/log/leasehold"
expect "address of the new VM" "" address4 new-1

on node rm /var/lib/leasehold/ballast
check "the new VM is served once there is room" on new-1 test -s /run/udhcpc.seen
expect "leasehold_store_up" 1 metric leasehold_store_up
check "the log says that it works again" log_says 'the lease store works again'
second=$(address4 new-1)

leasehold_stop TERM
on node mount -o remount,ro /var/lib/leasehold || die "no read-only tmpfs"
leasehold_spawn
check "a read-only store ends the start" gone "$LEASEHOLD_PID"
check "in words" log_says 'leases\.sqlite.*(read-only|readonly|Read-only)'
on node mount -o remount,rw /var/lib/leasehold
leasehold_start
expect "the old VM's address" "${first%/*}" port_field vnet0 ipv4
expect "the new VM's address" "${second%/*}" port_field vnet1 ipv4
finish
