#!/usr/bin/env bash
# The user that runs leasehold loses the right to its store: known VMs are served on, a new one
# waits, and all is well once the right is back. Each time another way.
. "$(dirname "$0")/../../lab/lib.sh"

dir=/var/lib/leasehold
file=$dir/leases.sqlite
# As the packaged unit does: a user of its own, and two capabilities of which the part that reads
# packets and writes leases keeps none.
leasehold_spawn() {
  spawn node leasehold setpriv --reuid nobody --regid nogroup --clear-groups \
    --bounding-set=-all,+net_raw,+dac_override --inh-caps=+net_raw,+dac_override \
    --ambient-caps=+net_raw,+dac_override "$LEASEHOLD" run
  LEASEHOLD_PID=$SPAWNED
}
acks() { metric leasehold_replies_total message=ack; }

VMS=0
# trouble TEXT LOG BREAK HEAL: what comes of it while it lasts, and afterwards.
trouble() {
  local text=$1 said=$2 break=$3 heal=$4 before vm
  VMS=$((VMS + 1))
  vm=new-$VMS
  on node bash -c "$break" || die "$text: it cannot be made so"
  guest "$vm"
  start_udhcpc "$vm"
  expect "$text: leasehold_store_up" 0 metric leasehold_store_up
  expect "$text: the new VM" no-address port_field "${PORT[$vm]}" state
  check "$text: the log says why" log_says "leases\.sqlite: .*$said"
  before=$(acks)
  renew old-1
  check "$text: the old VM's renewal is answered" metric_at_least $((before + 1)) \
    leasehold_replies_total message=ack
  on node bash -c "$heal" || die "$text: it cannot be undone"
  check "$text: the new VM is served afterwards" on "$vm" test -s /run/udhcpc.seen
  expect "$text: leasehold_store_up afterwards" 1 metric leasehold_store_up
}

node_up
guest old-1
configure
on node mount -t tmpfs -o size=8m,mode=750,uid=65534,gid=65534 tmpfs $dir || die "no tmpfs"
on node chown nobody: /run/leasehold
leasehold_start
run_udhcpc old-1

trouble "chmod of the directory" 'permission denied' "chmod 0 $dir" "chmod 750 $dir"
trouble "chown of the file" 'permission denied' "chown root: $file" "chown nobody: $file"
trouble "the file is moved away" 'no longer there' "mv $file $dir/aside" "mv $dir/aside $file"
trouble "another file" 'another file stands in its place' \
  "mv $file $dir/aside; cp -a $dir/aside $file" "mv $dir/aside $file"
# Not every file system knows the attribute.
if on node chattr +i $file 2>/dev/null && ! on node touch $file 2>/dev/null; then
  on node chattr -i $file
  trouble "immutable file" 'operation not permitted' "chattr +i $file" "chattr -i $file"
fi
leases() { lh leases list --json | jq -c 'map([.vm, .ipv4]) | sort'; }
before=$(leases)
leasehold_stop KILL
leasehold_start
expect "the leases after a restart" "$before" leases
finish
