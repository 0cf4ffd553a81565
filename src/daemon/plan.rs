//! What is to be done for one port, from what is known of it: a pure function of source, link and
//! networks.

use std::sync::Arc;

use crate::binding::PortFacts;
use crate::control::PortState;
use crate::discovery::{Port, PortStatus};
use crate::lease::LeaseKey;
use crate::net::{Link, LinkKind};
use crate::network::{self, Network};

/// What is to be done for one port.
#[derive(Debug, Clone, PartialEq)]
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
#[derive(Debug, Clone, PartialEq)]
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
    if let PortStatus::NoDevice(reason) = &port.status {
        return idle(PortState::NoDevice, reason, None);
    }
    let identity = match &port.identity {
        Ok(identity) => identity,
        Err(unidentified) => return idle(PortState::Unidentified, &unidentified.0, None),
    };
    let network = match network::choose(networks, port) {
        Ok(network) => Arc::clone(network),
        Err(reason) => return idle(PortState::NoNetwork, &reason, None),
    };
    if port.status == PortStatus::Inactive {
        let reason = "its row says iface-status=inactive: the VM is on another node";
        return idle(PortState::Inactive, reason, Some(network));
    }
    let Some(link) = link else {
        let reason = match &port.fault {
            None => NO_DEVICE.to_owned(),
            Some(fault) => format!("{NO_DEVICE} (the switch says: {fault})"),
        };
        return idle(PortState::NoDevice, &reason, Some(network));
    };
    if link.kind == LinkKind::WireTap {
        let reason = "a macvtap hands its guest what comes in from the wire alone, unless its mode \
                      is bridge; set that mode, or put the guest on a tap of a bridge";
        return idle(PortState::NoDevice, reason, Some(network));
    }
    let is_macvtap = link.kind == LinkKind::MacVtap;
    if is_macvtap && port.mac.is_some_and(|mac| link.mac != Some(mac)) {
        let reason = "the macvtap has another MAC than its guest, which gets nothing from it then";
        return idle(PortState::NoDevice, reason, Some(network));
    }
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
            // What is sent to another than the macvtap's own MAC leaves for the wire.
            mac: if is_macvtap { link.mac } else { port.mac },
            trunk_vlan,
            mtu: u16::try_from(link.mtu).unwrap_or(u16::MAX),
            is_macvtap,
        },
    })
}

const NO_DEVICE: &str = "no interface of this name on this node yet; it is served once it appears";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::{Identity, IdentityTrace, Unidentified};
    use crate::network::Match;
    use crate::network::tests::network;
    use crate::wire::Mac;

    const MAC: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

    fn blue() -> Arc<Network> {
        Arc::new(network("blue"))
    }

    /// An identified access port.
    fn port() -> Port {
        let identity = Identity {
            vm: "demo/web-1".parse().unwrap(),
            nic: "default".parse().unwrap(),
            trace: IdentityTrace::of("static".to_owned()),
        };
        Port { mac: Some(MAC), ..Port::new("tap0".to_owned(), Ok(identity)) }
    }

    fn link(mtu: u32) -> Link {
        let (name, kind) = ("tap0".to_owned(), LinkKind::Other);
        Link { name, ifindex: 7, mac: None, mtu, up: true, kind, master: None }
    }

    fn service(network: Arc<Network>, trunk_vlan: Option<u16>, mtu: u16) -> Plan {
        Plan::Serve(Service {
            key: LeaseKey {
                network: network.name.clone(),
                vm: "demo/web-1".parse().unwrap(),
                nic: "default".parse().unwrap(),
            },
            network,
            ifindex: 7,
            facts: PortFacts { mac: Some(MAC), trunk_vlan, mtu, is_macvtap: false },
        })
    }

    fn idle(state: PortState, reason: &str, network: Option<Arc<Network>>) -> Plan {
        Plan::Idle { state, reason: reason.to_owned(), network }
    }

    #[test]
    fn a_port_with_identity_network_and_link_is_served() {
        assert_eq!(plan(&port(), Some(&link(1500)), &[blue()]), service(blue(), None, 1500));
    }

    #[test]
    fn an_mtu_beyond_what_ip_can_use_is_cut() {
        assert_eq!(plan(&port(), Some(&link(70_000)), &[blue()]), service(blue(), None, u16::MAX));
    }

    #[test]
    fn only_on_a_trunk_is_the_networks_tag_the_one_that_is_served() {
        let matcher = Match { vlan: Some(100), ..Match::default() };
        let tagged = Arc::new(Network { matcher, ..network("blue") });
        let networks = [Arc::clone(&tagged)];
        let access = Port { tag: Some(100), ..port() };
        let expected = service(Arc::clone(&tagged), None, 1500);
        assert_eq!(plan(&access, Some(&link(1500)), &networks), expected);
        let trunk = Port { is_trunk: true, ..port() };
        let expected = service(tagged, Some(100), 1500);
        assert_eq!(plan(&trunk, Some(&link(1500)), &networks), expected);
    }

    #[test]
    fn a_port_that_cannot_have_a_device_is_left_alone_before_it_is_named() {
        let status = PortStatus::NoDevice("vhost-user".to_owned());
        let unidentified = Err(Unidentified("nothing".to_owned()));
        let port = Port { status, identity: unidentified, ..port() };
        let expected = idle(PortState::NoDevice, "vhost-user", None);
        assert_eq!(plan(&port, Some(&link(1500)), &[blue()]), expected);
    }

    #[test]
    fn an_unidentified_port_is_listed_with_the_reason() {
        let port = Port { identity: Err(Unidentified("no vm-id".to_owned())), ..port() };
        let expected = idle(PortState::Unidentified, "no vm-id", None);
        assert_eq!(plan(&port, Some(&link(1500)), &[blue()]), expected);
    }

    #[test]
    fn a_port_that_no_network_fits_is_listed_with_the_reason() {
        let reason = "no network is configured; add a file to networks-dir";
        let expected = idle(PortState::NoNetwork, reason, None);
        assert_eq!(plan(&port(), Some(&link(1500)), &[]), expected);
    }

    #[test]
    fn an_inactive_port_is_left_alone_although_its_link_is_there() {
        let port = Port { status: PortStatus::Inactive, ..port() };
        let reason = "its row says iface-status=inactive: the VM is on another node";
        let expected = idle(PortState::Inactive, reason, Some(blue()));
        assert_eq!(plan(&port, Some(&link(1500)), &[blue()]), expected);
    }

    #[test]
    fn a_macvtap_is_served_by_its_own_mac_if_its_guest_can_be_reached() {
        let reason_of = |link: &Link| match plan(&port(), Some(link), &[blue()]) {
            Plan::Idle { state, reason, .. } => {
                assert_eq!(state, PortState::NoDevice);
                reason
            }
            Plan::Serve(_) => panic!("it is served"),
        };
        let macvtap = |kind, mac| Link { kind, mac: Some(mac), ..link(1500) };
        let reason = reason_of(&macvtap(LinkKind::WireTap, MAC));
        assert!(reason.starts_with("a macvtap hands its guest"), "{reason}");
        let other = Mac([0x52, 0x54, 0, 0, 0, 1]);
        let reason = reason_of(&macvtap(LinkKind::MacVtap, other));
        assert!(reason.starts_with("the macvtap has another MAC"), "{reason}");

        let unknown = Port { mac: None, ..port() };
        let link = macvtap(LinkKind::MacVtap, other);
        let Plan::Serve(service) = plan(&unknown, Some(&link), &[blue()]) else {
            panic!("it is not served")
        };
        assert_eq!((service.facts.mac, service.facts.is_macvtap), (Some(other), true));
    }

    #[test]
    fn a_port_without_a_link_waits_for_it() {
        let reason = "no interface of this name on this node yet; it is served once it appears";
        let expected = idle(PortState::NoDevice, reason, Some(blue()));
        assert_eq!(plan(&port(), None, &[blue()]), expected);
        let port = Port { fault: Some("No such device".to_owned()), ..port() };
        let reason = format!("{reason} (the switch says: No such device)");
        let expected = idle(PortState::NoDevice, &reason, Some(blue()));
        assert_eq!(plan(&port, None, &[blue()]), expected);
    }
}
