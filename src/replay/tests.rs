use std::net::Ipv4Addr;
use std::path::Path;

use etherparse::PacketBuilder;

use super::*;
use crate::binding::PortFacts;
use crate::config;
use crate::lease::{LeaseKey, LeaseTable, NicName, Occasion};
use crate::outcome::DropReason;
use crate::time::Wall;

const OURS: Mac = Mac([0x0a, 0x58, 10, 20, 0, 1]);
const GUEST: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const OTHER: Mac = Mac([0x52, 0x54, 0, 0, 0, 9]);

/// Makes the port of demo/web-1 on the network "dual-stack" of the recorded cases.
fn replay(mac: Option<Mac>) -> Replay {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("packet-fixtures/leasehold.toml");
    let config = config::load(&file).unwrap();
    let network = config.networks.iter().find(|network| network.name.as_str() == "dual-stack");
    let network = network.unwrap();
    let key = LeaseKey {
        network: network.name.clone(),
        vm: "demo/web-1".parse().unwrap(),
        nic: NicName::default(),
    };
    let occasion = Occasion { node: "node-a", wall: Wall(0) };
    let lease = LeaseTable::default().assign(network, &key, occasion).lease;
    let facts = PortFacts { mac, trunk_vlan: None, mtu: 1_500, is_macvtap: false };
    let parameters = network.parameters(&lease, config.server_duid);
    Replay::new(Arc::new(Binding::new(key, &facts, &parameters)))
}

/// Makes a UDP datagram with etherparse.
fn udp(source: Mac, destination: Mac, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(source.0, destination.0)
        .ipv4([10, 20, 0, 1], [10, 20, 0, 10], 64)
        .udp(ports.0, ports.1)
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

/// Makes an OFFER of 10.20.0.10, as far as it is looked into.
fn offer() -> Vec<u8> {
    let mut payload = vec![0; 240];
    payload[16..20].copy_from_slice(&[10, 20, 0, 10]);
    payload.extend([0, 54, 4, 10, 20, 0, 1, 53, 1, 2, 255]);
    payload
}

fn plain(bytes: &[u8]) -> Frame<'_> {
    Frame { bytes, vlan: None, checksum_pending: false, truncated: false }
}

fn told(message: Message, address: Option<[u8; 4]>) -> Event {
    let address = address.map(|octets| Ipv4Addr::from(octets).into());
    Event::ToGuest(Told { protocol: Protocol::Dhcpv4, message, address })
}

#[test]
fn a_servers_message_is_to_the_guest_whoever_the_server_is() {
    let mut replay = replay(None);
    for server in [OURS, OTHER] {
        let bytes = udp(server, GUEST, (67, 68), &offer());
        let expected = told(Message::Offer, Some([10, 20, 0, 10]));
        assert_eq!(replay.handle(&plain(&bytes)), expected);
    }
}

#[test]
fn a_servers_message_of_a_guest_that_asked_before_is_a_foreign_servers() {
    let mut replay = replay(None);
    let request = udp(GUEST, Mac::BROADCAST, (68, 67), &[0; 300]);
    let Event::FromGuest(turn) = replay.handle(&plain(&request)) else { panic!("to the guest") };
    assert_eq!(turn.outcome.verdict, Verdict::Dropped(DropReason::BadBootpHeader));
    let rogue = udp(GUEST, OTHER, (67, 68), &offer());
    let Event::FromGuest(turn) = replay.handle(&plain(&rogue)) else { panic!("to the guest") };
    assert_eq!(turn.note, Some(Note::ForeignServer));
    // What goes to a guest that was heard is not from one, whatever it is.
    let to_guest = udp(OTHER, GUEST, (68, 67), &[0; 300]);
    assert_eq!(replay.handle(&plain(&to_guest)), told(Message::Unknown, None));
}

#[test]
fn a_known_mac_is_the_guests_from_the_start_and_others_are_dropped() {
    let mut replay = replay(Some(GUEST));
    let rogue = udp(GUEST, OTHER, (67, 68), &offer());
    let Event::FromGuest(turn) = replay.handle(&plain(&rogue)) else { panic!("to the guest") };
    assert_eq!(turn.note, Some(Note::ForeignServer));
    let other = udp(OTHER, Mac::BROADCAST, (68, 67), &[0; 300]);
    let Event::FromGuest(turn) = replay.handle(&plain(&other)) else { panic!("to the guest") };
    assert_eq!(turn.outcome.verdict, Verdict::Dropped(DropReason::SourceMac));
}

#[test]
fn our_own_frames_are_to_the_guest_with_any_checksum() {
    let mut bytes = udp(OURS, GUEST, (67, 68), &offer());
    bytes[40] ^= 0x55;
    let expected = told(Message::Offer, Some([10, 20, 0, 10]));
    assert_eq!(replay(None).handle(&plain(&bytes)), expected);
}

#[test]
fn the_address_of_an_ia_is_found_only_if_it_has_a_lifetime() {
    let message = |valid: u32| {
        let mut payload = vec![7, 0, 0, 1, 0, 1, 0, 2, 9, 9];
        payload.extend([0, 3, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 24]);
        payload.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0]);
        payload.extend(valid.to_be_bytes());
        let mut bytes = Vec::new();
        let link_local = GUEST.link_local().octets();
        PacketBuilder::ethernet2(OTHER.0, GUEST.0)
            .ipv6(link_local, link_local, 64)
            .udp(547, 546)
            .write(&mut bytes, &payload)
            .unwrap();
        Told::of_reply(&bytes)
    };
    let (protocol, kind) = (Protocol::Dhcpv6, Message::Reply);
    let given = Some("2001:db8::5".parse().unwrap());
    assert_eq!(message(7_200), Told { protocol, message: kind, address: given });
    assert_eq!(message(0), Told { protocol, message: kind, address: None });
}
