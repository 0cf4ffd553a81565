//! The lease table: who holds what, and what a newcomer is given.
//!
//! The table is the working copy; the store follows it. [`LeaseTable::assign`] says whether the
//! lease changed, and the caller serves it only after the store has it. No address is ever held by
//! two leases of one network: every change goes through `hold` and `free`.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use super::holders::{Holders, Request};
use super::prefix::PrefixHolders;
use super::slots::{Slot, Slots};
use super::{Holding, Lease, LeaseKey, NetworkName, Withheld};
use crate::network::{
    AddressMode, Delegation, Ipv4Network, Ipv6Network, Network, OnDecline, Pool, VmEntry,
};
use crate::time::Wall;

/// Every lease that this node knows.
#[derive(Debug, Clone, Default)]
pub struct LeaseTable {
    pub(super) leases: Slots,
    ipv4: Holders<Ipv4Addr>,
    ipv6: Holders<Ipv6Addr>,
    prefixes: PrefixHolders,
}

/// What a NIC was found to hold, or was given.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// The lease, as it stands in the table now.
    pub lease: Lease,
    /// What the store must be told.
    pub change: LeaseChange,
    /// What was held for whichever NIC of the VM asks first, if this one was it: that lease has lost
    /// it, and the store must be told of both at once.
    pub took: Option<LeaseKey>,
    /// Why the NIC has no IPv4 address, or not the reserved one.
    pub no_ipv4: Option<NoAddress>,
    /// Why the NIC has no IPv6 address, or not the reserved one.
    pub no_ipv6: Option<NoAddress>,
    /// Why the NIC has no prefix, or not the reserved one.
    pub no_prefix: Option<NoAddress>,
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
    /// Every prefix of the pool is held or withheld.
    #[error("all prefixes of the network's delegate pool are in use")]
    NoPrefixLeft,
    /// The reserved address or prefix is still held by another lease.
    #[error("{address} is reserved for this VM but held by {holder}; release it there")]
    Held {
        /// The reserved address or prefix.
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

/// How full a network is, in one family; for delegated prefixes read prefix for address.
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
        let mut table = Self { leases: Slots::load(leases), ..Self::default() };
        let mut refused = Vec::new();
        for slot in table.leases.all() {
            if let Some((key, reason)) = table.take(slot) {
                refused.push(reason);
                table.leases.remove(&key);
            }
        }
        table.ipv4.loaded();
        table.ipv6.loaded();
        (table, refused)
    }

    /// Keeps what a damaged row of the store names from every NIC but the row's own.
    /// [`Self::remove`] of that NIC's lease gives them up.
    pub fn withhold(&mut self, withheld: &Withheld) {
        let Withheld { network, owner, ipv4, ipv6, prefix } = withheld;
        self.ipv4.withhold(network, *ipv4, owner.as_ref());
        self.ipv6.withhold(network, *ipv6, owner.as_ref());
        self.prefixes.withhold(network, *prefix, owner.as_ref());
    }

    /// Returns every lease, in the order of network, VM and NIC.
    pub fn iter(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter()
    }

    /// Returns how many leases there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Tells whether there is no lease.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
    /// the hash of the key prefers. What is held for whichever NIC of the VM asks first is this one's
    /// from now on, as far as it lacks that.
    pub fn assign(
        &mut self,
        network: &Network,
        key: &LeaseKey,
        occasion: Occasion<'_>,
    ) -> Assignment {
        let took = self.take_for_any_nic(key, occasion);
        let assignment = self.assign_own(network, key, occasion);
        match took {
            Some(_) => Assignment { change: LeaseChange::Addresses, took, ..assignment },
            None => assignment,
        }
    }

    /// Gives a NIC what is held for whichever of its VM asks first, as far as it lacks that. Returns
    /// the key of the lease that loses it.
    fn take_for_any_nic(&mut self, key: &LeaseKey, occasion: Occasion<'_>) -> Option<LeaseKey> {
        let any = key.for_any_nic();
        let mut kept = self.get(&any).filter(|_| any != *key)?.clone();
        let own = self.get(key).cloned();
        let has = |holding: Holding| {
            own.as_ref().is_some_and(|own| Holding::of(own).any(|one| one.excludes(holding)))
        };
        let lacking: Vec<Holding> = Holding::of(&kept).filter(|holding| !has(*holding)).collect();
        if lacking.is_empty() {
            return None;
        }
        self.take_out(&any);
        for holding in &lacking {
            holding.take_from(&mut kept);
        }
        // Who has nothing lacks everything: then nothing is kept any longer.
        let node = occasion.node.to_owned();
        let mut lease = own.unwrap_or_else(|| Lease { key: key.clone(), node, ..kept.clone() });
        for holding in lacking {
            holding.put_into(&mut lease);
        }
        if Holding::of(&kept).next().is_some() {
            self.replace(kept);
        }
        self.replace(lease);
        Some(any)
    }

    /// As [`Self::assign`], with what is the NIC's own.
    fn assign_own(
        &mut self,
        network: &Network,
        key: &LeaseKey,
        occasion: Occasion<'_>,
    ) -> Assignment {
        let old = self.leases.get(key).cloned();
        let (ipv4, no_ipv4) = self.choose_ipv4(network, key, old.as_ref());
        let (ipv6, no_ipv6) = self.choose_ipv6(network, key, old.as_ref());
        let held_prefix = old.as_ref().and_then(|lease| lease.prefix);
        let (prefix, no_prefix) = self.prefixes.choose(network, key, held_prefix);
        let hostname =
            network.hostname_of(&key.vm, &key.nic).map(|hostname| hostname.as_str().to_owned());
        let lease = Lease {
            key: key.clone(),
            ipv4,
            ipv6,
            prefix,
            hostname,
            created: old.as_ref().map_or(occasion.wall, |lease| lease.created),
            // Where the VM was heard last: a port that waits for it does not say that it came.
            node: old.as_ref().map_or_else(|| occasion.node.to_owned(), |lease| lease.node.clone()),
            arrived: old.as_ref().and_then(|lease| lease.arrived),
            last_seen: old.as_ref().and_then(|lease| lease.last_seen),
            conflict: old.as_ref().is_some_and(|lease| lease.conflict),
        };
        let change = match &old {
            // A NIC that holds nothing has no lease: the row would promise what is not there.
            None if ipv4.is_none() && ipv6.is_none() && prefix.is_none() => LeaseChange::None,
            None => LeaseChange::Addresses,
            Some(old) if (old.ipv4, old.ipv6, old.prefix) != (ipv4, ipv6, prefix) => {
                LeaseChange::Addresses
            }
            Some(old) if *old != lease => LeaseChange::Details,
            Some(_) => LeaseChange::None,
        };
        match change {
            LeaseChange::None => {}
            LeaseChange::Details | LeaseChange::Addresses => self.replace(lease.clone()),
        }
        Assignment { lease, change, took: None, no_ipv4, no_ipv6, no_prefix }
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
        Some(self.assign_own(network, key, occasion).lease)
    }

    /// Takes a lease out; what it holds is free, and what a damaged row keeps for it.
    pub fn remove(&mut self, key: &LeaseKey) -> Option<Lease> {
        self.ipv4.give_up(key);
        self.ipv6.give_up(key);
        self.prefixes.give_up(key);
        self.take_out(key)
    }

    /// Takes a lease out; its addresses are free.
    pub(super) fn take_out(&mut self, key: &LeaseKey) -> Option<Lease> {
        let lease = self.leases.remove(key)?;
        self.ipv4.free(&key.network, lease.ipv4);
        self.ipv6.free(&key.network, lease.ipv6);
        self.prefixes.free(&key.network, lease.prefix);
        Some(lease)
    }

    /// Takes a lease as it is elsewhere: in a store that nodes share, which is right, but for a guest
    /// that was heard here since. Returns the other leases that lose an address by it.
    pub fn adopt(&mut self, mut lease: Lease) -> BTreeSet<LeaseKey> {
        let heard = self.get(&lease.key).and_then(|old| old.last_seen);
        lease.last_seen = lease.last_seen.max(heard);
        let addresses = [lease.ipv4.map(IpAddr::V4), lease.ipv6.map(IpAddr::V6)];
        let losers =
            addresses.into_iter().flatten().filter_map(|address| self.occupy(&lease.key, address));
        let mut losers: BTreeSet<LeaseKey> = losers.collect();
        if let Some(prefix) = lease.prefix {
            losers.extend(self.occupy_prefix(&lease.key, prefix));
        }
        self.replace(lease);
        losers
    }

    /// Notes that a NIC, of another node perhaps, holds an address. Returns the lease that loses it
    /// by that.
    pub fn occupy(&mut self, holder: &LeaseKey, address: IpAddr) -> Option<LeaseKey> {
        let before = self.holder(&holder.network, address).cloned();
        if before.as_ref() == Some(holder) {
            return None;
        }
        if let Some(mut lease) = before.as_ref().and_then(|key| self.get(key)).cloned() {
            match address {
                IpAddr::V4(_) => lease.ipv4 = None,
                IpAddr::V6(_) => lease.ipv6 = None,
            }
            self.replace(lease);
        }
        match address {
            IpAddr::V4(address) => self.ipv4.occupy(holder, address),
            IpAddr::V6(address) => self.ipv6.occupy(holder, address),
        }
        before
    }

    /// As [`Self::occupy`], for a delegated prefix.
    pub fn occupy_prefix(&mut self, holder: &LeaseKey, prefix: Ipv6Net) -> Option<LeaseKey> {
        let before = self.prefixes.other_holder(holder, prefix).cloned();
        if let Some(mut lease) = before.as_ref().and_then(|key| self.get(key)).cloned() {
            lease.prefix = None;
            self.replace(lease);
        }
        self.prefixes.occupy(holder, prefix);
        before
    }

    /// Forgets what [`Self::occupy`] and [`Self::occupy_prefix`] noted.
    pub fn forget_occupied(&mut self) {
        for (holder, prefix) in self.prefixes.take_occupied() {
            // Since then it may have become a lease of this table.
            if self.get(&holder).is_none_or(|lease| lease.prefix != Some(prefix)) {
                self.prefixes.free(&holder.network, Some(prefix));
            }
        }
        self.ipv4.forget_occupied();
        self.ipv6.forget_occupied();
    }

    /// Returns who holds an address.
    #[must_use]
    pub fn holder(&self, network: &NetworkName, address: IpAddr) -> Option<&LeaseKey> {
        let slot = match address {
            IpAddr::V4(address) => self.ipv4.holder(network, address),
            IpAddr::V6(address) => self.ipv6.holder(network, address),
        };
        Some(&self.leases.lease(slot?)?.key)
    }

    /// Returns whose lease other than `key`'s has an address, or a part of a prefix.
    #[must_use]
    pub fn other_holder(&self, key: &LeaseKey, holding: Holding) -> Option<&LeaseKey> {
        match holding {
            Holding::Address(address) => {
                self.holder(&key.network, address).filter(|holder| *holder != key)
            }
            Holding::Prefix(prefix) => self.prefixes.other_holder(key, prefix),
        }
    }

    /// Returns the NICs of the key's VM that hold something on its network; not what is held for
    /// whichever asks first.
    pub(super) fn nics_of<'a>(&'a self, key: &'a LeaseKey) -> impl Iterator<Item = &'a LeaseKey> {
        self.leases.of_vm(key).filter(|key| !key.nic.is_any())
    }

    /// Returns whose lease has exactly this prefix.
    pub(super) fn prefix_holder(
        &self,
        network: &NetworkName,
        prefix: Ipv6Net,
    ) -> Option<&LeaseKey> {
        let holder = self.prefixes.holder(network, prefix)?;
        self.get(holder).filter(|lease| lease.prefix == Some(prefix)).map(|lease| &lease.key)
    }

    /// Names the VM for which a damaged row keeps what is wanted, if that is not the key's own.
    pub(super) fn withheld_from(&self, key: &LeaseKey, holding: Holding) -> Option<String> {
        match holding {
            Holding::Address(IpAddr::V4(address)) => self.ipv4.withheld_from(key, address),
            Holding::Address(IpAddr::V6(address)) => self.ipv6.withheld_from(key, address),
            Holding::Prefix(prefix) => self.prefixes.withheld_from(key, prefix),
        }
    }

    /// Counts one network's prefixes.
    #[must_use]
    pub fn prefix_usage(&self, network: &NetworkName, delegation: &Delegation) -> Usage {
        let holding = |lease: &&Lease| lease.key.network == *network && lease.prefix.is_some();
        let leases = u64::try_from(self.iter().filter(holding).count()).unwrap_or(u64::MAX);
        Usage { leases, ..self.prefixes.usage(network, delegation) }
    }

    /// Counts one network's leases whose address a guest declined.
    #[must_use]
    pub fn conflicts(&self, network: &NetworkName) -> u64 {
        self.leases.conflicts(network)
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

    /// Notes the addresses of a lease that was loaded, or returns why that cannot be.
    fn take(&mut self, slot: Slot) -> Option<(LeaseKey, String)> {
        let Lease { key, ipv4, ipv6, prefix, .. } = self.leases.lease(slot)?;
        let held = ipv4
            .and_then(|address| self.ipv4.holder(&key.network, address))
            .or_else(|| ipv6.and_then(|address| self.ipv6.holder(&key.network, address)));
        let holder = held.and_then(|slot| self.leases.lease(slot)).map(|lease| &lease.key);
        if let Some(holder) = holder.or_else(|| self.prefixes.other_holder(key, (*prefix)?)) {
            let reason = format!(
                "lease of {} {} in network {} names an address or prefix that {} {} holds",
                key.vm, key.nic, key.network, holder.vm, holder.nic
            );
            return Some((key.clone(), reason));
        }
        self.ipv4.hold_loaded(&key.network, *ipv4, slot);
        self.ipv6.hold_loaded(&key.network, *ipv6, slot);
        self.prefixes.hold(key, *prefix);
        None
    }

    /// Puts the lease in the place of what its key held before. The caller has made sure that its
    /// addresses are free or its own.
    pub(super) fn replace(&mut self, lease: Lease) {
        let network = lease.key.network.clone();
        let (ipv4, ipv6) = (lease.ipv4, lease.ipv6);
        if let Some(old) = self.leases.get(&lease.key) {
            self.ipv4.free(&network, old.ipv4);
            self.ipv6.free(&network, old.ipv6);
            self.prefixes.free(&network, old.prefix);
        }
        self.prefixes.hold(&lease.key, lease.prefix);
        let slot = self.leases.put(lease);
        self.ipv4.hold(&network, ipv4, slot);
        self.ipv6.hold(&network, ipv6, slot);
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
        self.ipv4.choose(&self.leases, key, request)
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
        self.ipv6.choose(&self.leases, key, request)
    }
}

/// A held address outside today's ranges stays; one outside the subnet, or that the network itself
/// uses by now, cannot.
pub(super) fn may_hold_ipv4(ipv4: &Ipv4Network, address: Ipv4Addr) -> bool {
    let subnet = ipv4.subnet;
    // RFC 3021: a /31 has no network and no broadcast address, nor has a /32.
    let is_edge =
        subnet.prefix_len() < 31 && (address == subnet.network() || address == subnet.broadcast());
    subnet.contains(&address)
        && !is_edge
        && Some(address) != ipv4.gateway
        && address != ipv4.server_id
}

pub(super) fn may_hold_ipv6(ipv6: &Ipv6Network, address: Ipv6Addr) -> bool {
    // The subnet's zero address is the routers' anycast address (RFC 4291, section 2.6.1).
    ipv6.subnet.contains(&address) && address != ipv6.subnet.network()
}

pub(super) fn is_reserved<A: PartialEq>(
    entry: Option<&VmEntry>,
    address: A,
    of: impl Fn(&VmEntry) -> &Vec<A>,
) -> bool {
    entry.is_some_and(|entry| of(entry).first() == Some(&address))
}
