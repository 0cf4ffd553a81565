#!/usr/bin/env bash
# A guest behind a macvtap in bridge mode: what it sends leaves for the wire, and it is answered all
# the same, with nothing of that on the wire. In another mode it cannot be.
. "$(dirname "$0")/../../lab/lib.sh"

host node
host outside
on node sysctl -qw net.ipv6.conf.default.disable_ipv6=1
on outside sysctl -qw net.ipv6.conf.default.disable_ipv6=1
ip link add uplink netns "${HOLDER[node]}" type veth peer name wire netns "${HOLDER[outside]}"
on node ip link set uplink up
on outside ip link set wire up

# macvtap MODE: the node's vm-web-1, and behind it the guest web-1.
macvtap() {
  on node ip link add link uplink name vm-web-1 address "${MAC[web-1]}" type macvtap mode "$1" ||
    die "no macvtap"
  on node ip link set vm-web-1 up
}
PORT[web-1]=vm-web-1 VM[web-1]=lab/vm-web-1 MAC[web-1]=52:54:00:12:34:01
macvtap bridge
host web-1
on web-1 sysctl -qw net.ipv6.conf.default.accept_ra=1
spawn node tap /usr/bin/python3 "$LAB_DIR/macvtap_guest.py" vm-web-1 "${HOLDER[web-1]}"
wait_for "$LIMIT" grep -q ready "$LAB/log/tap" || die "no tap: $(cat "$LAB/log/tap")"

configure_netdev
leasehold_start
spawn outside heard tcpdump -Z root -U -l -n -e -i wire
wait_for "$LIMIT" grep -q 'listening on' "$LAB/log/heard" || die "tcpdump does not listen"

run_udhcpc web-1
address=$(address4 web-1)
[[ $address == 10.20.*/16 ]] && ok "its address: $address" || bad "address: $address"
stop_clients web-1
run_udhcpc web-1 -B
expect "the same, by broadcasts" "$address" address4 web-1
expect "its router" fe80::1 default6 web-1
expect "its request is on the wire" "${MAC[web-1]}" eval \
  'grep -o -m1 "^[0-9:.]* ${MAC[web-1]} > ff:ff:ff:ff:ff:ff" "$LAB/log/heard" | cut -d" " -f2'
expect "frames from the gateway's MAC on the wire" 0 grep -c " 0a:58:0a:14:00:01 > " "$LAB/log/heard"

# What others send on the wire reaches the macvtap too, and is not the guest's.
counted() { metrics | grep -E '^leasehold_(requests|drops)_total.*dhcpv4' | sort; }
before=$(counted)
uncounted() { [[ $(counted) == "$before" ]]; }
on outside timeout 10 busybox udhcpc -i wire -n -q -t 2 -T 1 -s /bin/true >/dev/null 2>&1
check "a client on the wire has asked" grep -q "Request from $(on outside cat /sys/class/net/wire/address)" \
  "$LAB/log/heard"
check "it is neither answered nor counted" uncounted

stop_clients web-1
on node ip link delete vm-web-1
macvtap vepa
wait_for "$LIMIT" in_state no-device vm-web-1 || bad "state: $(port_field vm-web-1 state)"
check "in mode vepa it says why not" eval \
  '[[ $(port_field vm-web-1 reason) == "a macvtap hands its guest what comes in from the wire alone"* ]]'
finish
