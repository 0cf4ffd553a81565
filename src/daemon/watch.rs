//! Live exchanges for whoever watches, at no cost while nobody does.
//!
//! A port's task holds a [`Tap`] for each watch that concerns it; without one it looks at an empty
//! list. What it sees goes through a bounded channel and never waits: what finds no room is counted
//! and said. The words are made in the watcher's own task.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::binding::Binding;
use crate::control::{Answer, WatchEvent, Watched, WatchedFrame};
use crate::outcome::{Message, Note, Outcome, Protocol, Verdict};
use crate::replay::Told;
use crate::responder::Turn;
use crate::time::Wall;
use crate::wire::{Frame, Mac};

/// Which ports a watch is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// This interface only.
    pub(super) port: Option<String>,
    /// The ports of this VM only.
    pub(super) vm: Option<String>,
}

impl Wanted {
    /// Tells whether a port of a VM is watched.
    pub(super) fn takes(&self, interface: &str, vm: &str) -> bool {
        self.port.as_deref().is_none_or(|port| port == interface)
            && self.vm.as_deref().is_none_or(|wanted| wanted == vm)
    }
}

/// A port's end of a watch.
#[derive(Debug, Clone)]
pub(super) struct Tap {
    sightings: mpsc::Sender<Sighting>,
    missed: Arc<AtomicU64>,
}

/// The watcher's end.
#[derive(Debug)]
pub(super) struct Watcher {
    sightings: mpsc::Receiver<Sighting>,
    missed: Arc<AtomicU64>,
    /// How many ports are watched at the start.
    pub(super) ports: usize,
    /// Whether the frames are told too.
    pub(super) frames: bool,
}

/// What a port's task saw.
#[derive(Debug, Clone)]
pub(super) struct Sighting {
    pub(super) interface: Arc<str>,
    pub(super) binding: Arc<Binding>,
    /// When the frame came, in nanoseconds since 1970.
    pub(super) came: u64,
    /// When the replies had gone.
    pub(super) went: u64,
    pub(super) cause: Cause,
    /// The frames that went out.
    pub(super) sent: Vec<Box<[u8]>>,
}

/// Why something was sent, or not.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    /// The guest's frame, and what became of it.
    Received {
        turn: Turn,
        /// The frame, without its tag.
        bytes: Box<[u8]>,
        /// The tag.
        vlan: Option<u16>,
    },
    /// It was due.
    Due,
}

impl Cause {
    /// Takes a copy of what was received.
    pub(super) fn received(turn: Turn, frame: &Frame<'_>) -> Self {
        Self::Received { turn, bytes: frame.bytes.into(), vlan: frame.vlan }
    }
}

/// Makes both ends of a watch.
pub(super) fn watch(frames: bool) -> (Tap, Watcher) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    let missed = Arc::new(AtomicU64::new(0));
    let tap = Tap { sightings: sender, missed: Arc::clone(&missed) };
    (tap, Watcher { sightings: receiver, missed, ports: 0, frames })
}

impl Tap {
    /// Tells whether nobody watches any more.
    pub(super) fn is_closed(&self) -> bool {
        self.sightings.is_closed()
    }

    /// Tells the watcher if there is room. Returns whether it is still there.
    pub(super) fn show(&self, sighting: Sighting) -> bool {
        match self.sightings.try_send(sighting) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

impl Watcher {
    /// Tells the client everything, until it or the daemon goes.
    pub(super) async fn tell(mut self, mut reader: OwnedReadHalf, mut writer: OwnedWriteHalf) {
        let mut lines = Vec::new();
        push(&mut lines, WatchEvent::Begun { ports: self.ports });
        let mut nothing = [0; 64];
        loop {
            if writer.write_all(&lines).await.is_err() {
                return;
            }
            lines.clear();
            tokio::select! {
                // The client has nothing more to say: this is its end.
                read = reader.read(&mut nothing) => {
                    if read.map_or_else(|error| error.kind() != io::ErrorKind::Interrupted, |n| n == 0) {
                        return;
                    }
                }
                sighting = self.sightings.recv() => {
                    let Some(sighting) = sighting else { return };
                    push(&mut lines, sighting.event(self.frames));
                    while lines.len() < AT_ONCE
                        && let Ok(sighting) = self.sightings.try_recv()
                    {
                        push(&mut lines, sighting.event(self.frames));
                    }
                    match self.missed.swap(0, Ordering::Relaxed) {
                        0 => {}
                        exchanges => push(&mut lines, WatchEvent::Missed { exchanges }),
                    }
                }
            }
        }
    }
}

impl Sighting {
    fn event(&self, frames: bool) -> WatchEvent {
        let (outcome, note, source, arrived) = match &self.cause {
            Cause::Received { turn, .. } => (turn.outcome, turn.note, turn.source, turn.arrived),
            Cause::Due => (self.due(), None, None, false),
        };
        let Outcome { protocol, message, verdict } = outcome;
        let note = note.filter(|note| verdict != Verdict::Noted(*note));
        let message = match self.cause {
            Cause::Received { .. } => Some(message.as_str().to_owned()),
            Cause::Due => None,
        };
        let address = match verdict {
            Verdict::Replied(_) => self.sent.iter().find_map(|frame| Told::of_reply(frame).address),
            Verdict::Noted(_) | Verdict::Dropped(_) => None,
        };
        WatchEvent::Exchange(Box::new(Watched {
            at: to_the_microsecond(self.came),
            interface: self.interface.to_string(),
            vm: self.binding.key.vm.to_string(),
            source: source.map(|mac: Mac| mac.to_string()),
            protocol: protocol.as_str().to_owned(),
            message,
            verdict: verdict.kind().to_owned(),
            outcome: verdict.as_str().to_owned(),
            note: note.map(|note| note.as_str().to_owned()),
            arrived,
            address: address.map(|address| address.to_string()),
            explanation: verdict.explain().or(note.map(Note::explain)).map(str::to_owned),
            frames: if frames { self.frames() } else { Vec::new() },
        }))
    }

    /// Returns what was sent unasked.
    fn due(&self) -> Outcome {
        let told = self.sent.first().map(|frame| Told::of_reply(frame));
        let (protocol, message) =
            told.map_or((Protocol::Other, Message::Unknown), |told| (told.protocol, told.message));
        Outcome { protocol, message, verdict: Verdict::Replied(message) }
    }

    fn frames(&self) -> Vec<WatchedFrame> {
        let received = match &self.cause {
            Cause::Received { bytes, vlan, .. } => {
                Some(WatchedFrame { at: self.came, bytes: hex(&tagged(bytes, *vlan)) })
            }
            Cause::Due => None,
        };
        let sent = self.sent.iter();
        let sent = sent.map(|frame| WatchedFrame { at: self.went, bytes: hex(frame) });
        received.into_iter().chain(sent).collect()
    }
}

fn push(lines: &mut Vec<u8>, event: WatchEvent) {
    // Neither can fail: the types have no maps, and the sink is memory.
    if let Ok(line) = serde_json::to_vec(&Answer::Watch(event)) {
        lines.extend(line);
        lines.push(b'\n');
    }
}

/// Puts the tag back that the kernel took out.
fn tagged(bytes: &[u8], vlan: Option<u16>) -> Vec<u8> {
    match (vlan, bytes.split_at_checked(MACS)) {
        (Some(tci), Some((macs, rest))) => {
            [macs, &DOT1Q.to_be_bytes(), &tci.to_be_bytes(), rest].concat()
        }
        (Some(_), None) | (None, _) => bytes.to_vec(),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn to_the_microsecond(nanos: u64) -> String {
    let seconds = Wall(nanos / 1_000_000_000).to_rfc3339();
    let micros = nanos % 1_000_000_000 / 1_000;
    format!("{}.{micros:06}Z", seconds.trim_end_matches('Z'))
}

/// How many exchanges may wait for one watcher.
const QUEUE: usize = 1_024;

/// How many bytes are written at once before what was missed is said.
const AT_ONCE: usize = 64 * 1024;

/// Destination and source.
const MACS: usize = 12;
/// IEEE 802.1Q.
const DOT1Q: u16 = 0x8100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binding::PortFacts;
    use crate::lease::LeaseTable;
    use crate::lease::{LeaseKey, Occasion};
    use crate::network::tests::network;
    use crate::outcome::DropReason;

    fn binding() -> Arc<Binding> {
        let network = network("blue");
        let key = LeaseKey {
            network: network.name.clone(),
            vm: "demo/web-1".parse().unwrap(),
            nic: "default".parse().unwrap(),
        };
        let occasion = Occasion { node: "node-a", wall: Wall(0) };
        let lease = LeaseTable::default().assign(&network, &key, occasion).lease;
        let facts = PortFacts { mac: None, trunk_vlan: None, mtu: 1_500, is_macvtap: false };
        Arc::new(Binding::new(key, &facts, &network.parameters(&lease, [0; 18])))
    }

    fn sighting() -> Sighting {
        let outcome = Outcome::dropped(Protocol::Dhcpv4, Message::Discover, DropReason::NoAddress);
        let turn = Turn {
            outcome,
            note: None,
            source: Some(Mac([2, 0, 0, 0, 0, 1])),
            arrived: false,
            registration: None,
        };
        let bytes = [0xaa; 14];
        let frame =
            Frame { bytes: &bytes, vlan: Some(5), checksum_pending: false, truncated: false };
        Sighting {
            interface: "vnet0".into(),
            binding: binding(),
            came: 1_795_571_589_000_012_345,
            went: 1_795_571_589_000_020_000,
            cause: Cause::received(turn, &frame),
            sent: Vec::new(),
        }
    }

    #[test]
    fn a_watch_takes_all_ports_or_those_that_are_named() {
        let wanted = |port: Option<&str>, vm: Option<&str>| Wanted {
            port: port.map(str::to_owned),
            vm: vm.map(str::to_owned),
        };
        assert!(wanted(None, None).takes("vnet0", "web-1"));
        assert!(wanted(Some("vnet0"), None).takes("vnet0", "web-1"));
        assert!(!wanted(Some("vnet1"), None).takes("vnet0", "web-1"));
        assert!(!wanted(Some("vnet0"), Some("web-2")).takes("vnet0", "web-1"));
    }

    #[test]
    fn a_drop_is_told_with_its_reason_and_its_frame_with_its_tag() {
        let WatchEvent::Exchange(told) = sighting().event(true) else { panic!("no exchange") };
        assert_eq!(told.at, "2026-11-25T01:53:09.000012Z");
        assert_eq!((told.interface.as_str(), told.vm.as_str()), ("vnet0", "demo/web-1"));
        assert_eq!(told.outcome, "no-address");
        assert_eq!(told.explanation.as_deref(), Some(DropReason::NoAddress.explain()));
        let frame = "aaaaaaaaaaaaaaaaaaaaaaaa81000005aaaa".to_owned();
        assert_eq!(told.frames, [WatchedFrame { at: sighting().came, bytes: frame }]);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_a_watcher_that_went_is_noticed() {
        let (tap, watcher) = watch(false);
        for _ in 0..QUEUE + 3 {
            assert!(tap.show(sighting()));
        }
        assert_eq!(watcher.missed.load(Ordering::Relaxed), 3);
        drop(watcher);
        assert!(tap.is_closed());
        assert!(!tap.show(sighting()));
    }

    #[test]
    fn a_frame_that_is_answered_and_shows_an_arrival_is_told_as_both_clause_d3() {
        for has_come in [true, false] {
            let mut sighting = sighting();
            if let Cause::Received { turn, .. } = &mut sighting.cause {
                turn.outcome.verdict = Verdict::Replied(Message::Offer);
                turn.arrived = has_come;
            }
            let WatchEvent::Exchange(told) = sighting.event(false) else { panic!("no exchange") };
            assert_eq!((told.outcome.as_str(), told.arrived), ("offer", has_come));
        }
    }
}
