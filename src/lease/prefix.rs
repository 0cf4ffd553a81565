//! Who holds which delegated prefix, and which one a newcomer is given.
//!
//! A prefix belongs to the VM as its address does. No two leases of one network hold prefixes that
//! have an address in common, whatever their lengths were when they were given.

use std::collections::{BTreeMap, HashMap};
use std::iter::successors;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::holders::{HASHED_ATTEMPTS, preference};
use super::table::NoAddress;
use super::{LeaseKey, NetworkName, Usage};
use crate::network::{Delegation, Network};

/// The holder of every prefix, network by network.
#[derive(Debug, Clone, Default)]
pub(super) struct PrefixHolders {
    /// By the prefix's last address: what overlaps a prefix stands side by side.
    networks: HashMap<NetworkName, BTreeMap<Ipv6Addr, (Ipv6Net, LeaseKey)>>,
    /// Which of them NICs of other nodes hold.
    elsewhere: Vec<(LeaseKey, Ipv6Net)>,
    /// Named by rows of the store that are damaged, with the NIC that each row names: kept free of
    /// all others. They may overlap each other.
    withheld: HashMap<NetworkName, BTreeMap<Ipv6Net, Option<LeaseKey>>>,
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

    /// Keeps a prefix from all but `owner`, whom a damaged row names.
    pub(super) fn withhold(
        &mut self,
        network: &NetworkName,
        prefix: Option<Ipv6Net>,
        owner: Option<&LeaseKey>,
    ) {
        if let Some(prefix) = prefix {
            let withheld = self.withheld.entry(network.clone()).or_default();
            withheld.insert(prefix.trunc(), owner.cloned());
        }
    }

    /// Gives up what is withheld for one NIC.
    pub(super) fn give_up(&mut self, key: &LeaseKey) {
        if let Some(withheld) = self.withheld.get_mut(&key.network) {
            withheld.retain(|_, owner| owner.as_ref() != Some(key));
        }
    }

    /// Names the NIC for which a damaged row keeps a part of `prefix`, if that is another than
    /// `key`.
    pub(super) fn withheld_from(&self, key: &LeaseKey, prefix: Ipv6Net) -> Option<String> {
        let (_, owner) = self.withheld_overlapping(key, prefix)?;
        Some(match owner {
            Some(owner) => format!("{} {} by a damaged row", owner.vm, owner.nic),
            None => "a damaged row".to_owned(),
        })
    }

    /// Counts the prefixes of a pool; of leases it counts none.
    pub(super) fn usage(&self, network: &NetworkName, delegation: &Delegation) -> Usage {
        let never = || delegation.own.iter().chain(&delegation.reserved).copied();
        let held = self.networks.get(network).into_iter().flat_map(BTreeMap::values);
        let withheld = self.withheld.get(network).into_iter().flat_map(BTreeMap::keys);
        let taken = held.map(|(prefix, _)| *prefix).chain(withheld.copied());
        let total = delegation.size().saturating_sub(delegation.count_touched(never()));
        let touched = delegation.count_touched(never().chain(taken));
        let free = delegation.size().saturating_sub(touched);
        let narrow = |count: u128| u64::try_from(count).unwrap_or(u64::MAX);
        Usage { leases: 0, free: narrow(free), total: narrow(total) }
    }

    /// Returns who holds exactly this prefix.
    pub(super) fn holder(&self, network: &NetworkName, prefix: Ipv6Net) -> Option<&LeaseKey> {
        let (held, holder) = self.networks.get(network)?.get(&prefix.broadcast())?;
        (*held == prefix).then_some(holder)
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
                None => match self.withheld_from(key, reserved) {
                    None => return (Some(reserved), None),
                    Some(holder) => {
                        let address = reserved.to_string();
                        return (held, Some(NoAddress::Held { address, holder }));
                    }
                },
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
            let kept = || self.withheld_overlapping(key, prefix).map(|(kept, _)| *kept);
            held.or_else(|| delegation.withheld_by(prefix)).or_else(kept)
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

    /// Returns what a damaged row keeps of `prefix` for another NIC than `key`.
    fn withheld_overlapping(
        &self,
        key: &LeaseKey,
        prefix: Ipv6Net,
    ) -> Option<(&Ipv6Net, &Option<LeaseKey>)> {
        let withheld = self.withheld.get(&key.network).filter(|withheld| !withheld.is_empty())?;
        // Two prefixes that overlap are one inside the other.
        let around = successors(prefix.supernet(), Ipv6Net::supernet);
        let around = around.filter_map(|wider| withheld.get_key_value(&wider));
        // Of those that begin where it begins the widest come first.
        let first = Ipv6Net::new(prefix.network(), 0).unwrap_or(prefix);
        let inside = withheld
            .range(first..)
            .take_while(|(kept, _)| kept.network() <= prefix.broadcast())
            .filter(|(kept, _)| prefix.contains(*kept));
        around.chain(inside).find(|(_, owner)| owner.as_ref() != Some(key))
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
    use crate::lease::{LeaseChange, LeaseTable, Occasion, Withheld};
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
    fn what_a_damaged_row_names_is_kept_for_its_own_nic() {
        let (mut network, mut table) = (network(62), LeaseTable::default());
        network.ipv6.as_mut().unwrap().delegation.as_mut().unwrap().reserved.clear();
        network.vms = VmEntries::default();
        let withhold = |table: &mut LeaseTable, owner: Option<LeaseKey>, prefix: &str| {
            let (network, prefix) = ("blue".parse().unwrap(), Some(net(prefix)));
            table.withhold(&Withheld { network, owner, ipv4: None, ipv6: None, prefix });
        };
        let free = |table: &LeaseTable| {
            let delegation = network.ipv6.as_ref().unwrap().delegation.as_ref().unwrap();
            table.prefix_usage(&network.name, delegation).free
        };
        // Of the four prefixes the subnet takes one. A row names one, another row a part of the
        // next, a third one both and more.
        assert_eq!(free(&table), 3);
        withhold(&mut table, Some(key(1)), "2001:db8:0:4::/62");
        withhold(&mut table, None, "2001:db8:0:9::/64");
        assert_eq!(free(&table), 1);
        withhold(&mut table, Some(key(2)), "2001:db8:0:8::/61");
        assert_eq!(free(&table), 0);
        let given = table.assign(&network, &key(3), OCCASION);
        assert_eq!((given.lease.prefix, given.no_prefix), (None, Some(NoAddress::NoPrefixLeft)));
        let own = table.assign(&network, &key(1), OCCASION).lease.prefix;
        assert_eq!(own, Some(net("2001:db8:0:4::/62")));
        // Released, a row's prefix is anybody's; what another row names as well stays kept.
        table.remove(&key(1));
        table.remove(&key(2));
        let mut given: Vec<_> =
            (4..7).map(|vm| table.assign(&network, &key(vm), OCCASION).lease.prefix).collect();
        given.sort();
        assert_eq!(given, [None, Some(net("2001:db8:0:4::/62")), Some(net("2001:db8:0:c::/62"))]);
    }

    #[test]
    fn a_reserved_prefix_that_a_damaged_row_keeps_for_another_is_not_given() {
        let (network, mut table) = (network(64), LeaseTable::default());
        table.withhold(&Withheld {
            network: "blue".parse().unwrap(),
            owner: Some(key(1)),
            ipv4: None,
            ipv6: None,
            prefix: Some(net("2001:db8:0:f::/64")),
        });
        let refused = table.assign(&network, &key(3), OCCASION);
        assert_eq!(
            refused.no_prefix.unwrap().to_string(),
            "2001:db8:0:e::/63 is reserved for this VM but held by demo/vm-1 default by a damaged \
             row; release it there"
        );
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
