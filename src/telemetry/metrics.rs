//! The metrics of `/metrics`: counters that the packet path adds to, and the daemon's last snapshot.
//!
//! A counter is a cell of a fixed array, indexed by the closed sets of [`crate::outcome`], so that
//! counting costs a few atomic additions, no look-up and no allocation. A series is shown from its
//! first event on, and goes when its network goes. The text form is the prometheus crate's.

mod counters;
mod gauges;
mod text;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use self::counters::Counters;
pub use self::counters::NetworkMetrics;
use self::gauges::Gauges;
pub use self::gauges::{ConsumeCount, FamilyCounts, NetworkCounts, PortCount, SourceState};
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
        self.state().gauges.ports = ports;
    }

    /// Replaces what is shown of the lease table.
    pub fn set_networks(&self, networks: Vec<NetworkCounts>) {
        self.state().gauges.networks = networks;
    }

    /// Replaces what is shown of ports whose requests are to be taken away from the switch.
    pub fn set_consumption(&self, ports: Vec<ConsumeCount>) {
        self.state().gauges.consumption = ports;
    }

    /// Replaces what is shown of the sources.
    pub fn set_sources(&self, sources: Vec<SourceState>) {
        self.state().gauges.sources = sources;
    }

    /// Notes that the configuration was read and is in use since `at`.
    pub fn config_loaded(&self, at: Wall) {
        let gauges = &mut self.state().gauges;
        gauges.reload_failed = false;
        gauges.config_loaded = Some(at);
    }

    /// Notes that the last reload was refused and the earlier configuration stays in use.
    pub fn config_refused(&self) {
        self.state().gauges.reload_failed = true;
    }

    /// Sums the replies over all networks, by protocol and message.
    #[must_use]
    pub fn replies(&self) -> Vec<(String, u64)> {
        counters::replies(&self.state().counters)
    }

    /// Sums the drops over all networks, by protocol and reason.
    #[must_use]
    pub fn drops(&self) -> Vec<(String, u64)> {
        counters::drops(&self.state().counters)
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
    counters: Counters,
    gauges: Gauges,
}

impl State {
    fn families(&self) -> Vec<MetricFamily> {
        let mut families = counters::families(&self.counters);
        families.extend(self.gauges.families());
        families
    }
}

/// From what an idle port needs to what a client would ask again for, in seconds.
const REPLY_BUCKETS: [f64; 12] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.01, 0.05, 0.25,
    1.0,
];

/// From a commit on fast storage to a disk that hangs, in seconds.
const STORE_BUCKETS: [f64; 11] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0];

#[cfg(test)]
mod tests;
