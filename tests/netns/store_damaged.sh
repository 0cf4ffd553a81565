#!/usr/bin/env bash
# A damaged lease file ends the start in one line; `run --recover` saves what can be read.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest web-1
configure
leasehold_start
run_udhcpc web-1
first=$(address4 web-1)
leasehold_stop TERM

store=/var/lib/leasehold/leases.sqlite
# The third page belongs to the table of damaged rows; the leases are in the second.
on node dd if=/dev/urandom of=$store bs=4096 seek=2 count=1 conv=notrunc 2>/dev/null
sum() { on node sh -c "sha256sum $1" | cut -d' ' -f1; }
damaged=$(sum $store)
leasehold_spawn
check "a damaged store ends the start" gone "$LEASEHOLD_PID"
check "in one line that says what would help" log_says "$store.*run --recover"
expect "the file is as it was" "$damaged" sum $store

spawn node leasehold "$LEASEHOLD" run --recover
LEASEHOLD_PID=$SPAWNED
wait_serving web-1
check "it says what was saved and lost" log_says 'leases saved: 1; leases lost: 0'
expect "the VM's address" "${first%/*}" port_field vnet0 ipv4
expect "the damaged file is kept" "$damaged" sum "$store.damaged-*[0-9]"
finish
