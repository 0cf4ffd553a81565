#!/usr/bin/python3
"""Reads every recorded exchange again with scapy, and compares it with what leasehold made of it.

Scapy shares no code with leasehold, and its readers are looser. For each frame it must see the
message that leasehold named; for each answer, the one that leasehold says it sent, to the client
and the transaction that asked, with every length and checksum right, and no option that was
neither asked for nor one that always goes out. Differences that have a reason stand in EXPLAINED,
and one that no longer shows is a fault as well.

It needs scapy (Debian: python3-scapy). Exit 1 if something differs.
"""

import signal
import sys

from craft import (
    ARP, BOOTP, DHCP, HERE, ICMP, IP, UDP, Ether, IPv6, ICMPv6EchoReply, ICMPv6EchoRequest,
    ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS, octets_of, wrong,
)
from scapy.layers.dhcp6 import DHCP6OptClientId, DHCP6OptIA_NA, DHCP6OptOptReq, DHCP6OptServerId

# Frame, or its whole case: why scapy reads it otherwise.
EXPLAINED = {
    "dhcpv4/discover-any-source-port": "it takes a message for DHCP by its source port; RFC 2131, "
                                       "section 4.1 names the destination's alone",
    "dhcpv4/discover-overloaded": "it reads no option in `file` and `sname` (RFC 2132, section 9.3)",
}

DHCP4 = "- discover offer request decline ack nak release inform".split()
DHCP6 = ("- solicit advertise request confirm renew rebind reply release decline reconfigure "
         "information-request").split()

# What goes out unasked: RFC 2131, table 3, RFC 6842, and the settings that no guest does without.
ALWAYS4 = {53, 54, 51, 58, 59, 1, 3, 6, 12, 15, 26, 28, 61, 80, 52, 116, 81, 97}
# What `always = true` and `[boot]` of networks/*.toml add.
FORCED4 = {17, 210, 224}
# RFC 9915, section 18.3.9; 39 is the guest's own.
ALWAYS6 = {1, 2, 3, 7, 13, 14, 25, 39, 23, 24}


def main():
    faults, used, exchanges = [], set(), 0
    for path in sorted(HERE.glob("*/*/*-in.hex")):
        name = f"{path.parent.relative_to(HERE)}/{path.name[:2]}"
        asked = octets_of(path.read_text())
        told, *answers = path.with_name(path.name.replace("-in.hex", "-out.txt")) \
            .read_text().split("\n\n")
        found = [fault for fault in compare(asked, told, answers) if fault]
        exchanges += 1
        reason = next((key for key in (name, name.rsplit("/", 1)[0]) if key in EXPLAINED), None)
        if found and reason:
            used.add(reason)
        elif found:
            faults += [f"{name}: {fault}" for fault in found]
    faults += [f"{key}: scapy agrees; it needs no explanation" for key in EXPLAINED.keys() - used]
    print("\n".join(faults + [f"{exchanges} exchanges, {len(used)} explained differences, "
                              f"{len(faults)} faults"]))
    return 1 if faults else 0


def compare(asked, told, answers):
    protocol, message, verdict = told.strip("# \n").replace(":", "").split(" ", 2)
    frame = dissect(asked)
    if message not in ("unknown", "rarp") and "drop" not in verdict:
        seen = message_of(frame)
        yield seen != message and f"scapy sees {seen}, leasehold {message}"
    for octets in filter(None, map(octets_of, answers)):
        reply = Ether(octets)
        yield wrong(reply) and "a length or a checksum is wrong"
        kind = verdict.split(",")[0].split()[1]
        seen = message_of(reply)
        yield seen != kind and not (protocol == "arp" and seen == "reply") \
            and f"scapy sees {seen} in the answer, leasehold sent {kind}"
        if DHCP in reply:
            yield from compare4(frame, reply, kind)
        elif protocol == "dhcpv6":
            yield from compare6(frame, reply)


def compare4(frame, reply, kind):
    if BOOTP not in frame:
        yield "scapy sees no BOOTP message in what was answered"
        return
    request, answer = frame[BOOTP], reply[BOOTP]
    for field in ("xid", "chaddr", "flags", "hlen", "htype"):
        mine, its = getattr(answer, field), getattr(request, field)
        yield mine != its and f"{field} is {mine!r}, asked with {its!r}"
    codes = codes4(bytes(reply[DHCP]))
    for area in ("file", "sname"):
        # An overloaded field holds options; scapy takes it for text.
        overload = value4(bytes(reply[DHCP]), 52)
        if overload and overload[0] & {"file": 1, "sname": 2}[area]:
            codes += codes4(answer.getfieldval(area))
    asked = set(value4(bytes(frame[DHCP]), 55) or b"") if DHCP in frame else set()
    extra = set(codes) - asked - ALWAYS4 - FORCED4
    # Without a list a client gets all settings.
    yield asked and kind != "nak" and extra and f"options {sorted(extra)} were not asked for"
    yield codes[:2] != [53, 54] and f"the answer begins with options {codes[:2]}"
    if kind == "nak":
        yield set(codes) - {53, 54, 56, 61} and f"a NAK holds {sorted(set(codes))}"
        yield any((int(answer.yiaddr != "0.0.0.0"), int(answer.ciaddr != "0.0.0.0"))) \
            and "a NAK names an address"
    yield value4(bytes(frame[DHCP]), 61) != value4(bytes(reply[DHCP]), 61) \
        and "the client identifier does not come back"


def compare6(frame, reply):
    request, answer = message6(frame), message6(reply)
    if request is None:
        yield "scapy sees no DHCPv6 message in what was answered"
        return
    yield request.trid != answer.trid and "another transaction"
    yield DHCP6OptServerId not in answer and "no server identifier"
    mine, its = (packet.getlayer(DHCP6OptClientId) for packet in (answer, request))
    yield bytes(mine.duid if mine else b"") != bytes(its.duid if its else b"") \
        and "the client's DUID does not come back"
    wanted = options6(request, DHCP6OptIA_NA, "iaid")
    given = options6(answer, DHCP6OptIA_NA, "iaid")
    yield not set(given) <= set(wanted) and f"IAIDs {given}, asked for {wanted}"
    oro = request.getlayer(DHCP6OptOptReq)
    asked = set(oro.reqopts) if oro else set()
    sent = {layer.optcode for layer in answer.iterpayloads() if "optcode" in layer.fields}
    extra = sent - asked - ALWAYS6
    yield extra and f"options {sorted(extra)} were not asked for"


def options6(packet, kind, field):
    return [getattr(layer, field) for layer in packet.iterpayloads() if isinstance(layer, kind)]


def message6(frame):
    udp = frame.getlayer(UDP)
    layer = udp.payload if udp else None
    return layer if layer is not None and hasattr(layer, "trid") else None


def options4(octets):
    """Pairs of code and value up to the END, by RFC 2132, from the bytes behind the cookie."""
    place, pairs = 0, []
    while place < len(octets) and octets[place] != 255:
        if octets[place] == 0:
            place += 1
            continue
        length = octets[place + 1]
        pairs.append((octets[place], octets[place + 2:place + 2 + length]))
        place += 2 + length
    return pairs


def codes4(octets):
    return [code for code, _ in options4(octets)]


def value4(octets, wanted):
    parts = [value for code, value in options4(octets) if code == wanted]
    return b"".join(parts) if parts else None


def message_of(frame):
    if DHCP in frame:
        kind = next((o[1] for o in frame[DHCP].options
                     if isinstance(o, tuple) and o[0] == "message-type"), None)
        return DHCP4[kind] if isinstance(kind, int) and kind < len(DHCP4) else f"type {kind}"
    if BOOTP in frame:
        return "bootp"
    message = message6(frame)
    if message is not None:
        return DHCP6[message.msgtype] if message.msgtype < len(DHCP6) else "another"
    for layer, name in ((ICMPv6ND_RS, "router-solicitation"), (ICMPv6ND_RA, "router-advertisement"),
                        (ICMPv6ND_NS, "neighbor-solicitation"),
                        (ICMPv6ND_NA, "neighbor-advertisement"),
                        (ICMPv6EchoRequest, "echo-request"), (ICMPv6EchoReply, "echo-reply")):
        if layer in frame:
            return name
    if ICMP in frame:
        return {0: "echo-reply", 8: "echo-request"}.get(frame[ICMP].type, "another")
    if ARP in frame:
        return "arp-request" if frame[ARP].op == 1 else "reply"
    return "nothing"


def dissect(octets):
    """As scapy reads it; some hostile frames take it minutes, and read as nothing."""
    def give_up(*_):
        raise KeyboardInterrupt  # scapy catches every Exception, and goes on

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(2)
    try:
        return Ether(octets)
    except (Exception, KeyboardInterrupt):  # noqa: BLE001
        return Ether()
    finally:
        signal.alarm(0)


if __name__ == "__main__":
    sys.exit(main())
