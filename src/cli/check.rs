//! `leasehold check`: validates all files.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use super::{ExitStatus, Failure, against, client, counted, leases, print};
use crate::config::{self, Colors, Config, Store};
use crate::control::{Answer, Request};
use crate::lease::LeaseTable;
use crate::network::Network;
use crate::store;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Print every value that is in force, whether given or a default
    #[arg(long)]
    explain_defaults: bool,
    /// Compare with another node's files: name what would break a migration between the two
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
}

pub(super) fn check(path: &Path, options: &Options) -> Result<(), Failure> {
    let config = load(path)?;
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
    if options.explain_defaults {
        return print(&config::explain_defaults(&config));
    }
    if let Some(other) = &options.against {
        return against::against(&config, other);
    }
    let networks = counted(config.networks.len(), "network");
    let sources = counted(config.sources.len(), "source");
    let warnings = match config.warnings.len() {
        0 => String::new(),
        some => format!(", {}", counted(some, "warning")),
    };
    let note = several_nodes(&config).unwrap_or_default();
    let leases = outside_ranges(&config);
    print(&format!("{}: ok, {networks}, {sources}{warnings}\n{note}{leases}", path.display()))
}

/// Names the leases that the ranges have left behind: of the daemon's, or of its store where none
/// runs.
fn outside_ranges(config: &Config) -> String {
    let leases = match client::ask(&config.control_socket, &Request::Leases) {
        Ok(Answer::Leases(rows)) => Ok(leases::stored(rows)),
        Ok(_) => return String::new(),
        Err(error) if error.code == ExitStatus::Unavailable => match store::peek(&config.store) {
            Some(found) => found,
            None => return String::new(),
        },
        Err(error) => Err(error.text),
    };
    let lines = match leases {
        Ok(leases) => {
            let (table, _) = LeaseTable::load(leases);
            table.name_outside_ranges(&config.networks, NAMED)
        }
        Err(error) => vec![format!("the leases were not looked at: {error}")],
    };
    lines.into_iter().map(|line| format!("note: {line}\n")).collect()
}

/// Says what holds where several nodes have such files; `None`: there is nothing to mind.
fn several_nodes(config: &Config) -> Option<String> {
    match &config.store {
        Store::Embedded { .. } | Store::Memory => {}
        Store::Etcd { .. } => return None,
    }
    let has_ranges = |network: &Network| {
        network.ipv4.as_ref().is_some_and(|ipv4| !ipv4.pool.ranges.is_empty())
            || network.ipv6.as_ref().is_some_and(|ipv6| !ipv6.pool.ranges.is_empty())
    };
    config.networks.iter().any(|network| has_ranges(network)).then(|| {
        format!(
            "note: leases of backend {:?} are this node's alone; if there are several nodes, give \
             each its own ranges, and reserve what a VM must keep over a migration\n",
            config.store.backend()
        )
    })
}

/// Reads the files, or says everything that is wrong with them.
pub(super) fn load(path: &Path) -> Result<Config, Failure> {
    config::load(path).map_err(|errors| {
        // A person is shown the place as well; a program gets one line a fault.
        let wants_colors = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let text = match (std::io::stderr().is_terminal(), wants_colors) {
            (true, true) => errors.render(Colors::On),
            (true, false) => errors.render(Colors::Off),
            (false, _) => errors.to_string(),
        };
        Failure::new(ExitStatus::Config, text)
    })
}

/// How many leases of one network are named for lying outside its ranges.
const NAMED: usize = 10;
