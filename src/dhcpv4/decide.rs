//! What a request is answered with: the table of RFC 2131, section 4.3, for one NIC.
//!
//! Nothing that the guest sends chooses another address than the NIC's own: it can only make the
//! answer a NAK, or none.

use std::net::Ipv4Addr;

use super::Profile;
use super::message::{Kind, Request};
use crate::outcome::{DropReason, Message, Note};
use crate::wire::{Datagram, Mac};

/// What is to be done about one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decided {
    /// Answer.
    Answer(Answer),
    /// Say nothing; tell the control path.
    Noted(Note),
    /// Say nothing.
    Dropped(DropReason),
}

/// Who is answered with what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    /// The reply's type and occasion.
    pub(super) kind: AnswerKind,
    /// `ciaddr` of the reply.
    pub(super) ciaddr: Ipv4Addr,
    /// `yiaddr` of the reply.
    pub(super) yiaddr: Ipv4Addr,
    /// The Ethernet destination.
    pub(super) to_mac: Mac,
    /// The IP destination.
    pub(super) to_ip: Ipv4Addr,
}

/// The replies of a server, told apart by what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerKind {
    /// DHCPOFFER.
    Offer,
    /// DHCPACK to a REQUEST.
    Ack,
    /// DHCPACK to a DISCOVER (RFC 4039).
    RapidAck,
    /// DHCPACK to an INFORM: no lease in it.
    InformAck,
    /// DHCPNAK.
    Nak,
}

impl AnswerKind {
    /// Returns the reply's type.
    pub(super) const fn message(self) -> Message {
        match self {
            Self::Offer => Message::Offer,
            Self::Ack | Self::RapidAck | Self::InformAck => Message::Ack,
            Self::Nak => Message::Nak,
        }
    }
}

/// Decides about `request`, which came in `datagram`.
pub(super) fn decide(
    profile: &Profile,
    request: &Request<'_>,
    datagram: &Datagram<'_, Ipv4Addr>,
) -> Decided {
    // Clauses E7 and F2: a NIC without an address is not refused one, it is left alone.
    let Some(address) = profile.address else {
        return Decided::Dropped(DropReason::NoAddress);
    };
    if !may_come_from(datagram.source, request, address) {
        return Decided::Dropped(DropReason::SourceAddress);
    }
    if !is_served_at(datagram.destination, profile, request) {
        return Decided::Dropped(DropReason::Destination);
    }
    match request.kind {
        Kind::Discover => {
            let kind = if profile.rapid_commit && request.rapid_commit {
                AnswerKind::RapidAck
            } else {
                AnswerKind::Offer
            };
            Decided::Answer(first_answer(kind, address, request))
        }
        Kind::Request => decide_request(profile, request, address),
        Kind::Inform => match inform_address(request, datagram) {
            // RFC 2131, section 4.3.5: unicast to the address that the client has already.
            Some(to_ip) => Decided::Answer(Answer {
                kind: AnswerKind::InformAck,
                ciaddr: request.client_address.unwrap_or(Ipv4Addr::UNSPECIFIED),
                yiaddr: Ipv4Addr::UNSPECIFIED,
                to_mac: request.client_mac,
                to_ip,
            }),
            None => Decided::Dropped(DropReason::SourceAddress),
        },
        Kind::Decline if is_for_other_server(profile, request) => {
            Decided::Dropped(DropReason::OtherServer)
        }
        // RFC 2131, section 4.4.1, table 5: option 50 names the address. A repeated DECLINE of an
        // address that was replaced already must not count against the new one.
        Kind::Decline if request.requested_address != Some(address) => {
            Decided::Dropped(DropReason::Invalid)
        }
        Kind::Decline => Decided::Noted(Note::Declined),
        Kind::Release if is_for_other_server(profile, request) => {
            Decided::Dropped(DropReason::OtherServer)
        }
        // RFC 2131, section 4.4.1, table 5: here `ciaddr` names it.
        Kind::Release if request.client_address != Some(address) => {
            Decided::Dropped(DropReason::Invalid)
        }
        Kind::Release => Decided::Noted(Note::Released),
    }
}

/// The states in which a client sends DHCPREQUEST (RFC 2131, section 4.3.2), with the address that
/// it asks for. RENEWING and REBINDING differ in the datagram's destination only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Answers an OFFER.
    Selecting(Ipv4Addr),
    /// Verifies an address that it remembers.
    InitReboot(Ipv4Addr),
    /// Extends the address that it uses.
    Extending(Ipv4Addr),
}

impl State {
    /// Tells the state from what is there and what is not; `None`: it fits none.
    fn of(request: &Request<'_>) -> Option<Self> {
        match (request.server_id, request.requested_address, request.client_address) {
            (Some(_), Some(requested), None) => Some(Self::Selecting(requested)),
            (None, Some(requested), None) => Some(Self::InitReboot(requested)),
            (_, None, Some(used)) => Some(Self::Extending(used)),
            // Option 50 must be absent here; a client that repeats itself is understood.
            (_, Some(requested), Some(used)) if requested == used => Some(Self::Extending(used)),
            // Only the answer to an OFFER names a server. NetworkManager's client leaves its old
            // address in `ciaddr` when it begins anew after a NAK.
            (Some(_), Some(requested), Some(_)) => Some(Self::Selecting(requested)),
            (None, Some(_), Some(_)) | (_, None, None) => None,
        }
    }
}

fn decide_request(profile: &Profile, request: &Request<'_>, address: Ipv4Addr) -> Decided {
    if is_for_other_server(profile, request) {
        return Decided::Dropped(DropReason::OtherServer);
    }
    match State::of(request) {
        None => Decided::Dropped(DropReason::Invalid),
        Some(State::Selecting(asked) | State::InitReboot(asked)) if asked == address => {
            Decided::Answer(first_answer(AnswerKind::Ack, address, request))
        }
        // RFC 2131, section 4.1: a client that has an address is answered there, whatever its
        // broadcast flag says.
        Some(State::Extending(used)) if used == address => Decided::Answer(Answer {
            kind: AnswerKind::Ack,
            ciaddr: used,
            yiaddr: address,
            to_mac: request.client_mac,
            to_ip: used,
        }),
        // We are the only authority on this port: another address is a wrong one.
        Some(State::Selecting(_) | State::InitReboot(_) | State::Extending(_)) => {
            Decided::Answer(Answer {
                kind: AnswerKind::Nak,
                ciaddr: Ipv4Addr::UNSPECIFIED,
                yiaddr: Ipv4Addr::UNSPECIFIED,
                to_mac: Mac::BROADCAST,
                to_ip: Ipv4Addr::BROADCAST,
            })
        }
    }
}

/// Makes the answer to a client that has no address yet (RFC 2131, section 4.1).
fn first_answer(kind: AnswerKind, address: Ipv4Addr, request: &Request<'_>) -> Answer {
    let (to_mac, to_ip) = if request.wants_broadcast() {
        (Mac::BROADCAST, Ipv4Addr::BROADCAST)
    } else {
        (request.client_mac, address)
    };
    Answer { kind, ciaddr: Ipv4Addr::UNSPECIFIED, yiaddr: address, to_mac, to_ip }
}

/// Tells whether the guest may use `source`: none, its own, or the one that it says it has.
///
/// A guest whose address was changed renews from the old one, and must hear a NAK.
fn may_come_from(source: Ipv4Addr, request: &Request<'_>, address: Ipv4Addr) -> bool {
    source.is_unspecified()
        || source == address
        || match request.client_address {
            Some(used) => source == used,
            None => request.kind == Kind::Inform && is_unicast(source),
        }
}

/// Tells whether this message is for us when it was sent to `destination`.
///
/// A unicast renewal may name a server that was here before us (clause A1).
fn is_served_at(destination: Ipv4Addr, profile: &Profile, request: &Request<'_>) -> bool {
    destination.is_broadcast()
        || destination == profile.server_id
        || Some(destination) == profile.gateway
        || (request.kind == Kind::Request
            && matches!(State::of(request), Some(State::Extending(_)))
            && is_unicast(destination))
}

/// Returns where an INFORM is answered: at `ciaddr`, else at the datagram's source.
fn inform_address(request: &Request<'_>, datagram: &Datagram<'_, Ipv4Addr>) -> Option<Ipv4Addr> {
    request.client_address.or(Some(datagram.source)).filter(|address| is_unicast(*address))
}

fn is_for_other_server(profile: &Profile, request: &Request<'_>) -> bool {
    request.server_id.is_some_and(|server| server != profile.server_id)
}

fn is_unicast(address: Ipv4Addr) -> bool {
    !(address.is_unspecified()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_loopback())
}
