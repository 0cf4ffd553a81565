//! What the two processes give up: capabilities, and the way to get them back; and memory that they
//! would keep for nothing.
//!
//! capabilities(7), prctl(2) `PR_SET_NO_NEW_PRIVS` and `PR_SET_DUMPABLE`, mallopt(3).
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "mallopt has no safe form"))]

use std::io;

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl;

/// Has the C library keep one heap for all threads, where it has one for each.
///
/// What one thread frees is then there for the others: the rows of thousands of ports are read by
/// one thread and served by all. The packet path allocates nothing, so nobody waits for the heap.
/// Must be called before there is a second thread. Where the C library is another one, it does
/// nothing.
pub fn share_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt takes two numbers and touches nothing of ours; there is one thread.
    unsafe {
        nix::libc::mallopt(nix::libc::M_ARENA_MAX, 1);
    }
}

/// Gives the kernel back the memory that was freed, which the C library would keep. Takes some
/// milliseconds: call it where nobody waits. Where the C library is another one, it does nothing.
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim takes a number, and touches only what was freed.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

/// Drops every capability from all sets of the calling thread and of threads that it makes later.
///
/// # Errors
/// If the kernel refuses.
pub fn drop_capabilities() -> io::Result<()> {
    keep_capabilities(&[])
}

/// Drops every capability but those of `wanted` that the thread has; they stay permitted and
/// effective, and are not handed on to another program.
///
/// # Errors
/// If the kernel refuses.
pub fn keep_capabilities(wanted: &[Capability]) -> io::Result<()> {
    restrict(wanted, &[]).map_err(refused)?;
    Ok(())
}

/// Drops every capability but those of `wanted` that the thread has, and hands these on to programs
/// that it runs.
///
/// # Errors
/// If the kernel refuses.
pub fn hand_on_capabilities(wanted: &[Capability]) -> io::Result<()> {
    let kept = restrict(wanted, wanted).map_err(refused)?;
    caps::set(None, CapSet::Inheritable, &kept).map_err(refused)?;
    caps::set(None, CapSet::Ambient, &kept).map_err(refused)
}

/// Leaves the thread with those of `wanted` that it has; programs that it runs can have no more
/// than `bounding`.
fn restrict(wanted: &[Capability], bounding: &[Capability]) -> Result<CapsHashSet, CapsError> {
    let permitted = caps::read(None, CapSet::Permitted)?;
    let kept: CapsHashSet = wanted.iter().copied().filter(|one| permitted.contains(one)).collect();
    // The bounding set first: CAP_SETPCAP is needed to drop from it. Without that it stays, which
    // gives nothing: no_new_privs keeps an executed program from gaining what it allows.
    if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
        for one in caps::read(None, CapSet::Bounding)?.into_iter() {
            if !bounding.contains(&one) {
                caps::drop(None, CapSet::Bounding, one)?;
            }
        }
    }
    caps::clear(None, CapSet::Ambient)?;
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::clear(None, CapSet::Inheritable)?;
    Ok(kept)
}

fn refused(error: CapsError) -> io::Error {
    io::Error::other(format!("dropping capabilities: {error}"))
}

/// Sets `no_new_privs`, and keeps other processes of the same user from reading this one.
///
/// # Errors
/// If the kernel refuses.
pub fn forbid_new_privileges() -> io::Result<()> {
    prctl::set_no_new_privs()?;
    prctl::set_dumpable(false)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs on a thread of its own: capabilities are the thread's.
    fn sets_after(give_up: fn() -> io::Result<()>) -> [CapsHashSet; 4] {
        let thread = std::thread::spawn(move || {
            give_up().unwrap();
            [CapSet::Ambient, CapSet::Effective, CapSet::Permitted, CapSet::Inheritable]
                .map(|set| caps::read(None, set).unwrap())
        });
        thread.join().unwrap()
    }

    #[test]
    fn after_dropping_no_set_holds_a_capability() {
        assert_eq!(
            sets_after(drop_capabilities),
            [const { None }; 4].map(Option::unwrap_or_default)
        );
    }

    #[test]
    fn what_is_kept_is_only_what_there_was() {
        let before = caps::read(None, CapSet::Permitted).unwrap();
        let wanted = [Capability::CAP_NET_RAW].into_iter().collect();
        let kept: CapsHashSet = before.intersection(&wanted).copied().collect();
        let none = CapsHashSet::default();
        assert_eq!(
            sets_after(|| keep_capabilities(&[Capability::CAP_NET_RAW])),
            [none.clone(), kept.clone(), kept, none]
        );
    }

    #[test]
    fn what_is_handed_on_is_ambient_and_only_what_there_was() {
        let before = caps::read(None, CapSet::Permitted).unwrap();
        let wanted = [Capability::CAP_NET_ADMIN].into_iter().collect();
        let kept: CapsHashSet = before.intersection(&wanted).copied().collect();
        assert_eq!(
            sets_after(|| hand_on_capabilities(&[Capability::CAP_NET_ADMIN])),
            [kept.clone(), kept.clone(), kept.clone(), kept]
        );
    }
}
