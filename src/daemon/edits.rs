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
            let _ = answer.send(Said::Answer(Answer::Edited(Err(vec![text]))));
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
                let _ = asked.answer.send(Said::Answer(Answer::Edited(Err(vec![text]))));
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
mod tests;
