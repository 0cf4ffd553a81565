//! TOML files to checked types, with every error found at once and named by file, line and column.

mod between;
mod boot;
mod daemon_file;
mod defaults;
mod delegation;
mod diagnostics;
mod ipv4;
mod ipv6;
mod locate;
mod network_file;
mod option;
mod option_kind;
mod option_names;
mod option_names_v6;
mod option_text;
mod section;
mod services;
mod store;
mod values;
mod vm;

pub use daemon_file::{CONTROL_SOCKET, server_duid};
pub use defaults::explain_defaults;
pub use diagnostics::{Colors, ConfigErrors};
pub use locate::{Step, locate};
pub use option_text::{domains, option_name, option_text};
pub use values::duration;

use std::ffi::OsStr;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::diagnostics::File;
use self::network_file::NetworkFile;
use crate::discovery::{IdentityRule, Preset};
use crate::lease::{NetworkName, NicName, VmId};
use crate::network::Network;
use crate::wire::Mac;

/// Everything that the files say, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that was read.
    pub path: PathBuf,
    /// The directory that the networks were read from.
    pub networks_dir: PathBuf,
    /// `[deployment] name`: the same on every node.
    pub deployment: String,
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
    /// The networks, in the order of their files' names.
    pub networks: Vec<Arc<Network>>,
    /// The file that each network was read from, in the order of `networks`.
    pub network_files: Vec<PathBuf>,
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
    /// etcd, which nodes share.
    Etcd {
        /// The directory of this node's copy.
        path: PathBuf,
        /// How etcd is reached.
        etcd: Etcd,
    },
    /// Nothing is kept over a restart.
    Memory,
}

/// `[store.etcd]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etcd {
    /// URLs of members, at least one.
    pub endpoints: Vec<String>,
    /// What every key begins with.
    pub prefix: String,
    /// Certificates of those who sign the members', PEM.
    pub ca_file: Option<PathBuf>,
    /// This client's certificate, PEM; with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub key_file: Option<PathBuf>,
    /// The etcd user; with `password_file`.
    pub username: Option<String>,
    /// A file with nothing but the user's password.
    pub password_file: Option<PathBuf>,
}

impl Store {
    /// Returns the backend's name, as the file has it.
    #[must_use]
    pub const fn backend(&self) -> &'static str {
        match self {
            Self::Embedded { .. } => "embedded",
            Self::Etcd { .. } => "etcd",
            Self::Memory => "memory",
        }
    }
}

impl fmt::Display for Store {
    /// Writes backend and place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded { path } => write!(f, "{} {}", self.backend(), path.display()),
            Self::Etcd { path, etcd } => {
                let endpoints = etcd.endpoints.join(" ");
                write!(f, "{} {endpoints}, copy in {}", self.backend(), path.display())
            }
            Self::Memory => f.write_str(self.backend()),
        }
    }
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
    /// `kind = "netdev"`.
    Netdev {
        /// Globs over the interface's name.
        globs: Vec<String>,
        /// The VM, with `{interface}` for the name.
        vm: String,
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

impl fmt::Display for Source {
    /// Writes kind and place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ovsdb { socket, .. } => write!(f, "ovsdb {}", socket.display()),
            Self::Netdev { globs, .. } => write!(f, "netdev {}", globs.join(" ")),
            Self::Static { .. } => f.write_str("static"),
        }
    }
}

impl Config {
    /// Returns the database sockets of the `ovsdb` sources, in file order, each once.
    #[must_use]
    pub fn ovsdb_sockets(&self) -> Vec<PathBuf> {
        let mut sockets = Vec::new();
        for source in &self.sources {
            match source {
                Source::Ovsdb { socket, .. } if !sockets.contains(socket) => {
                    sockets.push(socket.clone());
                }
                Source::Ovsdb { .. } | Source::Netdev { .. } | Source::Static { .. } => {}
            }
        }
        sockets
    }
}

/// Reads `path` and the networks that it names, and checks all of it.
///
/// # Errors
/// [`ConfigErrors`] with every fault that was found, in file and line order.
pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
    let file = File::read(path)?;
    let Some(daemon) = daemon_file::read(&file, path) else {
        return Err(file.errors());
    };
    let mut unreadable = ConfigErrors::none();
    let networks = read_networks(&file, &daemon.networks_dir, &mut unreadable);
    between::check(&networks);
    // A file that could not be read may hold the network that a port names.
    if unreadable.lines.is_empty() {
        between::check_names(&file, &daemon.named_networks, &networks);
    }
    if daemon.match_decides {
        between::warn_of_matches(&networks);
    }
    let mut errors = file.errors();
    errors.extend(unreadable);
    for (file, _) in &networks {
        errors.extend(file.errors());
    }
    if !errors.lines.is_empty() {
        return Err(errors);
    }
    let mut warnings = file.warnings();
    warnings.extend(networks.iter().flat_map(|(file, _)| file.warnings()));
    let (network_files, networks) = networks
        .into_iter()
        .filter_map(|(file, network)| {
            Some((PathBuf::from(file.name()), Arc::new(network?.network)))
        })
        .unzip();
    Ok(Config {
        path: path.to_owned(),
        networks_dir: daemon.networks_dir,
        server_duid: server_duid(&daemon.deployment),
        deployment: daemon.deployment,
        node: daemon.node,
        store: daemon.store,
        sources: daemon.sources,
        identity: daemon.identity,
        metrics_listen: daemon.metrics_listen,
        control_socket: daemon.control_socket,
        limits: daemon.limits,
        networks,
        network_files,
        warnings,
    })
}

/// Finds the control socket in a file whose other parts may be broken; `None`: it names none.
#[must_use]
pub fn control_socket_of(path: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(path).ok()?;
    daemon_file::control_socket(&text, path)
}

/// Reads every network file; what cannot be read goes to `unreadable`.
fn read_networks(
    daemon: &File,
    dir: &Path,
    unreadable: &mut ConfigErrors,
) -> Vec<(File, Option<NetworkFile>)> {
    let paths = match network_paths(dir) {
        Ok(paths) => paths,
        Err(error) => {
            unreadable.extend(error);
            return Vec::new();
        }
    };
    if paths.is_empty() {
        daemon.warn(
            0..0,
            format!(
                "{} has no network files; nothing is served until there is one, named *.toml",
                dir.display()
            ),
        );
    }
    let mut networks = Vec::new();
    for path in paths {
        match File::read(&path) {
            Ok(file) => {
                let network = network_file::read(&file);
                networks.push((file, network));
            }
            Err(error) => unreadable.extend(error),
        }
    }
    networks
}

/// Lists the network files, in name order; hidden ones are an editor's.
fn network_paths(dir: &Path) -> Result<Vec<PathBuf>, ConfigErrors> {
    let failed = |error: std::io::Error| {
        ConfigErrors::unreadable(format!(
            "{}: reading the networks' directory failed: {}; create it, or set networks-dir",
            dir.display(),
            diagnostics::reason(&error)
        ))
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension() == Some(OsStr::new("toml")) && !hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Notes every place where the text is not TOML; `None` if there is one.
fn note_syntax(file: &File, faults: &[toml::de::Error]) -> Option<()> {
    for fault in faults {
        let message = fault.message().replace('\n', ", ");
        let right = match message.as_str() {
            "duplicate key" => "keep one of the two",
            _ => "correct it here or just before",
        };
        file.error(fault.span().unwrap_or(0..0), format!("not valid TOML: {message}; {right}"));
    }
    faults.is_empty().then_some(())
}

#[cfg(test)]
mod tests;
