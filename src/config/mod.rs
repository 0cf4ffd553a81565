//! TOML files to checked types, with every error found at once and named by file, line and column.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::discovery::{IdentityRule, Preset};
use crate::lease::{NetworkName, NicName, VmId};
use crate::network::Network;
use crate::wire::Mac;

/// Everything that the files say, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that was read.
    pub path: PathBuf,
    /// The server's DUID: a DUID-UUID made from `[deployment] name`.
    pub server_duid: [u8; 18],
    /// This node's name.
    pub node: String,
    /// `[store]`.
    pub store: Store,
    /// `[[source]]`, in file order.
    pub sources: Vec<Source>,
    /// `[[identity]]`, in file order.
    pub identity: Vec<IdentityRule>,
    /// Where metrics are served; `None`: nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// The control socket's path.
    pub control_socket: PathBuf,
    /// `[limits]`.
    pub limits: Limits,
    /// The networks, in file order.
    pub networks: Vec<Arc<Network>>,
    /// What is legal but likely not meant, one finished line each.
    pub warnings: Vec<String>,
}

/// `[store]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Store {
    /// SQLite in this directory.
    Embedded {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing is kept over a restart.
    Memory,
}

/// `[[source]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `kind = "ovsdb"`.
    Ovsdb {
        /// The database's unix socket.
        socket: PathBuf,
        /// The bridges whose ports are taken; empty: all.
        bridges: Vec<String>,
        /// The presets, in the order in which they are tried.
        presets: Vec<Preset>,
    },
    /// `kind = "static"`.
    Static {
        /// `[[source.port]]`, in file order.
        ports: Vec<StaticPort>,
    },
}

/// `[[source.port]]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticPort {
    /// The interface's name.
    pub interface: String,
    /// The VM behind it.
    pub vm: VmId,
    /// Which of its interfaces.
    pub nic: NicName,
    /// The only MAC that the guest may use.
    pub mac: Option<Mac>,
    /// The network; `None`: chosen by `[match]`.
    pub network: Option<NetworkName>,
}

/// `[limits]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Ports that are served at most.
    pub max_ports: usize,
    /// Frames a second for each port; 0: no limit.
    pub frames_per_second: u32,
    /// Frames that a port may send at once.
    pub burst: u32,
}

/// What is wrong with the files: one or more finished diagnostics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    /// One diagnostic each: `file:line:col: what is wrong; what would be right`.
    pub lines: Vec<String>,
}

/// Reads `path` and the networks that it names, and checks all of it.
///
/// # Errors
/// [`ConfigErrors`] with every fault that was found, in file and line order.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let _ = path;
    Err(ConfigErrors { lines: Vec::new() })
}
