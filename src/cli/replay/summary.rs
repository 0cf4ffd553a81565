//! What became of all frames of a capture, in one line.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::row::Row;
use crate::replay::CaptureTime;

/// What became of all frames.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) first: Option<CaptureTime>,
    pub(super) last: CaptureTime,
    frames: u64,
    replied: Counts,
    noted: Counts,
    dropped: Counts,
    to_guest: u64,
    unreadable: u64,
}

type Counts = BTreeMap<&'static str, u64>;

impl Summary {
    /// Counts one frame.
    pub(super) fn count(&mut self, row: &Row) {
        add(&mut self.frames);
        match (row.reply, row.note, row.reason) {
            (Some(reply), _, _) => add(self.replied.entry(reply).or_default()),
            (None, Some(note), _) => add(self.noted.entry(note).or_default()),
            (None, None, Some(reason)) => add(self.dropped.entry(reason).or_default()),
            (None, None, None) if row.protocol.is_some() => add(&mut self.to_guest),
            (None, None, None) => add(&mut self.unreadable),
        }
    }

    /// Writes the last line for people.
    pub(super) fn line(&self) -> String {
        let seconds = self.last.seconds_since(self.first.unwrap_or_default());
        let frames = if self.frames == 1 { "frame" } else { "frames" };
        let mut text = format!("{} {frames} in {seconds} s", self.frames);
        let mut separator = ":";
        for (counts, word) in
            [(&self.replied, "answered"), (&self.noted, "noted"), (&self.dropped, "dropped")]
        {
            if !counts.is_empty() {
                let total: u64 = counts.values().sum();
                let each: Vec<String> =
                    counts.iter().map(|(label, number)| format!("{label} {number}")).collect();
                let _ = write!(text, "{separator} {total} {word} ({})", each.join(", "));
                separator = ",";
            }
        }
        for (number, word) in [(self.to_guest, "to the guest"), (self.unreadable, "not read")] {
            if number > 0 {
                let _ = write!(text, "{separator} {number} {word}");
                separator = ",";
            }
        }
        text
    }
}

fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}
