//! One frame of a capture, for people and as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use crate::outcome::{Outcome, Verdict};
use crate::replay::{Captured, Told};
use crate::responder::Turn;

/// One frame, as `--json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Row {
    /// Its place in the file, from 1.
    number: u64,
    /// Seconds since 1970, as text: JSON's numbers lose nanoseconds.
    time: String,
    pub(super) source: Option<String>,
    /// The VLAN tag that was taken out.
    pub(super) vlan: Option<u16>,
    pub(super) protocol: Option<&'static str>,
    message: Option<&'static str>,
    /// `replied`, `noted`, `dropped`, `to-guest` or `unreadable`.
    verdict: &'static str,
    /// The reply's type.
    pub(super) reply: Option<&'static str>,
    pub(super) note: Option<&'static str>,
    /// The drop reason.
    pub(super) reason: Option<&'static str>,
    /// The address that the reply, or the message to the guest, gives.
    address: Option<String>,
    /// Note or reason in words.
    pub(super) explanation: Option<String>,
}

impl Row {
    /// Begins the row of a frame that nobody has looked into.
    pub(super) fn unread(captured: &Captured) -> Self {
        Self {
            number: captured.number,
            time: captured.time.to_string(),
            source: None,
            vlan: None,
            protocol: None,
            message: None,
            verdict: "unreadable",
            reply: None,
            note: None,
            reason: None,
            address: None,
            explanation: None,
        }
    }

    /// Takes in what became of a frame of the VM's.
    pub(super) fn decide(&mut self, turn: &Turn, reply: Option<&[u8]>) {
        let Outcome { protocol, message, verdict } = turn.outcome;
        self.protocol = Some(protocol.as_str());
        self.message = Some(message.as_str());
        self.note = turn.note.map(|note| note.as_str());
        self.explanation = turn.note.map(|note| note.explain().to_owned());
        match verdict {
            Verdict::Replied(message) => {
                self.verdict = "replied";
                self.reply = Some(message.as_str());
                let address = reply.and_then(|reply| Told::of_reply(reply).address);
                self.address = address.map(|address| address.to_string());
            }
            Verdict::Noted(_) => self.verdict = "noted",
            Verdict::Dropped(reason) => {
                self.verdict = "dropped";
                self.reason = Some(reason.as_str());
                self.explanation = Some(reason.explain().to_owned());
            }
        }
    }

    /// Takes in what a frame to the VM says.
    pub(super) fn tell(&mut self, told: &Told) {
        self.verdict = "to-guest";
        self.protocol = Some(told.protocol.as_str());
        self.message = Some(told.message.as_str());
        self.address = told.address.map(|address| address.to_string());
    }

    /// Writes the row for people: number, time, source, what was sent, what became of it.
    pub(super) fn line(&self, time: &str) -> String {
        let source = self.source.as_deref().unwrap_or("-");
        let mut text = format!("{:>3}  {time:>5}  {source:17}  ", self.number);
        let address = self.address.as_ref().map(|address| format!(" {address}"));
        let address = address.unwrap_or_default();
        let what = match (self.protocol, self.message) {
            (Some(protocol), Some("unknown")) => protocol.to_owned(),
            (Some(protocol), Some(message)) => format!("{protocol} {message}"),
            (Some(_) | None, None) | (None, Some(_)) => String::new(),
        };
        let vlan = self.vlan.map_or_else(String::new, |tci| format!(" (VLAN {})", tci & 0xfff));
        let explanation = self.explanation.as_deref().unwrap_or_default();
        let _ = match (self.reply, self.note, self.reason) {
            (Some(reply), None, _) => writeln!(text, "{what}{vlan} > {reply}{address}"),
            (Some(reply), Some(note), _) => {
                writeln!(text, "{what}{vlan} > {reply}{address}, note {note}: {explanation}")
            }
            (None, Some(note), _) => writeln!(text, "{what}{vlan} > note {note}: {explanation}"),
            (None, None, Some(reason)) => {
                writeln!(text, "{what}{vlan} > drop {reason}: {explanation}")
            }
            (None, None, None) if self.protocol.is_some() => {
                writeln!(text, "{what}{address}{vlan} < to the guest, not answered")
            }
            (None, None, None) => writeln!(text, "not read: {explanation}"),
        };
        text
    }
}
