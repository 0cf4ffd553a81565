#!/usr/bin/env bash
# VMs without a disk, and their real firmware: QEMU's iPXE and OVMF are told a server and a file by
# their architecture, load it by TFTP, and run it.
. "$(dirname "$0")/../../lab/lib.sh"
. "$(dirname "$0")/../../lab/qemu.sh"
IPXE=/usr/lib/ipxe/qemu/pxe-virtio.rom
needs_qemu "$IPXE" "$OVMF/OVMF_CODE.fd"

RULES='
[[boot.rule]]
ipxe = true
next-server = "10.20.0.5"
file = "first.ipxe"
[[boot.rule]]
arch = ["x86-64-uefi"]
next-server = "10.20.0.5"
file = "first.efi"
[[boot.rule]]
next-server = "10.20.0.5"
file = "other"
'

node_up
guest tftp
configure
on node tee -a /etc/leasehold/networks.d/blue.toml <<<"$RULES" >/dev/null
leasehold_start

link_up tftp
on tftp ip address add 10.20.0.5/16 dev eth0
# What the script asks for next is not there; that it asks says that it runs, and with what.
cat >"$LAB/first.ipxe" <<'SCRIPT'
#!ipxe
imgfetch tftp://${next-server}/${filename}/${net0/ip}/${net0/netmask}/${net0/gateway}/${hostname}
SCRIPT
/usr/bin/python3 "$ROOT/tests/vm/uefi_application.py" "$LAB/first.efi"
tftp_serve tftp "$LAB/first.ipxe" "$LAB/first.efi"

vm db-1 9 -cpu qemu64 -m 512 -boot order=n
EXPECT_LIMIT=$LIMIT expect "what iPXE loads, and then its script" \
  "first.ipxe first.ipxe/10.20.0.10/255.255.0.0/10.20.0.1/db-1" wanted
check "offer counted" metric_at_least 1 leasehold_replies_total message=offer
kill -KILL "$QEMU_PID"

# Without the card's own ROM it is OVMF that speaks PXE.
: >"$LAB/log/tftp"
uefi_vm web-1 8
EXPECT_LIMIT=$LIMIT expect "what OVMF loads" first.efi wanted
check "what it loaded runs" gone "$QEMU_PID"
finish
