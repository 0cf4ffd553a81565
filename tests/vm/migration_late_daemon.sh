#!/usr/bin/env bash
# The VM moves to a node whose leasehold is down, which comes up five seconds later: the guest
# goes on meanwhile, is asked whether it is there, and told of its gateway; its renewal is answered.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/vm.sh"

fabric_up
vm_node node-a
vm_node node-b
daemon_stop node-b
vm_boot node-a
vm_remember
traffic
vm_migrate node-b
vm_same "without leasehold"
sleep 5
expect "DHCP and RA on node-b while it is down" 0 served_by node-b
daemon_start node-b
wait_for "$LIMIT" in_state serving vnet0 || die "vnet0 is not served: $(lh ports 2>&1)"
# TCP tells the guest's kernel that its gateway is there: it would say nothing for minutes.
EXPECT_LIMIT=30 expect "arrivals on node-b" 1 at node-b leasehold_arrivals_total network=blue
check "the VM was asked" at_least 1 node-b leasehold_arrival_probes_total network=blue
expect "where its lease says it is" node-b stored node
check "the gateway is announced" at_least 12 node-b leasehold_announcements_total network=blue
vm_same "after the announcements"
vm_renew "a renewal on node-b"
traffic_survived
silent_since_it_left node-a
vm_finish
