//! What a valid message is answered with: RFC 9915, section 18.3.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::message::{ClientMessage, IaKind, Kind};
use super::reply::Status;
use super::{Profile, RapidCommit};
use crate::outcome::{DropReason, Message, Note};

/// What a reply is to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// Advertise: what a Request would be given.
    Advertise,
    /// Reply to a Solicit, which makes the Request needless.
    RapidCommit,
    /// Reply to a Request.
    Assign,
    /// Reply to a Renew or Rebind: what is held, and the end of what is not.
    Extend,
    /// Reply to an Information-request: options only.
    Information,
    /// Reply to a Confirm: this status only.
    Confirm(Status),
    /// Reply to a Release or Decline: Success.
    Acknowledge,
    /// ADDR-REG-REPLY: the address that was registered.
    Registered,
}

impl Answer {
    /// Returns the type of the message that carries the answer.
    pub(super) const fn message(self) -> Message {
        match self {
            Self::Advertise => Message::Advertise,
            Self::RapidCommit
            | Self::Assign
            | Self::Extend
            | Self::Information
            | Self::Confirm(_)
            | Self::Acknowledge => Message::Reply,
            Self::Registered => Message::AddressRegistered,
        }
    }
}

/// An answer, and what the control path should learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decided {
    pub(super) answer: Answer,
    pub(super) note: Option<Note>,
}

/// Decides about a message that has passed section 16.
///
/// # Errors
/// [`DropReason::NoAddress`] for a Confirm that holds no address, [`DropReason::Invalid`] for a
/// registration of the lease's own.
pub(super) fn decide(
    profile: &Profile,
    message: &ClientMessage<'_>,
) -> Result<Decided, DropReason> {
    let (answer, note) = match message.kind {
        // 18.3.1.
        Kind::Solicit => match (profile.rapid_commit, message.rapid_commit) {
            (RapidCommit::Honoured, Some(())) => (Answer::RapidCommit, None),
            (RapidCommit::Honoured, None) | (RapidCommit::Ignored, _) => (Answer::Advertise, None),
        },
        // 18.3.2. An address that the client names is a hint: the port's own is the only one that
        // it can get, and a NotOnLink would only cost it a round.
        Kind::Request => (Answer::Assign, None),
        Kind::Confirm => (Answer::Confirm(confirm(profile, message)?), None),
        // 18.3.4, 18.3.5. A binding that we do not know is made: every IAID names the same lease.
        Kind::Renew | Kind::Rebind => (Answer::Extend, None),
        // 18.3.7. The lease is the VM's and stays.
        Kind::Release => {
            let released = names(message, IaKind::Na, profile.address.map(Ipv6Net::from))
                || names(message, IaKind::Pd, profile.delegated);
            (Answer::Acknowledge, released.then_some(Note::Released))
        }
        // 18.3.8. Only the address that we gave can be in conflict.
        Kind::Decline => {
            let declined = names(message, IaKind::Na, profile.address.map(Ipv6Net::from));
            (Answer::Acknowledge, declined.then_some(Note::Declined))
        }
        // 18.3.6.
        Kind::InformationRequest => (Answer::Information, None),
        // RFC 9686, section 4.2.1: what DHCPv6 gave is not registered.
        Kind::AddressRegistration if is_given(profile, message) => return Err(DropReason::Invalid),
        // The rest is written down, and binds nobody.
        Kind::AddressRegistration => (Answer::Registered, Some(Note::Registered)),
    };
    Ok(Decided { answer, note })
}

/// Judges the addresses of a Confirm (18.3.3).
///
/// Appropriate to the link is what our assignment policy would put there (section 4.2), and behind
/// this port that is one address: another VM's, though of the same subnet, is not.
fn confirm(profile: &Profile, message: &ClientMessage<'_>) -> Result<Status, DropReason> {
    let mut addresses = message
        .associations()
        .filter(|association| association.kind == IaKind::Na)
        .flat_map(|association| association.members())
        .peekable();
    addresses.peek().ok_or(DropReason::NoAddress)?;
    let ours = |net: Ipv6Net| Some::<Ipv6Addr>(net.addr()) == profile.address;
    Ok(if addresses.all(ours) { Status::Success } else { Status::NotOnLink })
}

/// Tells whether what is registered is the address of the lease.
fn is_given(profile: &Profile, message: &ClientMessage<'_>) -> bool {
    message.registration.is_some_and(|option| Some(option.value.address) == profile.address)
}

/// Tells whether an association of the kind `kind` names `held`.
fn names(message: &ClientMessage<'_>, kind: IaKind, held: Option<Ipv6Net>) -> bool {
    message
        .associations()
        .filter(|association| association.kind == kind)
        .flat_map(|association| association.members())
        .any(|member| Some(member.trunc()) == held)
}
