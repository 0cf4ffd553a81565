#!/usr/bin/env bash
# One VM sends as fast as it can: its neighbour is served, and no core goes into reading it.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
guest web-1
configure
leasehold_start
link_up db-1
link_up web-1
frame() { on "$1" /usr/bin/python3 "$ROOT/tests/netns/frame.py" "${@:2}"; }

# In clock ticks, which are hundredths of a second.
cpu() { awk '{ print $14 + $15 }' "/proc/$LEASEHOLD_PID/stat"; }
before=$(cpu)
spawn web-1 flood /usr/bin/python3 "$ROOT/tests/netns/frame.py" flood
EXPECT_LIMIT=0
for _ in 1 2 3; do
  expect "a DISCOVER of db-1 meanwhile" "answered 10.20.0.10" frame db-1 discover
done
wait_for "$LIMIT" gone "$SPAWNED" || die "the flood does not end"
within "hundredths of a CPU-second for 3 s of flood" 0 40 $(($(cpu) - before))

# 100 at once and 50 a second are read; the others are counted, whoever threw them away.
sent=$(sed -n 's/^sent //p' "$LAB/log/flood")
within "frames sent" 20000 100000000 "$sent"
check "those beyond the rate are counted" \
  metric_at_least $((sent - 1000)) leasehold_drops_total reason=rate-limited
finish
