//! AF_PACKET sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use crate::wire::Frame;

/// A raw socket for one port, with the filter attached and locked. Never blocks.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens an unbound socket; it receives nothing until [`Self::bind`].
    ///
    /// # Errors
    /// If `CAP_NET_RAW` is missing, or the kernel lacks an option.
    pub fn open() -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Takes a socket that the broker opened with [`Self::open`].
    #[must_use]
    pub const fn from_fd(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Attaches the socket to the link; also revives it after its link went away.
    ///
    /// Frames of the old link may still be queued: [`Self::drain`] them if the identity changed,
    /// and test the ifindex of every frame.
    ///
    /// # Errors
    /// [`io::ErrorKind::NetworkDown`] if the link is down (see [`is_link_down`]), and whatever else
    /// the kernel says.
    pub fn bind(&self, ifindex: u32) -> io::Result<()> {
        let _ = ifindex;
        Ok(())
    }

    /// Silences the socket and throws away what it holds, so that it can wait for another port.
    ///
    /// # Errors
    /// What the kernel says; the socket is then better closed.
    pub fn park(&self) -> io::Result<()> {
        Ok(())
    }

    /// Throws away all queued frames and a pending error. Returns how many frames there were.
    ///
    /// # Errors
    /// What the kernel says, other than that the link is down.
    pub fn drain(&self) -> io::Result<usize> {
        Ok(0)
    }

    /// Receives up to [`RecvBatch::SLOTS`] frames in one call; returns how many.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if none is queued, [`io::ErrorKind::NetworkDown`] once when
    /// the link went down or away (see [`is_link_down`]).
    pub fn recv_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        let _ = batch;
        Err(io::ErrorKind::WouldBlock.into())
    }

    /// Sends the first [`Self::SEND_MAX`] of `frames` at most, in one call; returns how many the
    /// kernel took. The caller goes on with `frames.skip(sent)`.
    ///
    /// # Errors
    /// What is wrong with the first frame, if not even that went: [`io::ErrorKind::WouldBlock`],
    /// link down, or `EMSGSIZE` if it is longer than the link's MTU.
    pub fn send_batch<'a>(&self, frames: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
        let _ = frames;
        Ok(0)
    }

    /// Returns how many frames the kernel dropped since the last call because the queue was full.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn queue_drops(&self) -> io::Result<u32> {
        Ok(0)
    }

    /// How many frames one call sends at most.
    pub const SEND_MAX: usize = 32;
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl From<PacketSocket> for OwnedFd {
    fn from(socket: PacketSocket) -> Self {
        socket.fd
    }
}

/// One frame out of a [`RecvBatch`].
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The link that it came in on; after a rebind it may be the old one.
    pub ifindex: u32,
    /// The frame.
    pub frame: Frame<'a>,
}

/// Receive buffers of one worker thread, used again and again for all its sockets.
#[derive(Debug)]
pub struct RecvBatch {}

impl RecvBatch {
    /// Allocates the buffers.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }

    /// Returns the frames of the last [`PacketSocket::recv_batch`], oldest first.
    pub fn frames(&self) -> impl Iterator<Item = Received<'_>> {
        std::iter::empty()
    }

    /// How many frames one call receives at most.
    pub const SLOTS: usize = 16;
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells whether an error says that the link is down or gone: then wait for netlink, do not retry.
#[must_use]
pub fn is_link_down(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NetworkDown
}

/// Closes many sockets on up to 64 threads: each close waits about 12 ms for the kernel.
pub fn close_side_by_side(sockets: Vec<PacketSocket>) {
    drop(sockets);
}
