//! What is known of each interface that a source names, found by name and by lease.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::control::PortState;
use crate::lease::{Lease, LeaseKey};
use crate::network::Network;

/// What is known of one interface that a source names.
#[derive(Debug)]
pub(super) struct Entry {
    /// As what it is listed.
    pub(super) state: PortState,
    /// Why, in words; for a served port what is amiss with it.
    pub(super) reason: Option<String>,
    /// The network, if one was chosen.
    pub(super) network: Option<Arc<Network>>,
    /// The lease that is served, or would be.
    pub(super) lease: Option<Lease>,
}

/// Every entry.
#[derive(Debug, Default)]
pub(super) struct Entries {
    by_interface: BTreeMap<String, Entry>,
    /// Which interfaces serve each lease, or would, in the order of names; there is seldom more than
    /// one.
    by_lease: HashMap<LeaseKey, Vec<String>>,
}

impl Entries {
    /// Returns the entry of one interface.
    pub(super) fn get(&self, interface: &str) -> Option<&Entry> {
        self.by_interface.get(interface)
    }

    /// Returns every entry, in the order of names.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.by_interface.iter()
    }

    /// Returns the interfaces that serve a lease, or would, in the order of names.
    pub(super) fn of(&self, key: &LeaseKey) -> impl Iterator<Item = &str> {
        self.by_lease.get(key).into_iter().flatten().map(String::as_str)
    }

    /// Puts an entry in the place of the one before, which it returns.
    pub(super) fn insert(&mut self, interface: &str, entry: Entry) -> Option<Entry> {
        let key = |entry: &Entry| entry.lease.as_ref().map(|lease| lease.key.clone());
        let (old, new) = (self.get(interface).and_then(key), key(&entry));
        if old != new {
            self.unlink(interface, old);
            if let Some(key) = new {
                let interfaces = self.by_lease.entry(key).or_default();
                if let Err(place) = interfaces.binary_search_by(|held| held.as_str().cmp(interface))
                {
                    interfaces.reserve_exact(1);
                    interfaces.insert(place, interface.to_owned());
                }
            }
        }
        self.by_interface.insert(interface.to_owned(), entry)
    }

    /// Takes an entry out and returns it.
    pub(super) fn remove(&mut self, interface: &str) -> Option<Entry> {
        let entry = self.by_interface.remove(interface)?;
        self.unlink(interface, entry.lease.as_ref().map(|lease| lease.key.clone()));
        Some(entry)
    }

    fn unlink(&mut self, interface: &str, key: Option<LeaseKey>) {
        let Some(key) = key else { return };
        if let Some(interfaces) = self.by_lease.get_mut(&key) {
            interfaces.retain(|held| held != interface);
            if interfaces.is_empty() {
                self.by_lease.remove(&key);
            }
        }
    }
}

/// What the ports of one batch have come to: of a few each has its own line in the log, of many
/// there is one line.
#[derive(Debug, Default)]
pub(super) enum Tally {
    #[default]
    Few,
    Many(BTreeMap<&'static str, u64>),
}

impl Tally {
    /// Begins a batch of this many ports.
    pub(super) const fn of(ports: usize) -> Self {
        if ports > FEW { Self::Many(BTreeMap::new()) } else { Self::Few }
    }

    /// Tells whether the news that a port is in `state` gets a line of its own; else it is counted.
    pub(super) fn is_told_alone(&mut self, state: &'static str) -> bool {
        match self {
            Self::Few => true,
            Self::Many(counts) => {
                let count = counts.entry(state).or_default();
                *count = count.saturating_add(1);
                false
            }
        }
    }

    /// Tells what was counted, and ends the batch. Returns whether it was one of many ports.
    pub(super) fn tell(&mut self) -> bool {
        let Self::Many(counts) = std::mem::take(self) else { return false };
        let counts: Vec<String> =
            counts.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
        if !counts.is_empty() {
            let counts = counts.join(", ");
            tracing::info!("many ports at once: {counts}; `leasehold ports` lists them");
        }
        true
    }
}

/// Up to how many ports of one batch have their own line in the log.
const FEW: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Assignment, LeaseTable, Occasion};
    use crate::network::tests::network;
    use crate::time::Wall;

    fn key(vm: &str) -> LeaseKey {
        LeaseKey {
            network: "blue".parse().unwrap(),
            vm: vm.parse().unwrap(),
            nic: "default".parse().unwrap(),
        }
    }

    fn entry(vm: Option<&str>) -> Entry {
        let lease = vm.map(|vm| {
            let occasion = Occasion { node: "node", wall: Wall(1) };
            let Assignment { lease, .. } =
                LeaseTable::default().assign(&network("blue"), &key(vm), occasion);
            lease
        });
        Entry { state: PortState::Serving, reason: None, network: None, lease }
    }

    #[test]
    fn a_lease_finds_the_interfaces_that_have_it_now() {
        let mut entries = Entries::default();
        entries.insert("tap1", entry(Some("demo/a")));
        entries.insert("tap0", entry(Some("demo/a")));
        entries.insert("tap2", entry(Some("demo/b")));
        assert_eq!(entries.of(&key("demo/a")).collect::<Vec<_>>(), ["tap0", "tap1"]);

        entries.insert("tap0", entry(Some("demo/b")));
        entries.insert("tap2", entry(None));
        assert_eq!(entries.of(&key("demo/a")).collect::<Vec<_>>(), ["tap1"]);
        assert_eq!(entries.of(&key("demo/b")).collect::<Vec<_>>(), ["tap0"]);

        assert!(entries.remove("tap1").is_some() && entries.remove("tap1").is_none());
        assert_eq!(entries.of(&key("demo/a")).count(), 0);
        let left: Vec<&String> = entries.iter().map(|(interface, _)| interface).collect();
        assert_eq!(left, ["tap0", "tap2"]);
    }

    #[test]
    fn of_few_ports_each_is_told_and_many_are_counted() {
        assert!(Tally::of(FEW).is_told_alone("serving"));
        let mut many = Tally::of(FEW + 1);
        assert!(!many.is_told_alone("serving") && !many.is_told_alone("serving"));
        assert!(matches!(&many, Tally::Many(counts) if counts.get("serving") == Some(&2)));
        assert!(many.tell() && !many.tell());
        assert!(many.is_told_alone("gone"));
    }
}
