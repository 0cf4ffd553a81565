//! Captures answered offline: what one VM's port would have been told.
//!
//! [`Capture`] reads pcap and pcapng files and gives each frame as the port's socket would have.
//! [`Replay`] tells the guest's frames from what was sent to it, and lets the same responder answer
//! that serves the port in the daemon. [`Fixture`] makes a case of `packet-fixtures/` out of both.
//! No socket and no store is touched.

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

mod capture;
mod fixture;
mod link;
mod told;

pub use capture::{Capture, CaptureError, CaptureTime, CaptureWriter, Captured};
pub use fixture::{Fixture, FixturePort, frames_text, output_text};
pub use link::{Ethernet, Unreadable};
pub use told::Told;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::binding::Binding;
use crate::outcome::{Message, Note, Outcome, Protocol, Verdict};
use crate::responder::{PortResponder, RateLimit, Turn};
use crate::time::Mono;
use crate::wire::{self, Frame, Inbound, Mac, Outbox};

/// One port, answered from a capture.
///
/// There is no rate limit: a capture holds what the socket's filter keeps from the daemon too.
#[derive(Debug)]
pub struct Replay {
    responder: PortResponder,
    outbox: Outbox,
    /// Whose requests were heard: what goes to them comes from somebody else.
    guests: BTreeSet<Mac>,
}

/// What one frame of a capture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The guest's, and this became of it.
    FromGuest(Turn),
    /// A server's, router's or neighbour's, on its way to the guest: not ours to answer.
    ToGuest(Told),
}

impl Replay {
    /// Starts answering for the port that `binding` describes.
    #[must_use]
    pub fn new(binding: Arc<Binding>) -> Self {
        let limit = RateLimit { frames_per_second: 0, burst: 0 };
        let guests = binding.mac.into_iter().collect();
        Self {
            responder: PortResponder::new(binding, limit, Mono::default(), 1),
            outbox: Outbox::new(REPLIES_A_FRAME),
            guests,
        }
    }

    /// Decides about one frame; [`Self::replies`] holds the answer until the next one.
    pub fn handle(&mut self, frame: &Frame<'_>) -> Event {
        self.outbox.clear();
        if let Some(told) = self.to_guest(frame) {
            return Event::ToGuest(told);
        }
        let turn = self.responder.handle_frame(Mono::default(), frame, &mut self.outbox);
        if let (Some(source), true) = (turn.source, is_from_client(&turn.outcome)) {
            self.guests.insert(source);
        }
        Event::FromGuest(turn)
    }

    /// Returns the replies to the last frame, as they would leave the port.
    #[must_use]
    pub fn replies(&self) -> &Outbox {
        &self.outbox
    }

    /// Recognizes what goes to the guest: by our MAC, by its own as the destination, or by being a
    /// server's message from somebody who never asked for anything.
    fn to_guest(&self, frame: &Frame<'_>) -> Option<Told> {
        let (destination, source) = link::addresses(frame.bytes)?;
        // The host may have left the checksums of its own frames to the NIC.
        let inbound = wire::decode(&Frame { checksum_pending: true, ..*frame });
        let is_ours = source == self.responder.binding().source_mac;
        let is_servers = matches!(
            inbound,
            Ok(Inbound::Dhcpv4Server(_)
                | Inbound::Dhcpv6Server(_)
                | Inbound::RouterAdvertisement(_))
        );
        let is_to_guest = is_ours
            || self.guests.contains(&destination)
            || (is_servers && !self.guests.contains(&source));
        is_to_guest.then(|| Told::of(&inbound))
    }
}

/// Tells whether an outcome is that of a client's message, which servers and routers do not send.
fn is_from_client(outcome: &Outcome) -> bool {
    match outcome.protocol {
        Protocol::Dhcpv4 | Protocol::Dhcpv6 => {
            outcome.verdict != Verdict::Noted(Note::ForeignServer)
        }
        Protocol::Nd => outcome.message == Message::RouterSolicitation,
        Protocol::Arp | Protocol::Other => false,
    }
}

/// A frame has one reply at most; a recorded case is answered with as much room.
const REPLIES_A_FRAME: usize = 4;

#[cfg(test)]
mod tests;
