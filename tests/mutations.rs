//! A million seeded mutations of the recorded frames: each ends in an outcome, none in a panic, and
//! every reply is well formed, goes to the guest alone and holds its own addresses.

mod common;

use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use common::{Templates, fixtures, parse_hex};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use leasehold::binding::PortFacts;
use leasehold::outcome::{DropReason, Verdict};
use leasehold::responder::{PortResponder, RateLimit};
use leasehold::time::Mono;
use leasehold::wire::{Frame, Outbox};

#[test]
fn a_million_mutated_frames_never_panic_and_replies_are_well_formed() {
    let frames = recorded_frames();
    assert!(frames.len() > 20, "only {} recorded frames", frames.len());
    let templates = Templates::load();
    let facts = PortFacts { mac: None, trunk_vlan: None, mtu: 1_500 };
    let mut responders: Vec<PortResponder> = ["dual-stack", "slaac", "stateless", "host-mask"]
        .into_iter()
        .map(|network| {
            let binding = templates.binding(network, "demo/web-1", &facts);
            let limit = RateLimit { frames_per_second: 0, burst: 0 };
            PortResponder::new(binding, limit, Mono::default(), 1)
        })
        .collect();
    let mut outbox = Outbox::new(1);
    let mut random = Random(0x1ea5_e401d);
    let mut replies = 0_u64;
    for round in 0..ROUNDS {
        let mut bytes = frames[random.below(frames.len())].clone();
        for _ in 0..random.below(4) {
            mutate(&mut bytes, &mut random);
        }
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
            assert!(udp.payload().len() >= 300, "a BOOTP message has 300 bytes at least");
            let offered = Ipv4Addr::from_octets(udp.payload()[16..20].try_into().unwrap());
            assert!(offered.is_unspecified() || offered == OWN, "offered {offered}");
        }
        (Some(NetSlice::Ipv6(ip)), Some(TransportSlice::Udp(udp))) => {
            let header = ip.header().to_header();
            let sum = udp.to_header().calc_checksum_ipv6(&header, udp.payload()).unwrap();
            assert_eq!(udp.checksum(), sum);
            assert_ne!(udp.checksum(), 0);
            assert_eq!((udp.source_port(), udp.destination_port()), (547, 546));
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

fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let place = random.below(bytes.len());
    match random.below(6) {
        0 => bytes[place] = random.byte(),
        1 => bytes[place] ^= 1 << random.below(8),
        2 => bytes.truncate(place),
        3 => bytes.insert(place, random.byte()),
        4 => {
            let value = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)];
            bytes[place] = value;
        }
        _ => {
            let from = random.below(bytes.len());
            let length = random.below(32).min(bytes.len() - from).min(bytes.len() - place);
            bytes.copy_within(from..from + length, place);
        }
    }
}

fn recorded_frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    let mut folders: Vec<PathBuf> = vec![fixtures()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(&folder).expect("it can be read").flatten().map(|e| e.path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with("-in.hex") {
                frames.push(parse_hex(&fs::read_to_string(&path).expect("it can be read")));
            }
        }
    }
    frames
}

/// A small generator (xorshift*): the run is the same every time.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from((self.next() >> 33) % bound as u64).unwrap()
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.next() >> 56).unwrap()
    }
}

const ROUNDS: u64 = 1_000_000;

/// What `demo/web-1` holds in every template.
const OWN: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 10);
