#!/usr/bin/env bash
# What a real VM notices of a migration: the longest gap of a ping through its gateway, with and
# without announcements, with the gateway's MAC the same on both nodes and not; and how long after
# it runs again its first renewal is answered.
root=$(dirname "$(readlink -f "$0")")/../..
if (($# == 0)); then
  reason=$("$root/lab/guest.sh" "$root/target/guest") || {
    echo "SKIPPED: this machine cannot run it: $reason"
    exit 0
  }
  echo "a VM on $(<"$root/target/guest/accel"), pinged every 20 ms"
  for gateway in same different; do
    for announce in true false; do
      said=$(LAB_LIMIT=400 "$0" "$gateway" "$announce") || echo "$said"
      sed -n "s/^figures: /gateway's MAC $gateway, announce = $announce: /p" <<<"$said"
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
vm_arrive node-b
stream_start ping
{
  qmp node-b resumed
  # shellcheck disable=SC2016
  printf '0 kill -USR1 $(cat /run/client4.pid)\n' >"$LAB/serial.node-b.in"
} >"$LAB/resumed" &
asking=$!
vm_migrate node-b
wait "$asking"
knows_gateway() { [[ $(vm state) == *mac4=${GATEWAY[node-b]:-$GATEWAY_MAC}\ * ]]; }
check "the VM knows its gateway on node-b" knows_gateway
check "a renewal on node-b is answered" on_wire_at_least 1 node-b "$ANSWER4"
# Its next answer after the gap is in.
check "the gateway forwards for it" eval 'vm "ping -c 1 -W 1 $FAR" | grep -q "1 packets received"'
renewed=$(tcpdump -r "$CAPTURES/node-b.pcap" -n -tt "$ANSWER4" 2>/dev/null | head -n 1)
echo "figures: $(stream_end ping); renewal answered" \
  "$(awk -v from="$(<"$LAB/resumed")" -v to="${renewed%% *}" \
    'BEGIN { printf "%.0f", (to - from) * 1000 }') ms after it runs again"
finish
