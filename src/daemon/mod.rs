//! The daemon: everything wired together, from readiness to a clean end.

mod arrivals;
mod claims;
mod closing;
mod consumption;
mod control_socket;
mod edits;
mod entries;
mod exchange;
mod explain;
mod heard;
mod links;
mod listing;
mod metrics_server;
mod plan;
mod port_task;
mod ports;
mod preview;
mod reclaim;
mod reconcile;
mod registrations;
mod reload;
mod remembered;
mod shared;
mod sources;
mod supervisor;
mod values;
mod watch;
mod writes;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use consumption::Consumption;
use control_socket::{ControlSocket, ListenError};
use metrics_server::MetricsServer;
use ports::Ports;
use remembered::Remembered;
use sources::Sources;
use supervisor::{Inputs, Parts, Supervisor};

use crate::broker::{BrokerClient, RuleClient, SocketPool};
use crate::clock;
use crate::config::Config;
use crate::discovery::Connector;
use crate::lease::LeaseTable;
use crate::net::{Filter, LinkEvent, LinkWatcher};
use crate::store::{self, News, OpenError, StoreHandle, StoreThread};
use crate::telemetry::{Metrics, StoreOperation};

/// Why the daemon could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Another daemon has the control socket or the store.
    #[error("{0}")]
    AnotherInstance(String),
    /// A permission is missing.
    #[error("{0}")]
    NoPermission(String),
    /// The system refused something.
    #[error("{0}")]
    System(String),
}

/// Runs the daemon until it is told to end by SIGTERM or SIGINT.
///
/// # Errors
/// [`RunError`] if it cannot start; once it runs, trouble is logged, counted and healed.
pub fn run(config: Config, broker: BrokerClient, rules: RuleClient) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers())
        .thread_name("leasehold")
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| RunError::System(format!("starting the runtime: {error}")))?;
    let result = runtime.block_on(serve(config, broker, rules));
    // The runtime's own threads hold nothing that matters.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config, broker: BrokerClient, rules: RuleClient) -> Result<(), RunError> {
    let metrics =
        Metrics::new().map_err(|error| RunError::System(format!("making the metrics: {error}")))?;
    let metrics = Arc::new(metrics);
    let control = listen_for_commands(&config.control_socket).await?;
    // A store may block, and the runtime's own threads must not.
    let (config, opened) = {
        let metrics = Arc::clone(&metrics);
        let opening = tokio::task::spawn_blocking(move || {
            let opened = open_store(&config, &metrics);
            (config, opened)
        });
        opening.await.map_err(|error| RunError::System(format!("opening the store: {error}")))?
    };
    let OpenStore { table, handle: store, thread: store_thread, news } = opened?;
    let mut signals = Signals::new()?;
    let ready = Arc::new(AtomicBool::new(false));
    let mut metrics_server = MetricsServer::new(Arc::clone(&metrics), Arc::clone(&ready));
    let listening = metrics_server.listen(config.metrics_listen).await;
    listening.map_err(|error| RunError::System(error.to_string()))?;

    let (source_events, sources_said) = mpsc::channel(QUEUE);
    let (link_events, links_said) = mpsc::channel(QUEUE);
    let (port_reports, reports) = mpsc::channel(QUEUE);
    let (control_requests, control_asked) = mpsc::channel(QUEUE);
    let (rules_told, rules_said) = mpsc::channel(1);
    let (reload, reloads) = mpsc::channel(1);
    let (stop, stopped) = oneshot::channel();

    let watcher = LinkWatcher::new()
        .map_err(|error| refused("listening to the kernel's link events", &error))?;
    tokio::spawn(watch_links(watcher, link_events));
    let pool = open_sockets(&broker).await?;
    let ports = Ports::new(pool, config.limits, port_reports);
    let rules = rules.open().map_err(|error| refused("reaching the rules' process", &error))?;
    let consumption = Consumption::start(rules, rules_told);
    let sources = Sources::start(&config, connector(broker), source_events);
    let control_task = tokio::spawn(control.serve(control_requests));
    say_up(&config, &table);
    metrics.config_loaded(clock::wall());

    let config = Arc::new(config);
    let remembered = Remembered::open(&config);
    let parts = Parts {
        config,
        table,
        store,
        store_thread,
        metrics,
        metrics_server,
        sources,
        ports,
        consumption,
        remembered,
        ready,
    };
    let inputs = Inputs {
        sources: sources_said,
        links: links_said,
        reports,
        rules: rules_said,
        control: control_asked,
        reload: reloads,
        news,
        stop: stopped,
    };
    let mut supervisor = tokio::spawn(Supervisor::run(parts, inputs));
    loop {
        tokio::select! {
            _ = signals.end.recv() => break,
            _ = signals.interrupt.recv() => break,
            Some(()) = signals.hangup.recv() => {
                // One that is waiting already will see these files too.
                let _ = reload.try_send(());
            }
            ended = &mut supervisor => return ended.map_err(supervisor_failed),
        }
    }
    tracing::info!("leasehold ends");
    // Without systemd there is nobody to tell.
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    let _ = stop.send(());
    supervisor.await.map_err(supervisor_failed)?;
    control_task.abort();
    // Awaited, so that the socket's file is gone when the process is.
    let _ = control_task.await;
    Ok(())
}

async fn listen_for_commands(socket: &Path) -> Result<ControlSocket, RunError> {
    let socket_name = socket.display();
    ControlSocket::listen(socket).await.map_err(|error| match error {
        ListenError::InUse => RunError::AnotherInstance(format!(
            "another leasehold answers at {socket_name}; stop it first, or give this one another \
             [control] socket and [store] path"
        )),
        ListenError::Io(error) => refused(&format!("listening at {socket_name}"), &error),
    })
}

/// Asks for sockets before the first port needs one: a missing privilege is said at the start.
async fn open_sockets(broker: &BrokerClient) -> Result<SocketPool, RunError> {
    let pool = SocketPool::new(broker.clone());
    pool.prepare(Filter::Configuration, SPARE_SOCKETS).await.map_err(|error| {
        match error.kind() {
            io::ErrorKind::PermissionDenied => RunError::NoPermission(error.to_string()),
            _ => RunError::System(error.to_string()),
        }
    })?;
    Ok(pool)
}

fn say_up(config: &Config, table: &LeaseTable) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        node = %config.node,
        networks = config.networks.len(),
        leases = table.len(),
        "leasehold is up"
    );
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    for line in table.count_outside_ranges(&config.networks) {
        tracing::info!("{line}");
    }
}

/// Hands the kernel's link events on; a lost connection is opened anew, with a snapshot.
async fn watch_links(mut watcher: LinkWatcher, events: mpsc::Sender<LinkEvent>) {
    loop {
        match watcher.next().await {
            Ok(event) => {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "listening to the kernel's link events; trying again");
                tokio::time::sleep(LINK_RETRY).await;
            }
        }
    }
}

/// Connects sources to unix sockets through the broker: they may be root's alone.
fn connector(broker: BrokerClient) -> Connector {
    Connector::new(move |path| {
        let broker = broker.clone();
        Box::pin(async move { broker.connect_unix(&path).await })
    })
}

/// A store that was read and runs.
struct OpenStore {
    table: LeaseTable,
    handle: StoreHandle,
    thread: StoreThread,
    /// What other nodes do, if they share it.
    news: Option<mpsc::Receiver<News>>,
}

fn open_store(config: &Config, metrics: &Metrics) -> Result<OpenStore, RunError> {
    let mut store = store::open(&config.store, &config.node).map_err(|error| match error {
        OpenError::InUse(text) => RunError::AnotherInstance(text),
        OpenError::NoPermission(text) => RunError::NoPermission(text),
        OpenError::Damaged(text) | OpenError::Unusable(text) => RunError::System(text),
    })?;
    let store_metrics = metrics.store(config.store.backend());
    let begun = clock::mono();
    let loaded = store.load();
    store_metrics.record(StoreOperation::Load, clock::mono().since(begun), &loaded);
    let loaded = loaded.map_err(|error| RunError::System(error.to_string()))?;
    for line in &loaded.damaged {
        tracing::error!("{line}");
    }
    let (mut table, refused) = LeaseTable::load(loaded.leases);
    for withheld in &loaded.withheld {
        table.withhold(withheld);
    }
    for line in &refused {
        tracing::error!("{line}; it is set aside");
    }
    let news = store.watch();
    let (handle, thread) = store::spawn(store, store_metrics)
        .map_err(|error| RunError::System(format!("starting the store's thread: {error}")))?;
    Ok(OpenStore { table, handle, thread, news })
}

struct Signals {
    end: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> Result<Self, RunError> {
        let listen = |kind| {
            signal(kind).map_err(|error| RunError::System(format!("listening to signals: {error}")))
        };
        Ok(Self {
            end: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }
}

fn refused(doing: &str, error: &io::Error) -> RunError {
    let text = format!("{doing}: {error}");
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            RunError::NoPermission(format!("{text}; run leasehold as root or as its own user"))
        }
        _ => RunError::System(text),
    }
}

fn supervisor_failed(error: tokio::task::JoinError) -> RunError {
    RunError::System(format!("the supervisor ended: {error}"))
}

/// Packets are cheap and wake-ups are not: a few threads serve thousands of ports, and leave the
/// node's other cores to its VMs.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(WORKERS_MAX))
}

const WORKERS_MAX: usize = 4;

/// How long to wait before the kernel is asked again.
const LINK_RETRY: Duration = Duration::from_secs(1);

/// Sockets that are opened ahead of need.
const SPARE_SOCKETS: usize = 4;

/// What may wait for the supervisor; senders on the packet path do not wait, the others may.
const QUEUE: usize = 1_024;

#[cfg(test)]
mod storm;
