//! What a protocol handler hands back for one message.
//!
//! A handler decides and writes the payload of at most one reply into the slice that it is given;
//! it does not send, count or log. The responder puts the headers around it.

use crate::outcome::{DropReason, Message, Note};
use crate::wire::Mac;

/// A handler's answer to one message. `A` is the address family of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Handled<A> {
    /// The received message's type.
    pub message: Message,
    /// What to do.
    pub decision: Decision<A>,
}

/// What a handler decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision<A> {
    /// Send what was written.
    Reply(Reply<A>),
    /// Send nothing; tell the control path.
    Noted(Note),
    /// Send nothing.
    Dropped(DropReason),
}

/// A reply whose payload stands in the slice that the handler was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply<A> {
    /// The reply's type.
    pub message: Message,
    /// How many bytes of the slice are the payload.
    pub length: usize,
    /// The Ethernet destination.
    pub to_mac: Mac,
    /// The IP destination.
    pub to_ip: A,
    /// What the control path should learn as well.
    pub note: Option<Note>,
}

impl<A> Handled<A> {
    /// Makes the answer that says nothing, for `reason`.
    #[must_use]
    pub const fn dropped(message: Message, reason: DropReason) -> Self {
        Self { message, decision: Decision::Dropped(reason) }
    }
}
