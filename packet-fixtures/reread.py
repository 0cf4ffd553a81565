#!/usr/bin/python3
"""Reads every recorded exchange again with scapy, and compares it with what leasehold made of it.

Scapy shares no code with leasehold, and its readers are looser. For each frame it must see the
message that leasehold named; for each answer, the one that leasehold says it sent, to the client
and the transaction that asked, with every length and checksum right. Of DHCPv4 each option is
compared, its parts joined and over all fields: scapy must cut the field into the same codes and
bytes as RFC 2132 does; the bytes must be those that scapy itself makes of the template's value
(expected.py); they stand in the client's order, none is missing that was asked for and is set, and
none is there that was neither asked for nor one that always goes out. The verdict must be the one
that RFC 2131, section 4.3, has for the fields that scapy reads. Differences that have a reason
stand in EXPLAINED, and one that no longer shows is a fault as well.

It needs scapy (Debian: python3-scapy). Exit 1 if something differs.
"""

import signal
import sys
import tomllib

from craft import (
    ARP, BOOTP, DHCP, HERE, ICMP, IP, UDP, Ether, IPv6, ICMPv6EchoReply, ICMPv6EchoRequest,
    ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6ND_RS, octets_of, wrong,
)
from expected import FIELD, LEASE, Vm, templates
from scapy.layers.dhcp6 import (
    DHCP6OptClientId, DHCP6OptDNSDomains, DHCP6OptDNSServers, DHCP6OptIA_NA, DHCP6OptIAAddress,
    DHCP6OptOptReq, DHCP6OptServerId,
)

# Frame, or its whole case: why scapy reads it otherwise.
EXPLAINED = {
    "dhcpv4/discover-any-source-port": "it takes a message for DHCP by its source port; RFC 2131, "
                                       "section 4.1 names the destination's alone",
    **{f"dhcpv6/registration{rest}": "it does not know the messages of RFC 9686"
       for rest in ("", "-prefixes", "-further-prefix", "-binds-nobody")},
    "dhcpv4/boot-odd-options": "it cannot encode the empty option 60 that it has read",
}

DHCP4 = "- discover offer request decline ack nak release inform".split()
DHCP6 = ("- solicit advertise request confirm renew rebind reply release decline reconfigure "
         "information-request").split()

# What goes out unasked: RFC 2131, table 3, RFC 6842, and the settings that no guest does without.
ALWAYS4 = {53, 54, 51, 58, 59, 1, 3, 6, 12, 15, 26, 28, 61, 80, 52, 116, 81, 97}
# What an exchange has of its own, and no template.
EXCHANGE4 = {52, 53, 56, 61, 80, 81, 97}
# What `always = true` and `[boot]` of networks/*.toml add.
FORCED4 = {17, 210, 224}
# RFC 9915, section 18.3.9; 39 is the guest's own.
ALWAYS6 = {1, 2, 3, 7, 13, 14, 25, 39, 23, 24}


def main():
    faults, used, exchanges, compared = [], set(), 0, 0
    networks = templates()
    for path in sorted(HERE.glob("*/*/*-in.hex")):
        name = f"{path.parent.relative_to(HERE)}/{path.name[:2]}"
        asked = octets_of(path.read_text())
        told, *answers = path.with_name(path.name.replace("-in.hex", "-out.txt")) \
            .read_text().split("\n\n")
        case = tomllib.loads((path.parent / "case.toml").read_text())
        vm = Vm(networks[case["network"]], case)
        found = [fault for fault in compare(asked, told, answers, vm) if fault]
        compared += len(answers)
        exchanges += 1
        reason = next((key for key in (name, name.rsplit("/", 1)[0]) if key in EXPLAINED), None)
        if found and reason:
            used.add(reason)
        elif found:
            faults += [f"{name}: {fault}" for fault in found]
    faults += [f"{key}: scapy agrees; it needs no explanation" for key in EXPLAINED.keys() - used]
    print("\n".join(faults + [f"{exchanges} exchanges, {compared} answers, {len(used)} explained "
                              f"differences, {len(faults)} faults"]))
    return 1 if faults else 0


def compare(asked, told, answers, vm):
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
            yield from compare4(frame, reply, kind, vm)
            left_out = "options-left-out" in verdict
            yield from values4(frame, reply, kind, vm, left_out)
        elif protocol == "dhcpv6":
            yield from compare6(frame, reply)
            yield from values6(reply, vm)
    if protocol == "dhcpv4" and BOOTP in frame:
        yield from decided4(frame[BOOTP], verdict, vm)


def compare4(frame, reply, kind, vm):
    if BOOTP not in frame:
        yield "scapy sees no BOOTP message in what was answered"
        return
    request, answer = frame[BOOTP], reply[BOOTP]
    for field in ("xid", "chaddr", "flags", "hlen", "htype"):
        mine, its = getattr(answer, field), getattr(request, field)
        yield mine != its and f"{field} is {mine!r}, asked with {its!r}"
    for field, right in (("op", 2), ("hops", 0), ("secs", 0), ("giaddr", "0.0.0.0")):
        yield getattr(answer, field) != right and f"{field} is {getattr(answer, field)!r}"
    yield reply[IP].src != vm.server() and f"it comes from {reply[IP].src}"
    yield (reply[UDP].sport, reply[UDP].dport) != (67, 68) and "other ports"
    informs = kind == "ack" and value(request, 53) == b"\x08"
    if kind == "nak" or informs:
        yield answer.yiaddr != "0.0.0.0" and f"yiaddr is {answer.yiaddr}"
    else:
        yield not vm.holds(answer.yiaddr, "ipv4") and f"yiaddr is {answer.yiaddr}"
    keeps = kind == "ack" and (informs or not value(request, 50))
    ciaddr = request.ciaddr if keeps else "0.0.0.0"
    yield answer.ciaddr != ciaddr and f"ciaddr is {answer.ciaddr}, not {ciaddr}"
    # RFC 2131, section 4.1, and 4.3.2 for the NAK.
    broadcast = kind == "nak" or (ciaddr == "0.0.0.0" and int(request.flags) & 0x8000)
    right = "255.255.255.255" if broadcast else (ciaddr if keeps and ciaddr != "0.0.0.0"
                                                 else answer.yiaddr)
    yield right != "0.0.0.0" and reply[IP].dst != right and f"it goes to {reply[IP].dst}, not {right}"
    yield value(request, 61) != value(answer, 61) and "the client identifier does not come back"
    size = max(576, int.from_bytes(value(request, 57) or b"", "big"))
    yield reply[IP].len > size and f"{reply[IP].len} bytes are more than the client takes"


def values4(frame, reply, kind, vm, left_out):
    """Every option of the answer, its code, place and bytes."""
    if BOOTP not in frame:
        return
    request, answer = frame[BOOTP], reply[BOOTP]
    sent = options(answer)
    yield sent != walked(answer) and f"scapy reads {sent}, the rules of RFC 2132 {walked(answer)}"
    yield options(request) != walked(request) and "scapy cuts the request into other options"
    codes = list(sent)
    yield codes[:2] != [53, 54] and f"the answer begins with options {codes[:2]}"
    if kind == "nak":
        yield set(codes) - {53, 54, 56, 61} and f"a NAK holds {sorted(set(codes))}"
        return
    asked = list(value(request, 55) or b"")
    extra = set(codes) - set(asked) - ALWAYS4 - FORCED4
    # Without a list a client gets all settings.
    yield asked and extra and f"options {sorted(extra)} were not asked for"
    said = vm.options4()
    informs = value(request, 53) == b"\x08"
    for code, right in said.items():
        mine = sent.get(code)
        yield mine is not None and mine != right \
            and f"option {code} is {mine.hex()}, scapy makes it {right.hex()}"
        wanted = code in asked and not (informs and code in LEASE) and code != 116
        yield wanted and mine is None and not left_out and f"option {code} is set, and not there"
    if 119 in sent:
        names = names_of(sent[119])
        yield names != vm.search4() and f"option 119 is {names}, not {vm.search4()}"
    # The mask, and the routes that are asked for, go before the router.
    order = [53, 54, 51]
    for code in asked:
        before = [1, *(routes for routes in (121, 249) if routes in asked)] if code == 3 else []
        order += before + [code]
    order = [code for code in dict.fromkeys(order) if code in sent]
    mine = [code for code in sent if code in order and code not in EXCHANGE4]
    yield 52 not in sent and mine != [code for code in order if code not in EXCHANGE4] \
        and f"the options come as {mine}, asked for as {order}"


def decided4(request, verdict, vm):
    """RFC 2131, section 4.3, for the fields that scapy reads."""
    kind, server, wish = value(request, 53), value(request, 54), value(request, 50)
    other = server is not None and server != ip4(vm.server())
    what = verdict.split(",")[0]
    if "other-server" in what:
        yield not other and "dropped for another server that is not named"
        return
    # Frame, source and destination were not to be read any further, or there is nothing to give.
    if not what.startswith(("reply", "note")) or what == "note foreign-server":
        return
    yield other and "answered, although it names another server"
    asked = wish or ip4(request.ciaddr)
    own = vm.holds(".".join(map(str, asked)), "ipv4")
    rapid = value(request, 80) is not None and vm.template["ipv4"].get("rapid-commit")
    right = {b"\1": "reply ack" if rapid else "reply offer", b"\3": "reply ack" if own else "reply nak",
             b"\4": "note declined", b"\7": "note released", b"\x08": "reply ack"}.get(kind)
    yield right and what != right and f"{what}, and {right} would be right"


def ip4(text):
    return bytes(map(int, text.split(".")))


def names_of(octets):
    """RFC 1035, section 4.1.4; scapy's own reader counts pointers from a DNS header before them."""
    names, place = [], 0
    while place < len(octets):
        labels, at, jumped = [], place, False
        while octets[at]:
            if octets[at] >= 0xc0:
                place = place if jumped else at + 2
                at, jumped = (octets[at] & 0x3f) << 8 | octets[at + 1], True
                continue
            labels.append(octets[at + 1:at + 1 + octets[at]].decode())
            at += 1 + octets[at]
        place = place if jumped else at + 1
        names.append(".".join(labels))
    return names


def fields(message):
    """The fields that hold options: always one, and those that option 52 names."""
    yield bytes(message[DHCP])
    overload = (joined(options4(bytes(message[DHCP]))).get(52) or b"\0")[0]
    for bit, field in ((1, "file"), (2, "sname")):
        if overload & bit:
            yield message.getfieldval(field)


def joined(pairs):
    """RFC 3396, section 7: the parts of a code are one value; codes in the order of their first."""
    values = {}
    for code, part in pairs:
        values[code] = values.get(code, b"") + part
    return values


def options(message):
    """What scapy reads, encoded again option by option."""
    return joined((encoded[0], encoded[2:]) for field in fields(message)
                  for option in DHCP(field).options[:end(DHCP(field).options)] if option != "pad"
                  for encoded in [FIELD.i2m(None, [option])] if encoded)


def end(read):
    return read.index("end") if "end" in read else len(read)


def walked(message):
    return joined(pair for field in fields(message) for pair in options4(field))


def value(message, code):
    return options(message).get(code) if DHCP in message else None


def values6(reply, vm):
    """What DHCPv6 tells of address, servers and names."""
    answer = message6(reply)
    if answer is None:
        return
    for association in layers6(answer, DHCP6OptIA_NA):
        for address in association.ianaopts:
            if isinstance(address, DHCP6OptIAAddress) and address.validlft:
                yield not vm.holds(address.addr, "ipv6") and f"the address is {address.addr}"
    for layer in layers6(answer, DHCP6OptDNSServers):
        right = vm.addresses("dns", 6)
        yield layer.dnsservers != right and f"DNS servers are {layer.dnsservers}, not {right}"
    for layer in layers6(answer, DHCP6OptDNSDomains):
        names = [str(name).rstrip(".") for name in layer.dnsdomains]
        yield names != vm.search() and f"the search list is {names}, not {vm.search()}"


def layers6(packet, kind):
    return [layer for layer in packet.iterpayloads() if isinstance(layer, kind)]


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
    wanted = [layer.iaid for layer in layers6(request, DHCP6OptIA_NA)]
    given = [layer.iaid for layer in layers6(answer, DHCP6OptIA_NA)]
    yield not set(given) <= set(wanted) and f"IAIDs {given}, asked for {wanted}"
    oro = request.getlayer(DHCP6OptOptReq)
    asked = set(oro.reqopts) if oro else set()
    sent = {layer.optcode for layer in answer.iterpayloads() if "optcode" in layer.fields}
    extra = sent - asked - ALWAYS6
    yield extra and f"options {sorted(extra)} were not asked for"


def message6(frame):
    udp = frame.getlayer(UDP)
    layer = udp.payload if udp else None
    return layer if layer is not None and hasattr(layer, "trid") else None


def options4(octets):
    """Pairs of code and value up to the END, by RFC 2132, from the bytes behind the cookie."""
    place, pairs = 0, []
    while place < len(octets) and octets[place] != 255:
        if octets[place] == 0 or place + 1 == len(octets):
            place += 1
            continue
        length = octets[place + 1]
        pairs.append((octets[place], octets[place + 2:place + 2 + length]))
        place += 2 + length
    return pairs


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
