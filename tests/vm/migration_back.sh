#!/usr/bin/env bash
# A VM moves to another node and back at once, while the other node still announces its gateway; and
# once more, to be rebooted in between. Its ports stay on both nodes all the time.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/vm.sh"

fabric_up
vm_node node-a
vm_node node-b
vm_boot node-a
vm_remember
traffic
vm_migrate node-b
vm_same "on node-b"
vm_migrate node-a
vm_same "back on node-a"
check "node-a announces the gateway again" at_least 2 node-a leasehold_arrivals_total network=blue
vm_renew "a renewal on node-a"
traffic_survived
silent_since_it_left node-b

vm_migrate node-b
printf '0 reboot -f\n' >"$LAB/serial.node-b.in"
vm_ready 1
vm_same "after a reboot on node-b"
traffic
vm_migrate node-a
vm_renew "a renewal on node-a, after the reboot"
traffic_survived
silent_since_it_left node-b
vm_finish
