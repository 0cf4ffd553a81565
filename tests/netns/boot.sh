#!/usr/bin/env bash
# A VM without a disk: QEMU's iPXE is told a server and a file, loads it by TFTP, and runs it.
# It needs qemu-system-x86 and ipxe-qemu, which lab/install.sh leaves out for their size.
if ! command -v qemu-system-x86_64 >/dev/null || [[ ! -e /usr/lib/ipxe/qemu/pxe-virtio.rom ]]; then
  echo "skipped: it needs qemu-system-x86_64 (Debian: qemu-system-x86 and ipxe-qemu)"
  exit 0
fi
. "$(dirname "$0")/../../lab/lib.sh"

RULES='
[[boot.rule]]
ipxe = true
next-server = "10.20.0.5"
file = "first.ipxe"
[[boot.rule]]
next-server = "10.20.0.5"
file = "other"
'

# vm NAME: a VM of QEMU's, without a disk, on a tap that is its port.
vm() {
  local port=vnet9
  on node ip tuntap add "$port" mode tap && on node ip link set "$port" up
  vsctl add-port "$BRIDGE" "$port" -- set Interface "$port" \
    'external_ids:attached-mac="52:54:00:12:34:09"' "external_ids:vm-id=\"demo/$1\"" \
    external_ids:iface-status=active || die "no port for $1"
  wait_for "$LIMIT" in_state serving "$port" || die "$1 is not served"
  # Emulated: a machine that tests run on need not have KVM.
  spawn node qemu qemu-system-x86_64 -accel tcg -cpu qemu64 -m 512 -nodefaults -display none \
    -netdev "tap,id=net0,ifname=$port,script=no,downscript=no" \
    -device virtio-net-pci,netdev=net0,mac=52:54:00:12:34:09 -boot order=n
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
spawn tftp tftp /usr/bin/python3 "$ROOT/tests/netns/tftp.py" first.ipxe '#!ipxe
imgfetch tftp://${next-server}/${filename}/${net0/ip}/${net0/netmask}/${net0/gateway}/${hostname}
'

vm db-1
EXPECT_LIMIT=$LIMIT expect "what iPXE loads, and then its script" \
  "first.ipxe first.ipxe/10.20.0.10/255.255.0.0/10.20.0.1/db-1" wanted
check "offer counted" metric_at_least 1 leasehold_replies_total message=offer
finish
