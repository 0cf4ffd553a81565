//! Leases in etcd, shared by every node, with a copy on this node's disk.
//!
//! etcd decides: a lease is written there in one transaction with its addresses, then to the copy,
//! and only then may it be served. The copy holds what concerns this node, the leases that it served
//! last; with etcd gone the node answers for all of them, over its own restart too.
//!
//! A node reads no lease but those of its own VMs. A newcomer's address is the one that its hash
//! prefers; whether it is free, and whether the VM has a lease already, the transaction finds out.

mod connection;
mod keys;
mod together;
mod transaction;
mod watch;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc;

use connection::Connection;
use keys::Layout;
use together::{STEPS_MAX, Step};
use transaction::{ForAnyNic, Known, Proposal, Put, Removal};
use watch::Watch;

use super::shared::{News, Refused, Wanted};
use super::{Change, EmbeddedStore, LeaseStore, Loaded, OpenError, StoreError};
use crate::config;
use crate::lease::{Holding, Lease, LeaseKey};

/// The shared lease table, and this node's copy of its part of it.
#[derive(Debug)]
pub struct EtcdStore {
    copy: EmbeddedStore,
    node: String,
    runtime: Handle,
    connection: Arc<Connection>,
    layout: Layout,
    /// The leases that were read or written, as they were then.
    known: HashMap<LeaseKey, Known>,
    /// How often in a row others held what a lease would have taken.
    taken: HashMap<LeaseKey, u32>,
    /// The leases to be watched, once somebody watches.
    watched: Vec<LeaseKey>,
    wanted: Option<mpsc::UnboundedSender<LeaseKey>>,
    /// Leases that the watch found deleted, and the revision at which they were not there.
    gone: Option<mpsc::UnboundedReceiver<(LeaseKey, i64)>>,
    /// Leases that the copy does not have as they are known.
    uncopied: HashSet<LeaseKey>,
    /// Whether a VM waits for what could not be written.
    waits: tokio::sync::watch::Sender<bool>,
}

impl EtcdStore {
    /// Opens the copy in `path`; etcd itself is asked later. Must be called, as must every method,
    /// on a thread that may block and belongs to a runtime.
    ///
    /// # Errors
    /// [`OpenError`] if the copy cannot be used.
    pub fn open(path: &Path, etcd: &config::Etcd, node: &str) -> Result<Self, OpenError> {
        let runtime = Handle::try_current()
            .map_err(|error| OpenError::Unusable(format!("connecting to etcd: {error}")))?;
        Ok(Self {
            copy: EmbeddedStore::open(path)?,
            node: node.to_owned(),
            runtime,
            connection: Arc::new(Connection::new(etcd.clone(), node)),
            layout: Layout::new(&etcd.prefix),
            known: HashMap::new(),
            taken: HashMap::new(),
            watched: Vec::new(),
            wanted: None,
            gone: None,
            uncopied: HashSet::new(),
            waits: tokio::sync::watch::Sender::new(false),
        })
    }

    /// Compares the copy with etcd: keeps what this node served last, as it is there.
    async fn compare(&mut self, copied: Vec<Lease>) -> Result<Vec<Lease>, StoreError> {
        let keys: Vec<LeaseKey> = copied.iter().map(|lease| lease.key.clone()).collect();
        let found = transaction::get(&self.connection, &self.layout, &keys).await?.leases;
        // Not one of them is there: etcd was emptied, and this node gives it what it knows.
        let is_emptied = found.iter().all(|found| matches!(found, Ok(None)));
        let mut leases = Vec::new();
        let mut changes = Vec::new();
        let mut renumbered = HashSet::new();
        for (copy, found) in copied.into_iter().zip(found) {
            let known = match found {
                Ok(None) if is_emptied => {
                    let proposal =
                        Proposal { lease: &copy, base: None, for_any: ForAnyNic::NotThere };
                    match transaction::put(&self.connection, &self.layout, proposal).await? {
                        Put::Done(known) => Some(known),
                        Put::Refused(now, _) => now,
                        // Another node has put that there: this VM's lease is looked at again.
                        Put::KeptForAny(_) => {
                            leases.push(copy);
                            continue;
                        }
                    }
                }
                Ok(found) => found,
                Err(error) => {
                    tracing::error!("{error}");
                    leases.push(copy);
                    continue;
                }
            };
            match known {
                Some(known) if known.lease.node == self.node => {
                    if known.lease != copy {
                        changes.push(Change::Put(known.lease.clone()));
                    }
                    if Holding::of(&known.lease).ne(Holding::of(&copy)) {
                        renumbered.insert(copy.key.clone());
                    }
                    leases.push(known.lease.clone());
                    self.known.insert(copy.key, known);
                }
                // Released, or served by another node since: should the VM come here, it is read.
                Some(_) | None => changes.push(Change::Delete(copy.key)),
            }
        }
        if let Err(StoreError(error)) = self.copy.write(&changes) {
            tracing::error!(%error, "bringing the copy to what etcd says");
            // What a lease has come to hold is not served before the copy has it: its VM is looked
            // at as a newcomer is.
            leases.retain(|lease| !renumbered.contains(&lease.key));
            self.known.retain(|key, _| !renumbered.contains(key));
        }
        Ok(leases)
    }

    async fn share(&mut self, changes: &[Change]) -> Result<Vec<Refused>, StoreError> {
        // The last word on each lease is the one that counts.
        let mut last = BTreeMap::new();
        for change in changes {
            last.insert(change.key(), change);
        }
        self.forget_gone();
        let waits = last.values().any(|change| self.is_awaited(change));
        let writes = last.into_values().filter(|change| match change {
            Change::Put(lease) => {
                self.uncopied.contains(&lease.key)
                    || self.known.get(&lease.key).is_none_or(|known| known.lease != *lease)
            }
            Change::Delete(_) => true,
        });
        let (connection, layout) = (&self.connection, &self.layout);
        let steps = writes.map(|change| {
            let key = change.key();
            let base = self.known.get(key).cloned();
            let for_any = match key.nic.is_any() || self.known.contains_key(&key.for_any_nic()) {
                true => ForAnyNic::Known,
                false => ForAnyNic::NotThere,
            };
            Step { change, base, for_any }
        });
        let mut failure = None;
        let (mut groups, rest): (Vec<_>, Vec<_>) = together::groups(steps.collect())
            .into_iter()
            .partition(|group| group.iter().any(Step::gives_up));
        // Whether etcd makes a change is unknown when its answer is lost: what may be another's from
        // then on must not come back from the copy.
        let given_up: Vec<Change> =
            groups.iter().flatten().filter_map(Step::left_until_done).collect();
        if !given_up.is_empty() {
            match self.copy.write(&given_up) {
                Ok(_) => self.uncopied.extend(given_up.iter().map(|change| change.key().clone())),
                Err(error) => {
                    groups.clear();
                    failure = Some(error);
                }
            }
        }
        groups.extend(rest);
        let node = self.node.as_str();
        let written = stream::iter(groups).map(|group| write((connection, layout), node, group));
        let mut written = written.buffer_unordered(AT_ONCE);
        let mut done = Vec::new();
        while let Some(result) = written.next().await {
            match result {
                Ok(puts) => done.extend(puts),
                Err(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        drop(written);
        // What etcd has is kept even if the rest failed; the rest is tried again. Nobody is told of
        // a refusal then: it must not pass for what the next try is made from.
        if failure.is_some() {
            done.retain(|(change, put)| is_made(change, put));
        }
        let refused = self.keep(done).await?;
        self.waits.send_replace(waits && failure.is_some());
        match failure {
            None => Ok(refused),
            Some(error) => Err(error),
        }
    }

    /// Forgets what is not in etcd any more, so that it is written again where it is wanted.
    fn forget_gone(&mut self) {
        while let Some(Ok((key, revision))) =
            self.gone.as_mut().map(mpsc::UnboundedReceiver::try_recv)
        {
            if self.known.get(&key).is_some_and(|known| known.revision < revision) {
                self.known.remove(&key);
            }
        }
    }

    /// Tells whether a VM is not served before this is written: it has other addresses by it.
    fn is_awaited(&self, change: &Change) -> bool {
        match change {
            Change::Put(lease) => self
                .known
                .get(&lease.key)
                .is_none_or(|known| Holding::of(&known.lease).ne(Holding::of(lease))),
            Change::Delete(_) => false,
        }
    }

    /// Reads leases that this node does not know; it knows and watches them from then on.
    async fn read(&mut self, wanted: &[Wanted]) -> Result<Vec<Lease>, StoreError> {
        let mut again = Vec::new();
        let (connection, layout) = (&self.connection, &self.layout);
        let held = wanted.iter().filter_map(|wanted| match wanted {
            Wanted::Lease(_) | Wanted::Vm(_) | Wanted::Again(_) => None,
            Wanted::Holder(network, holding) => Some(layout.holding(network.as_str(), *holding)),
        });
        let holders = transaction::holders(connection, layout, &held.collect::<Vec<_>>()).await?;
        let mut keys: BTreeSet<LeaseKey> = holders.into_iter().collect();
        keys.extend(wanted.iter().filter_map(|wanted| match wanted {
            Wanted::Lease(key) => Some(key.clone()),
            Wanted::Vm(_) | Wanted::Holder(..) | Wanted::Again(_) => None,
        }));
        for wanted in wanted {
            match wanted {
                Wanted::Vm(key) => {
                    let found = transaction::list(connection, &layout.leases_of_vm(key)).await?;
                    keys.extend(found.iter().filter_map(|held| layout.parse_lease(held.key())));
                }
                Wanted::Again(key) => again.push(key),
                Wanted::Lease(_) | Wanted::Holder(..) => {}
            }
        }
        // What it knows it hears of, and its own changes of that may be under way.
        let keys: Vec<LeaseKey> =
            keys.into_iter().filter(|key| !self.known.contains_key(key)).collect();
        let mut leases = Vec::new();
        for found in transaction::get(connection, layout, &keys).await?.leases {
            let Some(known) = found? else { continue };
            leases.push(known.lease.clone());
            self.know(known);
        }
        // The watch tells of them after whatever it has told already.
        for key in again {
            self.watch_too(key);
        }
        Ok(leases)
    }

    /// Brings the copy, what is known and the watch to what etcd said. Where the copy cannot be
    /// written, what was refused is refused once more, and what was made is made again.
    async fn keep(&mut self, done: Vec<(&Change, Put)>) -> Result<Vec<Refused>, StoreError> {
        let mut copies = Vec::new();
        let mut learnt = Vec::new();
        let mut refused = Vec::new();
        for (change, put) in done {
            let key = change.key();
            let (now, mut taken, is_refused) = match (change, put) {
                (_, Put::Done(known)) => {
                    // What comes next is made from this, whatever becomes of the copy.
                    self.uncopied.insert(key.clone());
                    self.know(known.clone());
                    (Some(known), Vec::new(), false)
                }
                // Deleted, as it should be.
                (Change::Delete(_), Put::Refused(None, _)) => (None, Vec::new(), false),
                (_, Put::Refused(now, taken)) => (now, taken, true),
                // What is kept for whichever NIC asks first has to go to this one.
                (_, Put::KeptForAny(kept)) => {
                    let lease = kept.lease.clone();
                    copies.push(Change::Put(lease.clone()));
                    let (key, now) = (lease.key.clone(), Some(Box::new(lease)));
                    refused.push(Refused { key: key.clone(), now, taken: Vec::new() });
                    learnt.push((key, Some(kept)));
                    (self.known.get(change.key()).cloned(), Vec::new(), true)
                }
            };
            if taken.is_empty() {
                self.taken.remove(key);
            } else {
                let times = self.taken.entry(key.clone()).or_default();
                *times = times.saturating_add(1);
                if *times >= CROWDED {
                    // A crowded network: rather than try address after address, see them all.
                    *times = 0;
                    let network = key.network.as_str();
                    let all = transaction::taken(&self.connection, &self.layout, network).await;
                    // Else the one that is known is gone round.
                    if let Ok(all) = all {
                        taken = all.into_iter().filter(|taken| taken.holder != *key).collect();
                    }
                }
            }
            copies.push(match &now {
                Some(known) => Change::Put(known.lease.clone()),
                None => Change::Delete(key.clone()),
            });
            if is_refused {
                let now = now.as_ref().map(|known| Box::new(known.lease.clone()));
                refused.push(Refused { key: key.clone(), now, taken });
            }
            learnt.push((key.clone(), now));
        }
        if !copies.is_empty() {
            self.copy.write(&copies)?;
        }
        for (key, now) in learnt {
            self.uncopied.remove(&key);
            match now {
                Some(known) => self.know(known),
                None => {
                    self.known.remove(&key);
                }
            }
        }
        Ok(refused)
    }

    fn know(&mut self, known: Known) {
        let key = known.lease.key.clone();
        if self.known.insert(key.clone(), known).is_none() {
            self.watch_too(&key);
        }
    }

    fn watch_too(&mut self, key: &LeaseKey) {
        match &self.wanted {
            // Nobody watches any more: the process ends.
            Some(wanted) => drop(wanted.send(key.clone())),
            None => self.watched.push(key.clone()),
        }
    }
}

impl LeaseStore for EtcdStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let Loaded { leases, damaged, withheld } = self.copy.load()?;
        let copied = leases.clone();
        let runtime = self.runtime.clone();
        let leases = match runtime.block_on(self.compare(copied)) {
            Ok(compared) => compared,
            Err(error) => {
                tracing::warn!(
                    "{error}; the VMs that this node served last are served from its copy"
                );
                leases
            }
        };
        self.watched = leases.iter().map(|lease| lease.key.clone()).collect();
        Ok(Loaded { leases, damaged, withheld })
    }

    fn write(&mut self, changes: &[Change]) -> Result<Vec<Refused>, StoreError> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.share(changes))
    }

    fn find(&mut self, wanted: &[Wanted]) -> Result<Vec<Lease>, StoreError> {
        let runtime = self.runtime.clone();
        runtime.block_on(self.read(wanted))
    }

    fn watch(&mut self) -> Option<mpsc::Receiver<News>> {
        let (wanted, wants) = mpsc::unbounded_channel();
        let (news, said) = mpsc::channel(QUEUE);
        let (gone, went) = mpsc::unbounded_channel();
        let watch = Watch {
            connection: Arc::clone(&self.connection),
            layout: self.layout.clone(),
            keys: std::mem::take(&mut self.watched).into_iter().collect(),
            wanted: wants,
            news,
            gone,
            waits: self.waits.subscribe(),
            salt: crc32fast::hash(self.node.as_bytes()),
        };
        self.wanted = Some(wanted);
        self.gone = Some(went);
        self.runtime.spawn(watch.run());
        Some(said)
    }
}

/// Tells whether a change is in etcd as it was asked for.
const fn is_made(change: &Change, put: &Put) -> bool {
    match (change, put) {
        (_, Put::Done(_)) | (Change::Delete(_), Put::Refused(None, _)) => true,
        (_, Put::Refused(..) | Put::KeptForAny(_)) => false,
    }
}

/// Makes changes that belong together; a change that belongs with no other is one alone.
async fn write<'a>(
    (connection, layout): (&Connection, &Layout),
    node: &str,
    group: Vec<Step<'a>>,
) -> Result<Vec<(&'a Change, Put)>, StoreError> {
    if (2..=STEPS_MAX).contains(&group.len()) {
        let puts = together::write(connection, layout, &group).await?;
        return Ok(group.iter().map(|step| step.change).zip(puts).collect());
    }
    let mut done = Vec::with_capacity(group.len());
    // Too many for one transaction: what is given up first, then what takes it.
    let (gone, kept): (Vec<_>, Vec<_>) =
        group.into_iter().partition(|step| matches!(step.change, Change::Delete(_)));
    for Step { change, base, for_any } in gone.into_iter().chain(kept) {
        let put = match change {
            Change::Put(lease) => {
                let proposal = Proposal { lease, base, for_any };
                transaction::put(connection, layout, proposal).await?
            }
            Change::Delete(key) => {
                let removal = Removal { key, base, node };
                let left = transaction::delete(connection, layout, removal).await?;
                Put::Refused(left, Vec::new())
            }
        };
        done.push((change, put));
    }
    Ok(done)
}

/// Reads every lease of the shared table, for a command that is no daemon.
///
/// # Errors
/// A line that says what failed.
pub(super) fn list(etcd: &config::Etcd) -> Result<Vec<Lease>, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("starting the runtime: {error}"))?;
    let layout = Layout::new(&etcd.prefix);
    let connection = Connection::new(etcd.clone(), "");
    let found = runtime.block_on(transaction::list(&connection, &layout.leases()));
    let found = found.map_err(|error| error.to_string())?;
    let mut leases = Vec::with_capacity(found.len());
    for held in &found {
        match transaction::parse(&layout, held) {
            Ok(known) => leases.push(known.lease),
            Err(error) => tracing::error!("{error}"),
        }
    }
    Ok(leases)
}

/// Leases that are written at once.
const AT_ONCE: usize = 32;

/// How many addresses that others hold are met one by one.
const CROWDED: u32 = 4;

/// News that may wait to be taken.
const QUEUE: usize = 256;
