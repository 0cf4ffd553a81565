//! Leases in SQLite: one file, one connection, one process.
//!
//! Write-ahead log, a sync at every commit, and a lock on the file for as long as it is open. The
//! file is read once, at the start; a row that is not whole is set aside then, in the table
//! `damaged`, and the others are served. Nothing is ever deleted that could not be read.

use std::collections::HashSet;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior, params};

use super::row::{self, COLUMNS, Damage};
use super::{Change, LeaseStore, Loaded, OpenError, Refused, StoreError};
use crate::clock;
use crate::lease::{Lease, LeaseKey};

/// Leases in the file `leases.sqlite` of a directory.
#[derive(Debug)]
pub struct EmbeddedStore {
    file: PathBuf,
    connection: Connection,
}

impl EmbeddedStore {
    /// Opens the store in `directory`, or makes both, and keeps every other process out of it.
    ///
    /// # Errors
    /// [`OpenError`] if the file is in use, may not be written, or is not a store of a known
    /// format; it is left as it was.
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        let file = directory.join(FILE_NAME);
        create(directory, &file)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(&file, flags);
        let mut connection = opened.map_err(|error| open_error(&file, &error))?;
        match prepare(&mut connection) {
            Ok(Format::Known) => Ok(Self { file, connection }),
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
            Ok(Format::ReadOnly) => Err(no_permission(&file, "it is read-only")),
            Err(error) => Err(open_error(&file, &error)),
        }
    }

    /// Reads every row, the good ones apart from the others.
    fn scan(&self) -> rusqlite::Result<(Vec<Lease>, Vec<SetAside>)> {
        let mut leases = Vec::new();
        let mut aside = Vec::new();
        let mut keys = HashSet::new();
        let mut statement = self.connection.prepare(row::SELECT)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let damage = match row::decode(row) {
                Ok(lease) if keys.insert(lease.key.clone()) => {
                    leases.push(lease);
                    continue;
                }
                // A damaged key leads a search astray, so that another may have got in twice.
                Ok(_) => Damage::Twice,
                Err(damage) => damage,
            };
            aside.push(SetAside { damage, raw: row::raw(row) });
        }
        Ok((leases, aside))
    }

    /// Moves what is damaged to its own table and writes the good rows anew, in good order.
    fn set_aside(&mut self, leases: &[Lease], aside: &[SetAside]) -> Result<(), WriteError> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let found = i64::try_from(clock::wall().0).unwrap_or(i64::MAX);
        {
            let mut insert = transaction.prepare(INSERT_DAMAGED)?;
            for SetAside { damage, raw } in aside {
                let [network, vm, nic, version, value, checksum] = raw;
                let reason = damage.to_string();
                insert
                    .execute(params![found, reason, network, vm, nic, version, value, checksum])?;
            }
            // Without a condition SQLite frees the pages unread, whatever state they are in.
            transaction.execute("DELETE FROM leases", [])?;
            for lease in leases {
                put(&transaction, lease)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// Asks SQLite whether the file's structure holds: a lost page would be leases lost unseen.
    fn check_structure(&self) -> Result<(), StoreError> {
        let verdict: rusqlite::Result<String> =
            self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        match verdict {
            Ok(verdict) if verdict == "ok" => Ok(()),
            Ok(verdict) => {
                // The verdict may have several lines; an error has one.
                let verdict = verdict.split_whitespace().collect::<Vec<_>>().join(" ");
                Err(self.unreadable(&format!("its structure is damaged ({verdict})")))
            }
            Err(error) => Err(self.unreadable(&error.to_string())),
        }
    }

    fn unreadable(&self, fault: &str) -> StoreError {
        StoreError(format!("reading {}: {fault}: {MOVE_ASIDE}", self.file.display()))
    }

    fn unwritten(&self, error: &WriteError) -> StoreError {
        let file = self.file.display();
        StoreError(match error {
            WriteError::Json(error) => format!("writing {file}: {error}"),
            WriteError::Sqlite(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DiskFull) => {
                    format!("writing {file}: no space is left on its file system: free some")
                }
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    format!("writing {file}: {error}: {MOVE_ASIDE}")
                }
                Some(_) | None => {
                    format!("writing {file}: {error}: look at the kernel's log for the disk")
                }
            },
        })
    }
}

impl LeaseStore for EmbeddedStore {
    fn load(&mut self) -> Result<Loaded, StoreError> {
        let (leases, aside) = self.scan().map_err(|error| self.unreadable(&error.to_string()))?;
        let mut damaged: Vec<String> =
            aside.iter().map(|row| format!("{}: {}", row::name(&row.raw), row.damage)).collect();
        if !aside.is_empty() {
            // The good rows can be served even if the bad ones cannot be moved.
            if let Err(error) = self.set_aside(&leases, &aside) {
                damaged.push(format!("not set aside: {}", self.unwritten(&error)));
                return Ok(Loaded { leases, damaged });
            }
        }
        self.check_structure()?;
        Ok(Loaded { leases, damaged })
    }

    fn write(&mut self, changes: &[Change]) -> Result<Vec<Refused>, StoreError> {
        let committed = commit(&mut self.connection, changes);
        committed.map(|()| Vec::new()).map_err(|error| self.unwritten(&error))
    }
}

/// A row that is not served.
#[derive(Debug)]
struct SetAside {
    damage: Damage,
    raw: [Value; COLUMNS],
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
enum WriteError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
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
    }
    Ok(Format::Known)
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn commit(connection: &mut Connection, changes: &[Change]) -> Result<(), WriteError> {
    // Dropped before the commit, a transaction is rolled back.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for change in changes {
        match change {
            Change::Put(lease) => put(&transaction, lease)?,
            Change::Delete(LeaseKey { network, vm, nic }) => {
                let key = params![network.as_str(), vm.as_str(), nic.as_str()];
                transaction.prepare_cached(DELETE)?.execute(key)?;
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

fn put(connection: &Connection, lease: &Lease) -> Result<(), WriteError> {
    let (value, checksum) = row::encode(lease)?;
    let LeaseKey { network, vm, nic } = &lease.key;
    connection.prepare_cached(PUT)?.execute(params![
        network.as_str(),
        vm.as_str(),
        nic.as_str(),
        row::VERSION,
        value,
        checksum
    ])?;
    Ok(())
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
        Some(ErrorCode::NotADatabase) => OpenError::Unusable(format!(
            "opening {path}: it is not a lease store, or its first page is damaged: {MOVE_ASIDE}"
        )),
        Some(ErrorCode::DatabaseCorrupt) => {
            OpenError::Unusable(format!("opening {path}: {error}: {MOVE_ASIDE}"))
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

const FILE_NAME: &str = "leases.sqlite";

/// How long a killed process may take to let go of the file.
const DYING: Duration = Duration::from_secs(2);

/// The format of the file as a whole: `user_version`.
const FORMAT: i64 = 1;

/// `application_id`: "lhld".
const APPLICATION: i64 = 0x6c68_6c64;

const MOVE_ASIDE: &str = "move it and its -wal aside and start again; keep both, they may still be \
                          readable; until then VMs without a reservation may get other addresses";

const SETTINGS: &str = "
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
";

const PUT: &str = "
    INSERT INTO leases (network, vm, nic, version, value, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT DO UPDATE SET
        version = excluded.version, value = excluded.value, checksum = excluded.checksum
";

const DELETE: &str = "DELETE FROM leases WHERE network = ?1 AND vm = ?2 AND nic = ?3";

const INSERT_DAMAGED: &str = "
    INSERT INTO damaged (found, reason, network, vm, nic, version, value, checksum)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
";
