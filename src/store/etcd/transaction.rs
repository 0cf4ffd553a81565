//! One lease and its addresses, written whole or not at all.
//!
//! A lease is written only if it is still what this node last read, and an address only if nobody
//! holds it or it is the lease's own already. So whoever comes first has it, on whichever node.

use std::collections::BTreeSet;

use etcd_client::{
    Client, Compare, CompareOp, GetOptions, KeyValue, Txn, TxnOp, TxnOpResponse, TxnResponse,
};

use super::connection::Connection;
use super::keys::Layout;
use crate::lease::{Holding, Lease, LeaseKey};
use crate::store::StoreError;
use crate::store::shared::Taken;

/// A lease as it is in etcd.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Known {
    /// The revision that last changed it.
    pub(super) revision: i64,
    /// What it says.
    pub(super) lease: Lease,
}

/// How the writing of a lease ended.
#[derive(Debug, PartialEq)]
pub(super) enum Put {
    /// It is in etcd, and with it its addresses.
    Done(Known),
    /// It is not: the lease as it is in etcd, if it is, and what others hold.
    Refused(Option<Known>, Vec<Taken>),
    /// It is not: this is kept for whichever NIC of its VM asks first, and goes with it.
    KeptForAny(Known),
}

/// A lease that is to be written.
#[derive(Debug)]
pub(super) struct Proposal<'a> {
    pub(super) lease: &'a Lease,
    /// What it was made from.
    pub(super) base: Option<Known>,
    pub(super) for_any: ForAnyNic,
}

/// What this node believes of what is kept for whichever NIC of a VM asks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ForAnyNic {
    /// It is there, or it is what is written: it is no obstacle.
    Known,
    /// There is nothing; if there is, it has to be known first.
    NotThere,
}

/// Writes a lease.
///
/// # Errors
/// [`StoreError`] if etcd does not answer, or holds what is no lease.
pub(super) async fn put(
    connection: &Connection,
    layout: &Layout,
    Proposal { lease, mut base, for_any }: Proposal<'_>,
) -> Result<Put, StoreError> {
    // The same for every lease: trouble is one thing to tell, however many leases wait.
    let doing = "writing leases";
    let key = layout.lease(&lease.key);
    // Addresses that were found to be this lease's own although it is not there.
    let mut own = BTreeSet::new();
    for _ in 0..ATTEMPTS {
        let attempt = Attempt { layout, key: &key, lease, base: base.as_ref(), for_any, own: &own };
        let transaction = attempt.transaction().map_err(|error| failed(doing, &error))?;
        let answer = commit(connection, doing, &transaction).await?;
        if answer.succeeded() {
            let revision = answer.header().map_or(0, |header| header.revision());
            return Ok(Put::Done(Known { revision, lease: lease.clone() }));
        }
        let Found { now, other_nic, held } = read(layout, &lease.key, answer.op_responses())?;
        let is_done = now.as_ref().is_some_and(|now| now.lease.is_same_but_for_last_seen(lease));
        if let Some(other) = other_nic.filter(|_| !is_done) {
            return Ok(match lease.key.nic.is_any() {
                // One of the VM's NICs has a lease: that is the one which is meant.
                true => Put::Refused(now, Vec::new()),
                false => Put::KeptForAny(other),
            });
        }
        match now {
            // Written by a call whose answer was lost, or by a node that decided alike.
            Some(now) if is_done && now.lease.last_seen >= lease.last_seen => {
                return Ok(Put::Done(now));
            }
            // The guest was heard here since.
            Some(now) if is_done => {
                base = Some(now);
                continue;
            }
            Some(now) if base.as_ref().is_none_or(|base| base.revision != now.revision) => {
                return Ok(Put::Refused(Some(now), Vec::new()));
            }
            // Released by hand, or lost by etcd: the VM is here and keeps what it has.
            None if base.is_some() => {
                base = None;
                continue;
            }
            Some(_) | None => {}
        }
        let (ours, taken): (Vec<_>, Vec<_>) =
            held.into_iter().partition(|held| held.holder == lease.key);
        if !taken.is_empty() {
            return Ok(Put::Refused(base, taken));
        }
        own.extend(ours.into_iter().map(|held| held.what));
    }
    Err(StoreError(format!("{doing} in etcd: it changes all the time; it is tried again")))
}

/// A lease that is to be taken out.
#[derive(Debug)]
pub(super) struct Removal<'a> {
    pub(super) key: &'a LeaseKey,
    /// As it was when that was decided; `None`: this node had not read it.
    pub(super) base: Option<Known>,
    /// This node.
    pub(super) node: &'a str,
}

/// Takes a lease out, and frees its addresses. One that is not there is no error; one that changed
/// meanwhile is left and returned, as is one that another node serves and this one had not read.
///
/// # Errors
/// [`StoreError`] if etcd does not answer, or holds what is no lease.
pub(super) async fn delete(
    connection: &Connection,
    layout: &Layout,
    Removal { key, base, node }: Removal<'_>,
) -> Result<Option<Known>, StoreError> {
    let doing = "deleting leases";
    let name = layout.lease(key);
    let base = match base {
        Some(base) => base,
        None => match get(connection, layout, std::slice::from_ref(key)).await?.leases.pop() {
            Some(now) => match now? {
                Some(now) if now.lease.node != node => return Ok(Some(now)),
                Some(now) => now,
                None => return Ok(None),
            },
            None => return Ok(None),
        },
    };
    let mut operations = vec![TxnOp::delete(name.clone(), None)];
    for holding in Holding::of(&base.lease) {
        operations.push(TxnOp::delete(layout.holding(key.network.as_str(), holding), None));
    }
    let transaction = Txn::new()
        .when([Compare::mod_revision(name.clone(), CompareOp::Equal, base.revision)])
        .and_then(operations)
        .or_else([TxnOp::get(name, None)]);
    let answer = commit(connection, doing, &transaction).await?;
    if answer.succeeded() {
        return Ok(None);
    }
    read(layout, key, answer.op_responses()).map(|found| found.now)
}

/// Leases as they were at one moment, or since.
#[derive(Debug, Default)]
pub(super) struct Snapshot {
    /// The revision at that moment.
    pub(super) revision: i64,
    /// One for each key; `None`: there is none; an error: it is no lease.
    pub(super) leases: Vec<Result<Option<Known>, StoreError>>,
}

/// Reads leases, in the order of `keys`, up to [`OPERATIONS`] of them at one moment.
///
/// # Errors
/// [`StoreError`] if etcd does not answer.
pub(super) async fn get(
    connection: &Connection,
    layout: &Layout,
    keys: &[LeaseKey],
) -> Result<Snapshot, StoreError> {
    let mut found: Option<Snapshot> = None;
    for some in keys.chunks(OPERATIONS) {
        let gets: Vec<TxnOp> = some.iter().map(|key| TxnOp::get(layout.lease(key), None)).collect();
        let transaction = Txn::new().and_then(gets);
        let answer = commit(connection, "reading leases", &transaction).await?;
        let revision = answer.header().map_or(0, |header| header.revision());
        let found = found.get_or_insert(Snapshot { revision, leases: Vec::new() });
        for (key, response) in some.iter().zip(answer.op_responses()) {
            found.leases.push(read(layout, key, vec![response]).map(|found| found.now));
        }
    }
    Ok(found.unwrap_or_default())
}

/// Reads who holds what `names` names, the keys of addresses and prefixes; what nobody holds is left
/// out.
///
/// # Errors
/// [`StoreError`] if etcd does not answer.
pub(super) async fn holders(
    connection: &Connection,
    layout: &Layout,
    names: &[String],
) -> Result<Vec<LeaseKey>, StoreError> {
    let mut holders = Vec::new();
    for some in names.chunks(OPERATIONS) {
        let gets: Vec<TxnOp> = some.iter().map(|name| TxnOp::get(name.as_str(), None)).collect();
        let transaction = Txn::new().and_then(gets);
        let answer = commit(connection, "reading addresses", &transaction).await?;
        let held = values(answer.op_responses());
        holders.extend(held.filter_map(|held| layout.parse_lease(held.value())));
    }
    Ok(holders)
}

/// Reads everything that begins with `prefix`, page by page.
///
/// # Errors
/// [`StoreError`] if etcd does not answer.
pub(super) async fn list(
    connection: &Connection,
    prefix: &str,
) -> Result<Vec<KeyValue>, StoreError> {
    let mut from = prefix.as_bytes().to_vec();
    // The first key behind all those that begin with the prefix: its last byte is a slash.
    let mut end = from.clone();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    let mut revision = 0;
    let mut found = Vec::new();
    loop {
        let options =
            GetOptions::new().with_range(end.clone()).with_limit(PAGE).with_revision(revision);
        let ask = |mut client: Client| {
            let (from, options) = (from.clone(), options.clone());
            async move { client.get(from, Some(options)).await }
        };
        let mut page = connection.call("listing leases", ask).await?;
        // Every page shows the same moment.
        revision = page.header().map_or(0, |header| header.revision());
        let more = page.more();
        found.extend(page.take_kvs());
        match found.last() {
            Some(last) if more => {
                from = last.key().to_vec();
                from.push(0);
            }
            Some(_) | None => return Ok(found),
        }
    }
}

/// Reads every address of a network that is held.
///
/// # Errors
/// [`StoreError`] if etcd does not answer.
pub(super) async fn taken(
    connection: &Connection,
    layout: &Layout,
    network: &str,
) -> Result<Vec<Taken>, StoreError> {
    let held = list(connection, &layout.holdings(network)).await?;
    Ok(held.iter().filter_map(|held| taken_by(layout, network, held)).collect())
}

/// Reads a lease as it stands in etcd.
///
/// # Errors
/// [`StoreError`] if it is no lease, or another's.
pub(super) fn parse(layout: &Layout, held: &KeyValue) -> Result<Known, StoreError> {
    let name = held.key_str().unwrap_or("a key that is not text");
    let fault = |reason: &str| {
        StoreError(format!("reading {name} in etcd: {reason}; delete it there, or mend it"))
    };
    let lease: Lease =
        serde_json::from_slice(held.value()).map_err(|error| fault(&error.to_string()))?;
    if layout.parse_lease(held.key()).as_ref() != Some(&lease.key) {
        return Err(fault("it holds the lease of another key"));
    }
    Ok(Known { revision: held.mod_revision(), lease })
}

/// What goes into one transaction.
struct Attempt<'a> {
    layout: &'a Layout,
    key: &'a str,
    lease: &'a Lease,
    base: Option<&'a Known>,
    for_any: ForAnyNic,
    own: &'a BTreeSet<Holding>,
}

impl Attempt<'_> {
    fn transaction(&self) -> Result<Txn, serde_json::Error> {
        let name =
            |holding: &Holding| self.layout.holding(self.lease.key.network.as_str(), *holding);
        let before: BTreeSet<Holding> =
            self.base.into_iter().flat_map(|base| Holding::of(&base.lease)).collect();
        let after: BTreeSet<Holding> = Holding::of(self.lease).collect();
        let revision = self.base.map_or(0, |base| base.revision);
        let mut compares = vec![Compare::mod_revision(self.key, CompareOp::Equal, revision)];
        let mut operations = vec![TxnOp::put(self.key, serde_json::to_vec(self.lease)?, None)];
        let mut reads = vec![TxnOp::get(self.key, None)];
        for absent in absent(self.layout, &self.lease.key, (self.base, self.for_any)) {
            compares.push(absent.compare());
            reads.push(absent.read());
        }
        for holding in after.difference(&before) {
            let name = name(holding);
            compares.push(if self.own.contains(holding) {
                Compare::value(name.clone(), CompareOp::Equal, self.key)
            } else {
                Compare::create_revision(name.clone(), CompareOp::Equal, 0)
            });
            operations.push(TxnOp::put(name.clone(), self.key, None));
            reads.push(TxnOp::get(name, None));
        }
        for holding in before.difference(&after) {
            operations.push(TxnOp::delete(name(holding), None));
        }
        Ok(Txn::new().when(compares).and_then(operations).or_else(reads))
    }
}

/// Where no lease may be when one is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Absent {
    from: String,
    /// The first key behind; `None`: there is but one key.
    end: Option<String>,
}

/// Returns where no lease may be when `key`'s is written: what is kept for whichever NIC asks first,
/// unless it is known; and that is made only where no NIC of the VM has a lease yet.
pub(super) fn absent(
    layout: &Layout,
    key: &LeaseKey,
    (base, for_any): (Option<&Known>, ForAnyNic),
) -> Vec<Absent> {
    let any = layout.lease(&key.for_any_nic());
    if !key.nic.is_any() {
        return match for_any {
            ForAnyNic::NotThere => vec![Absent { from: any, end: None }],
            ForAnyNic::Known => Vec::new(),
        };
    }
    if base.is_some() {
        return Vec::new();
    }
    let all = layout.leases_of_vm(key);
    let behind_all = format!("{}0", all.trim_end_matches('/'));
    let behind_any = format!("{any}\0");
    vec![Absent { from: all, end: Some(any) }, Absent { from: behind_any, end: Some(behind_all) }]
}

impl Absent {
    pub(super) fn compare(&self) -> Compare {
        let compare = Compare::create_revision(self.from.as_str(), CompareOp::Equal, 0);
        match &self.end {
            Some(end) => compare.with_range(end.as_str()),
            None => compare,
        }
    }

    pub(super) fn read(&self) -> TxnOp {
        let options =
            self.end.as_ref().map(|end| GetOptions::new().with_range(end.as_str()).with_limit(1));
        TxnOp::get(self.from.as_str(), options)
    }
}

pub(super) async fn commit(
    connection: &Connection,
    doing: &str,
    transaction: &Txn,
) -> Result<TxnResponse, StoreError> {
    let ask = |mut client: Client| {
        let transaction = transaction.clone();
        async move { client.txn(transaction).await }
    };
    connection.call(doing, ask).await
}

/// Returns what single reads found.
pub(super) fn values(responses: Vec<TxnOpResponse>) -> impl Iterator<Item = KeyValue> {
    responses.into_iter().filter_map(|response| match response {
        TxnOpResponse::Get(mut found) => found.take_kvs().into_iter().next(),
        TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
    })
}

/// What a transaction that did not go through has found.
#[derive(Debug, Default)]
struct Found {
    /// The lease itself.
    now: Option<Known>,
    /// What is kept for whichever NIC of its VM asks first; if it is that itself, another of them.
    other_nic: Option<Known>,
    /// Addresses, and whose they are.
    held: Vec<Taken>,
}

/// Reads the answers to `Attempt`'s reads.
fn read(
    layout: &Layout,
    key: &LeaseKey,
    responses: Vec<TxnOpResponse>,
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    for held in values(responses) {
        match layout.parse_lease(held.key()) {
            Some(name) if name == *key => found.now = Some(parse(layout, &held)?),
            Some(_) => found.other_nic = Some(parse(layout, &held)?),
            None => found.held.extend(taken_by(layout, key.network.as_str(), &held)),
        }
    }
    Ok(found)
}

pub(super) fn taken_by(layout: &Layout, network: &str, held: &KeyValue) -> Option<Taken> {
    let what = layout.parse_holding(network, held.key())?;
    Some(Taken { what, holder: layout.parse_lease(held.value())? })
}

fn failed(doing: &str, error: &dyn std::fmt::Display) -> StoreError {
    StoreError(format!("{doing}: {error}"))
}

/// How often a lease is tried before the store is said to be in trouble.
const ATTEMPTS: usize = 4;

/// Operations in one transaction; etcd takes 128 unless told otherwise.
const OPERATIONS: usize = 100;

/// Keys in one page of a listing. The longest names make 3 KiB of a lease and its key, and a message
/// ends at 4 MiB.
const PAGE: i64 = 1_000;
