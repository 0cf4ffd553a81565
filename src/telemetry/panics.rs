//! Panics as log lines, not more than one a place and minute.
//!
//! A panic while a frame is read costs that frame; a guest that has found such a frame sends it as
//! fast as it may. The standard hook would write to standard error each time, and wait for whoever
//! reads there.

use std::panic;
use std::sync::Mutex;
use std::time::Duration;

use super::LogLimiter;
use crate::clock;

/// One panic that is worth a line.
#[derive(Debug)]
pub struct Panic<'a> {
    /// File and line.
    pub place: &'a str,
    /// What it said.
    pub message: &'a str,
    /// How many of the same place were held back since the last line.
    pub held_back: u64,
}

/// Has `tell` called for the process's panics from now on, in the place of the standard hook.
pub fn limit_panics(tell: impl Fn(&Panic<'_>) + Send + Sync + 'static) {
    let limiter = Mutex::new(LogLimiter::new(INTERVAL, PLACES));
    panic::set_hook(Box::new(move |info| {
        let place =
            info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
        let admitted = match limiter.lock() {
            Ok(mut limiter) => limiter.admit(place.clone(), clock::mono()),
            Err(_) => Some(0),
        };
        if let Some(held_back) = admitted {
            let payload = info.payload();
            let owned = payload.downcast_ref::<String>().map(String::as_str);
            let message = owned.or_else(|| payload.downcast_ref::<&str>().copied());
            tell(&Panic { place: &place, message: message.unwrap_or("no message"), held_back });
        }
    }));
}

/// How often one place is told.
const INTERVAL: Duration = Duration::from_secs(60);

/// How many places are held apart.
const PLACES: usize = 64;
