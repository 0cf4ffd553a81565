//! What a guest that has just come is told, unasked: where the gateway is, and which routers there
//! are (clause D4).
//!
//! Each announcement is one frame to the guest's own MAC. The order is that of need: the gateway's
//! MAC, our router, and only then that the others are gone, so that the guest always has one.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::neighbors::{Solicited, ours};
use super::reply::last_header;
use super::{ALL_NODES, Neighbors, Profile};
use crate::network::Parameters;
use crate::wire::bytes::{Full, Writer};
use crate::wire::{Link, Mac, encode};

/// Everything that one NIC's guest is told on its arrival, in order.
#[derive(Debug)]
pub struct Announcements(Box<[Announcement]>);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Announcement {
    /// An ARP announcement (RFC 5227, section 2.3).
    Arp(ArpForm, Ipv4Addr),
    /// An unsolicited Neighbor Advertisement for this address (RFC 4861, section 7.2.6).
    Neighbor(Ipv6Addr),
    /// Our router advertisement, whole.
    Router,
    /// A last advertisement of a router that is no more, lifetime 0 (RFC 4861, section 6.2.5).
    Retired(Ipv6Addr),
}

/// Both forms are sent: some guests take note of the one only, some of the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArpForm {
    /// `ares_op$REQUEST`, as RFC 5227 has it.
    Request,
    /// `ares_op$REPLY`, both hardware addresses the sender's (RFC 5944, section 4.6).
    Reply,
}

impl Announcements {
    /// Takes from `parameters` what is to be announced.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        let gateway = &parameters.gateway;
        let ipv4 = parameters.ipv4.iter();
        let ipv4 = ipv4.flat_map(|ipv4| ours(ipv4.gateway, gateway.announce, ipv4.server_id));
        let arp = ipv4.flatten().flat_map(|address| {
            [ArpForm::Request, ArpForm::Reply].map(|form| Announcement::Arp(form, address))
        });
        let ipv6 = parameters.ipv6.iter();
        let neighbors =
            ipv6.clone().flat_map(|ipv6| ours(ipv6.gateway, gateway.announce, ipv6.link_local));
        let neighbors = neighbors.flatten().map(Announcement::Neighbor);
        let routers = ipv6.flat_map(|_| {
            let retired = gateway.retire.iter().map(|router| Announcement::Retired(*router));
            [Announcement::Router].into_iter().chain(retired)
        });
        Self(arp.chain(neighbors).chain(routers).collect())
    }

    /// Returns one of them, counted from 0.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<Announcement> {
        self.0.get(place).copied()
    }
}

/// Writes an ARP announcement of `address` as a whole frame. Returns its length, 0 if it does not
/// fit.
#[must_use]
pub fn write_arp_announcement(
    frame: &mut [u8],
    link: Link,
    (form, address): (ArpForm, Ipv4Addr),
) -> usize {
    let mut put = || {
        let mut writer = Writer::new(frame.get_mut(encode::ARP_OFFSET..).unwrap_or_default());
        let (operation, target) = match form {
            ArpForm::Request => (1, Mac::default()),
            ArpForm::Reply => (2, link.source),
        };
        writer.bytes(&ETHERNET_IPV4)?;
        writer.u16(operation)?;
        writer.bytes(&link.source.0)?;
        writer.bytes(&address.octets())?;
        writer.bytes(&target.0)?;
        writer.bytes(&address.octets())
    };
    match put() {
        Ok(()) => encode::arp(frame, link),
        Err(Full) => 0,
    }
}

/// Writes an unsolicited Neighbor Advertisement for `target` as a whole frame. Returns its length,
/// 0 if it does not fit.
#[must_use]
pub fn write_unsolicited_advertisement(
    frame: &mut [u8],
    link: Link,
    (neighbors, target): (&Neighbors, Ipv6Addr),
) -> usize {
    let out = frame.get_mut(encode::ICMPV6_OFFSET..).unwrap_or_default();
    // To all nodes, as to one that probes: S clear, O set.
    match neighbors.write_advertisement(target, Solicited::ByProbe, out) {
        Ok(length) => encode::icmpv6(frame, link, target, ALL_NODES, length),
        Err(Full) => 0,
    }
}

/// Writes the last advertisement of `router` as a whole frame. Returns its length, 0 if it does not
/// fit.
///
/// A guest knows a router by its link-local address; there is no option.
#[must_use]
pub fn write_last_advertisement(
    frame: &mut [u8],
    link: Link,
    (ours, router): (&Profile, Ipv6Addr),
) -> usize {
    let mut put = || {
        let mut writer = Writer::new(frame.get_mut(encode::ICMPV6_OFFSET..)?);
        writer.bytes(&last_header(Some(ours))).ok()?;
        Some(writer.len())
    };
    put().map_or(0, |length| encode::icmpv6(frame, link, router, ALL_NODES, length))
}

/// `ar$hrd` 1, `ar$pro` 0x0800, `ar$hln` 6, `ar$pln` 4.
pub(super) const ETHERNET_IPV4: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nd::tests::{GATEWAY_V4, gateway_v6, parameters};

    fn all(parameters: &Parameters) -> Vec<Announcement> {
        let announcements = Announcements::new(parameters);
        (0..).map_while(|place| announcements.get(place)).collect()
    }

    fn arp(address: Ipv4Addr) -> [Announcement; 2] {
        [ArpForm::Request, ArpForm::Reply].map(|form| Announcement::Arp(form, address))
    }

    #[test]
    fn gateway_router_and_retired_routers_are_announced_in_this_order() {
        let mut parameters = parameters();
        let old: Ipv6Addr = "fe80::a".parse().unwrap();
        parameters.gateway.retire = vec![old];
        let expected = [
            &arp(GATEWAY_V4)[..],
            &[
                Announcement::Neighbor(gateway_v6()),
                Announcement::Router,
                Announcement::Retired(old),
            ],
        ];
        assert_eq!(all(&parameters), expected.concat());
    }

    #[test]
    fn a_gateway_that_is_not_ours_to_announce_is_left_alone() {
        let mut parameters = parameters();
        parameters.gateway.announce = false;
        assert_eq!(all(&parameters), [Announcement::Router]);
    }

    #[test]
    fn a_server_address_other_than_the_gateway_is_always_announced() {
        let mut parameters = parameters();
        let server = Ipv4Addr::new(10, 20, 0, 2);
        parameters.ipv4.as_mut().unwrap().server_id = server;
        parameters.ipv6 = None;
        assert_eq!(all(&parameters), [arp(GATEWAY_V4), arp(server)].concat());
        parameters.gateway.announce = false;
        assert_eq!(all(&parameters), arp(server));
    }

    #[test]
    fn what_does_not_fit_has_length_zero() {
        let parameters = parameters();
        let link = Link { source: Mac([2; 6]), destination: Mac([4; 6]) };
        let ra = Profile::new(&parameters, 1_500).unwrap();
        let neighbors = Neighbors::new(&parameters);
        for room in [0, 14, 41] {
            let frame = &mut [0; 41][..room];
            assert_eq!(write_arp_announcement(frame, link, (ArpForm::Reply, GATEWAY_V4)), 0);
            let neighbor = (&neighbors, gateway_v6());
            assert_eq!(write_unsolicited_advertisement(frame, link, neighbor), 0);
            assert_eq!(write_last_advertisement(frame, link, (&ra, gateway_v6())), 0);
        }
    }
}
