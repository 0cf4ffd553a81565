//! A set of addresses kept as runs of neighbours, so that the next address outside it is found in
//! one step however full a range is.

use std::collections::BTreeMap;

use crate::network::PoolAddress;

/// Addresses, as runs that neither overlap nor touch.
#[derive(Debug, Clone)]
pub(super) struct Runs<A> {
    /// The first address of each run, and its last.
    runs: BTreeMap<A, A>,
}

impl<A> Default for Runs<A> {
    fn default() -> Self {
        Self { runs: BTreeMap::new() }
    }
}

impl<A: PoolAddress> Runs<A> {
    /// Makes the set of many addresses at once, in any order.
    pub(super) fn of(mut addresses: Vec<A>) -> Self {
        addresses.sort_unstable();
        let mut runs: Vec<(A, A)> = Vec::new();
        for address in addresses {
            match runs.last_mut() {
                Some((_, last)) if address == *last || next(*last) == Some(address) => {
                    *last = address;
                }
                Some(_) | None => runs.push((address, address)),
            }
        }
        Self { runs: runs.into_iter().collect() }
    }

    /// Puts an address in; one that is in stays.
    pub(super) fn insert(&mut self, address: A) {
        let before = self.runs.range(..=address).next_back().map(|(first, last)| (*first, *last));
        if before.is_some_and(|(_, last)| address <= last) {
            return;
        }
        let first = match before {
            Some((first, last)) if next(last) == Some(address) => first,
            Some(_) | None => address,
        };
        // The run that begins just behind the address, if there is one, becomes part of this one.
        let last = next(address).and_then(|after| self.runs.remove(&after)).unwrap_or(address);
        self.runs.insert(first, last);
    }

    /// Takes an address out; one that is not in stays out.
    pub(super) fn remove(&mut self, address: A) {
        let Some((first, last)) = self.run_of(address) else { return };
        if first == address {
            self.runs.remove(&first);
        } else if let Some(before) = previous(address) {
            self.runs.insert(first, before);
        }
        if let Some(after) = next(address).filter(|after| *after <= last) {
            self.runs.insert(after, last);
        }
    }

    /// Tells whether an address is in.
    pub(super) fn contains(&self, address: A) -> bool {
        self.run_of(address).is_some()
    }

    /// Returns the first address from `from` on that is not in; `None`: they all are.
    pub(super) fn next_outside(&self, from: A) -> Option<A> {
        match self.run_of(from) {
            Some((_, last)) => next(last),
            None => Some(from),
        }
    }

    /// Counts what is in from `first` to `last`, which is not before `first`; saturates.
    pub(super) fn count(&self, first: A, last: A) -> u128 {
        let begin = self.run_of(first).map_or(first, |(begin, _)| begin);
        let runs = self.runs.range(begin..=last);
        runs.filter(|(_, end)| **end >= first)
            .map(|(begin, end)| {
                let (begin, end) = ((*begin).max(first), (*end).min(last));
                end.to_number().saturating_sub(begin.to_number()).saturating_add(1)
            })
            .fold(0, u128::saturating_add)
    }

    fn run_of(&self, address: A) -> Option<(A, A)> {
        let (first, last) = self.runs.range(..=address).next_back()?;
        (address <= *last).then_some((*first, *last))
    }
}

/// Returns the address behind `address`; `None` behind the last of all.
fn next<A: PoolAddress>(address: A) -> Option<A> {
    let after = A::from_number(address.to_number().saturating_add(1));
    (after > address).then_some(after)
}

fn previous<A: PoolAddress>(address: A) -> Option<A> {
    address.to_number().checked_sub(1).map(A::from_number)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    /// Near both ends of the address space as well.
    fn address() -> impl Strategy<Value = Ipv4Addr> {
        prop_oneof![0_u32..24, (u32::MAX - 24)..=u32::MAX].prop_map(Ipv4Addr::from_bits)
    }

    proptest! {
        #[test]
        fn runs_say_what_a_plain_set_says(
            steps in prop::collection::vec((any::<bool>(), address()), 0..100),
            (first, last) in (address(), address()),
        ) {
            let mut runs = Runs::default();
            let mut set = BTreeSet::new();
            for (insert, address) in steps {
                if insert {
                    runs.insert(address);
                    set.insert(address);
                } else {
                    runs.remove(address);
                    set.remove(&address);
                }
                prop_assert_eq!(runs.contains(address), insert);
            }
            let outside = (first.to_bits()..=u32::MAX)
                .take(set.len() + 1)
                .map(Ipv4Addr::from_bits)
                .find(|address| !set.contains(address));
            prop_assert_eq!(runs.next_outside(first), outside);
            if first <= last {
                let count = set.range(first..=last).count();
                prop_assert_eq!(runs.count(first, last), u128::try_from(count).unwrap());
            }
            prop_assert_eq!(&Runs::of(set.iter().rev().copied().collect()).runs, &runs.runs);
            let touching = runs.runs.values().filter(|last| {
                next(**last).is_some_and(|after| runs.runs.contains_key(&after))
            });
            prop_assert_eq!(touching.count(), 0, "neighbours are one run");
        }
    }

    #[test]
    fn the_last_address_of_all_has_none_behind_it() {
        let mut runs = Runs::default();
        let last = Ipv6Addr::from_bits(u128::MAX);
        runs.insert(last);
        assert_eq!(runs.next_outside(last), None);
        assert_eq!(runs.count(last, last), 1);
        runs.remove(last);
        assert_eq!(runs.next_outside(last), Some(last));
    }
}
