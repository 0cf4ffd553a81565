//! The responder's side of the broker.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::net::PacketSocket;

/// Asks the broker. Cheap to clone; requests of all clones are served one after another.
#[derive(Debug, Clone)]
pub struct BrokerClient {}

impl BrokerClient {
    /// How many sockets one request gives at most.
    pub const SOCKETS_MAX: usize = 64;

    /// Has `count` packet sockets opened, at most [`Self::SOCKETS_MAX`].
    ///
    /// # Errors
    /// What the broker says (`CAP_NET_RAW` is missing, out of descriptors), or that it has ended.
    pub async fn sockets(&self, count: usize) -> io::Result<Vec<PacketSocket>> {
        let _ = count;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Has a stream to a Unix socket connected; the stream is non-blocking.
    ///
    /// # Errors
    /// If the path was not named to [`start`](super::start), what the broker's `connect` said, or
    /// that the broker has ended.
    pub async fn connect_unix(&self, path: &Path) -> io::Result<UnixStream> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
}
