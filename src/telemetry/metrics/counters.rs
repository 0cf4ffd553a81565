//! What the packet path counts: a cell for each network and each word of the closed sets.

use std::array;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::proto::MetricFamily;
use prometheus::{Histogram, HistogramVec};

use super::text::{counter, push, to_f64};
use crate::outcome::{DropReason, Message, Note, Outcome, Protocol, Verdict};
use crate::telemetry::logging;

/// The counters of every network, by its name; `""` is for ports without one.
pub(super) type Counters = BTreeMap<String, Arc<NetworkMetrics>>;

/// The counters of one network; the port tasks hold it. Counting never waits.
#[derive(Debug)]
pub struct NetworkMetrics {
    requests: [[Cell; MESSAGES]; PROTOCOLS],
    replies: [[Cell; MESSAGES]; PROTOCOLS],
    drops: [[Cell; REASONS]; PROTOCOLS],
    foreign_servers: [Cell; PROTOCOLS],
    options_left_out: [Cell; PROTOCOLS],
    relay_information: Cell,
    arrivals: Cell,
    announcements: Cell,
    reply_duration: [Histogram; PROTOCOLS],
}

impl NetworkMetrics {
    /// Counts one frame.
    pub fn count(&self, outcome: &Outcome) {
        let Outcome { protocol, message, verdict } = *outcome;
        add(&self.requests, protocol, message.index());
        match verdict {
            Verdict::Replied(reply) => add(&self.replies, protocol, reply.index()),
            Verdict::Dropped(reason) => add(&self.drops, protocol, reason.index()),
            Verdict::Noted(note) => self.note(protocol, note),
        }
    }

    /// Counts frames that told arrived guests of their network.
    pub fn announced(&self, frames: usize) {
        let frames = u64::try_from(frames).unwrap_or(u64::MAX);
        self.announcements.fetch_add(frames, Ordering::Relaxed);
    }

    /// Counts frames that the kernel threw away unread, because the port's queue was full.
    pub fn queue_overran(&self, frames: u32) {
        let frames = u64::from(frames);
        let place = (Protocol::Other.index(), Message::Unknown.index());
        let reason = (Protocol::Other.index(), DropReason::RateLimited.index());
        let requests = self.requests.get(place.0).and_then(|cells| cells.get(place.1));
        let drops = self.drops.get(reason.0).and_then(|cells| cells.get(reason.1));
        for cell in [requests, drops].into_iter().flatten() {
            cell.fetch_add(frames, Ordering::Relaxed);
        }
    }

    /// Counts what was learnt of a frame besides its reply.
    pub fn note(&self, protocol: Protocol, note: Note) {
        match note {
            Note::Arrived => {
                self.arrivals.fetch_add(1, Ordering::Relaxed);
            }
            Note::ForeignServer => {
                if let Some(cell) = self.foreign_servers.get(protocol.index()) {
                    cell.fetch_add(1, Ordering::Relaxed);
                }
            }
            Note::OptionsLeftOut => {
                if let Some(cell) = self.options_left_out.get(protocol.index()) {
                    cell.fetch_add(1, Ordering::Relaxed);
                }
            }
            Note::RelayInformation => {
                self.relay_information.fetch_add(1, Ordering::Relaxed);
            }
            Note::Released | Note::Declined | Note::Announced | Note::Registered => {}
        }
    }

    /// Records the time from reading a request to the sending of its reply.
    pub fn reply_took(&self, protocol: Protocol, duration: Duration) {
        if let Some(histogram) = self.reply_duration.get(protocol.index()) {
            histogram.observe(duration.as_secs_f64());
        }
    }

    /// Makes counters that have counted nothing.
    pub(super) fn new(reply_duration: &HistogramVec) -> Self {
        Self {
            requests: cells(),
            replies: cells(),
            drops: cells(),
            foreign_servers: array::from_fn(|_| Cell::new(0)),
            options_left_out: array::from_fn(|_| Cell::new(0)),
            relay_information: Cell::new(0),
            arrivals: Cell::new(0),
            announcements: Cell::new(0),
            reply_duration: array::from_fn(|place| {
                let name = Protocol::ALL.get(place).map_or("", |protocol| protocol.as_str());
                reply_duration.with_label_values(&[name])
            }),
        }
    }
}

/// Sums the replies over all networks, by protocol and message.
pub(super) fn replies(counters: &Counters) -> Vec<(String, u64)> {
    let names = Message::ALL.iter().map(|message| message.as_str());
    totals(counters, |network| &network.replies, &names.collect::<Vec<_>>())
}

/// Sums the drops over all networks, by protocol and reason.
pub(super) fn drops(counters: &Counters) -> Vec<(String, u64)> {
    let names = DropReason::ALL.iter().map(|reason| reason.as_str());
    totals(counters, |network| &network.drops, &names.collect::<Vec<_>>())
}

/// Returns the families of every network's counters, and of the log's.
pub(super) fn families(counters: &Counters) -> Vec<MetricFamily> {
    let mut requests = counter("leasehold_requests_total", "Frames received, by message type.");
    let mut replies = counter("leasehold_replies_total", "Messages sent, by type.");
    let mut drops = counter("leasehold_drops_total", "Frames not answered, by reason.");
    let mut foreign = counter(
        "leasehold_foreign_servers_total",
        "Messages that only a server or router sends, sent by a VM.",
    );
    let mut left_out = counter(
        "leasehold_options_left_out_total",
        "Replies that had no room for an option that they should carry.",
    );
    let mut relayed = counter(
        "leasehold_relay_information_total",
        "Answered DHCPv4 messages in which a VM sent a relay's option 82.",
    );
    let mut arrivals = counter("leasehold_arrivals_total", "VMs that came to their port.");
    let mut announcements = counter(
        "leasehold_announcements_total",
        "Frames sent to VMs that came: the gateway's ARP and NA, RAs, retired routers' RAs.",
    );
    let mut lost = counter(
        "leasehold_log_lines_dropped_total",
        "Log lines lost because the log's reader was too slow.",
    );
    for (network, counters) in counters {
        for (index, protocol) in Protocol::ALL.iter().enumerate() {
            let labels = [("network", network.as_str()), ("protocol", protocol.as_str())];
            let messages = || Message::ALL.iter().map(|message| message.as_str());
            let reasons = || DropReason::ALL.iter().map(|reason| reason.as_str());
            let cells = counters.requests.get(index);
            push_row(&mut requests, labels, "message", cells, messages());
            push_row(&mut replies, labels, "message", counters.replies.get(index), messages());
            push_row(&mut drops, labels, "reason", counters.drops.get(index), reasons());
            if let Some(cell) = counters.foreign_servers.get(index) {
                push_counted(&mut foreign, &labels, cell);
            }
            if let Some(cell) = counters.options_left_out.get(index) {
                push_counted(&mut left_out, &labels, cell);
            }
        }
        push_counted(&mut arrivals, &[("network", network)], &counters.arrivals);
        push_counted(&mut announcements, &[("network", network)], &counters.announcements);
        push_counted(&mut relayed, &[("network", network)], &counters.relay_information);
    }
    push(&mut lost, &[], to_f64(logging::lines_dropped().into()));
    vec![requests, replies, drops, foreign, left_out, relayed, arrivals, announcements, lost]
}

fn totals<const N: usize>(
    counters: &Counters,
    of: impl Fn(&NetworkMetrics) -> &[[Cell; N]; PROTOCOLS],
    names: &[&str],
) -> Vec<(String, u64)> {
    let mut totals = Vec::new();
    for (row, protocol) in Protocol::ALL.iter().enumerate() {
        for (column, name) in names.iter().enumerate() {
            let cells = counters
                .values()
                .filter_map(|network| of(network).get(row).and_then(|cells| cells.get(column)));
            let sum: u64 = cells.map(|cell| cell.load(Ordering::Relaxed)).sum();
            if sum > 0 {
                totals.push((format!("{} {name}", protocol.as_str()), sum));
            }
        }
    }
    totals
}

type Cell = AtomicU64;

fn cells<const N: usize>() -> [[Cell; N]; PROTOCOLS] {
    array::from_fn(|_| array::from_fn(|_| Cell::new(0)))
}

fn add<const N: usize>(cells: &[[Cell; N]; PROTOCOLS], protocol: Protocol, column: usize) {
    if let Some(cell) = cells.get(protocol.index()).and_then(|row| row.get(column)) {
        cell.fetch_add(1, Ordering::Relaxed);
    }
}

/// Adds a series for every cell of `row` that has counted something; `names` are the cells' values
/// of the label `last`.
fn push_row<const N: usize>(
    family: &mut MetricFamily,
    labels: [(&str, &str); 2],
    last: &str,
    row: Option<&[Cell; N]>,
    names: impl Iterator<Item = &'static str>,
) {
    let [network, protocol] = labels;
    for (cell, name) in row.into_iter().flatten().zip(names) {
        push_counted(family, &[network, protocol, (last, name)], cell);
    }
}

fn push_counted(family: &mut MetricFamily, labels: &[(&str, &str)], cell: &Cell) {
    let count = cell.load(Ordering::Relaxed);
    if count > 0 {
        push(family, labels, to_f64(count.into()));
    }
}

pub(super) const PROTOCOLS: usize = Protocol::ALL.len();
pub(super) const MESSAGES: usize = Message::ALL.len();
pub(super) const REASONS: usize = DropReason::ALL.len();
