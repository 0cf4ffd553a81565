//! A port joined with its lease and its network: what is being served there now.
//!
//! The control path makes a [`Binding`] after the lease is durable and hands it to the port's task
//! as an `Arc`, replaced whole. The packet path reads it and nothing else.

use crate::lease::LeaseKey;
use crate::network::Parameters;
use crate::wire::Mac;
use crate::{dhcpv4, dhcpv6, nd};

/// What one port serves.
#[derive(Debug)]
pub struct Binding {
    /// Whose lease is served.
    pub key: LeaseKey,
    /// The only MAC that the guest may use; `None`: any.
    pub mac: Option<Mac>,
    /// On a trunk port, the tag whose frames are served; `None`: a tagged frame is dropped.
    pub trunk_vlan: Option<u16>,
    /// The port's MTU, without the Ethernet header.
    pub mtu: u16,
    /// As [`PortFacts::is_macvtap`].
    pub is_macvtap: bool,
    /// The gateway's and our own MAC.
    pub source_mac: Mac,
    /// DHCPv4; `None`: no `[ipv4]`.
    pub dhcpv4: Option<dhcpv4::Profile>,
    /// DHCPv6; `None`: no `[ipv6]`.
    pub dhcpv6: Option<dhcpv6::Profile>,
    /// Router advertisements; `None`: no `[ipv6]`.
    pub ra: Option<nd::Profile>,
    /// What is answered for the gateway's and the server's addresses.
    pub neighbors: nd::Neighbors,
    /// What the guest is told on its arrival.
    pub announcements: nd::Announcements,
    /// What the guest is asked that may be there already.
    pub questions: nd::Questions,
}

/// What the port itself is, as its source and the kernel say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortFacts {
    /// The only MAC that the guest may use; `None`: any.
    pub mac: Option<Mac>,
    /// On a trunk port, the tag whose frames are served.
    pub trunk_vlan: Option<u16>,
    /// The port's MTU, without the Ethernet header.
    pub mtu: u16,
    /// Whether it is a macvtap: what its guest sends leaves through it, and of what is sent there
    /// the guest gets what is for its own MAC, and no group's.
    pub is_macvtap: bool,
}

impl Binding {
    /// Encodes everything that `parameters` hold, once, so that the packet path only copies.
    #[must_use]
    pub fn new(key: LeaseKey, port: &PortFacts, parameters: &Parameters) -> Self {
        let neighbors = nd::Neighbors::new(parameters);
        Self {
            key,
            mac: port.mac,
            trunk_vlan: port.trunk_vlan,
            mtu: port.mtu,
            is_macvtap: port.is_macvtap,
            source_mac: parameters.gateway.source_mac,
            dhcpv4: dhcpv4::Profile::new(parameters),
            dhcpv6: dhcpv6::Profile::new(parameters),
            ra: nd::Profile::new(parameters, port.mtu),
            announcements: nd::Announcements::new(parameters),
            questions: nd::Questions::new(parameters, &neighbors, port.mac),
            neighbors,
        }
    }
}
