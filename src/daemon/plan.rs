//! What is to be done for one port, from what is known of it: a pure function of source, link and
//! networks.

use std::sync::Arc;

use crate::binding::PortFacts;
use crate::control::PortState;
use crate::discovery::{Port, PortStatus};
use crate::lease::LeaseKey;
use crate::net::Link;
use crate::network::{self, Network};

/// What is to be done for one port.
#[derive(Debug, Clone)]
pub(super) enum Plan {
    /// Answer its guest.
    Serve(Service),
    /// Leave it alone.
    Idle {
        /// As what it is listed.
        state: PortState,
        /// Why, in words.
        reason: String,
        /// The network, if one was chosen.
        network: Option<Arc<Network>>,
    },
}

/// How a port is to be served.
#[derive(Debug, Clone)]
pub(super) struct Service {
    /// Whose lease.
    pub(super) key: LeaseKey,
    /// By which template.
    pub(super) network: Arc<Network>,
    /// Where the socket is bound.
    pub(super) ifindex: u32,
    /// What the port is.
    pub(super) facts: PortFacts,
}

/// Decides about one port.
pub(super) fn plan(port: &Port, link: Option<&Link>, networks: &[Arc<Network>]) -> Plan {
    let idle =
        |state, reason: &str, network| Plan::Idle { state, reason: reason.to_owned(), network };
    match &port.status {
        PortStatus::NoDevice(reason) => return idle(PortState::NoDevice, reason, None),
        PortStatus::Active | PortStatus::Inactive => {}
    }
    let identity = match &port.identity {
        Ok(identity) => identity,
        Err(unidentified) => return idle(PortState::Unidentified, &unidentified.0, None),
    };
    let network = match network::choose(networks, port) {
        Ok(network) => Arc::clone(network),
        Err(reason) => return idle(PortState::NoNetwork, &reason, None),
    };
    match &port.status {
        PortStatus::Inactive => {
            let reason = "its row says iface-status=inactive: the VM is on another node";
            return idle(PortState::Inactive, reason, Some(network));
        }
        PortStatus::Active | PortStatus::NoDevice(_) => {}
    }
    let Some(link) = link else {
        let reason = "no interface of this name on this node yet; it is served once it appears";
        return idle(PortState::NoDevice, reason, Some(network));
    };
    // An access port's frames carry no tag; on a trunk the network's own tag is the one served.
    let trunk_vlan = if port.is_trunk { network.matcher.vlan } else { None };
    Plan::Serve(Service {
        key: LeaseKey {
            network: network.name.clone(),
            vm: identity.vm.clone(),
            nic: identity.nic.clone(),
        },
        network,
        ifindex: link.ifindex,
        facts: PortFacts {
            mac: port.mac,
            trunk_vlan,
            mtu: u16::try_from(link.mtu).unwrap_or(u16::MAX),
        },
    })
}
