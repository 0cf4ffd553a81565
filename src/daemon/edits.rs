//! Edits of the lease table, asked for over the control socket.
//!
//! An edit is answered once the store has it, so that what an admin was told outlives the process.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::control_socket::Said;
use super::entries::{Entries, Entry};
use super::supervisor::Supervisor;
use super::writes::Writes;
use crate::clock;
use crate::config::Store;
use crate::control::{Answer, PortState};
use crate::lease::{Edit, Lease, LeaseChange, LeaseKey, Occasion};
use crate::store::{StoreError, Wanted};

/// Edits that wait for the store.
#[derive(Debug, Default)]
pub(super) struct PendingEdits {
    waiting: Vec<(Vec<LeaseKey>, oneshot::Sender<Said>)>,
}

impl PendingEdits {
    /// Answers what the store has by now.
    pub(super) fn settle(&mut self, writes: &Writes) {
        let waiting = std::mem::take(&mut self.waiting);
        for (keys, answer) in waiting {
            if keys.iter().all(|key| writes.is_written(key)) {
                // A client that has gone needs no answer.
                let _ = answer.send(Said::Answer(Answer::Edited(Ok(keys.len()))));
            } else {
                self.waiting.push((keys, answer));
            }
        }
    }

    /// Tells who waits for this lease that another node was ahead.
    pub(super) fn refuse(&mut self, key: &LeaseKey) {
        let waiting = std::mem::take(&mut self.waiting);
        for (keys, answer) in waiting {
            if keys.contains(key) {
                let text = format!(
                    "another node has changed the lease of {} {}, or gave its address away: list \
                     the leases and try again",
                    key.vm, key.nic
                );
                let _ = answer.send(Said::Answer(Answer::Edited(Err(vec![text]))));
            } else {
                self.waiting.push((keys, answer));
            }
        }
    }

    /// Tells everybody who waits that the store failed.
    pub(super) fn fail(&mut self, error: &str) {
        for (_, answer) in self.waiting.drain(..) {
            let text = format!(
                "the change is made, and not yet durable: {error}; it is written as soon as the \
                 store works"
            );
            let _ = answer.send(Said::Answer(Answer::StoreFailed(text)));
        }
    }
}

/// An edit, and who is to be told how it ended.
#[derive(Debug)]
pub(super) struct AskedEdit {
    pub(super) edits: Vec<Edit>,
    /// Whether a lease that a port serves may go.
    pub(super) force: bool,
    pub(super) answer: oneshot::Sender<Said>,
}

/// What a store that nodes share has of the leases that an edit names.
#[derive(Debug)]
pub(super) struct FoundForEdit {
    asked: AskedEdit,
    leases: Result<Vec<Lease>, StoreError>,
}

impl Supervisor {
    /// Changes the lease table; the ports that are concerned follow. What other nodes may have to do
    /// with it is read first, and meanwhile everything else goes on.
    pub(super) async fn edit(&mut self, asked: AskedEdit) {
        let wanted = match self.config.store {
            Store::Etcd { .. } => self.unknown(&asked.edits),
            Store::Embedded { .. } | Store::Memory => Vec::new(),
        };
        if wanted.is_empty() {
            return self.make(asked).await;
        }
        let (store, found) = (self.store.clone(), self.found.clone());
        tokio::spawn(async move {
            let leases = store.find(wanted).await;
            // The supervisor has ended: so will the process.
            let _ = found.send(FoundForEdit { asked, leases }).await;
        });
    }

    /// Goes on with an edit once the store has said what other nodes have to do with it.
    pub(super) async fn edit_with(&mut self, FoundForEdit { asked, leases }: FoundForEdit) {
        let leases = match leases {
            Ok(leases) => leases,
            Err(StoreError(error)) => {
                let text = format!("{error}; nothing was changed");
                let _ = asked.answer.send(Said::Answer(Answer::StoreFailed(text)));
                return;
            }
        };
        let mut concerned = BTreeSet::new();
        for lease in leases {
            // What this node has begun to write since meets the other there.
            if self.table.get(&lease.key).is_none() && self.writes.is_written(&lease.key) {
                concerned.extend(self.table.adopt(lease));
            }
        }
        self.reconcile(self.ports_of(&concerned)).await;
        self.make(asked).await;
    }

    /// Returns what the edits name and this node does not know.
    fn unknown(&self, edits: &[Edit]) -> Vec<Wanted> {
        let mut wanted = Vec::new();
        for edit in edits {
            let (key, holdings) = match edit {
                Edit::Hold { key, holdings, .. } => (key, holdings.as_slice()),
                Edit::Release { key } => (key, &[][..]),
                Edit::Move { key, holding } => (key, std::slice::from_ref(holding)),
            };
            if key.nic.is_any() {
                wanted.push(Wanted::Vm(key.clone()));
            } else if self.table.get(key).is_none() {
                wanted.push(Wanted::Lease(key.clone()));
            }
            let of_others = holdings
                .iter()
                .filter(|holding| self.table.holder_of(&key.network, **holding).is_none());
            wanted.extend(of_others.map(|holding| Wanted::Holder(key.network.clone(), *holding)));
        }
        wanted
    }

    async fn make(&mut self, AskedEdit { edits, force, answer }: AskedEdit) {
        let served = if force { Vec::new() } else { self.served(&edits) };
        if !served.is_empty() {
            let _ = answer.send(Said::Answer(Answer::Edited(Err(served))));
            return;
        }
        let occasion = Occasion { node: &self.config.node, wall: clock::wall() };
        match self.table.edit(&self.config.networks, &edits, occasion) {
            Err(errors) => {
                let errors = errors.iter().map(ToString::to_string).collect();
                let _ = answer.send(Said::Answer(Answer::Edited(Err(errors))));
            }
            Ok(keys) => {
                for key in &keys {
                    self.writes.note(key, LeaseChange::Addresses);
                }
                tell(&keys);
                let concerned = concerned(&self.entries, &keys);
                self.edits.waiting.push((keys, answer));
                self.reconcile(concerned).await;
                self.edits.settle(&self.writes);
            }
        }
    }

    /// Names the ports that serve a lease which would go.
    fn served(&self, edits: &[Edit]) -> Vec<String> {
        let loses = |edit: &Edit| match edit {
            Edit::Hold { .. } => None,
            Edit::Release { key } => Some(key.clone()),
            Edit::Move { key, holding } => self
                .table
                .holder_of(&key.network, *holding)
                .filter(|holder| *holder != key && !is_of_same_vm(key, holder))
                .cloned(),
        };
        let losing: BTreeSet<LeaseKey> = edits.iter().filter_map(loses).collect();
        let serves = |key: &LeaseKey| {
            self.entries.of(key).find(|interface| {
                self.entries.get(interface).is_some_and(|entry| entry.state == PortState::Serving)
            })
        };
        let say = |key: &LeaseKey| {
            let interface = serves(key)?;
            Some(format!(
                "{} {} is served on port {interface}; stop the VM first, or add --force",
                key.vm, key.nic
            ))
        };
        losing.iter().filter_map(say).collect()
    }
}

/// Logs what a command changed: an import is one line.
fn tell(keys: &[LeaseKey]) {
    if let Some(LeaseKey { network, vm, nic }) = keys.first() {
        let more = keys.len().saturating_sub(1);
        tracing::info!(%network, %vm, %nic, more, "leases are changed by a command");
    }
}

/// Tells whether whichever NIC is meant, and this is one of that VM's.
fn is_of_same_vm(meant: &LeaseKey, nic: &LeaseKey) -> bool {
    meant.nic.is_any() && meant.for_any_nic() == nic.for_any_nic()
}

/// Returns the ports of these leases, and those that wait for an address of their networks.
fn concerned(entries: &Entries, keys: &[LeaseKey]) -> BTreeSet<String> {
    let keys: BTreeSet<&LeaseKey> = keys.iter().collect();
    let networks: BTreeSet<_> = keys.iter().map(|key| &key.network).collect();
    let is_concerned = |entry: &Entry| {
        entry.lease.as_ref().is_some_and(|lease| {
            keys.contains(&lease.key) || keys.contains(&lease.key.for_any_nic())
        }) || (entry.state == PortState::NoAddress
            && entry.network.as_ref().is_some_and(|n| networks.contains(&n.name)))
    };
    let concerned = entries.iter().filter(|(_, entry)| is_concerned(entry));
    concerned.map(|(interface, _)| interface.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::daemon::supervisor::nothing_to_give;
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
}
