//! `leasehold check`: validates all files.

use std::io::IsTerminal;
use std::path::Path;

use super::{ExitStatus, Failure, print};
use crate::config::{self, Config};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Print every value that the files leave to its default
    #[arg(long)]
    explain_defaults: bool,
}

pub(super) fn check(path: &Path, options: &Options) -> Result<(), Failure> {
    let config = load(path)?;
    for warning in &config.warnings {
        eprintln!("{warning}");
    }
    if options.explain_defaults {
        return print(&config::explain_defaults(&config));
    }
    let networks = count(config.networks.len(), "network");
    let sources = count(config.sources.len(), "source");
    let warnings = match config.warnings.len() {
        0 => String::new(),
        some => format!(", {}", count(some, "warning")),
    };
    print(&format!("{}: ok, {networks}, {sources}{warnings}\n", path.display()))
}

/// Reads the files, or says everything that is wrong with them.
pub(super) fn load(path: &Path) -> Result<Config, Failure> {
    config::load(path).map_err(|errors| {
        // A person is shown the place as well; a program gets one line a fault.
        let text = if std::io::stderr().is_terminal() {
            errors.render(true)
        } else {
            errors.lines.join("\n")
        };
        Failure::new(ExitStatus::Config, text)
    })
}

fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
