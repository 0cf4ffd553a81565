//! Packet sockets on VM-facing ports, the filter in front of them, and the links of this node.
//!
//! All `unsafe` of this module is in [`packet_socket`](PacketSocket), one call a block. It knows
//! frames and interface indexes; it knows no protocol, no lease and no port identity.

pub mod filter;
mod links;
mod packet_socket;

pub use links::{Link, LinkEvent, LinkQueries, LinkWatcher};
pub use packet_socket::{PacketSocket, Received, RecvBatch, close_side_by_side, is_link_down};
