//! Who holds which addresses: keys, leases and the table that hands them out.
//!
//! Identity comes from the port: a lease is keyed by network, VM and NIC, never by a MAC, a client
//! identifier or a DUID. Pure: the table is given the time and says what must be made durable.

mod edit;
mod holders;
mod holding;
mod name;
mod outside;
mod prefix;
mod runs;
mod seen;
mod slots;
mod table;

pub use edit::{Edit, EditError};
pub use holding::{Holding, NoHolding};
pub use name::{NameError, NetworkName, NicName, VmId};
pub use table::{Assignment, Family, LeaseChange, LeaseTable, NoAddress, Occasion, Usage};

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use crate::time::Wall;

/// What a lease is keyed by: one NIC of one VM on one network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeaseKey {
    /// The network that the addresses belong to.
    pub network: NetworkName,
    /// The VM, by its lasting name.
    pub vm: VmId,
    /// Which of the VM's interfaces.
    pub nic: NicName,
}

impl LeaseKey {
    /// Returns the key of what is held for whichever NIC of the VM asks first.
    #[must_use]
    pub fn for_any_nic(&self) -> Self {
        Self { nic: NicName::any(), ..self.clone() }
    }
}

/// What one NIC of one VM holds on one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Lease {
    /// Whose lease it is.
    #[serde(flatten)]
    pub key: LeaseKey,
    /// The IPv4 address: `yiaddr`.
    pub ipv4: Option<Ipv4Addr>,
    /// The IPv6 address: the IA Address of the first IA_NA.
    pub ipv6: Option<Ipv6Addr>,
    /// The delegated prefix: the IA Prefix.
    pub prefix: Option<Ipv6Net>,
    /// The host name that goes out in options 12, 81 and 39.
    pub hostname: Option<String>,
    /// When the lease was made.
    pub created: Wall,
    /// The node to which the VM came last: where it was heard, not where it was only expected.
    pub node: String,
    /// When it came to a port there: the last arrival (clause D3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arrived: Option<Wall>,
    /// When the guest was last heard. On disk, and on other nodes, it is older: it is not written
    /// at every packet.
    pub last_seen: Option<Wall>,
    /// Whether the guest declined an address as in use by somebody else.
    pub conflict: bool,
}

impl Lease {
    /// Tells whether both say the same, whenever the guest was heard.
    #[must_use]
    pub fn is_same_but_for_last_seen(&self, other: &Self) -> bool {
        Self { last_seen: other.last_seen, ..self.clone() } == *other
    }
}

/// The addresses and the prefix that a damaged row of a store names: they may be in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// The network that the addresses belong to.
    pub network: NetworkName,
    /// The NIC that the row names, as far as it can be read.
    pub owner: Option<LeaseKey>,
    /// The row's IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// The row's IPv6 address.
    pub ipv6: Option<Ipv6Addr>,
    /// The row's delegated prefix.
    pub prefix: Option<Ipv6Net>,
}
