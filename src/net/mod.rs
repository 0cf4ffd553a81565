//! Packet sockets on VM-facing ports, the filter in front of them, and the links of this node.
//!
//! It knows frames and interface indexes; it knows no protocol, no lease and no port identity.

mod async_socket;
mod filter;
mod links;
mod packet_socket;

pub use async_socket::{AsyncPacketSocket, Readable};
pub use filter::Filter;
pub use links::{Link, LinkEvent, LinkKind, LinkWatcher};
pub use packet_socket::{PacketSocket, Received, RecvBatch, Way, close_side_by_side, is_link_down};

/// Asks the kernel for the index that an interface name has now.
#[must_use]
pub fn interface_index(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}
