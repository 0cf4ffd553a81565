//! Leases outside of the ranges: ranges have moved, and VMs have not.

use std::net::IpAddr;
use std::sync::Arc;

use super::holders::in_ranges;
use super::table::is_reserved;
use super::{Lease, LeaseTable};
use crate::network::Network;

impl LeaseTable {
    /// Returns the leases of a network that hold an address outside its ranges which is not reserved
    /// for them, and those addresses: each is the VM's until it is released.
    pub fn outside_ranges<'a>(
        &'a self,
        network: &'a Network,
    ) -> impl Iterator<Item = (&'a Lease, Vec<IpAddr>)> {
        let of_network = self.iter().filter(|lease| lease.key.network == network.name);
        of_network.filter_map(|lease| {
            let entry = network.vm_entry(&lease.key.vm, &lease.key.nic);
            let ipv4 = network.ipv4.as_ref().zip(lease.ipv4).filter(|(ipv4, address)| {
                !in_ranges(&ipv4.pool, *address)
                    && !is_reserved(entry, *address, |entry| &entry.ipv4)
            });
            let ipv6 = network.ipv6.as_ref().zip(lease.ipv6).filter(|(ipv6, address)| {
                !in_ranges(&ipv6.pool, *address)
                    && !is_reserved(entry, *address, |entry| &entry.ipv6)
            });
            let ipv4 = ipv4.map(|(_, address)| IpAddr::from(address));
            let ipv6 = ipv6.map(|(_, address)| IpAddr::from(address));
            let outside: Vec<IpAddr> = ipv4.into_iter().chain(ipv6).collect();
            (!outside.is_empty()).then_some((lease, outside))
        })
    }

    /// Counts the leases outside of the ranges, a line for each network that has such.
    #[must_use]
    pub fn count_outside_ranges(&self, networks: &[Arc<Network>]) -> Vec<String> {
        let line = |network: &Arc<Network>| match self.outside_ranges(network).count() {
            0 => None,
            outside => Some(format!(
                "network {}: leases outside its ranges: {outside}; each VM keeps its address until \
                 it is released",
                network.name
            )),
        };
        networks.iter().filter_map(line).collect()
    }

    /// Names the leases outside of the ranges, a line for each; of one network no more than `most`,
    /// and then how many there are beside.
    #[must_use]
    pub fn name_outside_ranges(&self, networks: &[Arc<Network>], most: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for network in networks {
            let mut outside = self.outside_ranges(network);
            for (lease, addresses) in outside.by_ref().take(most) {
                let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                lines.push(format!(
                    "network {}: {} {} holds {}, outside the ranges; it keeps that until it is \
                     released",
                    network.name,
                    lease.key.vm,
                    lease.key.nic,
                    addresses.join(" and ")
                ));
            }
            let further = outside.count();
            if further > 0 {
                lines.push(format!(
                    "network {}: further leases outside the ranges: {further}",
                    network.name
                ));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Edit, LeaseKey, Occasion};
    use crate::network::PoolRange;
    use crate::network::tests::{entry, network};
    use crate::time::Wall;

    #[test]
    fn what_lies_in_the_ranges_or_is_reserved_is_not_named_and_the_rest_is_to_a_bound() {
        let mut blue = network("blue");
        let range =
            PoolRange { first: "10.0.0.50".parse().unwrap(), last: "10.0.0.59".parse().unwrap() };
        blue.ipv4.as_mut().unwrap().pool.ranges = vec![range];
        let mut reserved = entry("reserved", None);
        reserved.ipv4 = vec!["10.0.0.9".parse().unwrap()];
        blue.vms = vec![reserved].into();
        let networks = [Arc::new(blue), Arc::new(network("green"))];
        let mut table = LeaseTable::default();
        let holders = [("reserved", "10.0.0.9"), ("inside", "10.0.0.50"), ("a", "10.0.0.5")];
        let further = [("b", "10.0.0.6"), ("c", "10.0.0.7")];
        let edits: Vec<Edit> = holders
            .into_iter()
            .chain(further)
            .map(|(vm, address)| Edit::Hold {
                key: LeaseKey {
                    network: "blue".parse().unwrap(),
                    vm: vm.parse().unwrap(),
                    nic: "eth0".parse().unwrap(),
                },
                holdings: vec![address.parse().unwrap()],
                hostname: None,
            })
            .collect();
        table.edit(&networks, &edits, Occasion { node: "node-a", wall: Wall(1) }).unwrap();
        assert_eq!(
            table.name_outside_ranges(&networks, 2),
            [
                "network blue: a eth0 holds 10.0.0.5, outside the ranges; it keeps that until it \
                 is released",
                "network blue: b eth0 holds 10.0.0.6, outside the ranges; it keeps that until it \
                 is released",
                "network blue: further leases outside the ranges: 1",
            ]
        );
        assert_eq!(
            table.count_outside_ranges(&networks),
            ["network blue: leases outside its ranges: 3; each VM keeps its address until it is \
                 released"]
        );
    }
}
