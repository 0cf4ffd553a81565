//! One process becomes three.

#![expect(unsafe_code, reason = "fork, close_range and signal have no safe form; one call each")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process;

use caps::Capability;
use nix::libc;
use nix::sys::prctl;
use nix::sys::signal::{self, SigHandler, Signal};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};
use socket2::SockRef;

use super::{BrokerClient, RuleClient, rules, server};
use crate::sandbox;

/// Splits the process in three: a child that keeps `CAP_NET_RAW` and `CAP_DAC_OVERRIDE` and only
/// opens sockets; one that keeps `CAP_NET_ADMIN` and `CAP_DAC_OVERRIDE` and only installs rules; and
/// the caller, which comes back without any capability.
///
/// `unix_sockets` are the only paths that the first will ever connect to, 255 at most; beside them
/// the second finds the bridges of Open vSwitch. Must be called before any thread or runtime
/// exists, and by the thread that lives as long as the process: the children are killed when that
/// thread ends.
///
/// # Errors
/// If there is more than one thread, or the process cannot be split or drop its capabilities.
pub fn start(unix_sockets: Vec<PathBuf>) -> io::Result<(BrokerClient, RuleClient)> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other("starting the broker: the process has threads already"));
    }
    let sockets = split(SockType::SeqPacket, c"leasehold-broker", |channel| {
        sandbox::keep_capabilities(&[Capability::CAP_NET_RAW, Capability::CAP_DAC_OVERRIDE])?;
        sandbox::forbid_new_privileges()?;
        server::serve(channel.as_fd(), &unix_sockets)
    })?;
    let rules = split(SockType::Stream, c"leasehold-rules", |channel| {
        sandbox::hand_on_capabilities(&[Capability::CAP_NET_ADMIN, Capability::CAP_DAC_OVERRIDE])?;
        sandbox::forbid_new_privileges()?;
        let folders = unix_sockets.iter().filter_map(|socket| Some(socket.parent()?.to_owned()));
        rules::serve(channel.into(), folders.collect())
    })?;
    sandbox::drop_capabilities()?;
    sandbox::forbid_new_privileges()?;
    Ok((BrokerClient::new(sockets, unix_sockets), RuleClient::new(rules)))
}

/// Forks a child that is `role` on one end of a socket pair until its end; returns the other end,
/// which is non-blocking.
fn split(
    kind: SockType,
    name: &CStr,
    role: impl FnOnce(OwnedFd) -> io::Result<()>,
) -> io::Result<OwnedFd> {
    let (ours, theirs) = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC)?;
    SockRef::from(&ours).set_nonblocking(true)?;
    let responder = getpid();
    // SAFETY: the process has one thread, as counted by the caller: no lock is held by another one,
    // so the child may go on as any process.
    match unsafe { fork() }? {
        ForkResult::Child => {
            drop(ours);
            let run = || {
                prepare(responder, name, theirs.as_fd()).and_then(|alive| match alive {
                    Alive::Yes => role(theirs),
                    Alive::No => Ok(()),
                })
            };
            // A panic must not unwind into the responder's code.
            let end = catch_unwind(AssertUnwindSafe(run));
            let failed = match end {
                Ok(Ok(())) => 0,
                Ok(Err(error)) => {
                    eprintln!("leasehold: {}: {error}", name.to_string_lossy());
                    1
                }
                Err(_) => 1,
            };
            process::exit(failed)
        }
        ForkResult::Parent { .. } => Ok(ours),
    }
}

/// Whether the responder lives.
enum Alive {
    Yes,
    No,
}

/// Makes a child a process of its own, which ends with the responder.
fn prepare(responder: Pid, name: &CStr, channel: BorrowedFd<'_>) -> io::Result<Alive> {
    prctl::set_name(name)?;
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != responder {
        // It ended before the signal was asked for.
        return Ok(Alive::No);
    }
    // It ends with the responder, which may have work to do after these.
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        // SAFETY: ignoring a signal installs no code that could run.
        unsafe { signal::signal(signal, SigHandler::SigIgn) }?;
    }
    close_all_but(channel)?;
    Ok(Alive::Yes)
}

/// Closes every descriptor but the standard three and `kept`.
fn close_all_but(kept: BorrowedFd<'_>) -> io::Result<()> {
    let kept = u32::try_from(kept.as_raw_fd()).map_err(io::Error::other)?;
    for (first, last) in [(FIRST_OTHER, kept.saturating_sub(1)), (kept + 1, u32::MAX)] {
        if first > last {
            continue;
        }
        // SAFETY: closing takes descriptors from values that the responder's code owned before the
        // fork; the broker never returns to that code, and its own are outside the range.
        if unsafe { libc::close_range(first, last, 0) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The first descriptor after standard input, output and error.
const FIRST_OTHER: u32 = 3;
