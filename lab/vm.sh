# shellcheck shell=bash
# What it sets is used by lib.sh and by the scenarios.
# shellcheck disable=SC2034
# A real VM, two nodes that it moves between, and what lies outside. Source it after lib.sh.
#
#   fabric_up                      what joins the nodes: a bridge, etcd, and somebody far away
#   vm_node NAME [SED-EXPRESSION]  a node: switch, gateway, leasehold, and a port for the VM
#   vm_boot NODE                   the VM is switched on there; at NODE it is from now on
#   vm_migrate NODE                it moves there while it runs
#   vm COMMAND                     runs COMMAND in the VM, over its serial port
#   vm_renew TEXT                  its DHCPv4 client renews there, and is answered
#   vm_same TEXT                   it has of the network what it had when `vm_remember` looked
#
# The VM's gateway is on every node, under one MAC. Somebody far away pings the VM all the time; the
# VM's answers go through the gateway of the node that it is on.

GUEST=$ROOT/target/guest           # made by lab/guest.sh
CAPTURES=$ROOT/target/vm/$(basename "$0" .sh)
VM_ID=demo/web-1                   # without a reservation: its addresses are in etcd alone
VM_MAC=52:54:00:12:34:01
GATEWAY_MAC=0a:58:0a:14:00:01
FAR=198.51.100.1
ETCD=192.0.2.1:2379
CLIENT4=udhcpc                     # or dhclient
AT=                                # the node that the VM is on
REMEMBERED=
# An emulated VM on a busy machine takes its time.
LIMIT=240
EXPECT_LIMIT=240

declare -A QEMU=() DAEMON=()       # node -> process id
declare -A STREAM=()               # ping or tcp -> process id

# ------------------------------------------------------------------------------- the nodes

fabric_up() {
  rm -rf "$CAPTURES"
  mkdir -p "$CAPTURES"
  host fabric
  on fabric sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv4.conf.all.rp_filter=0 \
    net.ipv4.conf.default.rp_filter=0
  on fabric ip link add br0 type bridge mcast_snooping 0
  on fabric ip address add 10.20.0.254/16 dev br0
  on fabric ip link set br0 up
  on fabric ip link add mgmt type bridge mcast_snooping 0
  on fabric ip address add "${ETCD%:*}/24" dev mgmt
  on fabric ip link set mgmt up
  on fabric ip address add "$FAR/32" dev lo
  on fabric ethtool -K br0 tx off >/dev/null
  spawn fabric etcd etcd --data-dir /run/etcd --log-level error \
    --listen-client-urls "http://$ETCD" --advertise-client-urls "http://$ETCD"
  ETCD_PID=$SPAWNED
  wait_for "$LIMIT" ctl put /up 1 || die "etcd does not come up"
}
ctl() {
  on fabric env ETCDCTL_API=3 etcdctl --endpoints "http://$ETCD" --command-timeout=2s "$@"
}
# stored FIELD: of the VM's lease in etcd. known NODE FIELD: of the lease that leasehold has there.
stored() {
  ctl get "/leasehold/v1/leases/blue/${VM_ID/\//%2F}/eth0" --print-value-only | jq -r ".$1"
}
known() {
  NODE=$1 lh leases list --json |
    jq -rs --arg vm "$VM_ID" "[.. | objects | select(.vm? == \$vm)][0].$2"
}

# wire NODE NAME BRIDGE: a veth pair from the node's NAME to a port of the fabric's BRIDGE.
wire() {
  ip link add "$2" netns "${HOLDER[$1]}" type veth peer name "$2.$1" netns "${HOLDER[fabric]}"
  on "$1" ethtool -K "$2" tx off >/dev/null
  on "$1" ip link set "$2" up
  on fabric ip link set "$2.$1" master "$3" up
}

NODES=0
vm_node() {
  NODES=$((NODES + 1))
  node_up "$1"
  wire "$1" mgmt mgmt
  on "$1" ip address add "192.0.2.1$NODES/24" dev mgmt
  on "$1" ip route add "$FAR" via "${ETCD%:*}"
  wire "$1" uplink br0
  vsctl add-port "$BRIDGE" uplink
  # The gateway: each node keeps its own, and neither DHCP nor router discovery leaves the node.
  vsctl set Bridge "$BRIDGE" "other_config:hwaddr=\"${GATEWAY[$1]:-$GATEWAY_MAC}\""
  on "$1" ip address add 10.20.0.1/16 dev "$BRIDGE"
  on "$1" ethtool -K "$BRIDGE" tx off >/dev/null
  on "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0
  local flow gateway
  for gateway in "$GATEWAY_MAC" "${GATEWAY[@]}"; do
    on "$1" ovs-ofctl add-flow "$BRIDGE" "priority=90,in_port=uplink,dl_src=$gateway,actions=drop"
    on "$1" ovs-ofctl add-flow "$BRIDGE" "priority=90,in_port=uplink,dl_dst=$gateway,actions=drop"
  done
  for flow in udp,tp_src=68,tp_dst=67 udp6,tp_src=546,tp_dst=547 icmp6,icmp_type=133; do
    on "$1" ovs-ofctl add-flow "$BRIDGE" "priority=80,$flow,actions=drop"
  done
  configure "s/^mac = .*/mac = \"${GATEWAY[$1]:-$GATEWAY_MAC}\"/
    s|^mode = .*|&\ndelegate = { pool = \"2001:db8:8000::/40\", length = 56 }|;${2:-}"
  on "$1" sed -i "s/node-a/$1/" /etc/leasehold/leasehold.toml
  printf '[store]\nbackend = "etcd"\n[store.etcd]\nendpoints = ["http://%s"]\n' "$ETCD" |
    on "$1" sh -c 'cat >>/etc/leasehold/leasehold.toml'
  daemon_start "$1"
  vm_port "$1"
}
declare -A GATEWAY=()              # node -> its gateway's MAC, if it is not the one of all

# vm_port NODE: a port for the VM, with libvirt's external ids.
vm_port() {
  NODE=$1
  on "$1" ip tuntap add vnet0 mode tap
  on "$1" ip link set vnet0 address "fe:${VM_MAC#*:}" up
  vsctl add-port "$BRIDGE" vnet0 -- set Interface vnet0 "external_ids:attached-mac=\"$VM_MAC\"" \
    external_ids:iface-id=eth0 "external_ids:vm-id=\"$VM_ID\"" external_ids:iface-status=active
  spawn "$1" "tcpdump.$1" tcpdump -Z root -U --immediate-mode -n -i vnet0 \
    -w "$CAPTURES/$1.pcap"
  wait_for "$LIMIT" grep -q 'listening on' "$LAB/log/tcpdump.$1" || die "tcpdump does not listen"
  [[ -z ${DAEMON[$1]:-} ]] || wait_for "$LIMIT" in_state serving vnet0 ||
    die "vnet0 of $1 is not served: $(lh ports 2>&1)"
}

daemon_start() {
  spawn "$1" "leasehold.$1" "$LEASEHOLD" run
  DAEMON[$1]=$SPAWNED
  NODE=$1
  wait_for "$LIMIT" lh ports || die "leasehold of $1 does not answer"
}
daemon_stop() {
  kill -TERM "${DAEMON[$1]}"
  wait_for "$LIMIT" gone "${DAEMON[$1]}" || die "leasehold of $1 does not end"
  DAEMON[$1]=
}

# at NODE METRIC...: a metric of that node's daemon.
at() { NODE=$1 metric "${@:2}"; }
at_least() { (($(at "$2" "${@:3}") >= $1)); }

# ------------------------------------------------------------------------------- the VM

# qemu NODE [OPTION...]
qemu() {
  local serial=$LAB/serial.$1 hold
  if [[ ! -e $serial.in ]]; then
    mkfifo "$serial.in" "$serial.out"
    # Held open at both ends, whoever comes and goes.
    exec {hold}<>"$serial.in"
    exec {hold}<>"$serial.out"
    spawn "$1" "serial.$1" cat "$serial.out"
  fi
  rm -f "$LAB/qmp.$1"
  # Open vSwitch's userspace datapath forwards unfinished checksums as they are: no vnet_hdr.
  spawn "$1" "qemu.$1" qemu-system-x86_64 -accel "$(<"$GUEST/accel")" \
    -cpu "$([[ $(<"$GUEST/accel") == kvm ]] && echo host || echo max)" -m 192 -nodefaults \
    -no-user-config -display none -kernel "$GUEST/vmlinuz" -initrd "$GUEST/initrd" \
    -append "console=ttyS0 quiet reboot=t panic=-1 client=$CLIENT4" \
    -chardev "pipe,id=serial,path=$serial" -serial chardev:serial \
    -netdev tap,id=net0,ifname=vnet0,script=no,downscript=no,vnet_hdr=off \
    -device "virtio-net-pci,netdev=net0,mac=$VM_MAC,romfile=" \
    -qmp "unix:$LAB/qmp.$1,server=on,wait=off" "${@:2}"
  QEMU[$1]=$SPAWNED
  wait_for "$LIMIT" test -S "$LAB/qmp.$1" || die "QEMU of $1 does not start"
}
qmp() { /usr/bin/python3 "$LAB_DIR/qmp.py" "$LAB/qmp.$1" "${@:2}"; }

# vm_boot NODE: until it has all its addresses, and its gateway's MAC.
vm_boot() {
  qemu "$1"
  AT=$1
  vm_ready 1
}
# vm_ready TIMES: it came up as many times on the node that it is on.
vm_ready() {
  came_up() { (($(grep -c 'guest: up' "$LAB/log/serial.$AT") >= $1)); }
  wait_for "$LIMIT" came_up "$1" || die "the VM does not come up"
  wait_for "$LIMIT" vm_leased || die "the VM has not all of its leases: $(vm state)"
}
# Its kernel looks for the gateway when it first sends: it pings it.
vm_leased() {
  LEASED=$(vm 'ping -c 1 -W 2 10.20.0.1 >/dev/null; state')
  ! grep -Eq '(v4|v6|prefix|delegated|name|via4|via6|mac4|mac6)=( |$)' <<<"$LEASED" &&
    [[ $LEASED == *mac6=*:* ]]
}
LEASED=                            # what it had when it had all

# vm_migrate NODE: prints how it ended. Its port there exists. The QEMU that it left stays, and with
# it that port's link: only the lease says there that the VM left.
vm_arrive() {
  [[ -z ${QEMU[$1]:-} ]] || qemu_stop "$1"
  rm -f "$LAB/migrate"
  qemu "$1" -incoming "unix:$LAB/migrate"
  wait_for "$LIMIT" test -S "$LAB/migrate" || die "QEMU of $1 does not wait for the VM"
  ARRIVING=$1
}
vm_migrate() {
  local from=$AT how downtime
  [[ $ARRIVING == "$1" ]] || vm_arrive "$1"
  ARRIVING=
  read -r how downtime LEFT < <(qmp "$from" migrate "unix:$LAB/migrate")
  [[ $how == completed ]] || die "the migration to $1: $how"
  AT=$1
  ok "migrated from $from to $1; downtime $downtime ms"
  wait_for "$LIMIT" eval '[[ $(qmp "$AT" state) == running ]]' || die "the VM does not run on $1"
  if [[ -n $SHARED && -n ${DAEMON[$1]} ]]; then
    expect "where its lease says it is" "$1" stored node
    expect "the same, as $from knows" "$1" known "$from" node
  else
    qemu_stop "$from"
  fi
  KNOWN=$(date +%s.%6N)
}
ARRIVING=                          # the node whose QEMU waits for it
LEFT='' KNOWN=''                     # when it had left a node, and since when that must know
SHARED=yes                         # or empty: etcd is cut off
qemu_stop() {
  kill -KILL "${QEMU[$1]}" 2>/dev/null || true   # it may have ended with the migration
  wait_for "$LIMIT" gone "${QEMU[$1]}"
  QEMU[$1]=
}

# vm COMMAND: what it prints, on one line.
vm() {
  local number=$BASHPID$SRANDOM
  printf '%s %s\n' "$number" "$*" >"$LAB/serial.$AT.in"
  wait_for 60 grep -q "answer $number: .*;" "$LAB/log/serial.$AT" || return 1
  sed -n "s/.*answer $number: \(.*\);.*/\1/p" "$LAB/log/serial.$AT"
}
vm_remember() {
  REMEMBERED=$LEASED
  note "$REMEMBERED"
}
# vm_address4: without its length.
vm_address4() {
  local address=${REMEMBERED#*v4=}
  echo "${address%%/*}"
}
vm_same() { expect "$1" "$REMEMBERED" vm state; }
# vm_reaches ADDRESS: whether that answers the VM.
vm_reaches() { [[ $(vm "ping -c 1 -W 2 $1") == *" 1 packets received"* ]]; }

# vm_renew TEXT: udhcpc asks at once, by unicast, and is answered; the VM has what it had.
vm_renew() {
  local asked answered try
  for try in 1 2 3; do
    asked=$(on_wire "$AT" "$RENEW4")
    answered=$(on_wire "$AT" "$ANSWER4")
    vm 'kill -USR1 $(cat /run/client4.pid)' >/dev/null
    wait_for "$LIMIT" on_wire_at_least $((answered + 1)) "$AT" "$ANSWER4" || break
    on_wire_at_least $((asked + 1)) "$AT" "$RENEW4" && break
    # Now and then udhcpc cannot bind a socket for the unicast: it broadcasts, and is asked again.
    note "$1: the client broadcast (attempt $try)"
  done
  check "$1: asked by unicast" on_wire_at_least $((asked + 1)) "$AT" "$RENEW4"
  check "$1: answered" on_wire_at_least $((answered + 1)) "$AT" "$ANSWER4"
  vm_same "$1"
}

# ------------------------------------------------------------------------------- traffic

# stream_start ping|tcp: until its first answer. stream_end: prints how it went.
stream_start() {
  local address
  address=$(vm_address4)
  : >"$LAB/log/stream.$1"
  spawn fabric "stream.$1" /usr/bin/python3 "$LAB_DIR/stream.py" "$1" "$FAR" "$address"
  STREAM[$1]=$SPAWNED
  wait_for "$LIMIT" grep -q answered "$LAB/log/stream.$1" || die "the VM does not answer: $1"
}
stream_end() {
  kill -TERM "${STREAM[$1]}"
  wait_for "$LIMIT" gone "${STREAM[$1]}"
  tail -n 1 "$LAB/log/stream.$1"
}
traffic() {
  stream_start ping
  stream_start tcp
}
traffic_survived() {
  expect "the TCP stream" whole stream_end tcp
  note "ping: $(stream_end ping)"
}

# ------------------------------------------------------------------------------- the wire

# What a DHCP server or a router says; DHCPv4's renewals; DHCPv6's by their message type.
ANSWER4='udp src port 67' ANSWER6='udp src port 547' RA='icmp6 and ip6[40] = 134'
SERVER="($ANSWER4) or ($ANSWER6) or ($RA)"
RENEW4='udp dst port 67 and not ether broadcast'
REBIND4='udp dst port 67 and ether broadcast and udp[20:4] != 0'
RENEW6='udp dst port 547 and ip6[48] = 5'
REBIND6='udp dst port 547 and ip6[48] = 6'
# decoded NODE [FILTER]: what is in the capture of the VM's port there, frame by frame.
decoded() { tcpdump -r "$CAPTURES/$1.pcap" -n -e -tttt -vv "${2:-}" 2>/dev/null; }
# on_wire NODE FILTER: how many such frames were on the VM's port there.
on_wire() { tcpdump -r "$CAPTURES/$1.pcap" -n "$2" 2>/dev/null | wc -l; }
# on_wire_at_least LEAST NODE FILTER
on_wire_at_least() { (($(on_wire "$2" "$3") >= $1)); }
# served_by NODE: how many frames of a DHCP server or a router were on the VM's port there.
served_by() { on_wire "$1" "$SERVER"; }
naks() {
  local node
  for node in "${!QEMU[@]}"; do decoded "$node" 'udp src port 67'; done | grep -c NACK
}

# since TIME NODE FILTER: how many such frames were on the VM's port there after that.
since() {
  tcpdump -r "$CAPTURES/$2.pcap" -n -tt "$3" 2>/dev/null |
    awk -v time="$1" '$1 > time' | wc -l
}
# silent_since_it_left NODE: no DHCP since the VM was gone, no RA since the node can know of it.
silent_since_it_left() {
  expect "DHCP on $1 since the VM left it" 0 since "$LEFT" "$1" "($ANSWER4) or ($ANSWER6)"
  expect "RA on $1 since it knows that" 0 since "$KNOWN" "$1" "$RA"
}

# vm_finish: what holds of every run, and its captures.
vm_finish() {
  local node
  expect "NAKs on the wire" 0 naks
  for node in "${!QEMU[@]}"; do decoded "$node" >"$CAPTURES/$node.txt"; done
  echo "captures: $CAPTURES"
  finish
}
