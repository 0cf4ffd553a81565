//! Sockets of ports that went, closed where nobody waits for it.
//!
//! Closing a packet socket waits for the kernel for about 12 ms, and so does binding one anew that
//! is bound already. So the socket of a port that went is not used again: it is closed here, side
//! by side with the others that went meanwhile, and the next port gets a fresh one.

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use crate::net::{PacketSocket, close_side_by_side};

/// Closes sockets. There are never more of them under way than there were ports.
pub(super) struct Closing {
    sockets: mpsc::UnboundedSender<PacketSocket>,
    task: JoinHandle<()>,
}

impl Closing {
    /// Begins with nothing to close. Must be called inside the runtime.
    pub(super) fn start() -> Self {
        let (sockets, mut given) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            let mut batch = Vec::new();
            while given.recv_many(&mut batch, usize::MAX).await > 0 {
                let batch = std::mem::take(&mut batch);
                // It fails only if the runtime ends first; the sockets are closed all the same.
                let _ = spawn_blocking(|| close_side_by_side(batch)).await;
            }
        });
        Self { sockets, task }
    }

    /// Has a socket closed soon.
    pub(super) fn close(&self, socket: PacketSocket) {
        // If the task has ended, the socket comes back with the error, and is closed here.
        drop(self.sockets.send(socket));
    }

    /// Waits until all are closed.
    pub(super) async fn end(self) {
        drop(self.sockets);
        let _ = self.task.await;
    }
}
