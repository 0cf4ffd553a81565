//! The lease table: who holds what, and what a newcomer is given.
//!
//! The table is the working copy; the store follows it. [`LeaseTable::assign`] says whether the
//! lease changed, and the caller serves it only after the store has it. No address is ever held by
//! two leases of one network: every change goes through `hold` and `free`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sha2::{Digest, Sha256};

use super::{Lease, LeaseKey, NetworkName, NicName, VmId};
use crate::network::{
    AddressMode, Ipv4Network, Ipv6Network, Network, OnDecline, Pool, PoolAddress, VmEntry,
};
use crate::time::Wall;

/// Every lease that this node knows.
#[derive(Debug, Default)]
pub struct LeaseTable {
    leases: BTreeMap<LeaseKey, Lease>,
    ipv4: Holders<Ipv4Addr>,
    ipv6: Holders<Ipv6Addr>,
}

/// What a NIC was found to hold, or was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The lease, as it stands in the table now.
    pub lease: Lease,
    /// What the store must be told.
    pub change: LeaseChange,
    /// Why the NIC has no IPv4 address, or not the reserved one.
    pub no_ipv4: Option<NoAddress>,
    /// Why the NIC has no IPv6 address, or not the reserved one.
    pub no_ipv6: Option<NoAddress>,
}

/// How a lease differs from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseChange {
    /// Not at all.
    None,
    /// In what is only told about it: node, host name. Serving need not wait for the store.
    Details,
    /// In its addresses: it must be durable before it is served.
    Addresses,
}

/// Why a NIC has no address of a family, or not the one reserved for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// Neither a reservation nor a range.
    #[error("no {0} reservation for this VM, and the network has no ranges")]
    NotReserved(&'static str),
    /// Every address of the ranges is held or excluded.
    #[error("all {0} addresses of the network's ranges are in use")]
    Exhausted(&'static str),
    /// The reserved address is still held by another lease.
    #[error("{address} is reserved for this VM but held by {holder}; release it there")]
    Held {
        /// The reserved address.
        address: String,
        /// Who holds it: VM and NIC.
        holder: String,
    },
}

/// Which of its addresses a guest declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// By DHCPv4.
    Ipv4,
    /// By DHCPv6.
    Ipv6,
}

/// Who asks, where and when: what goes into a lease beside its addresses.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    /// The node that is to serve the lease.
    pub node: &'a str,
    /// The time.
    pub wall: Wall,
}

/// How full a network is, in one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Leases that hold an address of the family.
    pub leases: u64,
    /// Addresses of the ranges that may be given and are not held; saturates.
    pub free: u64,
    /// Addresses of the ranges that may be given; saturates.
    pub total: u64,
}

impl LeaseTable {
    /// Takes what a store had. A second lease for an address is set aside and named.
    #[must_use]
    pub fn load(leases: Vec<Lease>) -> (Self, Vec<String>) {
        let mut table = Self::default();
        let mut refused = Vec::new();
        for lease in leases {
            match table.insert(lease) {
                Ok(()) => {}
                Err(reason) => refused.push(reason),
            }
        }
        (table, refused)
    }

    /// Returns every lease, in the order of network, VM and NIC.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values()
    }

    /// Returns how many leases there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Tells whether there is no lease.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Returns the lease of one NIC.
    #[must_use]
    pub fn get(&self, key: &LeaseKey) -> Option<&Lease> {
        self.leases.get(key)
    }

    /// Finds the NIC's lease, or makes one, or mends one that the template no longer allows.
    ///
    /// An address is kept as long as it lies in the subnet and is not the network's own; a
    /// reservation goes before what is held; the rest comes from the ranges, first the address that
    /// the hash of the key prefers.
    pub fn assign(
        &mut self,
        network: &Network,
        key: &LeaseKey,
        occasion: Occasion<'_>,
    ) -> Assignment {
        let old = self.leases.get(key).cloned();
        let (ipv4, no_ipv4) = self.choose_ipv4(network, key, old.as_ref());
        let (ipv6, no_ipv6) = self.choose_ipv6(network, key, old.as_ref());
        let hostname =
            network.hostname_of(&key.vm, &key.nic).map(|hostname| hostname.as_str().to_owned());
        let lease = Lease {
            key: key.clone(),
            ipv4,
            ipv6,
            prefix: old.as_ref().and_then(|lease| lease.prefix),
            hostname,
            created: old.as_ref().map_or(occasion.wall, |lease| lease.created),
            node: occasion.node.to_owned(),
            last_seen: old.as_ref().and_then(|lease| lease.last_seen),
            conflict: old.as_ref().is_some_and(|lease| lease.conflict),
        };
        let change = match &old {
            // A NIC that holds nothing has no lease: the row would promise what is not there.
            None if ipv4.is_none() && ipv6.is_none() => LeaseChange::None,
            None => LeaseChange::Addresses,
            Some(old) if (old.ipv4, old.ipv6) != (ipv4, ipv6) => LeaseChange::Addresses,
            Some(old) if *old != lease => LeaseChange::Details,
            Some(_) => LeaseChange::None,
        };
        match change {
            LeaseChange::None => {}
            LeaseChange::Details | LeaseChange::Addresses => self.replace(lease.clone()),
        }
        Assignment { lease, change, no_ipv4, no_ipv6 }
    }

    /// Flags a conflict on the lease of a guest that declined its address of `family`, and with
    /// `on-decline = "reassign"` gives it another one. Returns the lease if it changed.
    ///
    /// A guest declines as often as it likes, so it has no more than `DECLINES_MAX` addresses of
    /// a family set aside, and goes on with the last one: it cannot empty the ranges for others.
    pub fn decline(
        &mut self,
        network: &Network,
        key: &LeaseKey,
        family: Family,
        occasion: Occasion<'_>,
    ) -> Option<Lease> {
        let before = self.leases.get(key)?.clone();
        let mut lease = Lease { conflict: true, ..before.clone() };
        match (network.on_decline, family) {
            (OnDecline::Keep, _) => {}
            (OnDecline::Reassign, Family::Ipv4) => lease.ipv4 = self.other_ipv4(network, &before),
            (OnDecline::Reassign, Family::Ipv6) => lease.ipv6 = self.other_ipv6(network, &before),
        }
        if lease == before {
            return None;
        }
        self.replace(lease);
        Some(self.assign(network, key, occasion).lease)
    }

    /// Notes that the guest was heard. Returns the lease if that is worth writing down: not more
    /// than once in `granularity` seconds.
    pub fn seen(&mut self, key: &LeaseKey, wall: Wall, granularity: u64) -> Option<Lease> {
        let lease = self.leases.get_mut(key)?;
        let fresh = lease.last_seen.is_some_and(|last| wall.0.saturating_sub(last.0) < granularity);
        if fresh {
            return None;
        }
        lease.last_seen = Some(wall);
        Some(lease.clone())
    }

    /// Takes a lease out; its addresses are free.
    pub fn remove(&mut self, key: &LeaseKey) -> Option<Lease> {
        let lease = self.leases.remove(key)?;
        self.ipv4.free(key, lease.ipv4);
        self.ipv6.free(key, lease.ipv6);
        Some(lease)
    }

    /// Takes a lease as it is elsewhere: in a store that nodes share, which is right. Returns the
    /// other leases that lose an address by it.
    pub fn adopt(&mut self, lease: Lease) -> BTreeSet<LeaseKey> {
        let addresses = [lease.ipv4.map(IpAddr::V4), lease.ipv6.map(IpAddr::V6)];
        let losers =
            addresses.into_iter().flatten().filter_map(|address| self.occupy(&lease.key, address));
        let losers = losers.collect();
        self.replace(lease);
        losers
    }

    /// Notes that a NIC, of another node perhaps, holds an address. Returns the lease that loses it
    /// by that.
    pub fn occupy(&mut self, holder: &LeaseKey, address: IpAddr) -> Option<LeaseKey> {
        let network = &holder.network;
        let before = match address {
            IpAddr::V4(address) => self.ipv4.holder(network, address).cloned(),
            IpAddr::V6(address) => self.ipv6.holder(network, address).cloned(),
        };
        match address {
            IpAddr::V4(address) => self.ipv4.hold(holder, Some(address)),
            IpAddr::V6(address) => self.ipv6.hold(holder, Some(address)),
        }
        let loser = self.leases.get_mut(&before.filter(|before| before != holder)?)?;
        match address {
            IpAddr::V4(address) if loser.ipv4 == Some(address) => loser.ipv4 = None,
            IpAddr::V6(address) if loser.ipv6 == Some(address) => loser.ipv6 = None,
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        }
        Some(loser.key.clone())
    }

    /// Forgets what [`Self::occupy`] noted and no lease of this table holds.
    pub fn forget_occupied(&mut self) {
        let leases = &self.leases;
        self.ipv4.retain(|key, address| {
            leases.get(key).is_some_and(|lease| lease.ipv4 == Some(*address))
        });
        self.ipv6.retain(|key, address| {
            leases.get(key).is_some_and(|lease| lease.ipv6 == Some(*address))
        });
    }

    /// Counts one network's IPv4 leases and addresses.
    #[must_use]
    pub fn ipv4_usage(&self, network: &NetworkName, pool: &Pool<Ipv4Addr>) -> Usage {
        self.ipv4.usage(network, pool)
    }

    /// Counts one network's IPv6 leases and addresses.
    #[must_use]
    pub fn ipv6_usage(&self, network: &NetworkName, pool: &Pool<Ipv6Addr>) -> Usage {
        self.ipv6.usage(network, pool)
    }

    /// Sets the declined address of `lease` aside and returns the one that takes its place. A
    /// reserved one is the admin's word and stays, as does one that there is no other for.
    fn other_ipv4(&mut self, network: &Network, lease: &Lease) -> Option<Ipv4Addr> {
        let (key, declined) = (&lease.key, lease.ipv4?);
        let entry = network.vm_entry(&key.vm, &key.nic);
        let Some(ipv4) = &network.ipv4 else { return Some(declined) };
        if is_reserved(entry, declined, |entry| &entry.ipv4) {
            return Some(declined);
        }
        let other = self.ipv4.set_aside(key, declined, &ipv4.pool, "IPv4");
        Some(other.unwrap_or(declined))
    }

    /// As [`Self::other_ipv4`].
    fn other_ipv6(&mut self, network: &Network, lease: &Lease) -> Option<Ipv6Addr> {
        let (key, declined) = (&lease.key, lease.ipv6?);
        let entry = network.vm_entry(&key.vm, &key.nic);
        let Some(ipv6) = &network.ipv6 else { return Some(declined) };
        if is_reserved(entry, declined, |entry| &entry.ipv6) {
            return Some(declined);
        }
        let other = self.ipv6.set_aside(key, declined, &ipv6.pool, "IPv6");
        Some(other.unwrap_or(declined))
    }

    fn insert(&mut self, lease: Lease) -> Result<(), String> {
        let key = &lease.key;
        let held = lease
            .ipv4
            .and_then(|address| self.ipv4.holder(&key.network, address))
            .or_else(|| lease.ipv6.and_then(|address| self.ipv6.holder(&key.network, address)));
        if let Some(holder) = held.filter(|holder| *holder != key) {
            return Err(format!(
                "lease of {} {} in network {} names an address that {} {} holds",
                key.vm, key.nic, key.network, holder.vm, holder.nic
            ));
        }
        self.replace(lease);
        Ok(())
    }

    /// Puts the lease in the place of what its key held before. The caller has made sure that its
    /// addresses are free or its own.
    fn replace(&mut self, lease: Lease) {
        if let Some(old) = self.leases.get(&lease.key) {
            self.ipv4.free(&lease.key, old.ipv4);
            self.ipv6.free(&lease.key, old.ipv6);
        }
        self.ipv4.hold(&lease.key, lease.ipv4);
        self.ipv6.hold(&lease.key, lease.ipv6);
        self.leases.insert(lease.key.clone(), lease);
    }

    fn choose_ipv4(
        &self,
        network: &Network,
        key: &LeaseKey,
        old: Option<&Lease>,
    ) -> (Option<Ipv4Addr>, Option<NoAddress>) {
        let held = old.and_then(|lease| lease.ipv4);
        let Some(ipv4) = &network.ipv4 else {
            // The family left the template: the address stays the VM's, should it come back.
            return (held, None);
        };
        let entry = network.vm_entry(&key.vm, &key.nic);
        let request = Request {
            family: "IPv4",
            pool: &ipv4.pool,
            reserved: entry.and_then(|entry| entry.ipv4.first().copied()),
            entry_names_nic: entry.is_some_and(|entry| entry.nic.is_some()),
            held: held.filter(|address| may_hold_ipv4(ipv4, *address)),
        };
        self.ipv4.choose(key, request)
    }

    fn choose_ipv6(
        &self,
        network: &Network,
        key: &LeaseKey,
        old: Option<&Lease>,
    ) -> (Option<Ipv6Addr>, Option<NoAddress>) {
        let held = old.and_then(|lease| lease.ipv6);
        let Some(ipv6) = &network.ipv6 else {
            return (held, None);
        };
        match ipv6.mode {
            AddressMode::Stateful => {}
            // The guest makes its own address; what it held by DHCPv6 stays the VM's.
            AddressMode::Stateless | AddressMode::Slaac => return (held, None),
        }
        let entry = network.vm_entry(&key.vm, &key.nic);
        let request = Request {
            family: "IPv6",
            pool: &ipv6.pool,
            reserved: entry.and_then(|entry| entry.ipv6.first().copied()),
            entry_names_nic: entry.is_some_and(|entry| entry.nic.is_some()),
            held: held.filter(|address| may_hold_ipv6(ipv6, *address)),
        };
        self.ipv6.choose(key, request)
    }
}

/// Who holds each address of one family, network by network.
#[derive(Debug)]
struct Holders<A> {
    networks: HashMap<NetworkName, Held<A>>,
}

#[derive(Debug)]
struct Held<A> {
    by_address: HashMap<A, LeaseKey>,
    /// Found in use by somebody else; passed over until the process ends.
    declined: HashSet<A>,
    /// How many of them each NIC has declined.
    declines: HashMap<LeaseKey, usize>,
}

/// What is known when an address is to be chosen for one NIC.
struct Request<'a, A> {
    family: &'static str,
    pool: &'a Pool<A>,
    reserved: Option<A>,
    entry_names_nic: bool,
    held: Option<A>,
}

impl<A: PoolAddress> Holders<A> {
    fn holder(&self, network: &NetworkName, address: A) -> Option<&LeaseKey> {
        self.networks.get(network)?.by_address.get(&address)
    }

    fn hold(&mut self, key: &LeaseKey, address: Option<A>) {
        if let Some(address) = address {
            let held = self.networks.entry(key.network.clone()).or_default();
            held.by_address.insert(address, key.clone());
        }
    }

    fn free(&mut self, key: &LeaseKey, address: Option<A>) {
        if let (Some(address), Some(held)) = (address, self.networks.get_mut(&key.network)) {
            // Another may have been found to hold it meanwhile.
            if held.by_address.get(&address) == Some(key) {
                held.by_address.remove(&address);
            }
        }
    }

    fn retain(&mut self, keep: impl Fn(&LeaseKey, &A) -> bool) {
        for held in self.networks.values_mut() {
            held.by_address.retain(|address, key| keep(key, address));
        }
    }

    /// Sets `declined` aside, which `key` holds, and returns another address for it; `None` if there
    /// is none, or the NIC has had its share.
    fn set_aside(
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
        let held = self.networks.entry(key.network.clone()).or_default();
        held.declined.insert(declined);
        let declines = held.declines.entry(key.clone()).or_default();
        *declines = declines.saturating_add(1);
        Some(other)
    }

    fn choose(&self, key: &LeaseKey, request: Request<'_, A>) -> (Option<A>, Option<NoAddress>) {
        if let Some(reserved) = request.reserved {
            match self.holder(&key.network, reserved) {
                None => return (Some(reserved), None),
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
        match self.draw(key, request.pool, request.family) {
            Some(address) => (Some(address), None),
            None => (None, Some(NoAddress::Exhausted(request.family))),
        }
    }

    /// Takes the first free address of a sequence that the key alone decides: so that even a table
    /// made anew gives most VMs the address that they had.
    fn draw(&self, key: &LeaseKey, pool: &Pool<A>, family: &str) -> Option<A> {
        let held = self.networks.get(&key.network);
        let is_free = |address: &A| {
            pool.contains(*address)
                && held.is_none_or(|held| {
                    !held.by_address.contains_key(address) && !held.declined.contains(address)
                })
        };
        let size = pool.size();
        let start = |attempt: u8| preference(key, family, attempt).checked_rem(size).unwrap_or(0);
        let by_hash =
            (0..HASHED_ATTEMPTS).filter_map(|attempt| pool.nth(start(attempt))).find(is_free);
        if by_hash.is_some() {
            return by_hash;
        }
        // A crowded range: walk it once around. What blocks an address is held, declined or never
        // given, so that many steps and one more meet a free one if there is any.
        let taken =
            held.map_or(0, |held| held.by_address.len().saturating_add(held.declined.len()));
        let steps = u128::try_from(taken.saturating_add(pool.never.len()).saturating_add(1))
            .unwrap_or(u128::MAX)
            .min(size);
        let first = start(0);
        (0..steps)
            .filter_map(|step| pool.nth(first.saturating_add(step).checked_rem(size)?))
            .find(is_free)
    }

    fn usage(&self, network: &NetworkName, pool: &Pool<A>) -> Usage {
        let never_inside = pool.never.iter().filter(|address| in_ranges(pool, **address)).count();
        let total = pool.size().saturating_sub(widen(never_inside));
        let Some(held) = self.networks.get(network) else {
            return Usage { leases: 0, free: narrow(total), total: narrow(total) };
        };
        let blocked = held.by_address.keys().chain(&held.declined).filter(|a| pool.contains(**a));
        let blocked: HashSet<&A> = blocked.collect();
        Usage {
            leases: narrow(widen(held.by_address.len())),
            free: narrow(total.saturating_sub(widen(blocked.len()))),
            total: narrow(total),
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
        Self { by_address: HashMap::new(), declined: HashSet::new(), declines: HashMap::new() }
    }
}

fn in_ranges<A: PoolAddress>(pool: &Pool<A>, address: A) -> bool {
    pool.ranges.iter().any(|range| range.first <= address && address <= range.last)
}

/// A held address outside today's ranges stays; one outside the subnet, or that the network itself
/// uses by now, cannot.
fn may_hold_ipv4(ipv4: &Ipv4Network, address: Ipv4Addr) -> bool {
    let subnet = ipv4.subnet;
    // RFC 3021: a /31 has no network and no broadcast address, nor has a /32.
    let is_edge =
        subnet.prefix_len() < 31 && (address == subnet.network() || address == subnet.broadcast());
    subnet.contains(&address)
        && !is_edge
        && Some(address) != ipv4.gateway
        && address != ipv4.server_id
}

fn may_hold_ipv6(ipv6: &Ipv6Network, address: Ipv6Addr) -> bool {
    // The subnet's zero address is the routers' anycast address (RFC 4291, section 2.6.1).
    ipv6.subnet.contains(&address) && address != ipv6.subnet.network()
}

fn is_reserved<A: PartialEq>(
    entry: Option<&VmEntry>,
    address: A,
    of: impl Fn(&VmEntry) -> &Vec<A>,
) -> bool {
    entry.is_some_and(|entry| of(entry).first() == Some(&address))
}

/// Returns a number that depends on the key, the family and the attempt alone, for ever: it is part
/// of the promise that a lost store gives most VMs their old address.
fn preference(key: &LeaseKey, family: &str, attempt: u8) -> u128 {
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
const HASHED_ATTEMPTS: u8 = 8;

/// How many addresses of one family a NIC may have set aside. More than a network in trouble needs;
/// few enough that a hostile guest costs its neighbours nothing.
const DECLINES_MAX: usize = 4;
