//! The addresses of a network that may be given to VMs without a reservation.

use std::net::{Ipv4Addr, Ipv6Addr};

/// `ranges` less `exclude`, and the addresses in them that are never given.
///
/// Ranges are ascending and do not overlap; `never` holds what lies inside them and is not given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool<A> {
    /// Ascending, without overlap.
    pub ranges: Vec<PoolRange<A>>,
    /// Reserved, network, broadcast, gateway and server addresses; ascending.
    pub never: Vec<A>,
}

/// First and last address of a range, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolRange<A> {
    /// The lowest address.
    pub first: A,
    /// The highest address.
    pub last: A,
}

impl<A> Default for Pool<A> {
    fn default() -> Self {
        Self { ranges: Vec::new(), never: Vec::new() }
    }
}

/// An address as a number, so that one pool serves both families.
pub trait PoolAddress: Copy + Ord + std::hash::Hash + std::fmt::Display {
    /// Returns the address as a number.
    fn to_number(self) -> u128;
    /// Makes the address from a number that [`Self::to_number`] gave.
    fn from_number(number: u128) -> Self;
}

impl PoolAddress for Ipv4Addr {
    fn to_number(self) -> u128 {
        u128::from(self.to_bits())
    }

    fn from_number(number: u128) -> Self {
        Self::from_bits(u32::try_from(number).unwrap_or(u32::MAX))
    }
}

impl PoolAddress for Ipv6Addr {
    fn to_number(self) -> u128 {
        self.to_bits()
    }

    fn from_number(number: u128) -> Self {
        Self::from_bits(number)
    }
}

impl<A: PoolAddress> Pool<A> {
    /// Returns how many addresses the ranges hold, whether given or not; saturates.
    #[must_use]
    pub fn size(&self) -> u128 {
        self.ranges.iter().fold(0, |sum: u128, range| sum.saturating_add(range.size()))
    }

    /// Tells whether `address` may be given.
    #[must_use]
    pub fn contains(&self, address: A) -> bool {
        self.ranges.iter().any(|range| range.first <= address && address <= range.last)
            && self.never.binary_search(&address).is_err()
    }

    /// Returns the `index`-th address of the ranges, counted from 0 over all of them.
    #[must_use]
    pub fn nth(&self, index: u128) -> Option<A> {
        let mut left = index;
        for range in &self.ranges {
            if left < range.size() {
                return Some(A::from_number(range.first.to_number().saturating_add(left)));
            }
            left = left.saturating_sub(range.size());
        }
        None
    }
}

impl<A: PoolAddress> PoolRange<A> {
    /// Returns how many addresses the range holds; saturates.
    #[must_use]
    pub fn size(&self) -> u128 {
        self.last.to_number().saturating_sub(self.first.to_number()).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nth_counts_over_all_ranges() {
        let range = |first: &str, last: &str| PoolRange {
            first: first.parse::<Ipv4Addr>().unwrap(),
            last: last.parse().unwrap(),
        };
        let pool = Pool {
            ranges: vec![range("10.0.0.10", "10.0.0.11"), range("10.0.0.20", "10.0.0.20")],
            never: vec!["10.0.0.11".parse().unwrap()],
        };
        assert_eq!(pool.size(), 3);
        assert_eq!(pool.nth(2), Some("10.0.0.20".parse().unwrap()));
        assert_eq!(pool.nth(3), None);
        assert!(pool.contains("10.0.0.10".parse().unwrap()));
        assert!(!pool.contains("10.0.0.11".parse().unwrap()));
    }
}
