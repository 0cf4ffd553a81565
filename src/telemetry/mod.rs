//! What watches the daemon: metrics, the small HTTP server that shows them, and log lines.
//!
//! Nothing here may wait for a reader: counting is an atomic addition, a log line that finds no
//! room is dropped and counted. No label and no control character comes from a guest.

pub mod http;
mod journal;
mod limiter;
pub mod logging;
mod metrics;
mod panics;

pub use limiter::LogLimiter;
pub use metrics::{
    ConsumeCount, FamilyCounts, Metrics, NetworkCounts, NetworkMetrics, PortCount, SourceState,
    StoreMetrics, StoreOperation,
};
pub use panics::{Panic, limit_panics};
