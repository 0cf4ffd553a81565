//! What a guest's Neighbor Discovery message holds, and the checks that RFC 4861 asks of it.

use std::net::Ipv6Addr;

use super::ALL_NODES;
use super::options::{HEADER, UNIT};
use crate::outcome::DropReason;
use crate::wire::bytes::Reader;
use crate::wire::{Icmpv6, Mac, ND_HOP_LIMIT};

/// Checks what RFC 4861 asks of every message before its options.
pub(super) fn check_header(message: &Icmpv6<'_>) -> Result<(), DropReason> {
    if message.hop_limit == ND_HOP_LIMIT && message.code == 0 {
        Ok(())
    } else {
        Err(DropReason::BadNeighborDiscovery)
    }
}

/// Who solicits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Somebody with an address: link-local, or any other of its own.
    Unicast(Ipv6Addr),
    /// Somebody without one: `::`.
    Unspecified,
}

impl Source {
    /// Reads the source of a solicitation.
    ///
    /// # Errors
    /// [`DropReason::SourceAddress`] if it is a group or the loopback address.
    pub(super) fn of(solicitation: &Icmpv6<'_>) -> Result<Self, DropReason> {
        let source = solicitation.source;
        if source.is_unspecified() {
            Ok(Self::Unspecified)
        } else if is_unicast(source) {
            Ok(Self::Unicast(source))
        } else {
            Err(DropReason::SourceAddress)
        }
    }

    /// Returns where the answer goes.
    pub(super) const fn reply_to(self, guest: Mac) -> (Mac, Ipv6Addr) {
        match self {
            Self::Unicast(source) => (guest, source),
            Self::Unspecified => (guest, ALL_NODES),
        }
    }
}

/// The body that Neighbor Solicitation and Advertisement share (RFC 4861, sections 4.3 and 4.4).
pub(super) struct Neighbor<'a> {
    /// R, S and O of an advertisement; reserved in a solicitation.
    pub(super) flags: u8,
    pub(super) target: Ipv6Addr,
    pub(super) options: &'a [u8],
}

impl<'a> Neighbor<'a> {
    pub(super) fn read(body: &'a [u8]) -> Result<Self, DropReason> {
        let mut body = Reader::new(body);
        let (Some([flags, ..]), Some(target)) = (body.array::<RESERVED>(), body.array::<16>())
        else {
            return Err(DropReason::BadNeighborDiscovery);
        };
        let target = Ipv6Addr::from(target);
        if target.is_multicast() {
            return Err(DropReason::BadNeighborDiscovery);
        }
        Ok(Self { flags, target, options: body.rest() })
    }
}

pub(super) const fn is_unicast(address: Ipv6Addr) -> bool {
    !address.is_multicast() && !address.is_unspecified() && !address.is_loopback()
}

/// Tells whether `address` lies in ff02::1:ff00:0/104 (RFC 4291, section 2.7.1).
pub(super) fn is_solicited_node(address: Ipv6Addr) -> bool {
    solicited_node(address) == address
}

/// Returns the group of all nodes whose address ends as `address` does (RFC 4291, section 2.7.1).
pub(super) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(SOLICITED_NODE | (address.to_bits() & 0x00ff_ffff))
}

/// Walks all of a guest's options and tells whether one is of type `wanted`.
///
/// # Errors
/// [`DropReason::BadNeighborDiscovery`] if an option has length 0 or runs past the end (RFC 4861,
/// sections 6.1.1, 7.1.1 and 7.1.2), [`DropReason::TooManyOptions`] if there are more than a host
/// has to send.
pub(super) fn contain(options: &[u8], wanted: u8) -> Result<bool, DropReason> {
    let mut found = false;
    let mut rest = Reader::new(options);
    for _ in 0..MAX_OPTIONS {
        if rest.is_empty() {
            return Ok(found);
        }
        let kind = take(&mut rest).ok_or(DropReason::BadNeighborDiscovery)?;
        found |= kind == wanted;
    }
    if rest.is_empty() { Ok(found) } else { Err(DropReason::TooManyOptions) }
}

/// Takes the next option and returns its type; `None` if its length is impossible.
fn take(rest: &mut Reader<'_>) -> Option<u8> {
    let kind = rest.u8()?;
    let units = usize::from(rest.u8()?);
    rest.take(units.saturating_mul(UNIT).checked_sub(HEADER)?)?;
    Some(kind)
}

/// What stands before the options or the target: reserved bytes, or flags and reserved bytes.
pub(super) const RESERVED: usize = 4;
/// RFC 4291, section 2.7.1: ff02::1:ff00:0.
const SOLICITED_NODE: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
/// Hosts send one or two: their link-layer address, a nonce (RFC 3971, RFC 7527).
const MAX_OPTIONS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nd::options::{SOURCE_LINK_LAYER, TARGET_LINK_LAYER};

    #[test]
    fn no_options_hold_nothing() {
        assert_eq!(contain(&[], SOURCE_LINK_LAYER), Ok(false));
    }

    #[test]
    fn an_option_is_found_behind_others() {
        let options = [14, 1, 1, 2, 3, 4, 5, 6, 1, 1, 2, 0, 0, 0, 0, 1];
        assert_eq!(contain(&options, SOURCE_LINK_LAYER), Ok(true));
        assert_eq!(contain(&options, TARGET_LINK_LAYER), Ok(false));
    }

    #[test]
    fn length_zero_and_lengths_past_the_end_are_refused() {
        let bad = Err(DropReason::BadNeighborDiscovery);
        assert_eq!(contain(&[1, 0, 0, 0, 0, 0, 0, 0], 1), bad);
        assert_eq!(contain(&[1, 2, 0, 0, 0, 0, 0, 0], 1), bad);
        assert_eq!(contain(&[1, 255, 0, 0, 0, 0, 0, 0], 1), bad);
        assert_eq!(contain(&[1, 1, 0, 0, 0, 0, 0], 1), bad);
        assert_eq!(contain(&[1, 1, 0, 0, 0, 0, 0, 0, 1], 1), bad);
        // Also behind the option that was looked for.
        assert_eq!(contain(&[1, 1, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0], 1), bad);
    }

    #[test]
    fn more_options_than_the_bound_are_refused() {
        let option = [14, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(contain(&option.repeat(MAX_OPTIONS), 1), Ok(false));
        assert_eq!(contain(&option.repeat(MAX_OPTIONS + 1), 1), Err(DropReason::TooManyOptions));
    }

    proptest! {
        #[test]
        fn any_bytes_are_walked_to_a_verdict(
            options in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            // What the walker takes is whole units, and was all looked at.
            if let Ok(found) = contain(&options, 1) {
                prop_assert_eq!(options.len() % UNIT, 0);
                prop_assert!(!found || options.contains(&1));
            }
        }
    }
}
