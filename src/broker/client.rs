//! The responder's side of the broker.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::socket::{self, MsgFlags};
use tokio::io::Interest;
use tokio::sync::Mutex;

use super::descriptors;
use super::protocol::{ANSWER_MAX, Refusal, Request, SOCKETS_MAX, decode_answer};
use crate::net::{Filter, PacketSocket};

/// Asks the broker. Cheap to clone; requests of all clones are served one after another.
#[derive(Debug, Clone)]
pub struct BrokerClient {
    channel: Arc<Mutex<Channel>>,
    unix_sockets: Arc<[PathBuf]>,
}

impl BrokerClient {
    /// Takes the responder's end of the pair; it must be non-blocking.
    pub(super) fn new(channel: OwnedFd, unix_sockets: Vec<PathBuf>) -> Self {
        let channel = Channel { fd: channel, last_id: 0 };
        Self { channel: Arc::new(Mutex::new(channel)), unix_sockets: unix_sockets.into() }
    }

    /// Has `count` packet sockets opened behind `filter`, 1 to 64; other counts are brought into that
    /// range.
    ///
    /// # Errors
    /// What the broker says (`CAP_NET_RAW` is missing, out of descriptors), or that it has ended.
    pub async fn sockets(&self, filter: Filter, count: usize) -> io::Result<Vec<PacketSocket>> {
        let count = u8::try_from(count).unwrap_or(SOCKETS_MAX).clamp(1, SOCKETS_MAX);
        let descriptors = self.ask(Request::OpenSockets(filter, count), count).await?;
        Ok(descriptors.into_iter().map(|fd| PacketSocket::from_fd(fd, filter)).collect())
    }

    /// Has a stream to a Unix socket connected; the stream is non-blocking.
    ///
    /// # Errors
    /// If the path was not named to [`start`](super::start), what the broker's `connect` said, or
    /// that the broker has ended.
    pub async fn connect_unix(&self, path: &Path) -> io::Result<UnixStream> {
        let place = self.unix_sockets.iter().position(|one| one == path);
        let Some(place) = place.and_then(|place| u8::try_from(place).ok()) else {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!(
                    "connecting to {}: the broker was not started with this path; a restart makes \
                     it known",
                    path.display()
                ),
            ));
        };
        let descriptors = self.ask(Request::ConnectUnix(place), 1).await?;
        descriptors.into_iter().next().map(UnixStream::from).ok_or_else(|| ended("no descriptor"))
    }

    /// Sends a request and waits for its answer, which must bring `count` descriptors.
    async fn ask(&self, request: Request, count: u8) -> io::Result<Vec<OwnedFd>> {
        let mut channel = self.channel.lock().await;
        let id = channel.next_id();
        let ready = descriptors::watched(channel.fd.as_fd())?;
        let bytes = request.encode(id);
        ready.async_io(Interest::WRITABLE, |fd| send(*fd, &bytes)).await?;
        loop {
            let answer = ready.async_io(Interest::READABLE, |fd| receive(*fd)).await?;
            if answer.id != id {
                // Its caller gave up waiting.
                continue;
            }
            return match answer.refusal {
                Some(Refusal { errno: 0, text }) => Err(io::Error::other(text)),
                Some(Refusal { errno, text }) => {
                    Err(io::Error::new(io::Error::from_raw_os_error(errno).kind(), text))
                }
                None if answer.descriptors.len() == usize::from(count) => Ok(answer.descriptors),
                None => Err(io::Error::other(
                    "taking sockets from the broker: out of file descriptors; raise LimitNOFILE",
                )),
            };
        }
    }
}

#[derive(Debug)]
struct Channel {
    fd: OwnedFd,
    last_id: u64,
}

impl Channel {
    fn next_id(&mut self) -> u64 {
        self.last_id = self.last_id.wrapping_add(1);
        self.last_id
    }
}

struct Answer {
    id: u64,
    refusal: Option<Refusal>,
    descriptors: Vec<OwnedFd>,
}

fn send(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    match socket::send(fd.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL) {
        Ok(_) => Ok(()),
        Err(nix::Error::EPIPE | nix::Error::ECONNRESET) => Err(ended("its socket is closed")),
        Err(error) => Err(error.into()),
    }
}

fn receive(fd: BorrowedFd<'_>) -> io::Result<Answer> {
    let mut bytes = [0; ANSWER_MAX];
    let mut room = nix::cmsg_space!([RawFd; SOCKETS_MAX as usize]);
    let mut vector = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = socket::recvmsg::<()>(fd.as_raw_fd(), &mut vector, Some(&mut room), flags)
        .map_err(|error| match error {
            nix::Error::ECONNRESET => ended("its socket is closed"),
            other => other.into(),
        })?;
    let length = message.bytes;
    let descriptors = descriptors::received(message)?;
    let (id, refusal) =
        bytes.get(..length).and_then(decode_answer).ok_or_else(|| ended("its socket is closed"))?;
    Ok(Answer { id, refusal, descriptors })
}

fn ended(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::BrokenPipe,
        format!(
            "asking the broker: it has ended ({why}); restart leasehold to have new ports served"
        ),
    )
}
