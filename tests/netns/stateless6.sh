#!/usr/bin/env bash
# A network without DHCPv6 addresses: the kernel makes its own, DHCPv6 gives the rest, and what the
# guest made is registered (RFC 9686).
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
configure '/^\[ipv6\]/,/^\[\[vm/ { /^ranges/d; s/^mode = .*/mode = "stateless"/ }; /^ipv6 = /d'
leasehold_start

link_up db-1
check "the kernel makes an address of the prefix" has_address6 db-1
client db-1 dhclient6 dhclient -6 -d -v -S -pf /run/dhclient6.pid \
  -lf /var/lib/dhcp/dhclient6.leases eth0
expect "name servers" 2001:db8:20::53 dns db-1
expect "search list" "blue.example example" search db-1
check "an Information-request was answered" \
  eval '(($(metric leasehold_requests_total message=information-request) > 0))'

# No client of this distribution registers; the guest's own stack sends the message.
own() { address6 db-1 | cut -d/ -f1; }
OWN=$(own)
register() {
  on db-1 /usr/bin/python3 - "$OWN" "$1" <<'PYTHON'
import socket, struct, sys

own, valid = sys.argv[1], int(sys.argv[2])
duid = bytes.fromhex("000300015254000000aa")
body = socket.inet_pton(socket.AF_INET6, own) + struct.pack("!II", valid // 2, valid)
option = struct.pack("!HH", 5, len(body)) + body
message = b"\x24\x01\x02\x03" + struct.pack("!HH", 1, len(duid)) + duid + option
guest = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
guest.bind((own, 546))
guest.settimeout(1)
for attempt in range(10):
    guest.sendto(message, ("ff02::1:2", 547, 0, socket.if_nametoindex("eth0")))
    try:
        answer = guest.recv(1500)
    except TimeoutError:
        continue
    sys.exit(0 if answer[:4] == b"\x25\x01\x02\x03" and option in answer else 1)
sys.exit(1)
PYTHON
}
check "a registration is answered" register 3600
registered() {
  lh leases show demo/db-1 --json | jq -r '.[0].registered[0] | "\(.address) \(.valid > 3500)"'
}
expect "leases show lists it" "$OWN true" registered
listed() { lh leases show demo/db-1 | sed -n 's/^registered \([^,]*\),.*/\1/p'; }
expect "in words too" "$OWN" listed
check "one with lifetimes 0 is answered" register 0
expect "and takes it back" "" listed
finish
