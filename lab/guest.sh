#!/usr/bin/env bash
# Makes what the tests with real VMs boot:  lab/guest.sh DIRECTORY
#
#   vmlinuz   Debian's cloud kernel, taken out of its package; the package is not installed
#   initrd    busybox, dash, dhclient and ip of this machine, and lab/guest/init
#   accel     how QEMU runs it here: kvm or tcg
#
# Where that is not possible it prints why, and exits with 77.
set -euo pipefail
lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "${1:?directory}"
out=$(cd "$1" && pwd)
PATH=$PATH:/usr/sbin:/sbin
MODULES=(virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover
  net_failover virtio_net)

main() {
  local tool
  for tool in qemu-system-x86_64 busybox dash dhclient ip; do
    command -v "$tool" >/dev/null || cannot "there is no $tool"
  done
  [[ $(uname -m) == x86_64 ]] || cannot "the guest's kernel is for x86_64"
  scratch=$(mktemp -d "$out/scratch.XXXXXX")
  trap 'rm -rf "$scratch"' EXIT
  [[ -s $out/vmlinuz && -s $out/modules/virtio_net.ko ]] || kernel
  initrd
  accelerator
}

cannot() {
  echo "$*"
  exit 77
}

kernel() {
  local package deb module found
  command -v apt-get >/dev/null || cannot "there is no apt-get to fetch the guest's kernel with"
  package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
    awk '/Depends: linux-image/ { print $2; exit }')
  [[ -n $package ]] || cannot "apt-get does not know linux-image-cloud-amd64, the guest's kernel"
  # The newest one may have left the archive since the lists were fetched; they stay as they are.
  (cd "$scratch" && apt-get -qq -o APT::Sandbox::User=root download "$package") 2>"$scratch/log" ||
    cannot "the guest's kernel, $package, cannot be fetched: $(head -n 1 "$scratch/log")"
  for deb in "$scratch"/*.deb; do dpkg-deb -x "$deb" "$scratch/kernel"; done
  mkdir -p "$out/modules"
  for module in "${MODULES[@]}"; do
    found=$(find "$scratch/kernel" -name "$module.ko*" | head -n 1)
    case $found in
      *.xz) busybox unxz -c "$found" >"$out/modules/$module.ko" ;;
      *.ko) cp "$found" "$out/modules/" ;;
    esac
  done
  cp "$scratch"/kernel/boot/vmlinuz-* "$out/vmlinuz.new"
  mv "$out/vmlinuz.new" "$out/vmlinuz"
}

initrd() {
  local root=$scratch/root applet program library
  mkdir -p "$root"/{bin,sbin,lib/modules,proc,sys,dev,run,tmp,etc,var/lib/dhcp}
  ln -s ../run "$root/var/run"
  cp "$(command -v busybox)" "$root/sbin/busybox"
  for applet in $(busybox --list); do ln -sf ../sbin/busybox "$root/bin/$applet"; done
  # busybox's own shell would take its own ip, which knows less; so does its run-parts.
  rm "$root/bin/ip" "$root/bin/run-parts"
  cp -L "$(command -v dash)" "$root/sbin/sh"
  ln -sf ../sbin/sh "$root/bin/sh"
  for program in dash dhclient ip run-parts; do
    cp -L "$(command -v "$program")" "$root/sbin/"
    # The libraries, and the loader.
    ldd "$(command -v "$program")" | grep -o '/[^ ]*' | while read -r library; do
      mkdir -p "$root$(dirname "$library")"
      cp -L "$library" "$root$library"
    done
  done
  cp -r /etc/dhcp "$root/etc/"
  # dhclient's script reads the one and replaces the other.
  : >"$root/etc/fstab"
  : >"$root/etc/resolv.conf"
  cp /sbin/dhclient-script "$root/sbin/"
  cp "$lab/udhcpc.script" "$root/lib/"
  cp "$out"/modules/*.ko "$root/lib/modules/"
  cp "$lab/guest/init" "$root/init"
  cp "$lab/guest/state" "$root/bin/state"
  chmod 755 "$root/init" "$root/bin/state" "$root/lib/udhcpc.script"
  (cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$scratch/initrd"
  mv "$scratch/initrd" "$out/initrd"
}

# /dev/kvm may be there and not run a guest: it is tried, once for each start of the machine.
accelerator() {
  local boot
  boot=$(cat /proc/sys/kernel/random/boot_id)
  [[ $(cat "$out/accel.of" 2>/dev/null) != "$boot" ]] || return 0
  if [[ -w /dev/kvm ]] && timeout 20 qemu-system-x86_64 -accel kvm -cpu host -m 192 \
    -nodefaults -display none -no-reboot -kernel "$out/vmlinuz" -initrd "$out/initrd" \
    -append "console=ttyS0 quiet reboot=t panic=-1 client=none" -serial stdio \
    </dev/null 2>/dev/null | grep -q 'guest: nothing to do'; then
    echo kvm >"$out/accel"
  else
    echo tcg >"$out/accel"
  fi
  echo "$boot" >"$out/accel.of"
}

main
