#!/usr/bin/env bash
# The process that reads what guests send has no capability; what is missing at start is named.
. "$(dirname "$0")/../../lab/lib.sh"

host node
on node sysctl -qw net.ipv6.conf.default.disable_ipv6=1
configure

# Without CAP_NET_RAW there is nothing to serve with.
on node timeout "$LIMIT" setpriv --bounding-set -net_raw --inh-caps -net_raw "$LEASEHOLD" run >"$LAB/log/no-raw" 2>&1
status=$?
expect "exit code without CAP_NET_RAW" 77 echo "$status"
check "the error names it" grep -qi 'cap_net_raw' "$LAB/log/no-raw"

# The switch is not up yet, and one port has no interface: both are waited for.
leasehold_spawn
check "a missing database is named" log_says '/run/openvswitch/db\.sock'
expect "the source's metric" 0 metric leasehold_source_up
alive "$LEASEHOLD_PID" && ok "and waited for" || bad "leasehold ended: $(tail -n 3 "$LAB/log/leasehold")"

ovsdb_up
spawn node ovs-vswitchd ovs-vswitchd unix:/run/openvswitch/db.sock --pidfile -vconsole:warn
vsctl add-br "$BRIDGE" -- set Bridge "$BRIDGE" datapath_type=netdev
expect "the source's metric with the database" 1 metric leasehold_source_up
vsctl --no-wait add-port "$BRIDGE" vnet0 -- set Interface vnet0 external_ids:vm-id=demo/db-1 \
  external_ids:iface-id=eth0 'external_ids:attached-mac="52:54:00:12:34:01"'
expect "a port without its interface" no-device port_field vnet0 state
guest db-1
wait_serving db-1
run_udhcpc db-1
expect "address" 10.20.0.10/16 address4 db-1

# One process holds the metrics socket, and with it the packet path; it has no capability left.
listener() { on node ss -Hltnp 'sport = 9768' | sed -n 's/.*pid=\([0-9]*\).*/\1/p' | head -n 1; }
status_of() { sed -n "s/^$2:\s*//p" "/proc/$1/status"; }
responder=$(listener)
for set in CapEff CapPrm CapInh CapAmb; do
  expect "$set of the responder" 0000000000000000 status_of "$responder" "$set"
done
expect "NoNewPrivs of the responder" 1 status_of "$responder" NoNewPrivs

# The other two hold what they need for opening sockets or for installing rules, and no more.
# The kernel cuts names to 15 characters. CAP_NET_RAW is 13, CAP_NET_ADMIN 12, CAP_DAC_OVERRIDE 1.
declare -A HOLDS=([leasehold-broke]=0000000000002002 [leasehold-rules]=0000000000001002)
for pid in $(leasehold_pids); do
  [[ $pid == "$responder" ]] && continue
  name=$(<"/proc/$pid/comm")
  expect "CapPrm of $name" "${HOLDS[$name]}" status_of "$pid" CapPrm
  expect "NoNewPrivs of $name" 1 status_of "$pid" NoNewPrivs
  unset "HOLDS[$name]"
done
expect "processes that are missing" 0 echo "${#HOLDS[@]}"
finish
