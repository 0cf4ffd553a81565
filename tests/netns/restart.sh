#!/usr/bin/env bash
# leasehold is killed and started again, then loses its store: every VM keeps its addresses. (clauses D1, D2)
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest web-1
guest web-2
configure
leasehold_start

for vm in web-1 web-2; do run_udhcpc "$vm"; done
first4=$(address4 web-1) second4=$(address4 web-2)
[[ $first4 == 10.20.[1-9].*/16 && $second4 == 10.20.[1-9].*/16 && $first4 != "$second4" ]] &&
  ok "two addresses of the range: $first4, $second4" || bad "addresses: $first4, $second4"
first6=$(port_field vnet0 ipv6)
[[ $first6 == 2001:db8:20::1:* ]] && ok "an IPv6 address of the range: $first6" ||
  bad "IPv6 address: $first6"
created=$(lease_field web-1 created)

leasehold_stop KILL
ok "nothing of leasehold outlives SIGKILL"
# A renewal during the outage is not answered, and the guest keeps what it has.
renew web-1
expect "address while leasehold is down" "$first4" address4 web-1

leasehold_start
expect "listed IPv4 address after the restart" "${first4%/*}" port_field vnet0 ipv4
expect "listed IPv6 address after the restart" "$first6" port_field vnet0 ipv6
expect "the lease's age" "$created" lease_field web-1 created
forget web-1
run_udhcpc web-1
expect "address of a reinstalled guest" "$first4" address4 web-1

leasehold_stop KILL
on node sh -c 'rm -rf /var/lib/leasehold/*'
leasehold_start
forget web-2
run_udhcpc web-2
expect "address after the store was lost" "$second4" address4 web-2
expect "and the other VM's" "${first4%/*}" port_field vnet0 ipv4
expect "and its IPv6 address" "$first6" port_field vnet0 ipv6
finish
