//! Where the lease file stands: who opens it next must find there what is written now.
//!
//! A file that is open can be written to the last even if it was deleted, replaced, or shut off by
//! its permissions; at the next start nothing of that would be found. So this is looked at before
//! every commit. It costs a few system calls, a commit waits for the disk.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

/// A file that is open, and its log.
#[derive(Debug)]
pub(super) struct Place {
    file: PathBuf,
    log: PathBuf,
    file_identity: Identity,
    /// None: there is no log yet.
    log_identity: Option<Identity>,
}

/// What is wrong with a place.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("it is no longer there: put it back")]
    Gone,
    #[error(
        "another file stands in its place: put the old one back, or restart leasehold to take \
         the new one"
    )]
    Replaced,
    /// Nothing is lost yet: what it held is still known to who has it open.
    #[error("its log is no longer there")]
    LogGone,
    #[error("its file system is read-only: mend it and make it writable")]
    ReadOnly,
    #[error("{0}: the user that runs leasehold must be able to write it and its directory")]
    NoPermission(io::Error),
    #[error("{0}")]
    System(io::Error),
}

impl Place {
    /// Notes which file stands there.
    ///
    /// # Errors
    /// The system's, if none can be seen.
    pub(super) fn of(file: &Path) -> io::Result<Self> {
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        let mut place = Self {
            file: file.to_owned(),
            log: log.into(),
            file_identity: identity(file)?,
            log_identity: None,
        };
        place.note_log();
        Ok(place)
    }

    /// Notes which log stands there, if one is there by now and was not before.
    pub(super) fn note_log(&mut self) {
        if self.log_identity.is_none() {
            self.log_identity = identity(&self.log).ok();
        }
    }

    /// Forgets the log: the next one is another file.
    pub(super) fn forget_log(&mut self) {
        self.log_identity = None;
    }

    /// Checks that the file stands where it stood, and could be opened and written.
    pub(super) fn check(&self) -> Result<(), Fault> {
        match identity(&self.file) {
            Ok(found) if found == self.file_identity => {}
            Ok(_) => return Err(Fault::Replaced),
            Err(error) => return Err(error.into()),
        }
        let directory = self.file.parent().unwrap_or(Path::new("/"));
        let search = AccessFlags::R_OK | AccessFlags::W_OK | AccessFlags::X_OK;
        access(directory, search)?;
        access(&self.file, AccessFlags::R_OK | AccessFlags::W_OK)?;
        match (self.log_identity, identity(&self.log)) {
            (None, _) => Ok(()),
            (Some(noted), Ok(found)) if noted == found => Ok(()),
            (Some(_), _) => Err(Fault::LogGone),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::Gone,
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly,
            io::ErrorKind::PermissionDenied => Self::NoPermission(error),
            _ => Self::System(error),
        }
    }
}

impl From<Errno> for Fault {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(file: &Path) -> io::Result<Identity> {
    // By name alone: who opens the file and closes it gives up this process's locks on it.
    fs::metadata(file).map(|metadata| (metadata.dev(), metadata.ino()))
}
