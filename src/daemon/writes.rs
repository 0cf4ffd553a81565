//! Leases on their way to the store: what is durable, what is being written, what comes next.
//!
//! One batch is written at a time, and what changes meanwhile goes with the next one. So an older
//! state of a lease never overtakes a newer one, and what waits is bounded by the number of leases.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::lease::{LeaseChange, LeaseKey};

/// Keeps track of the leases that the store does not have as they are.
#[derive(Debug, Default)]
pub(super) struct Writes {
    /// Changed since the batch under way was made.
    changed: BTreeSet<LeaseKey>,
    /// The batch under way; empty: there is none.
    under_way: BTreeSet<LeaseKey>,
    /// Leases whose addresses the store does not have: they are not served.
    undurable: BTreeSet<LeaseKey>,
    /// Leases that the store told of while they were on their way there.
    missed: BTreeSet<LeaseKey>,
    /// What the last batch failed with; none once one went through.
    error: Option<String>,
    /// How many batches have failed one after another.
    failures: u32,
    /// Whether the store is left alone until [`Self::resume`].
    is_paused: bool,
}

impl Writes {
    /// Notes that a lease has changed since the last batch.
    pub(super) fn note(&mut self, key: &LeaseKey, change: LeaseChange) {
        match change {
            LeaseChange::None => {}
            LeaseChange::Details => {
                self.changed.insert(key.clone());
            }
            LeaseChange::Addresses => {
                self.changed.insert(key.clone());
                self.undurable.insert(key.clone());
            }
        }
    }

    /// Tells whether the store has a lease's addresses.
    pub(super) fn is_durable(&self, key: &LeaseKey) -> bool {
        !self.undurable.contains(key)
    }

    /// Tells whether the store has a lease just as the table has it.
    pub(super) fn is_written(&self, key: &LeaseKey) -> bool {
        !self.changed.contains(key) && !self.under_way.contains(key)
    }

    /// Tells whether what the store says of a lease is to be heard. What is on its way there meets
    /// it there; but if it turns out that there was nothing to write, it has to be told again.
    pub(super) fn may_hear(&mut self, key: &LeaseKey) -> bool {
        let may = self.is_written(key);
        if !may {
            self.missed.insert(key.clone());
        }
        may
    }

    /// Takes the leases that the store is to tell of once more, now that it has them.
    pub(super) fn take_missed(&mut self) -> Vec<LeaseKey> {
        let (missed, waiting): (BTreeSet<_>, _) =
            std::mem::take(&mut self.missed).into_iter().partition(|key| self.is_written(key));
        self.missed = waiting;
        missed.into_iter().collect()
    }

    /// Returns how many leases wait to be made durable.
    pub(super) fn waiting(&self) -> usize {
        self.undurable.len()
    }

    /// Returns what the last batch failed with.
    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Begins the next batch; `None`: one is under way, there is nothing to write, or the store is
    /// left alone for a while.
    pub(super) fn begin(&mut self) -> Option<&BTreeSet<LeaseKey>> {
        if self.is_paused || self.is_under_way() || self.changed.is_empty() {
            return None;
        }
        self.under_way = std::mem::take(&mut self.changed);
        Some(&self.under_way)
    }

    /// Tells whether a batch is under way.
    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// Notes that the batch under way is durable. Returns the leases that may be served by that.
    pub(super) fn succeeded(&mut self) -> BTreeSet<LeaseKey> {
        self.error = None;
        self.failures = 0;
        let written = std::mem::take(&mut self.under_way);
        // A lease that has changed once more since waits for its next write.
        written
            .into_iter()
            .filter(|key| !self.changed.contains(key) && self.undurable.remove(key))
            .collect()
    }

    /// Notes that nothing of the batch under way is durable. Tells whether the reason is news.
    pub(super) fn failed(&mut self, error: String) -> bool {
        self.changed.append(&mut self.under_way);
        self.is_paused = true;
        self.failures = self.failures.saturating_add(1);
        let is_news = self.error.as_ref() != Some(&error);
        self.error = Some(error);
        is_news
    }

    /// Notes that the store says of itself that it does not answer. Tells whether that is news.
    pub(super) fn down(&mut self, error: &str) -> bool {
        let is_news = self.error.is_none();
        self.error.get_or_insert_with(|| error.to_owned());
        is_news
    }

    /// Notes that the store says of itself that it answers. Tells whether that is news.
    pub(super) fn up(&mut self) -> bool {
        self.error.take().is_some()
    }

    /// Returns how long the store is to be left alone after the last failure: twice as long each
    /// time, up to a bound that a VM in waiting can bear.
    pub(super) fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(u32::BITS - 1);
        PAUSE.saturating_mul(1 << doublings).min(PAUSE_MAX)
    }

    /// Lets the store be tried again.
    pub(super) fn resume(&mut self) {
        self.is_paused = false;
    }
}

/// How long the store is left alone after its first failure.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest that it is left alone.
const PAUSE_MAX: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;

    fn key(vm: &str) -> LeaseKey {
        LeaseKey {
            network: "blue".parse().unwrap(),
            vm: vm.parse().unwrap(),
            nic: "default".parse().unwrap(),
        }
    }

    fn keys(vms: &[&str]) -> BTreeSet<LeaseKey> {
        vms.iter().map(|vm| key(vm)).collect()
    }

    #[test]
    fn new_addresses_are_durable_after_their_batch() {
        let mut writes = Writes::default();
        writes.note(&key("a"), LeaseChange::Addresses);
        writes.note(&key("b"), LeaseChange::Details);
        writes.note(&key("c"), LeaseChange::None);
        assert!(!writes.is_durable(&key("a")) && writes.is_durable(&key("b")));
        assert_eq!(writes.begin(), Some(&keys(&["a", "b"])));
        assert_eq!(writes.succeeded(), keys(&["a"]));
        assert!(writes.is_durable(&key("a")));
        assert_eq!(writes.begin(), None);
    }

    #[test]
    fn what_changes_during_a_batch_goes_with_the_next() {
        let mut writes = Writes::default();
        writes.note(&key("a"), LeaseChange::Addresses);
        writes.begin();
        writes.note(&key("a"), LeaseChange::Addresses);
        writes.note(&key("b"), LeaseChange::Addresses);
        assert_eq!(writes.begin(), None);
        // What was written of it is no longer what would be served.
        assert_eq!(writes.succeeded(), keys(&[]));
        assert_eq!(writes.waiting(), 2);
        assert_eq!(writes.begin(), Some(&keys(&["a", "b"])));
        assert_eq!(writes.succeeded(), keys(&["a", "b"]));
    }

    #[test]
    fn what_the_store_says_of_a_lease_on_its_way_there_is_to_be_told_again() {
        let mut writes = Writes::default();
        assert!(writes.may_hear(&key("a")));
        writes.note(&key("a"), LeaseChange::Details);
        writes.begin();
        assert!(!writes.may_hear(&key("a")));
        assert!(writes.may_hear(&key("b")));
        // It has changed once more, and the next batch fails at first.
        writes.note(&key("a"), LeaseChange::Details);
        writes.succeeded();
        assert_eq!(writes.take_missed(), []);
        writes.begin();
        writes.failed("no space".to_owned());
        assert_eq!(writes.take_missed(), []);
        writes.resume();
        writes.begin();
        writes.succeeded();
        assert_eq!(writes.take_missed(), [key("a")]);
        assert_eq!(writes.take_missed(), []);
    }

    #[test]
    fn a_failed_batch_is_written_again_with_what_came_since() {
        let mut writes = Writes::default();
        writes.note(&key("a"), LeaseChange::Addresses);
        writes.begin();
        assert!(writes.failed("no space".to_owned()));
        writes.note(&key("b"), LeaseChange::Details);
        assert_eq!(writes.begin(), None);
        assert_eq!((writes.error(), writes.waiting()), (Some("no space"), 1));
        writes.resume();
        assert_eq!(writes.begin(), Some(&keys(&["a", "b"])));
        assert!(!writes.failed("no space".to_owned()));
        writes.resume();
        writes.begin();
        assert_eq!(writes.succeeded(), keys(&["a"]));
        assert_eq!(writes.error(), None);
    }

    #[test]
    fn a_store_that_fails_again_is_left_alone_for_longer_until_it_works() {
        let mut writes = Writes::default();
        let mut pauses = Vec::new();
        for _ in 0..40 {
            writes.note(&key("a"), LeaseChange::Addresses);
            writes.resume();
            writes.begin();
            writes.failed("no space".to_owned());
            pauses.push(writes.pause().as_secs());
        }
        assert_eq!((&pauses[..5], pauses[39]), (&[1, 2, 4, 8, 8][..], 8));
        writes.resume();
        writes.begin();
        writes.succeeded();
        writes.note(&key("a"), LeaseChange::Addresses);
        writes.begin();
        writes.failed("no space".to_owned());
        assert_eq!(writes.pause().as_secs(), 1);
    }
}
