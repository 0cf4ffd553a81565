//! The router's side of Neighbor Discovery: advertisements, their schedule, and what is answered
//! for the gateway's and the server's addresses (RFC 4861, RFC 4191, RFC 8106, RFC 826).
//!
//! A guest's options are walked only to check their lengths: replies go to the MAC that the frame
//! came from, never to one that an option names. pnet's option iterator is not used, because it
//! panics on lengths that a guest may send.

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod advert;
mod announcements;
mod neighbors;
mod options;
mod schedule;

pub use advert::Profile;
pub use announcements::{
    Announcement, Announcements, ArpForm, write_arp_announcement, write_last_advertisement,
    write_unsolicited_advertisement,
};
pub use neighbors::Neighbors;
pub use schedule::Schedule;

use std::net::{Ipv4Addr, Ipv6Addr};

use self::neighbors::{SOLICITED, Solicited};
use crate::outcome::{DropReason, Message, Note};
use crate::reply::{Decision, Handled, Reply};
use crate::wire::bytes::Reader;
use crate::wire::{Arp, Icmpv6, Mac, ND_HOP_LIMIT};

/// Decides about a Router Solicitation and writes the advertisement (from the ICMPv6 type on,
/// checksum zero) into `out`.
#[must_use]
pub fn handle_router_solicitation(
    profile: &Profile,
    solicitation: &Icmpv6<'_>,
    out: &mut [u8],
) -> Handled<Ipv6Addr> {
    handled(Message::RouterSolicitation, answer_router(profile, solicitation, out))
}

/// Decides about a Neighbor Solicitation and writes the advertisement (from the ICMPv6 type on,
/// checksum zero) into `out`.
#[must_use]
pub fn handle_neighbor_solicitation(
    neighbors: &Neighbors,
    solicitation: &Icmpv6<'_>,
    out: &mut [u8],
) -> Handled<Ipv6Addr> {
    handled(Message::NeighborSolicitation, answer_neighbor(neighbors, solicitation, out))
}

/// Decides about an ARP packet and writes the ARP reply (from `ar$hrd` on) into `out`.
#[must_use]
pub fn handle_arp(neighbors: &Neighbors, arp: &Arp, out: &mut [u8]) -> Handled<Ipv4Addr> {
    let message = match arp.operation {
        ARP_REQUEST => Message::ArpRequest,
        ARP_REPLY => Message::Reply,
        _ => Message::Unknown,
    };
    handled(message, answer_arp(neighbors, arp, out))
}

/// Returns the address that a Neighbor Solicitation asks for; `::` if it holds none.
#[must_use]
pub fn solicited_target(solicitation: &Icmpv6<'_>) -> Ipv6Addr {
    Neighbor::read(solicitation.body).map_or(Ipv6Addr::UNSPECIFIED, |neighbor| neighbor.target)
}

/// Tells whether a guest's Neighbor Advertisement is a valid one that nobody asked for: it
/// announces that the guest is here (RFC 4861, sections 7.1.2 and 7.2.6).
#[must_use]
pub fn is_unsolicited_advertisement(advertisement: &Icmpv6<'_>) -> bool {
    let check = || {
        check_header(advertisement)?;
        let neighbor = Neighbor::read(advertisement.body)?;
        options::contain(neighbor.options, options::TARGET_LINK_LAYER)?;
        Ok::<bool, DropReason>(neighbor.flags & SOLICITED == 0)
    };
    is_unicast(advertisement.source) && check().unwrap_or(false)
}

fn handled<A>(message: Message, decided: Result<Decision<A>, DropReason>) -> Handled<A> {
    Handled { message, decision: decided.unwrap_or_else(Decision::Dropped) }
}

/// RFC 4861, sections 6.1.1 and 6.2.6.
fn answer_router(
    profile: &Profile,
    solicitation: &Icmpv6<'_>,
    out: &mut [u8],
) -> Result<Decision<Ipv6Addr>, DropReason> {
    check_header(solicitation)?;
    let mut body = Reader::new(solicitation.body);
    body.take(RESERVED).ok_or(DropReason::BadNeighborDiscovery)?;
    let has_source = options::contain(body.rest(), options::SOURCE_LINK_LAYER)?;
    let source = Source::of(solicitation)?;
    if has_source && source == Source::Unspecified {
        return Err(DropReason::BadNeighborDiscovery);
    }
    if solicitation.source == profile.link_local() {
        return Err(DropReason::SourceAddress);
    }
    if ![ALL_ROUTERS, ALL_NODES, profile.link_local()].contains(&solicitation.destination) {
        return Err(DropReason::Destination);
    }

    let advertisement = profile.advertisement();
    let length = advertisement.len();
    out.get_mut(..length).ok_or(DropReason::ReplyTooLong)?.copy_from_slice(advertisement);
    // Nobody else is on the port: no delay, and the guest's MAC even under a group address
    // (RFC 6085).
    let (to_mac, to_ip) = source.reply_to(solicitation.link.source);
    let message = Message::RouterAdvertisement;
    Ok(Decision::Reply(Reply { message, length, to_mac, to_ip, note: None }))
}

/// RFC 4861, sections 7.1.1 and 7.2.4.
fn answer_neighbor(
    neighbors: &Neighbors,
    solicitation: &Icmpv6<'_>,
    out: &mut [u8],
) -> Result<Decision<Ipv6Addr>, DropReason> {
    check_header(solicitation)?;
    let Neighbor { target, options, .. } = Neighbor::read(solicitation.body)?;
    let has_source = options::contain(options, options::SOURCE_LINK_LAYER)?;
    let source = Source::of(solicitation)?;
    let probe = source == Source::Unspecified;
    if probe && (has_source || !is_solicited_node(solicitation.destination)) {
        return Err(DropReason::BadNeighborDiscovery);
    }
    if neighbors.answer_ipv6(solicitation.source) {
        return Err(DropReason::SourceAddress);
    }
    if !neighbors.answer_ipv6(target) {
        return Err(DropReason::NotOurAddress);
    }
    if ![target, solicited_node(target)].contains(&solicitation.destination) {
        return Err(DropReason::Destination);
    }

    let solicited = match source {
        Source::Unicast(_) => Solicited::ByNeighbor,
        // RFC 4862, section 5.4.4: the answer keeps the guest from taking the address.
        Source::Unspecified => Solicited::ByProbe,
    };
    let written = neighbors.write_advertisement(target, solicited, out);
    let length = written.map_err(|_| DropReason::ReplyTooLong)?;
    let (to_mac, to_ip) = source.reply_to(solicitation.link.source);
    let message = Message::NeighborAdvertisement;
    Ok(Decision::Reply(Reply { message, length, to_mac, to_ip, note: None }))
}

/// RFC 826, and RFC 5227 for announcements and probes.
fn answer_arp(
    neighbors: &Neighbors,
    arp: &Arp,
    out: &mut [u8],
) -> Result<Decision<Ipv4Addr>, DropReason> {
    if arp.sender_mac != arp.link.source {
        return Err(DropReason::SourceMac);
    }
    if neighbors.answer_ipv4(arp.sender_ip) {
        return Err(DropReason::SourceAddress);
    }
    let announced = arp.sender_ip == arp.target_ip && !arp.sender_ip.is_unspecified();
    match arp.operation {
        ARP_REQUEST if announced => Ok(Decision::Noted(Note::Arrived)),
        ARP_REQUEST if neighbors.answer_ipv4(arp.target_ip) => {
            let written = neighbors.write_arp_reply(arp, out);
            let length = written.map_err(|_| DropReason::ReplyTooLong)?;
            let (to_mac, to_ip) = (arp.sender_mac, arp.sender_ip);
            Ok(Decision::Reply(Reply {
                message: Message::Reply,
                length,
                to_mac,
                to_ip,
                note: None,
            }))
        }
        // A probe for the guest's own address comes here too: silence lets it pass.
        ARP_REQUEST => Err(DropReason::NotOurAddress),
        // A reply to everybody answers nobody's question.
        ARP_REPLY if announced || arp.link.destination == Mac::BROADCAST => {
            Ok(Decision::Noted(Note::Arrived))
        }
        _ => Err(DropReason::NotForUs),
    }
}

/// Checks what RFC 4861 asks of every message before its options.
fn check_header(message: &Icmpv6<'_>) -> Result<(), DropReason> {
    if message.hop_limit == ND_HOP_LIMIT && message.code == 0 {
        Ok(())
    } else {
        Err(DropReason::BadNeighborDiscovery)
    }
}

/// Who solicits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Somebody with an address: link-local, or any other of its own.
    Unicast(Ipv6Addr),
    /// Somebody without one: `::`.
    Unspecified,
}

impl Source {
    /// Reads the source of a solicitation.
    ///
    /// # Errors
    /// [`DropReason::SourceAddress`] if it is a group or the loopback address.
    fn of(solicitation: &Icmpv6<'_>) -> Result<Self, DropReason> {
        let source = solicitation.source;
        if source.is_unspecified() {
            Ok(Self::Unspecified)
        } else if is_unicast(source) {
            Ok(Self::Unicast(source))
        } else {
            Err(DropReason::SourceAddress)
        }
    }

    /// Returns where the answer goes.
    const fn reply_to(self, guest: Mac) -> (Mac, Ipv6Addr) {
        match self {
            Self::Unicast(source) => (guest, source),
            Self::Unspecified => (guest, ALL_NODES),
        }
    }
}

/// The body that Neighbor Solicitation and Advertisement share (RFC 4861, sections 4.3 and 4.4).
struct Neighbor<'a> {
    /// R, S and O of an advertisement; reserved in a solicitation.
    flags: u8,
    target: Ipv6Addr,
    options: &'a [u8],
}

impl<'a> Neighbor<'a> {
    fn read(body: &'a [u8]) -> Result<Self, DropReason> {
        let mut body = Reader::new(body);
        let (Some([flags, ..]), Some(target)) = (body.array::<RESERVED>(), body.array::<16>())
        else {
            return Err(DropReason::BadNeighborDiscovery);
        };
        let target = Ipv6Addr::from(target);
        if target.is_multicast() {
            return Err(DropReason::BadNeighborDiscovery);
        }
        Ok(Self { flags, target, options: body.rest() })
    }
}

const fn is_unicast(address: Ipv6Addr) -> bool {
    !address.is_multicast() && !address.is_unspecified() && !address.is_loopback()
}

/// Tells whether `address` lies in ff02::1:ff00:0/104 (RFC 4291, section 2.7.1).
fn is_solicited_node(address: Ipv6Addr) -> bool {
    solicited_node(address) == address
}

/// Returns the group of all nodes whose address ends as `address` does (RFC 4291, section 2.7.1).
fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(SOLICITED_NODE | (address.to_bits() & 0x00ff_ffff))
}

/// ICMPv6 types (RFC 4861, section 4).
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// What stands before the options or the target: reserved bytes, or flags and reserved bytes.
const RESERVED: usize = 4;
/// RFC 4291, section 2.7.1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// RFC 4291, section 2.7.1.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// RFC 4291, section 2.7.1: ff02::1:ff00:0.
const SOLICITED_NODE: u128 = 0xff02_0000_0000_0000_0000_0001_ff00_0000;
/// RFC 826.
const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::network::{
        AddressMode, Gateway, Ipv4Parameters, Ipv6Parameters, Lifetime, Mask, Parameters,
        RouterAdvertisement, RouterPreference,
    };
    use crate::wire::Link;

    const GUEST: Mac = Mac([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
    const GATEWAY_MAC: Mac = Mac([0x0a, 0x58, 0xa9, 0xfe, 0x01, 0x01]);
    const GUEST_V4: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 5);
    pub(super) const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);

    pub(super) fn gateway_v6() -> Ipv6Addr {
        "fe80::1".parse().unwrap()
    }

    /// Makes what a network with a gateway of its own gives to one NIC: stateful, no DNS, no MTU.
    pub(super) fn parameters() -> Parameters {
        Parameters {
            hostname: None,
            domain: None,
            search: Vec::new(),
            dns: Vec::new(),
            ntp: Vec::new(),
            mtu: None,
            captive_portal: None,
            resolvers: Vec::new(),
            boot: Arc::default(),
            gateway: Gateway {
                source_mac: GATEWAY_MAC,
                mac_given: true,
                answer: true,
                answer_ping: false,
                announce: true,
                retire: Vec::new(),
            },
            ipv4: Some(Ipv4Parameters {
                subnet: "10.20.0.0/16".parse().unwrap(),
                gateway: Some(GATEWAY_V4),
                server_id: GATEWAY_V4,
                address: Some(GUEST_V4),
                lease_time: Lifetime(3_600),
                renew_time: None,
                rebind_time: None,
                mask: Mask::Subnet,
                routes: Vec::new(),
                rapid_commit: false,
                ipv6_only_wait: None,
                auto_configure: None,
                options: Vec::new(),
            }),
            ipv6: Some(Ipv6Parameters {
                subnet: "2001:db8:20::/64".parse().unwrap(),
                gateway: Some(gateway_v6()),
                link_local: gateway_v6(),
                address: Some("2001:db8:20::5".parse().unwrap()),
                delegated: None,
                mode: AddressMode::Stateful,
                preferred_lifetime: Lifetime(3_600),
                valid_lifetime: Lifetime(7_200),
                renew_time: Lifetime(1_800),
                rebind_time: Lifetime(2_880),
                rapid_commit: false,
                server_preference: None,
                information_refresh_time: None,
                prefixes: Vec::new(),
                routes: Vec::new(),
                ra: RouterAdvertisement {
                    router_lifetime: 1_800,
                    hop_limit: 64,
                    preference: RouterPreference::Medium,
                    interval: Some((200, 600)),
                    dns_lifetime: Lifetime(1_800),
                },
                options: Vec::new(),
            }),
            server_duid: [0; 18],
        }
    }

    fn icmpv6<'a>(source: &str, destination: &str, body: &'a [u8]) -> Icmpv6<'a> {
        Icmpv6 {
            link: Link { source: GUEST, destination: Mac([0x33, 0x33, 0, 0, 0, 2]) },
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            hop_limit: 255,
            code: 0,
            body,
        }
    }

    /// Makes the body of a Neighbor Solicitation or Advertisement.
    fn neighbor(flags: u8, target: &str, options: &[u8]) -> Vec<u8> {
        let target: Ipv6Addr = target.parse().unwrap();
        [&[flags, 0, 0, 0][..], &target.octets(), options].concat()
    }

    fn solicit_router(solicitation: &Icmpv6<'_>) -> Decision<Ipv6Addr> {
        let profile = Profile::new(&parameters()).unwrap();
        let mut out = [0xee; 1_460];
        let handled = handle_router_solicitation(&profile, solicitation, &mut out);
        assert_eq!(handled.message, Message::RouterSolicitation);
        if let Decision::Reply(reply) = handled.decision {
            assert_eq!(out[..reply.length], *profile.advertisement());
        }
        handled.decision
    }

    fn solicit_neighbor(solicitation: &Icmpv6<'_>) -> (Decision<Ipv6Addr>, Vec<u8>) {
        let mut out = [0xee; 1_460];
        let neighbors = Neighbors::new(&parameters());
        let handled = handle_neighbor_solicitation(&neighbors, solicitation, &mut out);
        assert_eq!(handled.message, Message::NeighborSolicitation);
        let length = match handled.decision {
            Decision::Reply(reply) => reply.length,
            Decision::Noted(_) | Decision::Dropped(_) => 0,
        };
        (handled.decision, out[..length].to_vec())
    }

    fn arp(operation: u16, sender_ip: Ipv4Addr, target_ip: Ipv4Addr) -> Arp {
        Arp {
            link: Link { source: GUEST, destination: Mac::BROADCAST },
            operation,
            sender_mac: GUEST,
            sender_ip,
            target_mac: Mac::default(),
            target_ip,
        }
    }

    fn ask_arp(arp: &Arp) -> Handled<Ipv4Addr> {
        handle_arp(&Neighbors::new(&parameters()), arp, &mut [0; 28])
    }

    const LINK_LAYER: [u8; 8] = [1, 1, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56];
    const RS_WITH_SOURCE: [u8; 12] = [0, 0, 0, 0, 1, 1, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

    #[test]
    fn router_solicitation_is_answered_to_its_unicast_source() {
        let length = Profile::new(&parameters()).unwrap().advertisement().len();
        for source in ["fe80::5", "2001:db8:20::5"] {
            for destination in ["ff02::2", "ff02::1", "fe80::1"] {
                let solicitation = icmpv6(source, destination, &RS_WITH_SOURCE);
                assert_eq!(
                    solicit_router(&solicitation),
                    Decision::Reply(Reply {
                        message: Message::RouterAdvertisement,
                        length,
                        to_mac: GUEST,
                        to_ip: source.parse().unwrap(),
                        note: None,
                    })
                );
            }
        }
    }

    #[test]
    fn router_solicitation_without_source_is_answered_to_all_nodes_at_the_guests_mac() {
        let solicitation = icmpv6("::", "ff02::2", &[0; 4]);
        assert_eq!(
            solicit_router(&solicitation),
            Decision::Reply(Reply {
                message: Message::RouterAdvertisement,
                length: Profile::new(&parameters()).unwrap().advertisement().len(),
                to_mac: GUEST,
                to_ip: ALL_NODES,
                note: None,
            })
        );
    }

    #[test]
    fn router_solicitation_that_breaks_a_rule_is_dropped() {
        let bad = Decision::Dropped(DropReason::BadNeighborDiscovery);
        let good = icmpv6("fe80::5", "ff02::2", &RS_WITH_SOURCE);
        assert_eq!(solicit_router(&Icmpv6 { hop_limit: 254, ..good }), bad);
        assert_eq!(solicit_router(&Icmpv6 { code: 1, ..good }), bad);
        assert_eq!(solicit_router(&Icmpv6 { body: &[0; 3], ..good }), bad);
        assert_eq!(solicit_router(&Icmpv6 { body: &RS_WITH_SOURCE[..11], ..good }), bad);
        let zero = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(solicit_router(&Icmpv6 { body: &zero, ..good }), bad);
        assert_eq!(solicit_router(&icmpv6("::", "ff02::2", &RS_WITH_SOURCE)), bad);
    }

    #[test]
    fn router_solicitation_from_an_impossible_source_is_dropped() {
        for source in ["ff02::1", "::1", "fe80::1"] {
            assert_eq!(
                solicit_router(&icmpv6(source, "ff02::2", &[0; 4])),
                Decision::Dropped(DropReason::SourceAddress),
                "{source}"
            );
        }
    }

    #[test]
    fn router_solicitation_to_another_address_is_dropped() {
        for destination in ["fe80::2", "ff02::1:2", "ff05::2"] {
            assert_eq!(
                solicit_router(&icmpv6("fe80::5", destination, &[0; 4])),
                Decision::Dropped(DropReason::Destination),
                "{destination}"
            );
        }
    }

    #[test]
    fn an_advertisement_that_does_not_fit_is_not_sent() {
        let profile = Profile::new(&parameters()).unwrap();
        let mut out = vec![0; profile.advertisement().len() - 1];
        let solicitation = icmpv6("fe80::5", "ff02::2", &[0; 4]);
        assert_eq!(
            handle_router_solicitation(&profile, &solicitation, &mut out),
            Handled::dropped(Message::RouterSolicitation, DropReason::ReplyTooLong)
        );
    }

    #[test]
    fn neighbor_solicitation_for_the_gateway_is_answered() {
        let body = neighbor(0, "fe80::1", &LINK_LAYER);
        for destination in ["ff02::1:ff00:1", "fe80::1"] {
            let (decision, written) = solicit_neighbor(&icmpv6("fe80::5", destination, &body));
            assert_eq!(
                decision,
                Decision::Reply(Reply {
                    message: Message::NeighborAdvertisement,
                    length: 32,
                    to_mac: GUEST,
                    to_ip: "fe80::5".parse().unwrap(),
                    note: None,
                })
            );
            assert_eq!(
                written,
                [
                    136, 0, 0, 0, 0xe0, 0, 0, 0, // R, S, O
                    0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // target
                    2, 1, 0x0a, 0x58, 0xa9, 0xfe, 0x01, 0x01,
                ]
            );
        }
    }

    #[test]
    fn a_probe_for_the_gateways_address_is_answered_unsolicited_to_all_nodes() {
        let body = neighbor(0, "fe80::1", &[]);
        let (decision, written) = solicit_neighbor(&icmpv6("::", "ff02::1:ff00:1", &body));
        assert_eq!(
            decision,
            Decision::Reply(Reply {
                message: Message::NeighborAdvertisement,
                length: 32,
                to_mac: GUEST,
                to_ip: ALL_NODES,
                note: None,
            })
        );
        assert_eq!(written[4], 0xa0);
    }

    #[test]
    fn a_probe_for_the_guests_own_address_is_left_alone() {
        let body = neighbor(0, "2001:db8:20::5", &[]);
        let (decision, _) = solicit_neighbor(&icmpv6("::", "ff02::1:ff00:5", &body));
        assert_eq!(decision, Decision::Dropped(DropReason::NotOurAddress));
    }

    #[test]
    fn neighbor_solicitation_that_breaks_a_rule_is_dropped() {
        let dropped = |solicitation: &Icmpv6<'_>| match solicit_neighbor(solicitation).0 {
            Decision::Dropped(reason) => reason,
            other => panic!("{other:?}"),
        };
        let body = neighbor(0, "fe80::1", &LINK_LAYER);
        let good = icmpv6("fe80::5", "ff02::1:ff00:1", &body);
        let bad = DropReason::BadNeighborDiscovery;
        assert_eq!(dropped(&Icmpv6 { hop_limit: 64, ..good }), bad);
        assert_eq!(dropped(&Icmpv6 { code: 1, ..good }), bad);
        assert_eq!(dropped(&Icmpv6 { body: &body[..19], ..good }), bad);
        assert_eq!(dropped(&Icmpv6 { body: &body[..21], ..good }), bad);
        let group = neighbor(0, "ff02::1", &[]);
        assert_eq!(dropped(&Icmpv6 { body: &group, ..good }), bad);
        // From `::`: no link-layer address, and to a solicited-node group only.
        assert_eq!(dropped(&icmpv6("::", "ff02::1:ff00:1", &body)), bad);
        let probe = neighbor(0, "fe80::1", &[]);
        assert_eq!(dropped(&icmpv6("::", "fe80::1", &probe)), bad);
        assert_eq!(dropped(&icmpv6("::", "ff02::1", &probe)), bad);

        let source = DropReason::SourceAddress;
        assert_eq!(dropped(&icmpv6("fe80::1", "ff02::1:ff00:1", &body)), source);
        assert_eq!(dropped(&icmpv6("ff02::1", "ff02::1:ff00:1", &body)), source);
        let destination = DropReason::Destination;
        assert_eq!(dropped(&icmpv6("fe80::5", "ff02::1:ff00:2", &body)), destination);
        assert_eq!(dropped(&icmpv6("fe80::5", "fe80::2", &body)), destination);
    }

    #[test]
    fn only_a_valid_advertisement_that_was_not_solicited_announces() {
        let body = neighbor(0x20, "2001:db8:20::5", &[2, 1, 0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
        let good = icmpv6("fe80::5", "ff02::1", &body);
        assert!(is_unsolicited_advertisement(&good));
        assert!(is_unsolicited_advertisement(&Icmpv6 { body: &body[..20], ..good }));
        assert!(!is_unsolicited_advertisement(&Icmpv6 { hop_limit: 1, ..good }));
        assert!(!is_unsolicited_advertisement(&Icmpv6 { code: 1, ..good }));
        assert!(!is_unsolicited_advertisement(&Icmpv6 { body: &body[..19], ..good }));
        assert!(!is_unsolicited_advertisement(&Icmpv6 { body: &body[..27], ..good }));
        assert!(!is_unsolicited_advertisement(&icmpv6("::", "ff02::1", &body)));
        let solicited = neighbor(0x60, "2001:db8:20::5", &[]);
        assert!(!is_unsolicited_advertisement(&Icmpv6 { body: &solicited, ..good }));
        let group = neighbor(0x20, "ff02::5", &[]);
        assert!(!is_unsolicited_advertisement(&Icmpv6 { body: &group, ..good }));
    }

    #[test]
    fn arp_for_the_gateway_is_answered_with_these_bytes() {
        let mut out = [0xee; 28];
        let neighbors = Neighbors::new(&parameters());
        assert_eq!(
            handle_arp(&neighbors, &arp(1, GUEST_V4, GATEWAY_V4), &mut out),
            Handled {
                message: Message::ArpRequest,
                decision: Decision::Reply(Reply {
                    message: Message::Reply,
                    length: 28,
                    to_mac: GUEST,
                    to_ip: GUEST_V4,
                    note: None,
                }),
            }
        );
        assert_eq!(
            out,
            [
                0, 1, 8, 0, 6, 4, 0, 2, // Ethernet, IPv4, reply
                0x0a, 0x58, 0xa9, 0xfe, 0x01, 0x01, 10, 20, 0, 1, // sender
                0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 10, 20, 1, 5, // target
            ]
        );
    }

    #[test]
    fn arp_probes_are_answered_for_the_gateway_only() {
        let probe = arp(1, Ipv4Addr::UNSPECIFIED, GATEWAY_V4);
        assert!(matches!(ask_arp(&probe).decision, Decision::Reply(_)));
        for target in [GUEST_V4, Ipv4Addr::new(10, 20, 1, 6), Ipv4Addr::UNSPECIFIED] {
            assert_eq!(
                ask_arp(&arp(1, Ipv4Addr::UNSPECIFIED, target)),
                Handled::dropped(Message::ArpRequest, DropReason::NotOurAddress)
            );
        }
    }

    #[test]
    fn gratuitous_arp_is_an_arrival() {
        let arrived = Decision::Noted(Note::Arrived);
        let request = arp(1, GUEST_V4, GUEST_V4);
        assert_eq!(ask_arp(&request), Handled { message: Message::ArpRequest, decision: arrived });
        let reply = arp(2, GUEST_V4, GUEST_V4);
        assert_eq!(ask_arp(&reply), Handled { message: Message::Reply, decision: arrived });
        let reply_to_all = arp(2, GUEST_V4, Ipv4Addr::BROADCAST);
        assert_eq!(ask_arp(&reply_to_all).decision, arrived);
        let link = Link { source: GUEST, destination: GATEWAY_MAC };
        assert_eq!(
            ask_arp(&Arp { link, ..arp(2, GUEST_V4, GATEWAY_V4) }),
            Handled::dropped(Message::Reply, DropReason::NotForUs)
        );
    }

    #[test]
    fn arp_from_an_impossible_sender_is_dropped() {
        let spoofed = Arp { sender_mac: GATEWAY_MAC, ..arp(1, GUEST_V4, GATEWAY_V4) };
        assert_eq!(ask_arp(&spoofed), Handled::dropped(Message::ArpRequest, DropReason::SourceMac));
        for target in [GATEWAY_V4, GUEST_V4] {
            assert_eq!(
                ask_arp(&arp(1, GATEWAY_V4, target)),
                Handled::dropped(Message::ArpRequest, DropReason::SourceAddress)
            );
        }
        assert_eq!(
            ask_arp(&arp(9, GUEST_V4, GATEWAY_V4)),
            Handled::dropped(Message::Unknown, DropReason::NotForUs)
        );
    }

    proptest! {
        #[test]
        fn any_body_gets_a_verdict_and_a_reply_is_whole(
            body in prop::collection::vec(any::<u8>(), 0..120),
            room in 0_usize..200,
            unspecified: bool,
        ) {
            let source = if unspecified { "::" } else { "fe80::5" };
            let message = icmpv6(source, "ff02::1:ff00:1", &body);
            let to_routers = icmpv6(source, "ff02::2", &body);
            let profile = Profile::new(&parameters()).unwrap();
            let neighbors = Neighbors::new(&parameters());
            let mut out = vec![0; room];
            for handled in [
                handle_router_solicitation(&profile, &to_routers, &mut out),
                handle_neighbor_solicitation(&neighbors, &message, &mut out),
            ] {
                if let Decision::Reply(reply) = handled.decision {
                    prop_assert!(reply.length <= room && reply.length % 8 == 0);
                }
            }
            let _ = is_unsolicited_advertisement(&message);
        }
    }
}
