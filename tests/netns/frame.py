#!/usr/bin/env python3
"""Sends DHCPv4 frames that no client would send, and says what came of it.

    frame.py discover|offer [--source MAC] [--chaddr MAC] [--vlan TAG] [--interface NAME]

Prints `answered ADDRESS` or, after a second without an answer, `silent`.

    frame.py rarp --source MAC [--interface NAME]

Announces that MAC as a hypervisor does after a live migration (RFC 903).

    frame.py flood

Sends DISCOVERs for three seconds, as fast as it can, and prints `sent COUNT`.
"""

import argparse
import select
import socket
import struct
import time

XID = 0x1EA5E001
BROADCAST = b"\xff" * 6


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def frame(kind, source, chaddr, vlan):
    op, message, ports, address = {
        "discover": (1, 1, (68, 67), "0.0.0.0"),
        "offer": (2, 2, (67, 68), "198.51.100.1"),
    }[kind]
    server = socket.inet_aton(address)
    bootp = struct.pack("!BBBBIHH", op, 1, 6, 0, XID, 0, 0x8000)
    bootp += bytes(16) + chaddr + bytes(10) + bytes(192)
    bootp += b"\x63\x82\x53\x63" + bytes([53, 1, message])
    bootp += bytes([54, 4]) + server if kind == "offer" else bytes([55, 3, 1, 3, 6])
    bootp += b"\xff"
    bootp += bytes(max(0, 300 - len(bootp)))

    length = 8 + len(bootp)
    destination = b"\xff" * 4
    pseudo = server + destination + struct.pack("!BBH", 0, 17, length)
    udp = struct.pack("!HHHH", *ports, length, 0)
    udp = udp[:6] + struct.pack("!H", checksum(pseudo + udp + bootp) or 0xFFFF)
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 1, 0, 64, 17, 0) + server + destination
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]

    tag = b"" if vlan is None else struct.pack("!HH", 0x8100, vlan)
    return BROADCAST + source + tag + b"\x08\x00" + ip + udp + bootp


def rarp(mac):
    nobody = bytes(4)
    packet = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 3) + mac + nobody + mac + nobody
    return (BROADCAST + mac + b"\x80\x35" + packet).ljust(60, b"\0")


def answer(data):
    """Returns `yiaddr` of a DHCPv4 answer to our transaction, else None."""
    if len(data) < 42 + 240 or data[12:14] != b"\x08\x00" or data[23] != 17:
        return None
    bootp = data[42:]
    if data[34:36] != b"\x00\x43" or bootp[0] != 2 or bootp[4:8] != struct.pack("!I", XID):
        return None
    return socket.inet_ntoa(bootp[16:20])


def flood(ours, data):
    end = time.monotonic() + 3
    count = 0
    while time.monotonic() < end:
        try:
            for _ in range(100):
                ours.send(data)
                count += 1
        except OSError:
            # No room: the next one may find some.
            continue
    print("sent", count)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kind", choices=["discover", "offer", "rarp", "flood"])
    parser.add_argument("--interface", default="eth0")
    parser.add_argument("--source")
    parser.add_argument("--chaddr")
    parser.add_argument("--vlan", type=int)
    options = parser.parse_args()

    ours = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    ours.bind((options.interface, 0))
    mac = ours.getsockname()[4]
    parse = lambda text: bytes.fromhex(text.replace(":", "")) if text else mac
    source = parse(options.source)
    chaddr = parse(options.chaddr) if options.chaddr else source
    if options.kind == "rarp":
        ours.send(rarp(source))
        return
    if options.kind == "flood":
        flood(ours, frame("discover", source, chaddr, options.vlan))
        return
    ours.send(frame(options.kind, source, chaddr, options.vlan))

    end = time.monotonic() + 1
    while (left := end - time.monotonic()) > 0:
        if not select.select([ours], [], [], left)[0]:
            break
        data, sender = ours.recvfrom(2048)
        if sender[2] != socket.PACKET_OUTGOING and (address := answer(data)):
            print("answered", address)
            return
    print("silent")


main()
