//! What a port's guest would be told now: the port's own responder is asked, and its replies are
//! read for people.
//!
//! [`probe`] sends requests that want everything to a responder of its own with the port's binding,
//! so what it returns is what the guest gets, to the byte. `request` makes the requests; `dhcpv4`,
//! `dhcpv6` and `nd` read the replies.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod dhcpv4;
mod dhcpv6;
mod nd;
mod request;
mod words;

use std::sync::Arc;

use crate::binding::Binding;
use crate::control::{Decoded, Field, Probed};
use crate::outcome::{Message, Note};
use crate::responder::{PortResponder, RateLimit};
use crate::time::Mono;
use crate::wire::{self, Frame, Inbound, Mac, Outbox};

/// Asks for everything that `binding` gives: DISCOVER and REQUEST, Solicit and Request,
/// Information-request, Router Solicitation. `guest` is the MAC that asks where the binding does
/// not name one.
#[must_use]
pub fn probe(binding: &Arc<Binding>, guest: Mac) -> Vec<Probed> {
    let mut prober = Prober::new(binding, guest);
    let mut probed = Vec::new();
    if let Some(profile) = &binding.dhcpv4 {
        let server_id = profile.server_id();
        let discover = request::discover(prober.guest);
        let offer = prober.ask(Message::Discover, discover.as_deref(), &mut probed);
        if let Some(address) = offer.as_deref().and_then(dhcpv4::offered_address) {
            let request = request::request4(prober.guest, server_id, address);
            prober.ask(Message::Request, request.as_deref(), &mut probed);
        }
    }
    if binding.dhcpv6.is_some() {
        let solicit = request::solicit(prober.guest);
        let advertise = prober.ask(Message::Solicit, solicit.as_deref(), &mut probed);
        if let Some(server_id) = advertise.as_deref().and_then(dhcpv6::server_id) {
            let request = request::request6(prober.guest, &server_id);
            prober.ask(Message::Request, request.as_deref(), &mut probed);
            let information = request::information(prober.guest);
            prober.ask(Message::InformationRequest, information.as_deref(), &mut probed);
        }
    }
    if binding.ra.is_some() {
        let solicitation = request::router_solicitation(prober.guest);
        prober.ask(Message::RouterSolicitation, solicitation.as_deref(), &mut probed);
    }
    probed
}

/// A responder of its own, and the guest that asks it.
struct Prober {
    responder: PortResponder,
    outbox: Outbox,
    guest: Mac,
    vlan: Option<u16>,
}

impl Prober {
    fn new(binding: &Arc<Binding>, guest: Mac) -> Self {
        let no_limit = RateLimit { frames_per_second: 0, burst: 0 };
        let mut responder = PortResponder::new(Arc::clone(binding), no_limit, Mono::default(), 1);
        // Who asks is no VM that comes.
        responder.settle_guest(Mono::default());
        Self {
            responder,
            outbox: Outbox::new(REPLIES),
            guest: binding.mac.unwrap_or(guest),
            vlan: binding.trunk_vlan,
        }
    }

    /// Asks once, notes what came of it, and returns the reply.
    fn ask(
        &mut self,
        message: Message,
        request: Option<&[u8]>,
        probed: &mut Vec<Probed>,
    ) -> Option<Vec<u8>> {
        let frame =
            Frame { bytes: request?, vlan: self.vlan, checksum_pending: false, truncated: false };
        self.outbox.clear();
        let turn = self.responder.handle_frame(Mono::default(), &frame, &mut self.outbox);
        let reply = self.outbox.frames().next().map(|frame| untagged(frame, self.vlan));
        let verdict = turn.outcome.verdict;
        let explanation = verdict.explain().or_else(|| turn.note.map(Note::explain));
        probed.push(Probed {
            protocol: turn.outcome.protocol.as_str().to_owned(),
            request: message.as_str().to_owned(),
            verdict: verdict.kind().to_owned(),
            outcome: verdict.as_str().to_owned(),
            explanation: explanation.map(str::to_owned),
            reply: reply.as_deref().and_then(decode),
        });
        reply
    }
}

/// Reads one untagged frame to a guest; `None`: it is no message that this module knows.
#[must_use]
pub fn decode(frame: &[u8]) -> Option<Decoded> {
    let frame = Frame { bytes: frame, vlan: None, checksum_pending: true, truncated: false };
    match wire::decode(&frame).ok()? {
        Inbound::Dhcpv4Server(datagram) => Some(Decoded {
            source: datagram.source.to_string(),
            destination: datagram.destination.to_string(),
            fields: dhcpv4::fields(datagram.payload)?,
        }),
        Inbound::Dhcpv6Server(datagram) => Some(Decoded {
            source: datagram.source.to_string(),
            destination: datagram.destination.to_string(),
            fields: dhcpv6::fields(datagram.payload)?,
        }),
        Inbound::RouterAdvertisement(message) => Some(Decoded {
            source: message.source.to_string(),
            destination: message.destination.to_string(),
            fields: nd::fields(message.body)?,
        }),
        Inbound::Dhcpv4(_)
        | Inbound::Dhcpv6(_)
        | Inbound::RouterSolicitation(_)
        | Inbound::NeighborSolicitation(_)
        | Inbound::NeighborAdvertisement(_)
        | Inbound::EchoIpv4(_)
        | Inbound::EchoIpv6(_)
        | Inbound::Arp(_)
        | Inbound::Rarp(_) => None,
    }
}

/// Makes a field that is no option.
fn plain(name: &str, value: impl Into<String>) -> Field {
    Field { code: None, name: name.to_owned(), value: value.into() }
}

/// Takes our own tag out of a reply on a trunk.
fn untagged(frame: &[u8], vlan: Option<u16>) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    if vlan.is_some() && bytes.len() >= MACS_AND_TAG {
        bytes.drain(MACS..MACS_AND_TAG);
    }
    bytes
}

/// A request has one reply; a responder may add to it.
const REPLIES: usize = 4;
/// Destination and source.
const MACS: usize = 12;
/// The same with an IEEE 802.1Q tag behind.
const MACS_AND_TAG: usize = 16;

#[cfg(test)]
mod tests;
