//! What a new VM costs a store that nodes share, as a range fills up: a simulation without a network.
//!
//! Every node has a lease table of its own, which knows its own VMs and what it was told; the shared
//! table refuses what is taken, as the transaction does. What a lease costs etcd itself is asked of a
//! real one. `docs/scale.md` builds on these figures.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};

use leasehold::config;
use leasehold::lease::{LeaseChange, LeaseKey, LeaseTable, Occasion};
use leasehold::network::Network;
use leasehold::time::Wall;

#[test]
fn a_new_vm_costs_few_transactions_however_full_the_range_is() {
    let network = network();
    let size = network.ipv4.as_ref().unwrap().pool.size();
    let mut nodes: Vec<LeaseTable> = (0..NODES).map(|_| LeaseTable::default()).collect();
    let mut shared: HashMap<Ipv4Addr, LeaseKey> = HashMap::new();
    let mut tenths = Vec::new();
    for vm in 0..u32::try_from(size).unwrap() {
        let table = &mut nodes[usize::try_from(vm).unwrap() % NODES];
        let cost = serve(table, &network, &mut shared, &key(vm));
        if u128::from(vm) * 10 / size == tenths.len() as u128 {
            tenths.push(Vec::new());
        }
        tenths.last_mut().unwrap().push(cost);
    }
    // Every address was given, none of them twice: the map says so.
    assert_eq!(u128::try_from(shared.len()).unwrap(), size);
    for (tenth, costs) in tenths.iter().enumerate() {
        let count = costs.len() as f64;
        let mean = costs.iter().map(|cost| f64::from(cost.transactions)).sum::<f64>() / count;
        let listed = costs.iter().filter(|cost| cost.listings > 0).count() as f64 / count;
        let most = costs.iter().map(|cost| cost.transactions).max().unwrap();
        println!(
            "{:3} to {:3} % full: {mean:.2} transactions, {most} at most; {:.1} % list the network",
            tenth * 10,
            tenth * 10 + 10,
            listed * 100.0
        );
        let bound = if tenth < 5 { 2.0 } else { 5.0 };
        assert!(mean <= bound, "{tenth}: {mean}");
        assert!(most <= 5, "{tenth}: {most}");
    }
}

#[test]
fn vms_that_start_again_where_they_were_are_served_before_anything_is_written() {
    let network = network();
    let mut table = LeaseTable::default();
    for vm in 0..VMS {
        table.assign(&network, &key(vm), Occasion { node: "node", wall: Wall(1) });
    }
    let mut table = LeaseTable::load(table.iter().cloned().collect()).0;
    let start = Wall(1_000_000);
    for vm in 0..VMS {
        let given = table.assign(&network, &key(vm), Occasion { node: "node", wall: start });
        assert_eq!(given.change, LeaseChange::None);
    }
}

#[test]
fn guests_that_talk_all_the_time_are_written_down_once_an_hour_each_at_its_own_moment() {
    let network = network();
    let mut table = LeaseTable::default();
    let start: u64 = 1_000_000;
    for vm in 0..VMS {
        table.assign(&network, &key(vm), Occasion { node: "node", wall: Wall(start) });
        table.seen(&key(vm), Wall(start), LAST_SEEN);
    }
    // A port tells of its guest every half minute at most.
    let minutes: Vec<u32> = (0..180)
        .map(|minute| {
            let moments = [60 * minute + 30, 60 * minute + 60].map(|after| Wall(start + after));
            let heard = moments.into_iter().flat_map(|wall| (0..VMS).map(move |vm| (vm, wall)));
            let written = heard.filter(|(vm, wall)| table.seen(&key(*vm), *wall, LAST_SEEN));
            written.count().try_into().unwrap()
        })
        .collect();
    let hours: Vec<u32> = minutes.chunks(60).map(|hour| hour.iter().sum()).collect();
    let most = minutes.iter().max().unwrap();
    println!("writes of \"last seen\" by {VMS} VMs that talk all the time: {hours:?} an hour");
    println!("in no minute more than {most}");
    assert_eq!(hours, [VMS; 3]);
    assert!(*most <= VMS / 10, "{minutes:?}");
}

#[derive(Default)]
struct Cost {
    transactions: u32,
    listings: u32,
}

/// Gives a VM its lease, as a node does: its own choice first, then what the shared table says.
fn serve(
    table: &mut LeaseTable,
    network: &Network,
    shared: &mut HashMap<Ipv4Addr, LeaseKey>,
    key: &LeaseKey,
) -> Cost {
    let mut cost = Cost::default();
    loop {
        let given = table.assign(network, key, Occasion { node: "node", wall: Wall(1) });
        let address = given.lease.ipv4.expect("an address is free");
        cost.transactions += 1;
        let Some(holder) = shared.get(&address) else {
            shared.insert(address, key.clone());
            return cost;
        };
        table.remove(key);
        table.occupy(holder, IpAddr::V4(address));
        if cost.transactions == CROWDED {
            cost.listings += 1;
            for (address, holder) in shared.iter() {
                table.occupy(holder, IpAddr::V4(*address));
            }
        }
    }
}

fn key(vm: u32) -> LeaseKey {
    LeaseKey {
        network: "blue".parse().unwrap(),
        vm: format!("demo/vm-{vm}").parse().unwrap(),
        nic: "default".parse().unwrap(),
    }
}

/// A network with 4,096 addresses to give.
fn network() -> Network {
    let folder = tempfile::tempdir().unwrap();
    let networks = folder.path().join("networks.d");
    fs::create_dir_all(&networks).unwrap();
    let file = folder.path().join("leasehold.toml");
    fs::write(&file, "[[source]]\nkind = \"ovsdb\"\n").unwrap();
    let blue = "name = \"blue\"\n[ipv4]\nsubnet = \"10.20.0.0/16\"\ngateway = \"10.20.0.1\"\n\
                ranges = [\"10.20.16.0-10.20.31.255\"]\n";
    fs::write(networks.join("blue.toml"), blue).unwrap();
    let config = config::load(&file).unwrap();
    Network::clone(&config.networks[0])
}

const NODES: usize = 41;

/// As in `store/etcd`.
const CROWDED: u32 = 4;

/// How many VMs a node has.
const VMS: u32 = 100;

/// Seconds for which "last seen" is not written again, as in `daemon/` where nodes share a store.
const LAST_SEEN: u64 = 3_600;

/// What a real etcd says of leases that a real store made.
#[cfg(feature = "etcd")]
#[path = "scale/etcd.rs"]
mod etcd;
