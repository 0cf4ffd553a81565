#!/usr/bin/env bash
# What a port is explained by, what passes on it, and what an edit of the files would change.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
guest stray ids=none
configure
leasehold_spawn
wait_for "$LIMIT" lh ports || die "leasehold does not answer"
wait_serving db-1
wait_for "$LIMIT" in_state unidentified "${PORT[stray]}" || die "stray is not listed"

explained() { lh explain "$1" --json | jq -r "$2"; }
expect "a VM is found by its name" vnet0 explained demo/db-1 '.[0].port.interface'
expect "the rule" "preset libvirt" explained vnet0 '.[0].identity.rule'
expect "what it saw" "external-ids:vm-id=demo/db-1" explained vnet0 \
  '.[0].identity.saw[0] | "\(.key)=\(.value)"'
expect "the network" "blue true" explained vnet0 '.[0].networks[0] | "\(.network) \(.chosen)"'
expect "where the address comes from" "reserved by the VM's [[vm]] entry" explained vnet0 \
  '.[0].addresses[0].origin'
expect "the replies" "offer ack advertise reply reply router-advertisement" explained vnet0 \
  '[.[0].messages[].outcome] | join(" ")'
expect "its name servers" 10.20.0.53 explained vnet0 \
  '.[0].messages[0].reply.fields[] | select(.code == 6) | .value'
expect "an unidentified port" unidentified explained vnet1 '.[0].port.state'
check "and why" eval '[[ -n $(explained vnet1 ".[0].identity.reason // empty") ]]'
lh explain vnet9 >/dev/null 2>&1
expect "exit code for what is not there" 69 echo $?

spawn node watch "$LEASEHOLD" watch --vm demo/db-1 --pcap /run/watch.pcap
WATCH=$SPAWNED
check "watch has begun" grep -q 'watching 1 port' "$LAB/log/watch"
spawn node watch.json "$LEASEHOLD" watch --port vnet0 --json
WATCH_JSON=$SPAWNED
check "a second one too" grep -q 'watching 1 port' "$LAB/log/watch.json"

run_udhcpc db-1
check "the offer is shown" grep -q \
  ' vnet0 demo/db-1 dhcpv4 discover > offer 10.20.0.10\(; arrived.*\)\?$' "$LAB/log/watch"
check "and the arrival, at whatever the guest said first" grep -q \
  'arrived: the VM has come to this port$' "$LAB/log/watch"
arrivals() { explained vnet0 '[.[0].exchanges[] | select(.arrived) | .count] | add'; }
expect "explain knows it, once" 1 arrivals
expect "and when it was" true explained vnet0 '.[0].lease | has("arrived")'
check "the ack too" grep -q ' dhcpv4 request > ack 10.20.0.10$' "$LAB/log/watch"
seen_in_json() { sed '1d' "$LAB/log/watch.json" | jq -r 'select(.outcome == "ack") | .address' | head -n 1; }
expect "and in JSON" 10.20.0.10 seen_in_json
past() { explained vnet0 '.[0].exchanges[] | select(.outcome == "ack") | .message'; }
expect "explain knows it too" request past

kill -INT "$WATCH"
check "watch ends at Ctrl-C" gone "$WATCH"
check "and says what it saw" grep -Eq '^[0-9]+ exchanges?, [0-9]+ frames? in /run/watch.pcap$' \
  "$LAB/log/watch"
captured() { on node tcpdump -nvr /run/watch.pcap 2>/dev/null | grep -c "DHCP-Message.*: $1\$"; }
for message in Discover Offer Request ACK; do
  check "tcpdump reads the $message" eval "(( \$(captured $message) >= 1 ))"
done
check "the checksums of the replies hold" eval \
  '! on node tcpdump -nvr /run/watch.pcap src 10.20.0.1 2>/dev/null | grep -q "bad udp"'
check "with nanoseconds" eval \
  'on node tcpdump -r /run/watch.pcap --time-stamp-precision=nano -ttc1 2>/dev/null | grep -Eq "^[0-9]+\.[0-9]{9} "'

planned() { lh plan >"$LAB/log/plan" 2>&1; echo $?; }
expect "nothing to change" 0 planned
expect "and it says so" "no change" cat "$LAB/log/plan"
configure 's/^mtu = .*/mtu = 1400/; s/^ipv4 = "10.20.0.10"/ipv4 = "10.20.0.11"/; s/^lease-time = .*/lease-time = "2h"/'
expect "an edit" 2 planned
for line in 'mtu  *1450 -> 1400' 'ipv4  *10.20.0.10 -> 10.20.0.11' 'ipv4.lease-time  *1h -> 2h'; do
  check "plan says ${line//  \*/ }" grep -q "^  $line\$" "$LAB/log/plan"
done
expect "and changes nothing" 10.20.0.10 port_field vnet0 ipv4
check "reload" lh reload
expect "the address" 10.20.0.11 port_field vnet0 ipv4
expect "nothing is left to change" 0 planned
configure 's/^mtu = .*/mtuu = 1400/'
expect "a fault in a file" 78 planned
check "is named" grep -q 'blue.toml:[0-9]*:[0-9]*: unknown key' "$LAB/log/plan"

leasehold_stop TERM
check "watch ends with the daemon" gone "$WATCH_JSON"
check "and says so" grep -q 'the daemon has ended' "$LAB/log/watch.json"
expect "plan without a daemon" 69 planned
finish
