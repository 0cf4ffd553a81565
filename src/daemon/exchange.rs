//! The last exchange on a port, shared between its task and the listings without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::control::Exchange;
use crate::outcome::{DropReason, Message, Note, Outcome, Protocol, Verdict};
use crate::time::Wall;
use crate::wire::Mac;

/// What a port's task writes and `ports` reads.
#[derive(Debug, Default)]
pub(super) struct LastExchange {
    /// Packed as [`pack`] says; 0: none yet.
    outcome: AtomicU64,
    /// The MAC in the lower 48 bits; 0: none heard yet.
    source: AtomicU64,
}

impl LastExchange {
    /// Writes one outcome down.
    pub(super) fn record(&self, outcome: &Outcome, source: Option<Mac>, wall: Wall) {
        self.outcome.store(pack(outcome, wall), Ordering::Relaxed);
        if let Some(Mac([a, b, c, d, e, f])) = source {
            self.source.store(u64::from_be_bytes([0, 0, a, b, c, d, e, f]), Ordering::Relaxed);
        }
    }

    /// Returns the exchange in words.
    pub(super) fn exchange(&self) -> Option<Exchange> {
        unpack(self.outcome.load(Ordering::Relaxed))
    }

    /// Returns the last source MAC.
    pub(super) fn source(&self) -> Option<Mac> {
        let [_, _, a, b, c, d, e, f] = self.source.load(Ordering::Relaxed).to_be_bytes();
        let mac = Mac([a, b, c, d, e, f]);
        (mac != Mac::default()).then_some(mac)
    }
}

/// Puts an outcome into one word: seconds since 1970 in the upper half, then a byte each for
/// protocol, message, kind of verdict and its value.
fn pack(outcome: &Outcome, wall: Wall) -> u64 {
    let (kind, value) = match outcome.verdict {
        Verdict::Replied(message) => (REPLIED, message.index()),
        Verdict::Noted(note) => (NOTED, note.index()),
        Verdict::Dropped(reason) => (DROPPED, reason.index()),
    };
    let byte = |index: usize| u8::try_from(index).unwrap_or(u8::MAX);
    let [a, b, c, d] = u32::try_from(wall.0).unwrap_or(u32::MAX).to_be_bytes();
    u64::from_be_bytes([
        a,
        b,
        c,
        d,
        byte(outcome.protocol.index()),
        byte(outcome.message.index()),
        kind,
        byte(value),
    ])
}

fn unpack(word: u64) -> Option<Exchange> {
    if word == 0 {
        return None;
    }
    let [a, b, c, d, protocol, message, kind, value] = word.to_be_bytes();
    let at = Wall(u64::from(u32::from_be_bytes([a, b, c, d]))).to_rfc3339();
    let protocol = *Protocol::ALL.get(usize::from(protocol))?;
    let message = *Message::ALL.get(usize::from(message))?;
    let value = usize::from(value);
    let outcome = match kind {
        REPLIED => Message::ALL.get(value)?.as_str(),
        NOTED => Note::ALL.get(value)?.as_str(),
        DROPPED => DropReason::ALL.get(value)?.as_str(),
        _ => return None,
    };
    Some(Exchange::new(at, protocol, message, outcome))
}

const REPLIED: u8 = 0;
const NOTED: u8 = 1;
const DROPPED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_comes_back_in_words() {
        let last = LastExchange::default();
        assert_eq!(last.exchange(), None);
        assert_eq!(last.source(), None);
        let outcome = Outcome {
            protocol: Protocol::Dhcpv4,
            message: Message::Discover,
            verdict: Verdict::Replied(Message::Offer),
        };
        last.record(&outcome, Some(Mac([2, 0, 0, 0, 0, 1])), Wall(1_795_571_589));
        let exchange = last.exchange().unwrap();
        assert_eq!(exchange.at, "2026-11-25T01:53:09Z");
        assert_eq!((exchange.message.as_str(), exchange.outcome.as_str()), ("discover", "offer"));
        assert_eq!(last.source(), Some(Mac([2, 0, 0, 0, 0, 1])));
        last.record(
            &Outcome::dropped(Protocol::Nd, Message::Unknown, DropReason::Panicked),
            None,
            Wall(1),
        );
        assert_eq!(last.exchange().unwrap().outcome, "panicked");
    }
}
