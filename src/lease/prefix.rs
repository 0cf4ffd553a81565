//! Who holds which delegated prefix, and which one a newcomer is given.
//!
//! A prefix belongs to the VM as its address does. No two leases of one network hold prefixes that
//! have an address in common, whatever their lengths were when they were given.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::holders::{HASHED_ATTEMPTS, preference};
use super::table::NoAddress;
use super::{LeaseKey, NetworkName};
use crate::network::{Delegation, Network};

/// The holder of every prefix, network by network.
#[derive(Debug, Clone, Default)]
pub(super) struct PrefixHolders {
    /// By the prefix's last address: what overlaps a prefix stands side by side.
    networks: HashMap<NetworkName, BTreeMap<Ipv6Addr, (Ipv6Net, LeaseKey)>>,
    /// Which of them NICs of other nodes hold.
    elsewhere: Vec<(LeaseKey, Ipv6Net)>,
}

impl PrefixHolders {
    pub(super) fn hold(&mut self, key: &LeaseKey, prefix: Option<Ipv6Net>) {
        if let Some(prefix) = prefix {
            let held = self.networks.entry(key.network.clone()).or_default();
            held.insert(prefix.broadcast(), (prefix, key.clone()));
        }
    }

    pub(super) fn free(&mut self, network: &NetworkName, prefix: Option<Ipv6Net>) {
        if let (Some(prefix), Some(held)) = (prefix, self.networks.get_mut(network)) {
            held.remove(&prefix.broadcast());
        }
    }

    /// Notes that a NIC of another node holds a prefix.
    pub(super) fn occupy(&mut self, holder: &LeaseKey, prefix: Ipv6Net) {
        self.hold(holder, Some(prefix));
        self.elsewhere.push((holder.clone(), prefix));
    }

    /// Returns what [`Self::occupy`] noted, and forgets that it did.
    pub(super) fn take_occupied(&mut self) -> Vec<(LeaseKey, Ipv6Net)> {
        std::mem::take(&mut self.elsewhere)
    }

    /// Returns a lease other than `key`'s that holds a part of `prefix`.
    pub(super) fn other_holder(&self, key: &LeaseKey, prefix: Ipv6Net) -> Option<&LeaseKey> {
        self.overlapping(&key.network, prefix).map(|(_, holder)| holder).find(|other| *other != key)
    }

    /// Chooses the prefix of one NIC that holds `held`: its reservation, else what it holds, else
    /// one of the pool. Without `delegate` it stays the VM's, should that come back.
    pub(super) fn choose(
        &self,
        network: &Network,
        key: &LeaseKey,
        held: Option<Ipv6Net>,
    ) -> (Option<Ipv6Net>, Option<NoAddress>) {
        let Some(delegation) = network.ipv6.as_ref().and_then(|ipv6| ipv6.delegation.as_ref())
        else {
            return (held, None);
        };
        let held = held.filter(|prefix| delegation.may_hold(*prefix));
        let entry = network.vm_entry(&key.vm, &key.nic);
        if let Some((entry, reserved)) = entry.and_then(|entry| Some((entry, entry.prefix?))) {
            match self.other_holder(key, reserved) {
                None => return (Some(reserved), None),
                // An entry without `nic` belongs to the first NIC that leased it.
                Some(holder) if holder.vm == key.vm && entry.nic.is_none() => {}
                Some(holder) => {
                    let reason = NoAddress::Held {
                        address: reserved.to_string(),
                        holder: format!("{} {}", holder.vm, holder.nic),
                    };
                    return (held, Some(reason));
                }
            }
        }
        match held.or_else(|| self.draw(key, delegation)) {
            Some(prefix) => (Some(prefix), None),
            None => (None, Some(NoAddress::NoPrefixLeft)),
        }
    }

    /// Takes the first free prefix of a sequence that the key alone decides, as addresses are taken.
    fn draw(&self, key: &LeaseKey, delegation: &Delegation) -> Option<Ipv6Net> {
        let size = delegation.size();
        let start = |attempt: u8| preference(key, "prefix", attempt).checked_rem(size).unwrap_or(0);
        let blocking = |prefix: Ipv6Net| {
            let held = self.overlapping(&key.network, prefix).map(|(taken, _)| *taken).next();
            held.or_else(|| delegation.withheld_by(prefix))
        };
        let by_hash = (0..HASHED_ATTEMPTS)
            .filter_map(|attempt| delegation.nth(start(attempt)))
            .find(|prefix| blocking(*prefix).is_none());
        // A crowded pool: walk it once around, past each prefix that is in the way.
        let first = start(0);
        let walk = |mut index: u128, end: u128| {
            while index < end {
                let prefix = delegation.nth(index)?;
                match blocking(prefix) {
                    None => return Some(prefix),
                    Some(taken) => index = delegation.index_behind(taken),
                }
            }
            None
        };
        by_hash.or_else(|| walk(first, size)).or_else(|| walk(0, first))
    }

    fn overlapping(
        &self,
        network: &NetworkName,
        prefix: Ipv6Net,
    ) -> impl Iterator<Item = &(Ipv6Net, LeaseKey)> {
        let held = self.networks.get(network).into_iter();
        held.flat_map(move |held| held.range(prefix.network()..).map(|(_, entry)| entry))
            .take_while(move |(taken, _)| taken.network() <= prefix.broadcast())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::lease::{LeaseChange, LeaseTable, Occasion};
    use crate::network::tests::{entry, ipv6};
    use crate::network::{VmEntries, VmEntry, overlap};
    use crate::time::Wall;

    const OCCASION: Occasion<'static> = Occasion { node: "node-a", wall: Wall(1_000) };

    fn net(text: &str) -> Ipv6Net {
        text.parse().unwrap()
    }

    fn key(vm: u8) -> LeaseKey {
        LeaseKey {
            network: "blue".parse().unwrap(),
            vm: format!("demo/vm-{vm}").parse().unwrap(),
            nic: "default".parse().unwrap(),
        }
    }

    /// 16 prefixes, of which the subnet takes one and a reservation of VM 3 another two.
    fn network(length: u8) -> Network {
        let mut network = crate::network::tests::network("blue");
        let delegation = Delegation {
            pool: net("2001:db8::/60"),
            length,
            own: vec![net("2001:db8::/64")],
            reserved: vec![net("2001:db8:0:e::/63")],
        };
        network.ipv6 = Some(ipv6(Some(delegation)));
        network.vms =
            vec![VmEntry { prefix: Some(net("2001:db8:0:e::/63")), ..entry("demo/vm-3", None) }]
                .into();
        network
    }

    #[test]
    fn every_prefix_of_a_pool_can_be_given_and_then_it_is_exhausted() {
        let (network, mut table) = (network(64), LeaseTable::default());
        let mut given = BTreeSet::new();
        for vm in 10..23 {
            given.insert(table.assign(&network, &key(vm), OCCASION).lease.prefix.unwrap());
        }
        let expected: BTreeSet<Ipv6Net> =
            (1..14).map(|number| net(&format!("2001:db8:0:{number:x}::/64"))).collect();
        assert_eq!(given, expected);
        let refused = table.assign(&network, &key(23), OCCASION);
        assert_eq!(
            (refused.lease.prefix, refused.no_prefix),
            (None, Some(NoAddress::NoPrefixLeft))
        );
        let reserved = table.assign(&network, &key(3), OCCASION);
        assert_eq!(reserved.lease.prefix, Some(net("2001:db8:0:e::/63")));
        assert_eq!(reserved.change, LeaseChange::Addresses);
    }

    #[test]
    fn a_pool_whose_larger_part_is_the_networks_own_is_walked_in_a_few_steps() {
        let mut network = network(96);
        let delegation = network.ipv6.as_mut().unwrap().delegation.as_mut().unwrap();
        // 2^36 prefixes of which the last 2^32 may be given.
        delegation.own = (0..15).map(|n| net(&format!("2001:db8:0:{n:x}::/64"))).collect();
        delegation.reserved.clear();
        network.vms = VmEntries::default();
        let mut table = LeaseTable::default();
        for vm in 0..100 {
            let prefix = table.assign(&network, &key(vm), OCCASION).lease.prefix.unwrap();
            assert!(net("2001:db8:0:f::/64").contains(&prefix));
        }
    }

    #[test]
    fn a_prefix_stays_while_delegate_is_away_and_goes_with_its_length() {
        let (mut network, mut table) = (network(64), LeaseTable::default());
        let first = table.assign(&network, &key(1), OCCASION).lease.prefix;
        let delegation = network.ipv6.as_mut().unwrap().delegation.take();
        let without = table.assign(&network, &key(1), OCCASION);
        assert_eq!((without.lease.prefix, without.change), (first, LeaseChange::None));
        assert_eq!(network.parameters(&without.lease, [0; 18]).ipv6.unwrap().delegated, None);
        network.ipv6.as_mut().unwrap().delegation =
            delegation.map(|delegation| Delegation { length: 62, ..delegation });
        let other = table.assign(&network, &key(1), OCCASION);
        assert_eq!(other.change, LeaseChange::Addresses);
        assert_eq!(other.lease.prefix.map(|prefix| prefix.prefix_len()), Some(62));
    }

    #[test]
    fn a_reserved_prefix_that_another_vm_holds_stays_with_it() {
        let (network, mut table) = (network(64), LeaseTable::default());
        let mut holder = table.assign(&network, &key(1), OCCASION).lease;
        holder.prefix = Some(net("2001:db8:0:f::/64"));
        (table, _) = LeaseTable::load(vec![holder]);
        let refused = table.assign(&network, &key(3), OCCASION);
        assert_eq!(
            refused.no_prefix.unwrap().to_string(),
            "2001:db8:0:e::/63 is reserved for this VM but held by demo/vm-1 default; release it \
             there"
        );
    }

    proptest! {
        #[test]
        fn no_two_leases_overlap_whatever_length_the_template_has(
            steps in prop::collection::vec((0_u8..12, 61_u8..67, any::<bool>()), 1..100),
        ) {
            let mut table = LeaseTable::default();
            for (vm, length, remove) in steps {
                if remove {
                    table.remove(&key(vm));
                } else {
                    table.assign(&network(length), &key(vm), OCCASION);
                }
                let held: Vec<Ipv6Net> = table.iter().filter_map(|lease| lease.prefix).collect();
                for (place, one) in held.iter().enumerate() {
                    let twice = held.iter().take(place).find(|other| overlap(**other, *one));
                    prop_assert!(twice.is_none(), "{one} and {twice:?}");
                }
                let (_, refused) = LeaseTable::load(table.iter().cloned().collect());
                prop_assert!(refused.is_empty(), "{refused:?}");
            }
        }
    }
}
