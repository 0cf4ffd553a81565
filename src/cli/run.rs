//! `leasehold run`: the daemon.

use std::path::Path;

use super::{ExitStatus, Failure, check};
use crate::daemon::{self, RunError};
use crate::{broker, telemetry};

pub(super) fn run(path: &Path) -> Result<(), Failure> {
    // Files first: their diagnostics need no daemon. Then the broker, while there is one thread.
    let config = check::load(path)?;
    let broker = broker::start(&config.ovsdb_sockets()).map_err(|error| {
        let code = if error.is_permission() { ExitStatus::NoPermission } else { ExitStatus::OsError };
        Failure::new(code, error.to_string())
    })?;
    telemetry::logging::start();
    daemon::run(config, broker).map_err(|error| {
        let code = match &error {
            RunError::AnotherInstance(_) => ExitStatus::TempFail,
            RunError::NoPermission(_) => ExitStatus::NoPermission,
            RunError::System(_) => ExitStatus::OsError,
        };
        Failure::new(code, error.to_string())
    })
}
