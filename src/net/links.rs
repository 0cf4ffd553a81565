//! The links of this node, as the kernel's rtnetlink tells them. No privilege is needed.

use std::io;

use crate::wire::Mac;

/// One network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name now; a rename keeps the index.
    pub name: String,
    /// Its index, unique in the network namespace while it exists.
    pub ifindex: u32,
    /// Its Ethernet address, if it has one.
    pub mac: Option<Mac>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is set up and has a carrier.
    pub up: bool,
}

/// What happened to the node's links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// All links, at the start and whenever changes may have been missed.
    Snapshot(Vec<Link>),
    /// A link is new, or differs from what was told before.
    Changed(Link),
    /// A link is gone.
    Removed {
        /// The index that it had.
        ifindex: u32,
        /// The name that it had.
        name: String,
    },
}

/// Tells a snapshot of all links, then every change.
#[derive(Debug)]
pub struct LinkWatcher {}

impl LinkWatcher {
    /// Starts to listen. Must be called inside the runtime.
    ///
    /// # Errors
    /// If no netlink socket can be had.
    pub fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for the next event. Can be cancelled and called again: nothing is lost.
    ///
    /// # Errors
    /// If the netlink connection is lost; the next call opens a new one and tells a snapshot.
    pub async fn next(&mut self) -> io::Result<LinkEvent> {
        std::future::pending().await
    }

    /// Returns a handle for single questions, which may be asked while [`Self::next`] waits.
    #[must_use]
    pub fn queries(&self) -> LinkQueries {
        LinkQueries {}
    }
}

/// Asks the kernel for one link. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LinkQueries {}

impl LinkQueries {
    /// Returns the link with this index, `None` if there is none.
    ///
    /// # Errors
    /// If the kernel could not be asked.
    pub async fn by_index(&self, ifindex: u32) -> io::Result<Option<Link>> {
        let _ = ifindex;
        Ok(None)
    }

    /// Returns the link with this name, `None` if there is none.
    ///
    /// # Errors
    /// If the kernel could not be asked.
    pub async fn by_name(&self, name: &str) -> io::Result<Option<Link>> {
        let _ = name;
        Ok(None)
    }
}
