#!/usr/bin/env bash
# VMs without a disk, and their real firmware: QEMU's iPXE and OVMF are told a server and a file by
# their architecture, load it by TFTP, and run it.
# They need ovmf, which lab/install.sh leaves out for its size.
IPXE=/usr/lib/ipxe/qemu/pxe-virtio.rom
OVMF=/usr/share/OVMF
if ! command -v qemu-system-x86_64 >/dev/null || [[ ! -e $IPXE || ! -e $OVMF/OVMF_CODE.fd ]]; then
  echo "SKIPPED: it needs qemu-system-x86_64, iPXE and OVMF" \
    "(Debian: qemu-system-x86, ipxe-qemu and ovmf)"
  exit 0
fi
. "$(dirname "$0")/../../lab/lib.sh"

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

# vm NAME NUMBER OPTION...: a VM of QEMU's, without a disk, on a tap that is its port; its process
# is QEMU_PID.
vm() {
  local name=$1 port=vnet$2 mac=52:54:00:12:34:0$2
  shift 2
  on node ip tuntap add "$port" mode tap && on node ip link set "$port" up
  vsctl add-port "$BRIDGE" "$port" -- set Interface "$port" \
    "external_ids:attached-mac=\"$mac\"" "external_ids:vm-id=\"demo/$name\"" \
    external_ids:iface-status=active || die "no port for $name"
  wait_for "$LIMIT" in_state serving "$port" || die "$name is not served"
  # Emulated: a machine that tests run on need not have KVM.
  spawn node "qemu.$name" qemu-system-x86_64 -accel tcg -nodefaults -display none \
    -netdev "tap,id=net0,ifname=$port,script=no,downscript=no" \
    -device "virtio-net-pci,netdev=net0,mac=$mac${ROM:-}" "$@"
  QEMU_PID=$SPAWNED
}

wanted() { sed -n 's/^wanted: //p' "$LAB/log/tftp" | awk '!seen[$0]++' | paste -sd' '; }

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
/usr/bin/python3 "$ROOT/tests/netns/uefi_application.py" "$LAB/first.efi"
spawn tftp tftp /usr/bin/python3 "$ROOT/tests/netns/tftp.py" "$LAB/first.ipxe" "$LAB/first.efi"

vm db-1 9 -cpu qemu64 -m 512 -boot order=n
EXPECT_LIMIT=$LIMIT expect "what iPXE loads, and then its script" \
  "first.ipxe first.ipxe/10.20.0.10/255.255.0.0/10.20.0.1/db-1" wanted
check "offer counted" metric_at_least 1 leasehold_replies_total message=offer
kill -KILL "$QEMU_PID"

# Without the card's own ROM it is OVMF that speaks PXE. Nothing but the application ends the machine.
cp "$OVMF/OVMF_VARS.fd" "$LAB/vars.fd"
: >"$LAB/log/tftp"
ROM=,romfile= vm web-1 8 -m 256 -no-reboot -device isa-debug-exit,iobase=0x501,iosize=2 \
  -drive "if=pflash,format=raw,readonly=on,file=$OVMF/OVMF_CODE.fd" \
  -drive "if=pflash,format=raw,file=$LAB/vars.fd"
EXPECT_LIMIT=$LIMIT expect "what OVMF loads" first.efi wanted
check "what it loaded runs" gone "$QEMU_PID"
finish
