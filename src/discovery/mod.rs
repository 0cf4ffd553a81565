//! Where ports come from: one file a source, and the rules that name the VM behind a port.
//!
//! A source says what ports there are and what is written about them; it does not know networks,
//! leases or sockets. It first gives a full snapshot, then changes. Retry and backoff after a lost
//! connection belong to the source; what it last said stays valid until it says otherwise.

mod external_ids;
mod fixed;
mod identity;
mod netdev;
mod ovsdb;

pub use external_ids::ExternalIds;
pub use fixed::snapshot as static_ports;
pub use identity::{Evidence, Field, IdentityRule, Preset, identify};

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::config;
use crate::lease::{NetworkName, NicName, VmId};
use crate::wire::Mac;

/// Starts the task of one source; it must be called inside a tokio runtime.
///
/// The task ends when it has nothing more to say (a static source after its snapshot), when the
/// receiver of its events is gone, or when it is aborted.
pub fn spawn(id: SourceId, config: &config::Source, surroundings: Surroundings) -> JoinHandle<()> {
    match config {
        config::Source::Static { ports } => {
            tokio::spawn(fixed::run(id, fixed::snapshot(ports), surroundings.events))
        }
        config::Source::Netdev { globs, vm } => {
            let (globs, vm) = (globs.clone(), vm.clone());
            let selection = netdev::Selection { globs, vm, rules: surroundings.rules };
            tokio::spawn(netdev::run(id, selection, surroundings.events))
        }
        config::Source::Ovsdb { socket, bridges, presets } => {
            let settings = ovsdb::Settings {
                socket: socket.clone(),
                bridges: bridges.clone(),
                presets: presets.clone(),
                pace: ovsdb::Pace::default(),
            };
            tokio::spawn(ovsdb::run(id, settings, surroundings))
        }
    }
}

/// Which `[[source]]` of the file it is, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub usize);

/// What a source needs from the daemon.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// `[[identity]]`, in file order.
    pub rules: Arc<[IdentityRule]>,
    /// How it reaches a unix socket.
    pub connector: Connector,
    /// Where it says what it sees.
    pub events: mpsc::Sender<(SourceId, SourceEvent)>,
}

/// Opens a connection to a unix socket: by itself, or through the process that may.
#[derive(Clone)]
pub struct Connector(Arc<Connect>);

type Connect = dyn Fn(PathBuf) -> BoxFuture<'static, io::Result<UnixStream>> + Send + Sync;

impl Connector {
    /// Makes a connector of a function.
    pub fn new<F>(connect: F) -> Self
    where
        F: Fn(PathBuf) -> BoxFuture<'static, io::Result<UnixStream>> + Send + Sync + 'static,
    {
        Self(Arc::new(connect))
    }

    /// Connects with this process's own rights.
    #[must_use]
    pub fn direct() -> Self {
        Self::new(|path| {
            Box::pin(async { tokio::net::UnixStream::connect(path).await?.into_std() })
        })
    }

    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// What the connection attempt failed with.
    pub async fn connect(&self, path: PathBuf) -> io::Result<tokio::net::UnixStream> {
        let stream = (self.0)(path).await?;
        stream.set_nonblocking(true)?;
        tokio::net::UnixStream::from_std(stream)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

/// What a source knows of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The interface's name on this node.
    pub interface: String,
    /// The VM and NIC behind it, or why none could be named.
    pub identity: Result<Identity, Unidentified>,
    /// The guest's MAC, if the source knows it.
    pub mac: Option<Mac>,
    /// The network that the source itself names (static ports only); else `[match]` chooses.
    pub network: Option<NetworkName>,
    /// The bridge that the port is on.
    pub bridge: Option<String>,
    /// The VLAN tag of an access port.
    pub tag: Option<u16>,
    /// The VLAN ids of a trunk port; empty: not a trunk, or a trunk of all.
    pub trunks: Vec<u16>,
    /// Whether the port carries tagged frames.
    pub is_trunk: bool,
    /// External ids of the interface's row, for `[match]`; the port row's where it has none.
    pub external_ids: ExternalIds,
    /// Whether the port may be answered at all.
    pub status: PortStatus,
    /// Why the switch could not take the port in, in its own words, escaped and cut.
    pub fault: Option<String>,
    /// Where the port is on Open vSwitch, if it is an ovsdb source's.
    pub switch: Option<SwitchPort>,
}

/// Where a port is on Open vSwitch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwitchPort {
    /// What forwards its frames.
    pub datapath: Datapath,
    /// Why the bridge's flows are somebody's own, in words; `None`: they are nobody's.
    pub flow_owner: Option<String>,
    /// The port's OpenFlow number, once it has one.
    pub ofport: Option<u16>,
}

/// What forwards a bridge's frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Datapath {
    /// The kernel's module.
    #[default]
    Kernel,
    /// ovs-vswitchd itself, which reads the port's frames beside the kernel.
    Userspace,
}

impl Port {
    /// Makes an untagged port in use, of which nothing more is known than who is behind it.
    #[must_use]
    pub fn new(interface: String, identity: Result<Identity, Unidentified>) -> Self {
        Self {
            interface,
            identity,
            mac: None,
            network: None,
            bridge: None,
            tag: None,
            trunks: Vec::new(),
            is_trunk: false,
            external_ids: ExternalIds::default(),
            status: PortStatus::Active,
            fault: None,
            switch: None,
        }
    }
}

/// Who is behind a port, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The VM.
    pub vm: VmId,
    /// Which of its interfaces.
    pub nic: NicName,
    /// How it is known, for `explain`.
    pub trace: IdentityTrace,
}

/// Which rule named a VM, and what it went by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityTrace {
    /// The rule: `preset libvirt`, `[[identity]] 2`, `static`.
    pub rule: String,
    /// The values that it saw, in the order in which it looked.
    pub saw: Vec<Seen>,
}

/// One value that a rule saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Where it stands, as the file's `from` writes it: `external-ids:vm-id`, `interface`.
    pub key: String,
    /// What stands there, escaped and cut: fit for a terminal.
    pub value: String,
}

impl IdentityTrace {
    /// Makes the trace of a rule that looked at nothing.
    #[must_use]
    pub const fn of(rule: String) -> Self {
        Self { rule, saw: Vec::new() }
    }
}

/// Why no VM could be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unidentified(pub String);

/// Whether the source lets a port be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortStatus {
    /// It is in use.
    Active,
    /// Its row says `iface-status=inactive`: another node has the VM.
    Inactive,
    /// There is no network device behind it, and why: vhost-user, VFIO.
    NoDevice(String),
}

/// What a source tells the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceEvent {
    /// Everything that the source has, after a start or a reconnect; replaces what it said before.
    Snapshot(Vec<Arc<Port>>),
    /// One port is new or has changed.
    Changed(Arc<Port>),
    /// One port is gone.
    Removed(String),
    /// The source lost its connection, and why; its ports stay as they were.
    Down(String),
}
