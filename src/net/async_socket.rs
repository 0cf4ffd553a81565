//! A packet socket that the runtime wakes.

#![expect(unsafe_code, reason = "AsyncFd needs our word that the descriptor stays")]

use std::io;

use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

use super::{PacketSocket, RecvBatch};

/// A [`PacketSocket`] inside the runtime. Waiting is separate from receiving, so that the batch can
/// be the worker thread's own: it is borrowed only between two awaits.
#[derive(Debug)]
pub struct AsyncPacketSocket {
    watched: AsyncFd<PacketSocket>,
}

impl AsyncPacketSocket {
    /// Hands the socket to the runtime. Must be called inside it.
    ///
    /// # Errors
    /// If the kernel cannot watch one descriptor more.
    pub fn new(socket: PacketSocket) -> io::Result<Self> {
        // Not for writing: every frame sent would wake the runtime once more.
        // SAFETY: the socket owns its descriptor, keeps the same one all its life, and is never
        // given out as `&mut`.
        let watched = unsafe { AsyncFd::register_with_interest(socket, WAKES) };
        Ok(Self { watched: watched? })
    }

    /// Waits until there is something to receive: frames, or the news that the link is down. Can
    /// be cancelled and called again.
    ///
    /// # Errors
    /// If the runtime is shutting down.
    pub async fn readable(&self) -> io::Result<Readable<'_>> {
        Ok(Readable { guard: self.watched.ready(WAKES).await? })
    }

    /// Returns the socket, to send or bind.
    #[must_use]
    pub fn socket(&self) -> &PacketSocket {
        self.watched.get_ref()
    }

    /// Takes the socket out of the runtime, to close it.
    #[must_use]
    pub fn into_socket(self) -> PacketSocket {
        self.watched.into_inner()
    }
}

/// One wake of an [`AsyncPacketSocket`].
#[derive(Debug)]
pub struct Readable<'a> {
    guard: AsyncFdReadyGuard<'a, PacketSocket>,
}

impl Readable<'_> {
    /// Receives one batch; returns how many frames it holds, 0 if there were none after all.
    ///
    /// A batch that is not full has emptied the queue: the next wait then sleeps, and costs no
    /// further call. After a full one it returns at once.
    ///
    /// # Errors
    /// Once that the link went down or away (see [`is_link_down`](super::is_link_down)).
    pub fn recv_batch(&mut self, batch: &mut RecvBatch) -> io::Result<usize> {
        let result = match self.guard.get_inner().recv_batch(batch) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            other => other,
        };
        // A frame that comes in meanwhile is a newer event, which this does not clear.
        if matches!(result, Ok(count) if count < RecvBatch::SLOTS) {
            self.guard.clear_ready();
        }
        result
    }
}

/// A link that goes down wakes as an error only.
const WAKES: Interest = Interest::READABLE.add(Interest::ERROR);
