//! The lease table against a model: random VMs, NICs, declines, releases, reservations, other ranges
//! and restarts through the store, in any order. Never two leases with one address; nobody loses one
//! without a reason.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;

use leasehold::lease::{
    Family, Lease, LeaseChange, LeaseKey, LeaseTable, NicName, NoAddress, Occasion, Withheld,
};
use leasehold::network::{
    Common, Consume, Gateway, HostnameTemplate, Ipv4Network, Lifetime, Mask, Match, Network,
    OnDecline, Pool, PoolRange, VmEntry,
};
use leasehold::time::Wall;
use leasehold::wire::Mac;
use proptest::prelude::*;

const OCCASION: Occasion<'static> = Occasion { node: "node-a", wall: Wall(1_000) };

#[derive(Debug, Clone)]
enum Step {
    Assign {
        vm: u8,
        nic: u8,
    },
    Decline {
        vm: u8,
        nic: u8,
    },
    Remove {
        vm: u8,
        nic: u8,
    },
    Restart,
    /// The files are read anew, with other ranges.
    Reload {
        ranges: usize,
    },
    /// The files are read anew, with a reservation more; or one less, if it is there.
    Reserve {
        vm: u8,
        last_octet: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let vm_nic = || (0_u8..12, 0_u8..2);
    prop_oneof![
        12 => vm_nic().prop_map(|(vm, nic)| Step::Assign { vm, nic }),
        2 => vm_nic().prop_map(|(vm, nic)| Step::Decline { vm, nic }),
        2 => vm_nic().prop_map(|(vm, nic)| Step::Remove { vm, nic }),
        2 => Just(Step::Restart),
        1 => (0..RANGES.len()).prop_map(|ranges| Step::Reload { ranges }),
        1 => (0_u8..12, 8_u8..26).prop_map(|(vm, last_octet)| Step::Reserve { vm, last_octet }),
    ]
}

/// Last octets of the ranges that the network may have. Up to 24 NICs want an address.
const RANGES: &[&[(u8, u8)]] = &[&[(10, 19)], &[(15, 24)], &[(10, 12), (20, 23)], &[]];

/// The files as they stand, and what they make of a network.
struct Files {
    on_decline: OnDecline,
    ranges: usize,
    reserved: BTreeMap<u8, Ipv4Addr>,
}

impl Files {
    fn network(&self) -> Network {
        let mut network = network("10.0.0.10", "10.0.0.19", self.on_decline);
        let entry = network.vms[0].clone();
        network.vms = self
            .reserved
            .iter()
            .map(|(vm, address)| VmEntry {
                id: key(*vm, 0).vm,
                ipv4: vec![*address],
                ..entry.clone()
            })
            .collect();
        let address = |last| Ipv4Addr::new(10, 0, 0, last);
        let ranges = RANGES[self.ranges]
            .iter()
            .map(|(first, last)| PoolRange { first: address(*first), last: address(*last) });
        let mut never: Vec<Ipv4Addr> = self.reserved.values().copied().collect();
        never.sort();
        network.ipv4.as_mut().unwrap().pool = Pool { ranges: ranges.collect(), never };
        network
    }
}

proptest! {
    #[test]
    fn no_address_is_held_twice_and_nobody_loses_one_without_a_reason(
        steps in prop::collection::vec(step(), 1..200),
        reassign in any::<bool>(),
    ) {
        let on_decline = if reassign { OnDecline::Reassign } else { OnDecline::Keep };
        let mut files = Files { on_decline, ranges: 0, reserved: BTreeMap::new() };
        let mut table = LeaseTable::default();
        // What the store has, and what was declined since the process began.
        let mut durable: BTreeMap<LeaseKey, Lease> = BTreeMap::new();
        let mut declined: HashSet<Ipv4Addr> = HashSet::new();
        for step in steps {
            let network = files.network();
            let pool = &network.ipv4.as_ref().unwrap().pool;
            match step {
                Step::Assign { vm, nic } => {
                    let key = key(vm, nic);
                    let before = table.get(&key).and_then(|lease| lease.ipv4);
                    let reserved = files.reserved.get(&vm).copied();
                    let holder = reserved
                        .and_then(|address| durable.values().find(|l| l.ipv4 == Some(address)))
                        .map(|lease| lease.key.clone());
                    let given = table.assign(&network, &key, OCCASION);
                    let address = given.lease.ipv4;
                    let is_held = |address| {
                        durable.values().any(|lease: &Lease| lease.ipv4 == Some(address))
                    };
                    let free = |but: &HashSet<Ipv4Addr>| {
                        let mut all = (0..=255).map(|last| Ipv4Addr::new(10, 0, 0, last));
                        all.find(|address| {
                            pool.contains(*address) && !is_held(*address) && !but.contains(address)
                        })
                    };
                    match (reserved, holder) {
                        (Some(reserved), None) => prop_assert_eq!(address, Some(reserved)),
                        (Some(reserved), Some(holder)) if holder == key => {
                            prop_assert_eq!(address, Some(reserved));
                        }
                        (Some(_), Some(holder)) if holder.vm != key.vm => {
                            prop_assert_eq!(address, before, "it keeps what it has");
                            let reason = given.no_ipv4.clone().unwrap().to_string();
                            prop_assert!(reason.contains(holder.vm.as_str()), "{}", reason);
                        }
                        (Some(_), Some(_)) | (None, _) => match (before, address) {
                            (Some(before), address) => prop_assert_eq!(address, Some(before)),
                            (None, Some(address)) => {
                                prop_assert!(pool.contains(address));
                                if declined.contains(&address) {
                                    prop_assert_eq!(free(&declined), None, "there was a better one");
                                }
                            }
                            (None, None) if pool.ranges.is_empty() => {
                                prop_assert_eq!(given.no_ipv4, Some(NoAddress::NotReserved("IPv4")));
                            }
                            (None, None) => {
                                prop_assert_eq!(given.no_ipv4, Some(NoAddress::Exhausted("IPv4")));
                                let free = free(&HashSet::new());
                                prop_assert_eq!(free, None, "it was not exhausted");
                            }
                        },
                    }
                    let is_new = before != address;
                    prop_assert_eq!(is_new, given.change == LeaseChange::Addresses);
                    if given.change != LeaseChange::None {
                        durable.insert(key, given.lease);
                    }
                }
                Step::Decline { vm, nic } => {
                    let key = key(vm, nic);
                    let before = table.get(&key).and_then(|lease| lease.ipv4);
                    if let Some(lease) = table.decline(&network, &key, Family::Ipv4, OCCASION) {
                        prop_assert!(lease.conflict);
                        if before.is_some() {
                            prop_assert!(lease.ipv4.is_some(), "never none instead of one");
                        }
                        if lease.ipv4 != before && lease.ipv4 != files.reserved.get(&vm).copied() {
                            prop_assert!(reassign, "kept");
                            declined.extend(before);
                        } else if lease.ipv4 != before && reassign {
                            // The reservation took its place: whether the old one was set aside
                            // cannot be told from here.
                            prop_assume!(false);
                        }
                        durable.insert(key, lease);
                    }
                }
                Step::Remove { vm, nic } => {
                    let key = key(vm, nic);
                    prop_assert_eq!(table.remove(&key), durable.remove(&key));
                }
                Step::Restart => {
                    let (loaded, refused) = LeaseTable::load(durable.values().cloned().collect());
                    prop_assert!(refused.is_empty());
                    table = loaded;
                    declined.clear();
                }
                Step::Reload { ranges } => files.ranges = ranges,
                Step::Reserve { vm, last_octet } => {
                    let address = Ipv4Addr::new(10, 0, 0, last_octet);
                    if files.reserved.remove(&vm).is_none()
                        && !files.reserved.values().any(|other| *other == address)
                    {
                        files.reserved.insert(vm, address);
                    }
                }
            }
            // Nobody else's lease is touched, and the table is what the store has.
            prop_assert!(table.iter().eq(durable.values()), "{:?}", table);
            let held: Vec<Ipv4Addr> = table.iter().filter_map(|lease| lease.ipv4).collect();
            let distinct: HashSet<&Ipv4Addr> = held.iter().collect();
            prop_assert_eq!(held.len(), distinct.len(), "one address, two leases: {:?}", held);
            let network = files.network();
            let pool = &network.ipv4.as_ref().unwrap().pool;
            let usage = table.ipv4_usage(&network.name, pool);
            let is_free = |address: &Ipv4Addr| pool.contains(*address)
                && !distinct.contains(address)
                && !declined.contains(address);
            let free = (0..=255).map(|last| Ipv4Addr::new(10, 0, 0, last)).filter(is_free).count();
            prop_assert_eq!(
                (usage.leases, usage.free),
                (u64::try_from(held.len()).unwrap(), u64::try_from(free).unwrap())
            );
        }
    }
}

#[test]
fn a_newcomer_finds_the_last_free_address_of_a_great_range_without_a_walk() {
    // 2^17 addresses, all but the last 1,000 held from the start on: a walk for each newcomer would
    // take a hundred million steps.
    let mut great = network("10.0.0.2", "10.2.0.1", OnDecline::Keep);
    great.ipv4.as_mut().unwrap().subnet = "10.0.0.0/8".parse().unwrap();
    great.ipv4.as_mut().unwrap().pool.never = vec![reserved()];
    let base = u32::from(Ipv4Addr::new(10, 0, 0, 2));
    let lease = |number: u32| Lease {
        key: LeaseKey {
            network: great.name.clone(),
            vm: format!("bulk/vm-{number:06}").parse().unwrap(),
            nic: NicName::default(),
        },
        ipv4: Some(Ipv4Addr::from(base + number)),
        ipv6: None,
        prefix: None,
        hostname: None,
        created: OCCASION.wall,
        node: "node-a".to_owned(),
        arrived: None,
        last_seen: None,
        conflict: false,
    };
    const FREE: u32 = 1_000;
    let held = (0..(1 << 17) - FREE).map(lease).filter(|lease| lease.ipv4 != Some(reserved()));
    let (mut table, refused) = LeaseTable::load(held.collect());
    assert_eq!(refused, Vec::<String>::new());
    let mut given = HashSet::new();
    for number in 0..FREE {
        let vm = format!("late/vm-{number}").parse().unwrap();
        let key = LeaseKey { network: great.name.clone(), vm, nic: NicName::default() };
        given.insert(table.assign(&great, &key, OCCASION).lease.ipv4.unwrap());
    }
    assert_eq!(given.len(), 1_000);
    assert_eq!(table.ipv4_usage(&great.name, &great.ipv4.as_ref().unwrap().pool).free, 0);
    let refused = table.assign(&great, &key(1, 0), OCCASION);
    assert_eq!(refused.no_ipv4, Some(NoAddress::Exhausted("IPv4")));
}

#[test]
fn what_a_damaged_row_names_is_kept_for_its_own_nic() {
    let network =
        Network { vms: Vec::new().into(), ..network("10.0.0.10", "10.0.0.11", OnDecline::Keep) };
    let (first, last) = (Ipv4Addr::new(10, 0, 0, 10), Ipv4Addr::new(10, 0, 0, 11));
    let withheld = |owner: Option<LeaseKey>, address| Withheld {
        network: network.name.clone(),
        owner,
        ipv4: Some(address),
        ipv6: None,
        prefix: None,
    };
    let mut table = LeaseTable::default();
    table.withhold(&withheld(Some(key(1, 0)), first));
    table.withhold(&withheld(None, last));
    let pool = &network.ipv4.as_ref().unwrap().pool;
    assert_eq!(table.ipv4_usage(&network.name, pool).free, 0);
    for vm in 2..30 {
        let given = table.assign(&network, &key(vm, 0), OCCASION);
        assert_eq!(given.no_ipv4, Some(NoAddress::Exhausted("IPv4")), "VM {vm}");
    }
    assert_eq!(table.assign(&network, &key(1, 0), OCCASION).lease.ipv4, Some(first));
    // Released, it is anybody's.
    table.remove(&key(1, 0));
    assert_eq!(table.assign(&network, &key(2, 0), OCCASION).lease.ipv4, Some(first));
    // Not even a reservation takes what may be in use; the reason names the row's NIC.
    table.withhold(&withheld(Some(key(3, 0)), reserved()));
    let reserving = network_with_reservation(&network);
    let reason = table.assign(&reserving, &key(200, 0), OCCASION).no_ipv4.unwrap().to_string();
    assert!(reason.contains("lab/vm-3 default by a damaged row"), "{reason}");
}

#[test]
fn a_lost_store_gives_most_vms_their_old_address() {
    let network = network("10.0.1.0", "10.0.3.255", OnDecline::Keep);
    let keys: Vec<LeaseKey> = (0..200).map(|vm| key(vm, 0)).collect();
    let assign = |order: &mut dyn Iterator<Item = &LeaseKey>| {
        let mut table = LeaseTable::default();
        let given =
            order.map(|key| (key.clone(), table.assign(&network, key, OCCASION).lease.ipv4));
        given.collect::<HashMap<_, _>>()
    };
    let first = assign(&mut keys.iter());
    let second = assign(&mut keys.iter().rev());
    let same = keys.iter().filter(|key| first[*key] == second[*key]).count();
    assert!(same * 10 >= keys.len() * 8, "only {same} of {} kept theirs", keys.len());
}

#[test]
fn every_address_of_a_range_can_be_given_and_then_it_is_exhausted() {
    let network = network("10.0.0.10", "10.0.0.73", OnDecline::Keep);
    let mut table = LeaseTable::default();
    for vm in 0..63 {
        // 64 addresses, one of them reserved for VM 200.
        assert!(table.assign(&network, &key(vm, 0), OCCASION).lease.ipv4.is_some(), "VM {vm}");
    }
    let usage = table.ipv4_usage(&network.name, &network.ipv4.as_ref().unwrap().pool);
    assert_eq!((usage.leases, usage.free, usage.total), (63, 0, 63));
    let refused = table.assign(&network, &key(100, 0), OCCASION);
    assert_eq!(refused.no_ipv4, Some(NoAddress::Exhausted("IPv4")));
    assert_eq!(refused.change, LeaseChange::None);
    assert_eq!(table.assign(&network, &key(200, 0), OCCASION).lease.ipv4, Some(reserved()));
}

#[test]
fn a_guest_that_declines_without_end_leaves_the_range_to_others() {
    let network = network("10.0.0.10", "10.0.0.29", OnDecline::Reassign);
    let mut table = LeaseTable::default();
    let hostile = key(1, 0);
    let first = table.assign(&network, &hostile, OCCASION).lease.ipv4;
    let mut given = HashSet::from([first]);
    let mut changes = 0;
    for _ in 0..100_000 {
        if let Some(lease) = table.decline(&network, &hostile, Family::Ipv4, OCCASION) {
            changes += 1;
            given.insert(lease.ipv4);
        }
    }
    // An honest guest on a network in trouble is helped; each change is written to the store.
    assert_eq!((given.len(), changes), (5, 4));
    assert!(!given.contains(&None));
    for vm in 2..16 {
        let lease = table.assign(&network, &key(vm, 0), OCCASION).lease;
        assert!(lease.ipv4.is_some_and(|address| !given.contains(&Some(address))), "VM {vm}");
    }
}

#[test]
fn guests_that_decline_all_of_a_range_leave_it_to_others_last() {
    let network = network("10.0.0.10", "10.0.0.29", OnDecline::Reassign);
    let mut table = LeaseTable::default();
    // Each sets four addresses aside and holds a fifth.
    for vm in 0..4 {
        table.assign(&network, &key(vm, 0), OCCASION);
        for _ in 0..10 {
            table.decline(&network, &key(vm, 0), Family::Ipv4, OCCASION);
        }
    }
    let mut held: HashSet<_> = table.iter().filter_map(|lease| lease.ipv4).collect();
    let usage = table.ipv4_usage(&network.name, &network.ipv4.as_ref().unwrap().pool);
    assert_eq!((held.len(), usage.free), (4, 0));
    let others = u8::try_from(usage.total).unwrap() - 4;
    for vm in 4..4 + others {
        let address = table.assign(&network, &key(vm, 0), OCCASION).lease.ipv4;
        assert!(held.insert(address.unwrap()), "VM {vm}: {address:?}");
    }
    let last = table.assign(&network, &key(100, 0), OCCASION);
    assert_eq!(last.no_ipv4, Some(NoAddress::Exhausted("IPv4")));
}

#[test]
fn a_guest_that_declines_the_last_free_address_keeps_it() {
    let network = network("10.0.0.10", "10.0.0.10", OnDecline::Reassign);
    let mut table = LeaseTable::default();
    let held = table.assign(&network, &key(1, 0), OCCASION).lease.ipv4;
    assert!(held.is_some());
    let lease = table.decline(&network, &key(1, 0), Family::Ipv4, OCCASION).unwrap();
    assert_eq!((lease.ipv4, lease.conflict), (held, true));
    assert_eq!(table.decline(&network, &key(1, 0), Family::Ipv4, OCCASION), None);
}

#[test]
fn a_declined_address_of_one_family_leaves_the_other_alone() {
    let network = network("10.0.0.10", "10.0.0.29", OnDecline::Reassign);
    let mut table = LeaseTable::default();
    let held = table.assign(&network, &key(1, 0), OCCASION).lease.ipv4;
    let lease = table.decline(&network, &key(1, 0), Family::Ipv6, OCCASION).unwrap();
    assert_eq!((lease.ipv4, lease.conflict), (held, true));
}

#[test]
fn a_reservation_without_nic_goes_to_the_first_nic_and_stays_there() {
    let network = network("10.0.0.10", "10.0.0.19", OnDecline::Keep);
    let mut table = LeaseTable::default();
    let second = table.assign(&network, &key(200, 1), OCCASION).lease.ipv4;
    let first = table.assign(&network, &key(200, 0), OCCASION).lease.ipv4;
    assert_eq!(second, Some(reserved()));
    assert_ne!(first, second);
    assert_eq!(table.assign(&network, &key(200, 1), OCCASION).lease.ipv4, second);
    assert_eq!(table.assign(&network, &key(200, 0), OCCASION).lease.ipv4, first);
}

#[test]
fn a_reserved_address_that_another_vm_holds_is_refused_by_name() {
    let mut early = network("10.0.0.10", "10.0.0.19", OnDecline::Keep);
    let vms = std::mem::take(&mut early.vms);
    early.ipv4.as_mut().unwrap().pool.never.clear();
    early.ipv4.as_mut().unwrap().pool.ranges[0].first = reserved();
    early.ipv4.as_mut().unwrap().pool.ranges[0].last = reserved();
    let mut table = LeaseTable::default();
    table.assign(&early, &key(1, 0), OCCASION);
    let late = Network { vms, ..network("10.0.0.10", "10.0.0.19", OnDecline::Keep) };
    let refused = table.assign(&late, &key(200, 0), OCCASION);
    let reason = refused.no_ipv4.unwrap().to_string();
    assert!(reason.contains("lab/vm-1 default"), "{reason}");
    assert_eq!(refused.lease.ipv4, None);
}

#[test]
fn an_address_outside_the_subnet_is_replaced_and_one_outside_the_range_is_kept() {
    let wide = network("10.0.0.10", "10.0.0.10", OnDecline::Keep);
    let narrow = network("10.0.2.1", "10.0.2.9", OnDecline::Keep);
    let mut table = LeaseTable::default();
    let old = table.assign(&wide, &key(1, 0), OCCASION).lease.ipv4;
    assert_eq!(table.outside_ranges(&wide).count(), 0);
    assert_eq!(table.assign(&narrow, &key(1, 0), OCCASION).lease.ipv4, old);
    let outside: Vec<_> = table.outside_ranges(&narrow).map(|(lease, _)| lease.ipv4).collect();
    assert_eq!(outside, [old]);
    let mut moved = network("10.9.0.10", "10.9.0.19", OnDecline::Keep);
    moved.ipv4.as_mut().unwrap().subnet = "10.9.0.0/16".parse().unwrap();
    let given = table.assign(&moved, &key(1, 0), OCCASION);
    assert_ne!(given.lease.ipv4, old);
    assert_eq!(given.change, LeaseChange::Addresses);
}

#[test]
fn the_second_of_two_stored_leases_with_one_address_is_set_aside() {
    let network = network("10.0.0.10", "10.0.0.19", OnDecline::Keep);
    let mut table = LeaseTable::default();
    let one = table.assign(&network, &key(1, 0), OCCASION).lease;
    let two = Lease { key: key(2, 0), ..one.clone() };
    let (loaded, refused) = LeaseTable::load(vec![one, two]);
    assert_eq!(loaded.len(), 1);
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("lab/vm-2"), "{}", refused[0]);
}

#[test]
fn the_vm_unseen_for_longest_goes_first_and_none_that_is_here_or_reserved() {
    let network = network("10.0.0.10", "10.0.0.15", OnDecline::Keep);
    let mut table = LeaseTable::default();
    // VM 1 was made at 100 and never heard; VM 2 was heard at 300; VM 200 has its reservation.
    for (vm, heard) in [(1, None), (2, Some(300)), (200, Some(50))] {
        let occasion = Occasion { node: "node-a", wall: Wall(100) };
        table.assign(&network, &key(vm, 0), occasion);
        if let Some(heard) = heard {
            table.seen(&key(vm, 0), Wall(heard), 1);
        }
    }
    let unseen = |before, here: &[u8]| {
        table.longest_unseen(&network, Family::Ipv4, Wall(before), |lease| {
            here.iter().any(|vm| key(*vm, 0).vm == lease.vm)
        })
    };
    assert_eq!(unseen(100, &[]), None);
    assert_eq!(unseen(101, &[]), Some(key(1, 0)));
    assert_eq!(unseen(300, &[1]), None);
    assert_eq!(unseen(301, &[1]), Some(key(2, 0)));
    assert_eq!(unseen(1_000, &[1, 2]), None);
    // It would be of no help to a newcomer that lacks the other family.
    assert_eq!(table.longest_unseen(&network, Family::Ipv6, Wall(1_000), |_| false), None);
}

fn key(vm: u8, nic: u8) -> LeaseKey {
    let nic = if nic == 0 { NicName::default() } else { format!("nic-{nic}").parse().unwrap() };
    LeaseKey { network: "blue".parse().unwrap(), vm: format!("lab/vm-{vm}").parse().unwrap(), nic }
}

fn network_with_reservation(plain: &Network) -> Network {
    let vms = network("10.0.0.10", "10.0.0.19", OnDecline::Keep).vms;
    Network { vms, ..plain.clone() }
}

/// The address reserved for VM 200.
fn reserved() -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, 15)
}

/// A lease as another node may have written it.
fn written_elsewhere(vm: u8, last: u8) -> Lease {
    let mut elsewhere = LeaseTable::default();
    let range = format!("10.0.0.{last}");
    let network = network(&range, &range, OnDecline::Keep);
    elsewhere.assign(&network, &key(vm, 0), Occasion { node: "node-b", wall: Wall(7) }).lease
}

#[test]
fn an_adopted_lease_takes_the_place_of_what_the_table_had() {
    let network = network("10.0.0.10", "10.0.0.11", OnDecline::Keep);
    let mut table = LeaseTable::default();
    let first = table.assign(&network, &key(1, 0), OCCASION).lease.ipv4.unwrap();
    let second = if first.octets()[3] == 10 { 11 } else { 10 };
    // The same NIC, elsewhere at the other address: the first one is free.
    assert!(table.adopt(written_elsewhere(1, second)).is_empty());
    let given = table.assign(&network, &key(1, 0), OCCASION);
    assert_eq!(given.lease.ipv4, Some(Ipv4Addr::new(10, 0, 0, second)));
    assert_eq!((given.lease.created, given.change), (Wall(7), LeaseChange::None));
    assert_eq!(table.assign(&network, &key(2, 0), OCCASION).lease.ipv4, Some(first));
    // Another NIC, elsewhere at that address: who had it here loses it, and the range is full.
    let losers = table.adopt(written_elsewhere(3, first.octets()[3]));
    assert_eq!(losers.into_iter().collect::<Vec<_>>(), [key(2, 0)]);
    let given = table.assign(&network, &key(2, 0), OCCASION);
    assert_eq!((given.lease.ipv4, given.no_ipv4), (None, Some(NoAddress::Exhausted("IPv4"))));
}

#[test]
fn an_occupied_address_is_passed_over_until_it_is_forgotten() {
    let network = network("10.0.0.10", "10.0.0.10", OnDecline::Keep);
    let mut table = LeaseTable::default();
    assert_eq!(table.occupy(&key(9, 0), Ipv4Addr::new(10, 0, 0, 10).into()), None);
    let given = table.assign(&network, &key(1, 0), OCCASION);
    assert_eq!(given.no_ipv4, Some(NoAddress::Exhausted("IPv4")));
    table.forget_occupied();
    let given = table.assign(&network, &key(1, 0), OCCASION);
    assert_eq!(given.lease.ipv4, Some(Ipv4Addr::new(10, 0, 0, 10)));
    // What a lease of the table holds is not forgotten.
    table.forget_occupied();
    let given = table.assign(&network, &key(2, 0), OCCASION);
    assert_eq!(given.no_ipv4, Some(NoAddress::Exhausted("IPv4")));
}

fn network(first: &str, last: &str, on_decline: OnDecline) -> Network {
    let range = PoolRange { first: first.parse().unwrap(), last: last.parse().unwrap() };
    Network {
        name: "blue".parse().unwrap(),
        matcher: Match::default(),
        hostname: HostnameTemplate::default(),
        common: Common::default(),
        gateway: Gateway {
            source_mac: Mac([0x0a, 0x58, 10, 0, 0, 1]),
            mac_given: false,
            answer: false,
            answer_ping: false,
            announce: false,
            retire: Vec::new(),
        },
        ipv4: Some(Ipv4Network {
            subnet: "10.0.0.0/16".parse().unwrap(),
            gateway: Some(Ipv4Addr::new(10, 0, 0, 1)),
            server_id: Ipv4Addr::new(10, 0, 0, 1),
            pool: Pool { ranges: vec![range], never: vec![reserved()] },
            lease_time: Lifetime(3_600),
            renew_time: Some(1_800),
            rebind_time: Some(3_150),
            mask: Mask::Subnet,
            routes: Vec::new(),
            rapid_commit: false,
            ipv6_only_wait: None,
            auto_configure: None,
            options: Vec::new(),
        }),
        ipv6: None,
        boot: Arc::default(),
        on_decline,
        consume: Consume::Off,
        reclaim_after: None,
        vms: vec![VmEntry {
            id: "lab/vm-200".parse().unwrap(),
            nic: None,
            ipv4: vec![reserved()],
            ipv6: Vec::new(),
            prefix: None,
            hostname: None,
            domain: None,
            search: None,
            dns: None,
            ntp: None,
            mtu: None,
            captive_portal: None,
            resolvers: None,
            routes: None,
            boot: None,
            ipv4_options: Vec::new(),
            ipv6_options: Vec::new(),
        }]
        .into(),
    }
}
