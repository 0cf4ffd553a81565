#!/usr/bin/env bash
# Prefix delegation: ISC dhclient and wide-dhcpv6 as routers, a prefix that changes while it is in
# use, and Rebind after the link was away.
. "$(dirname "$0")/../../lab/lib.sh"

PREFIX=2001:db8:8000:100::/56
OTHER=2001:db8:8000:200::/56
# Renewed all the time; long enough valid for a slow machine.
TIMES='s/^preferred-lifetime = .*/&\nrenew-time = "2s"\nrebind-time = "50m"/'
POOL='s|^mode = .*|&\ndelegate = { pool = "2001:db8:8000::/40", length = 56 }|'
reserved() { printf '%s' "$TIMES; $POOL; s|^ipv6 = .*|&\nprefix = \"$1\"|"; }

node_up
guest db-1
guest web-1
configure "$(reserved "$PREFIX")"
leasehold_start

# dhclient keeps every state of its lease; the last one counts.
prefixes() {
  on db-1 awk '/^lease6/ { line = "" } $1 ~ /^ia/ { name = $1 == "iaprefix" ? $2 : "" }
    $1 == "max-life" && name { line = line name " " $2 " " } END { print line }' \
    /var/lib/dhcp/dhclient6.leases | tr -d ';' | sed 's/ $//'
}
run_router() {
  link_up db-1
  wait_for "$LIMIT" has_link_local db-1 || die "db-1: no link-local address"
  client db-1 dhclient6 dhclient -6 -d -v -N -P -pf /run/dhclient6.pid \
    -lf /var/lib/dhcp/dhclient6.leases eth0
  wait_for "$LIMIT" has_address6 db-1 || die "db-1: dhclient -6 -N -P: no lease"
}

run_router
expect "dhclient: address" 2001:db8:20::10/128 address6 db-1
expect "dhclient: prefix" "$PREFIX 7200" prefixes
expect "prefix in the listing" "$PREFIX" lease_field db-1 prefix
check "it is renewed" eval '(($(metric leasehold_requests_total message=renew) > 0))'

# Another prefix, while the guest uses the old one: a Renew brings both.
configure "$(reserved "$OTHER")"
lh reload >/dev/null || die "the new files are refused"
changed() { [[ " $(prefixes) " == *" $OTHER 7200 "* ]]; }
check "a Renew brings the new prefix" changed
# Once it is over dhclient may forget it; the file keeps every state.
ended() {
  on db-1 awk -v old="$PREFIX" '$1 ~ /^ia/ { is_old = $2 == old }
    is_old && $1 == "max-life" && $2 == "0;" { ended = 1 } END { exit !ended }' \
    /var/lib/dhcp/dhclient6.leases
}
check "and ends the old one" ended
expect "the listing has the new one" "$OTHER" lease_field db-1 prefix

# The link goes and comes: a client that holds a prefix asks by Rebind (RFC 9915, section 18.2.12).
stop_clients db-1
on db-1 ip addr flush dev eth0 scope global
on db-1 ip link set eth0 down
run_router
check "Rebind after the link was away" \
  eval '(($(metric leasehold_requests_total message=rebind) > 0))'
expect "the address is still right" 2001:db8:20::10/128 address6 db-1

# wide-dhcpv6 gives the prefix on: an address of it for the interface behind the router.
forget db-1
on db-1 ip link add lan0 type veth peer name lan1
on db-1 ip link set lan1 up
on db-1 ip link set lan0 up
link_up db-1
wait_for "$LIMIT" has_link_local db-1 || die "db-1: no link-local address"
on db-1 sh -c 'cat >/run/dhcp6c.conf' <<'CONF'
interface eth0 {
  send ia-pd 7;
};
id-assoc pd 7 {
  prefix-interface lan0 {
    sla-id 5;
    sla-len 8;
  };
};
CONF
client db-1 dhcp6c dhcp6c -f -D -p /run/dhcp6c.pid -c /run/dhcp6c.conf eth0
behind() { on db-1 ip -6 -o addr show dev lan0 scope global | awk '{ print $4; exit }'; }
inside() { [[ $(behind) == 2001:db8:8000:205:* ]]; }
check "wide-dhcpv6: the interface behind it has an address of the prefix" inside

# A VM without a reservation gets a prefix of the pool, and nobody else's.
free() { lease_field web-1 prefix; }
in_pool() { [[ $(free) == 2001:db8:80* && $(free) == */56 && $(free) != "$OTHER" ]]; }
check "a VM without a reservation has its own prefix" in_pool

# By hand, while guests hold prefixes.
HELD=2001:db8:8000:300::/56
refused() { ! lh "$@" >"$LAB/log/refused" 2>&1; }
check "a prefix for a VM that does not exist yet" lh leases reserve demo/later "$HELD" --nic eth0
guest later
wait_serving later
expect "what it is given" "$HELD" lease_field later prefix
check "a prefix that is held is not given away" \
  refused leases reserve demo/other 2001:db8:8000:300::/56 --nic eth0
expect "the holder is named" 1 grep -c 'held by demo/later eth0' "$LAB/log/refused"
check "a prefix moves from one VM to another" \
  lh leases move "$HELD" demo/web-1 --nic eth0 --force
expect "its new holder" "$HELD" lease_field web-1 prefix
expect "prefix in the listing of ports" "$HELD" port_field "${PORT[web-1]}" prefix
another() { local now; now=$(lease_field later prefix); [[ -n $now && $now != "$HELD" ]]; }
check "the other one has another prefix" another
EXPECT_LIMIT=$LIMIT expect "prefixes in the metrics" 3 metric leasehold_prefixes_delegated network=blue
finish
