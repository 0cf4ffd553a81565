//! What a store that nodes share tells beside success and failure: another node was ahead.

use crate::lease::{Holding, Lease, LeaseKey, NetworkName};

/// A change that was not made, because another node was ahead.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// Whose change.
    pub key: LeaseKey,
    /// The lease as the store has it; `None`: there is none.
    pub now: Option<Box<Lease>>,
    /// What the change would have taken from others.
    pub taken: Vec<Taken>,
}

/// An address or prefix, and who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What is held.
    pub what: Holding,
    /// The NIC whose lease it belongs to.
    pub holder: LeaseKey,
}

/// What is asked of a store that nodes share, before what may be another node's is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// This lease.
    Lease(LeaseKey),
    /// All leases of this key's VM on its network.
    Vm(LeaseKey),
    /// The lease that holds this in a network.
    Holder(NetworkName, Holding),
    /// This lease, which this node knows, once more: as [`News`], once it was read.
    Again(LeaseKey),
}

/// What a store that nodes share says unasked.
#[derive(Debug, Clone, PartialEq)]
pub enum News {
    /// A lease that this node knows is this in the store now; `None`: it is not there.
    Lease(LeaseKey, Option<Box<Lease>>),
    /// The store answers.
    Up,
    /// The store does not answer, and why.
    Down(String),
}
