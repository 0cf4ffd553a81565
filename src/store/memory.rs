//! Leases in memory: nothing outlives the process.

use std::collections::BTreeMap;

use super::{Change, LeaseStore, Loaded, Refused, StoreError};
use crate::lease::{Lease, LeaseKey};

/// A store that forgets when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    leases: BTreeMap<LeaseKey, Lease>,
}

impl LeaseStore for MemoryStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        Ok(Loaded { leases: self.leases.values().cloned().collect(), ..Loaded::default() })
    }

    fn write(&mut self, changes: &[Change]) -> Result<Vec<Refused>, StoreError> {
        for change in changes {
            match change {
                Change::Put(lease) => {
                    self.leases.insert(lease.key.clone(), lease.clone());
                }
                Change::Delete(key) => {
                    self.leases.remove(key);
                }
            }
        }
        Ok(Vec::new())
    }
}
