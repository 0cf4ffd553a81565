//! Random edits of leases while ports come and go, against what must hold of addresses and ports.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::daemon::reconcile::nothing_to_give;
use crate::lease::LeaseTable;
use crate::network::{Network, PoolRange};
use crate::time::Wall;

const OCCASION: Occasion<'static> = Occasion { node: "node-a", wall: Wall(1_000) };

/// Two networks with three addresses each.
fn networks() -> [Arc<Network>; 2] {
    ["blue", "green"].map(|name| {
        let mut network = crate::network::tests::network(name);
        let address = |last: u8| [10, 0, 0, last].into();
        let range = PoolRange { first: address(10), last: address(12) };
        network.ipv4.as_mut().unwrap().pool.ranges = vec![range];
        Arc::new(network)
    })
}

fn key(network: &Network, vm: u8) -> LeaseKey {
    LeaseKey {
        network: network.name.clone(),
        vm: format!("demo/vm-{vm}").parse().unwrap(),
        nic: "eth0".parse().unwrap(),
    }
}

/// The ports of a node as the supervisor keeps them, with a store that never fails.
struct Model {
    networks: [Arc<Network>; 2],
    table: LeaseTable,
    entries: Entries,
}

impl Model {
    /// Decides one port, as the supervisor does.
    fn reconcile(&mut self, interface: &str, key: &LeaseKey) {
        let network = self.networks.iter().find(|network| network.name == key.network);
        let network = Arc::clone(network.unwrap());
        let given = self.table.assign(&network, key, OCCASION);
        let reason = nothing_to_give(&network, &given);
        let state = if reason.is_none() { PortState::Serving } else { PortState::NoAddress };
        let (network, lease) = (Some(network), Some(given.lease));
        self.entries.insert(interface, Entry { state, reason, network, lease });
    }

    fn edit(&mut self, edit: Edit) {
        let Ok(keys) = self.table.edit(&self.networks, &[edit], OCCASION) else { return };
        for interface in concerned(&self.entries, &keys) {
            let key = self.entries.get(&interface).unwrap().lease.as_ref().unwrap().key.clone();
            self.reconcile(&interface, &key);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Plug,
    Unplug,
    Release,
    Hold(u8),
    HoldForAny(u8),
    Move(u8),
}

fn step() -> impl Strategy<Value = (Step, usize, u8)> {
    let address = || 10_u8..15;
    let step = prop_oneof![
        4 => Just(Step::Plug),
        1 => Just(Step::Unplug),
        3 => Just(Step::Release),
        1 => address().prop_map(Step::Hold),
        1 => address().prop_map(Step::HoldForAny),
        1 => address().prop_map(Step::Move),
    ];
    (step, 0_usize..2, 0_u8..6)
}

proptest! {
    #[test]
    fn no_port_waits_while_its_network_has_an_address_and_each_shows_what_it_holds(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let networks = networks();
        let mut model = Model { networks, table: LeaseTable::default(), entries: Entries::default() };
        for (step, network, vm) in steps {
            let key = key(&model.networks[network], vm);
            let interface = format!("{}-{vm}", key.network);
            let holding = |last: u8| format!("10.0.0.{last}").parse().unwrap();
            match step {
                Step::Plug => model.reconcile(&interface, &key),
                Step::Unplug => drop(model.entries.remove(&interface)),
                Step::Release => model.edit(Edit::Release { key }),
                Step::Hold(last) => {
                    let holdings = vec![holding(last)];
                    model.edit(Edit::Hold { key, holdings, hostname: None });
                }
                Step::HoldForAny(last) => {
                    let (key, holdings) = (key.for_any_nic(), vec![holding(last)]);
                    model.edit(Edit::Hold { key, holdings, hostname: None });
                }
                Step::Move(last) => model.edit(Edit::Move { key, holding: holding(last) }),
            }
            let held = model.table.iter().map(|lease| (&lease.key.network, lease.ipv4));
            let held: Vec<_> = held.collect();
            let distinct: BTreeSet<_> = held.iter().collect();
            prop_assert_eq!(held.len(), distinct.len(), "one address, two holders");
            for (interface, entry) in model.entries.iter() {
                let (network, lease) =
                    (entry.network.as_ref().unwrap(), entry.lease.as_ref().unwrap());
                let pool = &network.ipv4.as_ref().unwrap().pool;
                if entry.state == PortState::Serving {
                    prop_assert_eq!(model.table.get(&lease.key), Some(lease));
                } else {
                    let free = model.table.ipv4_usage(&network.name, pool).free;
                    prop_assert_eq!(free, 0, "{} waits", interface);
                }
            }
        }
    }
}
