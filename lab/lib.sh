# shellcheck shell=bash
# What a scenario is made of: a node with Open vSwitch, guests with real DHCP clients, leasehold,
# and what each guest saw. Source it first; it moves the script into a world of its own.
#
#   node_up [NAME]                 a node: its own ovsdb-server, ovs-vswitchd and bridge br-int
#   guest NAME                     a machine with nothing but eth0; plug NAME [KEY=VALUE...]: its port
#   leasehold_start                the program under test, with the files that `configure` wrote
#   run_CLIENT NAME                a real client in the guest, until it has its lease
#   expect TEXT WANTED COMMAND...  polls until COMMAND prints WANTED; one `ok` or `BAD` line
#   finish                         the summary; exit code 1 if anything was bad
#
# A guest and the node are namespaces of network, mounts and host name. Each sees its own /run and
# overlays of /etc and /var, so programs run with their ordinary paths and hooks.

set -uo pipefail

LAB_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$LAB_DIR")
export LEASEHOLD=${LEASEHOLD:-$ROOT/target/release/leasehold}
if [[ ! -x $LEASEHOLD ]]; then
  echo "lab: there is no $LEASEHOLD; \`make build\` makes it" >&2
  exit 69
fi
[[ -n ${LAB:-} ]] || exec "$LAB_DIR/world.sh" "$(readlink -f "$0")" "$@"

NODE=node                          # the node that is spoken of; `node_up NAME` makes another
BRIDGE=br-int
METRICS=127.0.0.1:9768
LIMIT=${LIMIT:-60}                 # seconds that anything may take; most take less than one

declare -A HOLDER=()               # host -> the process that holds its namespaces
declare -A PORT=() MAC=() VM=()    # guest -> its port's name, its MAC, its VM identity
declare -A CLIENTS=()              # guest -> the process ids of the clients that it runs
PASSED=0
FAILED=0
GUESTS=0

[[ -z ${LAB_TRACE:-} ]] || set -x
mkdir -p "$LAB/log"
trap 'end $?' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ------------------------------------------------------------------------------- what is said

ok() { PASSED=$((PASSED + 1)); printf 'ok    %s\n' "$*"; }
bad() { FAILED=$((FAILED + 1)); printf 'BAD   %s\n' "$*"; }
die() { printf 'FAIL  %s\n' "$*"; exit 1; }
note() { printf '      %s\n' "$*"; }

# check TEXT COMMAND...: ok if COMMAND succeeds within the limit.
check() {
  local text=$1
  shift
  if wait_for "$LIMIT" "$@"; then ok "$text"; else bad "$text"; fi
}

# expect TEXT WANTED COMMAND...: ok as soon as COMMAND prints WANTED.
expect() {
  local text=$1 wanted=$2 end=$((SECONDS + ${EXPECT_LIMIT:-15})) seen
  shift 2
  while seen=$("$@" 2>/dev/null) || true; [[ $seen != "$wanted" ]]; do
    if ((SECONDS >= end)); then
      bad "$text: wanted \"$wanted\", got \"$seen\""
      return 0
    fi
    sleep 0.05
  done
  ok "$text: ${wanted:-none}"
}

# within TEXT LOWEST HIGHEST NUMBER
within() {
  if [[ $4 =~ ^[0-9]+$ ]] && (($2 <= $4 && $4 <= $3)); then
    ok "$1: $4"
  else
    bad "$1: wanted $2 to $3, got \"$4\""
  fi
}

# wait_for SECONDS COMMAND...: polls until COMMAND succeeds.
wait_for() {
  local end=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || return 1
    sleep 0.03
  done
}

finish() {
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  ((FAILED == 0 && PASSED > 0))
  exit
}

# Shows the logs of a run that went wrong; the world itself goes away with its last process.
end() {
  local status=$1 log
  # Interrupted: nobody asks why.
  ((status == 0 || status == 130)) && return
  for log in "$LAB"/log/*; do
    [[ -s $log ]] && printf -- '--- %s\n' "${log##*/}" && tail -n 20 "$log"
  done
}

# ------------------------------------------------------------------------------- hosts

# host NAME: a machine of its own, with nothing in it.
host() {
  local name=$1 dir=$LAB/$1
  mkdir -p "$dir"/{etc,var}.{upper,work}
  unshare --net --mount --uts --propagation private bash -c '
    set -e
    name=$1 dir=$2
    hostname localhost            # as in a fresh image: a client may set it
    mount -t tmpfs -o mode=755 tmpfs /run
    for top in etc var; do
      mount -t overlay overlay -o \
        "lowerdir=/$top,upperdir=$dir/$top.upper,workdir=$dir/$top.work" "/$top"
    done
    # systemd-networkd takes a machine without udev for one that is ready if /sys is read-only.
    mount -t sysfs -o ro sysfs /sys
    rm -rf /etc/resolv.conf /etc/leasehold /var/lib/{dhcp,dhcpcd,dhcpv6,leasehold}/*
    : >/etc/resolv.conf
    rm -f /etc/machine-id
    printf %s "$name" | md5sum | cut -c1-32 >/etc/machine-id
    mkdir -p /run/lock /run/openvswitch /run/leasehold /var/lib/{dhcp,dhcpv6,leasehold}
    ip link set lo up
    touch "$dir/ready"
    exec sleep infinity' _ "$name" "$dir" >"$LAB/log/$name.host" 2>&1 </dev/null &
  HOLDER[$name]=$!
  wait_for "$LIMIT" test -e "$dir/ready" || die "host $name did not come up"
}

# on HOST COMMAND...: runs COMMAND there.
on() {
  local host=$1
  shift
  nsenter --target "${HOLDER[$host]}" --mount --uts --net -- "$@"
}

# spawn HOST LOG COMMAND...: starts COMMAND there; SPAWNED is its process id.
spawn() {
  local host=$1 log=$LAB/log/$2
  shift 2
  nsenter --target "${HOLDER[$host]}" --mount --uts --net -- "$@" >>"$log" 2>&1 </dev/null &
  SPAWNED=$!
  disown "$SPAWNED"
}

alive() { kill -0 "$1" 2>/dev/null; }
gone() { ! alive "$1"; }

# ------------------------------------------------------------------------------- the node

node_up() {
  [[ -z ${1:-} ]] || NODE=$1
  host "$NODE"
  # With the userspace datapath the node's own stack sees the guests' frames too: it must not
  # answer them.
  on "$NODE" sysctl -qw net.ipv6.conf.default.disable_ipv6=1 net.ipv4.conf.all.arp_ignore=1 \
    net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
  ovsdb_up
  spawn "$NODE" ovs-vswitchd ovs-vswitchd unix:/run/openvswitch/db.sock --pidfile -vconsole:warn
  vsctl --may-exist add-br "$BRIDGE" -- set Bridge "$BRIDGE" datapath_type=netdev \
    fail_mode=standalone || die "no bridge $BRIDGE"
  on "$NODE" ip link set "$BRIDGE" up
}

ovsdb_up() {
  on "$NODE" sh -c 'mkdir -p /etc/openvswitch; rm -f /etc/openvswitch/conf.db
    ovsdb-tool create /etc/openvswitch/conf.db /usr/share/openvswitch/vswitch.ovsschema' ||
    die "cannot create the Open vSwitch database"
  spawn "$NODE" ovsdb-server ovsdb-server /etc/openvswitch/conf.db \
    --remote=punix:/run/openvswitch/db.sock --pidfile -vconsole:warn
  wait_for "$LIMIT" on "$NODE" test -S /run/openvswitch/db.sock || die "ovsdb-server does not listen"
  on "$NODE" ovs-vsctl --no-wait init
}

vsctl() { on "$NODE" ovs-vsctl --timeout="$LIMIT" "$@"; }

# ------------------------------------------------------------------------------- guests and ports

# guest NAME [KEY=VALUE...]: a guest, plugged as `plug` says.
guest() {
  local name=$1
  shift
  host "$name"
  on "$name" sysctl -qw net.ipv6.conf.default.accept_ra=1
  GUESTS=$((GUESTS + 1))
  plug "$name" "port=vnet$((GUESTS - 1))" "mac=52:54:00:12:34:0$GUESTS" "vm=demo/$name" "$@"
}

# plug GUEST [KEY=VALUE...]: a veth pair from the guest's eth0 to a port of the bridge, with the
# external ids that libvirt or OpenStack write. Keys, each kept from the last time where left out:
#   port=NAME  mac=MAC  vm=ID  nic=ID  ids=libvirt|openstack|none  tag=VLAN
#   offload=on: the guest leaves its checksums unfinished, as virtio guests do
plug() {
  local guest=$1 pair ids=libvirt tag='' offload=off
  local nic=eth0 column=()
  shift
  for pair in "$@"; do
    case $pair in
      port=*) PORT[$guest]=${pair#*=} ;;
      mac=*) MAC[$guest]=${pair#*=} ;;
      vm=*) VM[$guest]=${pair#*=} ;;
      nic=*) nic=${pair#*=} ;;
      ids=*) ids=${pair#*=} ;;
      tag=*) tag=${pair#*=} ;;
      offload=*) offload=${pair#*=} ;;
      *) die "plug: $pair?" ;;
    esac
  done
  local port=${PORT[$guest]} mac=${MAC[$guest]}
  ip link add "$port" netns "${HOLDER[$NODE]}" type veth \
    peer name eth0 address "$mac" netns "${HOLDER[$guest]}" || die "no veth pair for $guest"
  # Open vSwitch's userspace datapath forwards unfinished checksums as they are.
  [[ $offload == on ]] || on "$guest" ethtool -K eth0 tx off >/dev/null
  on "$NODE" ip link set "$port" up
  column=("external_ids:attached-mac=\"$mac\"" "external_ids:iface-id=\"$nic\""
    external_ids:iface-status=active)
  case $ids in
    libvirt) column+=("external_ids:vm-id=\"${VM[$guest]}\"") ;;
    openstack) column+=("external_ids:vm-uuid=\"${VM[$guest]}\"") ;;
    none) column=(external_ids:note=none) ;;
  esac
  vsctl --may-exist add-port "$BRIDGE" "$port" ${tag:+"tag=$tag"} -- set Interface "$port" "${column[@]}" ||
    die "no port for $guest"
}

# unplug GUEST: the VM is switched off: its port and its interface go away.
unplug() {
  stop_clients "$1"
  vsctl del-port "$BRIDGE" "${PORT[$1]}"
  on "$NODE" ip link delete "${PORT[$1]}"
}

# ------------------------------------------------------------------------------- leasehold

# configure [SED-EXPRESSION]: writes lab/config to the node's /etc/leasehold, the network edited.
configure() {
  on "$NODE" mkdir -p /etc/leasehold/networks.d
  on "$NODE" cp "$LAB_DIR/config/leasehold.toml" /etc/leasehold/
  sed "${1:-}" "$LAB_DIR/config/networks.d/blue.toml" |
    on "$NODE" sh -c 'cat >/etc/leasehold/networks.d/blue.toml'
}

# configure_netdev: the same, with the ports named vm-* of a node without Open vSwitch.
configure_netdev() {
  configure 's/^bridge = .*/interface = "vm-*"/'
  on "$NODE" sed -i '/^\[\[source\]\]/,$d' /etc/leasehold/leasehold.toml
  on "$NODE" sh -c 'cat >>/etc/leasehold/leasehold.toml' <<'TOML'
[[source]]
kind = "netdev"
match = ["vm-*"]
vm = "lab/{interface}"
TOML
}

# leasehold_spawn: starts `leasehold run`; LEASEHOLD_PID is its process id.
leasehold_spawn() {
  spawn "$NODE" leasehold "$LEASEHOLD" run
  LEASEHOLD_PID=$SPAWNED
}

# leasehold_start: the same, until every port of a guest is served.
leasehold_start() {
  leasehold_spawn
  wait_for "$LIMIT" eval 'gone "$LEASEHOLD_PID" || lh ports'
  lh ports >/dev/null || die "leasehold does not answer: $(tail -n 3 "$LAB/log/leasehold")"
  local guest
  for guest in "${!PORT[@]}"; do wait_serving "$guest"; done
}

wait_serving() {
  wait_for "$LIMIT" in_state serving "${PORT[$1]}" ||
    die "port ${PORT[$1]} of $1 is not served: $(lh ports 2>&1)"
}

# leasehold_stop SIGNAL: ends it, and waits until no process of it is left.
leasehold_stop() {
  kill "-$1" "$LEASEHOLD_PID"
  wait_for "$LIMIT" leasehold_gone || die "leasehold is still there after SIG$1"
}

leasehold_pids() { pgrep -f "^$LEASEHOLD run"; }
leasehold_gone() { ! leasehold_pids; }

lh() { on "$NODE" "$LEASEHOLD" "$@"; }

# port_field PORT FIELD, lease_field GUEST FIELD: from the listings' JSON.
port_field() {
  lh ports --json | jq -rs --arg p "$1" --arg f "$2" \
    '[.. | objects | select(.interface? == $p)][0][$f] // ""'
}
lease_field() {
  lh leases list --json | jq -rs --arg v "${VM[$1]}" --arg f "$2" \
    '[.. | objects | select(.vm? == $v)][0][$f] // ""'
}
in_state() { [[ $(port_field "$2" state) == "$1" ]]; }

# metrics: the whole text. metric NAME [LABEL=VALUE...]: the sum of the series that carry these.
metrics() {
  on "$NODE" timeout 5 bash -c 'exec 3<>"/dev/tcp/${1/://}"
    printf "GET /metrics HTTP/1.0\r\nHost: %s\r\n\r\n" "$1" >&3; cat <&3' \
    _ "$METRICS" 2>/dev/null | tr -d '\r' | sed '1,/^$/d'
}
metric() {
  local name=$1 label
  shift
  local series=("$@")
  metrics | grep "^${name}[{ ]" | while read -r line; do
    for label in "${series[@]}"; do
      [[ $line == *"${label%%=*}=\"${label#*=}\""* ]] || continue 2
    done
    echo "${line##* }"
  done | awk '{ sum += $1 } END { print sum + 0 }'
}
# metric_at_least LEAST NAME [LABEL=VALUE...]
metric_at_least() { (($(metric "${@:2}") >= $1)); }

log_says() { grep -Eiq -- "$1" "$LAB/log/leasehold"; }

# ------------------------------------------------------------------------------- real clients

link_up() { on "$1" ip link set eth0 up; }

# Each run_CLIENT starts it and waits for its lease.

# client GUEST NAME COMMAND...
client() {
  spawn "$1" "$1.$2" "${@:3}"
  CLIENTS[$1]+=" $SPAWNED"
}

# renew GUEST: udhcpc asks for more time at once.
renew() { kill -USR1 "${CLIENTS[$1]##* }"; }

# stop_clients GUEST: ends them without a RELEASE, as a power cut does.
stop_clients() {
  local pid
  for pid in ${CLIENTS[$1]:-}; do
    kill -KILL "$pid" 2>/dev/null
    wait_for "$LIMIT" gone "$pid"
  done
  CLIENTS[$1]=
}

run_dhclient4() {
  client "$1" dhclient4 dhclient -4 -d -1 -v -pf /run/dhclient4.pid \
    -lf /var/lib/dhcp/dhclient4.leases eth0
  wait_for "$LIMIT" grep -q '^bound to' "$LAB/log/$1.dhclient4" || die "$1: dhclient -4: no lease"
}

run_dhclient6() {
  link_up "$1"
  wait_for "$LIMIT" has_link_local "$1" || die "$1: no link-local address"
  client "$1" dhclient6 dhclient -6 -d -1 -v -pf /run/dhclient6.pid \
    -lf /var/lib/dhcp/dhclient6.leases eth0
  wait_for "$LIMIT" has_address6 "$1" || die "$1: dhclient -6: no lease"
}

# run_dhcpcd GUEST [OPTION...]: both families unless an option says otherwise.
run_dhcpcd() {
  client "$1" dhcpcd dhcpcd -B -d -t "$LIMIT" "${@:2}" eth0
  [[ " $* " == *" -6 "* ]] || wait_for "$LIMIT" has_address4 "$1" || die "$1: dhcpcd: no IPv4 lease"
  [[ " $* " == *" -4 "* ]] || wait_for "$LIMIT" has_address6 "$1" || die "$1: dhcpcd: no IPv6 lease"
}

# run_udhcpc GUEST [OPTION...]: its hook leaves what it was told in /run/udhcpc.seen.
run_udhcpc() {
  start_udhcpc "$@"
  wait_for "$LIMIT" on "$1" test -s /run/udhcpc.seen || die "$1: udhcpc: no lease"
}
# start_udhcpc GUEST [OPTION...]: the same without the wait.
start_udhcpc() {
  link_up "$1"
  client "$1" udhcpc busybox udhcpc -f -v -t 20 -T 1 -i eth0 -s "$LAB_DIR/udhcpc.script" \
    -O mtu -O hostname -O search -O ntpsrv -O staticroutes "${@:2}"
}

run_networkd() {
  start_networkd "$1"
  wait_for "$LIMIT" has_address4 "$1" || die "$1: systemd-networkd: no IPv4 lease"
  wait_for "$LIMIT" has_address6 "$1" || die "$1: systemd-networkd: no IPv6 lease"
}
# start_networkd GUEST: the same without the wait.
start_networkd() {
  on "$1" sh -c 'mkdir -p /etc/systemd/network /run/systemd/netif/leases /run/systemd/netif/links
    chown -R systemd-network: /run/systemd/netif
    cat >/etc/systemd/network/10-eth0.network' <<'NETWORK'
[Match]
Name=eth0
[Network]
DHCP=yes
IPv6AcceptRA=yes
[DHCPv4]
UseMTU=yes
UseDomains=yes
[DHCPv6]
UseDomains=yes
NETWORK
  client "$1" networkd env SYSTEMD_LOG_LEVEL=debug SYSTEMD_LOG_TARGET=console \
    /lib/systemd/systemd-networkd
}

# run_networkmanager GUEST [LINE...]: its own DHCP client; lines of the profile's [ipv4]. It needs a
# message bus, and takes devices for ready without udev if /sys is read-only.
run_networkmanager() {
  on "$1" sh -c 'umask 077; mkdir -p /run/dbus /etc/NetworkManager/system-connections
    rm -f /run/dbus/* /etc/NetworkManager/system-connections/*
    cat >/etc/NetworkManager/system-connections/eth0.nmconnection' < <(cat <<'PROFILE'
[connection]
id=eth0
uuid=0b0b9f3a-6a0c-4a57-9d13-8c1d0c7c1f01
type=ethernet
interface-name=eth0
[ipv6]
method=ignore
[ipv4]
method=auto
PROFILE
    printf '%s\n' "${@:2}")
  on "$1" sh -c 'cat >/run/NetworkManager.conf' <<'CONF'
[main]
plugins=keyfile
dhcp=internal
CONF
  client "$1" dbus dbus-daemon --system --nofork --nopidfile
  wait_for "$LIMIT" on "$1" test -S /run/dbus/system_bus_socket || die "$1: no message bus"
  client "$1" networkmanager NetworkManager --debug --log-level=DEBUG \
    --config /run/NetworkManager.conf
  wait_for "$LIMIT" has_address4 "$1" || die "$1: NetworkManager: no IPv4 lease"
}

# run_dhcp6c GUEST: wide-dhcpv6; its script leaves what it was told in /run/dhcp6c.seen.
run_dhcp6c() {
  start_dhcp6c "$1" 'send ia-na 0;' 'id-assoc na 0 { };'
  wait_for "$LIMIT" has_address6 "$1" || die "$1: dhcp6c: no lease"
}
# start_dhcp6c GUEST STATEMENT [LINE...]: the same without the wait, with a statement about eth0 and
# further lines of its file.
start_dhcp6c() {
  link_up "$1"
  wait_for "$LIMIT" has_link_local "$1" || die "$1: no link-local address"
  on "$1" sh -c 'cat >/run/dhcp6c.conf; cp "$1" /run/dhcp6c.script; chmod +x /run/dhcp6c.script' \
    _ "$LAB_DIR/dhcp6c.script" < <(cat <<CONF
interface eth0 {
  $2
  request domain-name-servers, domain-name, ntp-servers;
  script "/run/dhcp6c.script";
};
CONF
    printf '%s\n' "${@:3}")
  client "$1" dhcp6c dhcp6c -f -D -p /run/dhcp6c.pid -c /run/dhcp6c.conf eth0
}

# forget GUEST: a fresh guest OS: no address, no lease file, nothing of a client's memory.
forget() {
  stop_clients "$1"
  on "$1" sh -c 'ip addr flush dev eth0 2>/dev/null; ip link set eth0 down 2>/dev/null
    rm -rf /var/lib/dhcp/* /var/lib/dhcpcd/* /var/lib/dhcpv6/* /run/*.seen /run/dhcpcd
    : >/etc/resolv.conf; hostname localhost'
  rm -f "$LAB/log/$1".*
}

# ------------------------------------------------------------------------------- what a guest saw

address4() { on "$1" ip -4 -o addr show dev eth0 scope global | awk '{ print $4; exit }'; }
# The addresses that are not made by the guest itself out of a prefix; duplicate detection is over.
address6() {
  on "$1" ip -6 -o addr show dev eth0 scope global -tentative | awk '!/temporary/ { print $4 }' |
    sort | paste -sd' '
}
has_address4() { [[ -n $(address4 "$1") ]]; }
has_address6() { [[ -n $(address6 "$1") ]]; }
has_link_local() { on "$1" ip -6 -o addr show dev eth0 scope link -tentative | grep -q fe80; }

default4() { on "$1" ip -4 route show default dev eth0 | awk '/via/ { print $3; exit }'; }
default6() { on "$1" ip -6 route show default dev eth0 | awk '/via/ { print $3; exit }'; }
# All other routes through a router, `TO via ROUTER`, one after another.
routes4() {
  on "$1" ip -4 route show dev eth0 | awk '$1 != "default" && $2 == "via" { print $1, $2, $3 }' |
    sort | paste -sd,
}
dns() { on "$1" awk '$1 == "nameserver" { print $2 }' /etc/resolv.conf | paste -sd' '; }
search() {
  on "$1" awk '$1 == "search" { $1 = ""; print }' /etc/resolv.conf | tr -s ' ' ' ' |
    sed 's/^ //; s/ $//; s/\. / /g; s/\.$//'
}
name_of() { on "$1" hostname; }
# dhcpcd sets it on its routes, the others on the interface.
mtu() {
  {
    on "$1" ip -4 route show default dev eth0
    on "$1" ip -o link show eth0
  } | sed -n 's/.* mtu \([0-9]*\) .*/\1/p' | head -n 1
}
# The MTU that the kernel took from a router advertisement.
mtu6() { on "$1" sysctl -n net.ipv6.conf.eth0.mtu; }
# Seconds that the address stays valid.
valid4() { on "$1" ip -4 addr show dev eth0 scope global | sed -n 's/.*valid_lft \([0-9]*\)sec.*/\1/p'; }
valid6() {
  on "$1" ip -6 addr show dev eth0 scope global | sed -n 's/.*valid_lft \([0-9]*\)sec.*/\1/p' | head -1
}
preferred6() {
  on "$1" ip -6 addr show dev eth0 scope global | sed -n 's/.*preferred_lft \([0-9]*\)sec.*/\1/p' |
    head -1
}

# lease4 GUEST OPTION: an option in dhclient's own record, without quotes.
lease4() {
  on "$1" awk -v option="$2" '$1 == "option" && $2 == option {
    $1 = $2 = ""; gsub(/[";]/, ""); sub(/^ */, ""); line = $0 } END { print line }' \
    /var/lib/dhcp/dhclient4.leases
}
# seen GUEST CLIENT KEY: what a hook script was told.
seen() { on "$1" sed -n "s/ *$//; s/^$3=//p" "/run/$2.seen"; }
