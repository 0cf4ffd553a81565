//! The Internet checksum (RFC 1071), four bytes at a time.
//!
//! pnet's functions add two bytes at a time; over a whole DHCP message that is most of what
//! encoding costs. The tests hold the two against each other.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A one's complement sum that is still being added up. Every part but the last has even length.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sum(u64);

impl Sum {
    /// Starts at zero: an IPv4 header has no pseudo-header.
    pub(super) const fn new() -> Self {
        Self(0)
    }

    /// Starts with the pseudo-header of RFC 768.
    pub(super) fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, length: u16) -> Self {
        Self::new()
            .number(source.to_bits())
            .number(destination.to_bits())
            .number(u32::from(protocol))
            .number(u32::from(length))
    }

    /// Starts with the pseudo-header of RFC 8200, section 8.1.
    pub(super) fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, protocol: u8, length: u16) -> Self {
        Self::new()
            .bytes(&source.octets())
            .bytes(&destination.octets())
            .number(u32::from(protocol))
            .number(u32::from(length))
    }

    /// Adds `bytes`.
    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let (words, rest) = bytes.as_chunks::<4>();
        let sum = words.iter().fold(self, |sum, word| sum.number(u32::from_be_bytes(*word)));
        let mut last = [0; 4];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        sum.number(u32::from_be_bytes(last))
    }

    /// Returns the checksum: 0 if the checksum field was added too and is right.
    pub(super) const fn finish(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum >> 16).wrapping_add(sum & 0xffff);
        }
        let [.., high, low] = sum.to_be_bytes();
        !u16::from_be_bytes([high, low])
    }

    /// Adds two 16-bit words at once. A frame is far too short for the sum to wrap.
    const fn number(self, words: u32) -> Self {
        Self(self.0.wrapping_add(words as u64))
    }
}

#[cfg(test)]
mod tests {
    use pnet::packet::ip::IpNextHeaderProtocols;
    use pnet::packet::util;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_1071_sums_up() {
        // Section 3: the sum is ddf2, its complement the checksum.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::new().bytes(&bytes).finish(), !0xddf2);
    }

    proptest! {
        #[test]
        fn pnet_finds_the_same(
            bytes in prop::collection::vec(any::<u8>(), 1..1_500),
            v4 in any::<[u32; 2]>(),
            v6 in any::<[u128; 2]>(),
        ) {
            let length = u16::try_from(bytes.len()).unwrap();
            let none = usize::MAX;
            prop_assert_eq!(Sum::new().bytes(&bytes).finish(), util::checksum(&bytes, none));
            let [from, to] = v4.map(Ipv4Addr::from_bits);
            let udp = IpNextHeaderProtocols::Udp;
            prop_assert_eq!(
                Sum::ipv4(from, to, 17, length).bytes(&bytes).finish(),
                util::ipv4_checksum(&bytes, none, &[], &from.octets().into(), &to.octets().into(), udp)
            );
            let [from, to] = v6.map(Ipv6Addr::from_bits);
            prop_assert_eq!(
                Sum::ipv6(from, to, 17, length).bytes(&bytes).finish(),
                util::ipv6_checksum(&bytes, none, &[], &from.octets().into(), &to.octets().into(), udp)
            );
        }
    }
}
