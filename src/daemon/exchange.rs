//! What was exchanged on a port: the last exchange, shared between its task and the listings
//! without a lock, and the last ones, which belong to the task and are told when asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::control::{Exchange, Past};
use crate::outcome::{DropReason, Message, Note, Outcome, Protocol, Verdict};
use crate::responder::Turn;
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

/// The last exchanges on a port, drops included; no more of them than [`PLACES`].
///
/// A guest can fill it with what it likes, so equal outcomes within a minute share an entry, and
/// drops do not push out the last answers: they have half of the places for sure.
#[derive(Debug)]
pub(super) struct History {
    /// The latest last.
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    outcome: Outcome,
    note: Option<Note>,
    arrived: bool,
    first: Wall,
    last: Wall,
    count: u64,
}

impl History {
    /// Makes an empty history.
    pub(super) fn new() -> Self {
        // Most guests say three or four different things in all.
        Self { entries: Vec::new() }
    }

    /// Writes down what became of one frame.
    pub(super) fn record(&mut self, turn: &Turn, wall: Wall) {
        let Turn { outcome, note, arrived, .. } = *turn;
        let is_same = |entry: &Entry| {
            (entry.outcome, entry.note, entry.arrived) == (outcome, note, arrived)
                && wall.0.saturating_sub(entry.last.0) < TOGETHER_SECONDS
        };
        if let Some(place) = self.entries.iter().rposition(is_same) {
            let tail = self.entries.get_mut(place..).unwrap_or_default();
            if let Some(entry) = tail.first_mut() {
                entry.count = entry.count.saturating_add(1);
                entry.last = wall;
                tail.rotate_left(1);
            }
            return;
        }
        if self.entries.len() >= PLACES {
            let answers = self.entries.iter().filter(|entry| !is_drop(&entry.outcome)).count();
            let spares_answers = is_drop(&outcome) && answers <= PLACES / 2;
            let goes = |entry: &Entry| !spares_answers || is_drop(&entry.outcome);
            let place = self.entries.iter().position(goes).unwrap_or(0);
            self.entries.remove(place);
        }
        self.entries.push(Entry { outcome, note, arrived, first: wall, last: wall, count: 1 });
    }

    /// Returns the exchanges in words, the latest last.
    pub(super) fn told(&self) -> Vec<Past> {
        self.entries.iter().map(Entry::told).collect()
    }
}

impl Entry {
    fn told(&self) -> Past {
        let Outcome { protocol, message, verdict } = self.outcome;
        // What was only noted is said already.
        let note = self.note.filter(|note| verdict != Verdict::Noted(*note));
        Past {
            first: self.first.to_rfc3339(),
            last: self.last.to_rfc3339(),
            count: self.count,
            protocol: protocol.as_str().to_owned(),
            message: message.as_str().to_owned(),
            verdict: verdict.kind().to_owned(),
            outcome: verdict.as_str().to_owned(),
            note: note.map(|note| note.as_str().to_owned()),
            arrived: self.arrived,
            explanation: verdict.explain().or(note.map(Note::explain)).map(str::to_owned),
        }
    }
}

fn is_drop(outcome: &Outcome) -> bool {
    matches!(outcome.verdict, Verdict::Dropped(_))
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

/// How many entries a history has.
const PLACES: usize = 20;

/// Within how many seconds equal outcomes are counted together. Renewals are further apart.
const TOGETHER_SECONDS: u64 = 60;

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

    const OFFER: Outcome = Outcome {
        protocol: Protocol::Dhcpv4,
        message: Message::Discover,
        verdict: Verdict::Replied(Message::Offer),
    };
    const ACK: Outcome = Outcome {
        protocol: Protocol::Dhcpv4,
        message: Message::Request,
        verdict: Verdict::Replied(Message::Ack),
    };

    fn turn(outcome: Outcome) -> Turn {
        Turn { outcome, note: None, registration: None, source: None, arrived: false }
    }

    fn counts(history: &History) -> Vec<(String, u64)> {
        history.told().into_iter().map(|past| (past.outcome, past.count)).collect()
    }

    #[test]
    fn equal_outcomes_within_a_minute_share_an_entry() {
        let mut history = History::new();
        for (outcome, second) in [(OFFER, 100), (ACK, 101), (OFFER, 102), (ACK, 103), (ACK, 200)] {
            history.record(&turn(outcome), Wall(second));
        }
        let expected = [("offer", 2), ("ack", 2), ("ack", 1)].map(|(text, n)| (text.to_owned(), n));
        assert_eq!(counts(&history), expected);
        let first = history.told().remove(0);
        assert_eq!(first.first, "1970-01-01T00:01:40Z");
        assert_eq!(first.last, "1970-01-01T00:01:42Z");
    }

    #[test]
    fn a_flood_of_one_or_of_many_kinds_leaves_the_last_answers() {
        let mut history = History::new();
        for step in 0..30 {
            history.record(&turn(ACK), Wall(step * TOGETHER_SECONDS));
        }
        let wall = Wall(30 * TOGETHER_SECONDS);
        for _ in 0..1_000 {
            for reason in DropReason::ALL {
                let outcome = Outcome::dropped(Protocol::Other, Message::Unknown, *reason);
                history.record(&turn(outcome), wall);
            }
        }
        let told = history.told();
        assert_eq!(told.len(), PLACES);
        assert_eq!(told.iter().filter(|past| past.outcome == "ack").count(), PLACES / 2);
    }

    #[test]
    fn a_history_says_why_and_what_was_learnt_beside() {
        let mut history = History::new();
        history.record(&Turn { note: Some(Note::OptionsLeftOut), ..turn(ACK) }, Wall(1));
        let arrived = Outcome { verdict: Verdict::Noted(Note::Arrived), ..ACK };
        history.record(&Turn { note: Some(Note::Arrived), ..turn(arrived) }, Wall(1));
        let told = history.told();
        let said: Vec<_> =
            told.iter().map(|past| (past.note.as_deref(), &past.explanation)).collect();
        let why = |note: Note| Some(note.explain().to_owned());
        assert_eq!(
            said,
            [(Some("options-left-out"), &why(Note::OptionsLeftOut)), (None, &why(Note::Arrived))]
        );
    }

    #[test]
    fn an_answer_to_a_guest_that_has_come_is_told_apart_from_the_next_clause_d3() {
        let mut history = History::new();
        history.record(&Turn { arrived: true, ..turn(ACK) }, Wall(1));
        for _ in 0..2 {
            history.record(&turn(ACK), Wall(2));
        }
        let told = history.told();
        let said: Vec<_> = told.iter().map(|past| (past.arrived, past.count)).collect();
        assert_eq!(said, [(true, 1), (false, 2)]);
    }
}
