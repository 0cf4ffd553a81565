//! Neighbor Discovery options: type, length in units of eight bytes, body (RFC 4861, section 4.6).

use crate::outcome::DropReason;
use crate::wire::bytes::Reader;

/// Source link-layer address (RFC 4861, section 4.6.1).
pub(super) const SOURCE_LINK_LAYER: u8 = 1;
/// Target link-layer address (RFC 4861, section 4.6.1).
pub(super) const TARGET_LINK_LAYER: u8 = 2;
/// Prefix information (RFC 4861, section 4.6.2).
pub(super) const PREFIX_INFORMATION: u8 = 3;
/// MTU (RFC 4861, section 4.6.4).
pub(super) const MTU: u8 = 5;
/// Route information (RFC 4191, section 2.3).
pub(super) const ROUTE_INFORMATION: u8 = 24;
/// Recursive DNS server (RFC 8106, section 5.1).
pub(super) const RDNSS: u8 = 25;
/// DNS search list (RFC 8106, section 5.2).
pub(super) const DNSSL: u8 = 31;
/// Captive portal (RFC 8910, section 2.3).
pub(super) const CAPTIVE_PORTAL: u8 = 37;
/// Encrypted DNS (RFC 9463, section 6.1).
pub(super) const ENCRYPTED_DNS: u8 = 144;

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

/// Appends one of our own options: `body` without type and length, padded to eight bytes.
///
/// A body of more than 2,038 bytes has no length; what holds it is longer than any frame, and the
/// handlers refuse to send it.
pub(super) fn append(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    let units = body.len().saturating_add(HEADER).div_ceil(UNIT);
    let padding = units.saturating_mul(UNIT).saturating_sub(HEADER).saturating_sub(body.len());
    out.push(kind);
    out.push(u8::try_from(units).unwrap_or(u8::MAX));
    out.extend_from_slice(body);
    out.extend(std::iter::repeat_n(0, padding));
}

/// Takes the next option and returns its type; `None` if its length is impossible.
fn take(rest: &mut Reader<'_>) -> Option<u8> {
    let kind = rest.u8()?;
    let units = usize::from(rest.u8()?);
    rest.take(units.saturating_mul(UNIT).checked_sub(HEADER)?)?;
    Some(kind)
}

/// Type and length.
const HEADER: usize = 2;
/// What the length counts in.
const UNIT: usize = 8;
/// Hosts send one or two: their link-layer address, a nonce (RFC 3971, RFC 7527).
const MAX_OPTIONS: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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

    #[test]
    fn an_appended_option_is_padded_to_eight_bytes() {
        let mut out = Vec::new();
        append(&mut out, SOURCE_LINK_LAYER, &[1, 2, 3, 4, 5, 6]);
        append(&mut out, DNSSL, &[7; 7]);
        assert_eq!(out, [1, 1, 1, 2, 3, 4, 5, 6, 31, 2, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0]);
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

        #[test]
        fn what_is_appended_is_found(
            kinds in prop::collection::vec(any::<u8>(), 1..MAX_OPTIONS),
            body in prop::collection::vec(any::<u8>(), 0..2_038),
            wanted: u8,
        ) {
            let mut out = Vec::new();
            for kind in &kinds {
                append(&mut out, *kind, &body);
            }
            prop_assert_eq!(contain(&out, wanted), Ok(kinds.contains(&wanted)));
        }
    }
}
