# shellcheck shell=bash
# The life of a DHCPv4 lease, step by step, as it goes over the guest's port. Source it after lib.sh.
#
#   life_begins GUEST         makes the node, the guest and leases by $TIMES, and records
#   record GUEST              writes down what goes over its port; `tape GUEST` shows it, decoded
#   mark GUEST                what is on the tape so far counts no more
#   heard GUEST LINE          whether a message is on it; LINE is a pattern of `[[ == ]]`
#   step_STEP GUEST [WORDS]   a step that is the same with every client
#
# Broadcasts that the switch floods from other ports are on it too. A line of it one message as
# tcpdump decodes it: its type, whence and whither it went, and what it holds of these, in this order:
#
#   Request 10.20.0.10 > 10.20.0.1 ciaddr= yiaddr= requested=(option 50) server=(54) lease=(51)

ADDRESS=10.20.0.10                 # reserved for demo/db-1 in lab/config
OTHER=10.20.0.11                   # what `step_readdress` makes of it
SERVER=10.20.0.1
LEASE=60
ANY=0.0.0.0
ALL=255.255.255.255

# Long enough for clients that take no short lease, and renewed all the time.
TIMES='s/^lease-time = .*/lease-time = "60s"\nrenew-time = "3s"\nrebind-time = "6s"/'
# The router falls silent: a unicast renewal has no MAC to go to.
NO_ROUTER='s/^mac = .*/&\nanswer = false\nannounce = false/'

declare -A MARK=()

life_begins() {
  node_up
  guest "$1"
  configure "$TIMES"
  leasehold_start
  record "$1"
}

# ------------------------------------------------------------------------------- the tape

record() {
  # At the node's end of the cable, which outlives what the guest does to its own.
  spawn node "tape.$1" tcpdump -Z root -U -l -n -vvv -i "${PORT[$1]}" udp port 67 or udp port 68
  wait_for "$LIMIT" grep -q 'listening on' "$LAB/log/tape.$1" || die "tcpdump does not listen"
  MARK[$1]=1
}

tape() {
  awk '
    / BOOTP\/DHCP, / {
      from = $1; to = $3
      sub(/\.[0-9]+$/, "", from); sub(/\.[0-9]+:$/, "", to)
      delete field
    }
    $1 == "Client-IP" { field["ciaddr"] = $2 }
    $1 == "Your-IP" { field["yiaddr"] = $2 }
    $1 == "DHCP-Message" { kind = $NF }
    $1 == "Requested-IP" { field["requested"] = $NF }
    $1 == "Server-ID" { field["server"] = $NF }
    $1 == "Lease-Time" { field["lease"] = $NF }
    # The last line of a message: what is above it is whole.
    $1 == "END" {
      line = kind " " from " > " to
      count = split("ciaddr yiaddr requested server lease", names, " ")
      for (i = 1; i <= count; i++) if (names[i] in field) line = line " " names[i] "=" field[names[i]]
      print line
    }' "$LAB/log/tape.$1" | tail -n "+${MARK[$1]}"
}

mark() {
  MARK[$1]=1
  MARK[$1]=$(($(tape "$1" | wc -l) + 1))
}

# times GUEST LINE: how often it is on the tape.
times() {
  local line count=0
  while read -r line; do
    # shellcheck disable=SC2053 # a pattern
    [[ $line == $2 ]] && count=$((count + 1))
  done < <(tape "$1")
  echo "$count"
}
heard() { (($(times "$@") > 0)); }

# conflict GUEST: whether its lease is flagged.
conflict() {
  lh leases list --json | jq -rs --arg v "${VM[$1]}" \
    '[.. | objects | select(.vm? == $v)][0].conflict'
}

# ------------------------------------------------------------------------------- what is done

# apply SED: the network edited, and taken over.
apply() {
  configure "$1"
  lh reload >/dev/null || die "leasehold does not take its configuration"
}

# power_cut GUEST: the clients end without a word, only what is on disk stays.
power_cut() {
  stop_clients "$1"
  on "$1" sh -c 'ip addr flush dev eth0; ip link set eth0 down; find /run -mindepth 1 ! -type d -delete'
  rm -f "$LAB/log/$1".dhclient4
}

# learn_router GUEST: a client that releases does not wait for the server's MAC, it has to be known.
learn_router() { on "$1" busybox ping -c 1 -W 1 "$SERVER" >/dev/null; }

# ------------------------------------------------------------------------------- steps

# step_boot GUEST: it has just taken its first lease.
step_boot() {
  check "boot: DISCOVER" heard "$1" "Discover $ANY > $ALL*"
  check "boot: REQUEST that names address and server" \
    heard "$1" "Request $ANY > $ALL requested=$ADDRESS server=$SERVER*"
  check "boot: ACK" heard "$1" "ACK $SERVER > * yiaddr=$ADDRESS server=$SERVER lease=$LEASE"
  expect "address" "$ADDRESS/16" address4 "$1"
}

# step_renewal GUEST ADDRESS: from the guest's own address to the server's, and so back.
step_renewal() {
  mark "$1"
  check "T1: REQUEST by unicast, no option 50 or 54" \
    heard "$1" "Request $2 > $SERVER ciaddr=$2"
  check "T1: ACK by unicast" \
    heard "$1" "ACK $SERVER > $2 ciaddr=$2 yiaddr=$2 server=$SERVER lease=$LEASE"
  expect "address" "$2/16" address4 "$1"
}

# step_rebinding GUEST: renewals by unicast go nowhere.
step_rebinding() {
  apply "$TIMES; $NO_ROUTER"
  on "$1" ip neigh flush dev eth0
  mark "$1"
  check "T2: REQUEST by broadcast, no option 50 or 54" \
    heard "$1" "Request * > $ALL ciaddr=$ADDRESS"
  check "T2: ACK" heard "$1" "ACK $SERVER > * ciaddr=$ADDRESS yiaddr=$ADDRESS server=$SERVER lease=$LEASE"
  expect "address" "$ADDRESS/16" address4 "$1"
  apply "$TIMES"
}

# step_readdress GUEST: its reservation changes while it holds the old address.
step_readdress() {
  local naks
  naks=$(metric leasehold_replies_total message=nak)
  mark "$1"
  apply "$TIMES; s/$ADDRESS\"/$OTHER\"/"
  check "re-address: NAK by broadcast, no lease" heard "$1" "NACK $SERVER > $ALL server=$SERVER"
  check "re-address: it begins anew" heard "$1" "Discover $ANY > $ALL*"
  check "re-address: ACK" heard "$1" "ACK $SERVER > * yiaddr=$OTHER server=$SERVER lease=$LEASE"
  EXPECT_LIMIT=$LIMIT expect "address" "$OTHER/16" address4 "$1"
  # A client that does not hear it while it renews hears it when it rebinds.
  check "re-address: NAKs are counted" \
    metric_at_least $((naks + 1)) leasehold_replies_total message=nak
}

# step_reboot GUEST ADDRESS: it has just come up with what it remembered.
step_reboot() {
  check "INIT-REBOOT: REQUEST that names the address only" \
    heard "$1" "Request $ANY > $ALL requested=$2"
  check "INIT-REBOOT: ACK" heard "$1" "ACK $SERVER > * yiaddr=$2 server=$SERVER lease=$LEASE"
  expect "INIT-REBOOT: DISCOVERs" 0 times "$1" "Discover *"
  expect "address" "$2/16" address4 "$1"
}

# step_release GUEST ADDRESS: it was told to give its lease up.
step_release() {
  check "RELEASE by unicast" heard "$1" "Release $2 > $SERVER ciaddr=$2*"
  expect "RELEASEs that are counted" 1 metric leasehold_requests_total message=release
  expect "address after it" "" address4 "$1"
  expect "address that stays with the VM" "$2" lease_field "$1" ipv4
  expect "conflict" false conflict "$1"
}
