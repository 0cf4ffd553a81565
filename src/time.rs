//! Points in time, as the pure core is given them.
//!
//! The core never reads a clock: every entry point takes a [`Now`], and a deadline comes out as a
//! [`Mono`]. `clock.rs` is the only place that makes one from the system's clocks; a test writes
//! any time down.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A point on the monotonic clock, in nanoseconds since an arbitrary start. For deadlines and rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(u64);

impl Mono {
    /// Makes a point from nanoseconds since the clock's start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Makes a point from milliseconds since the clock's start; saturates.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// Returns nanoseconds since the clock's start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Returns the time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns the point `duration` later; saturates.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// A point on the wall clock, in whole seconds since 1970-01-01T00:00:00Z. For what people read.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Wall(pub u64);

impl Wall {
    /// Returns the time in RFC 3339 form, in UTC: `2026-11-25T01:53:09Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let days = self.0 / 86_400;
        let rest = self.0 % 86_400;
        let (year, month, day) = civil_from_days(days);
        format!(
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
            rest / 3_600,
            rest % 3_600 / 60,
            rest % 60
        )
    }
}

/// Both clocks, read once for each wake of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// The monotonic clock.
    pub mono: Mono,
    /// The wall clock.
    pub wall: Wall,
}

/// Splits days since 1970-01-01 into year, month and day of the proleptic Gregorian calendar.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // Counted in eras of 400 years that begin on 1 March, so that a leap day is a year's last day.
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_is_written_as_rfc3339() {
        assert_eq!(Wall(0).to_rfc3339(), "1970-01-01T00:00:00Z");
        assert_eq!(Wall(951_782_400).to_rfc3339(), "2000-02-29T00:00:00Z");
        assert_eq!(Wall(1_795_571_589).to_rfc3339(), "2026-11-25T01:53:09Z");
    }

    #[test]
    fn mono_saturates_at_both_ends() {
        let early = Mono::from_millis(1);
        let late = Mono::from_nanos(u64::MAX);
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late.after(Duration::from_secs(1)), late);
    }
}
