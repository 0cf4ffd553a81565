//! `leasehold reload`: as SIGHUP, and prints the outcome.

use std::path::Path;

use super::{ExitStatus, Failure, client, print};
use crate::control::{Answer, Request};

pub(super) fn reload(config: &Path) -> Result<(), Failure> {
    let socket = client::socket(config)?;
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
