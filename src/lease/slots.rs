//! Leases in numbered places, and an index by key: an address names its holder by four bytes.

use std::collections::BTreeMap;

use super::{Lease, LeaseKey, NetworkName, NicName};

/// The place of a lease; it stays the lease's own until the lease is taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot(u32);

/// Every lease, by place and by key.
#[derive(Debug, Clone, Default)]
pub(super) struct Slots {
    leases: Vec<Option<Lease>>,
    empty: Vec<Slot>,
    by_key: BTreeMap<LeaseKey, Slot>,
    /// How many leases of each network are flagged with a conflict.
    conflicts: BTreeMap<NetworkName, u64>,
}

impl Slots {
    /// Takes all of `leases` at once. Of several with one key only the last has a place.
    pub(super) fn load(leases: Vec<Lease>) -> Self {
        let leases: Vec<Option<Lease>> = leases.into_iter().map(Some).collect();
        let keys = leases.iter().zip(0..).filter_map(|(lease, place)| {
            lease.as_ref().map(|lease| (lease.key.clone(), Slot(place)))
        });
        let by_key: BTreeMap<LeaseKey, Slot> = keys.collect();
        let mut slots = Self { leases, empty: Vec::new(), by_key, conflicts: BTreeMap::new() };
        if slots.by_key.len() < slots.leases.len() {
            for (lease, place) in slots.leases.iter_mut().zip(0..) {
                let slot = Slot(place);
                if lease.as_ref().is_some_and(|lease| slots.by_key.get(&lease.key) != Some(&slot)) {
                    *lease = None;
                    slots.empty.push(slot);
                }
            }
        }
        for lease in slots.leases.iter().flatten() {
            count_conflict(&mut slots.conflicts, lease, Count::Up);
        }
        slots
    }

    /// Returns every place that was given, in their own order.
    pub(super) fn all(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..u32::try_from(self.leases.len()).unwrap_or(u32::MAX)).map(Slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.by_key.values().filter_map(|slot| self.lease(*slot))
    }

    /// Returns the keys of one VM's leases on the network of `key`, in the order of NICs.
    pub(super) fn of_vm<'a>(&'a self, key: &'a LeaseKey) -> impl Iterator<Item = &'a LeaseKey> {
        let vms = (&key.network, &key.vm);
        let from = LeaseKey { nic: NicName::first(), ..key.clone() };
        let leases = self.by_key.range(from..).map(|(key, _)| key);
        leases.take_while(move |other| (&other.network, &other.vm) == vms)
    }

    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Counts the leases of a network that are flagged with a conflict.
    pub(super) fn conflicts(&self, network: &NetworkName) -> u64 {
        self.conflicts.get(network).copied().unwrap_or(0)
    }

    pub(super) fn slot(&self, key: &LeaseKey) -> Option<Slot> {
        self.by_key.get(key).copied()
    }

    pub(super) fn lease(&self, slot: Slot) -> Option<&Lease> {
        self.leases.get(index(slot))?.as_ref()
    }

    pub(super) fn get(&self, key: &LeaseKey) -> Option<&Lease> {
        self.lease(self.slot(key)?)
    }

    /// Returns a lease to be changed in anything but its key and its conflict.
    pub(super) fn get_mut(&mut self, key: &LeaseKey) -> Option<&mut Lease> {
        let slot = self.slot(key)?;
        self.leases.get_mut(index(slot))?.as_mut()
    }

    /// Puts a lease in the place of its key, or in a new one.
    pub(super) fn put(&mut self, lease: Lease) -> Slot {
        let slot = self.slot(&lease.key).or_else(|| self.empty.pop()).unwrap_or_else(|| {
            self.leases.push(None);
            Slot(u32::try_from(self.leases.len().saturating_sub(1)).unwrap_or(u32::MAX))
        });
        self.by_key.insert(lease.key.clone(), slot);
        if let Some(place) = self.leases.get_mut(index(slot)) {
            count_conflict(&mut self.conflicts, &lease, Count::Up);
            if let Some(old) = place.replace(lease) {
                count_conflict(&mut self.conflicts, &old, Count::Down);
            }
        }
        slot
    }

    pub(super) fn remove(&mut self, key: &LeaseKey) -> Option<Lease> {
        let slot = self.by_key.remove(key)?;
        self.empty.push(slot);
        let lease = self.leases.get_mut(index(slot))?.take()?;
        count_conflict(&mut self.conflicts, &lease, Count::Down);
        Some(lease)
    }
}

#[derive(Debug, Clone, Copy)]
enum Count {
    Up,
    Down,
}

fn count_conflict(conflicts: &mut BTreeMap<NetworkName, u64>, lease: &Lease, count: Count) {
    if !lease.conflict {
        return;
    }
    let number = conflicts.entry(lease.key.network.clone()).or_default();
    *number = match count {
        Count::Up => number.saturating_add(1),
        Count::Down => number.saturating_sub(1),
    };
}

fn index(slot: Slot) -> usize {
    usize::try_from(slot.0).unwrap_or(usize::MAX)
}
