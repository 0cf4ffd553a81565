//! Edits of the lease table, asked for over the control socket.
//!
//! An edit is answered once the store has it, so that what an admin was told outlives the process.

use std::collections::BTreeSet;

use tokio::sync::oneshot;

use super::control_socket::Said;
use super::entries::Entry;
use super::supervisor::Supervisor;
use super::writes::Writes;
use crate::clock;
use crate::control::{Answer, PortState};
use crate::lease::{Edit, LeaseChange, LeaseKey, Occasion};

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

impl Supervisor {
    /// Changes the lease table; the ports that are concerned follow.
    pub(super) async fn edit(
        &mut self,
        edits: &[Edit],
        force: bool,
        answer: oneshot::Sender<Said>,
    ) {
        let served = if force { Vec::new() } else { self.served(edits) };
        if !served.is_empty() {
            let _ = answer.send(Said::Answer(Answer::Edited(Err(served))));
            return;
        }
        let occasion = Occasion { node: &self.config.node, wall: clock::wall() };
        match self.table.edit(&self.config.networks, edits, occasion) {
            Err(errors) => {
                let errors = errors.iter().map(ToString::to_string).collect();
                let _ = answer.send(Said::Answer(Answer::Edited(Err(errors))));
            }
            Ok(keys) => {
                for key in &keys {
                    self.writes.note(key, LeaseChange::Addresses);
                }
                let concerned = self.concerned(&keys);
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
            Edit::Move { key, address } => {
                self.table.holder(&key.network, *address).filter(|holder| *holder != key).cloned()
            }
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

    /// Returns the ports of these leases, and those that wait for an address of their networks.
    fn concerned(&self, keys: &[LeaseKey]) -> BTreeSet<String> {
        let keys: BTreeSet<&LeaseKey> = keys.iter().collect();
        let networks: BTreeSet<_> = keys.iter().map(|key| &key.network).collect();
        let is_concerned = |entry: &Entry| {
            entry.lease.as_ref().is_some_and(|lease| keys.contains(&lease.key))
                || (entry.state == PortState::NoAddress
                    && entry.network.as_ref().is_some_and(|n| networks.contains(&n.name)))
        };
        let concerned = self.entries.iter().filter(|(_, entry)| is_concerned(entry));
        concerned.map(|(interface, _)| interface.clone()).collect()
    }
}
