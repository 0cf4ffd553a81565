//! Addresses of VMs that nobody has seen for long, for newcomers that find the ranges full; and how
//! exactly that is known.

use std::collections::HashSet;
use std::time::Duration;

use super::supervisor::Supervisor;
use crate::clock;
use crate::config::Store;
use crate::lease::{Assignment, Family, LeaseChange, LeaseKey, NoAddress, Occasion, VmId};
use crate::network::Network;
use crate::time::Wall;

impl Supervisor {
    /// Finds or makes a NIC's lease. Where the ranges are full, the VM that was unseen for longest
    /// loses its own, if the network's `reclaim-after` allows it.
    pub(super) fn assign(&mut self, network: &Network, key: &LeaseKey) -> Assignment {
        let wall = clock::wall();
        let mut assignment = self.assign_now(network, key, wall);
        for family in [Family::Ipv4, Family::Ipv6] {
            let lack = match family {
                Family::Ipv4 => &assignment.no_ipv4,
                Family::Ipv6 => &assignment.no_ipv6,
            };
            let is_full = matches!(lack, Some(NoAddress::Exhausted(_)));
            if is_full && self.reclaim(network, family, wall) {
                let first = assignment.change;
                assignment = self.assign_now(network, key, wall);
                if assignment.change == LeaseChange::None {
                    assignment.change = first;
                }
            }
        }
        assignment
    }

    fn assign_now(&mut self, network: &Network, key: &LeaseKey, wall: Wall) -> Assignment {
        let occasion = Occasion { node: &self.config.node, wall };
        let assignment = self.table.assign(network, key, occasion);
        self.writes.note(key, assignment.change);
        if let Some(took) = &assignment.took {
            self.writes.note(took, LeaseChange::Addresses);
        }
        assignment
    }

    /// Takes one lease out whose VM is long unseen. It goes to the store with the newcomer's, in one
    /// batch: at no moment do both hold the address there.
    fn reclaim(&mut self, network: &Network, family: Family, wall: Wall) -> bool {
        // Before every source has spoken, nobody knows who is here.
        let Some(reclaim_after) = network.reclaim_after.filter(|_| self.is_ready()) else {
            return false;
        };
        // Another node may have heard the VM since it wrote that down.
        let before = wall.0.saturating_sub(reclaim_after.into()).saturating_sub(self.seen_lag());
        let before = Wall(before);
        let ports = self.claims.interfaces().filter_map(|interface| self.claims.port(interface));
        let here: HashSet<&VmId> = ports
            .filter_map(|port| port.identity.as_ref().ok())
            .map(|identity| &identity.vm)
            .collect();
        let unseen =
            self.table.longest_unseen(network, family, before, |key| here.contains(&key.vm));
        let Some(key) = unseen else { return false };
        self.table.remove(&key);
        self.writes.note(&key, LeaseChange::Addresses);
        tracing::warn!(
            vm = %key.vm, nic = %key.nic, network = %key.network,
            "the ranges are full: the addresses of this VM, long unseen, go to another"
        );
        true
    }
}

impl Supervisor {
    /// Returns how often "last seen" is written down, in seconds. A store that nodes share takes
    /// the writes of all of them.
    pub(super) fn seen_granularity(&self) -> u64 {
        match self.config.store {
            Store::Embedded { .. } | Store::Memory => SEEN_GRANULARITY,
            Store::Etcd { .. } => SEEN_GRANULARITY_SHARED,
        }
    }

    /// Returns for how many seconds another node may have heard a VM without a word in the store.
    pub(super) fn seen_lag(&self) -> u64 {
        match self.config.store {
            Store::Embedded { .. } | Store::Memory => 0,
            Store::Etcd { .. } => SEEN_GRANULARITY_SHARED.saturating_add(SEEN_GRANULARITY),
        }
    }
}

/// Tells whether a NIC lacks an address that another VM may lose by not being seen.
pub(super) fn may_be_given_later(network: &Network, assignment: &Assignment) -> bool {
    let lacks = [&assignment.no_ipv4, &assignment.no_ipv6];
    network.reclaim_after.is_some()
        && lacks.into_iter().any(|lack| matches!(lack, Some(NoAddress::Exhausted(_))))
}

/// How often a port without an address looks whether a VM was unseen for long enough by now.
pub(super) const RECLAIM_INTERVAL: Duration = Duration::from_secs(10);

/// How often "last seen" is written down, in seconds.
const SEEN_GRANULARITY: u64 = 60;

/// The same in a store that nodes share.
const SEEN_GRANULARITY_SHARED: u64 = 3_600;
