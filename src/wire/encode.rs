//! Headers and checksums around a payload that already stands in a frame buffer.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Link;

/// Where a DHCPv4 message stands in a frame: after Ethernet, IPv4 and UDP headers.
pub const DHCPV4_OFFSET: usize = 42;
/// Where a DHCPv6 message stands in a frame: after Ethernet, IPv6 and UDP headers.
pub const DHCPV6_OFFSET: usize = 62;
/// Where an ICMPv6 message stands in a frame: after Ethernet and IPv6 headers.
pub const ICMPV6_OFFSET: usize = 54;
/// Where an ARP packet stands in a frame: after the Ethernet header.
pub const ARP_OFFSET: usize = 14;

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
    let _ = (frame, link, source, destination, length);
    0
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
    let _ = (frame, link, source, destination, length);
    0
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
    let _ = (frame, link, source, destination, length);
    0
}

/// Puts the Ethernet header before the 28 bytes at [`ARP_OFFSET`]. Returns the frame's length, 0 if
/// it does not fit in `frame`.
#[must_use]
pub fn arp(frame: &mut [u8], link: Link) -> usize {
    let _ = (frame, link);
    0
}
