#!/usr/bin/env bash
# 200 ports at once, one more, 100 more, the database's connection lost, a restart: none is left out.
. "$(dirname "$0")/../../lab/lib.sh"
. "$ROOT/benches/ports.lib.sh"

many_ports 311
on guests /usr/bin/python3 "$ROOT/benches/ports.py" check "${HOLDER[$NODE]}" "$LEASEHOLD" ||
  die "ports are left out, or take too long"
exit 0
