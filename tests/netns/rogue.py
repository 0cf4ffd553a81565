#!/usr/bin/python3
"""Sends what a guest that plays server or router sends.

    rogue.py server          an OFFER, a DHCPv6 REPLY, a Router Advertisement and a Redirect
    rogue.py disguise        the same, so that one who looks for ports and types does not find it
"""

import socket
import sys

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Reply, DHCP6OptIA_NA
from scapy.layers.inet import IP, UDP, IPOption
from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptPrefixInfo,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import LLC, SNAP, Dot1AD, Dot1Q, Dot3, Ether
from scapy.packet import Raw

with open("/sys/class/net/eth0/address", encoding="ascii") as file:
    MAC = file.read().strip()

BROADCAST = Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff")
ALL_NODES = Ether(src=MAC, dst="33:33:00:00:00:01")


IPV6 = IPv6(src="fe80::bad", dst="ff02::1", hlim=255)
OFFER = BOOTP(op=2, yiaddr="198.51.100.9") / DHCP(options=[("message-type", 2), "end"])
REPLY = UDP(sport=547, dport=546) / DHCP6_Reply() / DHCP6OptIA_NA()
RA = ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::")


def offer(**header):
    return IP(src="198.51.100.1", dst="255.255.255.255", **header) / UDP(sport=67, dport=68) / OFFER


def server():
    yield BROADCAST / offer()
    yield ALL_NODES / IPV6 / REPLY
    yield ALL_NODES / IPV6 / RA
    yield ALL_NODES / IPV6 / ICMPv6ND_Redirect(tgt="fe80::bad", dst="2001:db8::1")


def disguise():
    # One priority tag, and tags within tags (guests take out any number of priority tags).
    yield BROADCAST / Dot1Q(vlan=0) / offer()
    yield ALL_NODES / Dot1Q(vlan=0) / IPV6 / RA
    for outer, inner in [(Dot1Q, Dot1Q), (Dot1Q, Dot1AD), (Dot1AD, Dot1Q), (Dot1AD, Dot1AD)]:
        yield BROADCAST / outer(vlan=0) / inner(vlan=0) / offer()
        yield ALL_NODES / outer(vlan=0) / inner(vlan=0) / inner(vlan=0) / IPV6 / RA
    # Lengths for EtherTypes (RFC 1042).
    snap = LLC(dsap=0xAA, ssap=0xAA, ctrl=3) / SNAP(OUI=0)
    for frame in [BROADCAST / offer(), ALL_NODES / IPV6 / RA]:
        packet = snap / frame.payload
        packet[SNAP].code = frame.type
        yield Dot3(src=MAC, dst=frame.dst, len=len(packet)) / packet
        yield Ether(src=MAC, dst=frame.dst) / Dot1Q(vlan=0, type=len(packet)) / Raw(bytes(packet))
    # Headers in between.
    yield BROADCAST / offer(options=[IPOption(b"\x94\x04\0\0")])
    yield ALL_NODES / IPV6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / RA
    yield ALL_NODES / IPV6 / IPv6ExtHdrDestOpt() / IPv6ExtHdrFragment() / REPLY
    # Fragments, whose first does not show what they carry (RFC 7113).
    for number, packet in [(1, IPV6 / IPv6ExtHdrDestOpt() / RA), (2, IPV6 / IPv6ExtHdrDestOpt() / REPLY)]:
        after = bytes(packet)[40:]
        for place, more, part in [(0, 1, after[:8]), (1, 0, after[8:])]:
            header = IPv6ExtHdrFragment(nh=60, id=number, offset=place, m=more)
            yield ALL_NODES / IPV6 / header / Raw(part)


def main():
    ours = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    ours.bind(("eth0", 0))
    what = {"server": server, "disguise": disguise}[sys.argv[1]]
    frames = [bytes(frame) for frame in what()]
    for frame in frames:
        ours.send(frame)
    print(len(frames))


main()
