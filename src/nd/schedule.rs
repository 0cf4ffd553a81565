//! When unsolicited advertisements are sent (RFC 4861, section 6.2.4).

use std::time::Duration;

use crate::time::Mono;

/// When the next unsolicited advertisement is due on one port.
///
/// Three quick ones, then one in each interval, at a time drawn evenly from it. Never two within
/// 3 s, a restart included. It stands still while the guest is elsewhere (clause C3).
#[derive(Debug)]
pub struct Schedule {
    /// Shortest and longest time between two, in seconds; `None`: none is ever due.
    interval: Option<(u16, u16)>,
    /// `None`: none is due until the next restart.
    next: Option<Mono>,
    last: Option<Mono>,
    /// How many of the quick ones are still to come.
    initial: u8,
    random: u64,
}

impl Schedule {
    /// Starts with nothing due: nobody is known to be there. `seed` feeds the jitter.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { interval: None, next: None, last: None, initial: 0, random: seed }
    }

    /// Starts anew with three quick advertisements, the first of them due as soon as it may be: the
    /// guest is there now, or the template changed.
    pub fn restart(&mut self, now: Mono, interval: Option<(u16, u16)>) {
        self.interval = interval;
        self.initial = MAX_INITIAL_RTR_ADVERTISEMENTS;
        self.next = interval.map(|_| self.last.map_or(now, |last| now.max(last.after(MIN_DELAY))));
    }

    /// Stands still until the next restart.
    pub fn pause(&mut self) {
        self.next = None;
    }

    /// Returns when the next advertisement is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.next
    }

    /// Tells whether an advertisement is due, and if so plans the next one.
    pub fn take_due(&mut self, now: Mono) -> bool {
        let is_due = self.next.is_some_and(|next| next <= now);
        if is_due {
            self.sent(now);
        }
        is_due
    }

    /// Takes note that an advertisement was sent, whether or not it was due: the next one is planned
    /// from now on.
    pub fn sent(&mut self, now: Mono) {
        self.last = Some(now);
        let (Some(_), Some(interval)) = (self.next, self.interval) else {
            return;
        };
        self.initial = self.initial.saturating_sub(1);
        let drawn = self.draw(interval);
        let delay =
            if self.initial > 0 { drawn.min(MAX_INITIAL_RTR_ADVERT_INTERVAL) } else { drawn };
        self.next = Some(now.after(delay.max(MIN_DELAY)));
    }

    /// Draws a time from the interval, to the millisecond.
    fn draw(&mut self, (shortest, longest): (u16, u16)) -> Duration {
        let shortest = Duration::from_secs(shortest.into());
        let span = Duration::from_secs(longest.into()).saturating_sub(shortest).as_millis();
        let choices = u64::try_from(span).unwrap_or(0).saturating_add(1);
        let drawn = self.random().checked_rem(choices).unwrap_or(0);
        shortest.saturating_add(Duration::from_millis(drawn))
    }

    /// Returns the next number of the SplitMix64 generator (Steele, Lea and Flood, 2014). It only
    /// has to keep the ports of a node from advertising in step.
    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// RFC 4861, section 10.
const MAX_INITIAL_RTR_ADVERTISEMENTS: u8 = 3;
/// RFC 4861, section 10.
const MAX_INITIAL_RTR_ADVERT_INTERVAL: Duration = Duration::from_secs(16);
/// `MIN_DELAY_BETWEEN_RAS` (RFC 4861, section 10).
const MIN_DELAY: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Mono = Mono::from_millis(1_000_000);

    fn started(interval: Option<(u16, u16)>, seed: u64) -> Schedule {
        let mut schedule = Schedule::new(seed);
        schedule.restart(START, interval);
        schedule
    }

    /// Takes the next `count` advertisements when they are due; returns the times between them.
    fn gaps(schedule: &mut Schedule, count: usize) -> Vec<Duration> {
        let mut last = schedule.next_deadline().unwrap();
        assert!(schedule.take_due(last));
        let mut gap = || {
            let next = schedule.next_deadline().unwrap();
            assert!(!schedule.take_due(Mono::from_nanos(next.as_nanos() - 1)));
            assert!(schedule.take_due(next));
            let gap = next.since(last);
            last = next;
            gap
        };
        (0..count).map(|_| gap()).collect()
    }

    #[test]
    fn three_advertisements_come_16_s_apart_and_then_one_an_interval() {
        let mut schedule = started(Some((200, 600)), 7);
        assert_eq!(schedule.next_deadline(), Some(START));
        let gaps = gaps(&mut schedule, 100);
        let (quick, later) = gaps.split_at(2);
        assert_eq!(quick, [Duration::from_secs(16); 2]);
        let allowed = Duration::from_secs(200)..=Duration::from_secs(600);
        assert!(later.iter().all(|gap| allowed.contains(gap)), "{later:?}");
        // Evenly drawn: each third of the interval is met.
        for third in [200, 333, 467] {
            let third = Duration::from_secs(third)..=Duration::from_secs(third + 134);
            assert!(later.iter().filter(|gap| third.contains(gap)).count() > 15, "{later:?}");
        }
    }

    #[test]
    fn the_first_two_follow_a_shorter_interval() {
        let mut schedule = started(Some((5, 5)), 7);
        assert_eq!(gaps(&mut schedule, 4), [Duration::from_secs(5); 4]);
    }

    #[test]
    fn without_an_interval_nothing_is_ever_due() {
        let mut schedule = started(None, 7);
        assert_eq!(schedule.next_deadline(), None);
        assert!(!schedule.take_due(START));
        schedule.restart(START, Some((200, 600)));
        assert!(schedule.take_due(START));
        schedule.restart(START, None);
        assert_eq!(schedule.next_deadline(), None);
        assert!(!schedule.take_due(START.after(Duration::from_secs(1_000_000))));
    }

    #[test]
    fn a_restart_waits_until_3_s_after_the_last() {
        let mut schedule = started(Some((200, 600)), 7);
        assert!(schedule.take_due(START));
        let soon = START.after(Duration::from_secs(1));
        schedule.restart(soon, Some((200, 600)));
        assert_eq!(schedule.next_deadline(), Some(START.after(Duration::from_secs(3))));
        let late = START.after(Duration::from_secs(100));
        schedule.restart(late, Some((200, 600)));
        assert_eq!(schedule.next_deadline(), Some(late));
        assert_eq!(gaps(&mut schedule, 2), [Duration::from_secs(16); 2]);
    }

    #[test]
    fn a_late_wake_sends_one_and_plans_from_then() {
        let mut schedule = started(Some((200, 600)), 7);
        let late = START.after(Duration::from_secs(5_000));
        assert!(schedule.take_due(late));
        assert!(!schedule.take_due(late));
        assert_eq!(schedule.next_deadline(), Some(late.after(Duration::from_secs(16))));
    }

    #[test]
    fn one_that_was_sent_beside_it_counts_as_one_of_its_own() {
        let mut schedule = started(Some((200, 600)), 7);
        for at in [0, 1, 3] {
            let now = START.after(Duration::from_secs(at));
            schedule.sent(now);
            assert!(!schedule.take_due(now.after(Duration::from_secs(1))));
        }
        // Three were sent: they were the quick ones.
        let next = schedule.next_deadline().unwrap().since(START).as_secs();
        assert!((203..=603).contains(&next), "{next}");
    }

    #[test]
    fn a_schedule_that_stands_still_has_nothing_due_until_it_is_restarted() {
        let mut schedule = Schedule::new(7);
        assert_eq!(schedule.next_deadline(), None);
        assert!(!schedule.take_due(START));
        schedule.restart(START, Some((200, 600)));
        assert!(schedule.take_due(START));
        schedule.pause();
        let soon = START.after(Duration::from_secs(1));
        schedule.sent(soon);
        assert_eq!(schedule.next_deadline(), None);
        assert!(!schedule.take_due(START.after(Duration::from_secs(1_000_000))));
        // Whatever was sent last, by whom: never two within 3 s.
        schedule.restart(soon, Some((200, 600)));
        assert_eq!(schedule.next_deadline(), Some(soon.after(Duration::from_secs(3))));
    }

    #[test]
    fn other_seeds_give_other_times() {
        let mut one = started(Some((200, 600)), 1);
        let mut other = started(Some((200, 600)), 2);
        assert_ne!(gaps(&mut one, 5), gaps(&mut other, 5));
    }

    proptest! {
        #[test]
        fn two_are_never_within_3_s(shortest: u16, longest: u16, seed: u64) {
            let mut schedule = started(Some((shortest, longest)), seed);
            for gap in gaps(&mut schedule, 10) {
                prop_assert!(gap >= MIN_DELAY);
                prop_assert!(gap <= Duration::from_secs(shortest.max(longest).max(3).into()));
            }
        }
    }
}
