//! The whole source against a server that is played here, step by step.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::framing::Framer;
use super::*;
use crate::discovery::Connector;

const BRIDGE: &str = "7c94c3a5-7663-4502-aa9a-485c3541226d";
const PORT: &str = "03390b5b-7acb-4024-a422-6934c1b1a06a";
const INTERFACE: &str = "75258e3c-f4f9-4c3b-ae40-c7ba7bc4e184";

/// The source's other side: where it connects to, and what it tells.
struct Other {
    accepted: mpsc::UnboundedReceiver<UnixStream>,
    events: mpsc::Receiver<(SourceId, SourceEvent)>,
    task: JoinHandle<()>,
}

/// Starts a source whose first `refusals` attempts to connect fail.
fn start(refusals: u32, probe: Duration) -> Other {
    let (accept, accepted) = mpsc::unbounded_channel();
    let (sender, events) = mpsc::channel(16);
    let refusals = Mutex::new(refusals);
    let connector = Connector::new(move |path| {
        assert_eq!(path, PathBuf::from("/db.sock"));
        let mut left = refusals.lock().unwrap();
        let stream = if *left > 0 {
            *left -= 1;
            Err(std::io::ErrorKind::ConnectionRefused.into())
        } else {
            let (ours, theirs) = UnixStream::pair().unwrap();
            accept.send(theirs).unwrap();
            ours.into_std()
        };
        async { stream }.boxed()
    });
    let settings = Settings {
        socket: "/db.sock".into(),
        bridges: Vec::new(),
        presets: vec![Preset::Libvirt],
        pace: Pace {
            probe,
            first_retry: Duration::from_millis(1),
            last_retry: Duration::from_millis(4),
        },
    };
    let surroundings = Surroundings { rules: Arc::from([]), connector, events: sender };
    let task = tokio::spawn(run(SourceId(1), settings, surroundings));
    Other { accepted, events, task }
}

impl Other {
    async fn accept(&mut self) -> Server {
        Server { stream: self.accepted.recv().await.unwrap(), framer: Framer::default() }
    }

    async fn event(&mut self) -> SourceEvent {
        let (id, event) = self.events.recv().await.unwrap();
        assert_eq!(id, SourceId(1));
        event
    }

    /// Returns interface, VM and tag of each port of a snapshot.
    async fn snapshot(&mut self) -> Vec<(String, String, Option<u16>)> {
        match self.event().await {
            SourceEvent::Snapshot(ports) => {
                let named = |port: &Arc<super::super::Port>| {
                    let vm = port.identity.as_ref().unwrap().vm.to_string();
                    (port.interface.clone(), vm, port.tag)
                };
                ports.iter().map(named).collect()
            }
            other => panic!("no snapshot: {other:?}"),
        }
    }
}

struct Server {
    stream: UnixStream,
    framer: Framer,
}

impl Server {
    async fn hear(&mut self) -> Value {
        loop {
            if let Some(object) = self.framer.next().unwrap() {
                return serde_json::from_slice(&object).unwrap();
            }
            assert_ne!(self.stream.read_buf(self.framer.buffer()).await.unwrap(), 0);
        }
    }

    async fn say(&mut self, message: Value) {
        self.stream.write_all(message.to_string().as_bytes()).await.unwrap();
    }

    /// Hears one request of this method, and gives its parameters and id.
    async fn asked(&mut self, method: &str) -> (Value, Value) {
        let request = self.hear().await;
        assert_eq!(request["method"], method);
        (request["params"].clone(), request["id"].clone())
    }

    async fn answer(&mut self, method: &str, result: Value) -> Value {
        let (params, id) = self.asked(method).await;
        self.say(json!({"id": id, "result": result, "error": null})).await;
        params
    }

    async fn refuse(&mut self, method: &str) {
        let (_, id) = self.asked(method).await;
        self.say(json!({"id": id, "error": "unknown method"})).await;
    }

    /// Plays the start of a connection to a new server that has these rows.
    async fn start(&mut self, rows: Value) {
        self.answer("get_schema", schema()).await;
        self.answer("monitor_cond_since", json!([false, NO_TRANSACTION, rows])).await;
    }
}

/// A schema that lacks one of the optional columns.
fn schema() -> Value {
    json!({"tables": {
        "Bridge": {"columns": {"name": {}, "ports": {}}},
        "Port": {"columns": {"name": {}, "interfaces": {}, "tag": {}, "trunks": {},
            "vlan_mode": {}, "external_ids": {}, "other_config": {}}},
        "Interface": {"columns": {"name": {}, "type": {}, "external_ids": {}}},
    }})
}

/// One port; `kind` is how this server calls a row that was there at the start.
fn rows(kind: &str, vm: &str) -> Value {
    json!({
        "Bridge": {BRIDGE: {kind: {"name": "br0", "ports": ["uuid", PORT]}}},
        "Port": {PORT: {kind: {"name": "vnet0", "interfaces": ["uuid", INTERFACE], "tag": 5}}},
        "Interface": {INTERFACE: {kind: {"name": "vnet0", "type": "",
            "external_ids": ["map", [["vm-id", vm]]]}}},
    })
}

fn vnet0(vm: &str, tag: u16) -> Vec<(String, String, Option<u16>)> {
    vec![("vnet0".into(), vm.into(), Some(tag))]
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_new_server_is_watched_by_monitor_cond_since() {
    let mut other = start(0, LONG);
    let mut server = other.accept().await;
    assert_eq!(server.answer("get_schema", schema()).await, json!(["Open_vSwitch"]));
    let result = json!([false, NO_TRANSACTION, rows("initial", "a")]);
    let expected = json!(["Open_vSwitch", "leasehold", {
        "Bridge": [{"columns": ["name", "ports"]}],
        "Port": [{"columns": ["name", "interfaces", "tag", "trunks", "external_ids", "vlan_mode",
            "other_config"]}],
        "Interface": [{"columns": ["name", "type", "external_ids"]}],
    }, NO_TRANSACTION]);
    assert_eq!(server.answer("monitor_cond_since", result).await, expected);
    assert_eq!(other.snapshot().await, vnet0("a", 5));

    let edit = json!({"Port": {PORT: {"modify": {"tag": 6}}}});
    // Somebody else's watch, then ours.
    for (monitor, edit) in [("x", rows("delete", "a")), ("leasehold", edit)] {
        let params = json!([monitor, NO_TRANSACTION, edit]);
        server.say(json!({"id": null, "method": "update3", "params": params})).await;
    }
    let event = other.event().await;
    assert!(matches!(&event, SourceEvent::Changed(port) if port.tag == Some(6)), "{event:?}");
}

#[tokio::test]
async fn older_servers_are_watched_by_what_they_have() {
    for newest in ["monitor_cond", "monitor"] {
        let mut other = start(0, LONG);
        let mut server = other.accept().await;
        server.answer("get_schema", schema()).await;
        server.refuse("monitor_cond_since").await;
        let (method, edit) = if newest == "monitor_cond" {
            let params = server.answer("monitor_cond", rows("initial", "a")).await;
            assert_eq!(params[2]["Bridge"], json!([{"columns": ["name", "ports"]}]));
            ("update2", json!({"modify": {"tag": 6}}))
        } else {
            server.refuse("monitor_cond").await;
            let params = server.answer("monitor", rows("new", "a")).await;
            assert_eq!(params[2]["Bridge"], json!({"columns": ["name", "ports"]}));
            let new = json!({"name": "vnet0", "interfaces": ["uuid", INTERFACE], "tag": 6,
                "trunks": ["set", []], "vlan_mode": ["set", []],
                "external_ids": ["map", []], "other_config": ["map", []]});
            ("update", json!({"old": {"tag": 5}, "new": new}))
        };
        assert_eq!(other.snapshot().await, vnet0("a", 5), "{newest}");
        let params = json!(["leasehold", {"Port": {PORT: edit}}]);
        server.say(json!({"id": null, "method": method, "params": params})).await;
        let event = other.event().await;
        assert!(matches!(&event, SourceEvent::Changed(port) if port.tag == Some(6)), "{event:?}");
    }
}

#[tokio::test]
async fn a_lost_connection_is_told_once_and_made_again_with_a_new_snapshot() {
    let mut other = start(3, LONG);
    // Three refusals for one reason are one event.
    let down = "/db.sock: connecting to the server: connection refused; \
        is ovsdb-server running, and may leasehold open its socket?";
    assert_eq!(other.event().await, SourceEvent::Down(down.into()));
    let mut server = other.accept().await;
    server.start(rows("initial", "a")).await;
    assert_eq!(other.snapshot().await, vnet0("a", 5));

    for _ in 0..2 {
        drop(server);
        let down = "/db.sock: the server closed the connection";
        assert_eq!(other.event().await, SourceEvent::Down(down.into()));
        server = other.accept().await;
        server.start(rows("initial", "b")).await;
        assert_eq!(other.snapshot().await, vnet0("b", 5));
    }
}

#[tokio::test]
async fn a_hung_server_is_left_and_tried_again() {
    let mut other = start(0, Duration::from_millis(250));
    let mut server = other.accept().await;
    server.start(rows("initial", "a")).await;
    assert_eq!(other.snapshot().await, vnet0("a", 5));
    let down = "/db.sock: the server did not answer for 0.5 s";
    assert_eq!(other.event().await, SourceEvent::Down(down.into()));
    other.accept().await;
}

#[tokio::test]
async fn a_watch_that_the_server_stops_is_started_anew() {
    let mut other = start(0, LONG);
    let mut server = other.accept().await;
    server.start(rows("initial", "a")).await;
    other.snapshot().await;
    server.say(json!({"id": null, "method": "monitor_canceled", "params": ["leasehold"]})).await;
    assert!(matches!(other.event().await, SourceEvent::Down(_)));
    other.accept().await.start(rows("initial", "c")).await;
    assert_eq!(other.snapshot().await, vnet0("c", 5));
}

#[tokio::test]
async fn a_database_that_is_not_open_vswitchs_is_named_as_such() {
    let mut other = start(0, LONG);
    let mut server = other.accept().await;
    server.answer("get_schema", json!({"tables": {"Bridge": {"columns": {"name": {}}}}})).await;
    let down = "/db.sock: the database has no column ports in table Bridge; is it Open vSwitch's?";
    assert_eq!(other.event().await, SourceEvent::Down(down.into()));
}

#[tokio::test]
async fn the_task_ends_when_nobody_listens() {
    let mut other = start(0, LONG);
    let mut server = other.accept().await;
    server.start(rows("initial", "a")).await;
    other.snapshot().await;
    drop(other.events);
    other.task.await.unwrap();
}

#[test]
fn the_wait_doubles_up_to_its_limit_and_a_quarter() {
    let pace = Pace::default();
    for (failures, least) in [(0, 100), (1, 200), (4, 1600), (5, 2000), (40, 2000)] {
        let (least, delay) = (Duration::from_millis(least), pace.delay(SourceId(0), failures));
        assert!(delay >= least && delay <= least + least / 4, "{failures}: {delay:?}");
    }
}
