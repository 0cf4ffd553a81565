//! Open vSwitch: the ports that its database lists.
//!
//! One task keeps one connection to `ovsdb-server` (RFC 7047, ovsdb-server(7)), watches the three
//! tables that ports are made of, and tells what changes about them. After a lost connection it
//! connects again and gives a new snapshot; nothing is remembered over that.

mod client;
mod framing;
mod model;
mod place;
mod rows;

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use self::client::{Client, ClientError, Message, Refusal};
use self::model::{Model, Selection};
use self::place::Place;
use self::rows::{BadRow, Table};
use super::{Preset, SourceEvent, SourceId, Surroundings};

/// Watches the database until the receiver of the events is gone.
pub(super) async fn run(id: SourceId, settings: Settings, surroundings: Surroundings) {
    let events = surroundings.events.clone();
    tokio::select! {
        () = events.closed() => {}
        never = watch_always(id, settings, surroundings) => match never {}
    }
}

/// What the file says of this source.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) socket: PathBuf,
    pub(super) bridges: Vec<String>,
    pub(super) presets: Vec<Preset>,
    pub(super) pace: Pace,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long the server may be silent before it is asked whether it lives, and after.
    probe: Duration,
    /// How long to wait before the first attempt to connect again.
    first_retry: Duration,
    /// How long to wait at most.
    last_retry: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            probe: Duration::from_secs(5),
            first_retry: Duration::from_millis(100),
            last_retry: Duration::from_secs(2),
        }
    }
}

impl Pace {
    /// Returns how long to wait after `failures` failed attempts: twice as long each time, and up
    /// to a quarter more, so that sources do not come back all at once.
    fn delay(&self, id: SourceId, failures: u32) -> Duration {
        let doubled = self.first_retry.saturating_mul(2_u32.saturating_pow(failures));
        let delay = doubled.min(self.last_retry);
        let mut hasher = DefaultHasher::new();
        (std::process::id(), id, failures).hash(&mut hasher);
        let percent = u32::try_from(hasher.finish() % 26).unwrap_or(0);
        delay.saturating_add(delay / 100 * percent)
    }
}

async fn watch_always(id: SourceId, settings: Settings, surroundings: Surroundings) -> Infallible {
    let Settings { socket, bridges, presets, pace } = settings;
    let selection = Selection { bridges, rules: surroundings.rules.clone(), presets };
    let mut session = Session { id, socket, pace, surroundings, failures: 0 };
    let mut last_reason = String::new();
    loop {
        let ended = match session.run(&selection).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        let reason = format!("{}: {ended}", session.socket.display());
        // The same failure again and again is told once.
        if session.failures == 0 || last_reason != reason {
            last_reason.clone_from(&reason);
            session.tell(SourceEvent::Down(reason)).await;
        }
        sleep(session.pace.delay(id, session.failures)).await;
        session.failures = session.failures.saturating_add(1);
    }
}

/// The connection that is, or is to be.
struct Session {
    id: SourceId,
    socket: PathBuf,
    pace: Pace,
    surroundings: Surroundings,
    /// Failed attempts since the last snapshot.
    failures: u32,
}

impl Session {
    /// Connects, gives a snapshot and then changes, until something ends it.
    async fn run(&mut self, selection: &Selection) -> Result<Infallible, Ended> {
        let connecting = self.surroundings.connector.connect(self.socket.clone());
        let stream = match timeout(self.pace.probe, connecting).await {
            Ok(connected) => connected.map_err(Ended::Connect)?,
            Err(_) => return Err(Ended::ConnectTimeout),
        };
        let mut client = Client::new(stream, self.pace.probe);
        let schema = client.request("get_schema", &json!([DATABASE])).await?;
        let columns = columns(&schema.value(RESULT)?)?;
        let (answer, place) = watch(&mut client, &columns).await?;

        let mut model = Model::new(selection);
        answer.read(place, model.rows())?.unwrap_or(Err(BadRow("there are none")))?;
        // Telling may take a while, and the text of 5,000 rows is as large as what they come to.
        drop(answer);
        let snapshot = model.snapshot();
        self.tell(snapshot).await;
        self.failures = 0;
        loop {
            let notification = client.notification().await?;
            let Some(place) = updates(&notification)? else { continue };
            notification.read(place, model.rows())?.unwrap_or(Ok(()))?;
            drop(notification);
            for event in model.differences() {
                self.tell(event).await;
            }
        }
    }

    async fn tell(&self, event: SourceEvent) {
        // Without a receiver the whole task ends, see `run`.
        let _ = self.surroundings.events.send((self.id, event)).await;
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(
        "connecting to the server: {0}; is ovsdb-server running, and may leasehold open its socket?"
    )]
    Connect(std::io::Error),
    #[error("connecting to the server: it does not accept; is ovsdb-server running?")]
    ConnectTimeout,
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error(transparent)]
    Rows(#[from] BadRow),
    #[error("the database has no column {column} in table {table}; is it Open vSwitch's?")]
    NoColumn { table: &'static str, column: &'static str },
    #[error("the server stopped the watch: the database was changed or taken away")]
    Canceled,
}

/// Returns what to watch: the wanted columns that the schema has.
fn columns(schema: &Value) -> Result<Map<String, Value>, Ended> {
    let mut tables = Map::new();
    for table in Table::ALL {
        let known = schema.get("tables").and_then(|tables| tables.get(table.name()));
        let known = known.and_then(|table| table.get("columns"));
        let is_known = |column: &&str| known.is_some_and(|known| known.get(column).is_some());
        if let Some(column) = table.columns().iter().find(|column| !is_known(column)) {
            return Err(Ended::NoColumn { table: table.name(), column });
        }
        let optional = table.optional_columns().iter().filter(|column| is_known(column));
        let columns: Vec<&str> = table.columns().iter().chain(optional).copied().collect();
        tables.insert(table.name().into(), json!({ "columns": columns }));
    }
    Ok(tables)
}

/// Starts the watch by the newest method that the server has; returns the answer, and where in it
/// the rows stand.
async fn watch(
    client: &mut Client,
    columns: &Map<String, Value>,
) -> Result<(Message, Place), Ended> {
    // The newer two take a list of requests for each table.
    let lists: Map<String, Value> =
        columns.iter().map(|(table, request)| (table.clone(), json!([request]))).collect();
    let unknown = |result: &Result<Message, ClientError>| {
        matches!(result, Err(ClientError::Refused { reason: Refusal::UnknownMethod, .. }))
    };

    let since = json!([DATABASE, MONITOR, lists, NO_TRANSACTION]);
    let result = client.request("monitor_cond_since", &since).await;
    if !unknown(&result) {
        // [whether it had that transaction, the last transaction, the rows]
        return Ok((result?, Place::item("result", 2)));
    }
    let result = client.request("monitor_cond", &json!([DATABASE, MONITOR, lists])).await;
    if !unknown(&result) {
        return Ok((result?, RESULT));
    }
    Ok((client.request("monitor", &json!([DATABASE, MONITOR, columns])).await?, RESULT))
}

/// Returns where in a notification table updates stand; `None` if it has none for us.
fn updates(notification: &Message) -> Result<Option<Place>, Ended> {
    let place = match notification.method() {
        Some("update" | "update2") => Place::item("params", 1),
        Some("update3") => Place::item("params", 2),
        Some("monitor_canceled") => return Err(Ended::Canceled),
        Some(_) | None => return Ok(None),
    };
    let monitor = notification.value(Place::item("params", 0))?;
    Ok(Some(place).filter(|_| monitor == MONITOR))
}

const RESULT: Place = Place::field("result");

const DATABASE: &str = "Open_vSwitch";

/// The name of our watch, which notifications repeat.
const MONITOR: &str = "leasehold";

/// The transaction that no database has: all rows are wanted.
const NO_TRANSACTION: &str = "00000000-0000-0000-0000-000000000000";

#[cfg(test)]
mod tests;
