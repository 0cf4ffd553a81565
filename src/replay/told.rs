//! What a message to the guest says, in short: its type, and the address that it gives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::link;
use crate::outcome::{Message, Protocol};
use crate::wire::bytes::Reader;
use crate::wire::{self, Datagram, Frame, Inbound, Refused};

/// A message to the guest: ours, or another server's, router's or neighbour's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// What it carries.
    pub protocol: Protocol,
    /// Its type; [`Message::Unknown`] if it could not be read.
    pub message: Message,
    /// The first address that it gives to the guest: `yiaddr`, or an IA Address.
    pub address: Option<IpAddr>,
}

impl Told {
    /// Reads one of our own replies, with or without a VLAN tag.
    #[must_use]
    pub fn of_reply(reply: &[u8]) -> Self {
        let mut bytes = reply.to_vec();
        let vlan = link::take_tag(&mut bytes);
        let frame = Frame { bytes: &bytes, vlan, checksum_pending: false, truncated: false };
        Self::of(&wire::decode(&frame))
    }

    /// Reads what decoding made of a frame.
    pub(super) fn of(decoded: &Result<Inbound<'_>, Refused>) -> Self {
        let plain = |protocol, message| Self { protocol, message, address: None };
        match decoded {
            Ok(Inbound::Dhcpv4Server(datagram)) => Self::of_dhcpv4(datagram),
            Ok(Inbound::Dhcpv6Server(datagram)) => Self::of_dhcpv6(datagram),
            Ok(Inbound::Dhcpv4(_)) => plain(Protocol::Dhcpv4, Message::Unknown),
            Ok(Inbound::Dhcpv6(_)) => plain(Protocol::Dhcpv6, Message::Unknown),
            Ok(Inbound::RouterSolicitation(_)) => plain(Protocol::Nd, Message::RouterSolicitation),
            Ok(Inbound::RouterAdvertisement(_)) => {
                plain(Protocol::Nd, Message::RouterAdvertisement)
            }
            Ok(Inbound::NeighborSolicitation(_)) => {
                plain(Protocol::Nd, Message::NeighborSolicitation)
            }
            Ok(Inbound::NeighborAdvertisement(_)) => {
                plain(Protocol::Nd, Message::NeighborAdvertisement)
            }
            Ok(Inbound::Arp(arp)) if arp.operation == ARP_REPLY => {
                plain(Protocol::Arp, Message::Reply)
            }
            Ok(Inbound::Arp(_)) => plain(Protocol::Arp, Message::ArpRequest),
            Ok(Inbound::Rarp(_)) => plain(Protocol::Arp, Message::Rarp),
            Ok(Inbound::EchoIpv4(_) | Inbound::EchoIpv6(_)) => {
                plain(Protocol::Other, Message::EchoRequest)
            }
            Err(refused) => plain(refused.protocol, refused.message),
        }
    }

    fn of_dhcpv4(datagram: &Datagram<'_, Ipv4Addr>) -> Self {
        let payload = datagram.payload;
        let message = match payload.get(BOOTP..).and_then(dhcpv4_type) {
            Some(2) => Message::Offer,
            Some(5) => Message::Ack,
            Some(6) => Message::Nak,
            Some(_) | None => Message::Unknown,
        };
        let address = payload
            .get(YIADDR..)
            .and_then(|rest| Reader::new(rest).array::<4>())
            .map(Ipv4Addr::from)
            .filter(|address| !address.is_unspecified());
        Self { protocol: Protocol::Dhcpv4, message, address: address.map(IpAddr::from) }
    }

    fn of_dhcpv6(datagram: &Datagram<'_, Ipv6Addr>) -> Self {
        let mut reader = Reader::new(datagram.payload);
        let message = match reader.u8() {
            Some(2) => Message::Advertise,
            Some(7) => Message::Reply,
            Some(37) => Message::AddressRegistered,
            Some(_) | None => Message::Unknown,
        };
        let _transaction_id = reader.take(3);
        let address = given_address(reader.rest()).map(IpAddr::from);
        Self { protocol: Protocol::Dhcpv6, message, address }
    }
}

/// Finds option 53 among the options of a DHCPv4 message.
fn dhcpv4_type(options: &[u8]) -> Option<u8> {
    let mut reader = Reader::new(options);
    loop {
        match reader.u8()? {
            // RFC 2132, section 3.1: a Pad has no length.
            0 => {}
            255 => return None,
            code => {
                let length = reader.u8()?;
                let data = reader.take(length.into())?;
                if code == MESSAGE_TYPE {
                    return data.first().copied();
                }
            }
        }
    }
}

/// Finds the first IA Address with a lifetime in an IA_NA (RFC 9915, sections 21.4 and 21.6).
fn given_address(options: &[u8]) -> Option<Ipv6Addr> {
    find(options, IA_NA, |association| {
        find(association.get(IA_NA_FIXED..)?, IA_ADDRESS, |body| {
            let mut reader = Reader::new(body);
            let address = Ipv6Addr::from(reader.array::<16>()?);
            let _preferred_lifetime = reader.u32()?;
            (reader.u32()? > 0).then_some(address)
        })
    })
}

/// Returns what `of` finds in the first DHCPv6 option of this code in which it finds something.
fn find<T>(options: &[u8], code: u16, of: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let mut reader = Reader::new(options);
    loop {
        let found = reader.u16()?;
        let length = reader.u16()?;
        let body = reader.take(length.into())?;
        if let (true, Some(value)) = (found == code, of(body)) {
            return Some(value);
        }
    }
}

/// Where `yiaddr` stands in a BOOTP message (RFC 2131, section 2).
const YIADDR: usize = 16;
/// The fixed part of a DHCPv4 message, with the magic cookie.
const BOOTP: usize = 240;
/// RFC 2132, section 9.6.
const MESSAGE_TYPE: u8 = 53;
/// RFC 9915, section 21.4.
const IA_NA: u16 = 3;
/// IAID, T1 and T2.
const IA_NA_FIXED: usize = 12;
/// RFC 9915, section 21.6.
const IA_ADDRESS: u16 = 5;
/// RFC 826.
const ARP_REPLY: u16 = 2;
