#!/usr/bin/env bash
# NetworkManager with addresses from DHCPv6.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
configure
leasehold_start

run_networkmanager db-1 '[ipv6]' method=auto
check "an address of DHCPv6" eval '[[ " $(address6 db-1) " == *" 2001:db8:20::10/128 "* ]]'
expect "IPv6 address, and none of its own making" 2001:db8:20::10/128 address6 db-1
expect "IPv6 router" fe80::1 default6 db-1
told() { on db-1 nmcli -g "$1" device show eth0 | sed 's/ | /\n/g; s/\\//g' | sort -u | paste -sd' '; }
expect "name server" 2001:db8:20::53 told IP6.DNS
expect "search list" "blue.example example" told IP6.SEARCHES
option() { told DHCP6.OPTION | grep -o "$1 = [^ ]*"; }
expect "NTP server" "dhcp6_ntp_servers = 2001:db8:20::123" option dhcp6_ntp_servers
within "valid lifetime" 7000 7200 "$(valid6 db-1)"
within "preferred lifetime" 3400 3600 "$(preferred6 db-1)"
finish
