#!/usr/bin/env bash
# A node is gone from one moment to the next, with the VM on it, its switch and its leasehold; the
# VM is started on another node. It is given what it had.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/vm.sh"

fabric_up
vm_node node-a
vm_node node-b
vm_boot node-a
vm_remember
expect "where its lease says it is" node-a stored node
expect "DHCP and RA on node-b" 0 served_by node-b
before=$(served_by node-a)

# Every process of the node at once.
network=$(readlink "/proc/${HOLDER[node-a]}/ns/net")
pids=()
disown -a                          # the shell is not to tell of it
for process in /proc/[0-9]*; do
  [[ $(readlink "$process/ns/net" 2>/dev/null) != "$network" ]] || pids+=("${process##*/}")
done
kill -KILL "${pids[@]}"
wait_for "$LIMIT" gone "${QEMU[node-a]}" || die "node-a is still there"

vm_boot node-b
vm_same "on node-b"
expect "where its lease says it is now" node-b stored node
traffic
vm_renew "a renewal on node-b"
traffic_survived
expect "DHCP and RA on node-a since" "$before" served_by node-a
vm_finish
