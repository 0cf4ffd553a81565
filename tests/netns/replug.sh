#!/usr/bin/env bash
# The VM's port goes and comes, under other names and with other MACs: the same addresses. (clause D1)
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest web-1 vm=3f2b8c1e-0d5a-4b7e-9c11-5a6d7e8f9a01
configure
leasehold_start

# took TEXT: a fresh guest OS boots on the port as it is now, and has the first address.
took() {
  forget web-1
  run_udhcpc web-1
  expect "$1" "$address" address4 web-1
}

run_udhcpc web-1
address=$(address4 web-1)
ipv6=$(port_field vnet0 ipv6)
[[ $address == 10.20.[1-9].*/16 ]] && ok "an address of the range: $address" ||
  bad "address: $address"
expect "host name from the UUID" vm-3f2b8c1e name_of web-1

unplug web-1
expect "a port that is gone is not listed" "" port_field vnet0 state
plug web-1
wait_serving web-1
took "deleted and made again"

unplug web-1
plug web-1 port=vnet7
wait_serving web-1
took "under another name"

unplug web-1
plug web-1 mac=52:54:00:99:99:99
wait_serving web-1
took "with another MAC"
expect "the MAC that is listed" 52:54:00:99:99:99 port_field vnet7 mac

# The interface vanishes under the switch's row, and returns.
on node ip link delete vnet7
expect "a port without its interface" no-device port_field vnet7 state
vsctl del-port "$BRIDGE" vnet7
plug web-1
wait_serving web-1
took "the interface vanished and came back"

# The interface is renamed under the switch's row, and back.
on node ip link set vnet7 name elsewhere0
expect "a port whose interface has another name" no-device port_field vnet7 state
on node ip link set elsewhere0 name vnet7
wait_serving web-1
took "renamed and named back"

# Ids written later than the port: served as soon as they say who it is.
unplug web-1
plug web-1 ids=none
expect "a port that names no VM" unidentified port_field vnet7 state
vsctl set Interface vnet7 external_ids:vm-uuid="${VM[web-1]}" \
  external_ids:iface-id=eth0 "external_ids:attached-mac=\"${MAC[web-1]}\""
wait_serving web-1
took "named late, by OpenStack's ids"

expect "IPv6 address" "$ipv6" port_field vnet7 ipv6
leases() { lh leases list --json | jq -s '[.. | objects | select(has("vm"))] | length'; }
expect "leases in all" 1 leases
finish
