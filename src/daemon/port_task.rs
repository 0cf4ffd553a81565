//! One port's task: the socket around a [`PortResponder`].
//!
//! It reads the clock once a wake, takes a bounded number of frames, lets the responder decide,
//! sends, counts, and sleeps until the socket, an order or the responder's deadline wakes it. The
//! packet buffers belong to the worker thread, not to the port.

use std::cell::RefCell;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_channel::mpsc::UnboundedReceiver;
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;

use super::exchange::{History, LastExchange};
use super::watch::{Cause, Sighting, Tap};
use crate::arrival::Subject;
use crate::binding::Binding;
use crate::clock;
use crate::control::Past;
use crate::dhcpv6::Registration;
use crate::net::{AsyncPacketSocket, PacketSocket, Readable, Received, RecvBatch, Way};
use crate::outcome::{DropReason, Message, Note, Outcome, Protocol, Verdict};
use crate::responder::{PortResponder, RateLimit, Turn};
use crate::telemetry::NetworkMetrics;
use crate::time::{Mono, Now};
use crate::wire::Outbox;

/// What the supervisor tells a port's task.
#[derive(Debug)]
pub(super) enum Order {
    /// Serve this from now on.
    Rebind {
        /// What is served.
        binding: Arc<Binding>,
        /// The port's rate.
        limit: RateLimit,
        /// Where it is counted.
        metrics: Arc<NetworkMetrics>,
    },
    /// The link came up.
    LinkUp,
    /// The VM was heard elsewhere: it is told nothing more here.
    GuestLeft,
    /// Show what is exchanged from now on.
    Watch(Tap),
    /// Tell the last exchanges.
    Recall(oneshot::Sender<Vec<Past>>),
}

/// What is known of a port's guest when it begins to be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guest {
    /// It is to come, or came unseen: it is asked, and its first frame is an arrival.
    Awaited,
    /// It is there already, as when this program was restarted, or its socket is another.
    Settled,
}

/// What a port's task tells the supervisor.
#[derive(Debug)]
pub(super) struct PortReport {
    /// The interface's name.
    pub(super) interface: Arc<str>,
    /// What happened.
    pub(super) event: PortEvent,
}

/// What happened on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortEvent {
    /// The guest spoke; not told more often than [`SEEN_INTERVAL`] allows.
    Seen,
    /// The guest registered an address of its own making; no more of them in one
    /// [`NOTE_INTERVAL`] than [`REGISTRATIONS_MAX`].
    Registered(Registration),
    /// Something was noted of a frame; not told more often than [`NOTE_INTERVAL`] allows.
    Noted(Protocol, Note),
    /// The guest has come to the port, as a message of this type shows. It is told until there is
    /// room to listen.
    Arrived(Message),
}

/// Everything that a port's task begins with.
#[derive(Debug)]
pub(super) struct PortTask {
    pub(super) interface: Arc<str>,
    pub(super) ifindex: u32,
    pub(super) socket: AsyncPacketSocket,
    pub(super) binding: Arc<Binding>,
    pub(super) guest: Guest,
    pub(super) limit: RateLimit,
    pub(super) metrics: Arc<NetworkMetrics>,
    pub(super) last: Arc<LastExchange>,
    /// Who watches from the start.
    pub(super) taps: Vec<Tap>,
    pub(super) orders: UnboundedReceiver<Order>,
    pub(super) reports: mpsc::Sender<PortReport>,
}

impl PortTask {
    /// Serves the port until the supervisor drops its end of the orders, then gives the socket
    /// back, and what is known of the guest.
    ///
    /// A node has thousands of these futures: what one holds while it sleeps is made before it, or
    /// it would hold the parts beside the whole.
    pub(super) fn run(self) -> impl Future<Output = (PacketSocket, Guest)> + Send {
        let Self { interface, ifindex, socket, binding, guest, limit, .. } = self;
        let Self { metrics, last, taps, orders, reports, .. } = self;
        let now = clock::now();
        // The seed only spreads advertisements; it is no secret. Ports start at different moments.
        let seed = now.mono.as_nanos() ^ (u64::from(ifindex) << 32);
        let mut responder = PortResponder::new(binding, limit, now.mono, seed);
        match guest {
            Guest::Awaited => responder.await_guest(now.mono),
            Guest::Settled => responder.settle_guest(now.mono),
        }
        let port = Port {
            interface,
            ifindex,
            responder,
            metrics,
            last,
            history: History::new(),
            taps,
            reports,
            seen_told: None,
            noted_told: NotesTold::default(),
            registered_told: (now.mono, 0),
            arrival_untold: None,
        };
        // What another port's guest overran is not this one's.
        let _ = socket.socket().queue_drops();
        port.serve(socket, orders)
    }
}

/// A port's state while it is served.
struct Port {
    interface: Arc<str>,
    ifindex: u32,
    responder: PortResponder,
    metrics: Arc<NetworkMetrics>,
    last: Arc<LastExchange>,
    history: History,
    /// Who watches; for the most part nobody.
    taps: Vec<Tap>,
    reports: mpsc::Sender<PortReport>,
    /// When the supervisor was last told that the guest spoke.
    seen_told: Option<Mono>,
    noted_told: NotesTold,
    /// Since when how many registrations were told.
    registered_told: (Mono, u8),
    /// The message that showed an arrival, until the supervisor was told.
    arrival_untold: Option<Message>,
}

/// What one batch says of the frames behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backlog {
    /// The queue is empty.
    None,
    /// There may be more frames.
    Some,
    /// There may be more, and the guest is far beyond its rate.
    Flood,
}

impl Port {
    fn serve(
        mut self,
        socket: AsyncPacketSocket,
        mut orders: UnboundedReceiver<Order>,
    ) -> impl Future<Output = (PacketSocket, Guest)> + Send {
        let mut armed = self.responder.next_deadline();
        // Not an `async fn`: that holds its arguments twice.
        async move {
            let mut timer = pin!(sleep_until(instant(armed)));
            // Until when the socket is left alone.
            let mut rest = None;
            loop {
                let deadline = [self.responder.next_deadline(), rest].into_iter().flatten().min();
                if deadline != armed {
                    armed = deadline;
                    timer.as_mut().reset(instant(armed));
                }
                tokio::select! {
                    biased;
                    order = orders.next() => match order {
                        Some(order) => self.obey(order),
                        None => break,
                    },
                    ready = socket.readable(), if rest.is_none() => {
                        let Ok(mut ready) = ready else { break };
                        let mut backlog = Backlog::None;
                        for _ in 0..BATCHES_A_WAKE {
                            backlog = self.receive(&mut ready, socket.socket());
                            if backlog != Backlog::Some {
                                break;
                            }
                        }
                        match backlog {
                            Backlog::None => {}
                            // Others have their turn; the socket stays ready.
                            Backlog::Some => tokio::task::yield_now().await,
                            // The kernel throws away what its queue does not hold, for far less.
                            Backlog::Flood => rest = Some(clock::mono().after(FLOOD_REST)),
                        }
                        if backlog != Backlog::None {
                            self.count_queue_drops(socket.socket());
                        }
                    }
                    () = timer.as_mut(), if armed.is_some() => {
                        rest = rest.filter(|until| *until > clock::mono());
                        self.announce(socket.socket());
                        self.advertise(socket.socket());
                    }
                }
            }
            let guest = if self.responder.has_guest() { Guest::Settled } else { Guest::Awaited };
            (socket.into_socket(), guest)
        }
    }

    fn obey(&mut self, order: Order) {
        let now = clock::mono();
        match order {
            Order::Rebind { binding, limit, metrics } => {
                self.metrics = metrics;
                self.responder.rebind(now, binding, limit);
            }
            Order::LinkUp => self.responder.link_up(now),
            Order::Watch(tap) => {
                self.taps.retain(|tap| !tap.is_closed());
                self.taps.push(tap);
            }
            // Whoever asked may have gone.
            Order::Recall(answer) => drop(answer.send(self.history.told())),
            Order::GuestLeft => {
                self.responder.guest_left();
                self.arrival_untold = None;
            }
        }
    }

    /// Takes one batch of frames and answers it.
    fn receive(&mut self, ready: &mut Readable<'_>, socket: &PacketSocket) -> Backlog {
        let backlog = self.receive_batch(ready, socket);
        // Its guest is told before anything else is read: the first round is due at once.
        if self.responder.arrival_due(clock::mono()).is_some() {
            self.announce(socket);
        }
        backlog
    }

    fn receive_batch(&mut self, ready: &mut Readable<'_>, socket: &PacketSocket) -> Backlog {
        WORKER.with_borrow_mut(|worker| {
            // ENETDOWN is said once, before the frames that wait: the link went down or away, and
            // netlink tells which. So an error is read over, once.
            let received = ready
                .recv_batch(&mut worker.recv)
                .or_else(|_| ready.recv_batch(&mut worker.recv))
                .unwrap_or(0);
            if received == 0 {
                return Backlog::None;
            }
            let now = clock::now();
            let watched = self.begin_watching();
            worker.turns.clear();
            worker.outbox.clear();
            worker.ends.clear();
            for received in worker.recv.frames() {
                if !self.is_guests(&received) {
                    continue;
                }
                let frame = &received.frame;
                let turn = self.responder.handle_frame(now.mono, frame, &mut worker.outbox);
                worker.turns.push(turn);
                worker.ends.push(worker.outbox.len());
            }
            let sent = send(socket, &worker.outbox);
            self.account(now, &mut worker.turns, sent);
            if let Some(came) = watched {
                self.show_turns(came, worker, sent);
            }
            if received < RecvBatch::SLOTS {
                Backlog::None
            } else if !worker.turns.is_empty() && worker.turns.iter().all(is_beyond_rate) {
                Backlog::Flood
            } else {
                Backlog::Some
            }
        })
    }

    /// Tells whether the guest may have sent a frame. Frames queued from another device are still
    /// delivered after a rebind.
    fn is_guests(&self, received: &Received<'_>) -> bool {
        let way = way_of_guest(self.responder.binding());
        received.ifindex == self.ifindex && received.way == way
    }

    /// Asks the guest, or tells one that has come, what is due, an outbox after the other.
    fn announce(&mut self, socket: &PacketSocket) {
        let now = clock::mono();
        while let Some(subject) = self.responder.arrival_due(now) {
            WORKER.with_borrow_mut(|worker| {
                worker.outbox.clear();
                self.responder.handle_arrival(now, &mut worker.outbox);
                // What finds no room is made up for by the next round.
                let watched = self.begin_watching();
                let sent = send(socket, &worker.outbox);
                match subject {
                    Subject::Questions => self.metrics.asked(sent),
                    Subject::Announcements => self.metrics.announced(sent),
                }
                self.show_due(watched, worker, sent);
            });
        }
    }

    fn advertise(&mut self, socket: &PacketSocket) {
        WORKER.with_borrow_mut(|worker| {
            worker.outbox.clear();
            let watched = self.begin_watching();
            if self.responder.handle_deadline(clock::mono(), &mut worker.outbox) {
                // One that finds no room is made up for by the next.
                let sent = send(socket, &worker.outbox);
                let ra = self.responder.binding().ra.as_ref();
                if sent > 0 && ra.is_some_and(|ra| !ra.is_whole()) {
                    self.metrics.note(Protocol::Nd, Note::OptionsLeftOut);
                }
                self.show_due(watched, worker, sent);
            }
        });
    }

    /// Reads the time for those who watch; `None`: nobody does.
    fn begin_watching(&self) -> Option<u64> {
        (!self.taps.is_empty()).then(clock::wall_nanos)
    }

    /// Shows a batch, each frame with the replies to it that went out.
    fn show_turns(&mut self, came: u64, worker: &Worker, sent: usize) {
        let mut first = 0;
        let guests: Vec<_> =
            worker.recv.frames().filter(|received| self.is_guests(received)).collect();
        for ((received, turn), end) in guests.into_iter().zip(&worker.turns).zip(&worker.ends) {
            let number = (*end).min(sent).saturating_sub(first);
            let replies = worker.outbox.frames().skip(first).take(number).map(Into::into);
            self.show(came, Cause::received(*turn, &received.frame), replies.collect());
            first = *end;
        }
    }

    /// Shows what went out unasked.
    fn show_due(&mut self, watched: Option<u64>, worker: &Worker, sent: usize) {
        let Some(came) = watched else { return };
        for frame in worker.outbox.frames().take(sent) {
            self.show(came, Cause::Due, vec![frame.into()]);
        }
    }

    fn show(&mut self, came: u64, cause: Cause, sent: Vec<Box<[u8]>>) {
        let sighting = Sighting {
            interface: Arc::clone(&self.interface),
            binding: Arc::clone(self.responder.binding()),
            came,
            went: clock::wall_nanos(),
            cause,
            sent,
        };
        self.taps.retain(|tap| tap.show(sighting.clone()));
    }

    /// Counts the frames that found the kernel's queue full (clause E1).
    fn count_queue_drops(&self, socket: &PacketSocket) {
        // Without an answer they are counted the next time.
        if let Ok(frames) = socket.queue_drops() {
            self.metrics.queue_overran(frames);
        }
    }

    /// Counts what became of a batch. The first `sent` replies went out; the socket had no room for
    /// the others: their guests ask again.
    fn account(&mut self, now: Now, turns: &mut [Turn], sent: usize) {
        let took = if sent > 0 { clock::mono().since(now.mono) } else { Duration::ZERO };
        let mut replies: usize = 0;
        for turn in turns {
            if let Verdict::Replied(_) = turn.outcome.verdict {
                if replies < sent {
                    self.metrics.reply_took(turn.outcome.protocol, took);
                } else {
                    turn.outcome.verdict = Verdict::Dropped(DropReason::SendFailed);
                }
                replies = replies.saturating_add(1);
            }
            self.metrics.count(&turn.outcome);
            if turn.arrived && turn.note != Some(Note::Arrived) {
                self.metrics.note(turn.outcome.protocol, Note::Arrived);
            }
            // A reply may teach something beside; of a frame that was only noted, `count` knows.
            if let (Verdict::Replied(_), Some(note)) = (turn.outcome.verdict, turn.note) {
                self.metrics.note(turn.outcome.protocol, note);
            }
            self.note(now, turn);
        }
    }

    fn note(&mut self, now: Now, turn: &Turn) {
        self.history.record(turn, now.wall);
        // Before it is told that the guest was seen: one write of the lease then says both.
        if turn.arrived {
            self.arrival_untold = Some(turn.outcome.message);
        }
        if let Some(message) = self.arrival_untold
            && self.report(PortEvent::Arrived(message))
        {
            self.arrival_untold = None;
        }
        let Outcome { verdict, .. } = &turn.outcome;
        match verdict {
            Verdict::Replied(_) | Verdict::Noted(_) => {
                self.last.record(&turn.outcome, turn.source, now.wall);
                if is_due(self.seen_told, now.mono, SEEN_INTERVAL) && self.report(PortEvent::Seen) {
                    self.seen_told = Some(now.mono);
                }
            }
            Verdict::Dropped(_) => {}
        }
        if let (Verdict::Replied(_), Some(registration)) = (verdict, turn.registration) {
            self.registered(now.mono, registration);
        }
        // The supervisor listens to all ports: no guest may take all of its time.
        let Some(note) = turn.note else { return };
        let protocol = turn.outcome.protocol;
        if self.noted_told.is_due(protocol, note, now.mono)
            && self.report(PortEvent::Noted(protocol, note))
        {
            self.noted_told.tell(protocol, note, now.mono);
        }
    }

    /// Tells of a registration. A guest that has just come up sends one for each of its addresses,
    /// so several go through at once.
    fn registered(&mut self, now: Mono, registration: Registration) {
        let (since, told) = self.registered_told;
        if now.since(since) >= NOTE_INTERVAL {
            self.registered_told = (now, 0);
        } else if told >= REGISTRATIONS_MAX {
            return;
        }
        if self.report(PortEvent::Registered(registration)) {
            self.registered_told.1 = self.registered_told.1.saturating_add(1);
        }
    }

    /// Tells the supervisor, if it has room to listen: a packet never waits for it.
    fn report(&self, event: PortEvent) -> bool {
        self.reports.try_send(PortReport { interface: Arc::clone(&self.interface), event }).is_ok()
    }
}

/// When the supervisor was last told of each note, apart for each protocol: a guest that declines its
/// IPv4 address may decline its IPv6 address at once.
/// Most guests give cause for one or two.
#[derive(Debug, Default)]
struct NotesTold(Vec<(Protocol, Note, Mono)>);

impl NotesTold {
    fn is_due(&self, protocol: Protocol, note: Note, now: Mono) -> bool {
        let told = self.0.iter().find(|told| (told.0, told.1) == (protocol, note));
        is_due(told.map(|told| told.2), now, NOTE_INTERVAL)
    }

    fn tell(&mut self, protocol: Protocol, note: Note, now: Mono) {
        self.0.retain(|told| (told.0, told.1) != (protocol, note));
        self.0.push((protocol, note, now));
    }
}

/// Returns which way a port's guest's frames pass it.
pub(super) fn way_of_guest(binding: &Binding) -> Way {
    if binding.is_macvtap { Way::Out } else { Way::In }
}

fn is_due(last: Option<Mono>, now: Mono, interval: Duration) -> bool {
    last.is_none_or(|last| now.since(last) >= interval)
}

fn is_beyond_rate(turn: &Turn) -> bool {
    turn.outcome.verdict == Verdict::Dropped(DropReason::RateLimited)
}

/// The packet buffers of one worker thread, used by whichever port has its turn.
struct Worker {
    recv: RecvBatch,
    outbox: Outbox,
    turns: Vec<Turn>,
    /// How many replies were queued after each turn.
    ends: Vec<usize>,
}

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::new(Worker {
        recv: RecvBatch::new(),
        outbox: Outbox::new(RecvBatch::SLOTS),
        turns: Vec::with_capacity(RecvBatch::SLOTS),
        ends: Vec::with_capacity(RecvBatch::SLOTS),
    });
}

/// Sends what is queued; returns how many frames went. What finds no room is not sent: a packet
/// never waits, and its guest asks again.
fn send(socket: &PacketSocket, outbox: &Outbox) -> usize {
    let mut sent = 0;
    while sent < outbox.len() {
        match socket.send_batch(outbox.frames().skip(sent)) {
            Ok(0) | Err(_) => break,
            Ok(more) => sent = sent.saturating_add(more),
        }
    }
    sent
}

fn instant(deadline: Option<Mono>) -> tokio::time::Instant {
    tokio::time::Instant::from_std(clock::instant(deadline.unwrap_or_default()))
}

/// How many batches a port may take before others have their turn.
const BATCHES_A_WAKE: usize = 4;

/// How often a speaking guest is told to the supervisor.
const SEEN_INTERVAL: Duration = Duration::from_secs(30);

/// How often one kind of note of one protocol is told to the supervisor. Metrics count every one.
const NOTE_INTERVAL: Duration = Duration::from_secs(1);

/// How many registrations are told to the supervisor in one [`NOTE_INTERVAL`].
const REGISTRATIONS_MAX: u8 = 16;

/// How long a port is left alone whose guest sends far more than its rate: 16 frames in each rest
/// cost nothing, where reading a flood takes a core.
const FLOOD_REST: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_of_one_protocol_holds_back_none_of_another() {
        let mut told = NotesTold::default();
        let at = Mono::from_millis;
        assert!(told.is_due(Protocol::Dhcpv4, Note::Declined, at(0)));
        told.tell(Protocol::Dhcpv4, Note::Declined, at(0));
        assert!(!told.is_due(Protocol::Dhcpv4, Note::Declined, at(999)));
        assert!(told.is_due(Protocol::Dhcpv6, Note::Declined, at(0)));
        assert!(told.is_due(Protocol::Dhcpv4, Note::ForeignServer, at(0)));
        assert!(told.is_due(Protocol::Dhcpv4, Note::Declined, at(1_000)));
    }
}
