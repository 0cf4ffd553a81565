#!/usr/bin/env python3
"""Has each VM come to a node by one frame, and measures when it is told of its gateway.

    arrivals.py TEXT PREFIX VMS KIND...

VM number N sits behind the interface PREFIX followed by N. Its first frame is of the kind whose turn
it is: rarp, garp, na, discover or rs. The clock is read before the frame is handed to the kernel;
the kernel stamps what comes back when it comes to the VM's interface. Both are the kernel's clock
for the time of day, and what is measured contains the sending call.
"""

import select
import socket
import struct
import sys
import time

ETH_P_ALL = 3
SO_TIMESTAMPNS = 35
GATEWAY = socket.inet_aton("10.20.0.1")
LIMIT = 10.0
GOAL = 5.0


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def rarp(mac, _):
    nobody = bytes(4)
    packet = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 3) + mac + nobody + mac + nobody
    return (b"\xff" * 6 + mac + b"\x80\x35" + packet).ljust(60, b"\0")


def garp(mac, ip):
    packet = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + ip + bytes(6) + ip
    return (b"\xff" * 6 + mac + b"\x08\x06" + packet).ljust(60, b"\0")


def link_local(mac):
    return b"\xfe\x80" + bytes(6) + bytes([mac[0] ^ 2]) + mac[1:3] + b"\xff\xfe" + mac[3:]


def icmpv6(mac, group, message):
    source, destination = link_local(mac), b"\xff\x02" + bytes(13) + bytes([group])
    pseudo = source + destination + struct.pack("!II", len(message), 58)
    message = message[:2] + struct.pack("!H", checksum(pseudo + message)) + message[4:]
    header = struct.pack("!IHBB", 0x60000000, len(message), 58, 255) + source + destination
    return b"\x33\x33\0\0\0" + bytes([group]) + mac + b"\x86\xdd" + header + message


def na(mac, _):
    return icmpv6(mac, 1, b"\x88\0\0\0\x20\0\0\0" + link_local(mac) + b"\x02\x01" + mac)


def rs(mac, _):
    return icmpv6(mac, 2, b"\x85\0\0\0\0\0\0\0\x01\x01" + mac)


def discover(mac, _):
    bootp = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0x1EA5E001, 0, 0) + bytes(16) + mac + bytes(202)
    bootp += b"\x63\x82\x53\x63\x35\x01\x01\x37\x05\x01\x03\x06\x0f\x1a\xff"
    bootp = bootp.ljust(300, b"\0")
    # No UDP checksum, as IPv4 allows.
    udp = struct.pack("!HHHH", 68, 67, 8 + len(bootp), 0) + bootp
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + bytes(4) + b"\xff" * 4
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return b"\xff" * 6 + mac + b"\x08\x00" + ip + udp


KINDS = {"rarp": rarp, "garp": garp, "na": na, "discover": discover, "rs": rs}


def is_announcement(frame):
    """An ARP announcement of the gateway, which is the first thing that a VM is told."""
    return frame[12:14] == b"\x08\x06" and frame[28:32] == GATEWAY == frame[38:42]


def arrive(interface, frame):
    """Sends the VM's first frame; returns the microseconds to the announcement."""
    ours = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    ours.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    ours.bind((interface, ETH_P_ALL))
    sent = time.clock_gettime_ns(time.CLOCK_REALTIME)
    ours.send(frame)
    end = time.monotonic() + LIMIT
    while (left := end - time.monotonic()) > 0:
        if not select.select([ours], [], [], left)[0]:
            break
        data, extra, _, sender = ours.recvmsg(2048, 256)
        # An older announcement may still be on its way, as a later round of an arrival before.
        if sender[2] == socket.PACKET_OUTGOING or not is_announcement(data):
            continue
        [stamp] = [struct.unpack("qq", data) for _, kind, data in extra if kind == SO_TIMESTAMPNS]
        heard = stamp[0] * 1_000_000_000 + stamp[1]
        if heard >= sent:
            ours.close()
            return (heard - sent) / 1e3
    sys.exit(f"{interface}: no announcement within {LIMIT:.0f} s")


def row(name, times):
    times = sorted(times)
    at = lambda share: times[min(len(times) - 1, int(len(times) * share))] / 1e3
    print(f"  {name:<10} {len(times):>5}  {at(0.5):>8.3f} {at(0.99):>8.3f} {times[-1] / 1e3:>8.3f}")
    return at(0.99)


def main():
    text, prefix, vms, *kinds = sys.argv[1:]
    # The rounds of earlier arrivals, the last after 7 s, are not to be taken for this one's.
    time.sleep(8)
    times = {kind: [] for kind in kinds}
    for vm in range(int(vms)):
        mac = bytes([0x52, 0x54, 0, 0, vm // 256, vm % 256])
        ip = bytes([10, 20, 1 + vm // 250, 1 + vm % 250])
        kind = kinds[vm % len(kinds)]
        times[kind].append(arrive(f"{prefix}{vm}", KINDS[kind](mac, ip)))
    print(f"{text}, ms:\n  {'by':<10} {'VMs':>5}  {'p50':>8} {'p99':>8} {'max':>8}")
    if len(kinds) > 1:
        for kind in kinds:
            row(kind, times[kind])
    worst = row("all", [one for some in times.values() for one in some])
    print(f"  goal: p99 under {GOAL:.0f} ms: {'met' if worst < GOAL else 'MISSED'}")


main()
