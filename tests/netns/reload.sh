#!/usr/bin/env bash
# SIGHUP takes good files over at once; files with a fault change nothing.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
configure
leasehold_start
successful=leasehold_config_last_reload_successful

run_udhcpc db-1
expect "MTU" 1450 seen db-1 udhcpc mtu

configure 's/^mtu = .*/mtu = 1400/; s/^dns = .*/dns = ["10.20.0.54", "10.20.0.55"]/'
kill -HUP "$LEASEHOLD_PID"
# renewed KEY: what a renewal says now; `expect` renews again while it is not what is wanted.
renewed() { renew db-1; sleep 0.2; seen db-1 udhcpc "$1"; }
expect "MTU of a renewal after SIGHUP" 1400 renewed mtu
expect "name servers" "10.20.0.54 10.20.0.55" renewed dns
expect "address" 10.20.0.10 renewed ip
expect "$successful" 1 metric $successful

configure 's/^mtu = .*/mtu = 1300/; s/^lease-time = .*/leese-time = "1h"/'
kill -HUP "$LEASEHOLD_PID"
expect "$successful after a fault" 0 metric $successful
check "the log names the file and line" log_says 'blue\.toml:[0-9]+:[0-9]+'
check "and the key that was meant" log_says 'lease-time'
expect "MTU of a renewal" 1400 renewed mtu
expect "the port" serving port_field vnet0 state

configure
check "leasehold reload" lh reload
expect "$successful" 1 metric $successful
expect "MTU" 1450 renewed mtu

printf '[metrics]\nlisten = "127.0.0.1:9770"\n' | on node sh -c 'cat >>/etc/leasehold/leasehold.toml'
check "leasehold reload with another metrics address" lh reload
check "metrics are gone from the old one" eval '[[ -z $(metrics) ]]'
METRICS=127.0.0.1:9770
expect "$successful at the new one" 1 metric $successful
finish
