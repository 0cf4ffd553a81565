#!/usr/bin/python3
"""Sends a mark that anybody may send: a UDP datagram from port NUMBER to port 9.

    mark.py NUMBER

It does without scapy, which takes longer to load than all the rest.
"""

import socket
import struct
import sys

with open("/sys/class/net/eth0/address", encoding="ascii") as file:
    MAC = bytes.fromhex(file.read().strip().replace(":", ""))

HEADER = struct.pack(">BBHIBBH4s4s", 0x45, 0, 28, 0, 64, 17, 0, bytes([198, 51, 100, 1]), b"\xff" * 4)
SUM = sum(struct.unpack(">10H", HEADER))
SUM = (SUM & 0xFFFF) + (SUM >> 16)
HEADER = HEADER[:10] + struct.pack(">H", ~(SUM + (SUM >> 16)) & 0xFFFF) + HEADER[12:]
UDP = struct.pack(">HHHH", int(sys.argv[1]), 9, 8, 0)

OURS = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
OURS.bind(("eth0", 0))
OURS.send(b"\xff" * 6 + MAC + b"\x08\0" + HEADER + UDP)
