//! When a VM has come to a port, and when it is told about the network there (clauses D3, D4).
//!
//! A live migration moves a running guest behind another port: it does not boot and asks for
//! nothing, and what it knows of its gateway may belong to the node that it left. So the port waits
//! for its guest, and tells it at once, and again after 1, 3 and 7 s.
//!
//! The rule that keeps this bounded, whatever a guest sends and however often it moves:
//!
//! - Where the guest is not known to be (the port is new, its link came up, the VM was heard
//!   elsewhere), the first frame of the guest's is an arrival, whatever it says.
//! - Where it is known to be, as where a VM comes back to a port that stayed, only an announcement
//!   is one: a hypervisor's, if there was none for [`HYPERVISOR_QUIET`], since it sends several; a
//!   guest's own, if there was none for [`GUEST_QUIET`], since some guests repeat theirs for ever.
//! - There are at most [`AT_ONCE`] arrivals in a row, and one more every [`PERIOD`]. Further ones
//!   wait: the guest is answered all the same, and its next frame is looked at again.
//!
//! A guest that goes on as before behind a port that was opened after it came (this program was not
//! running, or did not know the port) may say nothing for minutes that the port's socket sees. So a
//! guest that is not known to be here [is asked](Arrival::ask), when its port is opened or its link
//! comes up, and again after 1 and 3 s, never else. Its answer is its first frame.
//!
//! Whether the guest [is here](Arrival::is_here) also decides about unsolicited router
//! advertisements (clause C3): a port gets none while its guest is not known to be behind it, be it
//! a migration's target before the guest runs there, or the source after the guest left. No lease
//! decides that: one that says this node may be a lease that the node has made by itself.

use std::time::Duration;

use crate::time::Mono;

/// Whether one port's guest is there, and what it is still to be told.
#[derive(Debug, Default)]
pub struct Arrival {
    presence: Presence,
    /// When a hypervisor last announced the guest, or when it last arrived.
    announced_by_hypervisor: Option<Mono>,
    /// The same, for announcements of the guest's own.
    announced_by_guest: Option<Mono>,
    /// Until when the arrivals so far use up what [`PERIOD`] allows.
    spent: Mono,
    speaking: Option<Speaking>,
}

/// What a guest is sent unasked, round by round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// Whether it is here: its answer is a frame like any other.
    Questions,
    /// What it finds here, after its arrival.
    Announcements,
}

/// What a frame of the guest's says of its being there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// A hypervisor announces the guest: RARP.
    Hypervisor,
    /// The guest announces itself: gratuitous ARP, an unsolicited neighbour advertisement.
    Guest,
    /// It says something else, and shows that the guest is there.
    Other,
}

/// Where the guest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Presence {
    /// Not known to be here.
    #[default]
    Away,
    /// Here, by a frame that was one arrival too many: the next frame may be it.
    Unannounced,
    /// Here.
    Here,
}

/// What the guest is being sent.
#[derive(Debug, Clone, Copy)]
struct Speaking {
    subject: Subject,
    since: Mono,
    /// Which of the subject's rounds is next.
    round: usize,
    /// How much of it has been said.
    place: usize,
}

impl Subject {
    const fn rounds(self) -> &'static [Duration] {
        match self {
            Self::Questions => &QUESTIONS,
            Self::Announcements => &ANNOUNCEMENTS,
        }
    }
}

impl Arrival {
    /// Takes the guest for being here already: this program was restarted, the VM did not move.
    pub fn settle(&mut self) {
        self.presence = Presence::Here;
        self.stop_asking();
    }

    /// Has the guest asked whether it is here already, unless that is known.
    pub fn ask(&mut self, now: Mono) {
        if !self.is_here() {
            self.speak(now, Subject::Questions);
        }
    }

    /// Tells whether the guest is known to be here.
    #[must_use]
    pub fn is_here(&self) -> bool {
        match self.presence {
            Presence::Away => false,
            Presence::Unannounced | Presence::Here => true,
        }
    }

    /// Takes the guest for being gone: nothing more is said, and its next frame is an arrival.
    pub fn leave(&mut self) {
        self.presence = Presence::Away;
        self.speaking = None;
    }

    /// Takes note that the link came up: the guest may be another one than before, and is asked.
    ///
    /// While it is still being told, that is a part of its arrival: the kernel's news of the link
    /// may come behind the guest's first frame. While it is still being asked, that goes on.
    pub fn link_up(&mut self, now: Mono) {
        let is_over = |speaking: Speaking| {
            speaking.subject.rounds().iter().all(|at| speaking.since.after(*at) <= now)
        };
        if self.speaking.is_none_or(is_over) {
            self.leave();
            self.ask(now);
        }
    }

    /// Takes note of a frame of the guest's. Tells whether it is an arrival; if so, the first round
    /// is due.
    pub fn hear(&mut self, now: Mono, sign: Sign) -> bool {
        let was_quiet =
            |last: Option<Mono>, quiet| last.is_none_or(|last| now.since(last) >= quiet);
        let after_quiet = match sign {
            Sign::Hypervisor => {
                was_quiet(self.announced_by_hypervisor.replace(now), HYPERVISOR_QUIET)
            }
            Sign::Guest => was_quiet(self.announced_by_guest.replace(now), GUEST_QUIET),
            Sign::Other => false,
        };
        let is_news = match self.presence {
            Presence::Away | Presence::Unannounced => true,
            Presence::Here => after_quiet,
        };
        if !is_news {
            return false;
        }
        if !self.afford(now) {
            if self.presence == Presence::Away {
                self.presence = Presence::Unannounced;
                self.stop_asking();
            }
            return false;
        }
        self.presence = Presence::Here;
        // What follows the first frame of an arrival belongs to it.
        self.announced_by_hypervisor = Some(now);
        self.announced_by_guest = Some(now);
        self.speak(now, Subject::Announcements);
        true
    }

    /// Returns when the next round is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        let speaking = self.speaking?;
        let delay = speaking.subject.rounds().get(speaking.round)?;
        Some(speaking.since.after(*delay))
    }

    /// Returns what of the round that is due by `now` comes next, counted from 0; `None`: no round
    /// is due.
    #[must_use]
    pub fn due(&self, now: Mono) -> Option<(Subject, usize)> {
        let speaking = self.speaking?;
        (self.next_deadline()? <= now).then_some((speaking.subject, speaking.place))
    }

    /// Goes on to what comes next in the round.
    pub fn said(&mut self) {
        if let Some(speaking) = &mut self.speaking {
            speaking.place = speaking.place.saturating_add(1);
        }
    }

    /// Ends the round. One that a late wake has missed is not made up for.
    pub fn end_round(&mut self, now: Mono) {
        let Some(speaking) = self.speaking else { return };
        let rounds = speaking.subject.rounds();
        let missed = |delay: &&Duration| speaking.since.after(**delay) <= now;
        let round = rounds.iter().take_while(missed).count();
        self.speaking = (round < rounds.len()).then_some(Speaking { round, place: 0, ..speaking });
    }

    fn speak(&mut self, since: Mono, subject: Subject) {
        self.speaking = Some(Speaking { subject, since, round: 0, place: 0 });
    }

    fn stop_asking(&mut self) {
        self.speaking = self.speaking.filter(|speaking| speaking.subject != Subject::Questions);
    }

    /// Tells whether one more arrival is allowed now, and if so counts it.
    fn afford(&mut self, now: Mono) -> bool {
        let most = PERIOD.saturating_mul(AT_ONCE.saturating_sub(1));
        if self.spent.since(now) > most {
            return false;
        }
        self.spent = self.spent.max(now).after(PERIOD);
        true
    }
}

/// When the guest is asked whether it is here, after its port was opened or its link came up.
const QUESTIONS: [Duration; 3] = [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3)];
/// When the guest is told, after its arrival.
const ANNOUNCEMENTS: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(7)];

/// How long a hypervisor has to be silent before its announcement is an arrival. QEMU sends its own
/// within 2 s.
pub const HYPERVISOR_QUIET: Duration = Duration::from_secs(3);
/// The same for a guest: longer than those wait that announce themselves again and again.
pub const GUEST_QUIET: Duration = Duration::from_secs(120);
/// How many arrivals may follow each other at once: there, back, and there again.
pub const AT_ONCE: u32 = 3;
/// How often there may be one in the long run.
pub const PERIOD: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Sign::{Guest, Hypervisor, Other};
    use super::Subject::{Announcements, Questions};
    use super::*;

    const START: Mono = Mono::from_millis(1_000_000);

    fn seconds(seconds: u64) -> Mono {
        START.after(Duration::from_secs(seconds))
    }

    /// Ends the round that is due and returns when the next one is, in seconds after the start.
    fn next(arrival: &mut Arrival, now: Mono) -> Option<u64> {
        arrival.end_round(now);
        arrival.next_deadline().map(|deadline| deadline.since(START).as_secs())
    }

    #[test]
    fn the_first_frame_is_an_arrival_and_the_second_is_not_clause_d3() {
        for sign in [Hypervisor, Guest, Other] {
            let mut arrival = Arrival::default();
            assert_eq!(arrival.next_deadline(), None);
            assert!(arrival.hear(START, sign));
            assert!(!arrival.hear(START, Other));
            // QEMU announces a VM five times within half a second.
            for _ in 0..5 {
                assert!(!arrival.hear(seconds(1), Hypervisor));
            }
            assert!(!arrival.hear(seconds(2), Guest));
        }
    }

    #[test]
    fn the_guest_is_told_at_once_and_after_1_3_and_7_s_clause_d4() {
        let mut arrival = Arrival::default();
        arrival.hear(START, Other);
        assert_eq!(arrival.next_deadline(), Some(START));
        assert_eq!(arrival.due(START), Some((Announcements, 0)));
        arrival.said();
        assert_eq!(arrival.due(START), Some((Announcements, 1)));
        assert_eq!(next(&mut arrival, START), Some(1));
        assert_eq!(arrival.due(START), None);
        assert_eq!(arrival.due(seconds(1)), Some((Announcements, 0)));
        assert_eq!(next(&mut arrival, seconds(1)), Some(3));
        assert_eq!(next(&mut arrival, seconds(3)), Some(7));
        assert_eq!(next(&mut arrival, seconds(7)), None);
        assert_eq!(arrival.due(seconds(100)), None);
    }

    #[test]
    fn a_late_wake_tells_once_and_goes_on_with_what_is_to_come() {
        let mut arrival = Arrival::default();
        arrival.hear(START, Other);
        assert_eq!(next(&mut arrival, seconds(5)), Some(7));
    }

    #[test]
    fn a_guest_that_left_is_told_nothing_and_arrives_again() {
        let mut arrival = Arrival::default();
        arrival.hear(START, Other);
        arrival.leave();
        assert_eq!((arrival.next_deadline(), arrival.due(seconds(9))), (None, None));
        assert!(arrival.hear(seconds(2), Other));
        assert_eq!(arrival.next_deadline(), Some(seconds(2)));
    }

    #[test]
    fn a_link_that_comes_up_behind_the_first_frame_belongs_to_the_same_arrival() {
        let mut arrival = Arrival::default();
        assert!(arrival.hear(START, Other));
        arrival.link_up(START);
        assert!(!arrival.hear(seconds(1), Other));
        assert_eq!(next(&mut arrival, seconds(3)), Some(7));
        assert_eq!(next(&mut arrival, seconds(7)), None);
        arrival.link_up(seconds(7));
        assert!(arrival.hear(seconds(8), Other));
    }

    #[test]
    fn a_settled_guest_arrives_only_by_announcing_itself() {
        let mut arrival = Arrival::default();
        arrival.settle();
        assert!(!arrival.hear(START, Other));
        assert!(arrival.hear(seconds(1), Hypervisor));
    }

    #[test]
    fn a_guest_that_announces_itself_for_ever_has_arrived_once() {
        let mut arrival = Arrival::default();
        let arrivals = (0..1_000).filter(|at| arrival.hear(seconds(at * 60), Guest));
        assert_eq!(arrivals.count(), 1);
        assert!(arrival.hear(seconds(60_200), Guest));
    }

    #[test]
    fn a_vm_that_comes_back_to_a_port_that_stayed_arrives_by_its_hypervisors_word() {
        let mut arrival = Arrival::default();
        assert!(arrival.hear(START, Other));
        // The guest's own announcement is just before the hypervisor's.
        assert!(!arrival.hear(seconds(9), Guest));
        assert!(arrival.hear(seconds(9), Hypervisor));
        assert!(!arrival.hear(seconds(10), Hypervisor));
    }

    #[test]
    fn a_vm_that_flaps_arrives_three_times_at_once_and_then_every_half_minute() {
        let mut arrival = Arrival::default();
        let arrivals: Vec<u64> = (0..120)
            .filter(|at| {
                arrival.leave();
                arrival.hear(seconds(*at), Other)
            })
            .collect();
        assert_eq!(arrivals, [0, 1, 2, 30, 60, 90]);
    }

    #[test]
    fn a_guest_is_here_from_its_first_frame_until_it_leaves_however_often_it_moves_clause_c3() {
        let mut arrival = Arrival::default();
        assert!(!arrival.is_here());
        let mut arrivals = 0;
        for at in 0..10 {
            arrivals += u32::from(arrival.hear(seconds(at), Other));
            assert!(arrival.is_here());
            arrival.leave();
            assert!(!arrival.is_here());
        }
        assert_eq!(arrivals, AT_ONCE);
        arrival.settle();
        assert!(arrival.is_here());
        arrival.link_up(seconds(10));
        assert!(!arrival.is_here());
    }

    #[test]
    fn a_guest_that_was_heard_beyond_the_limit_arrives_when_it_may() {
        let mut arrival = Arrival::default();
        for at in 0..3 {
            assert!(arrival.hear(seconds(at), Other));
            arrival.leave();
        }
        assert!(!arrival.hear(seconds(3), Other));
        assert!(!arrival.hear(seconds(29), Other));
        assert!(arrival.hear(seconds(30), Other));
        assert!(!arrival.hear(seconds(31), Other));
    }

    #[test]
    fn a_guest_is_asked_at_once_and_after_1_and_3_s_and_never_again() {
        let mut arrival = Arrival::default();
        arrival.ask(START);
        assert_eq!(arrival.due(START), Some((Questions, 0)));
        assert_eq!(next(&mut arrival, START), Some(1));
        // The kernel's news of the link that was just opened.
        arrival.link_up(seconds(1));
        assert_eq!(next(&mut arrival, seconds(1)), Some(3));
        assert_eq!(next(&mut arrival, seconds(3)), None);
        arrival.link_up(seconds(100));
        assert_eq!(arrival.due(seconds(100)), Some((Questions, 0)));
    }

    #[test]
    fn a_guest_that_is_here_or_elsewhere_is_not_asked() {
        let mut arrival = Arrival::default();
        arrival.settle();
        arrival.ask(START);
        assert_eq!(arrival.next_deadline(), None);
        arrival.leave();
        assert_eq!(arrival.next_deadline(), None);
        arrival.ask(START);
        arrival.settle();
        assert_eq!(arrival.next_deadline(), None);
        arrival.leave();
        arrival.ask(START);
        arrival.leave();
        assert_eq!(arrival.next_deadline(), None);
    }

    #[test]
    fn the_answer_ends_the_questions_be_it_an_arrival_or_one_too_many() {
        let mut arrival = Arrival::default();
        for at in 0..4 {
            arrival.leave();
            arrival.ask(seconds(at));
            let arrived = arrival.hear(seconds(at), Other);
            assert_eq!(arrived, at < 3);
            assert_eq!(arrival.due(seconds(at)), arrived.then_some((Announcements, 0)));
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_arrivals_are_bounded(
            events in prop::collection::vec((0_u64..20_000, 0_u8..5), 0..300),
        ) {
            let mut arrival = Arrival::default();
            let mut now = START;
            let mut arrivals = 0;
            for (wait, event) in events {
                now = now.after(Duration::from_millis(wait));
                match event {
                    0 => arrival.leave(),
                    1 => arrival.settle(),
                    2 => arrivals += u64::from(arrival.hear(now, Hypervisor)),
                    3 => arrivals += u64::from(arrival.hear(now, Guest)),
                    _ => arrivals += u64::from(arrival.hear(now, Other)),
                }
            }
            let allowed = u64::from(AT_ONCE) + now.since(START).as_secs() / PERIOD.as_secs();
            prop_assert!(arrivals <= allowed, "{arrivals} arrivals, {allowed} allowed");
        }
    }
}
