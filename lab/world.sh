#!/usr/bin/env bash
# Runs a script in a world of its own: network, mounts, processes, host name, scratch.
#
#   lab/world.sh SCRIPT [ARGUMENT...]
#
# The script is process 1 of the world. When it ends, or is killed, or whoever started it dies, the
# kernel ends every process in it, and with the last of them go its namespaces, interfaces, mounts
# and files: all scratch is memory that is mounted only here. Nothing is left to clean up.
set -euo pipefail

if [[ ${1:-} != --inside ]]; then
  self=$(readlink -f "${BASH_SOURCE[0]}")
  as_root=()
  if [[ $(id -u) -ne 0 ]]; then
    command -v sudo >/dev/null || {
      echo "lab: making network namespaces needs root, and there is no sudo" >&2
      exit 77
    }
    as_root=(sudo "--preserve-env=LEASEHOLD,LAB_LIMIT,LAB_TRACE,LEASEHOLD_TROUBLES,LEASEHOLD_CHAOS_SEED" --)
  fi
  exec "${as_root[@]}" setpriv --pdeathsig KILL \
    unshare --net --mount --pid --uts --ipc --propagation private --fork --kill-child=KILL \
    --mount-proc bash "$self" --inside "$@"
fi
shift

# Process 1 ignores the signals that it does not handle.
trap 'exit 130' INT
trap 'exit 143' TERM

mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mkdir /dev/shm/lab
mount -t tmpfs -o mode=755 tmpfs /run
export LAB=/dev/shm/lab TMPDIR=/dev/shm LC_ALL=C
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# What takes longer is stuck: it is asked to end, so that it can show its logs, and then made to.
timeout --foreground --kill-after=10 "${LAB_LIMIT:-600}" bash "$@" &
wait $!
