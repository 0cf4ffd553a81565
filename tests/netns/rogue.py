#!/usr/bin/python3
"""Sends what a guest that plays server or router sends, or a mark that anybody may send.

    rogue.py server          an OFFER, a DHCPv6 REPLY, a Router Advertisement and a Redirect
    rogue.py mark NUMBER     a UDP datagram from port NUMBER to port 9
"""

import socket
import sys

from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Reply, DHCP6OptIA_NA
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6ND_Redirect,
    ICMPv6NDOptPrefixInfo,
    IPv6,
)
from scapy.layers.l2 import Ether

with open("/sys/class/net/eth0/address", encoding="ascii") as file:
    MAC = file.read().strip()

BROADCAST = Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff")
ALL_NODES = Ether(src=MAC, dst="33:33:00:00:00:01")


def server():
    ipv6 = IPv6(src="fe80::bad", dst="ff02::1", hlim=255)
    offer = BOOTP(op=2, yiaddr="198.51.100.9") / DHCP(options=[("message-type", 2), "end"])
    yield BROADCAST / IP(src="198.51.100.1", dst="255.255.255.255") / UDP(sport=67, dport=68) / offer
    yield ALL_NODES / ipv6 / UDP(sport=547, dport=546) / DHCP6_Reply() / DHCP6OptIA_NA()
    yield ALL_NODES / ipv6 / ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::")
    yield ALL_NODES / ipv6 / ICMPv6ND_Redirect(tgt="fe80::bad", dst="2001:db8::1")


def mark(number):
    yield BROADCAST / IP(src="198.51.100.1", dst="255.255.255.255") / UDP(sport=number, dport=9)


def main():
    ours = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    ours.bind(("eth0", 0))
    for frame in server() if sys.argv[1] == "server" else mark(int(sys.argv[2])):
        ours.send(bytes(frame))


main()
