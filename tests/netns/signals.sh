#!/usr/bin/env bash
# SIGTERM ends everything at once, without a word to the guests; there is one instance a node.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
configure
leasehold_start
run_udhcpc db-1
expect "router of db-1" fe80::1 default6 db-1

on node timeout "$LIMIT" "$LEASEHOLD" run >"$LAB/log/second" 2>&1
status=$?
expect "exit code of a second instance" 75 echo "$status"
check "it says why" grep -Eiq 'another|already' "$LAB/log/second"
expect "the first goes on" serving port_field vnet0 state

spawn db-1 tcpdump tcpdump -Z root -U -l -n -v -i eth0 -Q in 'icmp6 and ip6[40] == 134'
wait_for "$LIMIT" grep -q 'listening on' "$LAB/log/tcpdump" || die "tcpdump does not listen"
start=$(date +%s%N)
kill -TERM "$LEASEHOLD_PID"
wait_for "$LIMIT" leasehold_gone || die "leasehold is still there"
within "milliseconds from SIGTERM to the end" 0 10000 $((($(date +%s%N) - start) / 1000000))
# Clause C4: the router is not withdrawn when the responder goes.
expect "advertisements with router lifetime 0" 0 grep -c 'router lifetime 0s' "$LAB/log/tcpdump"
expect "router of db-1" fe80::1 default6 db-1

lh ports >/dev/null 2>&1
status=$?
expect "exit code of a command without a daemon" 69 echo "$status"
leasehold_start
expect "port after a new start" serving port_field vnet0 state
finish
