//! What is said to each kind of message.

use proptest::prelude::*;

use super::*;
use crate::network::{self, Gateway, Ipv6Parameters, Parameters, RouterAdvertisement};
use crate::outcome::Note;
use crate::reply::Reply;
use crate::wire::{Link, Mac};

pub(super) const GUEST: Mac = Mac([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
pub(super) const GATEWAY_MAC: Mac = Mac([0x0a, 0x58, 0xa9, 0xfe, 0x01, 0x01]);
pub(super) const GUEST_V4: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 5);
pub(super) const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);

pub(super) fn gateway_v6() -> Ipv6Addr {
    "fe80::1".parse().unwrap()
}

/// Makes what a network with a gateway of its own gives to one NIC: stateful, no DNS, no MTU.
pub(super) fn parameters() -> Parameters {
    let ra = network::tests::advertisement();
    Parameters {
        gateway: Gateway {
            source_mac: GATEWAY_MAC,
            mac_given: true,
            answer: true,
            answer_ping: false,
            announce: true,
            retire: Vec::new(),
        },
        ipv4: Some(network::tests::ipv4_parameters(GUEST_V4)),
        ipv6: Some(Ipv6Parameters {
            ra: RouterAdvertisement { interval: Some((200, 600)), ..ra },
            ..network::tests::ipv6_parameters("2001:db8:20::5")
        }),
        ..network::tests::parameters()
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
    let profile = Profile::new(&parameters(), 1_500).unwrap();
    let mut out = [0xee; 1_460];
    let handled =
        handle_router_solicitation(&profile, &Withdrawals::default(), solicitation, &mut out);
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
    let length = Profile::new(&parameters(), 1_500).unwrap().advertisement().len();
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
            length: Profile::new(&parameters(), 1_500).unwrap().advertisement().len(),
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
    let profile = Profile::new(&parameters(), 1_500).unwrap();
    let mut out = vec![0; profile.advertisement().len() - 1];
    let solicitation = icmpv6("fe80::5", "ff02::2", &[0; 4]);
    assert_eq!(
        handle_router_solicitation(&profile, &Withdrawals::default(), &solicitation, &mut out),
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
    let neighbors = Neighbors::new(&parameters());
    let decided = |message: &Icmpv6<'_>| handle_neighbor_advertisement(&neighbors, message);
    assert_eq!(decided(&good), Ok(Note::Arrived));
    assert_eq!(decided(&Icmpv6 { body: &body[..20], ..good }), Ok(Note::Arrived));
    assert_eq!(decided(&Icmpv6 { hop_limit: 1, ..good }), Err(DropReason::NotForUs));
    assert_eq!(decided(&Icmpv6 { code: 1, ..good }), Err(DropReason::NotForUs));
    assert_eq!(decided(&Icmpv6 { body: &body[..19], ..good }), Err(DropReason::NotForUs));
    assert_eq!(decided(&Icmpv6 { body: &body[..27], ..good }), Err(DropReason::NotForUs));
    assert_eq!(decided(&icmpv6("::", "ff02::1", &body)), Err(DropReason::NotForUs));
    let solicited = neighbor(0x60, "2001:db8:20::5", &[]);
    assert_eq!(decided(&Icmpv6 { body: &solicited, ..good }), Err(DropReason::NotForUs));
    let group = neighbor(0x20, "ff02::5", &[]);
    assert_eq!(decided(&Icmpv6 { body: &group, ..good }), Err(DropReason::NotForUs));
    // A guest that speaks for the gateway makes nobody arrive.
    let gateway = gateway_v6().to_string();
    let as_gateway = neighbor(0x20, &gateway, &[]);
    let forged = Err(DropReason::SourceAddress);
    assert_eq!(decided(&Icmpv6 { body: &as_gateway, ..good }), forged);
    assert_eq!(decided(&icmpv6(&gateway, "ff02::1", &body)), forged);
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
        let profile = Profile::new(&parameters(), 1_500).unwrap();
        let neighbors = Neighbors::new(&parameters());
        let withdrawals = Withdrawals::default();
        let mut out = vec![0; room];
        for handled in [
            handle_router_solicitation(&profile, &withdrawals, &to_routers, &mut out),
            handle_neighbor_solicitation(&neighbors, &message, &mut out),
        ] {
            if let Decision::Reply(reply) = handled.decision {
                prop_assert!(reply.length <= room && reply.length % 8 == 0);
            }
        }
        let _ = handle_neighbor_advertisement(&neighbors, &message);
    }
}
