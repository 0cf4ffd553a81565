//! What the link types of captures hold, turned into what the port's socket would have given.
//!
//! The kernel takes the outermost VLAN tag out of a frame, and libpcap puts it back; "cooked"
//! captures (`tcpdump -i any`) have another header in the place of the Ethernet one.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::bytes::Reader;
use crate::wire::{Frame, Mac};

/// A link type of the registry at tcpdump.org that frames are made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkType {
    /// LINKTYPE_ETHERNET.
    Ethernet,
    /// LINKTYPE_LINUX_SLL, "cooked".
    LinuxSll,
    /// LINKTYPE_LINUX_SLL2, "cooked" with the interface's index.
    LinuxSll2,
}

/// An Ethernet frame, as the kernel would have handed it over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ethernet {
    /// The frame from the destination MAC on, without its VLAN tag.
    pub bytes: Vec<u8>,
    /// The tag control information of the tag that was taken out.
    pub vlan: Option<u16>,
    /// Whether the capture holds a part of the frame only.
    pub truncated: bool,
}

/// Why no Ethernet frame can be made of what was captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Frames of another link type than those above.
    #[error("link type {0} has no Ethernet header")]
    LinkType(i32),
    /// A cooked header that is cut.
    #[error("its capture header is cut")]
    Cut,
    /// A cooked frame of a device that is no Ethernet, or no Ethernet II frame.
    #[error("it was not captured from Ethernet, and has no MAC")]
    NotEthernet,
}

impl LinkType {
    /// Recognizes a link type by its number.
    pub(super) fn new(number: i32) -> Result<Self, Unreadable> {
        match number {
            1 => Ok(Self::Ethernet),
            113 => Ok(Self::LinuxSll),
            276 => Ok(Self::LinuxSll2),
            other => Err(Unreadable::LinkType(other)),
        }
    }

    /// Makes the Ethernet frame. A cooked header does not have the destination: broadcast and
    /// multicast are known from its packet type, a single station is taken to be `gateway`.
    pub(super) fn ethernet(self, data: &[u8], gateway: Mac) -> Result<Ethernet, Unreadable> {
        let mut bytes = match self {
            Self::Ethernet => data.to_vec(),
            Self::LinuxSll => uncook(Cooked::sll(data).ok_or(Unreadable::Cut)?, gateway)?,
            Self::LinuxSll2 => uncook(Cooked::sll2(data).ok_or(Unreadable::Cut)?, gateway)?,
        };
        let vlan = take_tag(&mut bytes);
        Ok(Ethernet { bytes, vlan, truncated: false })
    }
}

impl Ethernet {
    /// Returns the frame with what the kernel says beside it.
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        Frame {
            bytes: &self.bytes,
            vlan: self.vlan,
            checksum_pending: has_partial_checksum(&self.bytes),
            truncated: self.truncated,
        }
    }

    /// Returns the source MAC, if the frame is long enough to have one.
    #[must_use]
    pub fn source(&self) -> Option<Mac> {
        addresses(&self.bytes).map(|(_, source)| source)
    }
}

/// Reads a frame's destination and source.
pub(super) fn addresses(bytes: &[u8]) -> Option<(Mac, Mac)> {
    let mut reader = Reader::new(bytes);
    Some((Mac(reader.array()?), Mac(reader.array()?)))
}

/// Takes the outermost 802.1Q or 802.1ad tag out of a frame; a second one stays, as in the kernel.
pub(super) fn take_tag(bytes: &mut Vec<u8>) -> Option<u16> {
    let mut reader = Reader::new(bytes.get(MACS..)?);
    let kind = reader.u16()?;
    let tci = reader.u16()?;
    // What follows the tag must be there too, or the kernel leaves it alone.
    let _inner = reader.u16()?;
    if ![DOT1Q, DOT1AD].contains(&kind) {
        return None;
    }
    bytes.drain(MACS..MACS.saturating_add(TAG));
    Some(tci)
}

/// The fields of a cooked header that an Ethernet header can be made of.
struct Cooked<'a> {
    packet_type: u16,
    hardware_type: u16,
    address_length: u16,
    address: [u8; 8],
    protocol: u16,
    payload: &'a [u8],
}

impl<'a> Cooked<'a> {
    fn sll(data: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(data);
        Some(Self {
            packet_type: reader.u16()?,
            hardware_type: reader.u16()?,
            address_length: reader.u16()?,
            address: reader.array()?,
            protocol: reader.u16()?,
            payload: reader.rest(),
        })
    }

    fn sll2(data: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(data);
        let protocol = reader.u16()?;
        let _reserved = reader.u16()?;
        let _interface_index = reader.u32()?;
        Some(Self {
            protocol,
            hardware_type: reader.u16()?,
            packet_type: reader.u8()?.into(),
            address_length: reader.u8()?.into(),
            address: reader.array()?,
            payload: reader.rest(),
        })
    }
}

fn uncook(cooked: Cooked<'_>, gateway: Mac) -> Result<Vec<u8>, Unreadable> {
    // Below 0x600 the field is not an Ethernet type but the kernel's name of another framing.
    let is_ethernet = cooked.hardware_type == ARPHRD_ETHER
        && cooked.address_length == 6
        && cooked.protocol >= FIRST_ETHERNET_TYPE;
    if !is_ethernet {
        return Err(Unreadable::NotEthernet);
    }
    let [a, b, c, d, e, f, _, _] = cooked.address;
    let destination = match cooked.packet_type {
        PACKET_BROADCAST => Mac::BROADCAST,
        // Of what this host sent the kernel says no more, and it may be a broadcast too.
        PACKET_MULTICAST | PACKET_OUTGOING => {
            group_of(cooked.protocol, cooked.payload).unwrap_or(gateway)
        }
        _ => gateway,
    };
    let mut bytes = Vec::with_capacity(cooked.payload.len().saturating_add(ETHERNET));
    bytes.extend(destination.0);
    bytes.extend([a, b, c, d, e, f]);
    bytes.extend(cooked.protocol.to_be_bytes());
    bytes.extend(cooked.payload);
    Ok(bytes)
}

/// Returns the Ethernet group that an IP packet to many goes to (RFC 1112, section 6.4; RFC 2464,
/// section 7); `None` if its destination is one station, or not known.
fn group_of(protocol: u16, packet: &[u8]) -> Option<Mac> {
    match protocol {
        IPV4 => {
            let destination = Ipv4Addr::from(Reader::new(packet.get(16..)?).array::<4>()?);
            let [_, b, c, d] = destination.octets();
            match destination {
                Ipv4Addr::BROADCAST => Some(Mac::BROADCAST),
                _ if destination.is_multicast() => Some(Mac([1, 0, 0x5e, b & 0x7f, c, d])),
                _ => None,
            }
        }
        IPV6 => {
            let destination = Ipv6Addr::from(Reader::new(packet.get(24..)?).array::<16>()?);
            let [.., a, b, c, d] = destination.octets();
            destination.is_multicast().then_some(Mac([0x33, 0x33, a, b, c, d]))
        }
        _ => None,
    }
}

/// Tells whether the transport checksum is the sum of the pseudo-header alone: what Linux leaves
/// for the NIC to complete, and a guest's capture on the host therefore shows.
fn has_partial_checksum(bytes: &[u8]) -> bool {
    partial_checksum(bytes).is_some_and(|(sum, field)| sum == field)
}

/// Returns the pseudo-header's sum and the checksum field, of UDP and ICMPv6.
fn partial_checksum(bytes: &[u8]) -> Option<(u16, u16)> {
    let mut reader = Reader::new(bytes.get(MACS..)?);
    match reader.u16()? {
        IPV4 => {
            let packet = reader.rest();
            let without_options = packet.first() == Some(&0x45);
            let is_udp = packet.get(9) == Some(&UDP);
            let addresses = packet.get(12..20)?;
            let mut udp = Reader::new(packet.get(24..28)?);
            let (length, field) = (udp.u16()?, udp.u16()?);
            (without_options && is_udp).then(|| (pseudo_sum(addresses, UDP, length), field))
        }
        IPV6 => {
            let packet = reader.rest();
            let length = Reader::new(packet.get(4..)?).u16()?;
            let next = *packet.get(6)?;
            let addresses = packet.get(8..40)?;
            let offset = match next {
                UDP => 46,
                ICMPV6 => 42,
                _ => return None,
            };
            let field = Reader::new(packet.get(offset..)?).u16()?;
            Some((pseudo_sum(addresses, next, length), field))
        }
        _ => None,
    }
}

/// Adds a pseudo-header up in one's complement (RFC 1071), without the final complement.
fn pseudo_sum(addresses: &[u8], protocol: u8, length: u16) -> u16 {
    let mut reader = Reader::new(addresses);
    let mut sum = u32::from(protocol).saturating_add(length.into());
    while let Some(word) = reader.u16() {
        sum = sum.saturating_add(word.into());
    }
    while let (high @ 1.., low) = (sum >> 16, sum & 0xffff) {
        sum = low.saturating_add(high);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

/// Destination and source.
const MACS: usize = 12;
/// RFC 894.
const ETHERNET: usize = 14;
/// IEEE 802.1Q: type and tag control information.
const TAG: usize = 4;
const DOT1Q: u16 = 0x8100;
const DOT1AD: u16 = 0x88a8;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// IEEE 802.3: smaller numbers are lengths.
const FIRST_ETHERNET_TYPE: u16 = 0x0600;
/// The kernel's name of an Ethernet device.
const ARPHRD_ETHER: u16 = 1;
/// packet(7): the kernel's packet types.
const PACKET_BROADCAST: u16 = 1;
const PACKET_MULTICAST: u16 = 2;
const PACKET_OUTGOING: u16 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: Mac = Mac([0x0a, 0x58, 10, 20, 0, 1]);
    const GUEST: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    /// Makes an SLL header with `payload` behind it.
    fn sll(packet_type: u16, hardware_type: u16, protocol: u16, payload: &[u8]) -> Vec<u8> {
        let mut data = Vec::new();
        for field in [packet_type, hardware_type, 6] {
            data.extend(field.to_be_bytes());
        }
        data.extend(GUEST);
        data.extend([0, 0]);
        data.extend(protocol.to_be_bytes());
        data.extend(payload);
        data
    }

    fn destination(data: &[u8]) -> Mac {
        let frame = LinkType::LinuxSll.ethernet(data, GATEWAY).unwrap();
        assert_eq!(frame.source(), Some(Mac(GUEST)));
        addresses(&frame.bytes).unwrap().0
    }

    #[test]
    fn a_cooked_frame_gets_the_destination_that_its_packet_type_and_address_tell() {
        let mut ipv4 = [0; 20];
        ipv4[16..].copy_from_slice(&[255; 4]);
        let mut ipv6 = [0; 40];
        ipv6[24] = 0xff;
        ipv6[37..].copy_from_slice(&[1, 0, 2]);
        assert_eq!(destination(&sll(1, 1, IPV4, &ipv4)), Mac::BROADCAST);
        assert_eq!(destination(&sll(2, 1, IPV6, &ipv6)), Mac([0x33, 0x33, 0, 1, 0, 2]));
        assert_eq!(destination(&sll(4, 1, IPV4, &ipv4)), Mac::BROADCAST);
        assert_eq!(destination(&sll(0, 1, IPV4, &[0; 20])), GATEWAY);
        ipv4[16..].copy_from_slice(&[224, 129, 2, 3]);
        assert_eq!(destination(&sll(2, 1, IPV4, &ipv4)), Mac([1, 0, 0x5e, 1, 2, 3]));
    }

    #[test]
    fn what_is_no_ethernet_says_so() {
        let made = |data: &[u8]| LinkType::LinuxSll.ethernet(data, GATEWAY);
        assert_eq!(made(&sll(0, 772, IPV4, &[])), Err(Unreadable::NotEthernet));
        assert_eq!(made(&sll(0, 1, 4, &[])), Err(Unreadable::NotEthernet));
        assert_eq!(made(&[0; 15]), Err(Unreadable::Cut));
        assert_eq!(LinkType::LinuxSll2.ethernet(&[0; 19], GATEWAY), Err(Unreadable::Cut));
        assert_eq!(LinkType::new(101), Err(Unreadable::LinkType(101)));
    }

    #[test]
    fn the_outermost_tag_is_taken_out_and_the_second_one_stays() {
        let mut bytes = vec![7; 12];
        bytes.extend([0x88, 0xa8, 0x20, 0x64, 0x81, 0x00, 0, 5, 8, 0, 1]);
        let frame = LinkType::Ethernet.ethernet(&bytes, GATEWAY).unwrap();
        assert_eq!(frame.vlan, Some(0x2064));
        assert_eq!(frame.bytes.get(12..), Some(&[0x81, 0, 0, 5, 8, 0, 1][..]));
        let cut = LinkType::Ethernet.ethernet(&bytes[..17], GATEWAY).unwrap();
        assert_eq!((cut.vlan, cut.bytes.len()), (None, 17));
    }

    #[test]
    fn a_checksum_that_linux_left_to_the_nic_is_recognized() {
        // 10.20.1.5 to 10.20.0.1, UDP of 8 bytes: 0x0a14 + 0x0105 + 0x0a14 + 0x0001 + 17 + 8.
        let mut bytes = vec![0; 14 + 28];
        bytes[12..14].copy_from_slice(&[8, 0]);
        bytes[14] = 0x45;
        bytes[23] = 17;
        bytes[26..34].copy_from_slice(&[10, 20, 1, 5, 10, 20, 0, 1]);
        bytes[38..42].copy_from_slice(&[0, 8, 0x15, 0x47]);
        assert!(has_partial_checksum(&bytes));
        bytes[41] = 0x48;
        assert!(!has_partial_checksum(&bytes));
        assert!(!has_partial_checksum(&bytes[..41]));
    }
}
