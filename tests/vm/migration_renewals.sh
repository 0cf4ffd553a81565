#!/usr/bin/env bash
# A VM that has moved renews by itself: at T1 with unicast and Renew, and, since leasehold is down
# then, at T2 with broadcast and Rebind. Both families, by ISC dhclient.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/vm.sh"

CLIENT4=dhclient
TIMES='renew-time = "20s"\nrebind-time = "40s"'
TIMES="s/^lease-time = .*/&\n$TIMES/; s/^preferred-lifetime = .*/&\n$TIMES/"

fabric_up
vm_node node-a "$TIMES"
vm_node node-b "$TIMES"
vm_boot node-a
vm_remember
traffic
vm_migrate node-b

check "DHCPv4: renewed at T1" on_wire_at_least 1 node-b "$RENEW4"
check "DHCPv4: answered" on_wire_at_least 1 node-b "$ANSWER4"
check "DHCPv6: renewed at T1" on_wire_at_least 1 node-b "$RENEW6"
check "DHCPv6: answered" on_wire_at_least 1 node-b "$ANSWER6"
vm_same "after T1"

# Nobody answers until the clients turn to all servers.
daemon_stop node-b
check "DHCPv4: all servers are asked at T2" on_wire_at_least 1 node-b "$REBIND4"
check "DHCPv6: all servers are asked at T2" on_wire_at_least 1 node-b "$REBIND6"
vm_same "while nobody answers"
answered4=$(on_wire node-b "$ANSWER4") answered6=$(on_wire node-b "$ANSWER6")
daemon_start node-b
check "DHCPv4: answered" on_wire_at_least $((answered4 + 1)) node-b "$ANSWER4"
check "DHCPv6: answered" on_wire_at_least $((answered6 + 1)) node-b "$ANSWER6"
vm_same "after T2"
traffic_survived
expect "DISCOVERs and Solicits on node-b" 0 on_wire node-b \
  '(udp dst port 67 and udp[20:4] = 0) or (udp dst port 547 and ip6[48] = 1)'
silent_since_it_left node-a
vm_finish
