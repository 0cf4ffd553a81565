#!/usr/bin/env bash
# Requests taken away from the switch: no other port hears them, nor a guest that plays server, on
# a Linux bridge (nft) and on Open vSwitch (openflow); and nothing is left behind.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
for vm in web evil db; do guest "$vm"; done

# wire GUEST: a guest on a Linux bridge.
on node ip link add name br0 type bridge forward_delay 0 mcast_snooping 0
on node ip link set br0 up
wire() {
  [[ -n ${HOLDER[$1]:-} ]] || host "$1"
  PORT[$1]=vm-$1 MAC[$1]=$2 VM[$1]=lab/vm-$1
  ip link add "vm-$1" netns "${HOLDER[node]}" type veth \
    peer name eth0 address "$2" netns "${HOLDER[$1]}" || die "no veth pair for $1"
  on node ip link set "vm-$1" master br0 up
}
wire web-l 52:54:00:12:35:01
wire evil-l 52:54:00:12:35:02
wire db-l 52:54:00:12:35:03

# consume OPEN-VSWITCH LINUX-BRIDGE: what the files say for each.
consume() {
  local green='s/^bridge = .*/interface = "vm-*"/; s/^name = .*/name = "green"/; /^\[\[vm/,$d
    s/10\.20\.1\.0-10\.20\.9/10.20.11.0-10.20.19/; s/::1:0-\(.*\)::1:ffff/::2:0-\1::2:ffff/'
  configure "s/^domain = .*/&\nconsume = \"$1\"/"
  sed "s/^domain = .*/&\nconsume = \"$2\"/; $green" "$LAB_DIR/config/networks.d/blue.toml" |
    on node sh -c 'cat >/etc/leasehold/networks.d/green.toml
      cat >>/etc/leasehold/leasehold.toml <<TOML
[[source]]
kind = "netdev"
match = ["vm-*"]
vm = "lab/{interface}"
TOML'
}
reload() { consume "$@"; lh reload >/dev/null || die "the files are refused"; }

# listen GUEST: writes down what servers, clients and routers send, but not what leasehold does.
listen() {
  link_up "$1"
  spawn "$1" "$1.tcpdump" tcpdump -Z root -U -l -n -e -i eth0 -Q in \
    'not ether src 0a:58:0a:14:00:01 and (udp or (icmp6 and (ip6[40] = 133 or ip6[40] = 134
    or ip6[40] = 137)) or (ip6 and (ip6[6] = 0 or ip6[6] = 44 or ip6[6] = 60) and ip6[40] != 58)
    or ether[14:2] = 0xaaaa or vlan)'
  wait_for "$LIMIT" grep -q 'listening on' "$LAB/log/$1.tcpdump" || die "tcpdump does not listen"
}
# rogue GUEST WHAT: SENT is the number of frames.
rogue() { SENT=$(on "$1" /usr/bin/python3 "$ROOT/tests/netns/rogue.py" "${@:2}"); }

# heard SENDER LISTENER: how many of the sender's frames arrived since it was asked last; a mark
# that is sent behind them shows that all have come.
MARK=20000
declare -A READ=()
mark() { on "$1" /usr/bin/python3 "$ROOT/tests/netns/mark.py" "$MARK"; }
marked() { mark "$1" && grep -q "\.$MARK > 255\.255\.255\.255\.9:" "$2"; }
heard() {
  local log=$LAB/log/$2.tcpdump
  MARK=$((MARK + 1))
  wait_for "$LIMIT" marked "$1" "$log" || die "$2 does not hear $1 at all"
  HEARD=$(tail -n "+$((${READ[$2]:-0} + 1))" "$log" | grep " ${MAC[$1]} > " | grep -vc '\.9: UDP')
  READ[$2]=$(wc -l <"$log")
}
# take_leases GUEST: a fresh guest asks for everything that there is.
take_leases() {
  forget "$1"
  run_udhcpc "$1"
  run_dhclient6 "$1"
  on "$1" rdisc6 -1 -w 1000 -r 20 eth0 >/dev/null || bad "$1 found no router"
}

consume off off
leasehold_start
listen db
listen db-l
for way in '' -l; do
  take_leases "web$way"
  heard "web$way" "db$way"
  ((HEARD >= 5)) && ok "db$way hears the requests of web$way: $HEARD" ||
    bad "db$way hears $HEARD of the requests of web$way"
  # It has no address of its own, and says nothing but what it is told to say.
  on "evil$way" sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1
  link_up "evil$way"
  heard "evil$way" "db$way"
  rogue "evil$way" server || die "the rogue server does not run"
  heard "evil$way" "db$way"
  within "db$way hears the server on evil$way" 4 4 "$HEARD"
  rogue "evil$way" disguise || die "the disguised server does not run"
  sent=$SENT
  heard "evil$way" "db$way"
  within "db$way hears the disguised server on evil$way" "$sent" "$sent" "$HEARD"
done

# what is there, and what should be
chains() {
  on node nft -j list chains netdev | jq -r '.nftables[].chain? // empty | "\(.table)/\(.name)"' |
    sed 's/port-[0-9]*-//' | sort | paste -sd' '
}
flows() {
  on node ovs-ofctl --no-names dump-flows "$BRIDGE" 'cookie=0x1ea5e40100000000/0xffffffff00000000' |
    sed -n 's/.*in_port=\([0-9]*\).*/\1/p' | sort | uniq -c | awk '{ print $2 "x" $1 }' | paste -sd' '
}
ofports() {
  local guest
  for guest in "$@"; do vsctl get Interface "${PORT[$guest]}" ofport; done | sort |
    sed 's/$/x12/' | paste -sd' '
}
in_force() { metric leasehold_consume_ports "network=$1" state=installed; }
reason() { port_field "$1" reason; }
says() { [[ $("${@:2}") == *"$1"* ]]; }
EXPECT_LIMIT=$LIMIT

reload openflow nft
expect "ports of Open vSwitch" 3 in_force blue
expect "ports of the Linux bridge" 3 in_force green
expect "flows" "$(ofports web evil db)" flows
expect "chains" "leasehold/vm-db-l leasehold/vm-evil-l leasehold/vm-web-l" chains
check "explain says so" says "by nft, in force" lh explain vm-web-l
for way in '' -l; do
  heard "web$way" "db$way"
  take_leases "web$way"
  heard "web$way" "db$way"
  within "requests of web$way that db$way hears" 0 0 "$HEARD"
  heard "evil$way" "db$way"
  rogue "evil$way" server
  heard "evil$way" "db$way"
  within "frames of the server on evil$way that db$way hears" 0 0 "$HEARD"
  rogue "evil$way" disguise
  heard "evil$way" "db$way"
  within "frames of the disguised server on evil$way that db$way hears" 0 0 "$HEARD"
done

# A firewall is loaded anew, the switch restarts.
on node nft flush ruleset
expect "chains after a flush" "leasehold/vm-db-l leasehold/vm-evil-l leasehold/vm-web-l" chains
pid=$(on node cat /run/openvswitch/ovs-vswitchd.pid)
kill -KILL "$pid"
wait_for "$LIMIT" gone "$pid" || die "ovs-vswitchd is still there"
check "without the switch it is said" says "is ovs-vswitchd running" reason vnet0
expect "and the port is served" serving port_field vnet0 state
expect "the metric" 3 metric leasehold_consume_ports network=blue state=failed
spawn node ovs-vswitchd ovs-vswitchd unix:/run/openvswitch/db.sock --pidfile -vconsole:warn
expect "ports after the switch's restart" 3 in_force blue
expect "flows after it" "$(ofports web evil db)" flows

# A port goes; then one goes while nobody looks.
unplug evil
on node ip link delete vm-evil-l
expect "flows without a port that went" "$(ofports web db)" flows
expect "chains without it" "leasehold/vm-db-l leasehold/vm-web-l" chains
leasehold_stop KILL
expect "flows after SIGKILL" "$(ofports web db)" flows
expect "chains after SIGKILL" "leasehold/vm-db-l leasehold/vm-web-l" chains
left=$(ofports web)
vsctl del-port "$BRIDGE" vnet2
on node ip link delete vm-db-l
leasehold_spawn
wait_serving web
wait_serving web-l
expect "flows after the restart" "$left" flows
expect "chains after the restart" "leasehold/vm-web-l" chains

# Where it cannot be, it is said why, and the port is served.
reload nft openflow
check "nft on the userspace datapath" says "datapath_type is netdev" reason vnet0
check "openflow on a Linux bridge" says 'only ports of a source with kind "ovsdb"' reason vm-web-l
expect "flows" "" flows
expect "chains" "" chains
expect "the port" serving port_field vnet0 state
check "the log says so" log_says 'not taken away by nft.*vnet0|vnet0.*not taken away by nft'
check "and the status" says "not by nft" lh status
reload openflow nft
expect "flows again" "$left" flows
vsctl set-controller "$BRIDGE" tcp:127.0.0.1:6653
check "a bridge with a controller" says "the bridge has a controller" reason vnet0
expect "its flows are left alone" "" flows
vsctl del-controller "$BRIDGE" -- set Bridge "$BRIDGE" external_ids:ct-zone-vnet0=1
check "a bridge of OVN" says "the bridge is OVN's" reason vnet0
vsctl remove Bridge "$BRIDGE" external_ids ct-zone-vnet0
expect "a bridge of its own" "$left" flows

# Without the capability it is said, and guests are served.
as_user() {
  local capabilities=$1
  leasehold_stop TERM
  on node chown -R 65534:65534 /var/lib/leasehold /run/leasehold
  spawn node leasehold setpriv --reuid 65534 --regid 65534 --clear-groups \
    --inh-caps "-all,$capabilities" --ambient-caps "-all,$capabilities" \
    --bounding-set "-all,$capabilities" "$LEASEHOLD" run
  LEASEHOLD_PID=$SPAWNED
  wait_serving web-l
}
as_user +net_raw,+dac_override
check "without CAP_NET_ADMIN" says "needs CAP_NET_ADMIN" reason vm-web-l
expect "the port" serving port_field vm-web-l state
expect "flows without it" "$left" flows
as_user +net_raw,+dac_override,+net_admin
expect "chains of a user with CAP_NET_ADMIN" "leasehold/vm-web-l" chains
expect "its flows" "$left" flows

# In order it takes everything along.
leasehold_stop TERM
expect "flows after the end" "" flows
expect "chains after the end" "" chains
finish
