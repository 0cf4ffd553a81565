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
    let broker = broker::start(config.ovsdb_sockets()).map_err(|error| {
        let code = match error.kind() {
            std::io::ErrorKind::PermissionDenied => ExitStatus::NoPermission,
            _ => ExitStatus::OsError,
        };
        Failure::new(code, error.to_string())
    })?;
    let _log = telemetry::logging::init()
        .map_err(|error| Failure::new(ExitStatus::OsError, error.to_string()))?;
    daemon::run(config, broker).map_err(|error| {
        let code = match &error {
            RunError::AnotherInstance(_) => ExitStatus::TempFail,
            RunError::NoPermission(_) => ExitStatus::NoPermission,
            RunError::System(_) => ExitStatus::OsError,
        };
        Failure::new(code, error.to_string())
    })
}

/// Recovers the store if it is damaged, and says what came of it.
fn recover(store: &config::Store) -> Result<(), Failure> {
    // It draws only on a terminal.
    let bar = ProgressBar::no_length().with_message("reading leases");
    let mut progress = |read, expected: Option<u64>| {
        if let Some(expected) = expected {
            bar.set_length(expected);
        }
        bar.set_position(read);
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
        Recovered::Whole => eprintln!("the lease store is whole: there is nothing to recover"),
        Recovered::Saved { saved, lost, kept } => {
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
