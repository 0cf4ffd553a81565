#!/usr/bin/env bash
# Router advertisements as radvd's decoder reads them, against the template that they are made from.
. "$(dirname "$0")/../../lab/lib.sh"

NETWORK='s|^gateway = "fe80::1"|&\
routes = [\
  { to = "2001:db8:ff::/48", preference = "high", lifetime = "20m" },\
  { to = "2001:db8:fe::/48", preference = "low", lifetime = "0s" },\
]|
/^\[\[vm\]\]/i [[ipv6.prefix]]\
prefix = "2001:db8:21::/64"\
autonomous = true\
preferred-lifetime = "10m"\
valid-lifetime = "infinite"\
[[ipv6.prefix]]\
prefix = "2001:db8:22::/64"\
on-link = false\
[ipv6.ra]\
router-lifetime = "25m"\
hop-limit = 63\
preference = "high"\
dns-lifetime = "35m"
'

# said CLAUSE: asks once, and prints what the last advertisement says in a clause of radvd's, without
# what is radvd's alone; `interface eth0` for what stands in none.
said() {
  on db-1 rdisc6 -1 -r 10 -w 2000 eth0 >/dev/null 2>&1
  awk -v wanted="$1" '
    { sub(/ *#.*/, ""); gsub(/;/, ""); sub(/^[ \t]*(Adv)?/, "") }
    /^interface/ { clause = $0; split("", text); next }
    /^}/ { if (clause ~ /^interface/) last = text[wanted]; clause = "interface eth0"; next }
    /^{|^$|^SendAdvert|^Home|^RouterAddr/ { next }
    / .*[:.]/ { clause = $0; next }
    { text[clause] = text[clause] " " $0 }
    END { print substr(last, 2) }' "$LAB/log/radvdump"
}

node_up
guest db-1
configure "$NETWORK"
leasehold_start
link_up db-1
spawn db-1 radvdump stdbuf -oL radvdump

LINK="ReachableTime 0 RetransTimer 0 CurHopLimit 63 DefaultLifetime 1500 DefaultPreference high"
LINK+=" SourceLLAddress on LinkMTU 1450"
expect "router" "ManagedFlag on OtherConfigFlag on $LINK" said "interface eth0"
expect "subnet" "ValidLifetime 7200 PreferredLifetime 3600 OnLink on Autonomous off" \
  said "prefix 2001:db8:20::/64"
expect "a prefix for addresses of the guest's own" \
  "ValidLifetime infinity PreferredLifetime 600 OnLink on Autonomous on" \
  said "prefix 2001:db8:21::/64"
expect "a prefix that is not on the link" \
  "ValidLifetime 7200 PreferredLifetime 3600 OnLink off Autonomous off" \
  said "prefix 2001:db8:22::/64"
expect "a route" "RoutePreference high RouteLifetime 1200" said "route 2001:db8:ff::/48"
expect "a route that has ended" "RoutePreference low RouteLifetime 0" said "route 2001:db8:fe::/48"
expect "name servers" "RDNSSLifetime 2100" said "RDNSS 2001:db8:20::53"
expect "search list" "DNSSLLifetime 2100" said "DNSSL blue.example example"

configure "/^ranges = \\[\"2001/d; /^ipv6 = /d; s/^mode = .*/mode = \"stateless\"/; $NETWORK"
check "reload" lh reload
expect "stateless: router" "ManagedFlag off OtherConfigFlag on $LINK" said "interface eth0"
expect "stateless: subnet" "ValidLifetime 7200 PreferredLifetime 3600 OnLink on Autonomous on" \
  said "prefix 2001:db8:20::/64"
finish
