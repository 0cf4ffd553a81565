//! Leases that change together: what one gives up another takes, in one transaction.
//!
//! An address that moves from one lease to another is at no moment anybody else's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use etcd_client::{Compare, CompareOp, Txn, TxnOp};

use super::connection::Connection;
use super::keys::Layout;
use super::transaction::{self, ForAnyNic, Known, Put};
use crate::lease::{Holding, Lease, LeaseKey};
use crate::store::{Change, StoreError};

/// A change, and the lease that it was made from.
#[derive(Debug, Clone)]
pub(super) struct Step<'a> {
    pub(super) change: &'a Change,
    pub(super) base: Option<Known>,
    pub(super) for_any: ForAnyNic,
}

impl Step<'_> {
    fn before(&self) -> BTreeSet<Holding> {
        self.base.iter().flat_map(|base| Holding::of(&base.lease)).collect()
    }

    fn after(&self) -> BTreeSet<Holding> {
        self.lease().into_iter().flat_map(Holding::of).collect()
    }

    /// Tells whether something is another's to take once this is made.
    pub(super) fn gives_up(&self) -> bool {
        match self.change {
            Change::Put(_) => !self.before().is_subset(&self.after()),
            Change::Delete(_) => true,
        }
    }

    /// Returns what the lease surely is, whether this is made or not; `None`: what it was.
    pub(super) fn left_until_done(&self) -> Option<Change> {
        if !self.gives_up() {
            return None;
        }
        let Some(base) = &self.base else {
            return Some(Change::Delete(self.change.key().clone()));
        };
        let after = self.after();
        let mut left = base.lease.clone();
        for holding in self.before().difference(&after) {
            holding.take_from(&mut left);
        }
        Some(match Holding::of(&left).next() {
            Some(_) => Change::Put(left),
            None => Change::Delete(left.key),
        })
    }

    const fn lease(&self) -> Option<&Lease> {
        match self.change {
            Change::Put(lease) => Some(lease),
            Change::Delete(_) => None,
        }
    }

    /// Tells whether the store has what the change wants.
    fn is_made(&self, now: Option<&Known>) -> bool {
        match (now, self.lease()) {
            (Some(now), Some(lease)) => now.lease.is_same_but_for_last_seen(lease),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

/// Puts steps into groups: in one are those of which one takes what another gives up.
pub(super) fn groups(steps: Vec<Step<'_>>) -> Vec<Vec<Step<'_>>> {
    let mut given_up: HashMap<(&str, Holding), usize> = HashMap::new();
    for (place, step) in steps.iter().enumerate() {
        let network = step.change.key().network.as_str();
        let after = step.after();
        let gone = step.before().into_iter().filter(|holding| !after.contains(holding));
        given_up.extend(gone.map(|holding| ((network, holding), place)));
    }
    // The group of each step is named by one step of it.
    let mut group: Vec<usize> = (0..steps.len()).collect();
    if !given_up.is_empty() {
        for (place, step) in steps.iter().enumerate() {
            let network = step.change.key().network.as_str();
            for holding in step.after() {
                let Some(giver) = given_up.get(&(network, holding)) else { continue };
                let (one, other) = (group.get(place).copied(), group.get(*giver).copied());
                for name in group.iter_mut().filter(|name| Some(**name) == other) {
                    *name = one.unwrap_or(*name);
                }
            }
        }
    }
    let mut groups: BTreeMap<usize, Vec<Step<'_>>> = BTreeMap::new();
    for (step, name) in steps.into_iter().zip(group) {
        groups.entry(name).or_default().push(step);
    }
    groups.into_values().collect()
}

/// Makes the steps of one group, all or none. Returns how each ended, in their order.
///
/// # Errors
/// [`StoreError`] if etcd does not answer, or holds what is no lease.
pub(super) async fn write(
    connection: &Connection,
    layout: &Layout,
    steps: &[Step<'_>],
) -> Result<Vec<Put>, StoreError> {
    let transaction = transaction(layout, steps).map_err(|error| failed(&error))?;
    let answer = transaction::commit(connection, DOING, &transaction).await?;
    let revision = answer.header().map_or(0, |header| header.revision());
    let done = |step: &Step<'_>| match step.lease() {
        Some(lease) => Put::Done(Known { revision, lease: lease.clone() }),
        None => Put::Refused(None, Vec::new()),
    };
    if answer.succeeded() {
        return Ok(steps.iter().map(done).collect());
    }
    let mut found: HashMap<LeaseKey, Known> = HashMap::new();
    let mut taken = Vec::new();
    for held in transaction::values(answer.op_responses()) {
        if layout.parse_lease(held.key()).is_some() {
            let known = transaction::parse(layout, &held)?;
            found.insert(known.lease.key.clone(), known);
        } else {
            let network = steps.first().map_or("", |step| step.change.key().network.as_str());
            taken.extend(transaction::taken_by(layout, network, &held));
        }
    }
    // Made by a call whose answer was lost.
    if steps.iter().all(|step| step.is_made(found.get(step.change.key()))) {
        let now = |step: &Step<'_>| match found.get(step.change.key()) {
            Some(known) => Put::Done(known.clone()),
            None => Put::Refused(None, Vec::new()),
        };
        return Ok(steps.iter().map(now).collect());
    }
    let refused = |step: &Step<'_>| {
        let any = step.change.key().for_any_nic();
        if let (ForAnyNic::NotThere, Some(kept)) = (step.for_any, found.get(&any)) {
            return Put::KeptForAny(kept.clone());
        }
        let after = step.after();
        let taken = taken.iter().filter(|taken| after.contains(&taken.what)).cloned();
        Put::Refused(found.get(step.change.key()).cloned(), taken.collect())
    };
    Ok(steps.iter().map(refused).collect())
}

fn transaction(layout: &Layout, steps: &[Step<'_>]) -> Result<Txn, serde_json::Error> {
    let mut compares = Vec::new();
    let mut operations = Vec::new();
    let mut reads = Vec::new();
    let before: BTreeSet<Holding> = steps.iter().flat_map(Step::before).collect();
    let after: BTreeSet<Holding> = steps.iter().flat_map(Step::after).collect();
    for step in steps {
        let key = step.change.key();
        let network = key.network.as_str();
        let name = layout.lease(key);
        let revision = step.base.as_ref().map_or(0, |base| base.revision);
        compares.push(Compare::mod_revision(name.clone(), CompareOp::Equal, revision));
        reads.push(TxnOp::get(name.clone(), None));
        // Another NIC of the VM that changes with it is compared as it is.
        let vm = key.for_any_nic();
        let of_vm = steps.iter().filter(|other| other.change.key().for_any_nic() == vm);
        if step.lease().is_some() && of_vm.count() == 1 {
            for absent in transaction::absent(layout, key, (step.base.as_ref(), step.for_any)) {
                compares.push(absent.compare());
                reads.push(absent.read());
            }
        }
        operations.push(match step.lease() {
            Some(lease) => TxnOp::put(name.clone(), serde_json::to_vec(lease)?, None),
            None => TxnOp::delete(name.clone(), None),
        });
        let own = step.before();
        for holding in step.after().difference(&own) {
            let address = layout.holding(network, *holding);
            // What another step gives up is that lease's, which is compared.
            if !before.contains(holding) {
                compares.push(Compare::create_revision(address.clone(), CompareOp::Equal, 0));
                reads.push(TxnOp::get(address.clone(), None));
            }
            operations.push(TxnOp::put(address, name.clone(), None));
        }
        for holding in own.difference(&after) {
            operations.push(TxnOp::delete(layout.holding(network, *holding), None));
        }
    }
    Ok(Txn::new().when(compares).and_then(operations).or_else(reads))
}

fn failed(error: &dyn std::fmt::Display) -> StoreError {
    StoreError(format!("{DOING}: {error}"))
}

/// The same for every lease: trouble is one thing to tell, however many leases wait.
const DOING: &str = "writing leases";

/// How many steps one transaction takes at most; etcd allows 128 operations, and a step needs seven
/// at most.
pub(super) const STEPS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Wall;

    fn key(vm: &str) -> LeaseKey {
        LeaseKey {
            network: "blue".parse().unwrap(),
            vm: vm.parse().unwrap(),
            nic: "eth0".parse().unwrap(),
        }
    }

    fn lease(vm: &str, last: u8) -> Lease {
        Lease {
            key: key(vm),
            ipv4: Some([10, 0, 0, last].into()),
            ipv6: None,
            prefix: None,
            hostname: None,
            created: Wall(1),
            node: "node-a".to_owned(),
            arrived: None,
            last_seen: None,
            conflict: false,
        }
    }

    #[test]
    fn what_takes_from_another_goes_with_it_and_the_rest_alone() {
        let base = |vm: &str, last| Some(Known { revision: 1, lease: lease(vm, last) });
        let changes = [
            Change::Put(lease("a", 2)),
            Change::Put(lease("alone", 9)),
            Change::Put(lease("b", 3)),
            Change::Delete(key("c")),
            Change::Delete(key("gone")),
        ];
        let bases = [base("a", 1), None, base("b", 2), base("c", 3), base("gone", 4)];
        let steps = changes.iter().zip(bases).map(|(change, base)| Step {
            change,
            base,
            for_any: ForAnyNic::NotThere,
        });
        let groups: Vec<Vec<&str>> = groups(steps.collect())
            .iter()
            .map(|group| group.iter().map(|step| step.change.key().vm.as_str()).collect())
            .collect();
        let expected: BTreeSet<Vec<&str>> =
            [vec!["a", "b", "c"], vec!["alone"], vec!["gone"]].into();
        assert_eq!(groups.into_iter().collect::<BTreeSet<_>>(), expected);
    }
}
