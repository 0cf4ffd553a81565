//! The prefixes of a network that may be delegated to VMs (RFC 9915, section 6.3).

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

/// `delegate`: a pool that is cut into prefixes of one length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegation {
    /// What is cut up.
    pub pool: Ipv6Net,
    /// The length of every prefix; no shorter than the pool's.
    pub length: u8,
    /// The network's own prefixes: none that overlaps one is delegated.
    pub own: Vec<Ipv6Net>,
    /// Prefixes that are kept for the VM of an entry.
    pub reserved: Vec<Ipv6Net>,
}

impl Delegation {
    /// Returns how many prefixes the pool has, whether given or not; saturates.
    #[must_use]
    pub fn size(&self) -> u128 {
        let bits = self.length.saturating_sub(self.pool.prefix_len());
        1_u128.checked_shl(bits.into()).unwrap_or(u128::MAX)
    }

    /// Returns the `index`-th prefix of the pool, counted from 0.
    #[must_use]
    pub fn nth(&self, index: u128) -> Option<Ipv6Net> {
        if index >= self.size() {
            return None;
        }
        let offset = index.checked_shl(self.shift()).unwrap_or(0);
        let first = self.pool.network().to_bits().saturating_add(offset);
        Ipv6Net::new(first.into(), self.length).ok()
    }

    /// Returns the index of the first prefix that lies wholly behind `taken`; it may be past the
    /// pool's end.
    #[must_use]
    pub fn index_behind(&self, taken: Ipv6Net) -> u128 {
        self.index_of(taken.broadcast()).saturating_add(1)
    }

    /// Counts the prefixes of the pool that have an address in common with one of `taken`.
    #[must_use]
    pub fn count_touched(&self, taken: impl IntoIterator<Item = Ipv6Net>) -> u128 {
        let inside = taken.into_iter().filter(|taken| overlap(*taken, self.pool));
        let mut runs: Vec<(u128, u128)> = inside
            .map(|taken| {
                let first = taken.network().max(self.pool.network());
                let last = taken.broadcast().min(self.pool.broadcast());
                (self.index_of(first), self.index_of(last))
            })
            .collect();
        runs.sort_unstable();
        let mut count: u128 = 0;
        let mut uncounted = 0;
        for (first, last) in runs {
            let first = first.max(uncounted);
            if first <= last {
                let end = last.saturating_add(1);
                count = count.saturating_add(end.saturating_sub(first));
                uncounted = end;
            }
        }
        count
    }

    /// Tells whether a VM that holds `prefix` may keep it without a reservation.
    #[must_use]
    pub fn may_hold(&self, prefix: Ipv6Net) -> bool {
        prefix.prefix_len() == self.length
            && self.pool.contains(&prefix)
            && !self.own.iter().any(|own| overlap(*own, prefix))
    }

    /// Returns what of the template keeps `prefix` from being drawn.
    #[must_use]
    pub fn withheld_by(&self, prefix: Ipv6Net) -> Option<Ipv6Net> {
        self.own.iter().chain(&self.reserved).copied().find(|taken| overlap(*taken, prefix))
    }

    /// Returns the index of the prefix that an address of the pool lies in.
    fn index_of(&self, address: Ipv6Addr) -> u128 {
        let inside = address.to_bits().saturating_sub(self.pool.network().to_bits());
        inside.checked_shr(self.shift()).unwrap_or(0)
    }

    /// Returns how many bits stand behind a delegated prefix.
    fn shift(&self) -> u32 {
        128_u32.saturating_sub(self.length.into())
    }
}

/// Tells whether two prefixes have an address in common.
#[must_use]
pub fn overlap(one: Ipv6Net, other: Ipv6Net) -> bool {
    one.contains(&other) || other.contains(&one)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv6Net {
        text.parse().unwrap()
    }

    fn delegation(pool: &str, length: u8) -> Delegation {
        Delegation { pool: net(pool), length, own: Vec::new(), reserved: Vec::new() }
    }

    #[test]
    fn a_pool_is_cut_into_prefixes_of_one_length() {
        let pool = delegation("2001:db8:8000::/40", 56);
        assert_eq!(pool.size(), 65_536);
        assert_eq!(pool.nth(0), Some(net("2001:db8:8000::/56")));
        assert_eq!(pool.nth(1), Some(net("2001:db8:8000:100::/56")));
        assert_eq!(pool.nth(65_535), Some(net("2001:db8:80ff:ff00::/56")));
        assert_eq!(pool.nth(65_536), None);
    }

    #[test]
    fn a_pool_of_one_prefix_gives_that_one() {
        let pool = delegation("2001:db8::/64", 64);
        assert_eq!((pool.size(), pool.nth(0)), (1, Some(net("2001:db8::/64"))));
        assert_eq!(delegation("8000::/1", 128).size(), 1 << 127);
    }

    #[test]
    fn behind_a_taken_prefix_comes_the_next_whole_one() {
        let pool = delegation("2001:db8::/48", 56);
        assert_eq!(pool.index_behind(net("2001:db8::/64")), 1);
        assert_eq!(pool.index_behind(net("2001:db8:0:300::/56")), 4);
        assert_eq!(pool.index_behind(net("2001:db8::/52")), 16);
        assert_eq!(pool.index_behind(net("2001:db8::/40")), 65_536);
    }

    #[test]
    fn what_is_taken_counts_once_however_it_overlaps() {
        let pool = delegation("2001:db8::/48", 56);
        let taken = ["2001:db8:0:100::/64", "2001:db8:0:100::/56", "2001:db8:0:800::/54"];
        assert_eq!(pool.count_touched(taken.map(net)), 5);
        assert_eq!(pool.count_touched([net("2001:db8::/32")]), 256);
        assert_eq!(pool.count_touched([net("2001:db9::/48")]), 0);
    }

    #[test]
    fn a_held_prefix_stays_only_inside_the_pool_and_beside_the_networks_own() {
        let mut pool = delegation("2001:db8::/48", 56);
        pool.own = vec![net("2001:db8:0:100::/64")];
        assert!(pool.may_hold(net("2001:db8:0:200::/56")));
        assert!(!pool.may_hold(net("2001:db8:0:100::/56")));
        assert!(!pool.may_hold(net("2001:db8:0:200::/60")));
        assert!(!pool.may_hold(net("2001:db8:1:200::/56")));
    }
}
