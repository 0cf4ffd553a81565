//! The privileged side: one request after another, until the responder is gone.
//!
//! It reads requests and nothing else; no byte that a guest sent comes near it.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::socket::{self, ControlMessage, MsgFlags};
use socket2::{Domain, SockAddr, Socket, Type};

use super::protocol::{Refusal, Request, encode_answer};
use crate::net::PacketSocket;

/// Answers requests on `channel` until its other end is closed.
///
/// # Errors
/// If the channel fails.
pub(super) fn serve(channel: BorrowedFd<'_>, unix_sockets: &[PathBuf]) -> io::Result<()> {
    // One byte more than a request, so that a longer message is seen as such.
    let mut bytes = [0; Request::LENGTH + 1];
    loop {
        let length = match socket::recv(channel.as_raw_fd(), &mut bytes, MsgFlags::empty()) {
            Ok(0) | Err(nix::Error::ECONNRESET) => return Ok(()),
            Ok(length) => length,
            Err(nix::Error::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        // The other side is our own code: a message that it cannot have sent is not answered.
        let Some((id, request)) = bytes.get(..length).and_then(Request::decode) else {
            continue;
        };
        match answer(channel, id, fulfil(request, unix_sockets)) {
            Err(nix::Error::EPIPE | nix::Error::ECONNRESET) => return Ok(()),
            other => other?,
        }
    }
}

fn fulfil(request: Request, unix_sockets: &[PathBuf]) -> Result<Vec<OwnedFd>, Refusal> {
    match request {
        Request::OpenSockets(filter, count) => (0..count)
            .map(|_| PacketSocket::open(filter).map(OwnedFd::from))
            .collect::<io::Result<_>>()
            .map_err(|error| refusal(&error, error.to_string())),
        Request::ConnectUnix(place) => {
            let Some(path) = unix_sockets.get(usize::from(place)) else {
                let text = "the broker was not started with this unix socket".to_owned();
                return Err(Refusal { errno: 0, text });
            };
            connect(path).map(|stream| vec![stream]).map_err(|error| {
                refusal(&error, format!("connecting to {}: {error}", path.display()))
            })
        }
    }
}

/// Connects without waiting: a server that does not accept must not hold up the broker.
fn connect(path: &Path) -> io::Result<OwnedFd> {
    let stream = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    stream.connect(&SockAddr::unix(path)?)?;
    Ok(stream.into())
}

fn answer(
    channel: BorrowedFd<'_>,
    id: u64,
    result: Result<Vec<OwnedFd>, Refusal>,
) -> nix::Result<()> {
    let (descriptors, refusal) = match result {
        Ok(descriptors) => (descriptors, None),
        Err(refusal) => (Vec::new(), Some(refusal)),
    };
    let bytes = encode_answer(id, refusal.as_ref());
    let raw: Vec<_> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let rights = if raw.is_empty() { &[][..] } else { &rights };
    let bytes = [IoSlice::new(&bytes)];
    socket::sendmsg::<()>(channel.as_raw_fd(), &bytes, rights, MsgFlags::MSG_NOSIGNAL, None)?;
    Ok(())
}

fn refusal(error: &io::Error, text: String) -> Refusal {
    let errno = match error.kind() {
        // `open` wraps the number into its text; the kind tells the case that matters.
        io::ErrorKind::PermissionDenied => nix::libc::EPERM,
        _ => error.raw_os_error().unwrap_or(0),
    };
    Refusal { errno, text }
}
