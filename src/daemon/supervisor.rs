//! The one task that decides what is served where.
//!
//! It joins what sources, links, files and guests say, keeps the lease table, has the store make
//! leases durable, and starts, rebinds and stops the ports' tasks. It never touches a packet, and
//! no packet waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::claims::Claims;
use super::consumption::{Applied, Consumption};
use super::control_socket::{Asked, Said};
use super::edits::{AskedEdit, FoundForEdit, PendingEdits};
use super::entries::{Entries, Tally};
use super::links::Links;
use super::metrics_server::MetricsServer;
use super::port_task::PortReport;
use super::ports::Ports;
use super::registrations::Registrations;
use super::remembered::Remembered;
use super::sources::{Health, Sources};
use super::watch::{self, Wanted};
use super::writes::Writes;
use crate::clock;
use crate::config::Config;
use crate::control::{Answer, Request};
use crate::discovery::{SourceEvent, SourceId};
use crate::lease::{LeaseKey, LeaseTable};
use crate::net::LinkEvent;
use crate::outcome::Note;
use crate::sandbox;
use crate::store::{Change, News, Refused, StoreError, StoreHandle, StoreThread};
use crate::telemetry::{LogLimiter, Metrics};
use crate::time::Mono;

/// What the supervisor is made of.
pub(super) struct Parts {
    pub(super) config: Arc<Config>,
    pub(super) table: LeaseTable,
    pub(super) store: StoreHandle,
    pub(super) store_thread: StoreThread,
    pub(super) metrics: Arc<Metrics>,
    pub(super) metrics_server: MetricsServer,
    pub(super) sources: Sources,
    pub(super) ports: Ports,
    pub(super) consumption: Consumption,
    pub(super) remembered: Remembered,
    /// Set once every source has given its first snapshot.
    pub(super) ready: Arc<AtomicBool>,
}

/// Where the supervisor hears from.
pub(super) struct Inputs {
    pub(super) sources: mpsc::Receiver<(SourceId, SourceEvent)>,
    pub(super) links: mpsc::Receiver<LinkEvent>,
    pub(super) reports: mpsc::Receiver<PortReport>,
    /// From the task that has rules installed.
    pub(super) rules: mpsc::Receiver<Applied>,
    pub(super) control: mpsc::Receiver<Asked>,
    pub(super) reload: mpsc::Receiver<()>,
    /// From a store that nodes share.
    pub(super) news: Option<mpsc::Receiver<News>>,
    pub(super) stop: oneshot::Receiver<()>,
}

/// Decides what is served where.
pub(super) struct Supervisor {
    pub(super) config: Arc<Config>,
    pub(super) table: LeaseTable,
    pub(super) metrics: Arc<Metrics>,
    pub(super) metrics_server: MetricsServer,
    pub(super) sources: Sources,
    pub(super) ports: Ports,
    pub(super) consumption: Consumption,
    pub(super) claims: Claims,
    pub(super) links: Links,
    pub(super) remembered: Remembered,
    pub(super) entries: Entries,
    /// What the ports of the batch under way have come to.
    pub(super) tally: Tally,
    /// What guests registered (RFC 9686).
    pub(super) registrations: Registrations,
    /// Leases that the store does not have as they are.
    pub(super) writes: Writes,
    pub(super) edits: PendingEdits,
    pub(super) reload_error: Option<String>,
    ready: Arc<AtomicBool>,
    pub(super) store: StoreHandle,
    /// Where the store's answer about an edit goes.
    pub(super) found: mpsc::Sender<FoundForEdit>,
    store_thread: StoreThread,
    /// Ports that could not be started: tried again by the timer, or when a place is free.
    pub(super) refused: BTreeSet<String>,
    /// When what failed is tried again; none while nothing has.
    pub(super) retry_at: Option<Mono>,
    /// Where the writing of a batch says how it ended.
    written: mpsc::Sender<Result<Vec<Refused>, StoreError>>,
    /// Ports that lack an address because other nodes' VMs hold it, and when that is looked at
    /// again.
    pub(super) lacking: BTreeSet<String>,
    pub(super) lacking_at: Option<Mono>,
    /// When the gauges are brought up to date; none while they are.
    gauges_at: Option<Mono>,
    /// Whether many ports were told, came or went since memory was given back last.
    pub(super) has_grown: bool,
    pub(super) log_limit: LogLimiter<(String, Note)>,
    /// VMs that came to this node, until the store says so too.
    pub(super) unwritten_arrivals: BTreeSet<LeaseKey>,
}

impl Supervisor {
    /// Runs until it is told to stop.
    pub(super) async fn run(parts: Parts, mut inputs: Inputs) {
        let (written, mut done) = mpsc::channel(1);
        let (found, mut founds) = mpsc::channel(1);
        let Parts { config, table, store, store_thread, .. } = parts;
        let Parts { metrics, metrics_server, sources, ports, remembered, ready, .. } = parts;
        let consumption = parts.consumption;
        let mut supervisor = Self {
            config,
            table,
            metrics,
            metrics_server,
            sources,
            ports,
            consumption,
            claims: Claims::default(),
            links: Links::default(),
            remembered,
            entries: Entries::default(),
            tally: Tally::default(),
            registrations: Registrations::default(),
            writes: Writes::default(),
            edits: PendingEdits::default(),
            reload_error: None,
            ready,
            store,
            found,
            store_thread,
            refused: BTreeSet::new(),
            retry_at: None,
            written,
            lacking: BTreeSet::new(),
            lacking_at: None,
            gauges_at: None,
            has_grown: false,
            log_limit: LogLimiter::new(LOG_INTERVAL, LOG_KEYS),
            unwritten_arrivals: BTreeSet::new(),
        };
        supervisor.publish_gauges();
        loop {
            // A timer runs only while there is something to do later: an idle node does not wake.
            let retry_at = supervisor.retry_at;
            let gauges_at = supervisor.gauges_at;
            let lacking_at = supervisor.lacking_at;
            let remember_at = supervisor.remembered.due();
            tokio::select! {
                biased;
                _ = &mut inputs.stop => break,
                Some(request) = inputs.control.recv() => supervisor.answer(request).await,
                Some(()) = inputs.reload.recv() => {
                    supervisor.reload().await;
                }
                Some(result) = done.recv() => supervisor.settle(result).await,
                Some(found) = founds.recv() => supervisor.edit_with(found).await,
                Some(event) = inputs.links.recv() => {
                    let mut concerned = supervisor.link_changed(event).await;
                    while let Ok(event) = inputs.links.try_recv() {
                        concerned.extend(supervisor.link_changed(event).await);
                    }
                    supervisor.reconcile(concerned).await;
                }
                Some(event) = inputs.sources.recv() => {
                    let mut concerned = supervisor.source_said(event);
                    while let Ok(event) = inputs.sources.try_recv() {
                        concerned.extend(supervisor.source_said(event));
                    }
                    supervisor.reconcile(concerned).await;
                    supervisor.tell_ready();
                }
                Some(news) = next(&mut inputs.news) => supervisor.news(news).await,
                Some(report) = inputs.reports.recv() => supervisor.heard(report).await,
                Some(applied) = inputs.rules.recv() => {
                    supervisor.consumption.settle(applied);
                    supervisor.gauges_soon();
                }
                () = clock::sleep_until(retry_at) => supervisor.retry().await,
                () = clock::sleep_until(lacking_at) => supervisor.look_again().await,
                () = clock::sleep_until(remember_at) => supervisor.remember(),
                () = clock::sleep_until(gauges_at) => {
                    supervisor.gauges_at = None;
                    supervisor.publish_gauges();
                    supervisor.give_back_memory();
                }
            }
        }
        supervisor.end(done).await;
    }

    /// Stops all that serves, and has what is still on its way written down.
    async fn end(mut self, mut done: mpsc::Receiver<Result<Vec<Refused>, StoreError>>) {
        // What is served is served to the last: until here nobody has missed an answer.
        self.sources.stop();
        let end = async {
            if self.writes.is_under_way() && matches!(done.recv().await, Some(Ok(_))) {
                self.writes.succeeded();
            }
            // When guests were last heard, for the most part: worth one try.
            if let Some(changes) = self.next_batch() {
                let _ = self.store.write(changes).await;
            }
        };
        // A store that does not answer does not keep the daemon; what waits was never served.
        let _ = tokio::time::timeout(END_LIMIT, end).await;
        if self.remembered.due().is_some() {
            self.remember();
        }
        let Self { ports, consumption, store_thread, remembered, .. } = self;
        let close = async {
            let _ = tokio::time::timeout(END_LIMIT, store_thread.stop()).await;
            remembered.close().await;
        };
        // What answered is gone: another server may have the requests.
        let rules = tokio::time::timeout(RULES_END_LIMIT, consumption.stop());
        let _ = tokio::join!(ports.end(), close, rules);
    }

    /// Tells whether every source has given its first snapshot.
    pub(super) fn is_ready(&self) -> bool {
        self.sources.have_all_spoken()
    }

    /// Tells systemd and `/readyz`, once, that every source has given its first snapshot.
    fn tell_ready(&self) {
        if self.is_ready() && !self.ready.swap(true, Ordering::Relaxed) {
            tracing::info!("every source has answered: ready");
            self.consumption.begin();
            // Without systemd there is nobody to tell.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        }
    }

    async fn answer(&mut self, (request, answer): Asked) {
        let said = match request {
            Request::Ports => Answer::Ports(self.port_rows()),
            Request::Leases => Answer::Leases(self.lease_rows()),
            Request::Status => Answer::Status(Box::new(self.status())),
            Request::Reload => Answer::Reload(self.reload().await),
            Request::Explain { subject } => Answer::Explain(self.explain(&subject).await),
            Request::Plan => Answer::Plan(self.preview().await),
            Request::Watch { port, vm, frames } => {
                let said = self.watch(Wanted { port, vm }, frames).await;
                let _ = answer.send(said);
                return;
            }
            Request::Edit { edits, force } => {
                return self.edit(AskedEdit { edits, force, answer }).await;
            }
        };
        // A client that has gone needs no answer.
        let _ = answer.send(Said::Answer(said));
    }

    /// Begins a watch.
    async fn watch(&mut self, wanted: Wanted, frames: bool) -> Said {
        let (tap, mut watcher) = watch::watch(frames);
        match self.ports.watch(wanted, tap).await {
            Some(ports) => {
                watcher.ports = ports;
                Said::Watch(watcher)
            }
            None => {
                let text = "as many watch already as may; end one of them";
                Said::Answer(Answer::Error(text.to_owned()))
            }
        }
    }

    fn source_said(&mut self, (source, event): (SourceId, SourceEvent)) -> BTreeSet<String> {
        self.gauges_soon();
        match &event {
            SourceEvent::Snapshot(ports) => {
                // Their text is several times as large as they are, also if all is as it was.
                self.has_grown = true;
                self.remembered.heard(source, &self.config);
                if self.sources.note(source, Health::Up) {
                    let source = self.sources.name(source);
                    tracing::info!(source, ports = ports.len(), "source is up");
                }
            }
            SourceEvent::Down(reason) => {
                // Its ports stay as they were: a database that restarts silences no guest.
                let news = self.sources.note(source, Health::Down(reason.clone()));
                let name = self.sources.name(source).to_owned();
                if news {
                    tracing::warn!(source = name, %reason, "source is down; its ports stay served");
                }
                if let Some(ports) = self.remembered.recall(source, &self.config) {
                    let count = ports.len();
                    tracing::info!(source = name, ports = count, "serving its ports from memory");
                    self.sources.note_recalled(source);
                    return self.claims.apply(source, SourceEvent::Snapshot(ports));
                }
            }
            SourceEvent::Changed(_) | SourceEvent::Removed(_) => {}
        }
        self.remembered.changed();
        self.claims.apply(source, event)
    }

    /// Has what the sources say written down for the next process.
    fn remember(&mut self) {
        self.remembered.write(&self.config, &self.claims, &self.links);
    }

    async fn link_changed(&mut self, event: LinkEvent) -> BTreeSet<String> {
        let change = self.links.apply(event);
        for interface in &change.came_up {
            self.ports.link_up(interface).await;
        }
        if change.concerned.iter().any(|interface| self.claims.port(interface).is_some()) {
            self.remembered.changed();
        }
        change.concerned
    }

    /// Lets the store make the next batch of leases durable, unless one is under way.
    pub(super) fn write(&mut self) {
        let Some(changes) = self.next_batch() else {
            return;
        };
        let store = self.store.clone();
        let written = self.written.clone();
        tokio::spawn(async move {
            let result = store.write(changes).await;
            // The supervisor has ended: so will the process.
            let _ = written.send(result).await;
        });
    }

    /// Begins the next batch: the leases in it as they stand in the table now.
    fn next_batch(&mut self) -> Option<Vec<Change>> {
        let change = |key: &LeaseKey| match self.table.get(key) {
            Some(lease) => Change::Put(lease.clone()),
            None => Change::Delete(key.clone()),
        };
        Some(self.writes.begin()?.iter().map(change).collect())
    }

    /// Takes note of how the writing of a batch ended.
    async fn settle(&mut self, result: Result<Vec<Refused>, StoreError>) {
        match result {
            Ok(refused) => {
                if self.writes.error().is_some() {
                    tracing::info!("the lease store works again");
                }
                let mut concerned = self.writes.succeeded();
                for refused in refused {
                    self.edits.refuse(&refused.key);
                    concerned.extend(self.refused(refused).await);
                }
                self.unwritten_arrivals.retain(|key| !self.writes.is_written(key));
                self.reconcile(self.ports_of(&concerned)).await;
                self.edits.settle(&self.writes);
                self.ask_for_missed_news();
            }
            Err(StoreError(error)) => {
                self.edits.fail(&error);
                if self.writes.failed(error.clone()) {
                    tracing::error!(%error, "writing leases; known VMs are served on, new ones wait");
                }
                self.retry_after(self.writes.pause());
                self.tell_waiting().await;
            }
        }
    }

    /// Returns the ports that serve one of these leases, or would.
    pub(super) fn ports_of(&self, keys: &BTreeSet<LeaseKey>) -> BTreeSet<String> {
        keys.iter().flat_map(|key| self.entries.of(key)).map(str::to_owned).collect()
    }

    /// Has what failed tried again after `pause`, or earlier if something else is due then.
    pub(super) fn retry_after(&mut self, pause: Duration) {
        let at = clock::mono().after(pause);
        self.retry_at = Some(self.retry_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Tries again what failed a while ago.
    pub(super) async fn retry(&mut self) {
        self.retry_at = None;
        self.writes.resume();
        let refused = std::mem::take(&mut self.refused);
        self.reconcile(refused).await;
    }

    /// Gives memory back once there is peace after many ports: their rows as text took several times
    /// what they take now.
    fn give_back_memory(&mut self) {
        if std::mem::take(&mut self.has_grown) {
            tokio::task::spawn_blocking(sandbox::give_back_memory);
        }
    }

    /// Has the gauges brought up to date soon, once for many changes.
    pub(super) fn gauges_soon(&mut self) {
        self.gauges_at.get_or_insert_with(|| clock::mono().after(GAUGE_DELAY));
    }
}

/// Takes what a store that nodes share says; one that is this node's own never says anything.
async fn next(news: &mut Option<mpsc::Receiver<News>>) -> Option<News> {
    match news {
        Some(news) => news.recv().await,
        None => std::future::pending().await,
    }
}

/// How long the daemon, when it ends, waits for the last leases to be written, and then for the
/// store to close.
const END_LIMIT: Duration = Duration::from_secs(1);

/// How long it then waits for rules to be taken away.
const RULES_END_LIMIT: Duration = Duration::from_secs(10);

/// How long gauges may lag behind.
const GAUGE_DELAY: Duration = Duration::from_millis(200);

/// How often one thing about one port is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How many ports' lines are held apart.
const LOG_KEYS: usize = 8_192;
