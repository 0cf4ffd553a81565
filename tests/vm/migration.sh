#!/usr/bin/env bash
# A real VM boots on one node, moves to another while it is pinged and holds a TCP connection,
# renews there, and reboots there. It has what it had all the while.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/vm.sh"

fabric_up
vm_node node-a
vm_node node-b
vm_boot node-a
vm_remember
expect "where its lease says it is" node-a stored node
expect "its address in etcd" "$(vm_address4)" stored ipv4
expect "frames of a server or router on node-b" 0 served_by node-b
check "the announcements on node-a are over" at_least 12 node-a leasehold_announcements_total \
  network=blue

traffic
vm_migrate node-b
vm_same "after the migration"
check "node-b announces the gateway" at_least 12 node-b leasehold_announcements_total network=blue
check "an arrival on node-b" at_least 1 node-b leasehold_arrivals_total network=blue
vm_renew "a renewal on node-b"
traffic_survived

printf '0 reboot -f\n' >"$LAB/serial.node-b.in"
vm_ready 1
vm_same "after a reboot"
silent_since_it_left node-a
vm_finish
