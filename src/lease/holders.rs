//! Who holds each address of one family, and which one a newcomer is given.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use super::runs::Runs;
use super::slots::{Slot, Slots};
use super::{LeaseKey, NetworkName, NicName, NoAddress, Usage, VmId};
use crate::network::{Pool, PoolAddress};

/// Who holds each address of one family, network by network.
#[derive(Debug, Clone)]
pub(super) struct Holders<A> {
    networks: HashMap<NetworkName, Held<A>>,
}

#[derive(Debug, Clone)]
struct Held<A> {
    by_address: HashMap<A, Slot>,
    /// Found in use by somebody else; given last until the process ends.
    declined: HashSet<A>,
    /// How many of them each NIC has declined.
    declines: HashMap<LeaseKey, usize>,
    /// Named by a row of the store that is damaged, with the NIC that the row names: kept free of
    /// all others.
    withheld: HashMap<A, Option<LeaseKey>>,
    /// Held by NICs whose leases this table does not have: they are on other nodes.
    elsewhere: HashMap<A, LeaseKey>,
    /// All of these: what a newcomer is not given.
    blocked: Runs<A>,
}

/// What is known when an address is to be chosen for one NIC.
pub(super) struct Request<'a, A> {
    pub(super) family: &'static str,
    pub(super) pool: &'a Pool<A>,
    pub(super) reserved: Option<A>,
    pub(super) entry_names_nic: bool,
    pub(super) held: Option<A>,
}

impl<A: PoolAddress> Holders<A> {
    pub(super) fn holder(&self, network: &NetworkName, address: A) -> Option<Slot> {
        self.networks.get(network)?.by_address.get(&address).copied()
    }

    pub(super) fn hold(&mut self, network: &NetworkName, address: Option<A>, slot: Slot) {
        if let Some(address) = address {
            let held = self.of(network);
            held.elsewhere.remove(&address);
            held.by_address.insert(address, slot);
            held.blocked.insert(address);
        }
    }

    /// As [`Self::hold`] for one of many leases; [`Self::loaded`] ends it.
    pub(super) fn hold_loaded(&mut self, network: &NetworkName, address: Option<A>, slot: Slot) {
        if let Some(address) = address {
            self.of(network).by_address.insert(address, slot);
        }
    }

    /// Blocks what is held by now.
    pub(super) fn loaded(&mut self) {
        for held in self.networks.values_mut() {
            held.blocked = Runs::of(held.by_address.keys().copied().collect());
        }
    }

    pub(super) fn free(&mut self, network: &NetworkName, address: Option<A>) {
        if let (Some(address), Some(held)) = (address, self.networks.get_mut(network)) {
            held.by_address.remove(&address);
            held.unblock(address);
        }
    }

    /// Notes that a NIC of another node holds an address.
    pub(super) fn occupy(&mut self, holder: &LeaseKey, address: A) {
        let held = self.of(&holder.network);
        held.elsewhere.insert(address, holder.clone());
        held.blocked.insert(address);
    }

    /// Forgets what NICs of other nodes hold.
    pub(super) fn forget_occupied(&mut self) {
        for held in self.networks.values_mut() {
            for address in std::mem::take(&mut held.elsewhere).into_keys() {
                held.unblock(address);
            }
        }
    }

    /// Keeps an address from all but `owner`, whom a damaged row names.
    pub(super) fn withhold(
        &mut self,
        network: &NetworkName,
        address: Option<A>,
        owner: Option<&LeaseKey>,
    ) {
        if let Some(address) = address {
            let held = self.of(network);
            held.withheld.insert(address, owner.cloned());
            held.blocked.insert(address);
        }
    }

    /// Gives up what is withheld for one NIC.
    pub(super) fn give_up(&mut self, key: &LeaseKey) {
        let Some(held) = self.networks.get_mut(&key.network) else { return };
        let owned = held.withheld.iter().filter(|(_, owner)| owner.as_ref() == Some(key));
        let owned: Vec<A> = owned.map(|(address, _)| *address).collect();
        for address in owned {
            held.withheld.remove(&address);
            held.unblock(address);
        }
    }

    /// Sets `declined` aside, which `key` holds, and returns another address for it; `None` if there
    /// is none, or the NIC has had its share.
    pub(super) fn set_aside(
        &mut self,
        key: &LeaseKey,
        declined: A,
        pool: &Pool<A>,
        family: &str,
    ) -> Option<A> {
        let declines = |held: &Held<A>| held.declines.get(key).copied().unwrap_or(0);
        if self.networks.get(&key.network).map_or(0, declines) >= DECLINES_MAX {
            return None;
        }
        // Still held, so it is not drawn itself.
        let other = self.draw(key, pool, family)?;
        let held = self.of(&key.network);
        held.declined.insert(declined);
        held.blocked.insert(declined);
        let declines = held.declines.entry(key.clone()).or_default();
        *declines = declines.saturating_add(1);
        Some(other)
    }

    pub(super) fn choose(
        &self,
        slots: &Slots,
        key: &LeaseKey,
        request: Request<'_, A>,
    ) -> (Option<A>, Option<NoAddress>) {
        if let Some(reserved) = request.reserved {
            let holder = self.holder(&key.network, reserved).and_then(|slot| slots.lease(slot));
            match holder.map(|lease| &lease.key) {
                None => match self.withheld_from(key, reserved) {
                    None => return (Some(reserved), None),
                    Some(holder) => {
                        let address = reserved.to_string();
                        return (request.held, Some(NoAddress::Held { address, holder }));
                    }
                },
                Some(holder) if holder == key => return (Some(reserved), None),
                // An entry without `nic` belongs to the first NIC that leased it; this NIC of the
                // same VM is served from the ranges.
                Some(holder) if holder.vm == key.vm && !request.entry_names_nic => {}
                // Two VMs cannot have it: the holder keeps it, and so does this VM what it has.
                Some(holder) => {
                    let reason = NoAddress::Held {
                        address: reserved.to_string(),
                        holder: format!("{} {}", holder.vm, holder.nic),
                    };
                    return (request.held, Some(reason));
                }
            }
        }
        if request.held.is_some() {
            return (request.held, None);
        }
        if request.pool.ranges.is_empty() {
            return (None, Some(NoAddress::NotReserved(request.family)));
        }
        let drawn = self.draw(key, request.pool, request.family);
        match drawn.or_else(|| self.declined(key, request.pool)) {
            Some(address) => (Some(address), None),
            None => (None, Some(NoAddress::Exhausted(request.family))),
        }
    }

    /// Counts the leases of a network and the addresses of its pool.
    pub(super) fn usage(&self, network: &NetworkName, pool: &Pool<A>) -> Usage {
        let never = || pool.never.iter().filter(|address| in_ranges(pool, **address));
        let total = pool.size().saturating_sub(widen(never().count()));
        let Some(held) = self.networks.get(network) else {
            return Usage { leases: 0, free: narrow(total), total: narrow(total) };
        };
        let blocked = pool.ranges.iter().map(|range| held.blocked.count(range.first, range.last));
        let blocked = blocked.fold(0, u128::saturating_add);
        // A reserved address that is held is in neither count.
        let both = widen(never().filter(|address| held.blocked.contains(**address)).count());
        Usage {
            leases: narrow(widen(held.by_address.len())),
            free: narrow(total.saturating_sub(blocked.saturating_sub(both))),
            total: narrow(total),
        }
    }

    /// Takes the first free address of a sequence that the key alone decides: so that even a table
    /// made anew gives most VMs the address that they had.
    fn draw(&self, key: &LeaseKey, pool: &Pool<A>, family: &str) -> Option<A> {
        let held = self.networks.get(&key.network);
        let is_free = |address: &A| {
            pool.contains(*address) && held.is_none_or(|held| held.is_free_for(*address, key))
        };
        let size = pool.size();
        let start = |attempt: u8| preference(key, family, attempt).checked_rem(size).unwrap_or(0);
        let by_hash =
            (0..HASHED_ATTEMPTS).filter_map(|attempt| pool.nth(start(attempt))).find(is_free);
        if by_hash.is_some() {
            return by_hash;
        }
        // A crowded range: the next free address behind the first choice, around the end and back.
        let first = pool.nth(start(0))?;
        let behind = pool.ranges.iter().filter(|range| range.last >= first);
        let before = pool.ranges.iter().filter(|range| range.first < first);
        let behind = behind.map(|range| (range.first.max(first), range.last));
        let before = before.map(|range| (range.first, range.last.min(first)));
        let crowded = behind.chain(before).find_map(|(from, to)| next_free(held, pool, (from, to)));
        // Last, what a damaged row keeps for this very NIC.
        crowded.or_else(|| held?.withheld.keys().copied().filter(is_free).min())
    }

    /// Takes an address that somebody declined: where there is no other, the word of guests does not
    /// keep one from a VM.
    fn declined(&self, key: &LeaseKey, pool: &Pool<A>) -> Option<A> {
        let held = self.networks.get(&key.network)?;
        let declined = held.declined.iter().copied();
        declined.filter(|address| pool.contains(*address) && held.is_nobodys(*address, key)).min()
    }

    /// Names the NIC that holds an address on another node, or for which a damaged row keeps it, if
    /// that is another than `key`.
    pub(super) fn withheld_from(&self, key: &LeaseKey, address: A) -> Option<String> {
        let held = self.networks.get(&key.network)?;
        if let Some(holder) = held.elsewhere.get(&address).filter(|holder| *holder != key) {
            return Some(format!("{} {}", holder.vm, holder.nic));
        }
        match held.withheld.get(&address)? {
            Some(owner) if owner == key => None,
            Some(owner) => Some(format!("{} {} by a damaged row", owner.vm, owner.nic)),
            None => Some("a damaged row".to_owned()),
        }
    }

    fn of(&mut self, network: &NetworkName) -> &mut Held<A> {
        self.networks.entry(network.clone()).or_default()
    }
}

impl<A: PoolAddress> Held<A> {
    fn is_free_for(&self, address: A, key: &LeaseKey) -> bool {
        self.is_nobodys(address, key) && !self.declined.contains(&address)
    }

    /// Tells whether no other NIC than `key`'s has an address, here or elsewhere.
    fn is_nobodys(&self, address: A, key: &LeaseKey) -> bool {
        !self.by_address.contains_key(&address)
            && self.withheld.get(&address).is_none_or(|owner| owner.as_ref() == Some(key))
            && self.elsewhere.get(&address).is_none_or(|holder| holder == key)
    }

    /// Lets an address go that has lost one reason to be blocked, if there is no other.
    fn unblock(&mut self, address: A) {
        let is_blocked = self.by_address.contains_key(&address)
            || self.declined.contains(&address)
            || self.withheld.contains_key(&address)
            || self.elsewhere.contains_key(&address);
        if !is_blocked {
            self.blocked.remove(address);
        }
    }
}

impl<A> Default for Holders<A> {
    fn default() -> Self {
        Self { networks: HashMap::new() }
    }
}

impl<A> Default for Held<A> {
    fn default() -> Self {
        Self {
            by_address: HashMap::new(),
            declined: HashSet::new(),
            declines: HashMap::new(),
            withheld: HashMap::new(),
            elsewhere: HashMap::new(),
            blocked: Runs::default(),
        }
    }
}

/// Tells whether an address lies in the ranges of a pool.
pub(super) fn in_ranges<A: PoolAddress>(pool: &Pool<A>, address: A) -> bool {
    pool.ranges.iter().any(|range| range.first <= address && address <= range.last)
}

/// Returns the first address of a stretch that is neither blocked nor never given. Each step passes
/// over a whole run of blocked addresses, or over one that is never given.
fn next_free<A: PoolAddress>(
    held: Option<&Held<A>>,
    pool: &Pool<A>,
    (from, to): (A, A),
) -> Option<A> {
    let mut at = from;
    loop {
        let free = match held {
            Some(held) => held.blocked.next_outside(at)?,
            None => at,
        };
        if free > to {
            return None;
        }
        if pool.contains(free) {
            return Some(free);
        }
        at = A::from_number(free.to_number().checked_add(1)?);
        if at <= free {
            return None;
        }
    }
}

/// Returns a number that depends on the key, the family and the attempt alone, for ever: it is part
/// of the promise that a lost store gives most VMs their old address.
pub(super) fn preference(key: &LeaseKey, family: &str, attempt: u8) -> u128 {
    let LeaseKey { network, vm, nic } = key;
    let mut hash = Sha256::new();
    for part in [NetworkName::as_str(network), VmId::as_str(vm), NicName::as_str(nic), family] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update([attempt]);
    let digest: [u8; 32] = hash.finalize().into();
    digest.first_chunk().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

fn widen(count: usize) -> u128 {
    u128::try_from(count).unwrap_or(u128::MAX)
}

fn narrow(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// How many addresses are tried by hash before the range is walked.
pub(super) const HASHED_ATTEMPTS: u8 = 8;

/// How many addresses of one family a NIC may have set aside. More than a network in trouble needs;
/// few enough that a hostile guest costs its neighbours nothing.
const DECLINES_MAX: usize = 4;
