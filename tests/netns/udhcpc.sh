#!/usr/bin/env bash
# busybox udhcpc: Alpine, CirrOS, initramfs. Also with the broadcast flag, a client identifier of
# its own and a wish for another address: the same NIC has the same address.
. "$(dirname "$0")/../../lab/lib.sh"

node_up
guest db-1
configure
leasehold_start

run_udhcpc db-1
expect "address and mask" 10.20.0.10/16 address4 db-1
expect "gateway" 10.20.0.1 default4 db-1
expect "routes" "10.0.0.0/8 via 10.20.0.254" routes4 db-1
expect "name servers" 10.20.0.53 dns db-1
expect "search list" "blue.example example" search db-1
expect "host name" db-1 name_of db-1
expect "MTU" 1450 mtu db-1
expect "NTP server" 10.20.0.123 seen db-1 udhcpc ntpsrv
expect "lease time" 3600 seen db-1 udhcpc lease
expect "server" 10.20.0.1 seen db-1 udhcpc serverid

# Renewal: unicast, from the guest's own UDP socket.
renew db-1
expect "renewal" renew seen db-1 udhcpc event
expect "address after it" 10.20.0.10 seen db-1 udhcpc ip

forget db-1
run_udhcpc db-1 -B -C -x 0x3d:00aabbcc -r 10.20.3.3
expect "address, whatever the client says it is" 10.20.0.10/16 address4 db-1
finish
