//! A look at a store that no daemon has open: nothing is locked, made or written, so that a daemon
//! that starts meanwhile does not even notice.

use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::embedded::FILE_NAME;
use super::row;
use crate::lease::Lease;

/// Reads the leases whose rows are whole; `None`: there is no store.
///
/// # Errors
/// Why they cannot be read as they are.
pub(super) fn peek(directory: &Path) -> Option<Result<Vec<Lease>, String>> {
    let file = directory.join(FILE_NAME);
    if !file.is_file() {
        return None;
    }
    let mut log = file.clone().into_os_string();
    log.push("-wal");
    if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        let text = "its log is not written back: the daemon has it open, or was killed";
        return Some(Err(format!("{}: {text}", file.display())));
    }
    Some(leases(&file).map_err(|error| format!("{}: {error}", file.display())))
}

fn leases(file: &Path) -> rusqlite::Result<Vec<Lease>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // A file that does not change needs no lock, and no log beside it.
    let connection = Connection::open_with_flags(format!("{}?immutable=1", uri(file)), flags)?;
    let mut statement = connection.prepare(row::SELECT)?;
    let mut rows = statement.query([])?;
    let mut names = row::Names::default();
    let mut leases = Vec::new();
    while let Some(row) = rows.next()? {
        leases.extend(names.decode(&row::columns(row)));
    }
    Ok(leases)
}

/// Writes a path as SQLite's URI file names want it.
fn uri(file: &Path) -> String {
    let mut uri = "file:".to_owned();
    for byte in file.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
