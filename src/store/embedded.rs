//! Leases in SQLite: one file, one connection, one process.
//!
//! Write-ahead log, a sync at every commit, and a lock on the file for as long as it is open. The
//! file is read once, at the start; a row that is not whole is set aside then, in the table
//! `damaged`, and the others are served. Nothing is ever deleted that could not be read.
//!
//! When the disk fails, the file is let go of, so that its file system can be checked and mounted
//! anew, and opened again at the next write: the same file, or none.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use super::place::{Fault, Place};
use super::row::{self, COLUMNS, Damage};
use super::scan::{Scan, ScanError, scan};
use super::{Change, LeaseStore, Loaded, OpenError, Refused, StoreError};
use crate::clock;
use crate::lease::{Lease, LeaseKey};

/// Leases in the file `leases.sqlite` of a directory.
#[derive(Debug)]
pub struct EmbeddedStore {
    file: PathBuf,
    /// None: it was let go of.
    connection: Option<Connection>,
    place: Place,
}

impl EmbeddedStore {
    /// Opens the store in `directory`, or makes both, and keeps every other process out of it.
    ///
    /// # Errors
    /// [`OpenError`] if the file is in use, may not be written, or is not a store of a known
    /// format; it is left as it was.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::open_named(directory, FILE_NAME)
    }

    /// As [`Self::open`], under another name.
    pub(super) fn open_named(directory: &Path, name: &str) -> Result<Self, OpenError> {
        let file = directory.join(name);
        create(directory, &file)?;
        read_ahead(&file);
        let connection = connect(&file)?;
        let place = Place::of(&file)
            .map_err(|error| OpenError::Unusable(format!("opening {}: {error}", file.display())))?;
        Ok(Self { file, connection: Some(connection), place })
    }

    /// Writes a fresh store: leases, and rows that are none.
    pub(super) fn fill(&mut self, leases: &[Lease], aside: &[SetAside]) -> Result<(), StoreError> {
        let filled = replace_all(self.ready()?, leases, aside, |_| Ok(()));
        filled.map_err(|error| self.unwritten(&error))
    }

    /// Reads how many leases there should be, the rows, and those that were set aside earlier.
    fn read(connection: &Connection) -> Result<(i64, Scan, Vec<SetAside>), ScanError> {
        let expected = count(connection)?;
        let scan = scan(connection, usize::try_from(expected).unwrap_or(0))?;
        Ok((expected, scan, Self::read_damaged(connection)?))
    }

    /// Reads the rows that were set aside at earlier starts.
    pub(super) fn read_damaged(connection: &Connection) -> rusqlite::Result<Vec<SetAside>> {
        let mut statement = connection.prepare(row::SELECT_DAMAGED)?;
        let mut rows = statement.query([])?;
        let mut aside = Vec::new();
        while let Some(row) = rows.next()? {
            aside.push(SetAside { damage: Damage::Earlier, raw: row::raw(&row::columns(row)) });
        }
        Ok(aside)
    }

    /// Returns the connection to a file that whoever opens it next will find as it is then.
    fn ready(&mut self) -> Result<&mut Connection, StoreError> {
        match self.place.check() {
            Ok(()) => {}
            // Everything is moved from the lost log to the file first.
            Err(Fault::LogGone) => {
                if let Some(connection) = &self.connection {
                    checkpoint(connection).map_err(|error| self.unwritten(&error.into()))?;
                }
                self.let_go();
            }
            Err(fault) => {
                match fault {
                    // As long as it is open its file system cannot be mended.
                    Fault::Gone | Fault::Replaced | Fault::ReadOnly | Fault::System(_) => {
                        self.let_go();
                    }
                    Fault::NoPermission(_) | Fault::LogGone => {}
                }
                return Err(StoreError(format!("writing {}: {fault}", self.file.display())));
            }
        }
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.open_again()?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Opens the file that was let go of.
    fn open_again(&mut self) -> Result<Connection, StoreError> {
        let connection = connect(&self.file).map_err(|error| StoreError(error.to_string()))?;
        // A failed sync may have left the log on the disk other than in memory: it is not kept.
        if let Err(error) = checkpoint(&connection) {
            keep_log(&connection);
            return Err(self.unwritten(&error.into()));
        }
        self.place.note_log();
        // Between the look and the opening it may have been replaced.
        if let Err(fault) = self.place.check() {
            return Err(StoreError(format!("opening {}: {fault}", self.file.display())));
        }
        Ok(connection)
    }

    /// Closes the file as it is.
    fn let_go(&mut self) {
        if let Some(connection) = self.connection.take() {
            keep_log(&connection);
        }
        self.place.forget_log();
    }

    fn unreadable(&self, fault: &str) -> StoreError {
        // As it is now it may be worth most to whoever looks into it: its log stays apart as well.
        if let Some(connection) = &self.connection {
            keep_log(connection);
        }
        StoreError(format!("reading {}: {fault}: {RECOVER}", self.file.display()))
    }

    fn unwritten(&self, error: &WriteError) -> StoreError {
        let file = self.file.display();
        StoreError(match error {
            WriteError::Json(error) => format!("writing {file}: {error}"),
            WriteError::Structure(fault) => format!("writing {file}: {fault}: {RECOVER}"),
            WriteError::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => {
                    format!("writing {file}: no space is left on its file system: free some")
                }
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    format!("writing {file}: {error}: {RECOVER}")
                }
                Some(_) | None => {
                    format!(
                        "writing {file}: {error}: look at the kernel's log for its disk and file \
                         system"
                    )
                }
            },
        })
    }
}

impl LeaseStore for EmbeddedStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let connection = self.ready()?;
        let read = Self::read(connection);
        let (expected, Scan { leases, aside, structure }, earlier) =
            read.map_err(|error| match error {
                ScanError::Sqlite(error) => self.unreadable(&error.to_string()),
                ScanError::Thread(_) => {
                    StoreError(format!("reading {}: {error}", self.file.display()))
                }
            })?;
        // A page that was lost without a trace would be leases lost unseen.
        let found = leases.len().saturating_add(aside.len());
        if i64::try_from(found) != Ok(expected) {
            let fault = format!("it says that it has {expected} leases, and has {found}");
            return Err(self.unreadable(&fault));
        }
        let mut damaged: Vec<String> =
            aside.iter().map(|row| format!("{}: {}", row::name(&row.raw), row.damage)).collect();
        let connection = self.ready()?;
        let sound = if aside.is_empty() {
            structure
        } else {
            replace_all(connection, &leases, &aside, check_structure)
        };
        match sound {
            Ok(()) => {}
            Err(error) if error.is_damage() || aside.is_empty() => {
                return Err(self.unreadable(&error.to_string()));
            }
            // The good rows can be served even if the bad ones cannot be moved.
            Err(error) => damaged.push(format!("not set aside: {}", self.unwritten(&error))),
        }
        let withheld = aside.iter().chain(&earlier).filter_map(|row| row::withheld(&row.raw));
        Ok(Loaded { withheld: withheld.collect(), leases, damaged })
    }

    fn write(&mut self, changes: &[Change]) -> Result<Vec<Refused>, StoreError> {
        match commit(self.ready()?, changes) {
            Ok(()) => {
                self.place.note_log();
                Ok(Vec::new())
            }
            Err(error) => {
                if error.is_of_the_disk() {
                    self.let_go();
                }
                Err(self.unwritten(&error))
            }
        }
    }
}

/// A row that is not served.
#[derive(Debug)]
pub(super) struct SetAside {
    pub(super) damage: Damage,
    pub(super) raw: [Value; COLUMNS],
}

/// What the file's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// A store of ours, or one that was just made.
    Known,
    /// A store of ours, of a later format.
    Newer(i64),
    /// Somebody else's database.
    Foreign,
    /// It can be read and not written.
    ReadOnly,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Structure(String),
}

impl WriteError {
    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Sqlite(error) => error.sqlite_error_code(),
            Self::Json(_) | Self::Structure(_) => None,
        }
    }

    /// Tells whether the file holds what it cannot.
    fn is_damage(&self) -> bool {
        matches!(self, Self::Structure(_))
            || matches!(self.code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    /// Tells whether the system refused to read or write, for another reason than lack of room.
    fn is_of_the_disk(&self) -> bool {
        let codes = [ErrorCode::SystemIoFailure, ErrorCode::ReadOnly, ErrorCode::CannotOpen];
        self.code().is_some_and(|code| codes.contains(&code))
    }
}

/// Has the kernel read the whole file, front to back, before it is read in the order of keys: from
/// a disk that is many times as fast.
///
/// Closing a descriptor gives up the locks that this process has on the file, so it is done before
/// there are any.
fn read_ahead(file: &Path) {
    // It is only a hint: what is wrong with the file is told by whoever opens it next.
    let Ok(opened) = File::open(file) else { return };
    let length = opened.metadata().map_or(0, |metadata| metadata.len());
    for start in (0..length).step_by(READ_AHEAD) {
        let (Ok(start), Ok(length)) = (i64::try_from(start), i64::try_from(READ_AHEAD)) else {
            return;
        };
        let advice = PosixFadviseAdvice::POSIX_FADV_WILLNEED;
        if posix_fadvise(&opened, start, length, advice).is_err() {
            return;
        }
    }
}

/// Opens a file that is there, takes its lock and brings it to the format of today.
fn connect(file: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(file, flags);
    let mut connection = opened.map_err(|error| open_error(file, &error))?;
    match prepare(&mut connection) {
        Ok(Format::Known) => Ok(connection),
        Ok(Format::Newer(format)) => Err(OpenError::Unusable(format!(
            "opening {}: it has format {format}, written by a newer leasehold, and this one \
             knows format {FORMAT}: install the newer one again",
            file.display()
        ))),
        Ok(Format::Foreign) => Err(OpenError::Unusable(format!(
            "opening {}: it is another program's database: move it away, or set [store] path \
             to another directory",
            file.display()
        ))),
        Ok(Format::ReadOnly) => Err(no_permission(file, "it is read-only")),
        Err(error) => Err(open_error(file, &error)),
    }
}

/// Returns how many leases the file says that it has.
fn count(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT leases FROM summary", [], |row| row.get(0))
}

/// Moves everything from the log to the file, and makes it durable there.
fn checkpoint(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Leaves the log as it is when the connection is closed.
fn keep_log(connection: &Connection) {
    // It fails only for a name that SQLite does not know.
    let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
}

/// Makes the directory and an empty file where they are missing.
fn create(directory: &Path, file: &Path) -> Result<(), OpenError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::PermissionDenied => no_permission(file, &error.to_string()),
        _ => OpenError::Unusable(format!(
            "making {}: {error}: set [store] path to a directory that can be made and written",
            file.display()
        )),
    };
    if !directory.is_dir() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    }
    // Only ever opened here when it is new: closing any descriptor of a file gives up the locks
    // that this process has on it.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(made) => {
            made.sync_all().map_err(failed)?;
            // SQLite syncs the file; that it has a name is for us to make durable.
            File::open(directory).and_then(|opened| opened.sync_all()).map_err(failed)
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Takes the lock, sets the connection up and makes the tables of a new file.
fn prepare(connection: &mut Connection) -> rusqlite::Result<Format> {
    if connection.is_readonly("main")? {
        return Ok(Format::ReadOnly);
    }
    // A daemon that was killed a moment ago holds the lock until the kernel has closed its files.
    connection.busy_timeout(DYING)?;
    connection.execute_batch(SETTINGS)?;
    // Before anything is changed, not even the journal's mode: is it ours?
    let application: i64 = pragma(connection, "application_id")?;
    let format: i64 = pragma(connection, "user_version")?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_new = application == 0 && format == 0 && tables == 0;
    if !is_new {
        if application != APPLICATION {
            return Ok(Format::Foreign);
        }
        if format > FORMAT {
            return Ok(Format::Newer(format));
        }
    }
    connection.execute_batch("PRAGMA journal_mode = WAL")?;
    if is_new {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        transaction.execute_batch(SCHEMA)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", FORMAT)?;
        transaction.commit()?;
    } else if format < 2 {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
        transaction.execute_batch(FROM_1_TO_2)?;
        transaction.pragma_update(None, "user_version", 2)?;
        transaction.commit()?;
    }
    Ok(Format::Known)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn commit(connection: &mut Connection, changes: &[Change]) -> Result<(), WriteError> {
    // Dropped before the commit, a transaction is rolled back.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut more: i64 = 0;
    for change in changes {
        match change {
            Change::Put(lease) => more = more.saturating_add(put(&transaction, lease)?),
            Change::Delete(LeaseKey { network, vm, nic }) => {
                let key = params![network.as_str(), vm.as_str(), nic.as_str()];
                if transaction.prepare_cached(DELETE)?.execute(key)? > 0 {
                    more = more.saturating_sub(1);
                }
                // A damaged row of the same NIC keeps its address no longer.
                transaction.prepare_cached(DELETE_DAMAGED)?.execute(key)?;
            }
        }
    }
    if more != 0 {
        transaction.execute("UPDATE summary SET leases = leases + ?1", [more])?;
    }
    transaction.commit()?;
    Ok(())
}

/// Writes a lease; returns how many leases there are more by that.
fn put(connection: &Connection, lease: &Lease) -> Result<i64, WriteError> {
    let (value, checksum) = row::encode(lease)?;
    let LeaseKey { network, vm, nic } = &lease.key;
    let row = params![network.as_str(), vm.as_str(), nic.as_str(), row::VERSION, value, checksum];
    if connection.prepare_cached(INSERT)?.execute(row)? > 0 {
        return Ok(1);
    }
    connection.prepare_cached(UPDATE)?.execute(row)?;
    Ok(0)
}

/// Writes the good rows anew, in good order, and moves what is damaged to its own table; undone if
/// `check` finds a fault with what has come of it.
fn replace_all(
    connection: &mut Connection,
    leases: &[Lease],
    aside: &[SetAside],
    check: impl FnOnce(&Connection) -> Result<(), WriteError>,
) -> Result<(), WriteError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = i64::try_from(clock::wall().0).unwrap_or(i64::MAX);
    for SetAside { damage, raw } in aside {
        let [network, vm, nic, version, value, checksum] = raw;
        let row = params![found, damage.to_string(), network, vm, nic, version, value, checksum];
        transaction.prepare_cached(INSERT_DAMAGED)?.execute(row)?;
    }
    // Without a condition SQLite frees the pages unread, whatever state they are in.
    transaction.execute("DELETE FROM leases", [])?;
    for lease in leases {
        put(&transaction, lease)?;
    }
    let count = i64::try_from(leases.len()).unwrap_or(i64::MAX);
    transaction.execute("UPDATE summary SET leases = ?1", [count])?;
    check(&transaction)?;
    transaction.commit()?;
    Ok(())
}

/// Looks at the pages, the order of keys in them and the columns' constraints.
pub(super) fn check_structure(connection: &Connection) -> Result<(), WriteError> {
    let verdict: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    // The verdict may have several lines; an error has one.
    let verdict = verdict.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(WriteError::Structure(format!("its structure is damaged ({verdict})")))
}

fn open_error(file: &Path, error: &rusqlite::Error) -> OpenError {
    let path = file.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => OpenError::InUse(format!(
            "opening {path}: another process has it open: stop the other leasehold, or give this \
             one its own [store] path"
        )),
        Some(ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => {
            no_permission(file, &error.to_string())
        }
        Some(ErrorCode::CannotOpen) => {
            // SQLite keeps the system's reason to itself.
            match OpenOptions::new().read(true).write(true).open(file) {
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    no_permission(file, &error.to_string())
                }
                Err(error) => OpenError::Unusable(format!("opening {path}: {error}")),
                Ok(_) => OpenError::Unusable(format!("opening {path}: {error}")),
            }
        }
        Some(ErrorCode::NotADatabase) => OpenError::Damaged(format!(
            "opening {path}: it is not a lease store, or its first page is damaged: {RECOVER}"
        )),
        Some(ErrorCode::DatabaseCorrupt) => {
            OpenError::Damaged(format!("opening {path}: {error}: {RECOVER}"))
        }
        Some(_) | None => OpenError::Unusable(format!("opening {path}: {error}")),
    }
}

fn no_permission(file: &Path, fault: &str) -> OpenError {
    OpenError::NoPermission(format!(
        "opening {}: {fault}: the user that runs leasehold must own it and its directory",
        file.display()
    ))
}

pub(super) const FILE_NAME: &str = "leases.sqlite";

/// How long a killed process may take to let go of the file.
const DYING: Duration = Duration::from_secs(2);

/// How much is asked for at once, in bytes: of a greater piece the kernel may leave the end out.
const READ_AHEAD: usize = 128 << 10;

/// The format of the file as a whole: `user_version`.
const FORMAT: i64 = 2;

/// `application_id`: "lhld".
const APPLICATION: i64 = 0x6c68_6c64;

const RECOVER: &str = "`leasehold run --recover` saves what can be read and keeps the file under \
                       another name; VMs without a reservation whose lease is lost may get other \
                       addresses";

pub(super) const SETTINGS: &str = "
    PRAGMA locking_mode = EXCLUSIVE;
    PRAGMA synchronous = FULL;
    PRAGMA temp_store = MEMORY;
    PRAGMA trusted_schema = OFF;
";

/// A row's key is its place: no second tree that could disagree with the first. What is damaged
/// keeps whatever its columns held.
const SCHEMA: &str = "
    CREATE TABLE leases (
        network TEXT NOT NULL,
        vm TEXT NOT NULL,
        nic TEXT NOT NULL,
        version INTEGER NOT NULL,
        value TEXT NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (network, vm, nic)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE damaged (
        found INTEGER NOT NULL,
        reason TEXT NOT NULL,
        network ANY, vm ANY, nic ANY, version ANY, value ANY, checksum ANY
    ) STRICT;
    CREATE TABLE summary (leases INTEGER NOT NULL) STRICT;
    INSERT INTO summary (leases) VALUES (0);
";

/// Format 2 counts its leases, so that one that is lost is missed.
const FROM_1_TO_2: &str = "
    CREATE TABLE summary (leases INTEGER NOT NULL) STRICT;
    INSERT INTO summary (leases) SELECT count(*) FROM leases;
";

const INSERT: &str = "
    INSERT INTO leases (network, vm, nic, version, value, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT DO NOTHING
";

const UPDATE: &str = "
    UPDATE leases SET version = ?4, value = ?5, checksum = ?6
    WHERE network = ?1 AND vm = ?2 AND nic = ?3
";

const DELETE: &str = "DELETE FROM leases WHERE network = ?1 AND vm = ?2 AND nic = ?3";

/// What is set aside keeps text as bytes: it may not be UTF-8.
const DELETE_DAMAGED: &str = "
    DELETE FROM damaged
    WHERE network = CAST(?1 AS BLOB) AND vm = CAST(?2 AS BLOB) AND nic = CAST(?3 AS BLOB)
";

const INSERT_DAMAGED: &str = "
    INSERT INTO damaged (found, reason, network, vm, nic, version, value, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
";
