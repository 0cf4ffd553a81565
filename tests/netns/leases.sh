#!/usr/bin/env bash
# The lease table by hand, while guests hold leases of it.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest web-1
configure
leasehold_start
run_udhcpc web-1
first=$(address4 web-1)
first=${first%/*}

check "an address for a VM that does not exist yet" lh leases reserve demo/later 10.20.3.3 --nic eth0
guest later
wait_serving later
run_udhcpc later
expect "what it gets" 10.20.3.3/16 address4 later

check "an address for whichever NIC of a VM" lh leases reserve demo/any 10.20.3.9
guest any
wait_serving any
expect "the NIC that asks has it" 10.20.3.9 lease_field any ipv4
expect "and nothing is kept beside it" 1 eval \
  'lh leases list --vm demo/any --json | jq length'

refused() { ! lh "$@" >"$LAB/log/refused" 2>&1; }
check "an address that is held is not given away" refused leases reserve demo/other "$first"
expect "the holder is named" 1 grep -c 'held by demo/web-1 eth0' "$LAB/log/refused"
check "a lease that is served is not released" refused leases release demo/web-1 --yes
expect "its port is named" 1 grep -c "served on port ${PORT[web-1]}" "$LAB/log/refused"

check "an address moves from one VM to another" \
  lh leases move 10.20.3.3 demo/web-1 --nic eth0 --force
expect "its new holder" 10.20.3.3 lease_field web-1 ipv4
forget web-1
run_udhcpc web-1
EXPECT_LIMIT=$LIMIT expect "what it gets" 10.20.3.3/16 address4 web-1
other=$(lease_field later ipv4)
check "the other one has another address" test "$other" != 10.20.3.3 -a -n "$other"

check "an address outside the ranges" lh leases reserve demo/outside 10.20.200.1 --nic eth0
outside='demo/outside eth0 holds 10.20.200.1, outside the ranges'
check "check names it, of the daemon that runs" eval 'lh check | grep -q "$outside"'
check "plan does, too" eval '{ lh plan || true; } | grep -q "$outside"'

# A file of some size goes to the daemon in one piece; one whose host stands for two is refused.
{
  echo network,vm,nic,ipv4,ipv6,prefix
  for number in {0..1999}; do
    echo "blue,many/$number,eth0,10.20.$((210 + number / 200)).$((number % 200 + 1)),,"
  done
} >"$LAB/many.csv"
check "2,000 hosts are imported" lh leases import "$LAB/many.csv"
expect "and all hold their address" 2000 eval \
  'lh leases list --json | jq "map(select(.vm | startswith(\"many/\"))) | length"'
printf 'dhcp-host=%s\n' 52:54:00:00:00:01,10.20.3.21,twice 52:54:00:00:00:02,10.20.3.22,twice \
  >"$LAB/twice.conf"
check "a name that stands for two hosts is refused" refused leases import "$LAB/twice.conf"
expect "with both addresses" 1 grep -c 'twice cannot hold 10.20.3.22 beside 10.20.3.21' \
  "$LAB/log/refused"
expect "and nothing is imported" 0 eval 'lh leases list --vm twice --json | jq length'

leasehold_stop TERM
check "check names it, of the store" eval 'lh check | grep -q "$outside"'
check "what a daemon wrote is read without it" eval 'lh leases list | grep -q 10.20.3.3'
check "and changed" lh leases reserve demo/third 10.20.3.4
leasehold_start
expect "and taken over from then on" 10.20.3.4 eval \
  'lh leases list --vm demo/third --json | jq -r ".[].ipv4"'
finish
