#!/usr/bin/env bash
# etcd goes and comes back: known VMs are served all the while, over a restart too; new ones wait.
. "$(dirname "$0")/../../lab/lib.sh"

if ! command -v etcd >/dev/null || ! command -v etcdctl >/dev/null; then
  note "SKIPPED: etcd is not installed"
  exit 0
fi
if ! grep -qa 'leasehold/v1\|watching leases in etcd' "$LEASEHOLD"; then
  note "SKIPPED: this leasehold was built without the feature etcd"
  exit 0
fi

etcd_up() {
  spawn node etcd etcd --data-dir /run/etcd --log-level error
  ETCD_PID=$SPAWNED
  wait_for "$LIMIT" ctl put /up 1 || die "etcd does not come up"
}
ctl() { on node env ETCDCTL_API=3 etcdctl --command-timeout=2s "$@"; }
# etcd_field FIELD: of web-1's lease in etcd.
etcd_field() {
  ctl get /leasehold/v1/leases/blue/demo%2Fweb-1/eth0 --print-value-only | jq -r ".$1"
}

node_up
guest web-1
configure
printf '[store]\nbackend = "etcd"\n[store.etcd]\nendpoints = ["http://127.0.0.1:2379"]\n' |
  on node sh -c 'cat >>/etc/leasehold/leasehold.toml'
etcd_up
leasehold_start
run_udhcpc web-1
first=$(address4 web-1)
expect "the lease in etcd" "${first%/*}" etcd_field ipv4
expect "who holds the address" /leasehold/v1/leases/blue/demo%2Fweb-1/eth0 \
  ctl get "/leasehold/v1/addresses/blue/${first%/*}" --print-value-only
expect "the store is up" 1 metric leasehold_store_up backend=etcd
expect "another node's lease is listed" 10.20.5.5 eval \
  'ctl put /leasehold/v1/leases/blue/demo%2Felsewhere/eth0 "$(etcd_field "" |
     jq -c ".vm = \"demo/elsewhere\" | .ipv4 = \"10.20.5.5\" | .ipv6 = null")" >/dev/null
   lh leases show 10.20.5.5 --json | jq -r ".[0].ipv4"'
# It is changed here too, although this node knows nothing of it.
ctl put /leasehold/v1/addresses/blue/10.20.5.5 /leasehold/v1/leases/blue/demo%2Felsewhere/eth0 \
  >/dev/null
holder() { ctl get /leasehold/v1/addresses/blue/10.20.5.5 --print-value-only; }
elsewhere() { ctl get /leasehold/v1/leases/blue/demo%2Felsewhere/eth0 --keys-only; }
refused() { ! lh "$@" >"$LAB/log/refused" 2>&1; }
check "another node's address is not given away" \
  refused leases reserve demo/third 10.20.5.5 --nic eth0
expect "its holder is named" 1 grep -c 'held by demo/elsewhere eth0' "$LAB/log/refused"
check "another node's address moves" lh leases move 10.20.5.5 demo/third --nic eth0
expect "its new holder" /leasehold/v1/leases/blue/demo%2Fthird/eth0 holder
expect "a lease that holds nothing is gone" "" elsewhere
check "it moves back" lh leases move 10.20.5.5 demo/elsewhere --nic eth0
expect "its holder once more" /leasehold/v1/leases/blue/demo%2Felsewhere/eth0 holder

# A second node, to which web-1 migrates while it still runs on the first: both have its port.
on node ip link add tap9 type veth peer name tap9-guest
on node ip link set tap9-guest up
on node ip link set tap9 up
on node mkdir -p /etc/leasehold-b /run/leasehold-b /var/lib/leasehold-b
on node cp -r /etc/leasehold/networks.d /etc/leasehold-b/
on node sh -c 'cat >/etc/leasehold-b/leasehold.toml' <<'CONFIG'
[node]
name = "node-b"
[store]
backend = "etcd"
path = "/var/lib/leasehold-b"
[store.etcd]
endpoints = ["http://127.0.0.1:2379"]
[metrics]
listen = ""
[control]
socket = "/run/leasehold-b/control.sock"
[[source]]
kind = "static"
[[source.port]]
interface = "tap9"
vm = "demo/web-1"
nic = "eth0"
network = "blue"
CONFIG
spawn node leasehold-b "$LEASEHOLD" --config /etc/leasehold-b/leasehold.toml run
NODE_B=$SPAWNED
port_b() {
  on node "$LEASEHOLD" --config /etc/leasehold-b/leasehold.toml ports --json |
    jq -rs --arg f "$1" '[.. | objects | select(.interface? == "tap9")][0][$f] // ""'
}
writes() {
  ctl get /leasehold/v1/leases/blue/demo%2Fweb-1/eth0 -w json | jq -r '.kvs[0].version'
}
expect "the other node serves the VM" serving port_b state
expect "at the same address" "${first%/*}" port_b ipv4
expect "the lease's node, until the guest is heard on the other" node-a etcd_field node
lh_b() { on node "$LEASEHOLD" --config /etc/leasehold-b/leasehold.toml "$@"; }
ctl put /leasehold/v1/leases/blue/demo%2Felsewhere/eth0 "$(
  ctl get /leasehold/v1/leases/blue/demo%2Felsewhere/eth0 --print-value-only |
    jq -c ".\"last-seen\" = $(date +%s)")" >/dev/null
refused_b() { ! lh_b "$@" >"$LAB/log/refused" 2>&1; }
check "the other node does not release a lease whose VM was heard elsewhere of late" \
  refused_b leases release demo/elsewhere --yes
expect "where that was" 1 grep -c 'demo/elsewhere eth0 was heard on node node-a' "$LAB/log/refused"
check "unless it is told to, although it knows nothing of it" \
  lh_b leases release demo/elsewhere --yes --force
expect "it is gone" "" elsewhere
expect "and its address is free" "" holder
# Each was told of the other's writes; neither takes the lease back and forth.
before=$(writes)
sleep 1
within "writes of the lease while both serve it" "$before" $((before + 2)) "$(writes)"
expect "the first node serves it still" "${first%/*}" port_field vnet0 ipv4

# The VM moves: what it says first on the second node tells both. The first one's port is left, and
# is taken for the VM's again once it speaks there: the migration was aborted.
on web-1 tc qdisc add dev eth0 root pfifo limit 0
speak_on_b() { on node /usr/bin/python3 "$ROOT/tests/netns/frame.py" discover --interface tap9-guest; }
expect "the VM is answered on the second node" "answered ${first%/*}" speak_on_b
expect "and its lease says where it is" node-b etcd_field node
check "since when" eval '[[ $(etcd_field arrived) =~ ^[0-9]+$ ]]'
expect "the first node's port, left" "the VM was heard on node-b last, with the same lease" \
  port_field vnet0 reason
on web-1 tc qdisc del dev eth0 root
renew web-1
expect "aborted: where the lease says it is" node-a etcd_field node
expect "the first node's port" "" port_field vnet0 reason
expect "the second node's, left" "the VM was heard on node-a last, with the same lease" port_b reason
kill -TERM "$NODE_B"
wait_for "$LIMIT" gone "$NODE_B" || bad "the second node does not end"
# It came back: the first node is the one that serves it.
unplug web-1
plug web-1
wait_serving web-1
expect "the lease's node" node-a etcd_field node

kill -KILL "$ETCD_PID"
leasehold_stop KILL
leasehold_start
forget web-1
run_udhcpc web-1
expect "without etcd, and after a restart" "$first" address4 web-1
expect "the store is down" 0 metric leasehold_store_up backend=etcd

guest web-2
expect "a new VM" no-address port_field vnet1 state
check "and the reason" eval '[[ $(port_field vnet1 reason) == *127.0.0.1:2379* ]]'
check "status says it" eval 'lh status | grep -q "store .*down\|store .*127.0.0.1:2379"'
expect "web-1 goes on" serving port_field vnet0 state

etcd_up
expect "a new VM once etcd is back" serving port_field vnet1 state
run_udhcpc web-2
second=$(address4 web-2)
[[ -n $second && $second != "$first" ]] && ok "its address: $second" || bad "its address: $second"
expect "the store is up again" 1 metric leasehold_store_up backend=etcd
finish
