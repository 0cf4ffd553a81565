//! `leasehold reload`: as SIGHUP, and prints the outcome.

use std::path::Path;

use super::{ExitStatus, Failure, check, client, print};
use crate::config::{self, Config};
use crate::control::{Answer, Request};

pub(super) fn reload(config: &Path) -> Result<(), Failure> {
    let socket = control_socket(config)?;
    match client::ask(&socket, &Request::Reload)? {
        Answer::Reload(outcome) => {
            let lines: String = outcome.lines.iter().map(|line| format!("{line}\n")).collect();
            if outcome.successful {
                print(&lines)
            } else {
                Err(Failure::new(ExitStatus::Config, lines))
            }
        }
        other => Err(client::unexpected(other)),
    }
}

/// Finds the daemon even when the files are broken now: its answer is what the admin wants then.
fn control_socket(path: &Path) -> Result<std::path::PathBuf, Failure> {
    match config::load(path) {
        Ok(Config { control_socket, .. }) => Ok(control_socket),
        Err(_) => config::control_socket_of(path)
            .map_or_else(|| check::load(path).map(|c| c.control_socket), Ok),
    }
}
