//! One port: demultiplexing, checks, rate limit, deadlines.
//!
//! A [`PortResponder`] is owned by its port's task. It is given frames and the time, writes at most
//! one reply a frame into the outbox, and says in a [`Turn`] what became of the frame. It performs
//! no I/O, reads no clock and shares no state with other ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::arrival::{Arrival, Sign, Subject};
use crate::binding::Binding;
use crate::outcome::{DropReason, Message, Note, Outcome, Protocol, Verdict};
use crate::reply::{Decision, Handled, Reply};
use crate::time::Mono;
use crate::wire::bytes::Full;
use crate::wire::{self, Datagram, Frame, Icmpv6, Inbound, Link, Mac, Outbox, VLAN_TAG, encode};
use crate::{dhcpv4, dhcpv6, nd};

/// Answers the guest behind one port.
#[derive(Debug)]
pub struct PortResponder {
    binding: Arc<Binding>,
    bucket: TokenBucket,
    schedule: nd::Schedule,
    /// What the guest is still to forget.
    withdrawals: nd::Withdrawals,
    arrival: Arrival,
    /// Whom unsolicited advertisements go to where the port's MAC is not known.
    last_source: Option<Mac>,
}

/// How many frames a port may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Frames a second in the long run; 0: no limit.
    pub frames_per_second: u32,
    /// Frames at once.
    pub burst: u32,
}

/// What became of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// What is counted.
    pub outcome: Outcome,
    /// What the control path should learn.
    pub note: Option<Note>,
    /// The address that the guest registered, where the note says so.
    pub registration: Option<dhcpv6::Registration>,
    /// Who sent the frame, if it was read that far.
    pub source: Option<Mac>,
    /// Whether it shows that the guest has come to this port (clause D3): see
    /// [`PortResponder::handle_arrival`].
    pub arrived: bool,
}

impl PortResponder {
    /// Starts serving `binding`, whose guest is not known to be there; `seed` feeds the jitter of
    /// unsolicited advertisements.
    #[must_use]
    pub fn new(binding: Arc<Binding>, limit: RateLimit, now: Mono, seed: u64) -> Self {
        Self {
            binding,
            bucket: TokenBucket::new(limit, now),
            schedule: nd::Schedule::new(seed),
            withdrawals: nd::Withdrawals::default(),
            arrival: Arrival::default(),
            last_source: None,
        }
    }

    /// Returns what is being served.
    #[must_use]
    pub fn binding(&self) -> &Arc<Binding> {
        &self.binding
    }

    /// Serves another binding from now on. A changed advertisement is sent soon, three times; what
    /// the old one said and the new one does not is withdrawn.
    pub fn rebind(&mut self, now: Mono, binding: Arc<Binding>, limit: RateLimit) {
        let advertisement = |binding: &Binding| {
            let ra = binding.ra.as_ref()?;
            let sender = (ra.link_local(), binding.source_mac);
            Some((sender, ra.advertisement().to_vec(), ra.interval()))
        };
        let changed = advertisement(&self.binding) != advertisement(&binding);
        // Another guest may stand behind the port now: nothing learnt of the old one is used.
        if self.binding.key != binding.key {
            self.last_source = None;
            self.guest_left();
            self.withdrawals = nd::Withdrawals::default();
        } else if changed && self.arrival.is_here() {
            self.schedule.restart(now, interval(&binding));
        }
        if self.binding.key == binding.key {
            let old = (self.binding.ra.as_ref(), self.binding.source_mac);
            let first = self.schedule.next_deadline().unwrap_or(now);
            self.withdrawals.replace((now, first), old, binding.ra.as_ref());
        }
        self.bucket.limit(limit);
        self.binding = binding;
    }

    /// Takes note that the port's link came up: the guest may be a new one, or rebooted.
    pub fn link_up(&mut self, now: Mono) {
        self.arrival.link_up(now);
        if !self.arrival.is_here() {
            self.schedule.pause();
        }
    }

    /// Has the guest asked whether it is here already; it may have come before its port was opened.
    pub fn await_guest(&mut self, now: Mono) {
        self.arrival.ask(now);
    }

    /// Takes the guest for being here already: this program was restarted, the VM did not move.
    pub fn settle_guest(&mut self, now: Mono) {
        self.arrival.settle();
        self.schedule.restart(now, interval(&self.binding));
    }

    /// Takes note that the VM is elsewhere now: it is told nothing more unasked, and if it speaks
    /// here again it has come back.
    pub fn guest_left(&mut self) {
        self.arrival.leave();
        self.schedule.pause();
    }

    /// Tells whether the guest is known to be at the port.
    #[must_use]
    pub fn has_guest(&self) -> bool {
        self.arrival.is_here()
    }

    /// Decides about one frame; at most one reply is put into `outbox`.
    pub fn handle_frame(&mut self, now: Mono, frame: &Frame<'_>, outbox: &mut Outbox) -> Turn {
        // The bucket stands before everything: a flood costs its port's bucket and no parsing.
        if !self.bucket.take(now) {
            return Turn::dropped(Protocol::Other, DropReason::RateLimited);
        }
        self.withdrawals.forget(now);
        // Own code has checked access only; a panic in a dependency costs this frame alone.
        catch_unwind(AssertUnwindSafe(|| self.answer(now, frame, outbox)))
            .unwrap_or_else(|_| Turn::dropped(Protocol::Other, DropReason::Panicked))
    }

    /// Returns when [`Self::handle_deadline`] or [`Self::handle_arrival`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let deadlines = [
            self.schedule.next_deadline(),
            // What a guest is to forget it is told once it is here.
            self.withdrawals.next_deadline().filter(|_| self.has_guest()),
            self.arrival.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Tells whether [`Self::handle_arrival`] has something to do by `now`, and of what kind.
    #[must_use]
    pub fn arrival_due(&self, now: Mono) -> Option<Subject> {
        self.arrival.due(now).map(|(subject, _)| subject)
    }

    /// Asks a guest that is awaited, or tells one that has come (clause D4), what is due by `now`,
    /// as far as `outbox` has room; what it has none for stays due. Returns how many frames were put
    /// into it.
    pub fn handle_arrival(&mut self, now: Mono, outbox: &mut Outbox) -> usize {
        let before = outbox.len();
        let binding = Arc::clone(&self.binding);
        while let Some((subject, place)) = self.arrival.due(now)
            && outbox.slot().is_some()
        {
            let said = match subject {
                Subject::Questions => binding.questions.get(place).map(|question| {
                    let write = |frame: &mut [u8], link| nd::write_question(frame, link, question);
                    self.send_to_guest(write, outbox);
                }),
                Subject::Announcements => binding
                    .announcements
                    .get(place)
                    .map(|announcement| self.announce(now, announcement, outbox)),
            };
            match said {
                Some(()) => self.arrival.said(),
                None => self.arrival.end_round(now),
            }
        }
        outbox.len().saturating_sub(before)
    }

    /// Sends what is due by `now`: an unsolicited router advertisement, or a last one of a router
    /// that is withdrawn; none while the guest is not known to be here (clause C3). Tells whether
    /// one was put into `outbox`.
    pub fn handle_deadline(&mut self, now: Mono, outbox: &mut Outbox) -> bool {
        self.withdrawals.forget(now);
        if !self.has_guest() {
            return false;
        }
        // First who routes now, then who does no longer: the guest always has a router.
        if self.schedule.take_due(now) {
            return self.advertise(outbox);
        }
        let Some(router) = self.withdrawals.take_due(now) else {
            return false;
        };
        let ours = self.binding.ra.as_ref();
        let write = |out: &mut [u8]| self.withdrawals.write_last_advertisement(ours, out);
        self.send_advertisement((router.mac, router.link_local), write, outbox)
    }

    /// Sends our router advertisement. Tells whether it was put into `outbox`.
    fn advertise(&self, outbox: &mut Outbox) -> bool {
        let Some(ra) = &self.binding.ra else {
            return false;
        };
        let write = |out: &mut [u8]| ra.write(&self.withdrawals, out);
        self.send_advertisement((self.binding.source_mac, ra.link_local()), write, outbox)
    }

    /// Sends an advertisement that nobody asked for.
    fn send_advertisement(
        &self,
        (router_mac, router): (Mac, Ipv6Addr),
        write: impl FnOnce(&mut [u8]) -> Result<usize, Full>,
        outbox: &mut Outbox,
    ) -> bool {
        // To the guest's own MAC, not to the group's (RFC 6085): the frame cannot reach others.
        // Nobody heard and no MAC known: nobody to tell.
        let Some(guest) = self.binding.mac.or(self.last_source) else {
            return false;
        };
        let Some(frame) = outbox.slot() else {
            return false;
        };
        let room = encode::icmpv6_room(self.binding.mtu);
        let end = encode::ICMPV6_OFFSET.saturating_add(room);
        let Some(Ok(length)) = frame.get_mut(encode::ICMPV6_OFFSET..end).map(write) else {
            return false;
        };
        let link = Link { source: router_mac, destination: guest };
        let length = encode::icmpv6(frame, link, router, ALL_NODES, length);
        let length = tag(frame, length, self.binding.trunk_vlan);
        outbox.commit(length);
        length > 0
    }

    /// Sends one announcement.
    fn announce(&mut self, now: Mono, announcement: nd::Announcement, outbox: &mut Outbox) {
        let binding = &self.binding;
        match announcement {
            nd::Announcement::Arp(form, address) => {
                let write = |frame: &mut [u8], link| {
                    nd::write_arp_announcement(frame, link, (form, address))
                };
                self.send_to_guest(write, outbox);
            }
            nd::Announcement::Neighbor(target) => {
                let write = |frame: &mut [u8], link| {
                    nd::write_unsolicited_advertisement(frame, link, (&binding.neighbors, target))
                };
                self.send_to_guest(write, outbox);
            }
            nd::Announcement::Router => {
                // It stands for the one that the schedule has due: the guest is not told twice.
                if self.advertise(outbox) {
                    self.schedule.sent(now);
                }
            }
            nd::Announcement::Retired(router) => {
                let Some(ra) = &binding.ra else { return };
                let write = |frame: &mut [u8], link| {
                    nd::write_last_advertisement(frame, link, (ra, router))
                };
                self.send_to_guest(write, outbox);
            }
        }
    }

    /// Sends what `write` makes to the guest's own MAC.
    fn send_to_guest(&self, write: impl FnOnce(&mut [u8], Link) -> usize, outbox: &mut Outbox) {
        let Some(guest) = self.binding.mac.or(self.last_source) else {
            return;
        };
        let Some(frame) = outbox.slot() else {
            return;
        };
        let length = write(frame, Link { source: self.binding.source_mac, destination: guest });
        let length = tag(frame, length, self.binding.trunk_vlan);
        if length > 0 {
            outbox.commit(length);
        }
    }

    fn answer(&mut self, now: Mono, frame: &Frame<'_>, outbox: &mut Outbox) -> Turn {
        let binding = Arc::clone(&self.binding);
        if let Some(reason) = refuse_frame(&binding, frame) {
            return Turn::dropped(Protocol::Other, reason);
        }
        let inbound = match wire::decode(frame) {
            Ok(inbound) => inbound,
            Err(refused) => {
                return Turn {
                    outcome: Outcome::dropped(refused.protocol, refused.message, refused.reason),
                    note: None,
                    registration: None,
                    source: None,
                    arrived: false,
                };
            }
        };
        let (protocol, message) = kind(&inbound);
        let source = link(&inbound).source;
        // RFC 2131, section 2, and clause E2: the port decides whose frames these are. The message
        // is not named in the count: its bytes are not looked into for somebody else's frame.
        if !source.is_unicast() || binding.mac.is_some_and(|mac| mac != source) {
            return Turn {
                outcome: Outcome::dropped(protocol, message, DropReason::SourceMac),
                note: None,
                registration: None,
                source: Some(source),
                arrived: false,
            };
        }
        self.last_source = Some(source);
        let (outcome, note) = dispatch(&binding, &self.withdrawals, &inbound, outbox);
        let registration = match (&inbound, note) {
            (Inbound::Dhcpv6(datagram), Some(Note::Registered)) => dhcpv6::registration(datagram),
            _ => None,
        };
        let arrived = false;
        self.hear(now, Turn { outcome, note, registration, source: Some(source), arrived })
    }

    /// Finds out whether a frame of the guest's shows that it has come.
    fn hear(&mut self, now: Mono, mut turn: Turn) -> Turn {
        let announces = turn.outcome.verdict == Verdict::Noted(Note::Arrived);
        let sign = match turn.outcome.verdict {
            // Whoever speaks in another's name shows nothing.
            Verdict::Dropped(DropReason::SourceMac | DropReason::SourceAddress) => return turn,
            Verdict::Noted(Note::Arrived) if turn.outcome.message == Message::Rarp => {
                Sign::Hypervisor
            }
            Verdict::Noted(Note::Arrived) => Sign::Guest,
            Verdict::Noted(_) | Verdict::Replied(_) | Verdict::Dropped(_) => Sign::Other,
        };
        let was_here = self.has_guest();
        turn.arrived = self.arrival.hear(now, sign);
        if !was_here {
            self.schedule.restart(now, interval(&self.binding));
        }
        if announces && !turn.arrived {
            turn.outcome.verdict = Verdict::Noted(Note::Announced);
            turn.note = Some(Note::Announced);
        }
        turn
    }
}

impl Turn {
    const fn dropped(protocol: Protocol, reason: DropReason) -> Self {
        Self {
            outcome: Outcome::dropped(protocol, Message::Unknown, reason),
            note: None,
            registration: None,
            source: None,
            arrived: false,
        }
    }
}

/// Checks what is seen without reading the frame.
fn refuse_frame(binding: &Binding, frame: &Frame<'_>) -> Option<DropReason> {
    // A guest's NIC can hand over 60 kB at once (segmentation offload); nothing for us is longer
    // than the port's MTU.
    let longest = usize::from(binding.mtu).saturating_add(ETHERNET_WITH_TAG);
    if frame.truncated || frame.bytes.len() > longest {
        return Some(DropReason::TooLong);
    }
    // A priority tag (VLAN id 0) is a tag too: no guest needs one to be configured.
    let expected = binding.trunk_vlan;
    match (frame.vlan, expected) {
        (None, None) => None,
        (Some(tci), Some(vlan)) if tci & VLAN_ID_MASK == vlan && vlan != 0 => None,
        (Some(_), _) | (None, Some(_)) => Some(DropReason::Vlan),
    }
}

fn kind(inbound: &Inbound<'_>) -> (Protocol, Message) {
    match inbound {
        Inbound::Dhcpv4(_) | Inbound::Dhcpv4Server(_) => (Protocol::Dhcpv4, Message::Unknown),
        Inbound::Dhcpv6(_) | Inbound::Dhcpv6Server(_) => (Protocol::Dhcpv6, Message::Unknown),
        Inbound::RouterSolicitation(_) => (Protocol::Nd, Message::RouterSolicitation),
        Inbound::RouterAdvertisement(_) => (Protocol::Nd, Message::RouterAdvertisement),
        Inbound::NeighborSolicitation(_) => (Protocol::Nd, Message::NeighborSolicitation),
        Inbound::NeighborAdvertisement(_) => (Protocol::Nd, Message::NeighborAdvertisement),
        Inbound::Arp(arp) if arp.operation == ARP_REPLY => (Protocol::Arp, Message::Reply),
        Inbound::Arp(_) => (Protocol::Arp, Message::ArpRequest),
        Inbound::Rarp(_) => (Protocol::Arp, Message::Rarp),
        Inbound::EchoIpv4(_) | Inbound::EchoIpv6(_) => (Protocol::Other, Message::EchoRequest),
    }
}

fn link(inbound: &Inbound<'_>) -> Link {
    match inbound {
        Inbound::Dhcpv4(datagram) | Inbound::Dhcpv4Server(datagram) => datagram.link,
        Inbound::Dhcpv6(datagram) | Inbound::Dhcpv6Server(datagram) => datagram.link,
        Inbound::RouterSolicitation(message)
        | Inbound::RouterAdvertisement(message)
        | Inbound::NeighborSolicitation(message)
        | Inbound::NeighborAdvertisement(message) => message.link,
        Inbound::EchoIpv4(echo) => echo.link,
        Inbound::EchoIpv6(echo) => echo.link,
        Inbound::Arp(arp) | Inbound::Rarp(arp) => arp.link,
    }
}

fn dispatch(
    binding: &Binding,
    withdrawals: &nd::Withdrawals,
    inbound: &Inbound<'_>,
    outbox: &mut Outbox,
) -> (Outcome, Option<Note>) {
    let (protocol, message) = kind(inbound);
    let noted = |note| (Outcome { protocol, message, verdict: Verdict::Noted(note) }, Some(note));
    match inbound {
        Inbound::Dhcpv4(datagram) => answer_dhcpv4(binding, datagram, outbox),
        Inbound::Dhcpv6(datagram) => answer_dhcpv6(binding, datagram, outbox),
        Inbound::RouterSolicitation(solicitation) => {
            answer_router_solicitation(binding, withdrawals, solicitation, outbox)
        }
        Inbound::NeighborSolicitation(solicitation) => {
            answer_neighbor_solicitation(binding, solicitation, outbox)
        }
        Inbound::Arp(arp) => {
            let handle = |out: &mut [u8]| nd::handle_arp(&binding.neighbors, arp, out);
            let seal = |frame: &mut [u8], reply: &Reply<Ipv4Addr>| {
                let link = Link { source: binding.source_mac, destination: reply.to_mac };
                encode::arp(frame, link)
            };
            reply_with(binding, (Protocol::Arp, encode::ARP_OFFSET), outbox, handle, seal)
        }
        Inbound::EchoIpv4(echo) => {
            let handle = |out: &mut [u8]| nd::handle_echo_ipv4(&binding.neighbors, echo, out);
            let seal = |frame: &mut [u8], reply: &Reply<Ipv4Addr>| {
                let link = Link { source: binding.source_mac, destination: reply.to_mac };
                encode::icmp(frame, link, echo.destination, reply.to_ip, reply.length)
            };
            reply_with(binding, (Protocol::Other, encode::ICMP_OFFSET), outbox, handle, seal)
        }
        Inbound::EchoIpv6(echo) => {
            let handle = |out: &mut [u8]| nd::handle_echo_ipv6(&binding.neighbors, echo, out);
            let seal = |frame: &mut [u8], reply: &Reply<Ipv6Addr>| {
                let link = Link { source: binding.source_mac, destination: reply.to_mac };
                encode::icmpv6(frame, link, echo.destination, reply.to_ip, reply.length)
            };
            reply_with(binding, (Protocol::Other, encode::ICMPV6_OFFSET), outbox, handle, seal)
        }
        Inbound::NeighborAdvertisement(advertisement) => {
            match nd::handle_neighbor_advertisement(&binding.neighbors, advertisement) {
                Ok(note) => noted(note),
                Err(reason) => (Outcome::dropped(protocol, message, reason), None),
            }
        }
        // RFC 903: a hypervisor announces the VM's MAC on the node that it has come to.
        Inbound::Rarp(rarp) => {
            if rarp.sender_mac == rarp.link.source {
                noted(Note::Arrived)
            } else {
                (Outcome::dropped(protocol, message, DropReason::SourceMac), None)
            }
        }
        // RFC 7610 and RFC 6105: a VM is no server and no router. It is never answered.
        Inbound::Dhcpv4Server(_) | Inbound::Dhcpv6Server(_) | Inbound::RouterAdvertisement(_) => {
            noted(Note::ForeignServer)
        }
    }
}

/// Returns from whom to whom a reply goes. On a macvtap what is for everybody passes the guest by.
fn link_of(binding: &Binding, asked: Link, to_mac: Mac) -> Link {
    let to_guest = binding.is_macvtap && !to_mac.is_unicast();
    let destination = if to_guest { asked.source } else { to_mac };
    Link { source: binding.source_mac, destination }
}

fn answer_dhcpv4(
    binding: &Binding,
    datagram: &Datagram<'_, Ipv4Addr>,
    outbox: &mut Outbox,
) -> (Outcome, Option<Note>) {
    let Some(profile) = &binding.dhcpv4 else {
        return no_family(Protocol::Dhcpv4, Message::Unknown);
    };
    let handle = |out: &mut [u8]| dhcpv4::handle(profile, datagram, out);
    let seal = |frame: &mut [u8], reply: &Reply<Ipv4Addr>| {
        let link = link_of(binding, datagram.link, reply.to_mac);
        encode::dhcpv4(frame, link, profile.server_id(), reply.to_ip, reply.length)
    };
    reply_with(binding, (Protocol::Dhcpv4, encode::DHCPV4_OFFSET), outbox, handle, seal)
}

fn answer_dhcpv6(
    binding: &Binding,
    datagram: &Datagram<'_, Ipv6Addr>,
    outbox: &mut Outbox,
) -> (Outcome, Option<Note>) {
    let Some(profile) = &binding.dhcpv6 else {
        return no_family(Protocol::Dhcpv6, Message::Unknown);
    };
    let handle = |out: &mut [u8]| dhcpv6::handle(profile, datagram, out);
    let seal = |frame: &mut [u8], reply: &Reply<Ipv6Addr>| {
        let link = Link { source: binding.source_mac, destination: reply.to_mac };
        encode::dhcpv6(frame, link, profile.link_local(), reply.to_ip, reply.length)
    };
    reply_with(binding, (Protocol::Dhcpv6, encode::DHCPV6_OFFSET), outbox, handle, seal)
}

fn answer_router_solicitation(
    binding: &Binding,
    withdrawals: &nd::Withdrawals,
    solicitation: &Icmpv6<'_>,
    outbox: &mut Outbox,
) -> (Outcome, Option<Note>) {
    let Some(profile) = &binding.ra else {
        return no_family(Protocol::Nd, Message::RouterSolicitation);
    };
    let handle =
        |out: &mut [u8]| nd::handle_router_solicitation(profile, withdrawals, solicitation, out);
    let seal = |frame: &mut [u8], reply: &Reply<Ipv6Addr>| {
        let link = link_of(binding, solicitation.link, reply.to_mac);
        encode::icmpv6(frame, link, profile.link_local(), reply.to_ip, reply.length)
    };
    reply_with(binding, (Protocol::Nd, encode::ICMPV6_OFFSET), outbox, handle, seal)
}

fn answer_neighbor_solicitation(
    binding: &Binding,
    solicitation: &Icmpv6<'_>,
    outbox: &mut Outbox,
) -> (Outcome, Option<Note>) {
    let handle =
        |out: &mut [u8]| nd::handle_neighbor_solicitation(&binding.neighbors, solicitation, out);
    let seal = |frame: &mut [u8], reply: &Reply<Ipv6Addr>| {
        let link = link_of(binding, solicitation.link, reply.to_mac);
        // RFC 4861, section 7.2.4: the advertisement's source is the address that was asked for.
        let source = nd::solicited_target(solicitation);
        encode::icmpv6(frame, link, source, reply.to_ip, reply.length)
    };
    reply_with(binding, (Protocol::Nd, encode::ICMPV6_OFFSET), outbox, handle, seal)
}

/// Lets a handler write its payload at `offset` of the next free frame, and puts the headers around
/// it. `A` is the reply's address family.
fn reply_with<A: Copy + Into<IpAddr>>(
    binding: &Binding,
    (protocol, offset): (Protocol, usize),
    outbox: &mut Outbox,
    handle: impl FnOnce(&mut [u8]) -> Handled<A>,
    seal: impl FnOnce(&mut [u8], &Reply<A>) -> usize,
) -> (Outcome, Option<Note>) {
    let Some(frame) = outbox.slot() else {
        return (Outcome::dropped(protocol, Message::Unknown, DropReason::SendFailed), None);
    };
    // The port's MTU bounds the payload: a longer frame could not be sent (EMSGSIZE), and the room
    // of a VLAN tag is left free.
    let longest = usize::from(binding.mtu).saturating_add(ETHERNET);
    let longest = longest.min(frame.len().saturating_sub(VLAN_TAG));
    let out = frame.get_mut(offset..longest).unwrap_or_default();
    let Handled { message, decision } = handle(out);
    match decision {
        Decision::Reply(reply) => {
            let length = seal(frame, &reply);
            let length = tag(frame, length, binding.trunk_vlan);
            if length == 0 {
                return (Outcome::dropped(protocol, message, DropReason::ReplyTooLong), None);
            }
            outbox.commit(length);
            let verdict = Verdict::Replied(reply.message);
            (Outcome { protocol, message, verdict }, reply.note)
        }
        Decision::Noted(note) => {
            (Outcome { protocol, message, verdict: Verdict::Noted(note) }, Some(note))
        }
        Decision::Dropped(reason) => (Outcome::dropped(protocol, message, reason), None),
    }
}

fn no_family(protocol: Protocol, message: Message) -> (Outcome, Option<Note>) {
    (Outcome::dropped(protocol, message, DropReason::NoFamily), None)
}

fn interval(binding: &Binding) -> Option<(u16, u16)> {
    binding.ra.as_ref().and_then(nd::Profile::interval)
}

/// Puts an 802.1Q tag behind the MAC addresses of the frame's first `length` bytes. Returns the new
/// length, 0 if it does not fit.
fn tag(frame: &mut [u8], length: usize, vlan: Option<u16>) -> usize {
    let Some(vlan) = vlan else {
        return length;
    };
    let Some(end) = length.checked_add(VLAN_TAG).filter(|end| *end <= frame.len()) else {
        return 0;
    };
    if length < MACS {
        return 0;
    }
    frame.copy_within(MACS..length, MACS.saturating_add(VLAN_TAG));
    let [high, low] = vlan.to_be_bytes();
    let Some(room) = frame.get_mut(MACS..MACS.saturating_add(VLAN_TAG)) else {
        return 0;
    };
    room.copy_from_slice(&[0x81, 0x00, high, low]);
    end
}

/// Counts frames in nanoseconds: a frame costs its share of a second, and credit grows with time up
/// to `burst` frames.
#[derive(Debug)]
struct TokenBucket {
    limit: RateLimit,
    credit: u64,
    counted: Mono,
}

impl TokenBucket {
    fn new(limit: RateLimit, now: Mono) -> Self {
        let mut bucket = Self { limit, credit: 0, counted: now };
        bucket.credit = bucket.most();
        bucket
    }

    fn limit(&mut self, limit: RateLimit) {
        self.limit = limit;
        self.credit = self.credit.min(self.most());
    }

    fn take(&mut self, now: Mono) -> bool {
        let Some(cost) = self.cost() else {
            return true;
        };
        let elapsed = u64::try_from(now.since(self.counted).as_nanos()).unwrap_or(u64::MAX);
        self.counted = self.counted.max(now);
        self.credit = self.credit.saturating_add(elapsed).min(self.most());
        match self.credit.checked_sub(cost) {
            Some(left) => {
                self.credit = left;
                true
            }
            None => false,
        }
    }

    /// Returns what one frame costs; `None` without a limit.
    fn cost(&self) -> Option<u64> {
        NANOS_PER_SECOND.checked_div(u64::from(self.limit.frames_per_second))
    }

    fn most(&self) -> u64 {
        self.cost().unwrap_or(0).saturating_mul(u64::from(self.limit.burst.max(1)))
    }
}

/// ff02::1 (RFC 4291, section 2.7.1).
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// An Ethernet header without a tag.
const ETHERNET: usize = 14;
/// An Ethernet header with one tag.
const ETHERNET_WITH_TAG: usize = 18;
/// Destination and source MAC.
const MACS: usize = 12;
/// The VLAN id's bits in the tag control information.
const VLAN_ID_MASK: u16 = 0x0fff;
/// RFC 826: `ares_op$REPLY`.
const ARP_REPLY: u16 = 2;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate() {
        let limit = RateLimit { frames_per_second: 10, burst: 3 };
        let start = Mono::from_millis(1_000);
        let mut bucket = TokenBucket::new(limit, start);
        assert_eq!([(); 4].map(|()| bucket.take(start)), [true, true, true, false]);
        assert!(!bucket.take(Mono::from_millis(1_099)));
        assert!(bucket.take(Mono::from_millis(1_100)));
        assert!(!bucket.take(Mono::from_millis(1_100)));
        let much_later = Mono::from_millis(60_000);
        assert_eq!([(); 4].map(|()| bucket.take(much_later)), [true, true, true, false]);
    }

    #[test]
    fn a_bucket_without_a_limit_always_gives() {
        let mut bucket =
            TokenBucket::new(RateLimit { frames_per_second: 0, burst: 0 }, Mono::default());
        assert!((0..10_000).all(|_| bucket.take(Mono::default())));
    }

    #[test]
    fn a_tag_stands_behind_the_mac_addresses() {
        let mut frame = [0; 24];
        frame[11] = 0xaa;
        frame[12] = 0x08;
        assert_eq!(tag(&mut frame, 14, Some(100)), 18);
        assert_eq!(frame[11..18], [0xaa, 0x81, 0x00, 0x00, 100, 0x08, 0x00]);
        assert_eq!(tag(&mut frame, 21, Some(100)), 0);
        assert_eq!(tag(&mut frame, 21, None), 21);
    }
}
