//! The metrics of `/metrics`: counters that the packet path adds to, and the daemon's last snapshot.
//!
//! A counter is a cell of a fixed array, indexed by the closed sets of [`crate::outcome`], so that
//! counting costs a few atomic additions, no look-up and no allocation. A series is shown from its
//! first event on, and goes when its network goes. The text form is the prometheus crate's.

use std::array;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::logging;
use crate::outcome::{DropReason, Message, Note, Outcome, Protocol, Verdict};
use crate::time::Wall;

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reply_duration: HistogramVec,
    store_up: IntGaugeVec,
    store_operation_duration: HistogramVec,
    state: Mutex<State>,
}

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
    arrival_probes: Cell,
    reply_duration: [Histogram; PROTOCOLS],
}

/// The metrics of the store's thread.
#[derive(Debug, Clone)]
pub struct StoreMetrics {
    up: prometheus::IntGauge,
    load: Histogram,
    write: Histogram,
}

/// What a store was asked to do; the label `operation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOperation {
    /// Reading every lease.
    Load,
    /// Making a batch durable.
    Write,
}

/// How many ports of one network are in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortCount {
    /// The network's name; empty for ports without one.
    pub network: String,
    /// The state's word in `ports`.
    pub state: &'static str,
    /// How many ports.
    pub count: u64,
}

/// What the lease table holds for one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkCounts {
    /// The network's name.
    pub network: String,
    /// Leases whose address a guest declined.
    pub conflicts: u64,
    /// IPv4; `None`: the network has no `[ipv4]`.
    pub ipv4: Option<FamilyCounts>,
    /// IPv6; `None`: the network has no `[ipv6]`.
    pub ipv6: Option<FamilyCounts>,
    /// Delegated prefixes; `None`: the network has no `delegate`.
    pub prefixes: Option<FamilyCounts>,
}

/// What the lease table holds for one address family of a network, or of delegated prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyCounts {
    /// Leases that hold an address of the family.
    pub leases: u64,
    /// Addresses of the ranges that may still be given.
    pub free: u128,
    /// Addresses of the ranges.
    pub total: u128,
}

/// From how many ports of one network requests are taken away from the switch, or are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumeCount {
    /// The network's name.
    pub network: String,
    /// `installed`, `waiting` or `failed`.
    pub state: &'static str,
    /// How many ports.
    pub count: u64,
}

/// Whether one port source is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    /// The source, as the configuration names it.
    pub source: String,
    /// Whether what it says is current.
    pub up: bool,
}

impl Metrics {
    /// Makes metrics in which nothing has been counted.
    ///
    /// # Errors
    /// Never in practice: prometheus checks the constant names below.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let reply_duration = HistogramVec::new(
            HistogramOpts::new(
                "leasehold_reply_duration_seconds",
                "Time from reading a batch of requests to the sending of its replies.",
            )
            .buckets(REPLY_BUCKETS.to_vec()),
            &["protocol"],
        )?;
        let store_operation_duration = HistogramVec::new(
            HistogramOpts::new(
                "leasehold_store_operation_duration_seconds",
                "Time that the lease store took for one operation, failed ones included.",
            )
            .buckets(STORE_BUCKETS.to_vec()),
            &["backend", "operation"],
        )?;
        let store_up = IntGaugeVec::new(
            Opts::new("leasehold_store_up", "Whether the store's last operation succeeded."),
            &["backend"],
        )?;
        registry.register(Box::new(reply_duration.clone()))?;
        registry.register(Box::new(store_operation_duration.clone()))?;
        registry.register(Box::new(store_up.clone()))?;
        let state = Mutex::default();
        Ok(Self { registry, reply_duration, store_up, store_operation_duration, state })
    }

    /// Returns the counters of the network `name`; `""` is for ports without one.
    #[must_use]
    pub fn network(&self, name: &str) -> Arc<NetworkMetrics> {
        let mut state = self.state();
        if let Some(known) = state.counters.get(name) {
            return Arc::clone(known);
        }
        let made = Arc::new(NetworkMetrics::new(&self.reply_duration));
        state.counters.insert(name.to_owned(), Arc::clone(&made));
        made
    }

    /// Drops the counters of every network that a reload has removed: those for which `keep` says
    /// no. `""` always stays.
    pub fn retain_networks(&self, keep: impl Fn(&str) -> bool) {
        self.state().counters.retain(|name, _| name.is_empty() || keep(name));
    }

    /// Returns the store's metrics, for a store whose backend is called `backend`.
    #[must_use]
    pub fn store(&self, backend: &str) -> StoreMetrics {
        let duration =
            |operation| self.store_operation_duration.with_label_values(&[backend, operation]);
        StoreMetrics {
            up: self.store_up.with_label_values(&[backend]),
            load: duration("load"),
            write: duration("write"),
        }
    }

    /// Replaces what is shown of the ports.
    pub fn set_ports(&self, ports: Vec<PortCount>) {
        self.state().ports = ports;
    }

    /// Replaces what is shown of the lease table.
    pub fn set_networks(&self, networks: Vec<NetworkCounts>) {
        self.state().networks = networks;
    }

    /// Replaces what is shown of ports whose requests are to be taken away from the switch.
    pub fn set_consumption(&self, ports: Vec<ConsumeCount>) {
        self.state().consumption = ports;
    }

    /// Replaces what is shown of the sources.
    pub fn set_sources(&self, sources: Vec<SourceState>) {
        self.state().sources = sources;
    }

    /// Notes that the configuration was read and is in use since `at`.
    pub fn config_loaded(&self, at: Wall) {
        let mut state = self.state();
        state.reload_failed = false;
        state.config_loaded = Some(at);
    }

    /// Notes that the last reload was refused and the earlier configuration stays in use.
    pub fn config_refused(&self) {
        self.state().reload_failed = true;
    }

    /// Writes everything in Prometheus' text form (version 0.0.4).
    #[must_use]
    pub fn render(&self) -> String {
        let mut families = self.registry.gather();
        families.extend(self.state().families().into_iter().filter(|family| {
            // The encoder refuses a family without a metric.
            !family.get_metric().is_empty()
        }));
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&families, &mut text) {
            tracing::error!(%error, "writing metrics");
        }
        text
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is one assignment, so a panic elsewhere leaves nothing half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Metrics {
    /// Sums the replies over all networks, by protocol and message.
    #[must_use]
    pub fn replies(&self) -> Vec<(String, u64)> {
        let names = Message::ALL.iter().map(|message| message.as_str());
        self.totals(|counters| &counters.replies, &names.collect::<Vec<_>>())
    }

    /// Sums the drops over all networks, by protocol and reason.
    #[must_use]
    pub fn drops(&self) -> Vec<(String, u64)> {
        let names = DropReason::ALL.iter().map(|reason| reason.as_str());
        self.totals(|counters| &counters.drops, &names.collect::<Vec<_>>())
    }

    fn totals<const N: usize>(
        &self,
        of: impl Fn(&NetworkMetrics) -> &[[Cell; N]; PROTOCOLS],
        names: &[&str],
    ) -> Vec<(String, u64)> {
        let state = self.state();
        let mut totals = Vec::new();
        for (row, protocol) in Protocol::ALL.iter().enumerate() {
            for (column, name) in names.iter().enumerate() {
                let cells = state.counters.values().filter_map(|counters| {
                    of(counters).get(row).and_then(|cells| cells.get(column))
                });
                let sum: u64 = cells.map(|cell| cell.load(Ordering::Relaxed)).sum();
                if sum > 0 {
                    totals.push((format!("{} {name}", protocol.as_str()), sum));
                }
            }
        }
        totals
    }
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

    /// Counts frames that asked guests whether they are there.
    pub fn asked(&self, frames: usize) {
        let frames = u64::try_from(frames).unwrap_or(u64::MAX);
        self.arrival_probes.fetch_add(frames, Ordering::Relaxed);
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

    fn new(reply_duration: &HistogramVec) -> Self {
        Self {
            requests: cells(),
            replies: cells(),
            drops: cells(),
            foreign_servers: array::from_fn(|_| Cell::new(0)),
            options_left_out: array::from_fn(|_| Cell::new(0)),
            relay_information: Cell::new(0),
            arrivals: Cell::new(0),
            announcements: Cell::new(0),
            arrival_probes: Cell::new(0),
            reply_duration: array::from_fn(|place| {
                let name = Protocol::ALL.get(place).map_or("", |protocol| protocol.as_str());
                reply_duration.with_label_values(&[name])
            }),
        }
    }
}

impl StoreMetrics {
    /// Notes whether the store answers, as it says itself.
    pub fn set_up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    /// Records one operation: how long it took and whether it succeeded.
    pub fn record<T, E>(&self, operation: StoreOperation, took: Duration, result: &Result<T, E>) {
        let histogram = match operation {
            StoreOperation::Load => &self.load,
            StoreOperation::Write => &self.write,
        };
        histogram.observe(took.as_secs_f64());
        self.up.set(i64::from(result.is_ok()));
    }
}

/// What changes with the daemon's state, behind one lock that the packet path never takes.
#[derive(Debug, Default)]
struct State {
    counters: BTreeMap<String, Arc<NetworkMetrics>>,
    ports: Vec<PortCount>,
    networks: Vec<NetworkCounts>,
    sources: Vec<SourceState>,
    consumption: Vec<ConsumeCount>,
    config_loaded: Option<Wall>,
    reload_failed: bool,
}

impl State {
    fn families(&self) -> Vec<MetricFamily> {
        let mut families = Vec::from(self.counter_families());
        families.extend(self.gauge_families());
        families.extend(self.prefix_families());
        families
    }

    fn counter_families(&self) -> [MetricFamily; 10] {
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
        let mut probes = counter(
            "leasehold_arrival_probes_total",
            "Frames sent to VMs that may be at their port already: ARP requests and NS.",
        );
        let mut lost = counter(
            "leasehold_log_lines_dropped_total",
            "Log lines lost because the log's reader was too slow.",
        );
        for (network, counters) in &self.counters {
            for (index, protocol) in Protocol::ALL.iter().enumerate() {
                let labels = [("network", network.as_str()), ("protocol", protocol.as_str())];
                let messages = || Message::ALL.iter().map(|message| message.as_str());
                let reasons = || DropReason::ALL.iter().map(|reason| reason.as_str());
                push_row(
                    &mut requests,
                    labels,
                    "message",
                    counters.requests.get(index),
                    messages(),
                );
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
            push_counted(&mut probes, &[("network", network)], &counters.arrival_probes);
            push_counted(&mut relayed, &[("network", network)], &counters.relay_information);
        }
        push(&mut lost, &[], to_f64(logging::lines_dropped().into()));
        [
            requests,
            replies,
            drops,
            foreign,
            left_out,
            relayed,
            arrivals,
            announcements,
            probes,
            lost,
        ]
    }

    fn prefix_families(&self) -> [MetricFamily; 3] {
        let mut delegated =
            gauge("leasehold_prefixes_delegated", "Leases that hold a delegated prefix.");
        let mut free = gauge("leasehold_prefixes_free", "Prefixes that may still be delegated.");
        let mut total = gauge("leasehold_prefixes_total", "Prefixes that may be delegated.");
        for NetworkCounts { network, prefixes, .. } in &self.networks {
            let Some(counts) = prefixes else { continue };
            let labels = [("network", network.as_str())];
            push(&mut delegated, &labels, to_f64(counts.leases.into()));
            push(&mut free, &labels, to_f64(counts.free));
            push(&mut total, &labels, to_f64(counts.total));
        }
        [delegated, free, total]
    }

    fn gauge_families(&self) -> [MetricFamily; 10] {
        let mut ports = gauge("leasehold_ports", "Ports, by state.");
        for PortCount { network, state, count } in &self.ports {
            push(&mut ports, &[("network", network), ("state", state)], to_f64((*count).into()));
        }

        let mut leases = gauge("leasehold_leases", "Leases that hold an address of the family.");
        let mut free = gauge("leasehold_addresses_free", "Addresses that may still be given.");
        let mut total = gauge("leasehold_addresses_total", "Addresses of the ranges.");
        let mut conflicts =
            gauge("leasehold_address_conflicts", "Leases whose address a guest declined.");
        for NetworkCounts { network, conflicts: declined, ipv4, ipv6, .. } in &self.networks {
            push(&mut conflicts, &[("network", network)], to_f64((*declined).into()));
            for (family, counts) in [("ipv4", ipv4), ("ipv6", ipv6)] {
                let Some(counts) = counts else { continue };
                let labels = [("network", network.as_str()), ("family", family)];
                push(&mut leases, &labels, to_f64(counts.leases.into()));
                push(&mut free, &labels, to_f64(counts.free));
                push(&mut total, &labels, to_f64(counts.total));
            }
        }

        let mut sources =
            gauge("leasehold_source_up", "Whether what the source says of its ports is current.");
        for SourceState { source, up } in &self.sources {
            push(&mut sources, &[("source", source)], f64::from(u8::from(*up)));
        }

        let mut consumption = gauge(
            "leasehold_consume_ports",
            "Ports whose requests are to be taken away from the switch, by whether they are.",
        );
        for ConsumeCount { network, state, count } in &self.consumption {
            let labels = [("network", network.as_str()), ("state", *state)];
            push(&mut consumption, &labels, to_f64((*count).into()));
        }

        let mut successful = gauge(
            "leasehold_config_last_reload_successful",
            "Whether the configuration files were accepted when they were last read.",
        );
        let mut since = gauge(
            "leasehold_config_last_reload_success_timestamp_seconds",
            "When the configuration files were last accepted, in seconds since 1970.",
        );
        if let Some(at) = self.config_loaded {
            push(&mut successful, &[], f64::from(u8::from(!self.reload_failed)));
            push(&mut since, &[], to_f64(at.0.into()));
        }

        let mut build = gauge("leasehold_build_info", "Constant 1; the label is the version.");
        push(&mut build, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        [ports, leases, free, total, conflicts, sources, consumption, successful, since, build]
    }
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

fn counter(name: &str, help: &str) -> MetricFamily {
    family(name, help, MetricType::COUNTER)
}

fn gauge(name: &str, help: &str) -> MetricFamily {
    family(name, help, MetricType::GAUGE)
}

fn family(name: &str, help: &str, kind: MetricType) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family
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

fn push(family: &mut MetricFamily, labels: &[(&str, &str)], value: f64) {
    let labels = labels.iter().map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    let mut metric = Metric::from_label(labels.collect());
    if family.get_field_type() == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    family.mut_metric().push(metric);
}

/// Converts to the format's only number type; above 2^53 the nearest one.
#[expect(clippy::cast_precision_loss, reason = "the text format has no other number")]
fn to_f64(count: u128) -> f64 {
    count as f64
}

const PROTOCOLS: usize = Protocol::ALL.len();
const MESSAGES: usize = Message::ALL.len();
const REASONS: usize = DropReason::ALL.len();

/// From what an idle port needs to what a client would ask again for, in seconds.
const REPLY_BUCKETS: [f64; 12] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.05, 0.25,
    1.0,
];

/// From a commit on fast storage to a disk that hangs, in seconds.
const STORE_BUCKETS: [f64; 11] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(protocol: Protocol, message: Message, verdict: Verdict) -> Outcome {
        Outcome { protocol, message, verdict }
    }

    /// Returns the series of `metrics` whose line begins with `name`.
    fn series(metrics: &Metrics, name: &str) -> Vec<String> {
        metrics.render().lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    #[test]
    fn every_verdict_is_counted_in_its_place() {
        let metrics = Metrics::new().unwrap();
        let blue = metrics.network("blue");
        for verdict in [
            Verdict::Replied(Message::Offer),
            Verdict::Replied(Message::Offer),
            Verdict::Dropped(DropReason::BadOption),
        ] {
            blue.count(&outcome(Protocol::Dhcpv4, Message::Discover, verdict));
        }
        for (protocol, message, note) in [
            (Protocol::Arp, Message::Rarp, Note::Arrived),
            (Protocol::Nd, Message::RouterAdvertisement, Note::ForeignServer),
            (Protocol::Dhcpv4, Message::Release, Note::Released),
        ] {
            blue.count(&outcome(protocol, message, Verdict::Noted(note)));
        }
        assert_eq!(
            series(&metrics, "leasehold_requests_total"),
            [
                r#"leasehold_requests_total{network="blue",protocol="dhcpv4",message="discover"} 3"#,
                r#"leasehold_requests_total{network="blue",protocol="dhcpv4",message="release"} 1"#,
                r#"leasehold_requests_total{network="blue",protocol="nd",message="router-advertisement"} 1"#,
                r#"leasehold_requests_total{network="blue",protocol="arp",message="rarp"} 1"#,
            ]
        );
        assert_eq!(
            series(&metrics, "leasehold_replies_total"),
            [r#"leasehold_replies_total{network="blue",protocol="dhcpv4",message="offer"} 2"#]
        );
        assert_eq!(
            series(&metrics, "leasehold_drops_total"),
            [r#"leasehold_drops_total{network="blue",protocol="dhcpv4",reason="bad-option"} 1"#]
        );
        assert_eq!(
            series(&metrics, "leasehold_arrivals_total"),
            [r#"leasehold_arrivals_total{network="blue"} 1"#]
        );
        assert_eq!(
            series(&metrics, "leasehold_foreign_servers_total"),
            [r#"leasehold_foreign_servers_total{network="blue",protocol="nd"} 1"#]
        );
    }

    #[test]
    fn every_label_of_the_closed_sets_has_its_cell() {
        let metrics = Metrics::new().unwrap();
        let blue = metrics.network("blue");
        for protocol in Protocol::ALL {
            for message in Message::ALL {
                blue.count(&outcome(*protocol, *message, Verdict::Replied(*message)));
            }
            for reason in DropReason::ALL {
                blue.count(&Outcome::dropped(*protocol, Message::Unknown, *reason));
            }
        }
        let count = |name| series(&metrics, name).len();
        assert_eq!(count("leasehold_requests_total"), PROTOCOLS * MESSAGES);
        assert_eq!(count("leasehold_replies_total"), PROTOCOLS * MESSAGES);
        assert_eq!(count("leasehold_drops_total"), PROTOCOLS * REASONS);
    }

    #[test]
    fn a_network_keeps_its_counters_until_a_reload_removes_it() {
        let metrics = Metrics::new().unwrap();
        let dropped = Outcome::dropped(Protocol::Other, Message::Unknown, DropReason::NotForUs);
        for name in ["", "blue", "red"] {
            metrics.network(name).count(&dropped);
        }
        metrics.network("blue").count(&dropped);
        let drops = |metrics: &Metrics| series(metrics, "leasehold_drops_total").join("\n");
        assert!(
            drops(&metrics).contains(r#"network="blue",protocol="other",reason="not-for-us"} 2"#)
        );

        let late = metrics.network("red");
        metrics.retain_networks(|name| name == "blue");
        late.count(&dropped);
        let left = drops(&metrics);
        assert!(left.contains(r#"network="blue""#) && left.contains(r#"network="""#), "{left}");
        assert!(!left.contains("red"), "{left}");
        // Configured again, it starts anew.
        metrics.network("red").count(&dropped);
        assert!(
            drops(&metrics).contains(r#"network="red",protocol="other",reason="not-for-us"} 1"#)
        );
    }

    #[test]
    fn reply_duration_falls_into_its_bucket() {
        let metrics = Metrics::new().unwrap();
        metrics.network("blue").reply_took(Protocol::Dhcpv6, Duration::from_micros(40));
        let lines =
            series(&metrics, r#"leasehold_reply_duration_seconds_bucket{protocol="dhcpv6""#);
        assert!(lines[1].ends_with(r#"le="0.000025"} 0"#), "{lines:?}");
        assert!(lines[2].ends_with(r#"le="0.00005"} 1"#), "{lines:?}");
    }

    #[test]
    fn gauges_show_the_last_snapshot_only() {
        let metrics = Metrics::new().unwrap();
        let port =
            |network: &str, state, count| PortCount { network: network.to_owned(), state, count };
        metrics.set_ports(vec![port("blue", "serving", 3), port("", "unidentified", 1)]);
        metrics.set_ports(vec![port("blue", "serving", 2)]);
        metrics.set_networks(vec![NetworkCounts {
            network: "blue".to_owned(),
            conflicts: 0,
            ipv4: Some(FamilyCounts { leases: 2, free: 248, total: 250 }),
            ipv6: None,
            prefixes: Some(FamilyCounts { leases: 1, free: 14, total: 15 }),
        }]);
        metrics.set_sources(vec![SourceState { source: "ovsdb".to_owned(), up: false }]);
        assert_eq!(
            series(&metrics, "leasehold_ports"),
            [r#"leasehold_ports{network="blue",state="serving"} 2"#]
        );
        assert_eq!(
            series(&metrics, "leasehold_addresses_"),
            [
                r#"leasehold_addresses_free{network="blue",family="ipv4"} 248"#,
                r#"leasehold_addresses_total{network="blue",family="ipv4"} 250"#,
            ]
        );
        assert_eq!(
            series(&metrics, "leasehold_prefixes_"),
            [
                r#"leasehold_prefixes_delegated{network="blue"} 1"#,
                r#"leasehold_prefixes_free{network="blue"} 14"#,
                r#"leasehold_prefixes_total{network="blue"} 15"#,
            ]
        );
        assert_eq!(
            series(&metrics, "leasehold_leases"),
            [r#"leasehold_leases{network="blue",family="ipv4"} 2"#]
        );
        assert_eq!(
            series(&metrics, "leasehold_address_conflicts"),
            [r#"leasehold_address_conflicts{network="blue"} 0"#]
        );
        assert_eq!(
            series(&metrics, "leasehold_source_up"),
            [r#"leasehold_source_up{source="ovsdb"} 0"#]
        );
    }

    #[test]
    fn a_refused_reload_keeps_the_time_of_the_last_good_one() {
        let metrics = Metrics::new().unwrap();
        assert_eq!(series(&metrics, "leasehold_config_"), Vec::<String>::new());
        metrics.config_loaded(Wall(1_000));
        metrics.config_refused();
        assert_eq!(
            series(&metrics, "leasehold_config_"),
            [
                "leasehold_config_last_reload_success_timestamp_seconds 1000",
                "leasehold_config_last_reload_successful 0",
            ]
        );
        metrics.config_loaded(Wall(2_000));
        assert_eq!(
            series(&metrics, "leasehold_config_"),
            [
                "leasehold_config_last_reload_success_timestamp_seconds 2000",
                "leasehold_config_last_reload_successful 1",
            ]
        );
    }

    #[test]
    fn the_store_is_up_as_its_last_operation_says() {
        let metrics = Metrics::new().unwrap();
        let store = metrics.store("embedded");
        store.record(StoreOperation::Load, Duration::from_millis(3), &Ok::<(), ()>(()));
        store.record(StoreOperation::Write, Duration::from_millis(3), &Err::<(), ()>(()));
        assert_eq!(
            series(&metrics, "leasehold_store_up"),
            [r#"leasehold_store_up{backend="embedded"} 0"#]
        );
        let counts = series(&metrics, "leasehold_store_operation_duration_seconds_count");
        assert!(counts.iter().all(|line| line.ends_with(" 1")) && counts.len() == 2, "{counts:?}");
        store.record(StoreOperation::Write, Duration::from_millis(3), &Ok::<(), ()>(()));
        assert_eq!(
            series(&metrics, "leasehold_store_up"),
            [r#"leasehold_store_up{backend="embedded"} 1"#]
        );
    }

    #[test]
    fn every_family_has_help_and_type_and_comes_once() {
        let metrics = Metrics::new().unwrap();
        metrics.network("blue").count(&outcome(
            Protocol::Arp,
            Message::ArpRequest,
            Verdict::Noted(Note::Arrived),
        ));
        let text = metrics.render();
        let families: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        let mut once = families.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(families, once);
        assert!(families.contains(&"leasehold_log_lines_dropped_total counter"), "{text}");
        assert!(families.contains(&"leasehold_build_info gauge"), "{text}");
        assert_eq!(text.matches("# HELP ").count(), families.len());
    }
}
