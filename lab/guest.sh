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
  [[ -s $out/vmlinuz ]] || kernel
  initrd
  accelerator
}

cannot() {
  echo "$*"
  exit 77
}

kernel() {
  local reason deb module found
  command -v apt-get >/dev/null || cannot "there is no apt-get to fetch the guest's kernel with"
  # The machine's own lists stay as they are: where they are missing, or older than the archive, the
  # package is looked for in lists that are fetched for this.
  fetch || { reason=$(head -n 1 "$scratch/log"); lists && fetch; } ||
    cannot "the guest's kernel, linux-image-cloud-amd64, cannot be fetched: $reason"
  for deb in "$scratch"/*.deb; do
    dpkg-deb -x "$deb" "$scratch/kernel" || cannot "${deb##*/} cannot be unpacked"
  done
  mkdir -p "$out/modules"
  for module in "${MODULES[@]}"; do
    # What is not there is a part of the kernel, or the guest does not start.
    found=$(find "$scratch/kernel" -name "$module.ko*" | head -n 1)
    case $found in
      *.xz) busybox unxz -c "$found" >"$out/modules/$module.ko" ;;
      *.ko) cp "$found" "$out/modules/" ;;
    esac
  done
  cp "$scratch"/kernel/boot/vmlinuz-* "$out/vmlinuz.new" || cannot "the package has no kernel"
  mv "$out/vmlinuz.new" "$out/vmlinuz"
}

# Nobody answers where a firewall drops what is sent: no attempt may take long.
APT=(-qq -o APT::Sandbox::User=root -o Acquire::Retries=1 -o Acquire::http::Timeout=20
  -o Acquire::https::Timeout=20)
fetch() {
  local package
  package=$(apt-cache "${APT[@]}" depends linux-image-cloud-amd64 2>/dev/null |
    awk '/Depends: linux-image/ { print $2; exit }')
  [[ -n $package ]] || {
    echo "apt-get does not know it" >"$scratch/log"
    return 1
  }
  (cd "$scratch" && timeout 200 apt-get "${APT[@]}" download "$package") 2>"$scratch/log" >&2
}
lists() {
  mkdir -p "$scratch"/{lists,cache}/partial
  APT+=(-o "Dir::State::lists=$scratch/lists" -o "Dir::Cache=$scratch/cache")
  timeout 200 apt-get "${APT[@]}" update >"$scratch/log" 2>&1
}

initrd() {
  local root=$scratch/root applet program library
  mkdir -p "$root"/{bin,sbin,lib/modules,proc,sys,dev,run,tmp,etc,var/lib/dhcp}
  ln -s ../run "$root/var/run"
  for applet in $(busybox --list); do ln -sf ../sbin/busybox "$root/bin/$applet"; done
  # busybox's own shell would take its own ip, which knows less; so does its run-parts.
  rm -f "$root/bin/ip" "$root/bin/run-parts"
  cp -L "$(command -v dash)" "$root/sbin/sh"
  ln -sf ../sbin/sh "$root/bin/sh"
  for program in busybox dash dhclient ip run-parts; do
    cp -L "$(command -v "$program")" "$root/sbin/"
    # The libraries, and the loader; none, if it is static.
    { ldd "$(command -v "$program")" 2>/dev/null || true; } | { grep -o '/[^ ]*' || true; } |
      while read -r library; do
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
  find "$out/modules" -name '*.ko' -exec cp {} "$root/lib/modules/" \;
  cp "$lab/guest/init" "$root/init"
  cp "$lab/guest/state" "$root/bin/state"
  chmod 755 "$root/init" "$root/bin/state" "$root/lib/udhcpc.script"
  (cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null | gzip -1) >"$scratch/initrd"
  mv "$scratch/initrd" "$out/initrd"
}

# /dev/kvm may be there and not run a guest. What runs it is tried, once for each start of the
# machine, up to its NIC.
accelerator() {
  local boot
  boot=$(cat /proc/sys/kernel/random/boot_id)
  [[ $(cat "$out/accel.of" 2>/dev/null) != "$boot" ]] || return 0
  if [[ -w /dev/kvm ]] && starts kvm host 30 2>/dev/null; then
    echo kvm >"$out/accel"
  elif starts tcg max 300; then
    echo tcg >"$out/accel"
  else
    cannot "the guest does not start in QEMU: $(tail -n 1 "$scratch/start" | tr -d '\r')"
  fi
  echo "$boot" >"$out/accel.of"
}
# starts ACCELERATOR CPU SECONDS
starts() {
  timeout "$3" qemu-system-x86_64 -accel "$1" -cpu "$2" -m 192 -nodefaults -no-user-config \
    -display none -no-reboot -kernel "$out/vmlinuz" -initrd "$out/initrd" \
    -append "console=ttyS0 quiet reboot=t panic=-1 client=none" -serial stdio \
    -device virtio-net-pci,romfile= </dev/null >"$scratch/start" 2>&1
  grep -q 'guest: nothing to do' "$scratch/start"
}

main
