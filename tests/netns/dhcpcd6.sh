#!/usr/bin/env bash
# dhcpcd where guests make their own IPv6 addresses, once with DHCPv6 for the rest and once with
# advertisements alone; and as a router that is delegated a prefix.
. "$(dirname "$0")/../../lab/lib.sh"

OWN_ADDRESSES='/^ranges = \["2001/d; /^ipv6 = /d; s/^mode = .*/mode ='
PREFIX='s|^mode = .*|&\ndelegate = { pool = "2001:db8:8000::/40", length = 56 }|
  s|^ipv6 = .*|&\nprefix = "2001:db8:8000:100::/56"|'

# run GUEST [LINE...]: dhcpcd for IPv6, with further lines of its file. From the MAC its own address
# can be told beforehand.
run() {
  on "$1" sh -c 'cat >/run/dhcpcd.conf' < <(
    printf '%s\n' "option domain_name_servers, domain_search" "option dhcp6_sntp_servers" \
      "option dhcp6_ntp_server" "slaac hwaddr" "${@:2}"
  )
  run_dhcpcd "$1" -6 -f /run/dhcpcd.conf
}
told() { on "$1" dhcpcd -6 -U eth0 | sed -n "s/^$2=//p" | tr -d "'"; }
asked() { metric leasehold_requests_total protocol=dhcpv6 "message=$1"; }

node_up
guest db-1
guest web-1
guest app-1
configure "$OWN_ADDRESSES \"stateless\"/"
leasehold_start

run app-1
expect "stateless: address" 2001:db8:20:0:5054:ff:fe12:3403/64 address6 app-1
expect "stateless: router" fe80::1 default6 app-1
expect "stateless: name servers" 2001:db8:20::53 dns app-1
expect "stateless: search list" "blue.example example" search app-1
expect "stateless: NTP servers" 2001:db8:20::123 told app-1 dhcp6_ntp_server_addr
expect "stateless: SNTP servers" 2001:db8:20::123 told app-1 dhcp6_sntp_servers
expect "stateless: it asked for no address" 0 asked solicit
stop_clients app-1
before=$(asked information-request)

configure "$OWN_ADDRESSES \"slaac\"/"
check "reload" lh reload
run web-1
expect "slaac: address" 2001:db8:20:0:5054:ff:fe12:3402/64 address6 web-1
expect "slaac: router" fe80::1 default6 web-1
expect "slaac: name servers" 2001:db8:20::53 dns web-1
expect "slaac: search list" "blue.example example" search web-1
expect "slaac: it did not ask DHCPv6" "0 $before" \
  eval 'echo "$(asked solicit) $(asked information-request)"'
stop_clients web-1

configure "$PREFIX"
check "reload" lh reload
on db-1 ip link add lan0 type veth peer name lan1
on db-1 ip link set lan1 up
on db-1 ip link set lan0 up
run db-1 "allowinterfaces eth0 lan0" "interface eth0" "ia_na 1" "ia_pd 2 lan0/5/64"
expect "delegation: address" 2001:db8:20::10/128 address6 db-1
behind() { on db-1 ip -6 -o addr show dev lan0 scope global | awk '{ print $4; exit }'; }
EXPECT_LIMIT=$LIMIT expect "delegation: the address behind it" 2001:db8:8000:105::1/64 behind
finish
