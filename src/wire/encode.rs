//! Headers and checksums around a payload that already stands in a frame buffer.
//!
//! Every byte of the headers is written: what the buffer held before does not matter. The traffic
//! class is 0, the default: RFC 4594 counts DHCP among the standard services.

use std::net::{Ipv4Addr, Ipv6Addr};

use pnet::packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet::packet::ipv4::{Ipv4Flags, MutableIpv4Packet};
use pnet::packet::ipv6::MutableIpv6Packet;
use pnet::packet::udp::MutableUdpPacket;

use super::checksum::Sum;
use super::{
    DHCPV4_CLIENT_PORT, DHCPV4_SERVER_PORT, DHCPV6_CLIENT_PORT, DHCPV6_SERVER_PORT,
    ETHERNET_HEADER, IPV4_HEADER, IPV6_HEADER, Link, ND_HOP_LIMIT, Outbox, UDP_HEADER, VLAN_TAG,
};

/// Where a DHCPv4 message stands in a frame: after Ethernet, IPv4 and UDP headers.
pub const DHCPV4_OFFSET: usize = ETHERNET_HEADER + IPV4_HEADER + UDP_HEADER;
/// Where a DHCPv6 message stands in a frame: after Ethernet, IPv6 and UDP headers.
pub const DHCPV6_OFFSET: usize = ETHERNET_HEADER + IPV6_HEADER + UDP_HEADER;
/// Where an ICMPv6 message stands in a frame: after Ethernet and IPv6 headers.
pub const ICMPV6_OFFSET: usize = ETHERNET_HEADER + IPV6_HEADER;
/// Where an ICMP message stands in a frame: after Ethernet and IPv4 headers.
pub const ICMP_OFFSET: usize = ETHERNET_HEADER + IPV4_HEADER;
/// Where an ARP packet stands in a frame: after the Ethernet header.
pub const ARP_OFFSET: usize = ETHERNET_HEADER;
/// How long an ARP packet for IPv4 over Ethernet is (RFC 826).
pub const ARP_LENGTH: usize = 28;

/// Returns how long an ICMPv6 message may be on a port with this MTU. No frame of ours is longer
/// than [`Outbox::FRAME_MAX`], a VLAN tag included.
#[must_use]
pub fn icmpv6_room(mtu: u16) -> usize {
    let longest = Outbox::FRAME_MAX.saturating_sub(VLAN_TAG).saturating_sub(ETHERNET_HEADER);
    usize::from(mtu).min(longest).saturating_sub(IPV6_HEADER)
}

/// Puts headers before the `length` payload bytes at [`DHCPV4_OFFSET`]: UDP 67 to 68, TTL 64, both
/// checksums. Returns the frame's length, 0 if it does not fit in `frame`.
#[must_use]
pub fn dhcpv4(
    frame: &mut [u8],
    link: Link,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    length: usize,
) -> usize {
    let put = || {
        let end = DHCPV4_OFFSET.checked_add(length)?;
        let packet = ethernet(frame.get_mut(..end)?, link, EtherTypes::Ipv4)?;
        let total_length = u16::try_from(packet.len()).ok()?;
        let (header, datagram) = packet.split_at_mut_checked(IPV4_HEADER)?;
        ipv4(header, source, destination, (IpNextHeaderProtocols::Udp, total_length))?;
        let udp_length = udp(datagram, DHCPV4_SERVER_PORT, DHCPV4_CLIENT_PORT)?;
        let protocol = IpNextHeaderProtocols::Udp.0;
        udp_checksum(datagram, Sum::ipv4(source, destination, protocol, udp_length))?;
        Some(end)
    };
    finished(put)
}

/// Puts headers before the `length` message bytes at [`ICMP_OFFSET`], TTL 64, and fills in both
/// checksums. Returns the frame's length, 0 if it does not fit in `frame`.
#[must_use]
pub fn icmp(
    frame: &mut [u8],
    link: Link,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    length: usize,
) -> usize {
    let put = || {
        let end = ICMP_OFFSET.checked_add(length)?;
        let packet = ethernet(frame.get_mut(..end)?, link, EtherTypes::Ipv4)?;
        let total_length = u16::try_from(packet.len()).ok()?;
        let (header, message) = packet.split_at_mut_checked(IPV4_HEADER)?;
        ipv4(header, source, destination, (IpNextHeaderProtocols::Icmp, total_length))?;
        message.get_mut(ICMP_CHECKSUM)?.fill(0);
        let sum = Sum::new().bytes(message).finish();
        message.get_mut(ICMP_CHECKSUM)?.copy_from_slice(&sum.to_be_bytes());
        Some(end)
    };
    finished(put)
}

/// Puts headers before the `length` payload bytes at [`DHCPV6_OFFSET`]: UDP 547 to 546, hop limit
/// 64, checksum. Returns the frame's length, 0 if it does not fit in `frame`.
#[must_use]
pub fn dhcpv6(
    frame: &mut [u8],
    link: Link,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    length: usize,
) -> usize {
    let put = || {
        let end = DHCPV6_OFFSET.checked_add(length)?;
        let packet = ethernet(frame.get_mut(..end)?, link, EtherTypes::Ipv6)?;
        let protocol = IpNextHeaderProtocols::Udp;
        let datagram = ipv6(packet, source, destination, (protocol, HOP_LIMIT))?;
        let udp_length = udp(datagram, DHCPV6_SERVER_PORT, DHCPV6_CLIENT_PORT)?;
        udp_checksum(datagram, Sum::ipv6(source, destination, protocol.0, udp_length))?;
        Some(end)
    };
    finished(put)
}

/// Puts headers before the `length` message bytes at [`ICMPV6_OFFSET`], hop limit 255, and fills in
/// the ICMPv6 checksum. Returns the frame's length, 0 if it does not fit in `frame`.
#[must_use]
pub fn icmpv6(
    frame: &mut [u8],
    link: Link,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    length: usize,
) -> usize {
    let put = || {
        let end = ICMPV6_OFFSET.checked_add(length)?;
        let packet = ethernet(frame.get_mut(..end)?, link, EtherTypes::Ipv6)?;
        let protocol = IpNextHeaderProtocols::Icmpv6;
        let message = ipv6(packet, source, destination, (protocol, ND_HOP_LIMIT))?;
        message.get_mut(ICMP_CHECKSUM)?.fill(0);
        let length = u16::try_from(message.len()).ok()?;
        let sum = Sum::ipv6(source, destination, protocol.0, length).bytes(message).finish();
        message.get_mut(ICMP_CHECKSUM)?.copy_from_slice(&sum.to_be_bytes());
        Some(end)
    };
    finished(put)
}

/// Puts the Ethernet header before the 28 bytes at [`ARP_OFFSET`]. Returns the frame's length, 0 if
/// it does not fit in `frame`.
#[must_use]
pub fn arp(frame: &mut [u8], link: Link) -> usize {
    let put = || {
        let end = ARP_OFFSET.checked_add(ARP_LENGTH)?;
        ethernet(frame.get_mut(..end)?, link, EtherTypes::Arp)?;
        Some(end)
    };
    finished(put)
}

/// Runs `put` and turns "does not fit" into length 0.
fn finished(put: impl FnOnce() -> Option<usize>) -> usize {
    put().unwrap_or(0)
}

/// Writes the Ethernet header and returns what follows it.
fn ethernet(frame: &mut [u8], link: Link, kind: EtherType) -> Option<&mut [u8]> {
    let (header, packet) = frame.split_at_mut_checked(ETHERNET_HEADER)?;
    let mut ethernet = MutableEthernetPacket::new(header)?;
    ethernet.set_destination(link.destination.0.into());
    ethernet.set_source(link.source.0.into());
    ethernet.set_ethertype(kind);
    Some(packet)
}

/// Writes an IPv4 header, checksum included.
fn ipv4(
    header: &mut [u8],
    source: Ipv4Addr,
    destination: Ipv4Addr,
    (protocol, total_length): (IpNextHeaderProtocol, u16),
) -> Option<()> {
    let mut ipv4 = MutableIpv4Packet::new(header)?;
    ipv4.set_version(4);
    ipv4.set_header_length(5);
    ipv4.set_dscp(0);
    ipv4.set_ecn(0);
    ipv4.set_total_length(total_length);
    // RFC 6864, section 4.1: what is never fragmented needs no identification.
    ipv4.set_identification(0);
    ipv4.set_flags(Ipv4Flags::DontFragment);
    ipv4.set_fragment_offset(0);
    ipv4.set_ttl(HOP_LIMIT);
    ipv4.set_next_level_protocol(protocol);
    ipv4.set_source(source.octets().into());
    ipv4.set_destination(destination.octets().into());
    ipv4.set_checksum(0);
    let sum = Sum::new().bytes(header).finish();
    MutableIpv4Packet::new(header)?.set_checksum(sum);
    Some(())
}

/// Writes an IPv6 header and returns what follows it.
fn ipv6(
    packet: &mut [u8],
    source: Ipv6Addr,
    destination: Ipv6Addr,
    (next_header, hop_limit): (IpNextHeaderProtocol, u8),
) -> Option<&mut [u8]> {
    let (header, payload) = packet.split_at_mut_checked(IPV6_HEADER)?;
    let mut ipv6 = MutableIpv6Packet::new(header)?;
    ipv6.set_version(6);
    ipv6.set_traffic_class(0);
    ipv6.set_flow_label(0);
    ipv6.set_payload_length(u16::try_from(payload.len()).ok()?);
    ipv6.set_next_header(next_header);
    ipv6.set_hop_limit(hop_limit);
    ipv6.set_source(source.octets().into());
    ipv6.set_destination(destination.octets().into());
    Some(payload)
}

/// Writes the UDP header, checksum 0, and returns the datagram's length.
fn udp(datagram: &mut [u8], source: u16, destination: u16) -> Option<u16> {
    let length = u16::try_from(datagram.len()).ok()?;
    let mut udp = MutableUdpPacket::new(datagram)?;
    udp.set_source(source);
    udp.set_destination(destination);
    udp.set_length(length);
    udp.set_checksum(0);
    Some(length)
}

/// Fills in the UDP checksum over `pseudo_header` and `datagram`.
fn udp_checksum(datagram: &mut [u8], pseudo_header: Sum) -> Option<()> {
    // RFC 768: 0 would say that there is no checksum; 0xffff means the same sum.
    let sum = match pseudo_header.bytes(datagram).finish() {
        0 => 0xffff,
        sum => sum,
    };
    MutableUdpPacket::new(datagram)?.set_checksum(sum);
    Some(())
}

/// TTL and hop limit of DHCP: the recommended default of RFC 1700.
const HOP_LIMIT: u8 = 64;
/// Where the checksum stands in an ICMP and an ICMPv6 message (RFC 792; RFC 4443, section 2.1).
const ICMP_CHECKSUM: std::ops::Range<usize> = 2..4;

#[cfg(test)]
mod tests {
    use etherparse::{InternetSlice, LinkSlice, NetSlice, SlicedPacket, TransportSlice};
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Datagram, Echo, Frame, Icmpv6, Inbound, Mac, decode};

    const LINK: Link = Link {
        source: Mac([0x0a, 0x58, 0xa9, 0xfe, 0x01, 0x01]),
        destination: Mac([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]),
    };

    fn plain(bytes: &[u8]) -> Frame<'_> {
        Frame { bytes, vlan: None, checksum_pending: false, truncated: false }
    }

    #[test]
    fn a_frame_that_does_not_fit_has_length_zero() {
        let v4 = Ipv4Addr::new(10, 20, 0, 1);
        let v6: Ipv6Addr = "fe80::1".parse().unwrap();
        let mut frame = [0; 100];
        assert_eq!(dhcpv4(&mut frame, LINK, v4, v4, 59), 0);
        assert_eq!(dhcpv4(&mut frame, LINK, v4, v4, 58), 100);
        assert_eq!(dhcpv4(&mut frame, LINK, v4, v4, usize::MAX), 0);
        assert_eq!(dhcpv6(&mut frame, LINK, v6, v6, 39), 0);
        assert_eq!(dhcpv6(&mut frame, LINK, v6, v6, 38), 100);
        assert_eq!(icmpv6(&mut frame, LINK, v6, v6, 47), 0);
        assert_eq!(icmpv6(&mut frame, LINK, v6, v6, 46), 100);
        assert_eq!(icmpv6(&mut frame, LINK, v6, v6, 3), 0);
        assert_eq!(arp(&mut frame[..41], LINK), 0);
        assert_eq!(arp(&mut frame[..42], LINK), 42);
        assert_eq!(dhcpv4(&mut [0; 70_000], LINK, v4, v4, 65_508), 0);
    }

    #[test]
    fn a_dhcpv4_frame_is_these_bytes() {
        let mut frame = [0xee; 44];
        frame[DHCPV4_OFFSET..].copy_from_slice(&[0x02, 0x01]);
        let server = Ipv4Addr::new(10, 20, 0, 1);
        assert_eq!(dhcpv4(&mut frame, LINK, server, Ipv4Addr::BROADCAST, 2), 44);
        assert_eq!(
            frame,
            [
                0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x0a, 0x58, 0xa9, 0xfe, 0x01, 0x01, 0x08, 0x00,
                0x45, 0x00, 0x00, 0x1e, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0x30, 0xbb, 0x0a, 0x14,
                0x00, 0x01, 0xff, 0xff, 0xff, 0xff, // IPv4
                0x00, 0x43, 0x00, 0x44, 0x00, 0x0a, 0xf3, 0x3d, // UDP
                0x02, 0x01,
            ]
        );
    }

    #[test]
    fn a_udp_checksum_of_zero_is_sent_as_ffff() {
        let v6: Ipv6Addr = "fe80::1".parse().unwrap();
        let mut frame = [0; DHCPV6_OFFSET + 2];
        assert_eq!(dhcpv6(&mut frame, LINK, v6, v6, 2), frame.len());
        // The sum over a payload of zeros, put into the payload, makes the whole sum zero.
        let sum = [frame[DHCPV6_OFFSET - 2], frame[DHCPV6_OFFSET - 1]];
        frame[DHCPV6_OFFSET..].copy_from_slice(&sum);
        assert_eq!(dhcpv6(&mut frame, LINK, v6, v6, 2), frame.len());
        assert_eq!(frame[DHCPV6_OFFSET - 2..DHCPV6_OFFSET], [0xff, 0xff]);
        assert!(decode(&plain(&frame)).is_ok());
    }

    fn addresses() -> impl Strategy<Value = (Ipv4Addr, Ipv4Addr, Ipv6Addr, Ipv6Addr)> {
        any::<(u32, u32, u128, u128)>()
            .prop_map(|(a, b, c, d)| (a.into(), b.into(), c.into(), d.into()))
    }

    proptest! {
        #[test]
        fn etherparse_reads_what_icmp_wrote(
            body in prop::collection::vec(any::<u8>(), 4..1_400),
            (source, destination, ..) in addresses(),
        ) {
            let mut frame = [0xee; Outbox::FRAME_MAX];
            // An echo request, so that it can be read back.
            frame[ICMP_OFFSET..][..2].copy_from_slice(&[8, 0]);
            frame[ICMP_OFFSET + 4..][..body.len()].copy_from_slice(&body);
            let length = icmp(&mut frame, LINK, source, destination, body.len() + 4);
            let bytes = &frame[..length];
            let sliced = SlicedPacket::from_ethernet(bytes).unwrap();
            let Some(NetSlice::Ipv4(ip)) = &sliced.net else { panic!("no IPv4") };
            let header = ip.header().to_header();
            prop_assert_eq!(header.calc_header_checksum(), header.header_checksum);
            let Some(TransportSlice::Icmpv4(message)) = &sliced.transport else { panic!("no ICMP") };
            let sum = message.header().icmp_type.calc_checksum(message.payload());
            prop_assert_eq!(sum, message.header().checksum);
            let echo = Echo { link: LINK, source, destination, body: &body };
            prop_assert_eq!(decode(&plain(bytes)), Ok(Inbound::EchoIpv4(echo)));
        }

        #[test]
        fn etherparse_and_decode_read_what_dhcpv4_wrote(
            payload in prop::collection::vec(any::<u8>(), 0..1_400),
            (source, destination, ..) in addresses(),
        ) {
            let mut frame = [0xee; Outbox::FRAME_MAX];
            frame[DHCPV4_OFFSET..][..payload.len()].copy_from_slice(&payload);
            let length = dhcpv4(&mut frame, LINK, source, destination, payload.len());
            let bytes = &frame[..length];

            let sliced = SlicedPacket::from_ethernet(bytes).unwrap();
            let Some(LinkSlice::Ethernet2(ethernet)) = &sliced.link else { panic!("no link") };
            prop_assert_eq!(ethernet.source(), LINK.source.0);
            prop_assert_eq!(ethernet.destination(), LINK.destination.0);
            let Some(NetSlice::Ipv4(ip)) = &sliced.net else { panic!("no IPv4") };
            let header = ip.header().to_header();
            prop_assert_eq!(header.calc_header_checksum(), header.header_checksum);
            prop_assert!(header.dont_fragment && !header.more_fragments);
            prop_assert_eq!((header.time_to_live, header.identification), (64, 0));
            let Some(TransportSlice::Udp(udp)) = &sliced.transport else { panic!("no UDP") };
            let sum = udp.to_header().calc_checksum_ipv4(&header, udp.payload()).unwrap();
            prop_assert_eq!(sum, udp.checksum());

            prop_assert_eq!(
                decode(&plain(bytes)),
                Ok(Inbound::Dhcpv4Server(Datagram {
                    link: LINK,
                    source,
                    destination,
                    payload: &payload,
                }))
            );
        }

        #[test]
        fn etherparse_and_decode_read_what_dhcpv6_wrote(
            payload in prop::collection::vec(any::<u8>(), 0..1_400),
            (_, _, source, destination) in addresses(),
        ) {
            let mut frame = [0xee; Outbox::FRAME_MAX];
            frame[DHCPV6_OFFSET..][..payload.len()].copy_from_slice(&payload);
            let length = dhcpv6(&mut frame, LINK, source, destination, payload.len());
            let bytes = &frame[..length];

            let sliced = SlicedPacket::from_ethernet(bytes).unwrap();
            let Some(InternetSlice::Ipv6(ip)) = &sliced.net else { panic!("no IPv6") };
            let header = ip.header().to_header();
            prop_assert_eq!((header.hop_limit, header.traffic_class), (64, 0));
            let Some(TransportSlice::Udp(udp)) = &sliced.transport else { panic!("no UDP") };
            let sum = udp.to_header().calc_checksum_ipv6(&header, udp.payload()).unwrap();
            prop_assert_eq!(sum, udp.checksum());
            prop_assert_ne!(udp.checksum(), 0);

            prop_assert_eq!(
                decode(&plain(bytes)),
                Ok(Inbound::Dhcpv6Server(Datagram {
                    link: LINK,
                    source,
                    destination,
                    payload: &payload,
                }))
            );
        }

        #[test]
        fn etherparse_and_decode_read_what_icmpv6_wrote(
            body in prop::collection::vec(any::<u8>(), 4..1_400),
            (_, _, source, destination) in addresses(),
        ) {
            let mut frame = [0xee; Outbox::FRAME_MAX];
            frame[ICMPV6_OFFSET..][..2].copy_from_slice(&[134, 0]);
            frame[ICMPV6_OFFSET + 4..][..body.len()].copy_from_slice(&body);
            let length = icmpv6(&mut frame, LINK, source, destination, body.len() + 4);
            let bytes = &frame[..length];

            let sliced = SlicedPacket::from_ethernet(bytes).unwrap();
            let Some(TransportSlice::Icmpv6(icmp)) = &sliced.transport else { panic!("no ICMP") };
            prop_assert!(icmp.is_checksum_valid(source.octets(), destination.octets()));

            prop_assert_eq!(
                decode(&plain(bytes)),
                Ok(Inbound::RouterAdvertisement(Icmpv6 {
                    link: LINK,
                    source,
                    destination,
                    hop_limit: 255,
                    code: 0,
                    body: &body,
                }))
            );
        }
    }
}
