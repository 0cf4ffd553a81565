# shellcheck shell=bash
# VMs of QEMU's for a scenario, without a disk: what they boot is what the network gives them. Source
# it after lib.sh.

OVMF=/usr/share/OVMF
# seconds; firmware is slow where it is emulated on a busy machine
LIMIT=400

# needs_qemu FILE...: ends the scenario if a machine cannot run it.
needs_qemu() {
  local file
  for file in "$(command -v qemu-system-x86_64)" "$@"; do
    [[ ! -e $file ]] || continue
    echo "SKIPPED: it needs qemu-system-x86_64, iPXE and OVMF" \
      "(Debian: qemu-system-x86, ipxe-qemu and ovmf)"
    exit 0
  done
}

# vm NAME NUMBER OPTION...: a VM on a tap that is its port; its process is QEMU_PID. NIC is its card,
# and further properties of it.
vm() {
  local name=$1 port=vnet$2 mac=52:54:00:12:34:0$2
  shift 2
  # shellcheck disable=SC2004,SC2034 # of lib.sh; for the scenario
  PORT[$name]=$port VM[$name]=demo/$name
  on node ip tuntap add "$port" mode tap && on node ip link set "$port" up
  vsctl add-port "$BRIDGE" "$port" -- set Interface "$port" \
    "external_ids:attached-mac=\"$mac\"" "external_ids:vm-id=\"demo/$name\"" \
    external_ids:iface-status=active || die "no port for $name"
  wait_for "$LIMIT" in_state serving "$port" || die "$name is not served"
  # Emulated: a machine that tests run on need not have KVM, and not every nested KVM runs OVMF.
  spawn node "qemu.$name" qemu-system-x86_64 -accel tcg -nodefaults -display none \
    -netdev "tap,id=net0,ifname=$port,script=no,downscript=no" \
    -device "${NIC:-virtio-net-pci},netdev=net0,mac=$mac" "$@"
  # shellcheck disable=SC2034 # for the scenario
  QEMU_PID=$SPAWNED
}

# uefi_vm NAME NUMBER OPTION...: one whose firmware is OVMF. It speaks PXE itself if the card has no
# ROM; later versions only with a source of random numbers. Nothing but an application of
# tests/vm/uefi_application.py ends the machine.
uefi_vm() {
  cp "$OVMF/OVMF_VARS.fd" "$LAB/$1.vars"
  NIC=virtio-net-pci,romfile= vm "$1" "$2" -m 256 -no-reboot \
    -device virtio-rng-pci -device isa-debug-exit,iobase=0x501,iosize=2 \
    -drive "if=pflash,format=raw,readonly=on,file=$OVMF/OVMF_CODE.fd" \
    -drive "if=pflash,format=raw,file=$LAB/$1.vars" "${@:3}"
}

# tftp_serve GUEST FILE...: a TFTP server there; `wanted` tells the names that it was asked for.
tftp_serve() { spawn "$1" tftp /usr/bin/python3 "$ROOT/tests/vm/tftp.py" "${@:2}"; }
wanted() { sed -n 's/^wanted: //p' "$LAB/log/tftp" | awk '!seen[$0]++' | paste -sd' '; }
