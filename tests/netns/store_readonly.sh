#!/usr/bin/env bash
# The lease store's file system fails and turns read-only under the running daemon: known VMs are
# served on, a new one waits. The file system is unmounted and mounted anew; the daemon goes on.
. "$(dirname "$0")/../../lab/lib.sh"

image=$LAB/store.img
# mount_store: on a loop device that goes with its mount.
mount_store() { on node mount -t ext4 -o loop,errors=remount-ro "$image" /var/lib/leasehold; }
device() { on node findmnt -n -o SOURCE /var/lib/leasehold; }
acks() { metric leasehold_replies_total message=ack; }

node_up
truncate -s 16M "$image"
if ! mkfs.ext4 -q -F "$image" 2>/dev/null || ! mount_store 2>/dev/null ||
  [[ ! -w /sys/fs/ext4/$(basename "$(device)")/trigger_fs_error ]]; then
  note "SKIPPED: no loop device with ext4 on this machine"
  exit 0
fi
guest old-1
configure
leasehold_start
run_udhcpc old-1
first=$(address4 old-1)
expect "leasehold_store_up" 1 metric leasehold_store_up

echo 1 >"/sys/fs/ext4/$(basename "$(device)")/trigger_fs_error"
check "nothing can be written" eval '! on node touch /var/lib/leasehold/probe 2>/dev/null'
guest new-1
start_udhcpc new-1
expect "leasehold_store_up" 0 metric leasehold_store_up
expect "state of the new VM's port" no-address port_field vnet1 state
check "the log names the file and the reason" \
  log_says 'leases\.sqlite: .*(I/O error|read-only)'
before=$(acks)
renew old-1
check "the old VM's renewal is answered" metric_at_least $((before + 1)) \
  leasehold_replies_total message=ack

# The daemon does not keep the file system busy.
check "it can be unmounted" on node umount /var/lib/leasehold
check "the log says that the file is not there" log_says 'leases\.sqlite: it is no longer there'
expect "no store is made in its place" "" on node find /var/lib/leasehold -name "leases.sqlite*"
expect "address of the new VM" "" address4 new-1
expect "address of the old VM" "$first" address4 old-1
mount_store || die "it cannot be mounted again"
check "the new VM is served once it is back" on new-1 test -s /run/udhcpc.seen
expect "leasehold_store_up" 1 metric leasehold_store_up
check "the log says that it works again" log_says 'the lease store works again'
second=$(address4 new-1)

leasehold_stop KILL
leasehold_start
expect "the old VM's address after a restart" "${first%/*}" port_field vnet0 ipv4
expect "the new VM's address after a restart" "${second%/*}" port_field vnet1 ipv4
finish
