//! Descriptors out of a received message, and into the runtime.

#![expect(unsafe_code, reason = "a descriptor is a number; who owns it is the caller's word")]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use nix::sys::socket::{ControlMessageOwned, RecvMsg};
use tokio::io::unix::AsyncFd;

/// Takes ownership of the descriptors that came with `message`, which is spent by that.
pub(super) fn received(message: RecvMsg<'_, '_, ()>) -> io::Result<Vec<OwnedFd>> {
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = control {
            descriptors.extend(numbers.into_iter().map(|number| {
                // SAFETY: the kernel made this descriptor for us with this message, and nobody
                // else in the process knows its number.
                unsafe { OwnedFd::from_raw_fd(number) }
            }));
        }
    }
    Ok(descriptors)
}

/// Lets the runtime wait for a descriptor while it is borrowed. Must be called inside the runtime.
pub(super) fn watched(fd: BorrowedFd<'_>) -> io::Result<AsyncFd<BorrowedFd<'_>>> {
    // SAFETY: the borrow keeps the descriptor open and the same for as long as the value lives.
    let watched = unsafe { AsyncFd::register(fd) };
    Ok(watched?)
}
