//! Packet sockets ahead of need.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::BrokerClient;
use crate::net::{Filter, PacketSocket};

/// Keeps spare packet sockets, no more than one batch for each filter.
#[derive(Debug)]
pub struct SocketPool {
    broker: BrokerClient,
    /// Never held across an await.
    spare: Mutex<Vec<PacketSocket>>,
    /// Held while the broker is asked, so that ports that come together share a batch.
    refill: tokio::sync::Mutex<()>,
}

impl SocketPool {
    /// Makes an empty pool.
    #[must_use]
    pub fn new(broker: BrokerClient) -> Self {
        Self { broker, spare: Mutex::new(Vec::new()), refill: tokio::sync::Mutex::new(()) }
    }

    /// Has at least `spare` sockets behind `filter` ready, asked for in batches; for a start with many
    /// ports.
    ///
    /// # Errors
    /// As [`BrokerClient::sockets`].
    pub async fn prepare(&self, filter: Filter, spare: usize) -> io::Result<()> {
        let _turn = self.refill.lock().await;
        loop {
            let ready = self.spare().iter().filter(|socket| socket.filter() == filter).count();
            let missing = spare.saturating_sub(ready);
            if missing == 0 {
                return Ok(());
            }
            let sockets = self.broker.sockets(filter, missing).await?;
            self.spare().extend(sockets);
        }
    }

    /// Takes an unbound socket behind `filter`; asks the broker for a small batch if there
    /// is none.
    ///
    /// # Errors
    /// As [`BrokerClient::sockets`].
    pub async fn take(&self, filter: Filter) -> io::Result<PacketSocket> {
        loop {
            if let Some(socket) = self.take_spare(filter) {
                return Ok(socket);
            }
            self.prepare(filter, BATCH).await?;
        }
    }

    /// Empties the pool, so that its sockets can be closed side by side at exit.
    pub fn take_all(&self) -> Vec<PacketSocket> {
        std::mem::take(&mut *self.spare())
    }

    fn take_spare(&self, filter: Filter) -> Option<PacketSocket> {
        let mut spare = self.spare();
        let place = spare.iter().rposition(|socket| socket.filter() == filter)?;
        Some(spare.swap_remove(place))
    }

    fn spare(&self) -> MutexGuard<'_, Vec<PacketSocket>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many sockets are asked for when a port needs one and none is left.
const BATCH: usize = 8;
