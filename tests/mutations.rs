//! A million seeded mutations of the recorded frames: each ends in an outcome, none in a panic, and
//! every reply is well formed, goes to the guest alone and holds its own addresses.

mod common;

use std::net::{Ipv4Addr, Ipv6Addr};

use common::{Random, Templates, mutated, recorded_frames};
use dhcproto::{Decodable, v4, v6};
use etherparse::{Icmpv4Type, NetSlice, SlicedPacket, TransportSlice};
use leasehold::outcome::{DropReason, Verdict};
use leasehold::time::Mono;
use leasehold::wire::{Frame, Outbox};

#[test]
fn a_million_mutated_frames_never_panic_and_replies_are_well_formed() {
    let frames = recorded_frames();
    assert!(frames.len() > 20, "only {} recorded frames", frames.len());
    let mut responders = Templates::load().responders();
    let mut outbox = Outbox::new(1);
    let mut random = Random(0x1ea5_e401d);
    let mut replies = 0_u64;
    for round in 0..ROUNDS {
        let bytes = mutated(&frames, &mut random);
        let frame = Frame {
            bytes: &bytes,
            vlan: None,
            // Without it hardly a mutation would pass the checksum.
            checksum_pending: random.below(8) > 0,
            truncated: false,
        };
        let place = random.below(responders.len());
        let responder = &mut responders[place];
        outbox.clear();
        let turn = responder.handle_frame(Mono::from_millis(round), &frame, &mut outbox);
        assert_ne!(
            turn.outcome.verdict,
            Verdict::Dropped(DropReason::Panicked),
            "round {round}: {bytes:02x?}"
        );
        for reply in outbox.frames() {
            replies += 1;
            check_reply(&bytes, reply);
        }
    }
    println!("{ROUNDS} frames, {replies} replies");
    assert!(replies > ROUNDS / 50, "too few replies for the checks to mean much: {replies}");
}

/// Reads a reply with another decoder, and checks lengths, checksums and whom it goes to.
fn check_reply(request: &[u8], reply: &[u8]) {
    // Never to a third station: to whoever asked, or to all on this one port.
    assert!(reply[..6] == request[6..12] || reply[..6] == [0xff; 6], "to {:02x?}", &reply[..6]);
    let packet = SlicedPacket::from_ethernet(reply).expect("a reply can be decoded");
    match (&packet.net, &packet.transport) {
        (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Udp(udp))) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            let sum = udp.to_header().calc_checksum_ipv4(&header, udp.payload()).unwrap();
            assert_eq!(udp.checksum(), sum);
            assert_eq!((udp.source_port(), udp.destination_port()), (67, 68));
            check_dhcpv4(udp.payload());
        }
        (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Icmpv4(icmp))) => {
            let header = ip.header().to_header();
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            let echo = icmp.header();
            assert!(matches!(echo.icmp_type, Icmpv4Type::EchoReply(_)), "{echo:?}");
            assert_eq!(echo.checksum, echo.icmp_type.calc_checksum(icmp.payload()));
        }
        (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Udp(udp))) => {
            let header = ip.header().to_header();
            let sum = udp.to_header().calc_checksum_ipv6(&header, udp.payload()).unwrap();
            assert_eq!(udp.checksum(), sum);
            assert_ne!(udp.checksum(), 0);
            assert_eq!((udp.source_port(), udp.destination_port()), (547, 546));
            assert!(header.source_addr().is_unicast_link_local());
            check_dhcpv6(udp.payload());
        }
        (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Icmpv6(icmp))) => {
            let header = ip.header().to_header();
            assert!(icmp.is_checksum_valid(header.source, header.destination));
            assert_eq!(header.hop_limit, 255);
        }
        (None | Some(NetSlice::Arp(_)), None) => {
            assert_eq!(reply[12..14], [0x08, 0x06], "what is no IP is ARP");
        }
        (net, transport) => panic!("an unexpected reply: {net:?} {transport:?}"),
    }
}

fn check_dhcpv4(payload: &[u8]) {
    assert!(payload.len() >= 300, "a BOOTP message has 300 bytes at least");
    let message = v4::Message::from_bytes(payload).expect("a reply can be decoded");
    let given = message.yiaddr();
    let kind = message.opts().msg_type().expect("a reply has a type");
    match kind {
        v4::MessageType::Offer => assert_eq!(given, OWN),
        // 0.0.0.0: to an INFORM.
        v4::MessageType::Ack => assert!(given == OWN || given.is_unspecified(), "gave {given}"),
        v4::MessageType::Nak => assert!(given.is_unspecified(), "gave {given}"),
        other => panic!("a server does not send {other:?}"),
    }
    assert!(message.opts().contains(v4::OptionCode::ServerIdentifier));
    let has_lease = message.opts().contains(v4::OptionCode::AddressLeaseTime);
    assert_eq!(has_lease, given == OWN, "a lease time stands beside an address");
}

fn check_dhcpv6(payload: &[u8]) {
    let message = v6::Message::from_bytes(payload).expect("a reply can be decoded");
    let kind = message.msg_type();
    // RFC 9686: 37 is ADDR-REG-REPLY, which gives nothing.
    let may_send = [v6::MessageType::Advertise, v6::MessageType::Reply, 37.into()];
    assert!(may_send.contains(&kind), "{kind:?}");
    assert!(message.opts().get(v6::OptionCode::ServerId).is_some());
    for option in message.opts().iter() {
        let members = match option {
            v6::DhcpOption::IANA(association) => &association.opts,
            v6::DhcpOption::IAPD(association) => &association.opts,
            _ => continue,
        };
        for member in members.iter() {
            // Lifetimes of 0 take away what the guest named itself.
            match member {
                v6::DhcpOption::IAAddr(address) if address.valid_life > 0 => {
                    assert_eq!(address.addr, OWN6);
                }
                v6::DhcpOption::IAPrefix(prefix) if prefix.valid_lifetime > 0 => {
                    assert_eq!((prefix.prefix_ip, prefix.prefix_len), OWN_PREFIX);
                }
                _ => {}
            }
        }
    }
}

const ROUNDS: u64 = 1_000_000;

/// What `demo/web-1` holds in every template.
const OWN: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 10);
/// As [`OWN`], where it gets an IPv6 address at all.
const OWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x20, 0, 0, 0, 0, 0x10);
/// The prefix that it gets where one is delegated.
const OWN_PREFIX: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2001, 0xdb8, 0x8000, 0x100, 0, 0, 0, 0), 56);
