//! The only reader of the system's clocks; `clippy.toml` bans them everywhere else.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::time::{Mono, Now, Wall};

/// Reads both clocks.
#[must_use]
pub fn now() -> Now {
    Now { mono: mono(), wall: wall() }
}

/// Reads the monotonic clock, counted from the process's first reading.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this module is the one place that reads a clock")]
pub fn mono() -> Mono {
    let elapsed = START.get_or_init(Instant::now).elapsed();
    Mono::from_nanos(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}

/// Reads the wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this module is the one place that reads a clock")]
pub fn wall() -> Wall {
    // A clock set before 1970 is a broken clock; it counts as 1970.
    Wall(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs()))
}

/// Reads the wall clock in nanoseconds since 1970, for captures.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this module is the one place that reads a clock")]
pub fn wall_nanos() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

/// Turns a point of [`mono`] into the runtime's own, for a timer.
#[must_use]
pub fn instant(at: Mono) -> Instant {
    #[expect(
        clippy::disallowed_methods,
        reason = "this module is the one place that reads a clock"
    )]
    let start = *START.get_or_init(Instant::now);
    start + std::time::Duration::from_nanos(at.as_nanos().min(MAX_TIMER_NANOS))
}

/// Sleeps until a point of [`mono`]; for ever without one.
pub async fn sleep_until(at: Option<Mono>) {
    match at {
        Some(at) => tokio::time::sleep_until(instant(at).into()).await,
        None => std::future::pending().await,
    }
}

static START: OnceLock<Instant> = OnceLock::new();

/// A hundred years: further ahead a timer cannot be told from "never", and `Instant` may overflow.
const MAX_TIMER_NANOS: u64 = 100 * 365 * 86_400 * 1_000_000_000;
