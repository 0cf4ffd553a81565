#!/usr/bin/python3
"""Makes the cases of packet-fixtures/: `case.toml` and `NN-in.hex`, from the table below.

    craft.py                writes them
    craft.py --check        says what differs from the table, and fails if something does
    craft.py --show [CASE]  decodes inputs and recorded outputs, checks lengths and checksums

It needs scapy (Debian: python3-scapy). The frames are scapy's and this file's alone; nothing here
knows how leasehold reads them. What leasehold says, `NN-out.txt`, is recorded by the test: see
README.md. Cases that are not in the table, such as recorded ones, are left alone.
"""

import ipaddress
import json
import logging
import pathlib
import signal
import struct
import sys
import uuid

logging.getLogger("scapy").setLevel(logging.ERROR)
from scapy.all import (  # noqa: E402
    ARP, BOOTP, DHCP, ICMP, IP, TCP, UDP, Dot1AD, Dot1Q, Ether, ICMPv6EchoReply, ICMPv6EchoRequest,
    ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr,
    ICMPv6Unknown, IPOption, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting, Jumbo, Raw, bind_layers,
)
from scapy.layers.dhcp6 import (  # noqa: E402
    DHCP6_Advertise, DHCP6_Confirm, DHCP6_Decline, DHCP6_InfoRequest, DHCP6_Rebind,
    DHCP6_Release, DHCP6_RelayForward, DHCP6_Renew, DHCP6_Reply, DHCP6_Request, DHCP6_Solicit,
    DHCP6OptElapsedTime, DHCP6OptIA_NA, DHCP6OptIA_PD, DHCP6OptIA_TA, DHCP6OptIAAddress,
    DHCP6OptIAPrefix, DHCP6OptOptReq, DHCP6OptRapidCommit,
)

HERE = pathlib.Path(__file__).resolve().parent

# Who is who; networks/*.toml agrees.
GUEST = "52:54:00:12:34:56"
GUEST_LL = "fe80::5054:ff:fe12:3456"
OTHER_GUEST = "52:54:00:65:43:21"
GATEWAY_MAC = "0a:58:0a:14:00:01"
GATEWAY = "10.20.0.1"
GATEWAY_LL = "fe80::1"
OWN = "10.20.0.10"
OWN6 = "2001:db8:20::10"
OTHER = "10.20.0.77"
OTHER6 = "2001:db8:20::77"
OFF_SUBNET = "192.168.122.5"
ALL = "ff:ff:ff:ff:ff:ff"
ALL_IP4 = "255.255.255.255"

# RFC 6355, section 4: type 4, then the UUID; RFC 9562, section 5.5 says how a name makes one.
SERVER_DUID = b"\0\4" + uuid.uuid5(uuid.NAMESPACE_DNS, "fixtures").bytes
OTHER_DUID = b"\0\4" + uuid.uuid5(uuid.NAMESPACE_DNS, "elsewhere").bytes
# RFC 9915, section 11.4: link-layer address.
CLIENT_DUID = b"\0\3\0\1" + bytes.fromhex(GUEST.replace(":", ""))

CASES = {}


def case(name, about, clauses, *frames, **facts):
    """Adds a case. `facts` are the further keys of case.toml, `network` above all."""
    assert name not in CASES, name
    facts.setdefault("network", "dual-stack")
    CASES[name] = (about, clauses.split("; "), facts, frames)


class Marked:
    """A frame, and what the kernel said beside it: `vlan=N`, `checksum-pending`, `truncated`."""

    def __init__(self, frame, *marks):
        self.frame, self.marks = frame, marks


class After:
    """Time that passes before the next step: what an arrived guest is told by then."""

    def __init__(self, time):
        self.time = time


def patched(frame, place, *values):
    """The frame with the bytes at `place` replaced, and nothing calculated anew."""
    frame = bytearray(bytes(frame))
    frame[place:place + len(values)] = values
    return bytes(frame)


def with_checksum(frame, checksum):
    """The frame with this UDP checksum, right or not."""
    frame[UDP].chksum = checksum
    return frame


# --- DHCPv4 ---------------------------------------------------------------------------------------

# What a Linux client asks for; the numbers are those of RFC 2132 and its successors.
LINUX_LIST = (55, bytes([1, 2, 3, 6, 12, 15, 26, 28, 42, 51, 54, 58, 59, 119, 121]))
# In the order in which Windows asks.
WINDOWS_LIST = (55, bytes([1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252]))


def ip4(*addresses):
    return b"".join(bytes(map(int, address.split("."))) for address in addresses)


def fixed4(mac=GUEST, **fields):
    """The 240 bytes before the options."""
    fields.setdefault("xid", 0x1EA5E401)
    chaddr = fields.pop("chaddr", mac)
    if isinstance(chaddr, str):
        chaddr = bytes.fromhex(chaddr.replace(":", "")) + bytes(10)
    return bytes(BOOTP(chaddr=chaddr, options=b"\x63\x82\x53\x63", **fields))


def udp4(payload, src="0.0.0.0", dst="255.255.255.255", mac=GUEST, to=ALL, sport=68, dport=67):
    return (Ether(src=mac, dst=to) / IP(src=src, dst=dst, id=1)
            / UDP(sport=sport, dport=dport) / Raw(payload))


def raw4(options, mac=GUEST, src="0.0.0.0", dst="255.255.255.255", to=ALL, **fields):
    """A BOOTP message with `options` as they are."""
    return udp4(fixed4(mac, **fields) + options, src, dst, mac, to)


def options4(*options):
    """Codes and values to bytes, with an END."""
    return b"".join(bytes([code, len(value)]) + value for code, value in options) + b"\xff"


def dhcp4(kind, *options, **fields):
    """A DHCP message with `options` as (code, bytes), 300 bytes at least (RFC 1542, section 2.1)."""
    kinds = "discover offer request decline ack nak release inform".split()
    body = options4((53, bytes([kinds.index(kind) + 1])), *options)
    return raw4(body.ljust(60, b"\0"), **fields)


def asked(address):
    return (50, ip4(address))


def server(address):
    return (54, ip4(address))


CLIENT_ID = (61, b"\xff\x12\x34\x56\x78" + CLIENT_DUID)
FQDN = b"\5guest\4blue\7example\0"
BROADCAST = {"flags": 0x8000}
RENEWING = {"src": OWN, "ciaddr": OWN, "dst": GATEWAY, "to": GATEWAY_MAC}
REBINDING = {"src": OWN, "ciaddr": OWN}

case("dhcpv4/discover", "A DISCOVER is answered with an OFFER of the VM's address, in unicast.",
     "A1; A4; A8; E4; RFC 2131 4.3.1", dhcp4("discover", LINUX_LIST))
case("dhcpv4/discover-without-list", "A client that asks for nothing gets what it cannot do without.",
     "A1; A8; RFC 2131 4.3.1", dhcp4("discover"))
case("dhcpv4/discover-windows-list", "Options come in the order in which the client listed them, "
     "and 249 repeats 121.", "A8; A11; RFC 3442",
     dhcp4("discover", (61, b"\x01" + CLIENT_DUID[4:]), (60, b"MSFT 5.0"), WINDOWS_LIST))
case("dhcpv4/discover-broadcast-flag", "With the broadcast flag the OFFER goes to everybody.",
     "A4; RFC 2131 4.1", dhcp4("discover", LINUX_LIST, **BROADCAST))
case("dhcpv4/discover-client-id", "The client identifier comes back unchanged.",
     "A10; RFC 6842 3", dhcp4("discover", CLIENT_ID, LINUX_LIST))
case("dhcpv4/discover-longest-client-id", "A client identifier of 255 bytes comes back whole.",
     "A10; RFC 2132 9.14; RFC 6842 3", dhcp4("discover", (61, bytes(range(255)))))
case("dhcpv4/discover-of-other-address", "The address that a DISCOVER wishes for is not looked at: "
     "the VM's own is offered.", "A1; RFC 2131 4.3.1", dhcp4("discover", asked(OTHER)))
case("dhcpv4/discover-with-ciaddr", "A client that begins anew has no address, whatever it left in "
     "ciaddr: it is answered as all are, at the address that it is offered.",
     "A1; A4; RFC 2131 4.1; RFC 2131 table 5", dhcp4("discover", ciaddr=OTHER),
     dhcp4("discover", ciaddr=OTHER, **BROADCAST))
case("dhcpv4/discover-rapid-commit", "With option 80 on both sides a DISCOVER is answered with an "
     "ACK that holds it.", "A14; RFC 4039 3.1", dhcp4("discover", (80, b""), LINUX_LIST))
case("dhcpv4/discover-rapid-commit-not-served", "A network without rapid commit answers option 80 "
     "with an OFFER.", "A14; RFC 4039 3.1", dhcp4("discover", (80, b""), LINUX_LIST),
     network="slaac")
case("dhcpv4/discover-small-message", "What does not fit into the options of a 576-byte datagram "
     "goes into file and sname.", "A8; RFC 2132 9.3; RFC 2132 9.10",
     dhcp4("discover", (57, b"\x02\x40"), CLIENT_ID, (55, bytes(range(1, 255)))), network="full")
case("dhcpv4/discover-options-left-out", "What fits nowhere is left out, the least needed first, and "
     "this is noted.", "A8; RFC 2132 9.3",
     dhcp4("discover", (61, bytes(range(255))), (55, bytes(range(1, 255)))), network="full")
case("dhcpv4/discover-message-size-below-floor", "Option 57 below 576 is read as 576.",
     "A8; RFC 2132 9.10", dhcp4("discover", (57, b"\x00\x40"), LINUX_LIST), network="full")
case("dhcpv4/discover-large-message", "With option 57 of 1,500 everything fits into the options.",
     "A8; RFC 2132 9.10; RFC 3396",
     dhcp4("discover", (57, b"\x05\xdc"), CLIENT_ID, (55, bytes(range(1, 255)))), network="full")
case("dhcpv4/discover-all-options", "A client that asks for every option gets all that the network "
     "sets, each once.", "A8; A11; RFC 2131 4.3.1",
     dhcp4("discover", (57, b"\x05\xdc"), (55, bytes(range(1, 255)))))
case("dhcpv4/discover-repeated-list", "A code that the client lists often is given once.",
     "A8; RFC 2131 4.3.1", dhcp4("discover", (55, bytes([6, 3, 6, 6, 3, 1]))))
case("dhcpv4/discover-router-listed-first", "The mask comes before the router, whatever the client "
     "listed first.", "A8; RFC 2132 3.3", dhcp4("discover", (55, b"\x06\x03\x01")))
case("dhcpv4/discover-fqdn", "Option 81 is answered with our name for the VM, as text or in labels "
     "as the client's is, and says that no DNS is updated.", "A13; RFC 4702 2.1; RFC 4702 4",
     *(dhcp4("discover", (81, bytes([flags, 0, 0]) + name), LINUX_LIST)
       for flags, name in ((4, FQDN), (5, FQDN), (0, b"guest"), (1, b"guest.blue.example"))))
case("dhcpv4/discover-pxe", "Options that firmware sends are walked over; what the network sets by "
     "code is given to who asks.", "A8; A11; RFC 4578 2.1",
     dhcp4("discover", (93, b"\x00\x07"), (94, b"\x01\x03\x10"), (97, b"\0" + bytes(range(16))),
           (60, b"PXEClient:Arch:00007:UNDI:003016"), (55, bytes([1, 3, 6, 43, 60, 66, 67, 150]))),
     network="full")
case("dhcpv4/discover-forced-option", "What the network sets by code and forces is given to who does "
     "not ask.", "A8; A11", dhcp4("discover", (55, b"\x03")), network="full")
case("dhcpv4/discover-named-options", "What the network sets by name is encoded in the option's own "
     "form; the VM's value replaces the network's.", "A11; A16; RFC 2132; RFC 3361 3; RFC 3397 2; "
     "RFC 3442; RFC 3925 4; RFC 5859 2",
     dhcp4("discover", (57, b"\x05\xdc"), (55, bytes(range(1, 255)))), network="options")
case("dhcpv4/discover-named-options-of-network", "A VM without an option of its own gets the "
     "network's.", "A11; A16", dhcp4("discover", (55, b"\x43\x42")), vm="demo/web-2",
     network="options")
case("dhcpv4/discover-named-options-of-vm", "A VM's own options by name, its portal and its "
     "resolvers replace the network's; the rest stays.", "A11; A16; RFC 8910 2.1; RFC 9463 5.1",
     dhcp4("discover", (55, b"\x11\x07\x04\x72\xa2")), network="everything", vm="demo/web-2")
case("dhcpv4/discover-fqdn-overloaded", "Where options have moved to file, option 81 is answered in "
     "the room that they leave.", "A8; A13; RFC 4702 4",
     dhcp4("discover", (81, b"\0\0\0guest"), (55, bytes([
         1, 3, 26, 2, 7, 19, 21, 23, 31, 35, 43, 44, 46, 60, 66, 67, 119, 120, 124, 150, 210, 249, 252,
         162]))),
     network="options")
case("dhcpv4/discover-named-option-forced", "An option that is named and forced is given to who does "
     "not ask.", "A11; A16", dhcp4("discover", (55, b"\x03")), network="options")
case("dhcpv4/discover-ipv6-only", "Option 108 goes to who lists it, and to nobody else.",
     "A11; RFC 8925 3.3", dhcp4("discover", (55, b"\x03\x6c")), dhcp4("discover", (55, b"\x03")),
     dhcp4("discover"), dhcp4("request", asked(OWN), server(GATEWAY), (55, b"\x6c")),
     network="options")
case("dhcpv4/discover-auto-configure", "Option 116 is answered, and sent to nobody who did not send "
     "it.", "A11; RFC 2563 2", dhcp4("discover", (116, b"\1"), (55, b"\x03")),
     dhcp4("discover", (55, b"\x03\x74")), network="options")
case("dhcpv4/discover-captive-portal", "Option 114 is the URI of the portal's API.",
     "A11; RFC 8910 2.1", dhcp4("discover", (55, b"\x72")), network="options")
case("dhcpv4/discover-resolvers", "Option 162 holds the resolvers that IPv4 reaches, and those "
     "without addresses, the first to be tried first.", "A11; RFC 9463 5.1",
     dhcp4("discover", (55, b"\xa2")), network="options")
case("dhcpv4/discover-host-mask", "With a host mask option 121 says how the gateway is reached, "
     "then the default route, then the rest.", "A12; RFC 3442", dhcp4("discover", LINUX_LIST),
     network="host-mask")
case("dhcpv4/discover-range", "A VM without a reservation gets an address of the range.",
     "A1; RFC 2131 4.3.1", dhcp4("discover", LINUX_LIST), vm="demo/web-2")
case("dhcpv4/discover-trunk", "On a trunk a frame with the network's tag is answered with the tag.",
     "E3; IEEE 802.1Q 9.6", Marked(dhcp4("discover"), "vlan=100"), trunk_vlan=100)
case("dhcpv4/discover-checksum-pending", "A UDP checksum that the kernel says is not filled in yet "
     "is not looked at.", "E3; RFC 768", 
     Marked(with_checksum(dhcp4("discover"), 0x1234), "checksum-pending"))
case("dhcpv4/discover-no-checksum", "A UDP checksum of 0 over IPv4 says that there is none.",
     "E3; RFC 768", with_checksum(dhcp4("discover"), 0))
case("dhcpv4/discover-any-source-port", "A client's source port is not looked at; the answer goes to "
     "port 68.", "A1; RFC 2131 4.1", udp4(fixed4() + options4((53, b"\1")), sport=1068))
case("dhcpv4/discover-padded-frame", "What follows the IP packet is Ethernet padding.", "E3; RFC 894",
     bytes(dhcp4("discover")) + b"\xff" * 20)
case("dhcpv4/discover-mac-known", "The port's known MAC is served, and no other.",
     "E2; RFC 2131 2", dhcp4("discover"), dhcp4("discover", mac=OTHER_GUEST), mac=GUEST)
case("dhcpv4/discover-mac-not-known", "Where no MAC is known any is served, and answered.",
     "E2; RFC 2131 2", dhcp4("discover"), dhcp4("discover", mac=OTHER_GUEST))
case("dhcpv4/discover-other-identifiers", "Whatever the guest calls itself, the address is the "
     "port's.", "A1; A10; RFC 2131 4.2",
     *(dhcp4("discover", (61, b"\0" + name), xid=number)
       for number, name in enumerate([b"firmware", b"ipxe", b"linux"], 1)))
case("dhcpv4/discover-split-options", "A list that is split over several options is one list.",
     "A9; RFC 3396 7", dhcp4("discover", (55, b"\x06\x03"), (61, b"\xff\x01"), (55, b"\x01"),
                             (61, b"\x02\x03")))
case("dhcpv4/discover-overloaded", "Options in file, then in sname, are read where option 52 says "
     "so, and parts join in that order.", "A9; RFC 2132 9.3; RFC 3396 5",
     dhcp4("discover", (52, b"\3"), (55, b"\x06"),
           file=options4((55, b"\x03"), (61, b"\xff\x01")),
           sname=options4((55, b"\x0f"), (61, b"\x02\x03"))))
case("dhcpv4/discover-file-not-overloaded", "Without option 52 nothing is read from file and sname.",
     "A9; RFC 2132 9.3", dhcp4("discover", (55, b"\x06"), file=options4((55, b"\x03")),
                               sname=options4((61, b"\x01\x02"))))
case("dhcpv4/request-selecting", "A client takes our offer.", "A1; RFC 2131 4.3.2",
     dhcp4("request", asked(OWN), server(GATEWAY), CLIENT_ID, LINUX_LIST))
case("dhcpv4/request-selecting-broadcast-flag", "With the broadcast flag the ACK goes to everybody.",
     "A4; RFC 2131 4.1", dhcp4("request", asked(OWN), server(GATEWAY), **BROADCAST))
case("dhcpv4/request-selecting-other-server", "A client takes another server's offer: no word, "
     "counted.", "A3; RFC 2131 4.3.2", dhcp4("request", asked(OTHER), server("10.20.0.99")))
case("dhcpv4/request-selecting-old-ciaddr", "A client takes our offer after a NAK and leaves its old "
     "address in ciaddr, as NetworkManager does.", "A1; RFC 2131 4.3.2",
     dhcp4("request", asked(OWN), server(GATEWAY), ciaddr=OTHER))
case("dhcpv4/request-init-reboot", "A client asks whether it may keep what it remembers.",
     "A1; RFC 2131 4.3.2", dhcp4("request", asked(OWN), LINUX_LIST))
case("dhcpv4/request-renewing", "A client extends its lease, to our address.",
     "A1; A4; RFC 2131 4.3.2", dhcp4("request", LINUX_LIST, **RENEWING))
case("dhcpv4/request-renewing-broadcast-flag", "A client with an address is answered there, whatever "
     "its broadcast flag says.", "A4; RFC 2131 4.1", dhcp4("request", **RENEWING, **BROADCAST))
case("dhcpv4/request-renewing-old-server-mac", "A renewal that is sent to a gone server's MAC and "
     "address is answered: the VM has moved here.", "A1; D5; RFC 2131 4.4.5",
     dhcp4("request", src=OWN, ciaddr=OWN, dst="10.20.0.3", to="02:00:00:00:00:03"))
case("dhcpv4/request-renewing-server-id", "Option 54 must be absent in a renewal; ours is tolerated.",
     "A3; RFC 2131 4.3.2", dhcp4("request", server(GATEWAY), **RENEWING))
case("dhcpv4/request-renewing-other-server", "A renewal that names another server is not for us.",
     "A3; RFC 2131 4.3.2", dhcp4("request", server("10.20.0.99"), **RENEWING))
case("dhcpv4/request-rebinding", "A client extends its lease with whoever hears it.",
     "A1; A4; RFC 2131 4.3.2", dhcp4("request", LINUX_LIST, **REBINDING))
for where, address in (("other-vm", OTHER), ("off-subnet", OFF_SUBNET)):
    case(f"dhcpv4/request-selecting-{where}-nak", "A client asks us for an address that is not its "
         "own.", "A2; A10; RFC 2131 4.3.2",
         dhcp4("request", asked(address), server(GATEWAY), CLIENT_ID, LINUX_LIST))
    case(f"dhcpv4/request-init-reboot-{where}-nak", "A client remembers an address that is not its "
         "own.", "A2; A10; RFC 2131 4.3.2", dhcp4("request", asked(address), CLIENT_ID))
    case(f"dhcpv4/request-renewing-{where}-nak", "A client extends an address that is not its own.",
         "A2; RFC 2131 4.3.2",
         dhcp4("request", src=address, ciaddr=address, dst=GATEWAY, to=GATEWAY_MAC))
    case(f"dhcpv4/request-rebinding-{where}-nak", "A client extends an address that is not its own, "
         "with whoever hears it.", "A2; RFC 2131 4.3.2",
         dhcp4("request", src=address, ciaddr=address))
case("dhcpv4/request-nak-small", "A NAK holds 53, 54, 56 and 61 and nothing that was asked for.",
     "A2; RFC 2131 table 3", dhcp4("request", asked(OTHER), CLIENT_ID, (55, bytes(range(1, 255)))))
case("dhcpv4/inform", "An INFORM is answered at ciaddr, without lease and yiaddr.",
     "A5; RFC 2131 4.3.5", dhcp4("inform", LINUX_LIST, src=OWN, ciaddr=OWN))
case("dhcpv4/inform-own-settings", "A host that set its own address is told the rest.",
     "A5; RFC 2131 4.3.5", dhcp4("inform", LINUX_LIST, src="10.20.0.200", ciaddr="10.20.0.200"))
case("dhcpv4/inform-without-ciaddr", "An INFORM that leaves its address out of ciaddr is answered "
     "where it comes from.", "A5; RFC 2131 4.3.5", dhcp4("inform", src=OWN))
case("dhcpv4/inform-times-asked-for", "An INFORM gets no 51, 58 and 59 even if it asks.",
     "A5; RFC 2131 4.3.5", dhcp4("inform", (55, b"\x33\x3a\x3b\x03"), src=OWN, ciaddr=OWN))
case("dhcpv4/release", "A RELEASE is noted; the next DISCOVER is offered the same address.",
     "A6; RFC 2131 4.3.4",
     dhcp4("release", server(GATEWAY), src=OWN, ciaddr=OWN, dst=GATEWAY, to=GATEWAY_MAC),
     dhcp4("discover"))
case("dhcpv4/release-without-server-id", "Option 54 must be there in a RELEASE and a DECLINE; on a "
     "port with one server it is not missed.", "A6; RFC 2131 table 5",
     dhcp4("release", src=OWN, ciaddr=OWN, dst=GATEWAY, to=GATEWAY_MAC), dhcp4("decline", asked(OWN)))
case("dhcpv4/release-other-server", "A RELEASE to another server is not for us.",
     "A6; RFC 2131 4.3.4", dhcp4("release", server("10.20.0.99"), src=OWN, ciaddr=OWN, dst=GATEWAY))
case("dhcpv4/release-other-address", "A RELEASE of an address that the VM does not hold changes "
     "nothing.", "A6; RFC 2131 4.3.4",
     dhcp4("release", server(GATEWAY), src=OTHER, ciaddr=OTHER, dst=GATEWAY, to=GATEWAY_MAC))
case("dhcpv4/decline", "A DECLINE is noted.", "A6; RFC 2131 4.3.3",
     dhcp4("decline", asked(OWN), server(GATEWAY)))
case("dhcpv4/decline-other-address", "A DECLINE of another VM's address changes nothing.",
     "A6; RFC 2131 4.3.3", dhcp4("decline", asked(OTHER), server(GATEWAY)))
case("dhcpv4/exchange", "A client boots: DISCOVER, REQUEST, renewal, reboot.",
     "A1; RFC 2131 4.4",
     dhcp4("discover", CLIENT_ID, LINUX_LIST, xid=1),
     dhcp4("request", asked(OWN), server(GATEWAY), CLIENT_ID, LINUX_LIST, xid=1),
     dhcp4("request", CLIENT_ID, LINUX_LIST, xid=2, **RENEWING),
     dhcp4("request", asked(OWN), CLIENT_ID, LINUX_LIST, xid=3))
case("dhcpv4/message-from-vm-server", "A VM that acts as a server is noted and not answered.",
     "E6; RFC 7610",
     *(udp4(fixed4(op=2, yiaddr=OTHER, chaddr=OTHER_GUEST)
            + options4((53, bytes([kind])), server(OWN), (51, b"\0\0\x0e\x10")),
            src=OWN, sport=67, dport=68) for kind in (2, 5, 6)))

# Network boot: what firmware sends beside the list of its options.
MACHINE_ID = (97, b"\0" + bytes(range(16)))
# PXE 2.1, table 2-1.
PXE_LIST = (55, bytes([1, 2, 3, 4, 5, 6, 11, 12, 13, 15, 16, 17, 18, 22, 23, 28, 40, 41, 42, 43,
                       50, 51, 54, 58, 59, 60, 66, 67, 128, 129, 130, 131, 132, 133, 134, 135]))
IPXE_LIST = (55, bytes([1, 3, 6, 7, 12, 15, 17, 26, 43, 60, 66, 67, 119, 128, 129, 130, 131, 132,
                        133, 134, 135, 175, 203]))
# Two of iPXE's own: it can HTTP and TFTP.
IPXE_OPTIONS = (175, bytes.fromhex("130101190101"))


def firmware(arch, client="PXEClient"):
    """What a firmware with this architecture sends: 57, 93, 94, 60, 97."""
    return ((57, b"\x05\xc0"), (93, struct.pack("!H", arch)), (94, b"\1\3\x10"),
            (60, f"{client}:Arch:{arch:05}:UNDI:003016".encode()), MACHINE_ID)


def booting(*options, **fields):
    """DISCOVER, then the REQUEST for what is offered."""
    return (dhcp4("discover", *options, **fields),
            dhcp4("request", asked(OWN), server(GATEWAY), *options, **fields))


case("dhcpv4/boot-pxe-bios", "A BIOS is told the server and the file in the fields and in the options "
     "that it lists, and its identifier comes back.",
     "A11; A15; RFC 2132 9.4; RFC 2132 9.5; RFC 4578 2.1; RFC 5071 5",
     *booting(*firmware(0), PXE_LIST), network="boot")
case("dhcpv4/boot-pxe-uefi", "UEFI for x86-64 goes by two numbers; siaddr is the first TFTP server "
     "with an address.", "A11; A15; RFC 4578 2.1; RFC 5859 2",
     *(dhcp4("discover", *firmware(arch), (55, PXE_LIST[1] + bytes([150])))
       for arch in (7, 9)), network="boot")
case("dhcpv4/boot-pxe-two-architectures", "Of a list of architectures one needs to fit.",
     "A15; RFC 4578 2.1",
     dhcp4("discover", (93, b"\0\x1b\0\6"), (60, b"PXEClient"), PXE_LIST), network="boot")
case("dhcpv4/boot-http", "UEFI's HTTP boot is given a URL, and told that the offer is for an "
     "HTTPClient.", "A15; UEFI 24.7", *booting(*firmware(16, "HTTPClient"), PXE_LIST),
     network="boot")
case("dhcpv4/boot-ipxe-user-class", "iPXE's user class is one bare text; a list as in RFC 3004 is "
     "read as well.", "A15; RFC 3004 4",
     *(dhcp4("discover", *firmware(0), (77, user_class), IPXE_LIST)
       for user_class in (b"iPXE", b"\4iPXE", b"\3lab\4iPXE")), network="boot")
case("dhcpv4/boot-ipxe-options", "iPXE is told by its own option 175, and takes a URL where others "
     "take a file.", "A15", *booting(*firmware(0), (77, b"iPXE"), IPXE_OPTIONS, IPXE_LIST),
     network="boot")
case("dhcpv4/boot-no-rule", "A client that no rule fits boots from elsewhere, and is told what is set "
     "by code.", "A15", dhcp4("discover", *firmware(11), PXE_LIST),
     dhcp4("discover", LINUX_LIST), network="boot")
case("dhcpv4/boot-per-vm", "A VM's own rules replace the network's.", "A15",
     dhcp4("discover", *firmware(0), PXE_LIST), network="boot", vm="demo/rescue")
case("dhcpv4/boot-per-vm-none", "A VM with no rules of its own is given nothing to boot.", "A15",
     dhcp4("discover", *firmware(0), PXE_LIST), network="boot", vm="demo/from-disk")
case("dhcpv4/boot-nak", "A NAK names no server and no file.", "A2; A15; RFC 2131 table 3",
     dhcp4("request", asked(OTHER), server(GATEWAY), *firmware(0), PXE_LIST), network="boot")
case("dhcpv4/boot-fields-not-overloaded", "Options that do not fit stay out of a field that holds "
     "what to boot, and are left out.", "A8; A15; RFC 2132 9.3",
     dhcp4("discover", (61, bytes(range(200))), *firmware(0)[1:], PXE_LIST), network="boot")
case("dhcpv4/boot-odd-options", "Architectures of odd length, identifiers of another form and "
     "malformed classes are no reason to be silent.", "A15; E8; RFC 4578 2.1; RFC 3004 4",
     dhcp4("discover", (93, b"\0"), (60, b""), (77, b""), (97, b""), (175, b"")),
     dhcp4("discover", (93, b"\0\7\0"), (77, b"\0\xff"), (97, b"\1" + bytes(16)), PXE_LIST),
     dhcp4("discover", (60, b"x" * 200), (60, b"y" * 200), (77, b"\xc8" + b"z" * 200),
           (77, b"z" * 200)), network="boot")

# --- DHCPv6 ---------------------------------------------------------------------------------------

LINUX_ORO = DHCP6OptOptReq(reqopts=[23, 24, 39, 56, 82])


def opt6(code, value=b""):
    """An option with its value as it is."""
    return struct.pack("!HH", code, len(value)) + value


def client6(duid=CLIENT_DUID):
    return Raw(opt6(1, duid))


def server6(duid=SERVER_DUID):
    return Raw(opt6(2, duid))


def join(layers):
    return b"".join(bytes(layer) for layer in layers)


def udp6(payload, src=GUEST_LL, dst="ff02::1:2", mac=GUEST, to=None, sport=546, dport=547):
    to = to or ("33:33:00:01:00:02" if dst == "ff02::1:2" else GATEWAY_MAC)
    return (Ether(src=mac, dst=to) / IPv6(src=src, dst=dst, hlim=1)
            / UDP(sport=sport, dport=dport) / Raw(bytes(payload)))


def dhcp6(message, *options, src=GUEST_LL, dst="ff02::1:2", xid=0xA5E401):
    return udp6(bytes(message(trid=xid)) + join(options), src, dst)


def client_message(message, *options, **fields):
    """A message with a Client Identifier, and a Server Identifier where one belongs."""
    named = message in (DHCP6_Request, DHCP6_Renew, DHCP6_Release, DHCP6_Decline)
    options = (client6(), *([server6()] if named else []), DHCP6OptElapsedTime(), *options)
    return dhcp6(message, *options, **fields)


def ia_na(iaid=0x12345678, *addresses):
    return DHCP6OptIA_NA(iaid=iaid, T1=0, T2=0, ianaopts=[
        DHCP6OptIAAddress(addr=address, preflft=0, validlft=0) for address in addresses])


def ia_pd(iaid=0x12345678, *prefixes):
    return DHCP6OptIA_PD(iaid=iaid, T1=0, T2=0, iapdopt=[
        DHCP6OptIAPrefix(prefix=prefix, plen=length, preflft=0, validlft=0)
        for prefix, length in prefixes])


case("dhcpv6/solicit", "A Solicit is answered with an Advertise of the VM's address.",
     "B1; B3; B9; E4; RFC 9915 18.3.1", client_message(DHCP6_Solicit, ia_na(), LINUX_ORO))
case("dhcpv6/solicit-rapid-commit", "With Rapid Commit on both sides a Solicit is answered with a "
     "Reply that holds it.", "B7; RFC 9915 18.3.1",
     client_message(DHCP6_Solicit, ia_na(), DHCP6OptRapidCommit()))
case("dhcpv6/solicit-rapid-commit-not-served", "A network without rapid commit answers Rapid Commit "
     "with an Advertise.", "B7; RFC 9915 18.3.1",
     client_message(DHCP6_Solicit, ia_na(), DHCP6OptRapidCommit()), network="reserved")
case("dhcpv6/solicit-iaid-zero", "IAID 0 is an IAID like any other.", "B3; RFC 9915 21.4",
     client_message(DHCP6_Solicit, ia_na(0)))
case("dhcpv6/solicit-several-ias", "The first IA_NA gets the address, further ones NoAddrsAvail, "
     "each under its own IAID.", "B3; RFC 9915 18.3.1",
     client_message(DHCP6_Solicit, ia_na(7), ia_na(8), ia_na(9)))
case("dhcpv6/solicit-prefix-not-served", "An IA_PD where no prefix is delegated says NoPrefixAvail "
     "inside it.", "B3; RFC 9915 18.3.9", client_message(DHCP6_Solicit, ia_na(1), ia_pd(1)))
case("dhcpv6/solicit-temporary", "An IA_TA is left out of the answer.", "B3; RFC 9915 21.5",
     client_message(DHCP6_Solicit, DHCP6OptIA_TA(iaid=3), ia_na(4)))
case("dhcpv6/solicit-no-ia", "A Solicit without any IA is answered with the options.",
     "B1; RFC 9915 18.3.1", client_message(DHCP6_Solicit, LINUX_ORO))
case("dhcpv6/solicit-no-oro", "What was not asked for is not sent.", "B9; RFC 9915 21.7",
     client_message(DHCP6_Solicit, ia_na()))
case("dhcpv6/solicit-oro", "Each option comes if the Option Request option names it.",
     "B9; RFC 9915 21.7", *(client_message(DHCP6_Solicit, ia_na(), DHCP6OptOptReq(reqopts=[code]))
                            for code in (23, 24, 56)))
case("dhcpv6/solicit-portal-and-resolvers", "Option 103 is the URI of the portal's API; option 144 "
     "comes once for each resolver that IPv6 reaches or that has no addresses.",
     "B9; RFC 8910 2.2; RFC 9463 4.1",
     client_message(DHCP6_Solicit, ia_na(), DHCP6OptOptReq(reqopts=[103])),
     client_message(DHCP6_Solicit, ia_na(), DHCP6OptOptReq(reqopts=[144])), network="options")
NAMED6 = DHCP6OptOptReq(reqopts=[17, 21, 22, 29, 41, 59, 60, 64, 74])

case("dhcpv6/solicit-named-options", "What the network sets by name is encoded in the option's own "
     "form; the VM's value replaces the network's.", "B9; RFC 3319 3; RFC 5970 3; RFC 9915 21.17",
     client_message(DHCP6_Solicit, ia_na(), NAMED6),
     client_message(DHCP6_InfoRequest, NAMED6), network="options")
case("dhcpv6/solicit-named-options-of-network", "A VM without an option of its own gets the "
     "network's.", "B9", client_message(DHCP6_Solicit, ia_na(), DHCP6OptOptReq(reqopts=[22])),
     vm="demo/web-2", network="options")
case("dhcpv6/solicit-named-options-not-asked", "What is set by name goes to who asks alone.",
     "B9; RFC 9915 21.7", client_message(DHCP6_Solicit, ia_na()), network="options")
case("dhcpv6/solicit-fqdn", "Option 39 is answered with our name for the VM.", "B9; RFC 4704 6",
     client_message(DHCP6_Solicit, ia_na(), DHCP6OptOptReq(reqopts=[39]), Raw(opt6(39, b"\1" + FQDN))))
case("dhcpv6/solicit-no-address", "A NIC without an address gets its IA empty with NoAddrsAvail.",
     "F3; RFC 9915 18.3.9", client_message(DHCP6_Solicit, ia_na(), LINUX_ORO),
     network="reserved", vm="demo/guest-1")
case("dhcpv6/solicit-stateless", "Where addresses come by SLAAC an IA_NA comes back empty.",
     "F4; RFC 9915 18.3.9", client_message(DHCP6_Solicit, ia_na(), LINUX_ORO), network="stateless")
case("dhcpv6/solicit-other-duids", "Whatever the guest calls itself, the address is the port's.",
     "B3; RFC 9915 11", *(dhcp6(DHCP6_Solicit, client6(duid), ia_na(iaid))
                          for duid, iaid in ((CLIENT_DUID, 1), (b"\0\2\0\0\x01\x37x", 2),
                                             (b"\0\4" + bytes(range(16)), 3), (bytes(130), 4),
                                             (b"\0\3\1", 5))))
case("dhcpv6/solicit-any-link-local", "A link-local address need not be made from the MAC.",
     "B11; RFC 9915 17.1", client_message(DHCP6_Solicit, ia_na(), src="fe80::abc:def:1234:5678"))
case("dhcpv6/solicit-trunk", "On a trunk a frame with the network's tag is answered with the tag.",
     "E3; IEEE 802.1Q 9.6", Marked(client_message(DHCP6_Solicit, ia_na()), "vlan=100"),
     trunk_vlan=100)
case("dhcpv6/solicit-range", "A VM without a reservation gets an address of the range.",
     "B3; RFC 9915 18.3.1", client_message(DHCP6_Solicit, ia_na()), vm="demo/web-2")
case("dhcpv6/solicit-checksum-pending", "A UDP checksum that the kernel says is not filled in yet "
     "is not looked at.", "E3; RFC 8200 8.1",
     Marked(with_checksum(client_message(DHCP6_Solicit, ia_na()), 0x1234), "checksum-pending"))
case("dhcpv6/solicit-small-mtu", "Where the MTU takes no more the IA comes before what else is asked "
     "for.", "B9; RFC 8200 5", client_message(DHCP6_Solicit, ia_na(), LINUX_ORO),
     network="full", mtu=280)
case("dhcpv6/request", "A Request is answered with the address and its lifetimes.",
     "B1; B8; B10; RFC 9915 18.3.2", client_message(DHCP6_Request, ia_na(1, OWN6), LINUX_ORO))
case("dhcpv6/request-other-address", "An address that a Request names is a hint; the VM's own is "
     "given.", "B3; RFC 9915 18.3.2", client_message(DHCP6_Request, ia_na(1, OTHER6)))
case("dhcpv6/renew", "A Renew extends the address.", "B4; B10; RFC 9915 18.3.4",
     client_message(DHCP6_Renew, ia_na(1, OWN6), LINUX_ORO))
case("dhcpv6/renew-other-address", "An address that is not the VM's comes back with lifetimes 0 "
     "beside the right one.", "B4; RFC 9915 18.3.4",
     client_message(DHCP6_Renew, ia_na(1, OTHER6)),
     client_message(DHCP6_Renew, ia_na(1, OTHER6, OWN6)))
case("dhcpv6/renew-several-ias", "Each IA of a Renew is answered under its own IAID.",
     "B3; B4; RFC 9915 18.3.4", client_message(DHCP6_Renew, ia_na(1, OWN6), ia_na(2, OTHER6)))
case("dhcpv6/renew-prefix-not-served", "A prefix that is not the VM's comes back with lifetimes 0.",
     "B4; RFC 9915 18.3.4", client_message(DHCP6_Renew, ia_pd(1, ("2001:db8:9999::", 64))))
PREFIX = ("2001:db8:8000:100::", 56)

case("dhcpv6/prefix", "A router gets the VM's address and its prefix, each under its own IAID, and "
     "keeps both.", "B1; B3; B4; B9; RFC 9915 6.3; RFC 9915 18.3.4",
     client_message(DHCP6_Solicit, ia_na(1), ia_pd(2), LINUX_ORO, xid=1),
     client_message(DHCP6_Request, ia_na(1, OWN6), ia_pd(2, PREFIX), LINUX_ORO, xid=2),
     client_message(DHCP6_Renew, ia_na(1, OWN6), ia_pd(2, PREFIX), LINUX_ORO, xid=3),
     client_message(DHCP6_Rebind, ia_na(1, OWN6), ia_pd(2, PREFIX), LINUX_ORO, xid=4),
     network="delegation")
case("dhcpv6/prefix-alone", "A router may ask for a prefix alone, with Rapid Commit too.",
     "B3; B7; RFC 9915 6.3", client_message(DHCP6_Solicit, ia_pd(9)),
     client_message(DHCP6_Solicit, ia_pd(9), DHCP6OptRapidCommit()), network="delegation")
case("dhcpv6/prefix-hints", "A length or a prefix that a client wishes for changes nothing.",
     "B3; RFC 9915 18.3.1; RFC 9915 21.22",
     client_message(DHCP6_Solicit, ia_pd(1, ("::", 48))),
     client_message(DHCP6_Solicit, ia_pd(1, ("2001:db8:8000:200::", 56), ("::", 0))),
     client_message(DHCP6_Request, ia_pd(1, ("2001:db8:8000:200::", 56))),
     client_message(DHCP6_Renew, ia_pd(1, ("::", 60), PREFIX)), network="delegation")
case("dhcpv6/prefix-several-ias", "The first IA_PD gets the prefix, further ones NoPrefixAvail, each "
     "inside its IA.", "B3; RFC 9915 18.3.9; RFC 9915 21.21",
     client_message(DHCP6_Solicit, ia_pd(1), ia_pd(2), ia_na(3)), network="delegation")
case("dhcpv6/prefix-of-the-pool", "A VM without a reservation gets a prefix of the pool that does not "
     "overlap the subnet, and no address where there is none.", "B3; F3; RFC 9915 6.3",
     client_message(DHCP6_Solicit, ia_na(1), ia_pd(1)), network="delegation", vm="demo/router-2")
case("dhcpv6/prefix-changed", "A prefix that is no longer the VM's comes back with lifetimes 0 beside "
     "the new one.", "B4; RFC 9915 18.3.4; RFC 9915 18.3.5",
     client_message(DHCP6_Renew, ia_pd(1, ("2001:db8:7000::", 56))),
     client_message(DHCP6_Rebind, ia_pd(1, ("2001:db8:7000::", 56))),
     network="delegation", prefix="2001:db8:7000::/56")
case("dhcpv6/prefix-stateless", "Where addresses come by SLAAC an IA_PD is served, and lasts for ever "
     "if the template says so.", "F4; B10; RFC 9915 7.7",
     client_message(DHCP6_Solicit, ia_na(1), ia_pd(2)),
     client_message(DHCP6_Request, ia_pd(2, PREFIX)), network="delegation-stateless")
case("dhcpv6/prefix-release", "A Release of the prefix says Success, one of another NoBinding inside "
     "its IA; the next Solicit is offered the same prefix.", "B6; RFC 9915 18.3.7",
     client_message(DHCP6_Release, ia_pd(2, PREFIX)),
     client_message(DHCP6_Release, ia_pd(1, PREFIX), ia_pd(2, ("2001:db8:9999::", 56))),
     client_message(DHCP6_Solicit, ia_pd(2)), network="delegation")
case("dhcpv6/confirm-prefix", "A Confirm is about addresses; one of a prefix alone is not answered.",
     "B5; RFC 9915 18.3.3", client_message(DHCP6_Confirm, ia_pd(1, PREFIX)), network="delegation")
case("dhcpv6/two-messages-two-iaids", "One client that asks twice, each time under another IAID, gets "
     "the same address both times, as network boot and the system after it do.",
     "B3; RFC 9915 12", client_message(DHCP6_Solicit, ia_na(0x11), xid=1),
     client_message(DHCP6_Request, ia_na(0x11, OWN6), xid=2),
     client_message(DHCP6_Solicit, ia_na(0x22), xid=3),
     client_message(DHCP6_Request, ia_na(0x22, OWN6), xid=4))
case("dhcpv6/rebind", "A Rebind extends the address.", "B4; RFC 9915 18.3.5",
     client_message(DHCP6_Rebind, ia_na(1, OWN6), LINUX_ORO))
case("dhcpv6/rebind-other-address", "An address that is not the VM's comes back with lifetimes 0 "
     "beside the right one.", "B4; RFC 9915 18.3.5",
     client_message(DHCP6_Rebind, ia_na(1, "2001:db8:dead::1")))
case("dhcpv6/confirm", "A Confirm of the VM's address says Success, and holds no IA.",
     "B5; RFC 9915 18.3.3", client_message(DHCP6_Confirm, ia_na(1, OWN6)))
case("dhcpv6/confirm-off-link", "A Confirm of an address of another link says NotOnLink.",
     "B5; RFC 9915 18.3.3", client_message(DHCP6_Confirm, ia_na(1, "2001:db8:dead::1")))
case("dhcpv6/confirm-other-address", "A Confirm of another VM's address says NotOnLink.",
     "B5; RFC 9915 18.3.3", client_message(DHCP6_Confirm, ia_na(1, OTHER6)),
     client_message(DHCP6_Confirm, ia_na(1, OWN6), ia_na(2, OTHER6)))
case("dhcpv6/confirm-without-address", "A Confirm that holds no address gets no answer.",
     "B5; RFC 9915 18.3.3", client_message(DHCP6_Confirm, ia_na(1)))
case("dhcpv6/release", "A Release says Success; the next Solicit is offered the same address.",
     "B6; RFC 9915 18.3.7", client_message(DHCP6_Release, ia_na(1, OWN6)),
     client_message(DHCP6_Solicit, ia_na(1)))
case("dhcpv6/release-unknown-ia", "A Release of an address that the VM never had changes nothing.",
     "B6; RFC 9915 18.3.7", client_message(DHCP6_Release, ia_na(1, OTHER6)))
case("dhcpv6/decline", "A Decline says Success and is noted.", "B6; RFC 9915 18.3.8",
     client_message(DHCP6_Decline, ia_na(1, OWN6)))
case("dhcpv6/decline-other-address", "A Decline of another VM's address changes nothing.",
     "B6; RFC 9915 18.3.8", client_message(DHCP6_Decline, ia_na(1, OTHER6)))
case("dhcpv6/information-request", "An Information-request gets what it asks for and no address.",
     "B1; B9; RFC 9915 18.3.6",
     client_message(DHCP6_InfoRequest, DHCP6OptOptReq(reqopts=[23, 24, 32, 56])))
case("dhcpv6/information-request-stateless", "Where addresses come by SLAAC, DHCPv6 gives the rest.",
     "F4; B9; RFC 9915 18.3.6",
     client_message(DHCP6_InfoRequest, DHCP6OptOptReq(reqopts=[23, 24, 32, 56])),
     network="stateless")
case("dhcpv6/information-request-anonymous", "An Information-request needs no Client Identifier.",
     "B2; RFC 9915 16.12", dhcp6(DHCP6_InfoRequest, DHCP6OptOptReq(reqopts=[23])))
case("dhcpv6/information-request-no-address", "A NIC without an address is told the rest.",
     "F3; RFC 9915 18.3.6", client_message(DHCP6_InfoRequest, LINUX_ORO),
     network="reserved", vm="demo/guest-1")
case("dhcpv6/exchange", "A client boots: Solicit, Request, Renew, Confirm.",
     "B1; RFC 9915 18.2", client_message(DHCP6_Solicit, ia_na(1), LINUX_ORO, xid=1),
     client_message(DHCP6_Request, ia_na(1, OWN6), LINUX_ORO, xid=2),
     client_message(DHCP6_Renew, ia_na(1, OWN6), LINUX_ORO, xid=3),
     client_message(DHCP6_Confirm, ia_na(1, OWN6), xid=4))


def classes6(*classes):
    """Texts, each behind its length of two bytes (RFC 9915, sections 21.15 and 21.16)."""
    return b"".join(struct.pack("!H", len(one)) + one for one in classes)


def firmware6(arch, client="PXEClient"):
    """What a firmware with this architecture sends: 6, 16, 61, 62 (RFC 5970; UEFI 2.10, 24)."""
    vendor = f"{client}:Arch:{arch:05}:UNDI:003016".encode()
    return (Raw(opt6(6, struct.pack("!4H", 59, 60, 23, 16)) + opt6(61, struct.pack("!H", arch))
                + opt6(62, b"\1\3\x10") + opt6(16, struct.pack("!I", 343) + classes6(vendor))),)


IPXE6 = (Raw(opt6(6, struct.pack("!4H", 23, 24, 59, 60)) + opt6(61, b"\0\7")
             + opt6(15, classes6(b"iPXE"))),)

case("dhcpv6/boot-pxe-uefi", "UEFI for x86-64 is given a URL, and what the file is called with.",
     "B9; RFC 5970 3.1; RFC 5970 3.2", client_message(DHCP6_Solicit, ia_na(1), *firmware6(7)),
     client_message(DHCP6_Request, ia_na(1, OWN6), *firmware6(9)),
     client_message(DHCP6_InfoRequest, *firmware6(7)), network="boot-ipv6")
case("dhcpv6/boot-two-ias", "A firmware that names two IAs in one message gets the address once.",
     "B3; B9", client_message(DHCP6_Solicit, ia_na(1), ia_na(2), *firmware6(7)), network="boot-ipv6")
case("dhcpv6/boot-http", "UEFI's HTTP boot is told that the offer is for an HTTPClient.",
     "B9; RFC 9915 21.16; UEFI 24.7",
     client_message(DHCP6_Solicit, ia_na(1), *firmware6(16, "HTTPClient")), network="boot-ipv6")
case("dhcpv6/boot-ipxe", "iPXE is known by its user class.", "B9; RFC 9915 21.15",
     client_message(DHCP6_Solicit, ia_na(1), *IPXE6), network="boot-ipv6")
case("dhcpv6/boot-not-asked", "A client that does not ask for a boot file is told of none.",
     "B9; RFC 9915 21.7", client_message(DHCP6_Solicit, ia_na(1), Raw(opt6(61, b"\0\7"))),
     network="boot-ipv6")
case("dhcpv6/boot-no-rule", "A client that no rule fits is told what is set by code; one whose rule "
     "has no URL that IPv6 reaches too.", "B9; RFC 5970 3.1",
     client_message(DHCP6_Solicit, ia_na(1), *firmware6(11)),
     client_message(DHCP6_Solicit, ia_na(1), DHCP6OptOptReq(reqopts=[59]),
                    Raw(opt6(15, classes6(b"x", b"lab-7")))), network="boot-ipv6")
case("dhcpv6/boot-odd-options", "Malformed classes and architectures fit no rule, and are no reason to "
     "be silent.", "B9; E8", client_message(DHCP6_Solicit, ia_na(1), Raw(
         opt6(61, b"\0") + opt6(15, b"\xff\xff") + opt6(16, b"\0\0"))),
     client_message(DHCP6_Solicit, ia_na(1), DHCP6OptOptReq(reqopts=[59]), Raw(
         opt6(61, b"") + opt6(15, b"") + opt6(16, b"") + opt6(16, b"\0\0\1\x57\0\x0aHTTPClien"))),
     network="boot-ipv6")
case("dhcpv6/max-rt", "SOL_MAX_RT and INF_MAX_RT come if they are asked for.",
     "B9; RFC 9915 21.24; RFC 9915 21.25",
     client_message(DHCP6_Solicit, ia_na(1), DHCP6OptOptReq(reqopts=[82, 83])),
     client_message(DHCP6_InfoRequest, DHCP6OptOptReq(reqopts=[83])),
     client_message(DHCP6_Solicit, ia_na(1)), network="boot-ipv6")


def address_registration(address, *options, src=None, ids=None, preferred=1800, valid=3600):
    """An ADDR-REG-INFORM (RFC 9686, section 4.2)."""
    body = ipaddress.IPv6Address(address).packed + struct.pack("!II", preferred, valid)
    return udp6(b"\x24\1\2\3" + join(ids if ids is not None else [client6()]) + opt6(5, body)
                + b"".join(options), src=src or address)


OWN_MADE = "2001:db8:20:0:5054:ff:fe12:3456"

case("dhcpv6/registration", "An address that a guest made for itself is registered: its own option "
     "comes back, to that address.", "B1; RFC 9686 4.2.1; RFC 9686 4.3",
     address_registration(OWN_MADE), address_registration(OWN_MADE, preferred=0, valid=0),
     address_registration(OWN_MADE, preferred=0xffffffff, valid=0xffffffff), network="stateless")
case("dhcpv6/registration-prefixes", "It may lie in any prefix that is on the link, or in the one that "
     "is delegated to the guest.", "B1; RFC 9686 4.2.1",
     address_registration("2001:db8:20::abcd"),
     address_registration("2001:db8:8000:1ff::1"), network="delegation")
case("dhcpv6/registration-further-prefix", "A further prefix of the advertisement counts if it is on "
     "the link.", "B1; RFC 9686 4.2.1", address_registration("2001:db8:21::1"),
     address_registration("2001:db8:22::1"), network="boot-ipv6")
case("dhcpv6/registration-enabled", "Option 148 says that registrations are taken, to clients that ask.",
     "B9; RFC 9686 4.1", client_message(DHCP6_Solicit, ia_na(1), DHCP6OptOptReq(reqopts=[148])),
     client_message(DHCP6_InfoRequest, DHCP6OptOptReq(reqopts=[148])),
     client_message(DHCP6_InfoRequest), network="stateless")
case("dhcpv6/registration-binds-nobody", "Whatever is registered, the address of the lease is given.",
     "B1; B3; RFC 9686 4.2.1", address_registration("2001:db8:20::77"),
     client_message(DHCP6_Solicit, ia_na(1)))
case("dhcpv6/message-from-vm-server", "A VM that acts as a server is noted and not answered.",
     "E6; RFC 7610",
     *(udp6(bytes(message(trid=1)) + join([client6(), server6(OTHER_DUID), ia_na(1, OTHER6)]),
            dst="fe80::77", sport=547, dport=546) for message in (DHCP6_Advertise, DHCP6_Reply)))

# --- Neighbor Discovery ---------------------------------------------------------------------------


def solicited_node(address):
    """RFC 4291, section 2.7.1, and the MAC of RFC 2464, section 7."""
    packed = ipaddress.ip_address(address).packed[-3:]
    group = f"ff02::1:ff{packed[0]:02x}:{packed[1]:02x}{packed[2]:02x}"
    return group, "33:33:ff:" + packed.hex(":")


def nd(message, *options, src=GUEST_LL, dst="ff02::2", to=None, hlim=255, mac=GUEST):
    to = to or ("33:33:00:00:00:02" if dst == "ff02::2" else "33:33:00:00:00:01")
    packet = Ether(src=mac, dst=to) / IPv6(src=src, dst=dst, hlim=hlim) / message
    for option in options:
        packet = packet / option
    return packet


def ask(target, *options, src=GUEST_LL, **fields):
    group, to = solicited_node(target)
    return nd(ICMPv6ND_NS(tgt=target), *options, src=src, **{"dst": group, "to": to, **fields})


SLLA = ICMPv6NDOptSrcLLAddr(lladdr=GUEST)

case("nd/rs-stateful", "Where DHCPv6 gives addresses the RA says M and O, and no A.",
     "C1; C2; E4; F3; RFC 4861 6.2.6", nd(ICMPv6ND_RS(), SLLA))
case("nd/rs-stateless", "Where SLAAC gives addresses and DHCPv6 the rest the RA says O and A.",
     "C1; C2; F4; RFC 4861 6.2.6", nd(ICMPv6ND_RS(), SLLA), network="stateless")
case("nd/rs-slaac", "Where there is SLAAC alone the RA says A.", "C1; C2; F4; RFC 4861 6.2.6",
     nd(ICMPv6ND_RS(), SLLA), network="slaac")
case("nd/rs-no-address", "A NIC without an address is not sent to DHCPv6 for one.",
     "C2; F3; RFC 4861 6.2.6", nd(ICMPv6ND_RS(), SLLA), network="reserved", vm="demo/guest-1")
case("nd/rs-everything", "The RA holds all that the network sets.",
     "C2; RFC 4191 2.3; RFC 8106 5", nd(ICMPv6ND_RS(), SLLA),
     network="full")
case("nd/rs-portal-and-resolvers", "The RA names the portal's API, and each resolver that IPv6 "
     "reaches or that has no addresses.", "C2; RFC 8910 2.3; RFC 9463 6.1", nd(ICMPv6ND_RS(), SLLA),
     network="options")
case("nd/rs-router", "The RA holds three routes and four prefixes, each with its own lifetimes and "
     "flags, and the prefix of a NAT64.", "C2; F4; RFC 4191 2.3; RFC 4861 4.6.2; RFC 8781 4",
     nd(ICMPv6ND_RS(), SLLA), network="router")
case("nd/rs-options-left-out", "What does not fit into the port's MTU is left out, the least needed "
     "first, and this is noted.", "C2; RFC 4861 6.2.3", nd(ICMPv6ND_RS(), SLLA), network="router",
     mtu=500)
case("nd/rs-destinations", "A solicitation may go to all routers, to all nodes, or to the router "
     "itself.", "C1; RFC 4861 6.1.1", nd(ICMPv6ND_RS(), SLLA),
     nd(ICMPv6ND_RS(), SLLA, dst="ff02::1"), nd(ICMPv6ND_RS(), SLLA, dst=GATEWAY_LL, to=GATEWAY_MAC))
case("nd/rs-from-global", "A solicitation is answered at whichever address it comes from.",
     "C1; RFC 4861 4.1", nd(ICMPv6ND_RS(), SLLA, src=OWN6))
case("nd/rs-privacy-address", "A link-local address that is not made from the MAC is served.",
     "B11; C1; RFC 7217", nd(ICMPv6ND_RS(), SLLA, src="fe80::8d3c:11f2:7ab0:5e19"))
case("nd/rs-checksum-pending", "An ICMPv6 checksum that the kernel says is not filled in yet is not "
     "looked at.", "C1; E3", Marked(patched(nd(ICMPv6ND_RS(), SLLA), 56, 0x12, 0x34),
                                   "checksum-pending"))
case("nd/rs-sixteen-options", "As many options as are walked.", "C1; E8",
     nd(ICMPv6ND_RS(), SLLA, Raw((b"\xfd\x01" + bytes(6)) * 15)))
case("nd/rs-trunk", "On a trunk the RA has the network's tag.", "C1; E3",
     Marked(nd(ICMPv6ND_RS(), SLLA), "vlan=100"), trunk_vlan=100)
case("nd/rs-without-link-layer-address", "A solicitation with a source, and no source link-layer "
     "address, is answered there.", "C1; RFC 4861 6.1.1", nd(ICMPv6ND_RS()))
case("nd/rs-unspecified", "A guest without an address is answered at ff02::1, and at its own MAC.",
     "C1; RFC 4861 6.2.6; RFC 6085", nd(ICMPv6ND_RS(), src="::"))
case("nd/rs-unknown-option", "An option that nobody knows is walked over.", "C1; RFC 4861 6.1.1",
     nd(ICMPv6ND_RS(), SLLA, Raw(b"\xfd\x01" + bytes(6)), Raw(b"\x0e\x02" + bytes(14))))
case("nd/rs-without-gateway", "A network without a router says so by a router lifetime of 0.",
     "C2; RFC 4861 6.2.3", nd(ICMPv6ND_RS(), SLLA), network="reserved")
case("nd/ns-gateway", "A question for the gateway's MAC is answered with its advertisement.",
     "C5; RFC 4861 7.2.4", ask(GATEWAY_LL, SLLA))
case("nd/ns-gateway-unicast", "The gateway answers a probe of reachability.",
     "C5; RFC 4861 7.2.4", ask(GATEWAY_LL, dst=GATEWAY_LL, to=GATEWAY_MAC))
case("nd/ns-gateway-from-global", "The gateway answers whichever address the guest asks from.",
     "C5; RFC 4861 7.2.4", ask(GATEWAY_LL, SLLA, src=OWN6))
case("nd/ns-dad-gateway", "A guest that wants the gateway's address is told that it is taken.",
     "C5; RFC 4862 5.4.4", ask(GATEWAY_LL, src="::"))
case("nd/ns-dad-own", "A probe for the VM's own address is left alone.", "C5; RFC 4862 5.4",
     ask(OWN6, src="::"))
case("nd/ns-dad-own-link-local", "A probe for the guest's own link-local address is left alone.",
     "C5; RFC 4862 5.4", ask(GUEST_LL, src="::"))
case("nd/ns-dad-nonce", "A probe with a nonce is answered as any other.", "C5; RFC 7527 4.2",
     ask(GATEWAY_LL, Raw(b"\x0e\x01" + bytes(range(6))), src="::"))
case("nd/ns-server-address", "Where there is no gateway, our own address is answered for: nobody else "
     "would.", "C5; RFC 4861 7.2.4", ask("fe80::858:aff:fe14:2", SLLA), network="reserved")
case("nd/ns-other", "A question for another VM is not ours to answer.", "C5; RFC 4861 7.2.4",
     ask(OTHER6, SLLA, src=OWN6))
case("nd/ns-gateway-left-alone", "A network that names no gateway MAC leaves the router alone.",
     "C5; RFC 4861 7.2.4", ask("fe80::2", SLLA), network="reserved")
case("nd/na-unsolicited", "An unsolicited advertisement shows that the VM has come.",
     "D3; RFC 4861 7.2.6",
     nd(ICMPv6ND_NA(R=0, S=0, O=1, tgt=OWN6), ICMPv6NDOptDstLLAddr(lladdr=GUEST), src=OWN6,
        dst="ff02::1"))
case("nd/na-solicited", "An answer to somebody's question says nothing to us.", "D3; RFC 4861 7.2.5",
     nd(ICMPv6ND_NA(R=0, S=1, O=1, tgt=OWN6), ICMPv6NDOptDstLLAddr(lladdr=GUEST), src=OWN6,
        dst=GATEWAY_LL, to=GATEWAY_MAC))
case("nd/ra-from-vm", "A VM that acts as a router is noted and not answered.", "E6; RFC 6105",
     nd(ICMPv6ND_RA(), SLLA, dst="ff02::1"))

# --- ARP ------------------------------------------------------------------------------------------


def arp(op, src_ip, dst_ip, mac=GUEST, to=ALL, sender=None, target="00:00:00:00:00:00"):
    return (Ether(src=mac, dst=to)
            / ARP(op=op, hwsrc=sender or mac, psrc=src_ip, hwdst=target, pdst=dst_ip))


def rarp(sender=GUEST, mac=GUEST):
    frame = arp(3, "0.0.0.0", "0.0.0.0", mac=mac, sender=sender, target=sender)
    frame.type = 0x8035
    return Ether(bytes(frame).ljust(60, b"\0"))


case("arp/gateway", "A question for the gateway's MAC is answered.", "C5; RFC 826",
     arp(1, OWN, GATEWAY))
case("arp/gateway-padded", "Padding to 60 bytes is no part of the packet.", "C5; RFC 894",
     Ether(bytes(arp(1, OWN, GATEWAY)).ljust(60, b"\0")))
case("arp/gateway-left-alone", "A network that names no gateway MAC leaves the router alone, and "
     "answers for the server's address.", "C5; RFC 826", arp(1, OWN, GATEWAY),
     arp(1, OWN, "10.20.0.2"), network="host-mask")
case("arp/probe-gateway", "A guest that wants the gateway's address is told that it is taken.",
     "C5; RFC 5227 2.1.1", arp(1, "0.0.0.0", GATEWAY))
case("arp/probe-own", "A probe for the VM's own address is left alone, so that it passes.",
     "A17; RFC 5227 2.1.1", arp(1, "0.0.0.0", OWN))
case("arp/gateway-unicast", "The gateway answers a guest that checks whether it is there.",
     "C5; RFC 1122 2.3.2.1", arp(1, OWN, GATEWAY, to=GATEWAY_MAC, target=GATEWAY_MAC))
case("arp/probe-server", "A guest that wants the server's address is told that it is taken.",
     "C5; RFC 5227 2.1.1", arp(1, "0.0.0.0", "10.20.0.2"), network="host-mask")
case("arp/other", "A question for another VM is not ours to answer.", "C5; RFC 826",
     arp(1, OWN, OTHER))
case("arp/gratuitous", "A gratuitous ARP, as request or as reply, shows that the VM has come.",
     "D3; RFC 5227 3", arp(1, OWN, OWN), arp(2, OWN, OWN, target=GUEST))
case("arp/rarp", "A hypervisor announces a VM that has migrated by RARP.", "D3; RFC 903", rarp())
case("arp/reply", "A reply to somebody's question says nothing to us.", "D3; RFC 826",
     arp(2, OWN, OTHER, to=OTHER_GUEST, target=OTHER_GUEST))

# --- Pings ----------------------------------------------------------------------------------------


def ping4(body=b"abcdefgh", src=OWN, dst=GATEWAY, **fields):
    return (Ether(src=GUEST, dst=GATEWAY_MAC) / IP(src=src, dst=dst, id=1, **fields)
            / ICMP(id=7, seq=1) / Raw(body))


def ping6(body=b"abcdefgh", src=GUEST_LL, dst=GATEWAY_LL):
    return (Ether(src=GUEST, dst=GATEWAY_MAC) / IPv6(src=src, dst=dst, hlim=64)
            / ICMPv6EchoRequest(id=7, seq=1, data=body))


case("echo/gateway", "Where the template has answer-ping the gateway answers echo requests of both "
     "families, whatever they hold.", "C5; RFC 792; RFC 4443 4.2", ping4(), ping6(),
     ping6(src=OWN6), ping4(b""), ping6(b""), ping4(bytes(range(256)) * 5), network="router")
case("echo/gateway-without-answer-ping", "Without answer-ping a ping that reaches us is not "
     "answered.", "C5; E1", ping4(), ping6())
case("echo/other", "A ping to anybody else is not ours to answer.", "C5; RFC 1122 3.2.2.6",
     ping4(dst=OTHER), ping4(dst="192.0.2.1"), ping4(dst="255.255.255.255"), ping6(dst=OTHER6),
     ping6(dst="ff02::1"), network="router")
# --- Live migration ------------------------------------------------------------------------------

GARP = arp(1, OWN, OWN)
NA = nd(ICMPv6ND_NA(R=0, S=0, O=1, tgt=OWN6), ICMPv6NDOptDstLLAddr(lladdr=GUEST), src=OWN6,
        dst="ff02::1")
RENEW4 = dhcp4("request", **RENEWING)
RENEW6 = client_message(DHCP6_Renew, ia_na(1, OWN6))
AT_ONCE = After("0s")
MIGRATION = {"network": "migration", "mac": GUEST}

case("arrival/rarp", "A VM that a hypervisor announces by RARP is told of the gateway, the server, our "
     "router and the routers that are no more: at once and after 1, 3 and 7 s.",
     "D3; D4; RFC 903; RFC 5227 2.3; RFC 4861 7.2.6; RFC 4861 6.2.5",
     rarp(), AT_ONCE, After("1s"), After("1s"), After("1s"), After("4s"), After("60s"), **MIGRATION)
case("arrival/rarp-repeated", "QEMU announces a VM several times; that is one arrival.", "D3; RFC 903",
     rarp(), AT_ONCE, rarp(), rarp(), AT_ONCE, After("12s"), rarp(), AT_ONCE, **MIGRATION)
for kind, first in (("gratuitous-arp", GARP), ("unsolicited-na", NA), ("rs", nd(ICMPv6ND_RS(), SLLA)),
                    ("discover", dhcp4("discover")),
                    ("solicit", client_message(DHCP6_Solicit, ia_na()))):
    case(f"arrival/{kind}", "It shows that the VM has come, and the VM is told.", "D3; D4",
         first, AT_ONCE, first, AT_ONCE, **MIGRATION)
case("arrival/renewals", "A VM that has moved here is answered as if it had always been here, and told "
     "of the gateway after its first frame alone.", "D3; D4; D5; RFC 2131 4.3.2; RFC 9915 18.3.4",
     RENEW4, AT_ONCE, RENEW6, AT_ONCE, network="dual-stack", mac=GUEST)
case("arrival/reboot", "A VM that boots again where it moved to gets what it had.",
     "D3; D5; RFC 2131 4.3.2", dhcp4("request", asked(OWN)), AT_ONCE, network="dual-stack", mac=GUEST)
case("arrival/router-left-alone", "Without the gateway's MAC nobody speaks for the gateway: the guest "
     "hears of routers alone.", "D4", rarp(), AT_ONCE, network="migration-router", mac=GUEST)
case("arrival/trunk", "On a trunk the announcements carry the guest's tag.", "D4; IEEE 802.1Q 9.6",
     Marked(rarp(), "vlan=100"), AT_ONCE, trunk_vlan=100, **MIGRATION)
case("arrival/small-outbox", "What finds no room goes with the next outbox; no reply is pushed out.",
     "D4; E1", dhcp4("discover"), AT_ONCE, outbox=1, **MIGRATION)
case("arrival/other-mac", "Who speaks with another MAC than the port's, or for one, makes nobody arrive.",
     "D3; E2", rarp(mac=OTHER_GUEST, sender=OTHER_GUEST), AT_ONCE, rarp(sender=OTHER_GUEST), AT_ONCE,
     arp(1, OWN, OWN, mac=OTHER_GUEST), arp(1, OWN, OWN, sender=OTHER_GUEST), AT_ONCE, rarp(), AT_ONCE,
     **MIGRATION)
case("arrival/as-gateway", "A VM that announces the gateway's address makes nobody arrive.", "D3; C5",
     arp(2, GATEWAY, GATEWAY, target=GUEST), AT_ONCE, **MIGRATION)

# --- Hostile frames -------------------------------------------------------------------------------


DISCOVER = dhcp4("discover")
SOLICIT = client_message(DHCP6_Solicit, ia_na())
RS = nd(ICMPv6ND_RS(), SLLA)


def ipv6(*layers, dst="ff02::1:2"):
    frame = Ether(src=GUEST, dst="33:33:00:01:00:02") / IPv6(src=GUEST_LL, dst=dst, hlim=1)
    for layer in layers:
        frame = frame / layer
    return frame


def nested(depth, code=4, header=b"\0\0\0\1"):
    """IA_TA in IA_TA, `depth` deep, each as long as it says."""
    body = b""
    for _ in range(depth):
        body = opt6(code, header + body)
    return body


def claimed(total, cut, header=b"\0\0\0\1"):
    """The first `cut` bytes of IA_TA in IA_TA that together say that they are `total` bytes long."""
    body = b""
    left = total
    while len(body) < cut and left > 8:
        left -= 4
        body += struct.pack("!HH", 4, left) + header
        left -= 4
    return body[:cut]


# 1. Frame and link.
case("hostile/frame-longer-than-mtu", "A frame that the port's MTU does not allow.",
     "E3", raw4(options4((53, b"\1")).ljust(400, b"\0")), mtu=576)
case("hostile/frame-cut", "A frame that the receive buffer cut.", "E3; packet(7)",
     Marked(DISCOVER, "truncated"))
case("hostile/frame-jumbo", "A jumbogram (RFC 2675).", "E3; RFC 2675 3; RFC 7112 5",
     Ether(src=GUEST, dst="33:33:00:01:00:02")
     / IPv6(src=GUEST_LL, dst="ff02::1:2", plen=0, nh=0)
     / IPv6ExtHdrHopByHop(nh=17, options=[Jumbo(jumboplen=70_000)]) / Raw(bytes(100)),
     patched(SOLICIT, 18, 0, 0))
case("hostile/frame-runt", "Frames that end within a header: Ethernet, IPv4, UDP, IPv6, ARP.",
     "E3; E8; RFC 894", *(Marked(bytes(frame)[:length]) for frame, length in (
         (DISCOVER, 0), (DISCOVER, 13), (DISCOVER, 14), (DISCOVER, 33), (DISCOVER, 41),
         (SOLICIT, 53), (SOLICIT, 61), (arp(1, OWN, GATEWAY), 41), (RS, 57))))
case("hostile/frame-cut-payload", "Frames shorter than their IP header says.", "E3; E8; RFC 791",
     bytes(DISCOVER)[:-1], bytes(SOLICIT)[:-1], bytes(RS)[:-1])
case("hostile/frame-vlan", "Tags in the frame, one and two deep.", "E3; IEEE 802.1Q 9.6",
     Ether(src=GUEST, dst=ALL) / Dot1Q(vlan=100) / DISCOVER[IP],
     Ether(src=GUEST, dst=ALL) / Dot1AD(vlan=7) / Dot1Q(vlan=100) / DISCOVER[IP],
     Ether(src=GUEST, dst=ALL) / Dot1Q(vlan=7) / Dot1Q(vlan=100) / DISCOVER[IP])
case("hostile/frame-vlan-taken-out", "Tags that the kernel took out, on an access port; a priority "
     "tag too.", "E3; packet(7)", Marked(DISCOVER, "vlan=100"), Marked(DISCOVER, "vlan=0"),
     Marked(DISCOVER, "vlan=57344"))
case("hostile/frame-vlan-on-trunk", "On a trunk: another tag, none, a tag in the frame beside the "
     "right one.", "E3; packet(7)", Marked(DISCOVER, "vlan=101"), DISCOVER,
     Marked(Ether(src=GUEST, dst=ALL) / Dot1Q(vlan=7) / DISCOVER[IP], "vlan=100"), trunk_vlan=100)
case("hostile/frame-group-source", "A source MAC that is a group, or zero, even with the same chaddr.",
     "E2; IEEE 802.3 3.2.3", dhcp4("discover", mac="01:00:5e:00:00:01"), dhcp4("discover", mac=ALL),
     dhcp4("discover", mac="00:00:00:00:00:00"))
case("hostile/frame-other-source", "A source MAC other than the port's, in every protocol.",
     "E2; RFC 2131 2", dhcp4("discover", mac=OTHER_GUEST),
     udp6(bytes(SOLICIT[UDP].payload), mac=OTHER_GUEST), nd(ICMPv6ND_RS(), mac=OTHER_GUEST),
     arp(1, OWN, GATEWAY, mac=OTHER_GUEST), rarp(mac=OTHER_GUEST, sender=OTHER_GUEST), mac=GUEST)
case("hostile/flood", "What is over the port's rate is not looked at.", "E5",
     DISCOVER, DISCOVER, DISCOVER, rate=[1, 2])
case("hostile/outbox-full", "Where no reply can be sent the client asks again.", "E1", DISCOVER,
     SOLICIT, RS, arp(1, OWN, GATEWAY), outbox=0)
case("hostile/not-for-us", "Protocols and ports that the socket filter lets through by mistake.",
     "E1; E3",
     Ether(src=GUEST, dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(bytes(46)),
     Ether(src=GUEST, dst=ALL) / IP(src=OWN, dst=GATEWAY, id=1) / TCP(sport=68, dport=67),
     Ether(src=GUEST, dst=ALL) / IP(src=OWN, dst=GATEWAY, id=1) / UDP(sport=5353, dport=53) / b"?",
     udp6(b"?", sport=5353, dport=5353),
     nd(ICMPv6EchoRequest(), dst="ff02::1"))
case("hostile/server-on-other-port", "Clients do not look at a server's source port, so a VM that "
     "acts as one is noted whatever port it sends from.", "E6; RFC 7610",
     udp4(fixed4(op=2, yiaddr=OTHER, chaddr=OTHER_GUEST)
          + options4((53, b"\2"), server(OWN), (51, b"\0\0\x0e\x10")),
          src=OWN, sport=1067, dport=68),
     udp6(bytes(DHCP6_Advertise(trid=1)) + join([client6(), server6(OTHER_DUID), ia_na(1, OTHER6)]),
          dst="fe80::77", sport=1547, dport=546))
case("hostile/reply-longer-than-mtu", "A port whose MTU takes no reply.", "A8; RFC 791",
     raw4(options4((53, b"\1"))), SOLICIT, mtu=280, network="full")
case("hostile/nd-longer-than-mtu", "A port whose MTU takes not even an advertisement's header.",
     "C2; RFC 4861 6.2.3", nd(ICMPv6ND_RS()), mtu=50, network="full")

case("hostile/frame-own-answers", "Our own answers, when they come back to us, are not answered.",
     "E3; E6; RFC 2131 4.1",
     udp4(fixed4(op=2, yiaddr=OWN) + options4((53, b"\2"), server(GATEWAY)), src=GATEWAY, dst=OWN,
          mac=GATEWAY_MAC, to=GUEST, sport=67, dport=68),
     udp6(bytes(DHCP6_Advertise(trid=1)) + join([client6(), server6()]), src=GATEWAY_LL, dst=GUEST_LL,
          mac=GATEWAY_MAC, to=GUEST, sport=547, dport=546),
     nd(ICMPv6ND_RA(), src=GATEWAY_LL, dst="ff02::1", mac=GATEWAY_MAC),
     nd(ICMPv6ND_NA(R=1, S=1, O=1, tgt=GATEWAY_LL), src=GATEWAY_LL, dst=GUEST_LL, to=GUEST,
        mac=GATEWAY_MAC),
     arp(2, GATEWAY, OWN, mac=GATEWAY_MAC, to=GUEST, target=GUEST))

# 2. IP, UDP, ICMPv6.
case("hostile/ipv4-bad-header", "Wrong versions and lengths.", "E3; RFC 791 3.1",
     patched(DISCOVER, 14, 0x65), patched(DISCOVER, 14, 0x44), patched(DISCOVER, 16, 0, 19),
     patched(DISCOVER, 16, 0xff, 0xff))
case("hostile/ipv4-options", "IPv4 options, which no DHCP client sends.", "E3; RFC 7126",
     Ether(src=GUEST, dst=ALL)
     / IP(src="0.0.0.0", dst="255.255.255.255", id=1, options=[IPOption(b"\x94\x04\0\0")])
     / DISCOVER[UDP].copy())
case("hostile/ipv4-fragments", "A first, a middle and a last fragment.", "E3; RFC 791 3.2",
     *(Ether(src=GUEST, dst=ALL) / IP(src="0.0.0.0", dst="255.255.255.255", id=1, flags=flags,
                                      frag=offset, proto=17) / Raw(bytes(DISCOVER[UDP]))
       for flags, offset in (("MF", 0), ("MF", 20), (0, 20))))
case("hostile/ipv4-checksums", "A wrong IPv4 header checksum, pending or not, and a wrong UDP "
     "checksum.", "E3; RFC 791; RFC 768", patched(DISCOVER, 24, 0xde, 0xad),
     Marked(patched(DISCOVER, 24, 0xde, 0xad), "checksum-pending"),
     patched(DISCOVER, 40, 0xde, 0xad))
case("hostile/udp-lengths", "UDP lengths: shorter than a header, than the packet, longer.",
     "E3; E8; RFC 768",
     *(Marked(patched(DISCOVER, 38, *struct.pack("!H", length)), "checksum-pending")
       for length in (0, 7, 100, 1_000, 0xffff)),
     *(Marked(patched(SOLICIT, 58, *struct.pack("!H", length)), "checksum-pending")
       for length in (0, 7, 20, 1_000)))
case("hostile/ipv6-no-checksum", "A UDP checksum of 0 over IPv6.", "E3; RFC 8200 8.1",
     patched(SOLICIT, 60, 0, 0))
case("hostile/ipv6-checksums", "Wrong UDP and ICMPv6 checksums.", "E3; C1; RFC 4443 2.3",
     patched(SOLICIT, 60, 0xde, 0xad), patched(RS, 56, 0xde, 0xad),
     patched(ask(GATEWAY_LL, SLLA), 56, 0, 0))
case("hostile/ipv6-bad-header", "Wrong versions and lengths.", "E3; RFC 8200 3",
     patched(SOLICIT, 14, 0x45), patched(SOLICIT, 18, 0xff, 0xff), patched(SOLICIT, 18, 0, 7))
case("hostile/ipv6-extensions", "Extension headers before UDP and ICMPv6, the fragment header "
     "above all.", "E3; RFC 6980 5; RFC 7112 5",
     ipv6(IPv6ExtHdrFragment(m=0, offset=0), SOLICIT[UDP]),
     ipv6(IPv6ExtHdrFragment(m=1, offset=0), SOLICIT[UDP]),
     ipv6(IPv6ExtHdrHopByHop(), SOLICIT[UDP]), ipv6(IPv6ExtHdrDestOpt(), SOLICIT[UDP]),
     ipv6(IPv6ExtHdrFragment(m=0, offset=0), ICMPv6ND_RS(), dst="ff02::2"),
     Ether(src=GUEST, dst=ALL) / IPv6(src=GUEST_LL, dst="ff02::1:2", nh=43) / Raw(bytes(64)))

# 3. DHCPv4.
case("hostile/dhcpv4-relayed", "A VM is no relay: giaddr, hops.", "E3; RFC 3046 2.1",
     dhcp4("discover", giaddr="10.20.0.99"), dhcp4("discover", hops=1), dhcp4("discover", hops=255))
case("hostile/dhcpv4-relay-agent-option", "Option 82 from a VM is noted, and not echoed.", "A10; RFC 3046 2.1",
     dhcp4("discover", (82, b"\x01\x04evil"), (55, b"\x52\x03")))
case("hostile/dhcpv4-bootp-header", "Wrong op, htype, hlen (0, 16, 255) and magic cookie.",
     "E3; E8; RFC 2131 2",
     dhcp4("discover", op=2), dhcp4("discover", op=0), dhcp4("discover", htype=6),
     dhcp4("discover", hlen=0), dhcp4("discover", hlen=16), dhcp4("discover", hlen=255),
     udp4(fixed4()[:236] + b"\x63\x82\x53\x64" + options4((53, b"\1"))))
case("hostile/dhcpv4-short", "A BOOTP message that ends in its fixed part.", "E8; RFC 951 3",
     udp4(b""), udp4(fixed4()[:43]), udp4(fixed4()[:239]))
case("hostile/dhcpv4-other-chaddr", "A chaddr that is not the frame's source.", "E2; RFC 2131 2",
     dhcp4("discover", chaddr=OTHER_GUEST), dhcp4("discover", chaddr=GUEST, mac=OTHER_GUEST))
case("hostile/dhcpv4-bootp", "Plain BOOTP, without options and with options but no 53.",
     "A7; RFC 1534 2", raw4(bytes(60)), raw4(options4((55, b"\x01\x03"))))
case("hostile/dhcpv4-message-type", "Types that only a server sends, sent to a server, and unknown "
     "ones.", "E6; RFC 2132 9.6", dhcp4("offer"), dhcp4("ack"), dhcp4("nak"),
     *(raw4(options4((53, bytes([kind])))) for kind in (0, 9, 10, 18, 255)))
case("hostile/dhcpv4-two-message-types", "Two options 53 are one of two bytes.", "A9; RFC 3396 7",
     raw4(options4((53, b"\1"), (53, b"\3"))), raw4(options4((53, b""))),
     raw4(options4((53, b"\1\1"))))
case("hostile/dhcpv4-option-past-end", "Option lengths that run past the message.", "A9; E8; RFC 3396 5",
     raw4(b"\x35\x01\x01\x3d\xff\x01"), raw4(b"\x35\x01\x01\x3d"), raw4(b"\x35\xff\x01"),
     raw4(b"\x35\x01\x01\x37\x02\x01"))
case("hostile/dhcpv4-end-early", "What stands behind END is not read.", "A9; RFC 2132 3.2",
     raw4(b"\xff" + options4((53, b"\1"))),
     raw4(options4((53, b"\1")) + options4((61, b"\1\2"), (55, b"\3"))))
case("hostile/dhcpv4-no-end", "A message whose options end without END.", "A9; RFC 2131 4.1",
     raw4(b"\x35\x01\x01"))
case("hostile/dhcpv4-pad", "A pad has no length: it hides no option from one reader that another "
     "sees.", "A9; RFC 2132 3.1", raw4(b"\0\x35\x01\x01\0\0\x3d\x02\xaa\xbb\xff"),
     raw4(b"\0\x03\x35\x01\x01\xff"))
case("hostile/dhcpv4-client-id-lengths", "A client identifier of 0 and of 1 byte, and of more than "
     "255 in parts.", "A9; A10; RFC 2132 9.14",
     dhcp4("discover", (61, b"")), dhcp4("discover", (61, b"\1")),
     dhcp4("discover", (61, bytes(200)), (61, bytes(56))))
case("hostile/dhcpv4-fixed-lengths", "Addresses, sizes and flags of the wrong length.",
     "A9; RFC 2132", dhcp4("request", (50, ip4(OWN)[:3]), server(GATEWAY)),
     dhcp4("request", asked(OWN), (54, ip4(GATEWAY) + b"\0")), dhcp4("discover", (57, b"\2")),
     dhcp4("discover", (80, b"\1")))
case("hostile/dhcpv4-overload", "Option 52 of 0, 4, two bytes, twice, and inside file and sname.",
     "A9; RFC 2132 9.3; RFC 3396 5",
     dhcp4("discover", (52, b"\0")), dhcp4("discover", (52, b"\4")), dhcp4("discover", (52, b"\1\1")),
     dhcp4("discover", (52, b"\1"), (52, b"\1")),
     dhcp4("discover", (52, b"\1"), file=options4((52, b"\2")), sname=options4((52, b"\1"))),
     dhcp4("discover", (52, b"\2"), sname=options4((52, b"\3"))))
case("hostile/dhcpv4-overload-past-end", "An option that runs out of file into the options.",
     "A9; RFC 3396 5", dhcp4("discover", (52, b"\1"), file=b"\x3d\xff" + bytes(range(1, 127))))
case("hostile/dhcpv4-600-options", "600 options, none of them known.", "E8; A9",
     raw4(options4((53, b"\1"), *((224, b"") for _ in range(600)))))
case("hostile/dhcpv4-600-pads", "600 pads are no options.", "E8; A9; RFC 2132 3.1",
     raw4(bytes(600) + options4((53, b"\1"))))
# What costs us most: as many options as are read, in as many parts as possible, over all fields; the
# longest list, and every option that the answer depends on, each as long as may be.
EVERY_CODE = bytes(range(254, 0, -1)) + b"\x03"
MANY_CLASSES = b"\x01l" * 127
ODD_VENDOR = (b":Arch:0000" * 26)[:255]


def costly4(kind="discover", *options, **fields):
    parts = [(55, EVERY_CODE[at:at + 6]) for at in range(0, 255, 6)]
    field = options4((52, b"\3"), (53, bytes([1 if kind == "discover" else 3])), (57, b"\x05\xdc"),
                     *options, (61, bytes(250)), (61, b"x" * 5), (93, bytes([0, 0, 0, 6, 0, 7, 0, 11])),
                     (60, ODD_VENDOR), (77, MANY_CLASSES), (81, b"\1\0\0" + b"n" * 40),
                     (82, b"\1\1x"), (116, b"\1"), (175, b"\1"), MACHINE_ID, *parts[22:])
    return raw4(field, file=options4(*parts[:15]), sname=options4(*parts[15:22]), **fields)


case("hostile/dhcpv4-costly", "The costliest messages that a guest can make are answered with all "
     "that there is to say.", "E8; A8; A9; RFC 3396 5",
     costly4(), costly4("discover", (80, b"")), costly4("request", asked(OWN)),
     costly4("request", src=OWN, ciaddr=OWN),
     dhcp4("discover", (57, b"\x05\xdc"), (61, bytes(255)), (55, b"\x03" * 255), (60, ODD_VENDOR),
           (77, MANY_CLASSES), (93, bytes([0, 0, 0, 6, 0, 7, 0, 11])), (81, bytes(3))),
     network="everything")
case("hostile/dhcpv4-request-contradicts", "A REQUEST of no state: without any address, or with two.",
     "A1; RFC 2131 4.3.2 table 4", dhcp4("request"),
     dhcp4("request", asked(OTHER), src=OWN, ciaddr=OWN))
case("hostile/dhcpv4-source-address", "A source that the guest cannot have.", "E3; RFC 2131 4.1",
     dhcp4("discover", src=OTHER), dhcp4("request", asked(OWN), src=GATEWAY),
     dhcp4("inform", src="0.0.0.0"), dhcp4("inform", src="224.0.0.1", ciaddr="224.0.0.1"),
     dhcp4("inform", ciaddr="255.255.255.255"))
case("hostile/dhcpv4-destination", "A DISCOVER to somebody else.", "E3; RFC 2131 4.1",
     dhcp4("discover", dst="192.0.2.1"), dhcp4("discover", dst="224.0.0.1"))
case("hostile/dhcpv4-other-server", "A REQUEST and a DECLINE that name another server.",
     "A3; RFC 2131 4.3.2", dhcp4("request", asked(OWN), server("10.20.0.99")),
     dhcp4("decline", asked(OWN), server("10.20.0.99")))
case("hostile/dhcpv4-other-client-id", "Another VM's client identifier moves no address.",
     "A10; RFC 2131 4.2", dhcp4("discover", (61, b"\1" + bytes.fromhex("525400654321"))),
     dhcp4("request", asked(OTHER), (61, b"\1" + bytes.fromhex("525400654321"))))
case("hostile/dhcpv4-names", "Names with line ends, escapes, pointers and no end are not used: "
     "ours is sent.", "A13; RFC 4702 2.3; RFC 1123 2.1",
     dhcp4("discover", (12, b"a\nserver 6.6.6.6\x1b[31m"), (55, b"\x0c")),
     dhcp4("discover", (12, b""), (55, b"\x0c")),
     dhcp4("discover", (81, b"\x04\0\0" + b"\xc0\x03" * 60), (55, b"\x51\x0c")),
     dhcp4("discover", (81, b"\x04\0\0\x3f"), (55, b"\x51")),
     dhcp4("discover", (81, b"\x04"), (55, b"\x51")),
     dhcp4("discover", (81, b"\xff\xff\xff\xc0\x00"), (55, b"\x51")))
case("hostile/dhcpv4-name-pointers", "A search list of pointers costs nothing: it is not read.",
     "E8; RFC 3397 2", raw4(options4((53, b"\1"), (119, b"\1a\xc0\x00" * 63), (119, b"\xc0\x02" * 127),
                                     (55, b"\x77"))))
case("hostile/dhcpv4-no-family", "A network without IPv4 is silent.", "F1",
     DISCOVER, network="ipv6-only")
case("hostile/dhcpv4-no-address", "A NIC without an address hears nothing, no NAK above all.",
     "E7; F2", DISCOVER, dhcp4("request", asked(OTHER)), dhcp4("inform", src=OWN, ciaddr=OWN),
     network="reserved", vm="demo/guest-1")

# 4. DHCPv6.
case("hostile/dhcpv6-message-type", "Types that only a server sends, and unknown ones.",
     "B1; RFC 9915 16", *(udp6(bytes([kind, 0, 0, 1]) + opt6(1, CLIENT_DUID))
                          for kind in (0, 2, 7, 10, 14, 22, 37, 255)))
case("hostile/dhcpv6-registration-source", "Registrations of another address than the sender's, of "
     "one of no prefix of the link, of a link-local one, and from none.", "B1; E8; RFC 9686 4.2.1",
     *(address_registration(address, src=src) for address, src in (
         (OTHER6, OWN_MADE), (OWN_MADE, GUEST_LL), ("2001:db8:dead::1", None), (GUEST_LL, None),
         (OWN_MADE, "::"))), network="stateless")
case("hostile/dhcpv6-registration-of-lease", "A registration of the address that DHCPv6 gave.",
     "B1; RFC 9686 4.2.1",
     address_registration(OWN6), address_registration(OWN6, preferred=0, valid=0))
case("hostile/dhcpv6-registration", "Registrations without a client, with a server, with a list of "
     "options, without an address, with two, with one that is cut, with lifetimes in the wrong order, "
     "and a server's answer to one.", "B1; B2; E8; RFC 9686 4.2.1",
     address_registration(OWN_MADE, ids=[]),
     address_registration(OWN_MADE, ids=[client6(), server6()]),
     address_registration(OWN_MADE, opt6(6, b"\0\x17")),
     udp6(b"\x24\1\2\3" + join([client6()]), src=OWN_MADE),
     udp6(b"\x24\1\2\3" + join([client6(), ia_na(1, OWN_MADE)]), src=OWN_MADE),
     address_registration(OWN_MADE, opt6(5, bytes(24))),
     udp6(b"\x24\1\2\3" + join([client6()]) + opt6(5, bytes(23)), src=OWN_MADE),
     address_registration(OWN_MADE, preferred=3601),
     udp6(b"\x25\1\2\3" + join([client6(), server6()]) + opt6(5, bytes(24))),
     network="stateless")
case("hostile/dhcpv6-relayed", "A VM is no relay, however deep it wraps.", "B1; RFC 9915 19",
     udp6(bytes(DHCP6_RelayForward(linkaddr="::", peeraddr=GUEST_LL))
          + opt6(9, bytes(SOLICIT[UDP].payload))),
     udp6(b"".join(b"\x0c\0" + bytes(32) + struct.pack("!HH", 9, 1_300 - 38 * depth)
                   for depth in range(34))), udp6(b"\x0d\0" + bytes(32)))
case("hostile/dhcpv6-short", "A message that ends in its header.", "E8; RFC 9915 8",
     udp6(b""), udp6(b"\1"), udp6(b"\1\0\0"))
case("hostile/dhcpv6-server-id", "A Server Identifier that is missing, foreign, cut, or where it "
     "must not be.", "B2; RFC 9915 16.2; RFC 9915 16.4; RFC 9915 16.12",
     dhcp6(DHCP6_Solicit, client6(), server6(), ia_na()),
     dhcp6(DHCP6_Request, client6(), ia_na(1, OWN6)),
     dhcp6(DHCP6_Request, client6(), server6(OTHER_DUID), ia_na(1, OWN6)),
     dhcp6(DHCP6_Renew, client6(), server6(SERVER_DUID[:-1]), ia_na(1, OWN6)),
     dhcp6(DHCP6_Rebind, client6(), server6(), ia_na(1, OWN6)),
     dhcp6(DHCP6_Confirm, client6(), server6(), ia_na(1, OWN6)),
     dhcp6(DHCP6_Release, client6(), ia_na(1, OWN6)),
     dhcp6(DHCP6_Decline, client6(), server6(b""), ia_na(1, OWN6)),
     dhcp6(DHCP6_InfoRequest, client6(), server6(OTHER_DUID)))
case("hostile/dhcpv6-client-id", "A Client Identifier that is missing, empty, or longer than a DUID.",
     "B2; RFC 9915 16.2; RFC 9915 11.1",
     dhcp6(DHCP6_Solicit, ia_na()), dhcp6(DHCP6_Solicit, client6(b""), ia_na()),
     dhcp6(DHCP6_Solicit, client6(b"\0\3"), ia_na()),
     dhcp6(DHCP6_Solicit, client6(bytes(131)), ia_na()),
     dhcp6(DHCP6_Rebind, ia_na(1, OWN6)), dhcp6(DHCP6_Renew, server6(), ia_na(1, OWN6)))
case("hostile/dhcpv6-ia-in-information-request", "An IA in an Information-request.",
     "B2; RFC 9915 16.12", client_message(DHCP6_InfoRequest, ia_na()),
     client_message(DHCP6_InfoRequest, ia_pd()))
case("hostile/dhcpv6-option-past-end", "Option lengths that run past the message or their container.",
     "E8; RFC 9915 21.1", dhcp6(DHCP6_Solicit, client6(), Raw(b"\0\3\xff\xff\0\0\0\1")),
     dhcp6(DHCP6_Solicit, Raw(b"\0\1\0\x0e\0\3\0\1")), dhcp6(DHCP6_Solicit, client6(), Raw(b"\0\3\0")),
     dhcp6(DHCP6_Solicit, client6(), Raw(opt6(3, bytes(12) + b"\0\5\0\x18" + bytes(8)))))
case("hostile/dhcpv6-fixed-lengths", "Options of a fixed length with another one.", "E8; RFC 9915 21",
     *(dhcp6(DHCP6_Solicit, client6(), Raw(option)) for option in (
         opt6(3, bytes(11)), opt6(25, b""), opt6(8, b"\0"), opt6(14, b"\0"), opt6(6, b"\0\x17\0"),
         opt6(3, bytes(12) + opt6(5, bytes(23))), opt6(25, bytes(12) + opt6(26, bytes(24))),
         opt6(25, bytes(12) + opt6(26, bytes(8) + b"\x81" + bytes(16))), opt6(39, b""))))
case("hostile/dhcpv6-malformed-first", "A malformed option before all that are right ends the "
     "message, and not the reading of it alone.", "B2; E8; RFC 9915 21.1",
     *(dhcp6(DHCP6_Solicit, Raw(option), client6(), ia_na())
       for option in (opt6(8, b"\0"), opt6(14, b"\0"), b"\0\x10\xff\xff", opt6(3, b"\0"))))
case("hostile/dhcpv6-giant", "A Solicit of more options than the MTU takes, and one of 60 kB that was "
     "cut.", "E3; RFC 9915 5",
     client_message(DHCP6_Solicit, ia_na(), Raw(opt6(0xfff0, bytes(1_400)) * 2)),
     Marked(client_message(DHCP6_Solicit, ia_na(), Raw(opt6(0xfff0, bytes(1_400)))), "truncated"))
case("hostile/dhcpv6-twice", "An option that may stand once, twice.", "B2; RFC 9915 21",
     dhcp6(DHCP6_Solicit, client6(), client6(), ia_na()),
     dhcp6(DHCP6_Solicit, client6(), LINUX_ORO, LINUX_ORO))
case("hostile/dhcpv6-nested", "IA_TA in IA_TA without end, as deep as a frame allows.",
     "E8; RFC 9915 21.5", dhcp6(DHCP6_Solicit, client6(), Raw(nested(170))))
case("hostile/dhcpv6-nested-cut", "65 kB of nested IA_TA, of which one frame is here.",
     "E8; RFC 9915 21.5", dhcp6(DHCP6_Solicit, client6(), Raw(claimed(65_000, 1_400))))
case("hostile/dhcpv6-nested-ia-na", "IA_NA in addresses in IA_NA.", "E8; RFC 9915 21.6",
     dhcp6(DHCP6_Solicit, client6(),
           Raw(opt6(3, bytes(12) + opt6(5, bytes(24) + opt6(3, bytes(12)))))))
case("hostile/dhcpv6-many-options", "300 options, none of them known.", "E8",
     dhcp6(DHCP6_Solicit, client6(), Raw(opt6(0xfff0) * 300)))
case("hostile/dhcpv6-many-ias", "More IAs, addresses and requested options than a client needs.",
     "E8; RFC 9915 22", dhcp6(DHCP6_Solicit, client6(), *(ia_na(number) for number in range(40))),
     dhcp6(DHCP6_Solicit, client6(), ia_na(1, *([OWN6] * 40))),
     dhcp6(DHCP6_Solicit, client6(), ia_na(), Raw(opt6(6, b"\0\x17" * 600))))
case("hostile/dhcpv6-costly", "The costliest messages that a guest can make: as many associations, "
     "addresses and requested options as are read.", "E8; RFC 9915 22",
     *(client_message(message, *(ia_na(number, *([OTHER6] * 8)) for number in range(4)),
                      DHCP6OptOptReq(reqopts=list(range(144, 16, -1))),
                      Raw(opt6(39, b"\0" + FQDN)), Raw(opt6(0xfff0) * 20))
       for message in (DHCP6_Solicit, DHCP6_Request, DHCP6_Renew, DHCP6_Rebind)),
     network="everything")
case("hostile/dhcpv6-source-address", "A Solicit from a global address, from none, from a group.",
     "B11; RFC 9915 17.1", *(client_message(DHCP6_Solicit, ia_na(), src=source)
                             for source in (OWN6, "::", "ff02::1")))
case("hostile/dhcpv6-destination", "A unicast message, and one to the group of relays' servers.",
     "B2; RFC 9915 16", client_message(DHCP6_Solicit, ia_na(), dst=GATEWAY_LL),
     client_message(DHCP6_Renew, ia_na(1, OWN6), dst=GATEWAY_LL),
     client_message(DHCP6_Solicit, ia_na(), dst="ff05::1:3"))
case("hostile/dhcpv6-other-duid", "Another VM's DUID and IAID move no address.", "B3; RFC 9915 11",
     dhcp6(DHCP6_Solicit, client6(b"\0\3\0\1" + bytes.fromhex("525400654321")), ia_na(1)),
     dhcp6(DHCP6_Request, client6(b"\0\3\0\1" + bytes.fromhex("525400654321")), server6(),
           ia_na(1, OTHER6)))
case("hostile/dhcpv6-names", "Names with pointers, line ends and no end are not used: ours is sent.",
     "B9; RFC 4704 4.2", *(client_message(DHCP6_Solicit, ia_na(), DHCP6OptOptReq(reqopts=[39]),
                                          Raw(opt6(39, value)))
                           for value in (b"\1" + b"\xc0\x00" * 60, b"\1\x3f", b"\1\3a\nb\0", b"\1",
                                         b"\xff\xc0\x01")))
case("hostile/dhcpv6-name-pointers", "A search list of pointers costs nothing: it is not read.",
     "E8; RFC 3646 4",
     client_message(DHCP6_Solicit, ia_na(), Raw(opt6(24, b"\1a\xc0\0" * 300))))
case("hostile/dhcpv6-no-family", "With SLAAC alone, or without IPv6, DHCPv6 is silent.", "F1; F4",
     SOLICIT, client_message(DHCP6_InfoRequest), address_registration(OWN_MADE), network="slaac")
case("hostile/ipv6-no-family", "A network without IPv6 is silent.", "F1", SOLICIT, RS,
     network="host-mask")

# 5. Neighbor Discovery and ARP.
case("hostile/nd-hop-limit", "Messages that came over a router.", "C1; RFC 4861 6.1.1",
     nd(ICMPv6ND_RS(), SLLA, hlim=254), ask(GATEWAY_LL, SLLA, hlim=64))
case("hostile/nd-code", "An ICMPv6 code other than 0.", "C1; RFC 4861 6.1.1",
     nd(ICMPv6ND_RS(code=1), SLLA),
     nd(ICMPv6ND_NS(code=7, tgt=GATEWAY_LL), SLLA, dst="ff02::1:ff00:1", to="33:33:ff:00:00:01"))
case("hostile/nd-option-length", "Options of length 0, of 31 to 255, and one that is cut.",
     "C1; C6; RFC 4861 6.1.1",
     *(nd(ICMPv6ND_RS(), Raw(option)) for option in (
         b"\x01\x00" + bytes(6), b"\x01\x1f" + bytes(6), b"\x01\x20" + bytes(6),
         b"\x01\x21" + bytes(6), b"\x01\xff" + bytes(6), b"\x01\x01" + bytes(5), b"\x01")))
case("hostile/nd-neighbor-option-length", "The same in a Neighbor Solicitation.",
     "C5; C6; RFC 4861 7.1.1", *(ask(GATEWAY_LL, Raw(option)) for option in (
         b"\x01\x00" + bytes(6), b"\x01\x20" + bytes(6), b"\x01\xff" + bytes(6))))
case("hostile/nd-long-option", "An option of length 40 that is there in full is walked over.",
     "C1; C6; RFC 4861 4.6", nd(ICMPv6ND_RS(), SLLA, Raw(b"\xfd\x28" + bytes(318))))
case("hostile/nd-costly", "The costliest solicitations: as many options as are read.", "E8; C6",
     nd(ICMPv6ND_RS(), SLLA, Raw((b"\xfd\x0a" + bytes(78)) * 15)),
     ask(GATEWAY_LL, SLLA, Raw((b"\xfd\x0a" + bytes(78)) * 15)), network="everything")
case("hostile/nd-many-options", "150 options.", "E8; C6",
     nd(ICMPv6ND_RS(), Raw((b"\x01\x01" + bytes(6)) * 150)))
case("hostile/nd-unspecified-with-link-layer-address", "A source link-layer address from ::.",
     "C1; RFC 4861 6.1.1; RFC 4861 7.1.1", nd(ICMPv6ND_RS(), SLLA, src="::"),
     ask(GATEWAY_LL, SLLA, src="::"))
case("hostile/nd-source-address", "Solicitations from a group, from loopback, from the gateway.",
     "C1; C5; RFC 4861 6.1.1", nd(ICMPv6ND_RS(), src="ff02::1"), nd(ICMPv6ND_RS(), src="::1"),
     nd(ICMPv6ND_RS(), src=GATEWAY_LL), ask(GATEWAY_LL, src=GATEWAY_LL))
case("hostile/nd-destination", "A Router Solicitation to another group, and a question to another "
     "node's.", "C1; C5", nd(ICMPv6ND_RS(), dst="ff02::fb", to="33:33:00:00:00:fb"),
     ask(GATEWAY_LL, dst="ff02::1:ff00:2"))
case("hostile/nd-short", "Neighbor Solicitations that end before and within their target, and one "
     "for a group.", "C5; RFC 4861 7.1.1",
     *(nd(ICMPv6Unknown(type=135, code=0, msgbody=bytes(length)), dst="ff02::1")
       for length in (0, 3, 4, 19)), nd(ICMPv6ND_NS(tgt="ff02::1"), dst="ff02::1"))
case("hostile/nd-solicitation-short", "A Router Solicitation that ends within its reserved field.",
     "C1; RFC 4861 6.1.1", *(nd(ICMPv6Unknown(type=133, code=0, msgbody=bytes(length)))
                             for length in (0, 3)))
case("hostile/nd-advertisement", "Advertisements that are no sign of an arrival: hop limit, code, "
     "target, options, source.", "C6; D3; RFC 4861 7.1.2",
     *(nd(ICMPv6ND_NA(**{"R": 0, "S": 0, "O": 1, "tgt": OWN6, **fields}), *options, dst="ff02::1",
          **{"src": OWN6, **header})
       for fields, options, header in (
           ({}, [], {"hlim": 64}), ({"code": 1}, [], {}), ({"tgt": "ff02::1"}, [], {}),
           ({}, [Raw(b"\x02\x00" + bytes(6))], {}), ({}, [Raw(b"\x02\xff" + bytes(6))], {}),
           ({}, [], {"src": "::"}))))
case("hostile/nd-question-for-other", "A question for an address that is not ours.", "C5",
     ask(OTHER6, SLLA), ask("fe80::2", SLLA))
case("hostile/nd-extensions", "Extension headers, fragments above all, before each message of "
     "Neighbor Discovery; and a jumbogram.", "C1; C5; E3; RFC 6980 5; RFC 7112 5; RFC 2675 3",
     *(nd(header, message, dst="ff02::2")
       for message in (ICMPv6ND_RS(), ICMPv6ND_NS(tgt=GATEWAY_LL), ICMPv6ND_NA(tgt=OWN6),
                       ICMPv6ND_RA())
       for header in (IPv6ExtHdrFragment(m=0, offset=0), IPv6ExtHdrFragment(m=1, offset=0),
                      IPv6ExtHdrFragment(m=0, offset=5), IPv6ExtHdrHopByHop(), IPv6ExtHdrDestOpt(),
                      IPv6ExtHdrRouting())),
     nd(IPv6ExtHdrHopByHop(options=[Jumbo(jumboplen=70000)]), ICMPv6ND_RS()))
case("hostile/nd-lengths", "Solicitations shorter than their IPv6 header says, and a frame that ends "
     "within that header, or within ICMPv6's.", "C1; E3; RFC 8200 3",
     bytes(RS)[:-1], bytes(RS)[:54], bytes(RS)[:40], patched(bytes(RS)[:57], 18, 0, 3))
case("hostile/nd-giant", "A solicitation of more options than the MTU takes, and one of 60 kB that was "
     "cut.", "C1; E3; RFC 4861 6.1.1",
     nd(ICMPv6ND_RS(), SLLA, Raw((b"\xfd\x01" + bytes(6)) * 190)),
     Marked(nd(ICMPv6ND_RS(), SLLA, Raw((b"\xfd\x01" + bytes(6)) * 249)), "truncated"))
case("hostile/nd-seventeen-options", "One option more than is walked, and as many as a frame holds.",
     "C1; C5; E8; RFC 4861 6.1.1", *(
         message for count in (16, 170) for message in (
             nd(ICMPv6ND_RS(), SLLA, Raw((b"\xfd\x01" + bytes(6)) * count)),
             ask(GATEWAY_LL, SLLA, Raw((b"\xfd\x01" + bytes(6)) * count)))))
case("hostile/nd-probe", "Probes for the gateway's address that are none: with a link-layer address, "
     "to the address itself, to all nodes.", "C5; RFC 4861 7.1.1",
     ask(GATEWAY_LL, SLLA, src="::"), ask(GATEWAY_LL, src="::", dst=GATEWAY_LL, to=GATEWAY_MAC),
     ask(GATEWAY_LL, src="::", dst="ff02::1", to="33:33:00:00:00:01"))
case("hostile/echo", "Echo requests with a wrong checksum or code, too short, in fragments, with "
     "options, from addresses that no host has; and replies.", "C5; E3; RFC 792; RFC 4443 4.1",
     patched(ping4(), 36, 0xde, 0xad), patched(ping6(), 56, 0xde, 0xad),
     Ether(src=GUEST, dst=GATEWAY_MAC) / IP(src=OWN, dst=GATEWAY, id=1) / ICMP(code=1) / b"x",
     nd(ICMPv6EchoRequest(code=1), dst=GATEWAY_LL, to=GATEWAY_MAC),
     Ether(src=GUEST, dst=GATEWAY_MAC) / IP(src=OWN, dst=GATEWAY, id=1, proto=1) / Raw(b"\x08\0\xf7\xff\0\0\0"),
     ping4(flags="MF"), ping4(frag=1), ping4(options=[IPOption(b"\x83\x03\x04")]),
     *(ping4(src=source) for source in ("0.0.0.0", "127.0.0.1", "224.0.0.1", ALL_IP4, GATEWAY)),
     *(ping6(src=source) for source in ("::", "::1", "ff02::1", GATEWAY_LL)),
     Ether(src=GUEST, dst=GATEWAY_MAC) / IP(src=OWN, dst=GATEWAY, id=1) / ICMP(type=0, id=7, seq=1),
     nd(ICMPv6EchoReply(id=7, seq=1), dst=GATEWAY_LL, to=GATEWAY_MAC), network="router")
case("hostile/arp-bad-header", "ARP for another hardware, protocol, address length; unknown "
     "operations.", "C5; RFC 826", *(patched(arp(1, OWN, GATEWAY), place, *values)
                                     for place, values in ((14, (0, 6)), (16, (0x86, 0xdd)),
                                                           (18, (255,)), (19, (16,)),
                                                           (20, (0, 9)))))
case("hostile/arp-sender", "ARP from somebody else's MAC or address.", "C5; RFC 826",
     arp(1, OWN, GATEWAY, sender=OTHER_GUEST), arp(1, GATEWAY, GATEWAY), arp(1, GATEWAY, OWN),
     rarp(sender=OTHER_GUEST))
case("hostile/arp-question-for-other", "A question for an address that is not ours.", "C5; A17",
     arp(1, OWN, OTHER), arp(1, OWN, OWN[:-2] + "11"))


# --- Files ----------------------------------------------------------------------------------------


def files(name):
    """What the table says: path to text."""
    about, clauses, facts, frames = CASES[name]
    folder = HERE / name
    lines = ["# Made by craft.py.", f"about = {json.dumps(about)}", f"clauses = {json.dumps(clauses)}"]
    lines += [f"{key.replace('_', '-')} = {json.dumps(value)}" for key, value in facts.items()]
    yield folder / "case.toml", "\n".join(lines) + "\n"
    for number, frame in enumerate(frames, 1):
        if isinstance(frame, After):
            yield folder / f"{number:02}-after.txt", f"{frame.time}\n"
            continue
        marks = frame.marks if isinstance(frame, Marked) else ()
        octets = bytes(frame.frame if isinstance(frame, Marked) else frame)
        text = "".join(f"#! {mark}\n" for mark in marks)
        text += "".join(octets[at:at + 16].hex(" ") + "\n" for at in range(0, len(octets), 16))
        yield folder / f"{number:02}-in.hex", text


def left_over(name, told):
    """Inputs, and what was recorded for them, that the table no longer holds."""
    for path in sorted([*(HERE / name).glob("*-in.hex"), *(HERE / name).glob("*-after.txt")]):
        if path not in told:
            yield path
            yield output_of(path)


def output_of(path):
    return path.with_name(path.name.split("-")[0] + "-out.txt")


def write():
    for name in CASES:
        told = dict(files(name))
        for path, text in told.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for path in left_over(name, told):
            path.unlink(missing_ok=True)
    print(f"{len(CASES)} cases")


def check():
    differing = []
    for name in CASES:
        told = dict(files(name))
        differing += [path for path, text in told.items()
                      if not path.is_file() or path.read_text() != text]
        differing += left_over(name, told)
    for path in differing:
        print(f"{path.relative_to(HERE)}: not as the table says; run craft.py")
    return 1 if differing else 0


def octets_of(text):
    return bytes.fromhex("".join(line.split("#")[0] for line in text.splitlines()))


def show(prefix):
    faults = 0
    for folder in sorted(path.parent for path in HERE.glob("*/*/case.toml")):
        name = str(folder.relative_to(HERE))
        if not name.startswith(prefix):
            continue
        print(f"\n=== {name}\n" + (folder / "case.toml").read_text().splitlines()[1])
        for path in sorted([*folder.glob("*-in.hex"), *folder.glob("*-after.txt")]):
            text = path.read_text()
            said = text.strip() + " later" if path.suffix == ".txt" else \
                describe_input(octets_of(text))
            print(f"-> {path.name[:2]} {said}")
            out = output_of(path)
            for part in out.read_text().split("\n\n") if out.is_file() else []:
                if part.startswith("#"):
                    print("  " + part.strip())
                if octets_of(part):
                    frame = Ether(octets_of(part))
                    print(f"<- {describe(frame)}")
                    faults += wrong(frame)
    return 1 if faults else 0


def describe_input(octets):
    """As `describe`, for frames that even scapy fails on, or spends minutes on."""
    def give_up(*_):
        raise KeyboardInterrupt  # scapy catches every Exception, and goes on

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(2)
    try:
        return describe(Ether(octets))
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001
        return f"{len(octets)} bytes that scapy cannot read ({type(error).__name__})"
    finally:
        signal.alarm(0)


def describe(frame):
    """Link addresses, then a line for each layer and each option."""
    lines = [f"{frame.src} > {frame.dst}"]
    for layer in list(frame.iterpayloads())[1:]:
        fields = {field.name: layer.getfieldval(field.name) for field in layer.fields_desc}
        shown = SHOWN.get(type(layer), [name for name in fields if name not in HIDDEN])
        lines.append(f"{type(layer).__name__} "
                     + " ".join(f"{name}={text_of(fields[name])}" for name in shown))
        if isinstance(layer, DHCP):
            lines[-1] = "DHCP"
            lines += options_of(layer.options)
            bootp = frame[BOOTP]
            for name in ("file", "sname"):
                field = bootp.getfieldval(name)
                if field.strip(b"\0"):
                    lines += [f"{name}:"] + options_of(DHCP(field).options)
    return "\n     ".join(lines)


def options_of(options):
    return [f"  {text_of(option)}" for option in options if option != "pad"]


def text_of(value):
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(text_of, value)) + "]"
    if hasattr(value, "fields_desc"):
        return repr(value)
    return value.hex() if isinstance(value, bytes) else str(value)


HIDDEN = {"chksum", "cksum", "len", "plen", "optlen", "optcode", "res", "res1", "res2", "type"}
SHOWN = {
    IP: ["src", "dst", "ttl"], IPv6: ["src", "dst", "hlim"], UDP: ["sport", "dport"],
    BOOTP: ["op", "xid", "flags", "ciaddr", "yiaddr", "siaddr", "giaddr", "chaddr"],
}


def wrong(frame):
    """Lets scapy calculate lengths and checksums anew; they must be the same."""
    again = frame.copy()
    for layer in again.iterpayloads():
        for field in ("chksum", "cksum", "len", "plen"):
            if isinstance(layer, (IP, IPv6, UDP)) or field == "cksum":
                if field in layer.fields:
                    layer.delfieldval(field)  # and what scapy keeps of the layer's bytes
    if bytes(again) == bytes(frame):
        return 0
    print("   !! lengths or checksums are wrong")
    return 1


bind_layers(UDP, BOOTP, sport=67, dport=68)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        sys.exit(check())
    if sys.argv[1:2] == ["--show"]:
        sys.exit(show(sys.argv[2] if len(sys.argv) > 2 else ""))
    write()
