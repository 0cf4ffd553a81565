//! Frames and headers to types and back: no state, no decision, no clock.
//!
//! [`decode`] turns one Ethernet frame into an [`Inbound`] or says why it is refused; the
//! functions of [`encode`] put headers and checksums around a payload that a protocol wrote into
//! an [`Outbox`] slot. About five exact frame shapes are accepted; everything else is refused.
//! pnet's header views are used behind our own length and shape checks only.
//!
//! RFC 894, 826, 903, 791, 768, 8200, 4443, 4861.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

pub mod bytes;
mod checksum;
mod decode;
pub mod encode;
mod mac;
mod outbox;

pub use decode::decode;
pub use mac::{Mac, MacParseError};
pub use outbox::Outbox;

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::outcome::{DropReason, Message, Protocol};

/// One frame as the socket gave it.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The frame from the destination MAC on, without VLAN tag and frame check sequence.
    pub bytes: &'a [u8],
    /// The VLAN tag control information that the kernel took out of the frame; `Some(0)` is a
    /// priority tag.
    pub vlan: Option<u16>,
    /// Whether the sender's kernel or NIC was yet to fill in the transport checksum.
    pub checksum_pending: bool,
    /// Whether the receive buffer was too small for the frame.
    pub truncated: bool,
}

/// The Ethernet addresses of a received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Who sent the frame.
    pub source: Mac,
    /// Whom it was sent to.
    pub destination: Mac,
}

/// A UDP datagram with checked headers. `A` is [`Ipv4Addr`] or [`Ipv6Addr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'a, A> {
    /// The frame's Ethernet addresses.
    pub link: Link,
    /// The IP source.
    pub source: A,
    /// The IP destination.
    pub destination: A,
    /// The UDP payload.
    pub payload: &'a [u8],
}

/// An ICMPv6 message with checked headers and checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmpv6<'a> {
    /// The frame's Ethernet addresses.
    pub link: Link,
    /// The IPv6 source.
    pub source: Ipv6Addr,
    /// The IPv6 destination.
    pub destination: Ipv6Addr,
    /// The IPv6 hop limit; Neighbor Discovery demands 255.
    pub hop_limit: u8,
    /// The ICMPv6 code.
    pub code: u8,
    /// What follows type, code and checksum.
    pub body: &'a [u8],
}

/// An echo request with checked headers and checksum. `A` is [`Ipv4Addr`] or [`Ipv6Addr`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a, A> {
    /// The frame's Ethernet addresses.
    pub link: Link,
    /// The IP source.
    pub source: A,
    /// The IP destination.
    pub destination: A,
    /// Identifier, sequence number and data.
    pub body: &'a [u8],
}

/// An ARP packet for IPv4 over Ethernet (RFC 826).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// The frame's Ethernet addresses.
    pub link: Link,
    /// 1 request, 2 reply.
    pub operation: u16,
    /// `ar$sha`.
    pub sender_mac: Mac,
    /// `ar$spa`.
    pub sender_ip: Ipv4Addr,
    /// `ar$tha`.
    pub target_mac: Mac,
    /// `ar$tpa`.
    pub target_ip: Ipv4Addr,
}

/// A frame of one of the shapes that are for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inbound<'a> {
    /// UDP to port 67.
    Dhcpv4(Datagram<'a, Ipv4Addr>),
    /// UDP to port 68: a server's message, sent by a VM.
    Dhcpv4Server(Datagram<'a, Ipv4Addr>),
    /// UDP to port 547.
    Dhcpv6(Datagram<'a, Ipv6Addr>),
    /// UDP to port 546: a server's message, sent by a VM.
    Dhcpv6Server(Datagram<'a, Ipv6Addr>),
    /// ICMPv6 type 133.
    RouterSolicitation(Icmpv6<'a>),
    /// ICMPv6 type 134.
    RouterAdvertisement(Icmpv6<'a>),
    /// ICMPv6 type 135.
    NeighborSolicitation(Icmpv6<'a>),
    /// ICMPv6 type 136.
    NeighborAdvertisement(Icmpv6<'a>),
    /// ICMP type 8 (RFC 792).
    EchoIpv4(Echo<'a, Ipv4Addr>),
    /// ICMPv6 type 128 (RFC 4443).
    EchoIpv6(Echo<'a, Ipv6Addr>),
    /// ARP, IPv4 over Ethernet.
    Arp(Arp),
    /// RARP; `sender_mac` is who announces itself.
    Rarp(Arp),
}

/// Why a frame was refused, and how far it had been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The protocol, if it was known by then.
    pub protocol: Protocol,
    /// The message, if it was known by then.
    pub message: Message,
    /// What is wrong.
    pub reason: DropReason,
}

/// RFC 894: two addresses and the type.
const ETHERNET_HEADER: usize = 14;
/// RFC 791, without options.
const IPV4_HEADER: usize = 20;
/// An 802.1Q tag.
pub(crate) const VLAN_TAG: usize = 4;
/// RFC 8200, section 3.
const IPV6_HEADER: usize = 40;
/// RFC 768.
const UDP_HEADER: usize = 8;
/// RFC 2131, section 4.1.
const DHCPV4_SERVER_PORT: u16 = 67;
/// RFC 2131, section 4.1.
const DHCPV4_CLIENT_PORT: u16 = 68;
/// RFC 9915, section 7.2.
const DHCPV6_SERVER_PORT: u16 = 547;
/// RFC 9915, section 7.2.
const DHCPV6_CLIENT_PORT: u16 = 546;
/// The hop limit that shows that no router passed a packet on (RFC 4861, section 4).
pub(crate) const ND_HOP_LIMIT: u8 = 255;
