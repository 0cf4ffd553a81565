#!/usr/bin/env bash
# A VM without a disk on IPv6: OVMF asks for addresses under two IAIDs, is given a URL by its
# architecture, loads the file by TFTP, and runs it.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/qemu.sh"
needs_qemu "$OVMF/OVMF_CODE.fd"

RULES='
[[boot.rule]]
arch = ["x86-64-uefi"]
url = "tftp://[2001:db8:20::5]/first.efi"
[[boot.rule]]
url = "tftp://[2001:db8:20::5]/other"
'

node_up
guest tftp
configure
on node tee -a /etc/leasehold/networks.d/blue.toml <<<"$RULES" >/dev/null
leasehold_start

link_up tftp
on tftp ip address add 2001:db8:20::5/64 dev eth0 nodad
/usr/bin/python3 "$ROOT/tests/vm/uefi_application.py" "$LAB/first.efi"
tftp_serve tftp "$LAB/first.efi"
spawn node dhcpv6 tcpdump -Z root -U -l -n -vvv -i any udp port 546 or udp port 547
wait_for "$LIMIT" grep -q 'listening on' "$LAB/log/dhcpv6" || die "tcpdump does not listen"

uefi_vm web-1 8 -fw_cfg name=opt/org.tianocore/IPv4PXESupport,string=n
EXPECT_LIMIT=$LIMIT expect "what OVMF loads" first.efi wanted
check "what it loaded runs" gone "$QEMU_PID"

# said MESSAGE PATTERN: what fits in the messages of this type over the VM's port, each once.
said() { grep "^[^ ]* ${PORT[web-1]} .* dhcp6 $1 " "$LAB/log/dhcpv6" | grep -o "$2" | sort -u; }
count() { "$@" | wc -l; }
same() { [[ -n $1 && $1 == "$2" ]]; }

# Its IPv6 configures itself, since the router advertisement says M; PXE then asks for itself.
expect "the DUIDs that it asks with" 1 count said request 'client-ID [^)]*'
expect "the IAIDs that it asks with" 2 count said request 'IAID:[0-9]*'
check "each gets an address" \
  eval 'same "$(said request "IAID:[0-9]*")" "$(said reply "IAID:[0-9]*")"'
held="IA_ADDR $(lease_field web-1 ipv6)"
expect "the address of the NIC, both times" "$held" said reply 'IA_ADDR [^ ]*'
# PXE done, the first of the two is released: the address is the NIC's, and stays.
check "the release is answered" said reply 'status-code Success'
expect "the address after it" "$held" eval 'echo "IA_ADDR $(lease_field web-1 ipv6)"'
finish
