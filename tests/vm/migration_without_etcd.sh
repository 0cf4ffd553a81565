#!/usr/bin/env bash
# etcd falls silent before the VM moves, and comes back afterwards: the target's node knows the
# lease already, serves the VM by it, and writes down where it is once it can.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/vm.sh"

fabric_up
vm_node node-a
vm_node node-b
vm_boot node-a
vm_remember
check "the announcements on node-a are over" at_least 12 node-a leasehold_announcements_total \
  network=blue
traffic

# Stopped, not ended: connections stay open, and nothing comes.
kill -STOP "$ETCD_PID"
SHARED=
vm_migrate node-b
vm_same "after the migration"
check "node-b announces the gateway" at_least 12 node-b leasehold_announcements_total network=blue
vm_renew "a renewal on node-b"
silent_since_it_left node-a
kill -CONT "$ETCD_PID"
expect "where its lease says it is, once etcd is back" node-b stored node
vm_renew "another renewal on node-b"
traffic_survived
silent_since_it_left node-a
vm_finish
