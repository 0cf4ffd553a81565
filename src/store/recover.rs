//! Saves what can be read of a damaged lease file into a fresh one.
//!
//! The damaged file is read from a copy, and kept as it is under another name. Nothing of it is
//! guessed: a row counts if its checksum holds.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::embedded::{EmbeddedStore, FILE_NAME, SETTINGS, SetAside};
use super::row::{self, Damage};
use super::{LeaseStore, OpenError};
use crate::clock;
use crate::lease::Lease;

/// What became of a store that was to be recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// It is whole, or there is none: nothing was done.
    Whole,
    /// What could be read is in a fresh store.
    Saved {
        /// How many leases that is.
        saved: u64,
        /// How many leases the damaged file had beside; `None`: its own count is lost too.
        lost: Option<u64>,
        /// Where the damaged file is now.
        kept: PathBuf,
    },
}

/// Recovers the store in `directory` if it is damaged; `progress` is told now and then how many
/// rows were read, and of how many, if that is known.
///
/// # Errors
/// [`OpenError`] if the store is in use or is not damaged but of another format, or if the fresh
/// one cannot be written; the store is as it was then.
pub(super) fn recover(
    directory: &Path,
    progress: &mut dyn FnMut(u64, Option<u64>),
) -> Result<Recovered, OpenError> {
    let file = directory.join(FILE_NAME);
    if !file.exists() {
        return Ok(Recovered::Whole);
    }
    match EmbeddedStore::open(directory) {
        Ok(mut store) => {
            if store.load().is_ok() {
                return Ok(Recovered::Whole);
            }
        }
        Err(OpenError::Damaged(_)) => {}
        Err(error) => return Err(error),
    }
    let failed = |doing: &str, error: &dyn std::fmt::Display| {
        OpenError::Unusable(format!(
            "recovering {}: {doing}: {error}; nothing was changed",
            file.display()
        ))
    };
    let copy = directory.join(COPY_NAME);
    let fresh = directory.join(FRESH_NAME);
    // What an earlier try may have left.
    remove(&copy).and_then(|()| remove(&fresh)).map_err(|error| failed("cleaning up", &error))?;
    copy_both(&file, &copy).map_err(|error| failed("copying it", &error))?;
    let found = read(&copy, progress);
    let saved = write(directory, &found).map_err(|error| failed("writing a fresh one", &error))?;
    let kept = swap(&file, &fresh).map_err(|error| failed("keeping it aside", &error))?;
    // Only a copy: that it is left behind would be no fault.
    let _ = remove(&copy);
    let lost = found.expected.map(|expected| expected.saturating_sub(saved));
    Ok(Recovered::Saved { saved, lost, kept })
}

/// What could be read.
#[derive(Debug, Default)]
struct Found {
    leases: Vec<Lease>,
    aside: Vec<SetAside>,
    /// How many leases the file says that it has.
    expected: Option<u64>,
}

fn read(file: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> Found {
    let mut found = Found::default();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let Ok(connection) = Connection::open_with_flags(file, flags) else { return found };
    if connection.execute_batch(SETTINGS).is_err() {
        return found;
    }
    let expected = connection.query_row("SELECT leases FROM summary", [], |row| row.get(0));
    found.expected = expected.ok().and_then(|count: i64| u64::try_from(count).ok());
    let mut keys = HashSet::new();
    let mut reader = Reader { read: 0, expected: found.expected, progress };
    // From the front as far as it goes, then from the end: the damaged place lies between them.
    let mut seen = None;
    let mut take = |row: &rusqlite::Row<'_>| {
        let damage = match row::decode(row) {
            Ok(lease) if keys.insert(lease.key.clone()) => return found.leases.push(lease),
            Ok(_) => Damage::Twice,
            Err(damage) => damage,
        };
        found.aside.push(SetAside { damage, raw: row::raw(row) });
    };
    let whole = reader.rows(&connection, row::SELECT, |key, row| {
        take(row);
        seen = Some(key);
        true
    });
    if whole.is_err() {
        // That it fails as well is what is expected of it.
        let _ = reader.rows(&connection, row::SELECT_BACKWARDS, |key, row| {
            let is_new = seen.as_ref().is_none_or(|seen| key > *seen);
            if is_new {
                take(row);
            }
            is_new
        });
    }
    (reader.progress)(reader.read, reader.expected);
    if let Ok(earlier) = EmbeddedStore::read_damaged(&connection) {
        found.aside.extend(earlier);
    }
    found
}

/// A row's key as bytes, in the order of the table.
type RawKey = [Vec<u8>; 3];

struct Reader<'a> {
    read: u64,
    expected: Option<u64>,
    progress: &'a mut dyn FnMut(u64, Option<u64>),
}

impl Reader<'_> {
    /// Hands rows to `take` until it wants no more, or none can be read.
    fn rows(
        &mut self,
        connection: &Connection,
        select: &str,
        mut take: impl FnMut(RawKey, &rusqlite::Row<'_>) -> bool,
    ) -> rusqlite::Result<()> {
        let mut statement = connection.prepare(select)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if !take(row::raw_key(row), row) {
                break;
            }
            self.read = self.read.saturating_add(1);
            if self.read.is_multiple_of(PROGRESS) {
                (self.progress)(self.read, self.expected);
            }
        }
        Ok(())
    }
}

/// Makes the fresh store; returns how many leases it has.
fn write(directory: &Path, found: &Found) -> Result<u64, OpenError> {
    let mut store = EmbeddedStore::open_named(directory, FRESH_NAME)?;
    let unwritten = |error: super::StoreError| OpenError::Unusable(error.to_string());
    store.fill(&found.leases, &found.aside).map_err(unwritten)?;
    let loaded = store.load().map_err(unwritten)?;
    Ok(u64::try_from(loaded.leases.len()).unwrap_or(u64::MAX))
}

/// Puts the fresh store in the place of the damaged one; returns where that is now.
fn swap(file: &Path, fresh: &Path) -> io::Result<PathBuf> {
    let kept = beside(file, &format!(".damaged-{}", clock::wall().0));
    // A second name first: at no moment is there no store, which would be taken for a new one.
    fs::hard_link(file, &kept)?;
    // The fresh store was closed and has no log. The damaged one's must not become its own.
    match fs::rename(beside(file, WAL), beside(&kept, WAL)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            fs::remove_file(&kept)?;
            return Err(error);
        }
        Ok(()) | Err(_) => {}
    }
    fs::rename(fresh, file)?;
    if let Some(directory) = file.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(kept)
}

fn copy_both(file: &Path, copy: &Path) -> io::Result<()> {
    fs::copy(file, copy)?;
    let log = beside(file, WAL);
    if log.exists() {
        fs::copy(log, beside(copy, WAL))?;
    }
    Ok(())
}

/// Removes a file and its log, as far as they are there.
fn remove(file: &Path) -> io::Result<()> {
    for path in [file.to_owned(), beside(file, WAL)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn beside(file: &Path, ending: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

const COPY_NAME: &str = "leases.sqlite.reading";

const FRESH_NAME: &str = "leases.sqlite.fresh";

/// SQLite's ending for a file's write-ahead log.
const WAL: &str = "-wal";

/// Rows between two words about the progress.
const PROGRESS: u64 = 1_024;
