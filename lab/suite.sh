#!/usr/bin/env bash
# Runs one suite and prints how long it took:  lab/suite.sh NAME COMMAND...
set -uo pipefail

name=$1
shift
start=$(date +%s%N)
"$@"
status=$?
tenths=$((($(date +%s%N) - start) / 100000000))
((status == 0)) && verdict=passed || verdict="FAILED ($status)"
printf 'suite %s: %s in %d.%d s\n' "$name" "$verdict" $((tenths / 10)) $((tenths % 10))
exit "$status"
