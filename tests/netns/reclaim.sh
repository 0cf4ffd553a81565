#!/usr/bin/env bash
# A full range: a newcomer waits until the VM that is gone was unseen for `reclaim-after`, and is
# then given its address.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest gone-1
configure '1i reclaim-after = "10s"
  s/^ranges = \["10\.20\..*/ranges = ["10.20.1.7-10.20.1.7"]/
  s/^lease-time = .*/lease-time = "10s"/
  s/^\(preferred\|valid\)-lifetime = .*/\1-lifetime = "10s"/'
leasehold_start
run_udhcpc gone-1
expect "address of the first VM" 10.20.1.7/16 address4 gone-1
unplug gone-1
unset 'PORT[gone-1]'
guest new-1
expect "IPv4 address of the newcomer's port" "" port_field vnet1 ipv4
check "its reason" eval '[[ $(port_field vnet1 reason) == *"all IPv4 addresses"* ]]'
start_udhcpc new-1
check "the newcomer is served" on new-1 test -s /run/udhcpc.seen
expect "its address" 10.20.1.7/16 address4 new-1
expect "lease of the VM that is gone" "" lease_field gone-1 ipv4
check "the log names it" log_says 'long unseen.*demo/gone-1'
leasehold_stop KILL
leasehold_start
expect "its address after a restart" 10.20.1.7 port_field vnet1 ipv4
finish
