#!/usr/bin/env bash
# What many ports cost: 10, 100, 1,000 and 5,000 veth pairs, or as many as the arguments say; the
# rows in a real ovsdb-server, every guest played by benches/ports.py. All of it is in a world of its
# own (lab/world.sh), the lease store in memory.
. "$(dirname "$0")/../lab/lib.sh"
. "$ROOT/benches/ports.lib.sh"

(($#)) || set -- 10 100 1000 5000
many_ports $((${*: -1} + 111))     # and those that are plugged while it runs
on guests /usr/bin/python3 "$ROOT/benches/ports.py" table "${HOLDER[$NODE]}" "$LEASEHOLD" "$@" ||
  die "the bench ended early"
exit 0
