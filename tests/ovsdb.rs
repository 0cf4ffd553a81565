//! The Open vSwitch source against a real `ovsdb-server`, as `ovs-vsctl` fills it.
//!
//! No switch runs here and no privilege is needed: the database is a file of this test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use leasehold::config::Source;
use leasehold::discovery::{
    Connector, Identity, IdentityTrace, Port, PortStatus, Preset, Seen, SourceEvent, SourceId,
    Surroundings, SwitchPort, Unidentified, spawn,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// A database server of this test's own; it ends with the test, however that ends.
struct Server {
    directory: TempDir,
    process: Child,
}

impl Server {
    fn start() -> Self {
        let directory = TempDir::new().unwrap();
        let database = directory.path().join("conf.db");
        run(Command::new("ovsdb-tool").arg("create").arg(&database).arg(SCHEMA));
        let process = Self::process(directory.path());
        Self { directory, process }
    }

    fn process(directory: &Path) -> Child {
        let option = |name: &str, file: &str| format!("{name}{}/{file}", directory.display());
        // The kernel ends it even if this process is killed.
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "ovsdb-server", "-vconsole:off"])
            .arg(option("--remote=punix:", "db.sock"))
            .arg(option("--unixctl=", "ctl"))
            .arg(directory.join("conf.db"))
            .stdin(Stdio::null())
            .spawn()
            .expect("setpriv and ovsdb-server run: Debian's openvswitch-switch has the latter")
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn restart(&mut self) {
        self.process = Self::process(self.directory.path());
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("db.sock")
    }

    /// Runs `ovs-vsctl`, whose arguments have no spaces, as one transaction.
    fn vsctl(&self, arguments: &str) {
        let db = format!("--db=unix:{}", self.socket().display());
        let mut command = Command::new("ovs-vsctl");
        command.args([&db, "--retry", "--timeout=30", "--no-wait"]);
        run(command.args(arguments.split_whitespace()));
    }

    /// Changes the database while no server runs.
    fn transact(&self, operation: &str) {
        let transaction = format!("[\"Open_vSwitch\", {operation}]");
        let database = self.directory.path().join("conf.db");
        run(Command::new("ovsdb-tool").arg("transact").arg(database).arg(transaction));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(command: &mut Command) {
    let output = command.output().expect("Open vSwitch's tools are installed");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A source, and what it tells.
struct Told(mpsc::Receiver<(SourceId, SourceEvent)>);

impl Told {
    fn by(server: &Server, bridges: &[&str], connector: Connector) -> Self {
        let (events, told) = mpsc::channel(16);
        let source = Source::Ovsdb {
            socket: server.socket(),
            bridges: bridges.iter().map(ToString::to_string).collect(),
            presets: vec![Preset::Libvirt, Preset::OpenStack],
        };
        spawn(SourceId(0), &source, Surroundings { rules: Arc::from([]), connector, events });
        Self(told)
    }

    async fn event(&mut self) -> SourceEvent {
        let event = timeout(Duration::from_secs(30), self.0.recv()).await;
        event.expect("an event comes within 30 s").expect("the source runs").1
    }

    /// Returns the next event that is not about the connection.
    async fn snapshot(&mut self) -> SourceEvent {
        loop {
            match self.event().await {
                SourceEvent::Down(_) => {}
                event => return event,
            }
        }
    }
}

/// Connects through a relay that spoils the names of requests, so that the server refuses them as
/// an older one would.
fn older(spoiled: &'static [&'static str]) -> Connector {
    Connector::new(move |path| {
        Box::pin(async move {
            let (ours, theirs) = UnixStream::pair()?;
            let (mut from_server, mut to_server) = UnixStream::connect(path).await?.into_split();
            let (mut from_client, mut to_client) = theirs.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                // The client writes a request at once, so that none is cut here.
                while from_client.read_buf(&mut bytes).await.unwrap_or(0) > 0 {
                    let mut text = String::from_utf8(std::mem::take(&mut bytes)).unwrap();
                    for method in spoiled {
                        text = text.replace(&format!("\"{method}\""), "\"spoiled\"");
                    }
                    to_server.write_all(text.as_bytes()).await.unwrap();
                }
            });
            ours.into_std()
        })
    })
}

fn port(interface: &str, external_ids: &[(&str, &str)]) -> Port {
    let reason = "no vm-id, vm-uuid in external_ids";
    Port {
        interface: interface.into(),
        identity: Err(Unidentified(reason.into())),
        mac: None,
        network: None,
        bridge: Some("br0".into()),
        tag: None,
        trunks: Vec::new(),
        is_trunk: false,
        external_ids: external_ids.iter().copied().collect(),
        status: PortStatus::Active,
        fault: None,
        switch: Some(SwitchPort::default()),
    }
}

fn identity(vm: &str, nic: &str, preset: &str) -> Result<Identity, Unidentified> {
    let key = if preset == "libvirt" { "vm-id" } else { "vm-uuid" };
    let mut saw = vec![(key, vm)];
    if nic != "default" {
        saw.push(("iface-id", nic));
    }
    let seen =
        |(key, value)| Seen { key: format!("external-ids:{key}"), value: String::from(value) };
    let saw = saw.into_iter().map(seen).collect();
    let (vm, nic) = (vm.parse().unwrap(), nic.parse().unwrap());
    Ok(Identity { vm, nic, trace: IdentityTrace { rule: format!("preset {preset}"), saw } })
}

/// Makes br0 with an uplink, a tunnel and a VM's port, and returns what is to be told of it.
fn fill(server: &Server) -> [Port; 2] {
    server.vsctl(
        "add-br br0 -- add-br br1 -- add-port br0 eth0 \
         -- add-port br0 gnv0 -- set Interface gnv0 type=geneve options:remote_ip=192.0.2.1 \
         -- add-port br0 vnet0 tag=5 \
         -- set Interface vnet0 external_ids:attached-mac=\"52:54:00:aa:bb:cc\" \
            external_ids:iface-id=nic-0 external_ids:vm-id=vm-0",
    );
    let ids = [("attached-mac", "52:54:00:aa:bb:cc"), ("iface-id", "nic-0"), ("vm-id", "vm-0")];
    let vnet0 = Port {
        identity: identity("vm-0", "nic-0", "libvirt"),
        mac: Some("52:54:00:aa:bb:cc".parse().unwrap()),
        tag: Some(5),
        ..port("vnet0", &ids)
    };
    [port("eth0", &[]), vnet0]
}

/// Checks that what administrators and their tools do to a port is told as it is.
async fn changes_are_told(connector: Connector) {
    let server = Server::start();
    let [eth0, mut vnet0] = fill(&server);
    let mut told = Told::by(&server, &[], connector);
    assert_eq!(told.event().await, SourceEvent::Snapshot(vec![eth0.into(), vnet0.clone().into()]));

    server.vsctl("set Interface vnet0 external_ids:vm-id=vm-1");
    vnet0.identity = identity("vm-1", "nic-0", "libvirt");
    vnet0.external_ids = vnet0.external_ids.iter().chain([("vm-id", "vm-1")]).collect();
    assert_eq!(told.event().await, SourceEvent::Changed(vnet0.clone().into()));

    server.vsctl(
        "remove Interface vnet0 external_ids vm-id \
         -- set Interface vnet0 external_ids:vm-uuid=vm-2",
    );
    vnet0.identity = identity("vm-2", "nic-0", "openstack");
    let kept = vnet0.external_ids.iter().filter(|(key, _)| *key != "vm-id");
    vnet0.external_ids = kept.chain([("vm-uuid", "vm-2")]).collect();
    assert_eq!(told.event().await, SourceEvent::Changed(vnet0.clone().into()));

    server.vsctl("clear Port vnet0 tag -- set Port vnet0 trunks=1,2,3");
    (vnet0.tag, vnet0.trunks, vnet0.is_trunk) = (None, vec![1, 2, 3], true);
    assert_eq!(told.event().await, SourceEvent::Changed(vnet0.clone().into()));
    server.vsctl("remove Port vnet0 trunks 1 2 -- add Port vnet0 trunks 4");
    vnet0.trunks = vec![3, 4];
    assert_eq!(told.event().await, SourceEvent::Changed(vnet0.clone().into()));

    // What changes nothing is not told: the next event is the one after it.
    server.vsctl("set Interface vnet0 mtu_request=1400 -- set Bridge br0 external_ids:a=b");
    server.vsctl("set Interface vnet0 external_ids:iface-status=inactive");
    vnet0.external_ids = vnet0.external_ids.iter().chain([("iface-status", "inactive")]).collect();
    vnet0.status = PortStatus::Inactive;
    assert_eq!(told.event().await, SourceEvent::Changed(vnet0.clone().into()));

    server.vsctl("set Interface vnet0 type=dpdkvhostuserclient");
    let reason = "interface type \"dpdkvhostuserclient\" has no network device";
    vnet0.status = PortStatus::NoDevice(reason.into());
    assert_eq!(told.event().await, SourceEvent::Changed(vnet0.clone().into()));

    // A port made anew on another bridge in one transaction is one change.
    server.vsctl(
        "del-port vnet0 -- add-port br1 vnet0 -- set Interface vnet0 external_ids:vm-id=vm-3",
    );
    let vnet0 = Port {
        identity: identity("vm-3", "default", "libvirt"),
        bridge: Some("br1".into()),
        ..port("vnet0", &[("vm-id", "vm-3")])
    };
    assert_eq!(told.event().await, SourceEvent::Changed(vnet0.into()));

    server.vsctl("add-bond br0 bond0 eth1 eth2");
    assert_eq!(told.event().await, SourceEvent::Changed(port("eth1", &[]).into()));
    assert_eq!(told.event().await, SourceEvent::Changed(port("eth2", &[]).into()));
    server.vsctl("del-br br1");
    assert_eq!(told.event().await, SourceEvent::Removed("vnet0".into()));
}

#[tokio::test]
async fn changes_are_told_with_update3() {
    changes_are_told(Connector::direct()).await;
}

#[tokio::test]
async fn changes_are_told_with_update2() {
    changes_are_told(older(&["monitor_cond_since"])).await;
}

#[tokio::test]
async fn changes_are_told_with_update() {
    changes_are_told(older(&["monitor_cond_since", "monitor_cond"])).await;
}

#[tokio::test]
async fn bridges_that_are_not_named_are_left_out() {
    let server = Server::start();
    let [eth0, vnet0] = fill(&server);
    server.vsctl("add-port br1 vnet1");
    let mut told = Told::by(&server, &["br0"], Connector::direct());
    assert_eq!(told.event().await, SourceEvent::Snapshot(vec![eth0.into(), vnet0.into()]));
    server.vsctl("add-port br1 vnet2");
    server.vsctl("add-port br0 vnet3");
    assert_eq!(told.event().await, SourceEvent::Changed(port("vnet3", &[]).into()));
}

#[tokio::test]
async fn a_server_that_restarts_is_found_again_and_told_anew() {
    let mut server = Server::start();
    let [eth0, mut vnet0] = fill(&server);
    let mut told = Told::by(&server, &[], Connector::direct());
    assert_eq!(
        told.event().await,
        SourceEvent::Snapshot(vec![eth0.clone().into(), vnet0.clone().into()])
    );

    server.stop();
    let SourceEvent::Down(reason) = told.event().await else { panic!("it was not noticed") };
    let expected = format!("{}: the server closed the connection", server.socket().display());
    assert_eq!(reason, expected);
    server.transact(
        r#"{"op": "update", "table": "Port", "row": {"tag": 6},
            "where": [["name", "==", "vnet0"]]}"#,
    );
    server.restart();
    vnet0.tag = Some(6);
    assert_eq!(
        told.snapshot().await,
        SourceEvent::Snapshot(vec![eth0.into(), vnet0.clone().into()])
    );

    server.vsctl("set Port vnet0 tag=7");
    vnet0.tag = Some(7);
    assert_eq!(told.event().await, SourceEvent::Changed(vnet0.into()));
}

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";
