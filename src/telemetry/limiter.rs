//! Keeps one cause from filling the log.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::time::Mono;

/// Lets one line a key through in each interval and counts the ones that it holds back.
#[derive(Debug)]
pub struct LogLimiter<K> {
    interval: Duration,
    max_keys: usize,
    keys: HashMap<K, Entry>,
    /// When keys that have been quiet for an interval were last forgotten.
    swept: Mono,
    /// Serves every key that found no room among `keys`.
    rest: Option<Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    last: Mono,
    held_back: u64,
}

impl<K: Eq + Hash> LogLimiter<K> {
    /// Makes a limiter that remembers at most `max_keys` keys; further ones share one entry.
    #[must_use]
    pub fn new(interval: Duration, max_keys: usize) -> Self {
        Self { interval, max_keys, keys: HashMap::new(), swept: Mono::default(), rest: None }
    }

    /// Asks whether a line of `key` may be written: `Some` with the number of lines held back
    /// since the last one, or `None`: hold it back.
    pub fn admit(&mut self, key: K, now: Mono) -> Option<u64> {
        let interval = self.interval;
        if let Some(known) = self.keys.get_mut(&key) {
            return known.admit(interval, now);
        }
        // Once an interval: a flood of new keys must not cost a sweep a line.
        if self.keys.len() >= self.max_keys && now.since(self.swept) >= interval {
            self.keys.retain(|_, entry| now.since(entry.last) < interval);
            self.swept = now;
        }
        let fresh = Entry { last: now, held_back: 0 };
        if self.keys.len() < self.max_keys {
            self.keys.insert(key, fresh);
            return Some(0);
        }
        match &mut self.rest {
            Some(entry) => entry.admit(interval, now),
            rest @ None => {
                *rest = Some(fresh);
                Some(0)
            }
        }
    }
}

impl Entry {
    fn admit(&mut self, interval: Duration, now: Mono) -> Option<u64> {
        if now.since(self.last) < interval {
            self.held_back = self.held_back.saturating_add(1);
            return None;
        }
        self.last = now;
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn at(seconds: u64) -> Mono {
        Mono::from_millis(seconds * 1_000)
    }

    #[test]
    fn second_line_in_the_interval_is_held_back_and_counted() {
        let mut limiter = LogLimiter::new(MINUTE, 4);
        assert_eq!(limiter.admit("tap0", at(0)), Some(0));
        assert_eq!(limiter.admit("tap0", at(1)), None);
        assert_eq!(limiter.admit("tap1", at(1)), Some(0));
        assert_eq!(limiter.admit("tap0", at(59)), None);
        assert_eq!(limiter.admit("tap0", at(60)), Some(2));
        assert_eq!(limiter.admit("tap0", at(120)), Some(0));
    }

    #[test]
    fn keys_beyond_the_bound_share_one_entry() {
        let mut limiter = LogLimiter::new(MINUTE, 2);
        assert_eq!(limiter.admit(1, at(0)), Some(0));
        assert_eq!(limiter.admit(2, at(0)), Some(0));
        assert_eq!(limiter.admit(3, at(0)), Some(0));
        assert_eq!(limiter.admit(4, at(0)), None);
        assert_eq!(limiter.admit(5, at(1)), None);
        assert_eq!(limiter.keys.len(), 2);
        assert_eq!(limiter.admit(1, at(2)), None);
        // The old keys' interval is over: a new key has room again.
        assert_eq!(limiter.admit(6, at(61)), Some(0));
        assert!(limiter.keys.len() <= 2);
    }
}
