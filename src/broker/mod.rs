//! The small privileged processes beside the responder, and how they part.
//!
//! ```text
//!   root or AmbientCapabilities
//!        |  start(): one fork, before any thread
//!        +----------------------------+
//!   responder, no capability     broker, CAP_NET_RAW and CAP_DAC_OVERRIDE
//!   reads guests' frames         reads ten-byte requests of the responder
//!        |  ------- OpenSockets, ConnectUnix ------->  |
//!        |  <------ descriptors by SCM_RIGHTS -------  |
//! ```
//!
//! A packet socket needs `CAP_NET_RAW` only when it is opened. A responder that a guest has taken
//! over can get more packet sockets, all with the locked filter, and connections to the Unix
//! sockets that were named at the start; a list that could grow later would let it reach any
//! root-only socket of the node, so a new path needs a restart. The broker ends when the responder
//! does. So does a second process, which installs the rules of `consume`: see `rules`.

mod client;
mod descriptors;
mod fork;
mod pool;
mod protocol;
mod rules;
mod server;

pub use client::BrokerClient;
pub use fork::start;
pub use pool::SocketPool;
pub use rules::{DeviceName, Rule, RuleChannel, RuleClient};

#[cfg(test)]
mod tests;
