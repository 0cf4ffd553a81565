//! One Ethernet frame to an [`Inbound`].
//!
//! ```text
//! Ethernet II | IPv4, no options, whole | UDP to 67 or 68            | payload
//!             |                         | ICMP 8                     | body
//!             | IPv6, no extensions     | UDP to 547 or 546          | payload
//!             |                         | ICMPv6 128, 133 to 136     | body
//!             | ARP or RARP, IPv4 over Ethernet
//! ```
//!
//! pnet's views read single fields; its addresses are another crate's, hence the octets between.
//! Whatever follows the length that a header gives is Ethernet padding and is left out.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet::packet::arp::{ArpHardwareTypes, ArpPacket};
use pnet::packet::ethernet::{EtherTypes, EthernetPacket};
use pnet::packet::icmpv6::{Icmpv6Packet, Icmpv6Types};
use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet::packet::ipv4::{Ipv4Flags, Ipv4Packet};
use pnet::packet::ipv6::Ipv6Packet;
use pnet::packet::udp::UdpPacket;
use pnet::util::MacAddr;

use super::checksum::Sum;
use super::{
    Arp, DHCPV4_CLIENT_PORT, DHCPV4_SERVER_PORT, DHCPV6_CLIENT_PORT, DHCPV6_SERVER_PORT, Datagram,
    ETHERNET_HEADER, Echo, Frame, IPV4_HEADER, IPV6_HEADER, Icmpv6, Inbound, Link, Mac, Refused,
    UDP_HEADER,
};
use crate::outcome::{DropReason, Message, Protocol};

/// Reads one frame, strictly: every length, version, fragment field and checksum is checked.
///
/// The kernel's VLAN tag, the frame's length against the MTU and the source MAC are the
/// responder's to check.
///
/// # Errors
/// [`Refused`] with the reason, and protocol and message if they were known by then.
pub fn decode<'a>(frame: &Frame<'a>) -> Result<Inbound<'a>, Refused> {
    if frame.truncated {
        return Err(unknown(DropReason::TooLong));
    }
    let too_short = || unknown(DropReason::TooShort);
    let header = EthernetPacket::new(frame.bytes).ok_or_else(too_short)?;
    let packet = frame.bytes.get(ETHERNET_HEADER..).ok_or_else(too_short)?;
    let link =
        Link { source: mac(header.get_source()), destination: mac(header.get_destination()) };
    match header.get_ethertype() {
        EtherTypes::Ipv4 => ipv4(frame.checksum_pending, link, packet),
        EtherTypes::Ipv6 => ipv6(frame.checksum_pending, link, packet),
        EtherTypes::Arp => arp(link, packet)
            .map(Inbound::Arp)
            .map_err(|reason| refused(Protocol::Arp, Message::Unknown, reason)),
        EtherTypes::Rarp => arp(link, packet)
            .and_then(|rarp| match rarp.operation {
                RARP_REQUEST => Ok(Inbound::Rarp(rarp)),
                _ => Err(DropReason::NotForUs),
            })
            .map_err(|reason| refused(Protocol::Arp, Message::Rarp, reason)),
        EtherTypes::Vlan | EtherTypes::PBridge | EtherTypes::QinQ => Err(unknown(DropReason::Vlan)),
        _ => Err(unknown(DropReason::NotForUs)),
    }
}

/// Reads an IPv4 packet that must be one whole UDP datagram to a DHCP port.
fn ipv4(pending: bool, link: Link, packet: &[u8]) -> Result<Inbound<'_>, Refused> {
    let header = Ipv4Packet::new(packet).ok_or(unknown(DropReason::TooShort))?;
    let total_length = usize::from(header.get_total_length());
    if header.get_version() != 4 || header.get_header_length() < 5 || total_length < IPV4_HEADER {
        return Err(unknown(DropReason::BadHeader));
    }
    // With options the header is longer; no DHCP client sends any.
    if header.get_header_length() > 5 {
        return Err(unknown(DropReason::Fragment));
    }
    let (Some(header_bytes), Some(datagram)) =
        (packet.get(..IPV4_HEADER), packet.get(IPV4_HEADER..total_length))
    else {
        return Err(unknown(DropReason::TooShort));
    };
    // The kernel never leaves this checksum to the NIC: `pending` is about UDP alone.
    if Sum::new().bytes(header_bytes).finish() != 0 {
        return Err(unknown(DropReason::BadChecksum));
    }
    let more_fragments = header.get_flags() & Ipv4Flags::MoreFragments != 0;
    if more_fragments || header.get_fragment_offset() != 0 {
        return Err(unknown(DropReason::Fragment));
    }

    let source = Ipv4Addr::from(header.get_source().octets());
    let destination = Ipv4Addr::from(header.get_destination().octets());
    match header.get_next_level_protocol() {
        IpNextHeaderProtocols::Udp => {}
        IpNextHeaderProtocols::Icmp => {
            let body = echo_body(ECHO_IPV4, (pending, Sum::new()), datagram)?;
            return Ok(Inbound::EchoIpv4(Echo { link, source, destination, body }));
        }
        _ => return Err(unknown(DropReason::NotForUs)),
    }
    let udp = UdpPacket::new(datagram).ok_or(unknown(DropReason::TooShort))?;
    // Clients take a server's message from any source port: so must who looks for such servers.
    let inbound: fn(_) -> _ = match udp.get_destination() {
        DHCPV4_SERVER_PORT => Inbound::Dhcpv4,
        DHCPV4_CLIENT_PORT => Inbound::Dhcpv4Server,
        _ => return Err(unknown(DropReason::NotForUs)),
    };
    // RFC 768: over IPv4 a checksum of 0 says that the sender made none.
    let checksum = if pending || udp.get_checksum() == 0 {
        Checksum::Unknown
    } else {
        let protocol = IpNextHeaderProtocols::Udp.0;
        Checksum::Over(Sum::ipv4(source, destination, protocol, udp.get_length()))
    };
    let payload = udp_payload(&udp, datagram, checksum)
        .map_err(|reason| refused(Protocol::Dhcpv4, Message::Unknown, reason))?;
    Ok(inbound(Datagram { link, source, destination, payload }))
}

/// Reads an IPv6 packet that must be UDP to a DHCPv6 port, or Neighbor Discovery.
fn ipv6(pending: bool, link: Link, packet: &[u8]) -> Result<Inbound<'_>, Refused> {
    let header = Ipv6Packet::new(packet).ok_or(unknown(DropReason::TooShort))?;
    if header.get_version() != 6 {
        return Err(unknown(DropReason::BadHeader));
    }
    let end = IPV6_HEADER.saturating_add(usize::from(header.get_payload_length()));
    let payload = packet.get(IPV6_HEADER..end).ok_or(unknown(DropReason::TooShort))?;
    match header.get_next_header() {
        IpNextHeaderProtocols::Udp => dhcpv6(pending, link, (&header, payload)),
        IpNextHeaderProtocols::Icmpv6 => icmpv6(pending, link, (&header, payload)),
        next if EXTENSION_HEADERS.contains(&next) => Err(unknown(DropReason::Fragment)),
        _ => Err(unknown(DropReason::NotForUs)),
    }
}

/// Reads the UDP datagram behind `header`.
fn dhcpv6<'a>(
    pending: bool,
    link: Link,
    (header, datagram): (&Ipv6Packet<'_>, &'a [u8]),
) -> Result<Inbound<'a>, Refused> {
    let source = Ipv6Addr::from(header.get_source().octets());
    let destination = Ipv6Addr::from(header.get_destination().octets());
    let udp = UdpPacket::new(datagram).ok_or(unknown(DropReason::TooShort))?;
    let inbound: fn(_) -> _ = match udp.get_destination() {
        DHCPV6_SERVER_PORT => Inbound::Dhcpv6,
        DHCPV6_CLIENT_PORT => Inbound::Dhcpv6Server,
        _ => return Err(unknown(DropReason::NotForUs)),
    };
    let checksum = match (pending, udp.get_checksum()) {
        (true, _) => Checksum::Unknown,
        // RFC 8200, section 8.1: over IPv6 there must be one.
        (false, 0) => Checksum::Missing,
        (false, _) => {
            let protocol = IpNextHeaderProtocols::Udp.0;
            Checksum::Over(Sum::ipv6(source, destination, protocol, udp.get_length()))
        }
    };
    let payload = udp_payload(&udp, datagram, checksum)
        .map_err(|reason| refused(Protocol::Dhcpv6, Message::Unknown, reason))?;
    Ok(inbound(Datagram { link, source, destination, payload }))
}

/// Reads the ICMPv6 message behind `header`.
fn icmpv6<'a>(
    pending: bool,
    link: Link,
    (header, message): (&Ipv6Packet<'_>, &'a [u8]),
) -> Result<Inbound<'a>, Refused> {
    let icmpv6 = Icmpv6Packet::new(message).ok_or(unknown(DropReason::TooShort))?;
    let source = Ipv6Addr::from(header.get_source().octets());
    let destination = Ipv6Addr::from(header.get_destination().octets());
    let protocol = IpNextHeaderProtocols::Icmpv6.0;
    let sum = Sum::ipv6(source, destination, protocol, header.get_payload_length());
    let (name, inbound): (Message, fn(Icmpv6<'a>) -> Inbound<'a>) = match icmpv6.get_icmpv6_type() {
        Icmpv6Types::RouterSolicit => (Message::RouterSolicitation, Inbound::RouterSolicitation),
        Icmpv6Types::RouterAdvert => (Message::RouterAdvertisement, Inbound::RouterAdvertisement),
        Icmpv6Types::NeighborSolicit => {
            (Message::NeighborSolicitation, Inbound::NeighborSolicitation)
        }
        Icmpv6Types::NeighborAdvert => {
            (Message::NeighborAdvertisement, Inbound::NeighborAdvertisement)
        }
        Icmpv6Types::EchoRequest | Icmpv6Types::EchoReply => {
            let body = echo_body(ECHO_IPV6, (pending, sum), message)?;
            return Ok(Inbound::EchoIpv6(Echo { link, source, destination, body }));
        }
        _ => return Err(unknown(DropReason::NotForUs)),
    };
    let nd = |reason| refused(Protocol::Nd, name, reason);
    // Every message of RFC 4861 has at least four bytes after the checksum.
    let body = message.get(ICMP_HEADER..).filter(|body| body.len() >= 4);
    let body = body.ok_or(nd(DropReason::TooShort))?;
    if !pending && sum.bytes(message).finish() != 0 {
        return Err(nd(DropReason::BadChecksum));
    }
    let hop_limit = header.get_hop_limit();
    let code = icmpv6.get_icmpv6_code().0;
    Ok(inbound(Icmpv6 { link, source, destination, hop_limit, code, body }))
}

/// Checks an ICMP or ICMPv6 message that must be an echo request, and takes what follows its
/// checksum; the types are those of a request and of a reply.
fn echo_body(
    [request, reply]: [u8; 2],
    (pending, sum): (bool, Sum),
    message: &[u8],
) -> Result<&[u8], Refused> {
    let echo = |reason| refused(Protocol::Other, Message::EchoRequest, reason);
    let (Some([found, code, ..]), Some(body)) =
        (message.first_chunk::<ECHO_HEADER>(), message.get(ICMP_HEADER..))
    else {
        return Err(unknown(DropReason::TooShort));
    };
    if *found == reply {
        return Err(refused(Protocol::Other, Message::EchoReply, DropReason::NotForUs));
    }
    if *found != request {
        return Err(unknown(DropReason::NotForUs));
    }
    if !pending && sum.bytes(message).finish() != 0 {
        return Err(echo(DropReason::BadChecksum));
    }
    // RFC 792; RFC 4443, section 4.1.
    if *code != 0 {
        return Err(echo(DropReason::BadHeader));
    }
    Ok(body)
}

/// Reads an ARP or RARP packet for IPv4 over Ethernet; the operation may be any.
fn arp(link: Link, packet: &[u8]) -> Result<Arp, DropReason> {
    let arp = ArpPacket::new(packet).ok_or(DropReason::TooShort)?;
    let ipv4_over_ethernet = arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && arp.get_hw_addr_len() == 6
        && arp.get_proto_addr_len() == 4;
    if !ipv4_over_ethernet {
        return Err(DropReason::BadHeader);
    }
    Ok(Arp {
        link,
        operation: arp.get_operation().0,
        sender_mac: mac(arp.get_sender_hw_addr()),
        sender_ip: arp.get_sender_proto_addr().octets().into(),
        target_mac: mac(arp.get_target_hw_addr()),
        target_ip: arp.get_target_proto_addr().octets().into(),
    })
}

/// What a UDP checksum is to be held against.
enum Checksum {
    /// This pseudo-header, then the datagram.
    Over(Sum),
    /// Nothing: the sender made none, or it is yet to be filled in.
    Unknown,
    /// There is none where there must be one.
    Missing,
}

/// Checks length and checksum of a datagram that must fill the IP payload, and takes its payload.
fn udp_payload<'a>(
    udp: &UdpPacket<'_>,
    datagram: &'a [u8],
    checksum: Checksum,
) -> Result<&'a [u8], DropReason> {
    let length = usize::from(udp.get_length());
    if length > datagram.len() {
        return Err(DropReason::TooShort);
    }
    if length < datagram.len() {
        return Err(DropReason::BadHeader);
    }
    match checksum {
        Checksum::Over(sum) if sum.bytes(datagram).finish() != 0 => {
            return Err(DropReason::BadChecksum);
        }
        Checksum::Missing => return Err(DropReason::BadChecksum),
        Checksum::Over(_) | Checksum::Unknown => {}
    }
    datagram.get(UDP_HEADER..).ok_or(DropReason::TooShort)
}

fn mac(address: MacAddr) -> Mac {
    Mac(address.into())
}

/// Refuses a frame before its protocol is known.
const fn unknown(reason: DropReason) -> Refused {
    refused(Protocol::Other, Message::Unknown, reason)
}

const fn refused(protocol: Protocol, message: Message, reason: DropReason) -> Refused {
    Refused { protocol, message, reason }
}

/// Type, code and checksum (RFC 792; RFC 4443, section 2.1).
const ICMP_HEADER: usize = 4;
/// The same, with identifier and sequence number.
const ECHO_HEADER: usize = 8;
/// Types of an echo request and an echo reply (RFC 792).
const ECHO_IPV4: [u8; 2] = [8, 0];
/// Types of an echo request and an echo reply (RFC 4443, sections 4.1 and 4.2).
const ECHO_IPV6: [u8; 2] = [128, 129];
/// RFC 903: "request reverse".
const RARP_REQUEST: u16 = 3;
/// The IPv6 extension header types of the IANA registry.
const EXTENSION_HEADERS: [IpNextHeaderProtocol; 11] = [
    IpNextHeaderProtocol(0),   // Hop-by-Hop Options
    IpNextHeaderProtocol(43),  // Routing
    IpNextHeaderProtocol(44),  // Fragment
    IpNextHeaderProtocol(50),  // Encapsulating Security Payload
    IpNextHeaderProtocol(51),  // Authentication
    IpNextHeaderProtocol(60),  // Destination Options
    IpNextHeaderProtocol(135), // Mobility
    IpNextHeaderProtocol(139), // Host Identity Protocol
    IpNextHeaderProtocol(140), // Shim6
    IpNextHeaderProtocol(253), // RFC 3692 experiments
    IpNextHeaderProtocol(254),
];

#[cfg(test)]
mod tests {
    use etherparse::{Ipv4Header, PacketBuilder};
    use proptest::prelude::*;

    use super::*;

    const GUEST: Mac = Mac([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
    const LINK: Link = Link { source: GUEST, destination: Mac::BROADCAST };
    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 5);
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);

    fn plain(bytes: &[u8]) -> Frame<'_> {
        Frame { bytes, vlan: None, checksum_pending: false, truncated: false }
    }

    fn reason(bytes: &[u8]) -> DropReason {
        decode(&plain(bytes)).expect_err("the frame was taken").reason
    }

    /// Makes a UDP frame over IPv4 with etherparse.
    fn udp4(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(GUEST.0, Mac::BROADCAST.0)
            .ipv4(CLIENT.octets(), SERVER.octets(), 64)
            .udp(ports.0, ports.1);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        bytes
    }

    /// Makes a UDP frame over IPv6 with etherparse.
    fn udp6(ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
        let (source, destination) = link_locals();
        let builder = PacketBuilder::ethernet2(GUEST.0, Mac::BROADCAST.0)
            .ipv6(source.octets(), destination.octets(), 1)
            .udp(ports.0, ports.1);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        bytes
    }

    /// Makes an ICMPv6 frame with etherparse.
    fn icmp(kind: u8, body: &[u8]) -> Vec<u8> {
        let (source, destination) = link_locals();
        let (first, payload) = body.split_first_chunk::<4>().unwrap();
        let builder = PacketBuilder::ethernet2(GUEST.0, Mac::BROADCAST.0)
            .ipv6(source.octets(), destination.octets(), 255)
            .icmpv6_raw(kind, 0, *first);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, payload).unwrap();
        bytes
    }

    fn link_locals() -> (Ipv6Addr, Ipv6Addr) {
        ("fe80::5".parse().unwrap(), "ff02::1:2".parse().unwrap())
    }

    /// Changes the IPv4 header of a frame and makes its checksum right again.
    fn with_ipv4(mut bytes: Vec<u8>, change: impl FnOnce(&mut Ipv4Header)) -> Vec<u8> {
        let (mut header, _) = Ipv4Header::from_slice(&bytes[14..]).unwrap();
        change(&mut header);
        header.header_checksum = header.calc_header_checksum();
        bytes[14..34].copy_from_slice(&header.to_bytes());
        bytes
    }

    #[test]
    fn udp_ports_name_the_protocol() {
        let v4 = Datagram { link: LINK, source: CLIENT, destination: SERVER, payload: b"abc" };
        let (source, destination) = link_locals();
        let v6 = Datagram { link: LINK, source, destination, payload: b"abc" };
        for client in [0, 67, 68, 1024] {
            assert_eq!(decode(&plain(&udp4((client, 67), b"abc"))), Ok(Inbound::Dhcpv4(v4)));
        }
        for server in [67, 68, 1024] {
            assert_eq!(decode(&plain(&udp4((server, 68), b"abc"))), Ok(Inbound::Dhcpv4Server(v4)));
        }
        for client in [0, 546, 547, 1024] {
            assert_eq!(decode(&plain(&udp6((client, 547), b"abc"))), Ok(Inbound::Dhcpv6(v6)));
        }
        for server in [547, 546, 1024] {
            assert_eq!(decode(&plain(&udp6((server, 546), b"abc"))), Ok(Inbound::Dhcpv6Server(v6)));
        }
        for (ports4, ports6) in [((53, 53), (53, 53)), ((67, 546), (547, 68)), ((68, 0), (546, 0))]
        {
            assert_eq!(reason(&udp4(ports4, b"abc")), DropReason::NotForUs, "{ports4:?}");
            assert_eq!(reason(&udp6(ports6, b"abc")), DropReason::NotForUs, "{ports6:?}");
        }
    }

    #[test]
    fn a_router_solicitation_is_read_from_these_bytes() {
        let bytes = [
            0x33, 0x33, 0x00, 0x00, 0x00, 0x02, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x86, 0xdd,
            0x60, 0x00, 0x00, 0x00, 0x00, 0x10, 0x3a, 0xff, // IPv6: 16 bytes, ICMPv6, 255
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0x50, 0x54, 0x00, 0xff, 0xfe, 0x12, 0x34,
            0x56, // from
            0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, // to
            0x85, 0x00, 0x71, 0xb5, 0, 0, 0, 0, // type, code, checksum, reserved
            0x01, 0x01, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, // source link-layer address
        ];
        assert_eq!(
            decode(&plain(&bytes)),
            Ok(Inbound::RouterSolicitation(Icmpv6 {
                link: Link { source: GUEST, destination: Mac([0x33, 0x33, 0, 0, 0, 2]) },
                source: GUEST.link_local(),
                destination: "ff02::2".parse().unwrap(),
                hop_limit: 255,
                code: 0,
                body: &bytes[58..],
            }))
        );
    }

    #[test]
    fn arp_is_read_from_these_bytes_and_rarp_only_as_a_request() {
        let mut bytes = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x08, 0x06,
            0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01, // Ethernet, IPv4, request
            0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 10, 20, 1, 5, // sender
            0, 0, 0, 0, 0, 0, 10, 20, 0, 1, // target
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // padding
        ];
        let arp = Arp {
            link: LINK,
            operation: 1,
            sender_mac: GUEST,
            sender_ip: CLIENT,
            target_mac: Mac::default(),
            target_ip: SERVER,
        };
        assert_eq!(decode(&plain(&bytes)), Ok(Inbound::Arp(arp)));
        assert_eq!(decode(&plain(&bytes[..42])), Ok(Inbound::Arp(arp)));
        assert_eq!(
            decode(&plain(&bytes[..41])),
            Err(refused(Protocol::Arp, Message::Unknown, DropReason::TooShort))
        );
        for (place, wrong) in [(15, 6), (16, 0x86), (18, 8), (19, 16)] {
            let mut bytes = bytes;
            bytes[place] = wrong;
            assert_eq!(reason(&bytes), DropReason::BadHeader);
        }

        bytes[12..14].copy_from_slice(&[0x80, 0x35]);
        assert_eq!(
            decode(&plain(&bytes)),
            Err(refused(Protocol::Arp, Message::Rarp, DropReason::NotForUs))
        );
        bytes[21] = 3;
        assert_eq!(decode(&plain(&bytes)), Ok(Inbound::Rarp(Arp { operation: 3, ..arp })));
    }

    #[test]
    fn other_ethernet_types_are_not_for_us_and_tags_are_named() {
        let mut bytes = udp4((68, 67), b"abc");
        for (kind, expected) in [
            (0x8100_u16, DropReason::Vlan),
            (0x88a8, DropReason::Vlan),
            (0x9100, DropReason::Vlan),
            (0x88cc, DropReason::NotForUs),
            (0x0030, DropReason::NotForUs),
        ] {
            bytes[12..14].copy_from_slice(&kind.to_be_bytes());
            assert_eq!(reason(&bytes), expected, "{kind:04x}");
        }
        assert_eq!(reason(&bytes[..13]), DropReason::TooShort);
        assert_eq!(reason(&[]), DropReason::TooShort);
    }

    #[test]
    fn a_truncated_frame_is_too_long() {
        let bytes = udp4((68, 67), b"abc");
        let frame = Frame { truncated: true, ..plain(&bytes) };
        assert_eq!(decode(&frame), Err(unknown(DropReason::TooLong)));
    }

    #[test]
    fn ethernet_padding_is_left_out() {
        for mut bytes in [udp4((68, 67), b"abc"), udp6((546, 547), b"abc")] {
            bytes.resize(bytes.len() + 20, 0xaa);
            match decode(&plain(&bytes)) {
                Ok(Inbound::Dhcpv4(Datagram { payload, .. })) => assert_eq!(payload, b"abc"),
                Ok(Inbound::Dhcpv6(Datagram { payload, .. })) => assert_eq!(payload, b"abc"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn every_cut_of_a_frame_is_too_short() {
        for bytes in [
            udp4((68, 67), b"abc"),
            udp6((546, 547), b"abc"),
            icmp(133, &[0; 12]),
            icmp(135, &[0; 20]),
        ] {
            for length in 0..bytes.len() {
                assert_eq!(reason(&bytes[..length]), DropReason::TooShort, "{length}");
            }
        }
    }

    #[test]
    fn ipv4_fragments_and_options_are_refused() {
        let bytes = || udp4((68, 67), b"abc");
        let more = with_ipv4(bytes(), |header| header.more_fragments = true);
        assert_eq!(reason(&more), DropReason::Fragment);
        let last = with_ipv4(bytes(), |header| {
            header.fragment_offset = 1.try_into().unwrap();
        });
        assert_eq!(reason(&last), DropReason::Fragment);
        let mut options = bytes();
        options[14] = 0x46;
        assert_eq!(reason(&options), DropReason::Fragment);
    }

    #[test]
    fn ipv4_header_that_contradicts_itself_is_refused() {
        let bytes = udp4((68, 67), b"abc");
        for first in [0x55, 0x65, 0x44, 0x40] {
            let mut bytes = bytes.clone();
            bytes[14] = first;
            assert_eq!(reason(&bytes), DropReason::BadHeader);
        }
        for (total_length, expected) in
            [(19, DropReason::BadHeader), (20, DropReason::TooShort), (32, DropReason::TooShort)]
        {
            let wrong = with_ipv4(bytes.clone(), |header| header.total_len = total_length);
            assert_eq!(reason(&wrong), expected);
        }
        let tcp = with_ipv4(bytes.clone(), |header| header.protocol = 6.into());
        assert_eq!(reason(&tcp), DropReason::NotForUs);
    }

    #[test]
    fn ipv4_header_checksum_is_always_checked() {
        let mut bytes = udp4((68, 67), b"abc");
        bytes[25] ^= 1;
        let frame = Frame { checksum_pending: true, ..plain(&bytes) };
        assert_eq!(decode(&frame), Err(unknown(DropReason::BadChecksum)));
        assert_eq!(reason(&bytes), DropReason::BadChecksum);
    }

    #[test]
    fn udp_length_must_be_what_the_ip_header_leaves() {
        for (bytes, place, protocol) in [
            (udp4((68, 67), b"abc"), 39, Protocol::Dhcpv4),
            (udp6((546, 547), b"abc"), 59, Protocol::Dhcpv6),
        ] {
            assert_eq!(bytes[place], 11);
            for (length, expected) in [
                (12, DropReason::TooShort),
                (10, DropReason::BadHeader),
                (7, DropReason::BadHeader),
                (0, DropReason::BadHeader),
            ] {
                let mut bytes = bytes.clone();
                bytes[place] = length;
                let frame = Frame { checksum_pending: true, ..plain(&bytes) };
                assert_eq!(
                    decode(&frame),
                    Err(refused(protocol, Message::Unknown, expected)),
                    "{length}"
                );
            }
        }
    }

    #[test]
    fn a_wrong_transport_checksum_is_refused_unless_it_is_pending() {
        for (mut bytes, refusal) in [
            (udp4((68, 67), b"abc"), (Protocol::Dhcpv4, Message::Unknown)),
            (udp6((546, 547), b"abc"), (Protocol::Dhcpv6, Message::Unknown)),
            (icmp(133, &[0; 4]), (Protocol::Nd, Message::RouterSolicitation)),
            (icmp(134, &[0; 12]), (Protocol::Nd, Message::RouterAdvertisement)),
            (icmp(135, &[0; 20]), (Protocol::Nd, Message::NeighborSolicitation)),
            (icmp(136, &[0; 20]), (Protocol::Nd, Message::NeighborAdvertisement)),
        ] {
            assert!(decode(&plain(&bytes)).is_ok());
            *bytes.last_mut().unwrap() ^= 1;
            assert_eq!(
                decode(&plain(&bytes)),
                Err(refused(refusal.0, refusal.1, DropReason::BadChecksum))
            );
            assert!(decode(&Frame { checksum_pending: true, ..plain(&bytes) }).is_ok());
        }
    }

    #[test]
    fn a_udp_checksum_of_zero_is_legal_over_ipv4_only() {
        let mut v4 = udp4((68, 67), b"abc");
        v4[40..42].fill(0);
        assert!(decode(&plain(&v4)).is_ok());
        let mut v6 = udp6((546, 547), b"abc");
        v6[60..62].fill(0);
        assert_eq!(
            decode(&plain(&v6)),
            Err(refused(Protocol::Dhcpv6, Message::Unknown, DropReason::BadChecksum))
        );
        assert!(decode(&Frame { checksum_pending: true, ..plain(&v6) }).is_ok());
    }

    #[test]
    fn ipv6_extension_headers_are_refused_and_other_protocols_are_not_for_us() {
        let mut bytes = udp6((546, 547), b"abc");
        for (next, expected) in [
            (0, DropReason::Fragment),
            (43, DropReason::Fragment),
            (44, DropReason::Fragment),
            (60, DropReason::Fragment),
            (6, DropReason::NotForUs),
            (59, DropReason::NotForUs),
        ] {
            bytes[20] = next;
            assert_eq!(reason(&bytes), expected, "{next}");
        }
        bytes[14] = 0x50;
        assert_eq!(reason(&bytes), DropReason::BadHeader);
    }

    #[test]
    fn other_icmpv6_types_are_not_for_us() {
        for kind in [127, 130, 132, 137, 143] {
            assert_eq!(
                decode(&plain(&icmp(kind, &[0; 20]))),
                Err(unknown(DropReason::NotForUs)),
                "{kind}"
            );
        }
    }

    /// Makes an ICMP frame out of a whole message, whose checksum is filled in.
    fn icmp4(mut message: Vec<u8>) -> Vec<u8> {
        let sum = Sum::new().bytes(&message).finish();
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let builder = PacketBuilder::ethernet2(GUEST.0, Mac::BROADCAST.0).ipv4(
            CLIENT.octets(),
            SERVER.octets(),
            64,
        );
        let mut bytes = Vec::new();
        builder.write(&mut bytes, etherparse::ip_number::ICMP, &message).unwrap();
        bytes
    }

    #[test]
    fn echo_requests_of_both_families_are_read() {
        let body = [0, 7, 0, 1, b'h', b'i'];
        let message = [&[8, 0, 0, 0][..], &body].concat();
        let echo = Echo { link: LINK, source: CLIENT, destination: SERVER, body: &body };
        assert_eq!(decode(&plain(&icmp4(message))), Ok(Inbound::EchoIpv4(echo)));
        let (source, destination) = link_locals();
        let echo = Echo { link: LINK, source, destination, body: &body };
        assert_eq!(decode(&plain(&icmp(128, &body))), Ok(Inbound::EchoIpv6(echo)));
    }

    #[test]
    fn what_is_no_echo_request_is_refused() {
        let refuse = |message, reason| Err(refused(Protocol::Other, message, reason));
        let read = |message: &[u8]| decode(&plain(&icmp4(message.to_vec()))).map(drop);
        assert_eq!(
            read(&[0, 0, 0, 0, 0, 7, 0, 1]),
            refuse(Message::EchoReply, DropReason::NotForUs)
        );
        assert_eq!(read(&[13, 0, 0, 0, 0, 7, 0, 1]), Err(unknown(DropReason::NotForUs)));
        assert_eq!(read(&[8, 0, 0, 0, 0, 7, 0]), Err(unknown(DropReason::TooShort)));
        let echo = Message::EchoRequest;
        assert_eq!(read(&[8, 1, 0, 0, 0, 7, 0, 1]), refuse(echo, DropReason::BadHeader));
        let mut bytes = icmp4(vec![8, 0, 0, 0, 0, 7, 0, 1]);
        bytes[37] ^= 1;
        assert_eq!(decode(&plain(&bytes)).map(drop), refuse(echo, DropReason::BadChecksum));
        assert!(decode(&Frame { checksum_pending: true, ..plain(&bytes) }).is_ok());
    }

    #[test]
    fn an_icmpv6_message_of_less_than_eight_bytes_is_too_short() {
        let mut bytes = icmp(133, &[0; 4]);
        bytes[19] = 7;
        assert_eq!(
            decode(&plain(&bytes)),
            Err(refused(Protocol::Nd, Message::RouterSolicitation, DropReason::TooShort))
        );
    }

    /// Makes frames that get past the first checks: a type that is known, then anything.
    fn nearly_a_frame() -> impl Strategy<Value = Vec<u8>> {
        let kinds = vec![0x0800_u16, 0x86dd, 0x0806, 0x8035, 0x8100];
        let rest = prop::collection::vec(any::<u8>(), 0..200);
        (prop::sample::select(kinds), any::<bool>(), rest).prop_map(|(kind, tidy, rest)| {
            let mut bytes = vec![2; 12];
            bytes.extend(kind.to_be_bytes());
            bytes.extend(rest);
            if let (true, Some(first)) = (tidy, bytes.get_mut(14)) {
                *first = if kind == 0x0800 { 0x45 } else { 0x60 };
            }
            bytes
        })
    }

    proptest! {
        #[test]
        fn no_bytes_make_decode_panic(
            bytes in prop_oneof![prop::collection::vec(any::<u8>(), 0..300), nearly_a_frame()],
            checksum_pending: bool,
        ) {
            let _ = decode(&Frame { checksum_pending, ..plain(&bytes) });
        }

        #[test]
        fn no_changed_byte_makes_decode_panic_or_reach_past_the_frame(
            place in 0_usize..100,
            byte: u8,
            cut in 0_usize..120,
        ) {
            for mut bytes in [
                udp4((68, 67), &[7; 60]), udp6((546, 547), &[7; 60]), icmp(135, &[1; 36])
            ] {
                if let Some(changed) = bytes.get_mut(place) {
                    *changed = byte;
                }
                let bytes = &bytes[..cut.min(bytes.len())];
                let frame = Frame { checksum_pending: true, ..plain(bytes) };
                if let Ok(Inbound::Dhcpv4(Datagram { payload, .. })
                    | Inbound::Dhcpv6(Datagram { payload, .. })) = decode(&frame)
                {
                    prop_assert_eq!(payload.len(), 60);
                }
            }
        }
    }
}
