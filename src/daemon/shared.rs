//! What a store that nodes share says of other nodes: the shared table is right, and the lease
//! table in memory follows it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::supervisor::Supervisor;
use crate::clock;
use crate::config::Store;
use crate::control::PortState;
use crate::lease::{Assignment, Holding, LeaseChange, LeaseKey, NoAddress};
use crate::store::{News, Refused, StoreError, Wanted};

impl Supervisor {
    /// Takes back a change that the store refused. Returns the leases that it concerns.
    pub(super) async fn refused(&mut self, refused: Refused) -> BTreeSet<LeaseKey> {
        let Refused { key, now, taken } = refused;
        let mut concerned = match now {
            Some(now) => {
                let node = now.node.clone();
                let concerned = self.table.adopt(*now);
                self.heard_on(&key, &node).await;
                concerned
            }
            None => {
                self.table.remove(&key);
                BTreeSet::new()
            }
        };
        for taken in taken {
            match taken.what {
                Holding::Address(address) => {
                    concerned.extend(self.table.occupy(&taken.holder, address));
                }
                Holding::Prefix(prefix) => {
                    concerned.extend(self.table.occupy_prefix(&taken.holder, prefix));
                }
            }
        }
        concerned.insert(key);
        concerned
    }

    /// Takes what the store says unasked.
    pub(super) async fn news(&mut self, news: News) {
        match news {
            News::Lease(key, now) => {
                if !self.writes.may_hear(&key) {
                    return;
                }
                match now {
                    Some(mut now) => {
                        let old = self.table.get(&key);
                        // What was heard here since is not written down at once.
                        now.last_seen = now.last_seen.max(old.and_then(|old| old.last_seen));
                        if old == Some(&*now) {
                            return;
                        }
                        let is_moved = old.is_none_or(|old| {
                            (old.ipv4, old.ipv6, old.prefix) != (now.ipv4, now.ipv6, now.prefix)
                        });
                        let went_to =
                            (old.is_some_and(|old| old.node != now.node)).then(|| now.node.clone());
                        let mut concerned = self.table.adopt(*now);
                        if let Some(node) = went_to {
                            self.heard_on(&key, &node).await;
                        }
                        // For this node's copy.
                        self.writes.note(&key, LeaseChange::Details);
                        if is_moved {
                            tracing::info!(vm = %key.vm, "another node changed the VM's addresses");
                            concerned.insert(key);
                        }
                        self.reconcile(self.ports_of(&concerned)).await;
                    }
                    // A VM that is here keeps what it has: the lease is written again.
                    None if !self.ports_of(&BTreeSet::from([key.clone()])).is_empty() => {
                        self.writes.note(&key, LeaseChange::Details);
                        self.write();
                    }
                    None => {
                        if self.table.remove(&key).is_some() {
                            self.writes.note(&key, LeaseChange::Details);
                            self.write();
                        }
                    }
                }
            }
            News::Up => {
                self.metrics.store(self.config.store.backend()).set_up(true);
                if self.writes.up() {
                    tracing::info!("the lease store works again");
                }
                // What waits need not wait any longer.
                self.retry().await;
            }
            News::Down(reason) => {
                self.metrics.store(self.config.store.backend()).set_up(false);
                if self.writes.down(&reason) {
                    tracing::warn!(
                        %reason,
                        "the lease store is down; known VMs are served on, new ones wait"
                    );
                }
            }
        }
    }

    /// Asks once more for the news that came while their leases were on the way to the store.
    pub(super) fn ask_for_missed_news(&mut self) {
        let missed: Vec<Wanted> =
            self.writes.take_missed().into_iter().map(Wanted::Again).collect();
        if missed.is_empty() {
            return;
        }
        let store = self.store.clone();
        tokio::spawn(async move {
            if let Err(StoreError(error)) = store.find(missed).await {
                tracing::debug!(%error, "asking for news again");
            }
        });
    }

    /// Lists ports that wait for the store with the reason.
    pub(super) async fn tell_waiting(&mut self) {
        let waiting = self.entries.iter().filter(|(_, entry)| {
            let lease = entry.lease.as_ref();
            entry.state == PortState::NoAddress
                && lease.is_some_and(|lease| !self.writes.is_durable(&lease.key))
        });
        let waiting = waiting.map(|(interface, _)| interface.clone()).collect();
        self.reconcile(waiting).await;
    }

    /// Has a port that lacks an address looked at again later, if what it lacks may become free on
    /// another node without a word.
    pub(super) fn note_lack(&mut self, interface: &str, assignment: &Assignment) {
        let may_end = |reason: &Option<NoAddress>| match reason {
            Some(NoAddress::Exhausted(_) | NoAddress::NoPrefixLeft | NoAddress::Held { .. }) => {
                true
            }
            Some(NoAddress::NotReserved(_)) | None => false,
        };
        let lacks = [&assignment.no_ipv4, &assignment.no_ipv6, &assignment.no_prefix]
            .into_iter()
            .any(may_end);
        if lacks && matches!(self.config.store, Store::Etcd { .. }) {
            self.lacking.insert(interface.to_owned());
            self.lacking_at.get_or_insert_with(|| clock::mono().after(LOOK_AGAIN));
        }
    }

    /// Forgets what other nodes held a while ago, and tries anew where that stands in the way.
    pub(super) async fn look_again(&mut self) {
        self.lacking_at = None;
        self.table.forget_occupied();
        let lacking = std::mem::take(&mut self.lacking);
        self.reconcile(lacking).await;
    }
}

/// How long other nodes' addresses are believed to be held while a VM here lacks one.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
