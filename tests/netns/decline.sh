#!/usr/bin/env bash
# Addresses that somebody on the segment has taken: each client that probes finds out and declines.
# `on-decline = "keep"` shows it and stays, "reassign" gives the VM another address.
#
# systemd-networkd 252 probes too (SendDecline=yes), but its DECLINE does not leave the guest: it goes
# by a UDP socket while there is no route.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/life.sh"

VMS=(udhcpc dhcpcd networkmanager dhclient)
node_up
guest squatter
for vm in "${VMS[@]}"; do guest "$vm"; done
configure "$TIMES"
leasehold_start

# The squatter has the addresses of all.
link_up squatter
declare -A TAKEN=()
for vm in "${VMS[@]}"; do
  TAKEN[$vm]=$(lease_field "$vm" ipv4)
  on squatter ip addr add "${TAKEN[$vm]}/16" dev eth0
  record "$vm"
done

# Debian's dhclient does not probe; elsewhere its script does, as this hook.
on dhclient sh -c 'cat >/etc/dhcp/dhclient-enter-hooks.d/probe' <<'HOOK'
case $reason in
  BOUND | REBOOT)
    ip link set "$interface" up
    busybox arping -D -q -c 1 -w 1 -I "$interface" "$new_ip_address" || exit 1
    ;;
esac
HOOK
# Each in the guest of its name. None has a lease before it is given another address.
boot_udhcpc() { run_udhcpc udhcpc -a500 -A 1; }
boot_dhcpcd() { run_dhcpcd dhcpcd -4; }
boot_networkmanager() { run_networkmanager networkmanager dad-timeout=500; }
boot_dhclient() { run_dhclient4 dhclient; }
for vm in "${VMS[@]}"; do
  (trap - EXIT; "boot_$vm") >/dev/null &
done

for vm in "${VMS[@]}"; do
  check "$vm: DECLINE" heard "$vm" "Decline $ANY > $ALL requested=${TAKEN[$vm]} server=$SERVER"
  expect "$vm: conflict" true conflict "$vm"
  expect "$vm: address of the VM" "${TAKEN[$vm]}" lease_field "$vm" ipv4
  expect "$vm: address of the guest" "" address4 "$vm"
done
expect "conflicts that are counted" 4 metric leasehold_address_conflicts network=blue
check "the log says so" log_says 'declined its address'

# NetworkManager and dhclient wait for too long before they ask again.
apply "$TIMES; s/^domain = .*/&\non-decline = \"reassign\"/"
moved() { [[ $(address4 "$1") == 10.20.[1-9].*/16 && $(address4 "$1") != "${TAKEN[$1]}/16" ]]; }
address_of_vm() { echo "$(lease_field "$1" ipv4)/16"; }
for vm in udhcpc dhcpcd; do
  LIMIT=120 check "$vm: another address" moved "$vm"
  expect "$vm: address of the VM" "$(address4 "$vm")" address_of_vm "$vm"
done
finish
