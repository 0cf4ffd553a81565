//! `leasehold run`: the daemon.

use std::path::Path;

use indicatif::ProgressBar;

use super::{ExitStatus, Failure, check};
use crate::daemon::{self, RunError};
use crate::store::{self, OpenError, Recovered};
use crate::{broker, config, sandbox, telemetry};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// If the lease store is damaged, save what can be read of it first, and keep it aside
    #[arg(long)]
    recover: bool,
}

pub(super) fn run(path: &Path, options: &Options) -> Result<(), Failure> {
    // Files first: their diagnostics need no daemon. Then the broker, while there is one thread.
    let config = check::load(path)?;
    if options.recover {
        recover(&config.store)?;
    }
    sandbox::share_heap();
    let (broker, rules) = broker::start(config.ovsdb_sockets()).map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::PermissionDenied => ExitStatus::NoPermission,
            _ => ExitStatus::OsError,
        };
        Failure::new(code, error.to_string())
    })?;
    let _log = telemetry::logging::init()
        .map_err(|error| Failure::new(log_status(&error), error.to_string()))?;
    telemetry::limit_panics(|panic| {
        let telemetry::Panic { place, message, held_back } = panic;
        tracing::error!(place, message, held_back, "a part of leasehold failed; please report it");
    });
    daemon::run(config, broker, rules).map_err(|error| {
        let code = match &error {
            RunError::AnotherInstance(_) => ExitStatus::TempFail,
            RunError::NoPermission(_) => ExitStatus::NoPermission,
            RunError::System(_) => ExitStatus::OsError,
        };
        Failure::new(code, error.to_string())
    })
}

/// A variable that cannot be read is a fault of the configuration, the rest the system's.
fn log_status(error: &telemetry::logging::LogError) -> ExitStatus {
    match error {
        telemetry::logging::LogError::Variable(_) => ExitStatus::Config,
        telemetry::logging::LogError::System(_) => ExitStatus::OsError,
    }
}

/// Recovers the store if it is damaged, and says what came of it.
fn recover(store: &config::Store) -> Result<(), Failure> {
    // It draws only on a terminal; elsewhere, as in the journal, there are lines.
    let bar = ProgressBar::no_length();
    let mut told = 0;
    let mut progress = |read: u64, expected: Option<u64>| {
        if let Some(expected) = expected {
            bar.set_length(expected);
        }
        bar.set_position(read);
        if bar.is_hidden() && read / LINE > told {
            told = read / LINE;
            let of = expected.map_or(String::new(), |expected| format!(" of {expected}"));
            eprintln!("reading the damaged store: {read}{of} leases");
        }
    };
    let recovered = store::recover(store, &mut progress);
    bar.finish_and_clear();
    let recovered = recovered.map_err(|error| {
        let code = match &error {
            OpenError::InUse(_) => ExitStatus::TempFail,
            OpenError::NoPermission(_) => ExitStatus::NoPermission,
            OpenError::Damaged(_) | OpenError::Unusable(_) => ExitStatus::OsError,
        };
        Failure::new(code, error.to_string())
    })?;
    match recovered {
        Recovered::Whole { aside } => {
            name_unserved(&aside);
            eprintln!("the lease store is whole: there is nothing to recover");
        }
        Recovered::Saved { saved, lost, aside, kept } => {
            name_unserved(&aside);
            let lost = lost
                .map_or("unknown, its count cannot be read".to_owned(), |lost| lost.to_string());
            eprintln!(
                "leases saved: {saved}; leases lost: {lost}; the damaged store is kept as {}",
                kept.display()
            );
        }
    }
    Ok(())
}

fn name_unserved(rows: &[String]) {
    for row in rows.iter().take(MAX_NAMED) {
        eprintln!("not served: {row}");
    }
    if let Some(more) = rows.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        eprintln!("not served: {more} more; the store's table `damaged` has them all");
    }
}

/// How many rows that are not served are named one by one.
const MAX_NAMED: usize = 100;

/// Leases between two lines about the progress.
const LINE: u64 = 100_000;
