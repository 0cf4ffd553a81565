#!/usr/bin/env bash
# Router advertisements in the three modes, as rdisc6 reads them and as two kernels use them: one
# that makes addresses from its MAC, one that hides it (RFC 7217). Then what a change of the files
# does to guests that are running, and that a restart does nothing to them.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
guest web-1
on web-1 sh -c 'cd /proc/sys/net/ipv6/conf/eth0
  echo 2001:db8::5eed >stable_secret; echo 2 >addr_gen_mode'

# mode MODE [SED-EXPRESSION]: the network in this mode; what it does not allow is left out.
mode() {
  local fixed='/^ranges = \["2001/d; /^ipv6 = /d;'
  [[ $1 != stateful ]] || fixed=
  configure "$fixed s/^mode = .*/mode = \"$1\"/; ${2:-}"
}
# heard: asks once, and keeps what rdisc6 says.
heard() { on db-1 rdisc6 -1 -r 10 -w 2000 eth0 >"$LAB/log/rdisc6" 2>&1; }
# ra NAME: what rdisc6 printed behind a name, without remarks in parentheses.
ra() {
  heard
  sed -n "s/^ *$1 *: *//p" "$LAB/log/rdisc6" | sed 's/ *(.*//; s/ *$//' | tr -s ' ' | paste -sd' '
}
# flags: M, O, then A of each prefix.
flags() {
  heard
  awk -F: '/Stateful address conf|Stateful other conf|Autonomous address conf/ { print $2 }' \
    "$LAB/log/rdisc6" | tr -d ' ' | paste -sd' '
}

mode slaac
leasehold_start
link_up db-1
link_up web-1
expect "slaac: address from the MAC" 2001:db8:20:0:5054:ff:fe12:3401/64 address6 db-1
check "slaac: address that hides the MAC" has_address6 web-1
hides_mac() {
  local all
  all=$(on web-1 ip -6 -o addr show dev eth0)
  [[ $all == *fe80:* && $all == *2001:db8:20:* && $all != *ff:fe* ]]
}
check "slaac: neither its link-local address nor the other is made from the MAC" hides_mac
expect "slaac: router" fe80::1 default6 db-1
expect "slaac: router of the other" fe80::1 default6 web-1
expect "slaac: M, O, A" "No No Yes" flags

mode stateless
check "reload" lh reload
expect "stateless: M, O, A" "No Yes Yes" flags
mode stateful
check "reload" lh reload
# The prefix stays on the link; that guests make addresses from it is withdrawn.
expect "stateful: M, O, A, and the A that is withdrawn" "Yes Yes No Yes" flags
expect "stateful: its lifetimes" "7200 0" eval \
  "heard; awk '/Valid time/ { v = v \" \" \$4 } END { print substr(v, 2) }' '$LAB/log/rdisc6'"
deprecated() { on "$1" ip -6 -o addr show dev eth0 scope global deprecated | grep -q "$2"; }
check "stateful: the address that the guest made is deprecated" deprecated db-1 2001:db8:20:0:
mode slaac
check "reload" lh reload
not_deprecated() { ! deprecated "$@"; }
check "slaac again: it is preferred" not_deprecated db-1 2001:db8:20:0:

mode slaac 's/^subnet = "2001:db8:20::/subnet = "2001:db8:30::/'
check "reload" lh reload
has_address_in() { on "$1" ip -6 -o addr show dev eth0 scope global -deprecated | grep -q "$2"; }
check "another subnet: an address in it" has_address_in db-1 2001:db8:30:0:5054:ff:fe12:3401/64
check "another subnet: the old address is deprecated" deprecated db-1 2001:db8:20:0:
check "another subnet: the other guest's too" deprecated web-1 2001:db8:20:0:
# The kernel keeps it for two hours at most, however long it was valid (RFC 4862, section 5.5.3).
old_valid() {
  on db-1 ip -6 -o addr show dev eth0 scope global deprecated |
    sed -n 's/.*valid_lft \([0-9]*\)sec.*/\1/p'
}
within "another subnet: the old address stays valid for a while" 60 7200 "$(old_valid)"

mode slaac 's/^subnet = "2001:db8:20::/subnet = "2001:db8:30::/; s/fe80::1/fe80::2/'
check "reload" lh reload
expect "another gateway: router" fe80::2 default6 db-1
routers() { on "$1" ip -6 route show default | grep -o 'fe80::[0-9a-f]*' | sort -u | paste -sd' '; }
expect "another gateway: the old router is gone" fe80::2 routers db-1
expect "another gateway: for the other guest too" fe80::2 routers web-1

leasehold_stop TERM
expect "stopped: the router stays" fe80::2 routers db-1
leasehold_start
expect "started again: router" fe80::2 routers db-1
expect "started again: M, O, A" "No No Yes" flags

# Without [ipv6] nobody is left who could route.
configure '/^\[ipv6\]/,/^valid-lifetime/d; /^ipv6 = /d'
check "reload" lh reload
expect "no IPv6: no router" "" routers db-1
check "no IPv6: the address is deprecated" deprecated db-1 2001:db8:30:0:
finish
