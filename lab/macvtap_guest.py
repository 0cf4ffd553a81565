#!/usr/bin/python3
"""A guest behind a macvtap: what QEMU is to it, without QEMU.

macvtap_guest.py MACVTAP PID: copies frames between the macvtap of this network namespace and eth0,
a tap with the same MAC, in that of process PID. Says "ready" once eth0 is there.
"""

import ctypes
import fcntl
import os
import select
import struct
import subprocess
import sys
import tempfile

TUNSETIFF = 0x400454CA
TAP_NO_PI = 0x0002 | 0x1000
CLONE_NEWNET = 0x40000000


def named(fd, name):
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP_NO_PI))
    return fd


def read(path):
    with open(path) as file:
        return file.read().strip()


def open_macvtap(name):
    link = f"/sys/class/net/{name}"
    number = read(f"{link}/macvtap/tap{read(f'{link}/ifindex')}/dev").split(":")
    # The node of /dev is the host's business: one of our own will do.
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/tap"
        os.mknod(path, 0o020600, os.makedev(*map(int, number)))
        return named(os.open(path, os.O_RDWR), name)


def main():
    macvtap, pid = sys.argv[1:]
    mac = read(f"/sys/class/net/{macvtap}/address")
    wire = open_macvtap(macvtap)
    with open(f"/proc/{pid}/ns/net") as there:
        if ctypes.CDLL(None, use_errno=True).setns(there.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    guest = named(os.open("/dev/net/tun", os.O_RDWR), "eth0")
    subprocess.run(["ip", "link", "set", "eth0", "address", mac], check=True)
    print("ready", flush=True)
    other = {wire: guest, guest: wire}
    while True:
        for fd in select.select(other, [], [])[0]:
            frame = os.read(fd, 65536)
            try:
                os.write(other[fd], frame)
            except OSError:
                pass  # The other end is down, as a cable may be.


main()
