#!/usr/bin/env bash
# A migration fails after the VM ran on the target already, which dies: it goes on where it was. The
# lease returns with it, and it is told anew who its gateway is.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/vm.sh"

fabric_up
vm_node node-a
vm_node node-b
vm_boot node-a
vm_remember
check "the announcements on node-a are over" at_least 12 node-a leasehold_announcements_total \
  network=blue

# It runs on node-b for a moment, which is lost; the hypervisor resumes it on node-a.
vm_arrive node-b
read -r how _ < <(qmp node-a migrate "unix:$LAB/migrate")
[[ $how == completed ]] || die "the migration to node-b: $how"
expect "the VM on node-b" running qmp node-b state
expect "where its lease says it is, for a moment" node-b stored node
announced=$(at node-a leasehold_announcements_total network=blue)
arrived=$(at node-a leasehold_arrivals_total network=blue)
expect "the VM on node-a" postmigrate qmp node-a state
qemu_stop node-b
lost=$(date +%s.%6N)
qmp node-a cont >/dev/null
expect "the VM on node-a again" running qmp node-a state

vm_renew "a renewal on node-a"
expect "arrivals on node-a" $((arrived + 1)) at node-a leasehold_arrivals_total network=blue
expect "where its lease says it is again" node-a stored node
check "node-a announces the gateway again" at_least $((announced + 12)) node-a \
  leasehold_announcements_total network=blue
vm_same "at the end"
expect "DHCP and RA on node-b since it was lost there" 0 since "$lost" node-b "$SERVER"
vm_finish
