//! `leasehold run`: the daemon.

use std::path::Path;

use super::{ExitStatus, Failure, check};
use crate::daemon::{self, RunError};
use crate::{broker, telemetry};

pub(super) fn run(path: &Path) -> Result<(), Failure> {
    // Files first: their diagnostics need no daemon. Then the broker, while there is one thread.
    let config = check::load(path)?;
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
