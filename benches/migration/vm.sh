#!/usr/bin/env bash
# What a real VM notices of a migration: the longest gap of a ping through its gateway, with and
# without announcements, with the gateway's MAC the same on both nodes and not; and how long after
# it runs again its first renewal is answered. `make bench-migration` calls it.
#
#   benches/migration/vm.sh [same|different true|false]
root=$(dirname "$(readlink -f "$0")")/../..
if (($# == 0)); then
  reason=$("$root/lab/guest.sh" "$root/target/guest") || {
    echo "a VM that moves: SKIPPED: this machine cannot run it: $reason"
    exit 0
  }
  echo "a VM that moves, by $(<"$root/target/guest/accel"); pinged every 20 ms; it renews as soon as it runs:"
  for gateway in same different; do
    for announce in true false; do
      said=$(LAB_LIMIT=600 "$0" "$gateway" "$announce" 2>&1) || {
        echo "$said"
        exit 1
      }
      sed -n "s/^figures: /  gateway's MAC $gateway, announce = $announce: /p" <<<"$said"
    done
  done
  exit 0
fi
. "$root/lab/lib.sh"
. "$root/lab/vm.sh"

[[ $1 == same ]] || GATEWAY[node-b]=0a:58:0a:14:00:0b
ANNOUNCE="/^mac = /a announce = $2"

fabric_up
vm_node node-a "$ANNOUNCE"
vm_node node-b "$ANNOUNCE"
vm_boot node-a
vm_remember
stream_start ping
vm_arrive node-b
{
  qmp node-b resumed
  # shellcheck disable=SC2016 # for the VM's shell
  printf '0 kill -USR1 $(cat /run/client4.pid)\n' >"$LAB/serial.node-b.in"
} >"$LAB/resumed" &
asking=$!
wait_for "$LIMIT" grep -q waiting "$LAB/resumed" || die "QEMU of node-b does not speak"
vm_migrate node-b
wait "$asking"
knows_gateway() { [[ $(vm state) == *mac4=${GATEWAY[node-b]:-$GATEWAY_MAC}\ * ]]; }
check "the VM knows its gateway on node-b" knows_gateway
check "a renewal on node-b is answered" on_wire_at_least 1 node-b "$ANSWER4"
check "the gateway forwards for it" vm_reaches "$FAR"
# first FILTER: when the first such frame was on its port.
first() {
  tcpdump -r "$CAPTURES/node-b.pcap" -n -tt "$1" 2>/dev/null | awk '{ print $1; exit }'
}
gap=$(stream_end ping)
awk -v ran="$(tail -n 1 "$LAB/resumed")" -v asked="$(first "$RENEW4")" \
  -v answered="$(first "$ANSWER4")" -v gap="${gap#*, }" 'BEGIN {
    printf "figures: %s; first renewal answered %.0f ms after it runs, %.1f ms after it asked\n",
      gap, (answered - ran) * 1000, (answered - asked) * 1000 }'
finish
