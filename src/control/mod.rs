//! What the command line and the daemon say to each other over the control socket.
//!
//! One JSON object a line: a [`Request`] in, one [`Answer`] out, then the connection ends. The
//! types of the listings are what `--json` prints, field for field.

mod explain;
mod plan;
mod watch;

pub use explain::{
    AddressOrigin, Claim, Condition, Decoded, Explanation, Field, Identified, NetworkFit, Past,
    Probed, SeenValue,
};
pub use plan::{PlanOutcome, PortChange, ValueChange};
pub use watch::{WatchEvent, Watched, WatchedFrame};

use serde::{Deserialize, Serialize};

use crate::lease::{Edit, Lease};
use crate::outcome::{Message, Protocol};

/// What a client asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Request {
    /// Lists the ports.
    Ports,
    /// Lists the leases.
    Leases,
    /// Tells how the daemon is.
    Status,
    /// Reads the files anew.
    Reload,
    /// Tells everything about one port, or about the ports of one VM.
    Explain {
        /// The interface's name, or the VM's.
        subject: String,
    },
    /// Tells what reading the files anew would change, and changes nothing.
    Plan,
    /// Tells every exchange from now on, until one of both goes. Answered by many lines.
    Watch {
        /// This interface only.
        port: Option<String>,
        /// The ports of this VM only.
        vm: Option<String>,
        /// Whether the frames are wanted too.
        frames: bool,
    },
    /// Changes the lease table; answered once the store has it.
    Edit {
        /// All of them happen, or none.
        edits: Vec<Edit>,
        /// Whether a lease that a port serves may go.
        force: bool,
    },
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Request::Ports`].
    Ports(Vec<PortRow>),
    /// To [`Request::Leases`].
    Leases(Vec<LeaseRow>),
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Reload`].
    Reload(ReloadOutcome),
    /// To [`Request::Explain`]; empty: no such port or VM.
    Explain(Vec<Explanation>),
    /// To [`Request::Plan`].
    Plan(PlanOutcome),
    /// To [`Request::Watch`], again and again.
    Watch(WatchEvent),
    /// To [`Request::Edit`]: how many leases changed, or everything that stands against it.
    Edited(Result<usize, Vec<String>>),
    /// To [`Request::Edit`]: the store could not be read or written; what became of the edit.
    StoreFailed(String),
    /// The request could not be read, or not be met.
    Error(String),
}

/// One port, as `ports` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PortRow {
    /// The interface's name.
    pub interface: String,
    /// The VM behind it, if one could be named.
    pub vm: Option<String>,
    /// Which of the VM's interfaces.
    pub nic: Option<String>,
    /// The network that was chosen.
    pub network: Option<String>,
    /// The guest's MAC: the source's word, else the last one heard.
    pub mac: Option<String>,
    /// The leased IPv4 address.
    pub ipv4: Option<String>,
    /// The leased IPv6 address.
    pub ipv6: Option<String>,
    /// The prefix that is delegated to the VM.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The leased host name.
    pub hostname: Option<String>,
    /// What is being done for the port.
    pub state: PortState,
    /// Why, in words, where the state is not `serving`.
    pub reason: Option<String>,
    /// The last frame that was answered or noted.
    pub last_exchange: Option<Exchange>,
}

/// What is being done for a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PortState {
    /// The guest is answered.
    Serving,
    /// No rule named a VM.
    Unidentified,
    /// No network fits, or two do.
    NoNetwork,
    /// There is no address to give, or none that is durable yet.
    NoAddress,
    /// The row says that the VM is on another node.
    Inactive,
    /// There is no network device of that name on this node.
    NoDevice,
}

impl PortState {
    /// Every state, in the order of declaration.
    pub const ALL: [Self; 6] = [
        Self::Serving,
        Self::Unidentified,
        Self::NoNetwork,
        Self::NoAddress,
        Self::Inactive,
        Self::NoDevice,
    ];

    /// Returns the word that listings and the label `state` use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Unidentified => "unidentified",
            Self::NoNetwork => "no-network",
            Self::NoAddress => "no-address",
            Self::Inactive => "inactive",
            Self::NoDevice => "no-device",
        }
    }
}

/// One frame that was answered or noted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Exchange {
    /// When, as RFC 3339.
    pub at: String,
    /// The protocol.
    pub protocol: String,
    /// What the guest sent.
    pub message: String,
    /// What became of it: the reply's type, a note, or a drop reason.
    pub outcome: String,
}

impl Exchange {
    /// Puts an exchange into words.
    #[must_use]
    pub fn new(at: String, protocol: Protocol, message: Message, outcome: &str) -> Self {
        Self {
            at,
            protocol: protocol.as_str().to_owned(),
            message: message.as_str().to_owned(),
            outcome: outcome.to_owned(),
        }
    }
}

/// One lease, as `leases` lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LeaseRow {
    /// The network.
    pub network: String,
    /// The VM.
    pub vm: String,
    /// Which of its interfaces.
    pub nic: String,
    /// The IPv4 address.
    pub ipv4: Option<String>,
    /// The IPv6 address.
    pub ipv6: Option<String>,
    /// The delegated prefix.
    pub prefix: Option<String>,
    /// The host name.
    pub hostname: Option<String>,
    /// When the lease was made, as RFC 3339.
    pub created: String,
    /// The node where the guest was heard last.
    pub node: String,
    /// When it came to a port there, as RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived: Option<String>,
    /// When the guest was last heard, as RFC 3339.
    pub last_seen: Option<String>,
    /// Whether the guest found an address in use.
    pub conflict: bool,
    /// Addresses that the guest made for itself and registered with this node (RFC 9686).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub registered: Vec<RegisteredRow>,
}

/// One address that a guest made for itself, with the seconds that are left of its lifetimes;
/// `None`: for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct RegisteredRow {
    /// The address.
    pub address: String,
    /// How long it is preferred.
    pub preferred: Option<u64>,
    /// How long it is valid.
    pub valid: Option<u64>,
}

impl From<&Lease> for LeaseRow {
    fn from(lease: &Lease) -> Self {
        Self {
            network: lease.key.network.to_string(),
            vm: lease.key.vm.to_string(),
            nic: lease.key.nic.to_string(),
            ipv4: lease.ipv4.map(|address| address.to_string()),
            ipv6: lease.ipv6.map(|address| address.to_string()),
            prefix: lease.prefix.map(|prefix| prefix.to_string()),
            hostname: lease.hostname.clone(),
            created: lease.created.to_rfc3339(),
            node: lease.node.clone(),
            arrived: lease.arrived.map(|wall| wall.to_rfc3339()),
            last_seen: lease.last_seen.map(|wall| wall.to_rfc3339()),
            conflict: lease.conflict,
            registered: Vec::new(),
        }
    }
}

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// This node's name.
    pub node: String,
    /// The configuration file.
    pub config: String,
    /// Seconds since the daemon started.
    pub uptime_seconds: u64,
    /// Whether every source has given its first snapshot.
    pub ready: bool,
    /// The lease store.
    pub store: StoreStatus,
    /// The sources, in file order.
    pub sources: Vec<SourceStatus>,
    /// Ports by state; states without a port are left out.
    pub ports: Vec<Count>,
    /// How many leases there are.
    pub leases: usize,
    /// Frames answered, by protocol and reply.
    pub replies: Vec<Count>,
    /// Frames not answered, by protocol and reason.
    pub drops: Vec<Count>,
    /// From how many ports requests are taken away, and why not from others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consume: Vec<String>,
    /// What the last reload said, if it failed.
    pub reload_error: Option<String>,
}

/// How the lease store is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoreStatus {
    /// The backend's name and place.
    pub backend: String,
    /// Whether the last write went through.
    pub up: bool,
    /// What is wrong, if something is.
    pub error: Option<String>,
    /// Leases that wait to be made durable.
    pub waiting: usize,
}

/// How one source is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SourceStatus {
    /// Its kind and place.
    pub name: String,
    /// Whether it is connected.
    pub up: bool,
    /// How many ports it names.
    pub ports: usize,
    /// What is wrong, if something is.
    pub error: Option<String>,
}

/// A name with a count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Count {
    /// What is counted.
    pub name: String,
    /// How many.
    pub count: u64,
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReloadOutcome {
    /// Whether the files are in force now.
    pub successful: bool,
    /// What was done, or every diagnostic; one line each.
    pub lines: Vec<String>,
}
