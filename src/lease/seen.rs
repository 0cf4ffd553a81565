//! When guests were heard, and where.

use sha2::{Digest, Sha256};

use super::table::{Family, LeaseChange, LeaseTable, Occasion};
use super::{Lease, LeaseKey};
use crate::network::Network;
use crate::time::Wall;

impl LeaseTable {
    /// Returns whose lease may go when a newcomer finds the ranges of `family` full: of the leases
    /// that hold an address of them and were last heard before `before`, the one unseen for
    /// longest. Never one that `is_here` knows to have a port.
    pub fn longest_unseen(
        &self,
        network: &Network,
        family: Family,
        before: Wall,
        is_here: impl Fn(&LeaseKey) -> bool,
    ) -> Option<LeaseKey> {
        let would_help = |lease: &Lease| match family {
            Family::Ipv4 => network
                .ipv4
                .as_ref()
                .zip(lease.ipv4)
                .is_some_and(|(ipv4, address)| ipv4.pool.contains(address)),
            Family::Ipv6 => network
                .ipv6
                .as_ref()
                .zip(lease.ipv6)
                .is_some_and(|(ipv6, address)| ipv6.pool.contains(address)),
        };
        let heard = |lease: &Lease| lease.last_seen.unwrap_or(lease.created);
        self.iter()
            .filter(|lease| lease.key.network == network.name && heard(lease) < before)
            .filter(|lease| would_help(lease) && !is_here(&lease.key))
            .min_by_key(|lease| heard(lease))
            .map(|lease| lease.key.clone())
    }

    /// Notes that the guest was heard. Tells whether that is worth writing down: once in so many
    /// seconds, at a moment of that time that is the lease's own, so that many are spread over it.
    pub fn seen(&mut self, key: &LeaseKey, wall: Wall, granularity: u64) -> bool {
        let Some(lease) = self.leases.get_mut(key) else { return false };
        let before = lease.last_seen;
        lease.last_seen = before.max(Some(wall));
        let turn = |wall: Wall| {
            let phase = phase(key).checked_rem(granularity).unwrap_or(0);
            wall.0.saturating_add(phase).checked_div(granularity)
        };
        before.is_none_or(|before| turn(before) < turn(wall))
    }

    /// Notes that the VM has come to a port of a node, and was heard there. Returns the node where
    /// it was before, and whether that is worth writing down: a guest that announces itself again
    /// and again where it is costs no more writes than one that speaks, which is one in
    /// `granularity` seconds. `None`: there is no such lease.
    pub fn arrived(
        &mut self,
        key: &LeaseKey,
        occasion: Occasion<'_>,
        granularity: u64,
    ) -> Option<(String, LeaseChange)> {
        let lease = self.leases.get_mut(key)?;
        let before = std::mem::replace(&mut lease.node, occasion.node.to_owned());
        let is_fresh = |last: Wall| occasion.wall.0.saturating_sub(last.0) < granularity;
        if before == occasion.node && lease.arrived.is_some_and(is_fresh) {
            return Some((before, LeaseChange::None));
        }
        lease.arrived = Some(occasion.wall);
        lease.last_seen = Some(occasion.wall);
        Some((before, LeaseChange::Details))
    }
}

/// Returns a number that is the key's own.
fn phase(LeaseKey { network, vm, nic }: &LeaseKey) -> u64 {
    let mut hash = Sha256::new();
    for part in [network.as_str(), vm.as_str(), nic.as_str()] {
        hash.update(part);
        hash.update([0]);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.iter().take(8).fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tests::network;

    #[test]
    fn a_guest_that_talks_all_the_time_is_written_down_once_an_hour_and_not_all_at_once() {
        let network = network("blue");
        let mut table = LeaseTable::default();
        let keys: Vec<LeaseKey> = (0..20)
            .map(|vm| LeaseKey {
                network: network.name.clone(),
                vm: format!("demo/vm-{vm}").parse().unwrap(),
                nic: "eth0".parse().unwrap(),
            })
            .collect();
        let mut moments = std::collections::BTreeSet::new();
        for key in &keys {
            let occasion = Occasion { node: "node-a", wall: Wall(1_000) };
            let given = table.assign(&network, key, occasion).lease;
            table.adopt(given);
            assert!(table.seen(key, Wall(1_000), 3_600), "it was never heard before");
            let written: Vec<u64> = (1_001..=1_000 + 3 * 3_600)
                .filter(|wall| table.seen(key, Wall(*wall), 3_600))
                .collect();
            let [first, second, third] = written[..] else { panic!("{written:?}") };
            assert_eq!((second - first, third - second), (3_600, 3_600));
            assert_eq!(table.get(key).unwrap().last_seen, Some(Wall(1_000 + 3 * 3_600)));
            moments.insert(first);
        }
        assert!(moments.len() > 15, "{moments:?}");
    }

    #[test]
    fn what_was_heard_here_outlasts_an_older_word_from_elsewhere() {
        let network = network("blue");
        let mut table = LeaseTable::default();
        let key = LeaseKey {
            network: network.name.clone(),
            vm: "demo/web-1".parse().unwrap(),
            nic: "eth0".parse().unwrap(),
        };
        let occasion = Occasion { node: "node-a", wall: Wall(1_000) };
        let given = table.assign(&network, &key, occasion).lease;
        table.adopt(given.clone());
        table.seen(&key, Wall(2_000), 60);
        // A clock that is set back makes no guest unseen.
        assert!(!table.seen(&key, Wall(1_500), 60));
        for (elsewhere, expected) in [(1_200, 2_000), (2_500, 2_500)] {
            table.adopt(Lease { last_seen: Some(Wall(elsewhere)), ..given.clone() });
            assert_eq!(table.get(&key).unwrap().last_seen, Some(Wall(expected)));
        }
    }
}
