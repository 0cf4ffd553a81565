#!/usr/bin/env bash
# VMs without a disk: QEMU's iPXE is told a server and a file, loads it by TFTP, and runs it; UEFI's
# own PXE is told another file, by its architecture.
# It needs qemu-system-x86, ipxe-qemu and ovmf, which lab/install.sh leaves out for their size.
if ! command -v qemu-system-x86_64 >/dev/null || [[ ! -e /usr/lib/ipxe/qemu/pxe-virtio.rom ]]; then
  echo "skipped: it needs qemu-system-x86_64 (Debian: qemu-system-x86 and ipxe-qemu)"
  exit 0
fi
. "$(dirname "$0")/../../lab/lib.sh"

OVMF=/usr/share/ovmf/OVMF.fd
RULES='
[[boot.rule]]
ipxe = true
next-server = "10.20.0.5"
file = "first.ipxe"
[[boot.rule]]
arch = "x86-64-uefi"
next-server = "10.20.0.5"
file = "uefi.efi"
[[boot.rule]]
next-server = "10.20.0.5"
file = "other"
'

# vm NAME NUMBER ARGUMENTS...: a VM of QEMU's, without a disk, on a tap that is its port.
vm() {
  local name=$1 port=vnet$2 mac=52:54:00:12:34:0$2
  shift 2
  on node ip tuntap add "$port" mode tap && on node ip link set "$port" up
  vsctl add-port "$BRIDGE" "$port" -- set Interface "$port" \
    "external_ids:attached-mac=\"$mac\"" "external_ids:vm-id=\"demo/$name\"" \
    external_ids:iface-status=active || die "no port for $name"
  wait_for "$LIMIT" in_state serving "$port" || die "$name is not served"
  # Emulated: a machine that tests run on need not have KVM.
  spawn node "qemu.$name" qemu-system-x86_64 -accel tcg -cpu qemu64 -nodefaults -display none \
    -netdev "tap,id=net0,ifname=$port,script=no,downscript=no" "${@:1:$#-1}" "${*: -1},netdev=net0,mac=$mac"
}

# said WORD PATTERN: what the TFTP server printed, each once, in the order of its first time.
said() {
  sed -n "s/^$1: //p" "$LAB/log/tftp" | grep -E "$2" | awk '!seen[$0]++' | paste -sd' '
}

node_up
guest tftp
configure
on node tee -a /etc/leasehold/networks.d/blue.toml <<<"$RULES" >/dev/null
leasehold_start

link_up tftp
on tftp ip address add 10.20.0.5/16 dev eth0
# What the script asks for next is not there; that it asks says that it runs, and with what.
spawn tftp tftp /usr/bin/python3 "$ROOT/tests/netns/tftp.py" first.ipxe '#!ipxe
imgfetch tftp://${next-server}/${filename}/${net0/ip}/${net0/netmask}/${net0/gateway}/${hostname}
' uefi.efi 'no program, but it was loaded'

vm db-1 9 -m 512 -boot order=n -device virtio-net-pci
if [[ -e $OVMF ]]; then
  # Without a ROM for the card it is UEFI's own PXE that boots, and not iPXE.
  vm uefi-1 8 -m 256 -bios "$OVMF" -device virtio-net-pci,romfile=,bootindex=1
else
  note "skipped: UEFI needs $OVMF (Debian: ovmf)"
fi

EXPECT_LIMIT=$LIMIT expect "what iPXE loads, and then its script" \
  "first.ipxe first.ipxe/10.20.0.10/255.255.0.0/10.20.0.1/db-1" said wanted ipxe
if [[ -e $OVMF ]]; then
  EXPECT_LIMIT=$LIMIT expect "what UEFI has loaded" "uefi.efi" said has efi
  expect "what UEFI asked for" "uefi.efi" said wanted 'efi|other'
fi
check "offers counted" metric_at_least 1 leasehold_replies_total message=offer
finish
