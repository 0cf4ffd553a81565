#!/usr/bin/env bash
# The tests of the lease store in their long form, one after another, and one report at the end:
#
#   lab/chaos.sh CARGO test [OPTION...]
#
# LEASEHOLD_CHAOS_SEED repeats a run's choices. The counts below may be set from outside as well.
# One test that fails does not keep the others from being run.
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export LEASEHOLD=${LEASEHOLD:-$(dirname "$here")/target/release/leasehold}
export LEASEHOLD_CHAOS_SEED=${LEASEHOLD_CHAOS_SEED:-$(date +%s)}
export LEASEHOLD_CRASH_SEED=$LEASEHOLD_CHAOS_SEED
export LEASEHOLD_CRASHES=${LEASEHOLD_CRASHES:-1000}
export LEASEHOLD_DAMAGES=${LEASEHOLD_DAMAGES:-1000}
export LEASEHOLD_TROUBLES=${LEASEHOLD_TROUBLES:-100}
export LEASEHOLD_ETCD_FAULTS=${LEASEHOLD_ETCD_FAULTS:-200}
remounts=${LEASEHOLD_REMOUNTS:-10}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0

# part NAME COMMAND...: shows and keeps what it says.
part() {
  local name=$1
  shift
  "$here/suite.sh" "$name" "$@" 2>&1 | tee -a "$log"
  [[ ${PIPESTATUS[0]} -eq 0 ]] || failed=$((failed + 1))
}
# scenario NAME: of tests/netns, without a limit that a long run would meet.
scenario() { LAB_LIMIT=36000 "$here/world.sh" "$here/../tests/netns/$1.sh"; }
remount() { for ((n = 0; n < remounts; n++)); do scenario store_readonly || return; done; }
# suite.sh starts programs: these two are its own.
if [[ ${1:-} == --scenario ]]; then
  scenario "$2"
  exit
elif [[ ${1:-} == --remount ]]; then
  remount
  exit
fi

part crash "$@" --test crash -- --nocapture
part damage "$@" --lib store::tests::damage -- --nocapture
part trouble "$0" --scenario store_trouble
part remount "$0" --remount
part etcd "$@" --test etcd_chaos -- --nocapture

echo
echo "seed $LEASEHOLD_CHAOS_SEED; $failed of 5 parts failed"
grep -aoE 'report: .*|^BAD.*|.*panicked at.*|^suite .*: (passed|FAILED).*|SKIPPED.*' "$log"
((failed == 0))
