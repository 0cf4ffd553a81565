#!/usr/bin/env bash
# The store cannot be written, each time for another reason: known VMs are served on, a new one
# waits, metric and log say why, and all is well once the trouble is over. Leases are reserved all
# the while; those that were confirmed are there in the end.
#
# In the usual form there is each trouble once. LEASEHOLD_TROUBLES=N makes it N in random order, of
# the seed LEASEHOLD_CHAOS_SEED, with kills of the daemon in between.
. "$(dirname "$0")/../../lab/lib.sh"

dir=/var/lib/leasehold
file=$dir/leases.sqlite
# As the packaged unit does: a user of its own, and two capabilities of which the part that reads
# packets and writes leases keeps none.
leasehold_spawn() {
  spawn node leasehold setpriv --reuid nobody --regid nogroup --clear-groups \
    --bounding-set=-all,+net_raw,+dac_override --inh-caps=+net_raw,+dac_override \
    --ambient-caps=+net_raw,+dac_override "$LEASEHOLD" run
  LEASEHOLD_PID=$SPAWNED
}

# What breaks, what heals, and what the log says.
declare -A BREAK=(
  [full]="dd if=/dev/zero of=$dir/ballast bs=4k 2>/dev/null; true"
  [directory]="chmod 0 $dir" [owner]="chown root: $file" [mode]="chmod 400 $file"
  [moved]="mv $file $dir/aside" [replaced]="mv $file $dir/aside; cp -a $dir/aside $file"
  [immutable]="chattr +i $file"
)
declare -A HEAL=(
  [full]="rm $dir/ballast"
  [directory]="chmod 750 $dir" [owner]="chown nobody: $file" [mode]="chmod 600 $file"
  [moved]="mv $dir/aside $file" [replaced]="mv $dir/aside $file"
  [immutable]="chattr -i $file"
)
declare -A SAYS=(
  [full]='no space is left' [directory]='permission denied' [owner]='permission denied'
  [mode]='permission denied' [moved]='no longer there' [replaced]='another file stands'
  [immutable]='operation not permitted'
)
KINDS=(full directory owner mode moved replaced)

acks() { metric leasehold_replies_total message=ack; }
leases() { lh leases list --json | jq -c 'map([.vm, .ipv4]) | sort'; }
# The newcomer of every round: its lease was released, so it must be written anew.
newcomer() {
  forget new-1
  unplug new-1
  wait_for "$LIMIT" lh leases release demo/new-1 --yes
}

# load: reserves one address after another; those that were confirmed are noted.
load() {
  local number=0
  while [[ ! -e $LAB/enough ]]; do
    local address=10.20.$((100 + number / 200)).$((number % 200 + 1))
    if timeout 20 nsenter --target "${HOLDER[node]}" --mount --uts --net -- \
      "$LEASEHOLD" leases reserve "load/$number" "$address" >/dev/null 2>&1; then
      echo "load/$number $address" >>"$LAB/confirmed"
    fi
    number=$((number + 1))
    sleep 0.2
  done
}

# trouble KIND: what comes of it while it lasts, and afterwards.
trouble() {
  local kind=$1 before
  newcomer
  : >"$LAB/log/leasehold"
  on node bash -c "${BREAK[$kind]}" || die "$kind: it cannot be made so"
  plug new-1
  start_udhcpc new-1
  expect "$kind: leasehold_store_up" 0 metric leasehold_store_up
  expect "$kind: the new VM" no-address port_field "${PORT[new-1]}" state
  check "$kind: the log says why" log_says "leases\.sqlite: .*${SAYS[$kind]}"
  before=$(acks)
  renew old-1
  check "$kind: the old VM's renewal is answered" metric_at_least $((before + 1)) \
    leasehold_replies_total message=ack
  on node bash -c "${HEAL[$kind]}" || die "$kind: it cannot be undone"
  check "$kind: the new VM is served afterwards" on new-1 test -s /run/udhcpc.seen
  expect "$kind: leasehold_store_up afterwards" 1 metric leasehold_store_up
}

node_up
guest old-1
guest new-1
configure
on node mount -t tmpfs -o size=2m,mode=750,uid=65534,gid=65534 tmpfs $dir || die "no tmpfs"
on node chown nobody: /run/leasehold
leasehold_start
run_udhcpc old-1
first=$(address4 old-1)
run_udhcpc new-1
# Not every file system knows the attribute.
if on node chattr +i $file 2>/dev/null && ! on node touch $file 2>/dev/null; then
  KINDS+=(immutable)
fi
on node chattr -i $file 2>/dev/null

touch "$LAB/confirmed"
load &
loading=$!
troubles=${LEASEHOLD_TROUBLES:-0}
RANDOM=${LEASEHOLD_CHAOS_SEED:-1}
declare -A SEEN=()
kills=0
for ((round = 0; round < (troubles > 0 ? troubles : ${#KINDS[@]}); round++)); do
  kind=${KINDS[round % ${#KINDS[@]}]}
  ((troubles == 0)) || kind=${KINDS[RANDOM % ${#KINDS[@]}]}
  SEEN[$kind]=$((${SEEN[$kind]:-0} + 1))
  trouble "$kind"
  if ((troubles > 0 && RANDOM % 4 == 0)); then
    leasehold_stop KILL
    leasehold_start
    kills=$((kills + 1))
  fi
done
touch "$LAB/enough"
wait "$loading"
leasehold_stop KILL
leasehold_start
expect "the old VM's address after all" "${first%/*}" port_field vnet0 ipv4
lost() {
  lh leases list --json | jq -r '.[] | .vm + " " + .ipv4' | sort >"$LAB/listed"
  sort "$LAB/confirmed" | comm -23 - "$LAB/listed"
}
expect "confirmed reservations that are lost" "" lost
twice() { lh leases list --json | jq -r '.[].ipv4' | sort | uniq -d; }
expect "addresses that are held twice" "" twice
note "report: store trouble: $round rounds, seed ${LEASEHOLD_CHAOS_SEED:-1}:" \
  "$(for kind in "${!SEEN[@]}"; do printf '%s %s, ' "$kind" "${SEEN[$kind]}"; done)" \
  "$kills kills, $(wc -l <"$LAB/confirmed") reservations confirmed under it, $FAILED faults"
finish
