//! Where leases outlive the process: one file a backend.
//!
//! The lease table in memory is the working copy; a backend loads it once and then takes batches.
//! A batch is durable when [`LeaseStore::write`] returns: only then may a port be told of it.

mod embedded;
#[cfg(feature = "etcd")]
mod etcd;
mod memory;
mod pages;
mod peek;
mod place;
mod recover;
mod row;
mod scan;
mod shared;
mod task;

pub use embedded::EmbeddedStore;
#[cfg(feature = "etcd")]
pub use etcd::EtcdStore;
pub use memory::MemoryStore;
pub use recover::Recovered;
pub use shared::{News, Refused, Taken, Wanted};
pub use task::{StoreHandle, StoreThread, spawn};

use tokio::sync::mpsc;

use crate::config;
use crate::lease::{Lease, LeaseKey, Withheld};

/// One change to be made durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The lease as it is now.
    Put(Lease),
    /// The lease is gone.
    Delete(LeaseKey),
}

impl Change {
    /// Returns the key of the lease that changes.
    #[must_use]
    pub const fn key(&self) -> &LeaseKey {
        match self {
            Self::Put(lease) => &lease.key,
            Self::Delete(key) => key,
        }
    }
}

/// What a backend found when it was opened.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Every lease that could be read and whose checksum holds.
    pub leases: Vec<Lease>,
    /// What could not, one line each: set aside, named, never served.
    pub damaged: Vec<String>,
    /// The addresses that damaged rows name, this time or at an earlier start: nobody else's.
    pub withheld: Vec<Withheld>,
}

/// A place that keeps leases. Called from one thread of its own; calls may block.
pub trait LeaseStore: Send {
    /// Reads everything.
    ///
    /// # Errors
    /// [`StoreError`] if the store as a whole cannot be read.
    fn load(&mut self) -> Result<Loaded, StoreError>;

    /// Makes all of `changes` durable, or none; but for those that a store which nodes share
    /// refuses, because another node was ahead. A store of one node refuses none.
    ///
    /// # Errors
    /// [`StoreError`] if they are not durable; the caller keeps them and tries again.
    fn write(&mut self, changes: &[Change]) -> Result<Vec<Refused>, StoreError>;

    /// Reads the leases that are wanted, as far as there are such and this node does not know them.
    /// They are as good as written by it from then on. A store of one node has none to add.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    fn find(&mut self, wanted: &[Wanted]) -> Result<Vec<Lease>, StoreError> {
        let _ = wanted;
        Ok(Vec::new())
    }

    /// Begins to tell what other nodes do; `None`: the store is this node's alone.
    fn watch(&mut self) -> Option<mpsc::Receiver<News>> {
        None
    }
}

/// A store could not do what was asked: what was being done, on what, and why it failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(pub String);

/// A store could not be opened, and why; one line that says what would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{0}")]
    InUse(String),
    /// The process may not read or write it.
    #[error("{0}")]
    NoPermission(String),
    /// It is damaged: [`recover`] saves what can be read.
    #[error("{0}")]
    Damaged(String),
    /// It is of another format, or the system failed.
    #[error("{0}")]
    Unusable(String),
}

/// Opens the backend that the configuration names, for the node of this name.
///
/// # Errors
/// [`OpenError`] if it cannot be used; nothing was changed or deleted then.
pub fn open(config: &config::Store, node: &str) -> Result<Box<dyn LeaseStore>, OpenError> {
    match config {
        #[cfg(feature = "etcd")]
        config::Store::Etcd { path, etcd } => Ok(Box::new(EtcdStore::open(path, etcd, node)?)),
        #[cfg(not(feature = "etcd"))]
        config::Store::Etcd { .. } => {
            Err(OpenError::Unusable(format!("opening the store of node {node}: no etcd built in")))
        }
        config::Store::Embedded { path } => Ok(Box::new(EmbeddedStore::open(path)?)),
        config::Store::Memory => Ok(Box::new(MemoryStore::default())),
    }
}

/// Saves what can be read of a damaged store into a fresh one, and keeps the damaged one under
/// another name. `progress` is told how many rows were read, and of how many, if that is known.
///
/// # Errors
/// [`OpenError`] if it is in use, is not damaged but cannot be used, or if the fresh one cannot be
/// written; nothing was changed then.
pub fn recover(
    config: &config::Store,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<Recovered, OpenError> {
    match config {
        config::Store::Embedded { path } | config::Store::Etcd { path, .. } => {
            recover::recover(path, progress)
        }
        config::Store::Memory => Ok(Recovered::Whole { aside: Vec::new() }),
    }
}

/// Reads what this node's disk holds while no daemon has it open; `None` if it holds nothing.
///
/// # Errors
/// [`OpenError`] if it cannot be used.
#[must_use]
pub fn read(config: &config::Store) -> Option<Result<Loaded, OpenError>> {
    let unusable = |error: StoreError| OpenError::Unusable(error.to_string());
    match config {
        config::Store::Embedded { path } | config::Store::Etcd { path, .. } if path.is_dir() => {
            Some(EmbeddedStore::open(path).and_then(|mut store| store.load().map_err(unusable)))
        }
        config::Store::Embedded { .. } | config::Store::Etcd { .. } | config::Store::Memory => None,
    }
}

/// Looks at the leases on this node's disk without locking or changing anything; `None` if it holds
/// nothing.
///
/// # Errors
/// Why they cannot be read; a daemon that has the store open is one.
#[must_use]
pub fn peek(config: &config::Store) -> Option<Result<Vec<Lease>, String>> {
    match config {
        config::Store::Embedded { path } | config::Store::Etcd { path, .. } => peek::peek(path),
        config::Store::Memory => None,
    }
}

/// Reads every lease that nodes share; `None` if they share none.
#[must_use]
pub fn read_shared(config: &config::Store) -> Option<Result<Vec<Lease>, String>> {
    match config {
        #[cfg(feature = "etcd")]
        config::Store::Etcd { etcd, .. } => Some(etcd::list(etcd)),
        #[cfg(not(feature = "etcd"))]
        config::Store::Etcd { .. } => None,
        config::Store::Embedded { .. } | config::Store::Memory => None,
    }
}

#[cfg(test)]
mod tests;
