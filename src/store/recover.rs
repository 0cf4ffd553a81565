//! Saves what can be read of a damaged lease file into a fresh one.
//!
//! The damaged file is read from a copy, page by page, and kept as it is under another name. Nothing
//! of it is guessed: a row counts if its checksum holds and its page is in use. A row that may be an
//! old one is set aside: it is named, not served, and nobody else gets its addresses.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::embedded::{EmbeddedStore, FILE_NAME, SETTINGS, SetAside};
use super::pages::{self, Pages, Sense};
use super::row::{self, Damage};
use super::{LeaseStore, OpenError};
use crate::clock;
use crate::lease::{Lease, LeaseKey};

/// What became of a store that was to be recovered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recovered {
    /// Its structure is whole, or there is none.
    Whole {
        /// Rows that were found damaged and set aside, one line each.
        aside: Vec<String>,
    },
    /// What could be read is in a fresh store.
    Saved {
        /// How many leases that is.
        saved: u64,
        /// How many leases the damaged file had beside; `None`: its own count is lost too.
        lost: Option<u64>,
        /// What was found and cannot be served, one line each; the fresh store keeps it aside.
        aside: Vec<String>,
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
        return Ok(Recovered::Whole { aside: Vec::new() });
    }
    match EmbeddedStore::open(directory) {
        Ok(mut store) => {
            if let Ok(loaded) = store.load() {
                return Ok(Recovered::Whole { aside: loaded.damaged });
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
    let found = read(&copy, progress).map_err(|error| failed("reading it", &error))?;
    let saved = write(directory, &found).map_err(|error| failed("writing a fresh one", &error))?;
    let kept = swap(&file, &fresh).map_err(|error| failed("keeping it aside", &error))?;
    // Only a copy: that it is left behind would be no fault.
    let _ = remove(&copy);
    let lost = found.expected.map(|expected| expected.saturating_sub(saved));
    let named = |row: &SetAside| format!("{}: {}", row::name(&row.raw), row.damage);
    let aside = found.aside.iter().map(named).collect();
    Ok(Recovered::Saved { saved, lost, aside, kept })
}

/// What could be read.
#[derive(Debug, Default)]
struct Found {
    leases: Vec<Lease>,
    aside: Vec<SetAside>,
    /// How many leases the file says that it has.
    expected: Option<u64>,
}

/// Reads the copy: SQLite tells what it can of the small tables, the leases are read page by page.
fn read(file: &Path, progress: &mut dyn FnMut(u64, Option<u64>)) -> io::Result<Found> {
    let log = match fs::read(beside(file, WAL)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        read => read.unwrap_or_default(),
    };
    let pages = Pages::new(fs::read(file)?, log);
    let mut found = Found::default();
    if let Ok(connection) = open(file) {
        let expected = connection.query_row("SELECT leases FROM summary", [], |row| row.get(0));
        found.expected = expected.ok().and_then(|count: i64| u64::try_from(count).ok());
        found.aside = EmbeddedStore::read_damaged(&connection).unwrap_or_default();
    }
    let mut reader = Reader {
        free: pages.free(),
        pages: &pages,
        seen: HashSet::new(),
        sorted: Sorted::default(),
        read: 0,
        expected: found.expected,
        progress,
    };
    reader.tree(ROOT, Trust::Full, 0);
    // What hung below a damaged page is in use as well, if all that is not in use is known.
    let trust = if reader.free.is_some() { Trust::Full } else { Trust::None };
    for number in 2..=pages.last() {
        reader.tree(number, trust, 0);
    }
    (reader.progress)(reader.read, reader.expected);
    let (leases, aside) = reader.sorted.finish();
    found.leases = leases;
    found.aside.extend(aside);
    Ok(found)
}

fn open(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.execute_batch(SETTINGS)?;
    Ok(connection)
}

/// Whether a row whose checksum holds is also the newest of its NIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    Full,
    /// It may have been deleted or replaced since: it is not served, and its addresses are nobody
    /// else's.
    None,
}

struct Reader<'a> {
    pages: &'a Pages,
    /// Pages that are not in use, if that is known.
    free: Option<HashSet<u32>>,
    seen: HashSet<u32>,
    sorted: Sorted,
    read: u64,
    expected: Option<u64>,
    progress: &'a mut dyn FnMut(u64, Option<u64>),
}

impl Reader<'_> {
    /// Reads the rows of a page and of the pages below it, each page once.
    fn tree(&mut self, number: u32, trust: Trust, depth: u32) {
        let is_free = self.free.as_ref().is_some_and(|free| free.contains(&number));
        if is_free || depth > MAX_DEPTH || self.seen.contains(&number) {
            return;
        }
        let Some(node) = self.pages.node(number) else { return };
        self.seen.insert(number);
        let here = if node.sense == Sense::Whole { trust } else { Trust::None };
        for row in node.rows.iter().flatten() {
            // Without the columns of a lease it is a row of another table, or no row at all.
            let Some(row) = pages::columns(row) else { continue };
            self.sorted.take(&row, here);
            self.read = self.read.saturating_add(1);
            if self.read.is_multiple_of(PROGRESS) {
                (self.progress)(self.read, self.expected);
            }
        }
        // What a damaged page points at may be anything; what is in use is found without it.
        if node.sense == Sense::Whole {
            for child in node.children {
                self.tree(child, here, depth.saturating_add(1));
            }
        }
    }
}

/// Rows by what may be made of them.
#[derive(Debug, Default)]
struct Sorted {
    trusted: BTreeMap<LeaseKey, Lease>,
    doubtful: Vec<Lease>,
    twice: BTreeMap<LeaseKey, Vec<Lease>>,
    aside: Vec<SetAside>,
}

impl Sorted {
    fn take(&mut self, row: &row::Columns<'_>, trust: Trust) {
        match row::decode(row) {
            Ok(lease) => match trust {
                Trust::None => self.doubtful.push(lease),
                Trust::Full => {
                    let key = lease.key.clone();
                    if let Some(other) = self.trusted.insert(key.clone(), lease) {
                        self.twice.entry(key).or_default().push(other);
                    }
                }
            },
            Err(damage) => self.aside.push(SetAside { damage, raw: row::raw(row) }),
        }
    }

    fn finish(mut self) -> (Vec<Lease>, Vec<SetAside>) {
        for (key, others) in std::mem::take(&mut self.twice) {
            // Nothing says which of them is the newest, unless they are the same.
            if others.iter().all(|other| self.trusted.get(&key) == Some(other)) {
                continue;
            }
            let last = self.trusted.remove(&key);
            let all = others.iter().chain(&last);
            self.aside.extend(all.map(|lease| set_aside(lease, Damage::Twice)));
        }
        for lease in &self.doubtful {
            if !self.trusted.contains_key(&lease.key) {
                self.aside.push(set_aside(lease, Damage::Doubtful));
            }
        }
        (self.trusted.into_values().collect(), self.aside)
    }
}

fn set_aside(lease: &Lease, damage: Damage) -> SetAside {
    SetAside { damage, raw: row::raw_of(lease) }
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

/// The page that the leases' tree begins with: the first table that a fresh file got.
const ROOT: u32 = 2;

/// Far deeper than the tree of any file.
const MAX_DEPTH: u32 = 16;

const COPY_NAME: &str = "leases.sqlite.reading";

const FRESH_NAME: &str = "leases.sqlite.fresh";

/// SQLite's ending for a file's write-ahead log.
const WAL: &str = "-wal";

/// Rows between two words about the progress.
const PROGRESS: u64 = 1_024;
