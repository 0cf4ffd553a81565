//! What `watch` is told.

use serde::{Deserialize, Serialize};

/// One line of a watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchEvent {
    /// The watch has begun, on so many ports; further ones are taken in as they appear.
    Begun {
        /// Ports that are served now and are watched.
        ports: usize,
    },
    /// Something went in or out.
    Exchange(Box<Watched>),
    /// So many exchanges were not told: the watcher was too slow.
    Missed {
        /// How many.
        exchanges: u64,
    },
}

/// A frame of the guest's with what became of it, or an advertisement that nobody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Watched {
    /// When it came, as RFC 3339 with microseconds.
    pub at: String,
    /// The interface.
    pub interface: String,
    /// The VM behind it.
    pub vm: String,
    /// Who sent the frame, if it was read that far.
    pub source: Option<String>,
    /// The protocol.
    pub protocol: String,
    /// What the guest sent; none: it was not asked for.
    pub message: Option<String>,
    /// `reply`, `note` or `drop`.
    pub verdict: String,
    /// The reply's type, a note, or a drop reason.
    pub outcome: String,
    /// What was learnt beside, if something was.
    pub note: Option<String>,
    /// Whether it showed that the VM has come to the port.
    #[serde(default)]
    pub arrived: bool,
    /// The first address that the reply gives.
    pub address: Option<String>,
    /// The outcome in words, where it is not a plain reply.
    pub explanation: Option<String>,
    /// The frames, if they were asked for.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub frames: Vec<WatchedFrame>,
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct WatchedFrame {
    /// When, in nanoseconds since 1970.
    pub at: u64,
    /// The frame with its VLAN tag, in hexadecimal.
    pub bytes: String,
}
