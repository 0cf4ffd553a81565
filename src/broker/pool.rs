//! Packet sockets ahead of need.

use std::io;

use super::BrokerClient;
use crate::net::PacketSocket;

/// Keeps spare packet sockets, and takes those of ports that went. Share it in an `Arc`.
#[derive(Debug)]
pub struct SocketPool {}

impl SocketPool {
    /// Makes an empty pool.
    #[must_use]
    pub fn new(broker: BrokerClient) -> Self {
        let _ = broker;
        Self {}
    }

    /// Has at least `spare` sockets ready, asked for in batches; for a start with many ports.
    ///
    /// # Errors
    /// As [`BrokerClient::sockets`].
    pub async fn prepare(&self, spare: usize) -> io::Result<()> {
        let _ = spare;
        Ok(())
    }

    /// Takes an unbound or parked socket; asks the broker for a small batch if there is none.
    ///
    /// # Errors
    /// As [`BrokerClient::sockets`].
    pub async fn take(&self) -> io::Result<PacketSocket> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Parks a socket for the next port; one that cannot be parked is closed.
    pub fn give_back(&self, socket: PacketSocket) {
        drop(socket);
    }

    /// Empties the pool, so that its sockets can be closed side by side at exit.
    pub fn take_all(&self) -> Vec<PacketSocket> {
        Vec::new()
    }
}
