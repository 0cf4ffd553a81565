//! Where metrics are read: begun at the start, moved by a reload.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::telemetry::Metrics;
use crate::telemetry::http::{self, BindError, Readiness};

/// Serves `/metrics`, `/healthz` and `/readyz` until it is dropped.
pub(super) struct MetricsServer {
    metrics: Arc<Metrics>,
    ready: Arc<AtomicBool>,
    /// Dropped, it ends the server; none: metrics are served nowhere.
    running: Option<oneshot::Sender<()>>,
}

impl MetricsServer {
    /// Makes one that is served nowhere yet; `/readyz` says what `ready` says.
    pub(super) fn new(metrics: Arc<Metrics>, ready: Arc<AtomicBool>) -> Self {
        Self { metrics, ready, running: None }
    }

    /// Serves at `address` from now on, or nowhere.
    ///
    /// # Errors
    /// [`BindError`] if that address cannot be had; it goes on where it was.
    pub(super) async fn listen(&mut self, address: Option<SocketAddr>) -> Result<(), BindError> {
        let Some(address) = address else {
            self.running = None;
            return Ok(());
        };
        let listener = http::bind(address).await?;
        let (running, dropped) = oneshot::channel::<()>();
        let ready = Arc::clone(&self.ready);
        let readiness = move || {
            if ready.load(Ordering::Relaxed) {
                Readiness::Ready
            } else {
                Readiness::NotReady("a source of ports has not answered yet".to_owned())
            }
        };
        let shutdown = async {
            // Nothing is ever sent: it ends when the other side is dropped.
            let _ = dropped.await;
        };
        tokio::spawn(http::serve(listener, Arc::clone(&self.metrics), readiness, shutdown));
        self.running = Some(running);
        Ok(())
    }
}
