#!/usr/bin/env bash
# A migration is cancelled while memory is copied: the VM goes on where it was; nobody else answers.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/vm.sh"

fabric_up
vm_node node-a
vm_node node-b
vm_boot node-a
vm_remember
traffic
vm_arrive node-b
expect "the migration" cancelled qmp node-a abort "unix:$LAB/migrate"
expect "the VM on node-a" running qmp node-a state
qemu_stop node-b
rm -f "$LAB/migrate"
vm_same "after the cancelled migration"
vm_renew "a renewal on node-a"
expect "arrivals on node-b" 0 at node-b leasehold_arrivals_total network=blue
# Its link came up with QEMU, and the VM never spoke there.
expect "DHCP and RA on node-b" 0 served_by node-b
expect "where its lease says it is" node-a stored node
traffic_survived
vm_finish
