//! The same guest bytes to our walkers and to others': etherparse for the headers, dhcproto for the
//! messages, scapy for the recorded exchanges. What we answer they must be able to read, and our
//! answer must fit what they read.
//!
//! dhcproto is the looser reader, and has faults of its own. Each difference that these explain is
//! a variant of [`Difference`], with the check that it really is the reason; any other is a fault.

mod common;

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::panic::{catch_unwind, set_hook, take_hook};
use std::process::Command;

use common::{Random, Templates, mutated, recorded_frames};
use dhcproto::{Decodable, Decoder, v4, v6};
use etherparse::{SlicedPacket, TransportSlice};
use leasehold::outcome::{Message, Outcome, Protocol, Verdict};
use leasehold::responder::PortResponder;
use leasehold::time::Mono;
use leasehold::wire::{Frame, Outbox};

/// Why dhcproto may read a request otherwise than we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Difference {
    /// DHCPv4: it does not read options from `file` and `sname` (RFC 2132, section 9.3).
    Overloaded,
    /// DHCPv4: it does not join the parts of an option (RFC 3396): the last one wins.
    Split,
    /// It ends, without a word, at the first option whose data it cannot read.
    StoppedEarly,
    /// It reads options of a fixed length without a look at the length that they have, and goes on
    /// in the middle of an option or behind the next one.
    OutOfStep,
    /// DHCPv4: in our reply it reads one address of option 150, where RFC 5859 has a list, and goes
    /// on in the middle of it.
    TftpServers,
    /// DHCPv4: in our reply it reads option 81 as labels where it is text, as the client's is
    /// (RFC 4702, section 2.3.1).
    TextName,
    /// It panics on some lengths that an option cannot have (DHCPv4 80, 81, 94, 151 to 155, DHCPv6
    /// 13, 16, 17), asserts or subtracts below 0. We refuse these options, or do not read them.
    Panics,
}

#[test]
fn what_we_answer_dhcproto_and_etherparse_read_alike() {
    let report = take_hook();
    set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("dhcproto")) {
            report(panic);
        }
    }));
    let frames = recorded_frames();
    let mut responders = Templates::load().responders();
    let mut random = Random(0xd1ff_e4e7);
    let mut seen = Seen::default();
    for frame in &frames {
        for responder in &mut responders {
            compare(responder, frame, &mut seen);
        }
    }
    for _ in 0..ROUNDS {
        let frame = mutated(&frames, &mut random);
        let place = random.below(responders.len());
        compare(&mut responders[place], &frame, &mut seen);
    }
    println!("{seen:?}");
    assert!(seen.dhcpv4 > 5_000 && seen.dhcpv6 > 5_000, "too few to mean much: {seen:?}");
    let explained: usize = seen.differences.values().sum();
    assert!(explained < seen.dhcpv4 / 5, "the explained differences are the rule: {seen:?}");
}

/// Scapy made the frames; here it reads them again, beside what leasehold made of each. The
/// comparison, and the list of explained differences, are the script's.
#[test]
fn what_we_recorded_scapy_reads_alike() {
    let python = |arguments: &[&str]| {
        Command::new("/usr/bin/python3")
            .args(arguments)
            .current_dir(common::fixtures())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
    };
    if !python(&["-c", "import scapy"]).is_ok_and(|output| output.status.success()) {
        // Past the harness, which shows nothing of a test that passes.
        let _ = writeln!(io::stderr(), "skipped: scapy is not installed (Debian: python3-scapy)");
        return;
    }
    let output = python(&["reread.py"]).expect("python3 has just run");
    let told = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{errors}");
    println!("{told}");
}

/// How much was compared.
#[derive(Debug, Default)]
struct Seen {
    dhcpv4: usize,
    dhcpv6: usize,
    differences: BTreeMap<Difference, usize>,
}

impl Seen {
    fn add(&mut self, difference: Option<Difference>) {
        if let Some(difference) = difference {
            *self.differences.entry(difference).or_default() += 1;
        }
    }
}

fn compare(responder: &mut PortResponder, bytes: &[u8], seen: &mut Seen) {
    let frame = Frame { bytes, vlan: None, checksum_pending: true, truncated: false };
    let mut outbox = Outbox::new(1);
    let outcome = responder.handle_frame(Mono::default(), &frame, &mut outbox).outcome;
    // A type we could name is one that we read from the message; a reply needs all of it.
    let read = !matches!(outcome.message, Message::Unknown | Message::Bootp);
    let reply = outbox.frames().next();
    match outcome.protocol {
        Protocol::Dhcpv4 if read => {
            seen.dhcpv4 += 1;
            seen.add(compare_dhcpv4(payload(bytes), &outcome, reply.map(payload)));
        }
        Protocol::Dhcpv6 if read => {
            seen.dhcpv6 += 1;
            seen.add(compare_dhcpv6(payload(bytes), &outcome, reply.map(payload)));
        }
        Protocol::Dhcpv4 | Protocol::Dhcpv6 | Protocol::Nd | Protocol::Arp | Protocol::Other => {}
    }
}

/// Reads a UDP datagram with etherparse.
fn payload(frame: &[u8]) -> &[u8] {
    let packet = SlicedPacket::from_ethernet(frame).expect("etherparse reads what we read");
    match packet.transport {
        Some(TransportSlice::Udp(udp)) => udp.payload(),
        other => panic!(
            "we read a datagram, etherparse {other:?}: {:02x?}",
            &frame[..frame.len().min(80)]
        ),
    }
}

fn compare_dhcpv4(request: &[u8], outcome: &Outcome, reply: Option<&[u8]>) -> Option<Difference> {
    // dhcproto panics on one over 16, in `chaddr()`; we must have refused it.
    assert_eq!(request[2], 6, "we read a message with hlen {}", request[2]);
    let Ok(theirs) = catch_unwind(|| v4::Message::from_bytes(request)) else {
        return Some(Difference::Panics);
    };
    let theirs = theirs.expect("dhcproto reads what we read");
    let differing = differing(&theirs, outcome, reply)?;
    let explained = explain(request, differing).or_else(|| explain_reply(reply?, differing.0));
    Some(explained.unwrap_or_else(|| {
        panic!("{differing:?}: {outcome:?}\nrequest {request:02x?}\nreply {reply:02x?}")
    }))
}

/// Returns the option that we and dhcproto do not agree about, with what is to be said of it.
fn differing(
    theirs: &v4::Message,
    outcome: &Outcome,
    reply: Option<&[u8]>,
) -> Option<(v4::OptionCode, &'static str)> {
    use v4::{MessageType, OptionCode};

    let kind = theirs.opts().msg_type();
    if kind.map(message_of) != Some(outcome.message) {
        return Some((OptionCode::MessageType, "the message's type"));
    }
    let ours = v4::Message::from_bytes(reply?).expect("dhcproto reads what we write");
    // None of these depends on an option.
    assert_eq!(ours.opcode(), v4::Opcode::BootReply);
    assert_eq!(ours.xid(), theirs.xid());
    assert_eq!(ours.chaddr(), theirs.chaddr());
    assert_eq!(u16::from(ours.flags()), u16::from(theirs.flags()));

    let answer = ours.opts().msg_type().expect("a reply has a type");
    assert_eq!(outcome.verdict, Verdict::Replied(message_of(answer)));
    let rapid = theirs.opts().contains(OptionCode::RapidCommit);
    match (kind?, answer) {
        (MessageType::Discover, MessageType::Offer) => {}
        (MessageType::Discover, MessageType::Ack) if rapid => {}
        (MessageType::Discover, MessageType::Ack) => {
            return Some((OptionCode::RapidCommit, "an ACK to a DISCOVER without option 80"));
        }
        (MessageType::Request, MessageType::Ack) if asked(theirs) == Some(OWN) => {
            assert_eq!(ours.yiaddr(), OWN);
        }
        // RFC 2131, section 4.3.2: an ACK for nothing else than what was asked for.
        (MessageType::Request, MessageType::Nak) if asked(theirs) != Some(OWN) => {}
        (MessageType::Request, MessageType::Ack | MessageType::Nak) => {
            return Some((OptionCode::RequestedIpAddress, "the address that is asked for"));
        }
        (MessageType::Inform, MessageType::Ack) => assert!(ours.yiaddr().is_unspecified()),
        (request, answer) => panic!("{answer:?} to {request:?}"),
    }
    // RFC 6842, section 3.
    let code = OptionCode::ClientIdentifier;
    (ours.opts().get(code) != theirs.opts().get(code)).then_some((code, "the identifier's echo"))
}

/// Returns the address that a REQUEST is about: option 50, else `ciaddr`.
fn asked(request: &v4::Message) -> Option<Ipv4Addr> {
    match request.opts().get(v4::OptionCode::RequestedIpAddress) {
        Some(v4::DhcpOption::RequestedIpAddress(address)) => Some(*address),
        Some(_) | None => Some(request.ciaddr()).filter(|address| !address.is_unspecified()),
    }
}

fn message_of(kind: v4::MessageType) -> Message {
    match kind {
        v4::MessageType::Discover => Message::Discover,
        v4::MessageType::Offer => Message::Offer,
        v4::MessageType::Request => Message::Request,
        v4::MessageType::Decline => Message::Decline,
        v4::MessageType::Ack => Message::Ack,
        v4::MessageType::Nak => Message::Nak,
        v4::MessageType::Release => Message::Release,
        v4::MessageType::Inform => Message::Inform,
        _ => Message::Unknown,
    }
}

/// Finds the fault of dhcproto's that explains why it read option `code` otherwise.
fn explain(request: &[u8], (code, _): (v4::OptionCode, &str)) -> Option<Difference> {
    let code = u8::from(code);
    let parts = parts(&request[OPTIONS..]);
    if parts.iter().any(|(found, _)| *found == u8::from(v4::OptionCode::OptionOverload)) {
        return Some(Difference::Overloaded);
    }
    if parts.iter().filter(|(found, _)| *found == code).count() > 1 {
        return Some(Difference::Split);
    }
    // One of the options before it must be to blame, and show it alone.
    let place = parts.iter().position(|(found, _)| *found == code).unwrap_or(parts.len());
    parts[..place].iter().find_map(|(_, part)| misread::<v4::DhcpOption>(part))
}

/// Finds what explains why dhcproto does not find option `code` in our reply.
fn explain_reply(reply: &[u8], code: v4::OptionCode) -> Option<Difference> {
    let parts = parts(&reply[OPTIONS..]);
    let place = parts.iter().position(|(found, _)| *found == u8::from(code))?;
    parts[..place].iter().find_map(|(found, part)| match (*found, &part[2..]) {
        (TFTP_SERVERS, [_, _, _, _, _, ..]) => Some(Difference::TftpServers),
        (CLIENT_FQDN, [flags, ..]) if flags & LABELS == 0 => Some(Difference::TextName),
        _ => None,
    })
}

/// Lets dhcproto read one whole option alone.
fn misread<T: Decodable>(option: &[u8]) -> Option<Difference> {
    let mut decoder = Decoder::new(option);
    match T::decode(&mut decoder) {
        Err(_) => Some(Difference::StoppedEarly),
        Ok(_) if decoder.buffer().is_empty() => None,
        Ok(_) => Some(Difference::OutOfStep),
    }
}

/// Cuts an options field into code and whole bytes of each option, by RFC 2132, section 2, alone.
fn parts(field: &[u8]) -> Vec<(u8, &[u8])> {
    let mut parts = Vec::new();
    let mut rest = field;
    while let [code, after @ ..] = rest {
        match (code, after) {
            (0, _) => rest = after,
            (255, _) | (_, []) => break,
            (code, [length, ..]) => {
                let end = usize::from(*length) + 2;
                parts.push((*code, &rest[..end]));
                rest = &rest[end..];
            }
        }
    }
    parts
}

fn compare_dhcpv6(request: &[u8], outcome: &Outcome, reply: Option<&[u8]>) -> Option<Difference> {
    // The frame bounds the nesting, which dhcproto follows without a limit of its own.
    assert!(request.len() < 1_500);
    let kind = request[0];
    assert_eq!(message_of_v6(kind), outcome.message, "{request:02x?}");
    let reply = reply?;
    let Ok(theirs) = catch_unwind(|| v6::Message::from_bytes(request)) else {
        return Some(Difference::Panics);
    };
    let theirs = theirs.expect("dhcproto reads what we answer");
    let ours = v6::Message::from_bytes(reply).expect("dhcproto reads what we write");
    assert_eq!(ours.xid(), theirs.xid());
    assert_eq!(u8::from(theirs.msg_type()), kind);

    let client_id = v6::OptionCode::ClientId;
    let (given, asked) = (associations(&ours), associations(&theirs));
    // Every association comes back under its own IAID, in order, or none does; a Release and a
    // Decline bring back those that hold nothing (RFC 9915, section 18.3.7).
    let in_order = match outcome.message {
        Message::Release | Message::Decline => given.iter().all(|one| asked.contains(one)),
        _ => given.is_empty() || given == asked,
    };
    if ours.opts().get(client_id) == theirs.opts().get(client_id) && in_order {
        return None;
    }
    let explained = parts_v6(&request[HEADER..]).find_map(misread::<v6::DhcpOption>);
    Some(explained.unwrap_or_else(|| {
        panic!("{given:?} for {asked:?}\nrequest {request:02x?}\nreply {reply:02x?}")
    }))
}

/// Cuts the options of a message into the whole bytes of each, by RFC 9915, section 21.1, alone.
fn parts_v6(mut rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = rest.get(2..4)?;
        let end = usize::from(u16::from_be_bytes([length[0], length[1]])) + 4;
        let (part, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(part)
    })
}

/// The IA_NA and IA_PD of a message: kind and IAID.
fn associations(message: &v6::Message) -> Vec<(v6::OptionCode, u32)> {
    message
        .opts()
        .iter()
        .filter_map(|option| match option {
            v6::DhcpOption::IANA(association) => Some((v6::OptionCode::IANA, association.id)),
            v6::DhcpOption::IAPD(association) => Some((v6::OptionCode::IAPD, association.id)),
            _ => None,
        })
        .collect()
}

fn message_of_v6(kind: u8) -> Message {
    match v6::MessageType::from(kind) {
        v6::MessageType::Solicit => Message::Solicit,
        v6::MessageType::Advertise => Message::Advertise,
        v6::MessageType::Request => Message::Request,
        v6::MessageType::Confirm => Message::Confirm,
        v6::MessageType::Renew => Message::Renew,
        v6::MessageType::Rebind => Message::Rebind,
        v6::MessageType::Reply => Message::Reply,
        v6::MessageType::Release => Message::Release,
        v6::MessageType::Decline => Message::Decline,
        v6::MessageType::InformationRequest => Message::InformationRequest,
        // RFC 9686: dhcproto knows it by its number alone.
        v6::MessageType::Unknown(36) => Message::AddressRegistration,
        v6::MessageType::Unknown(37) => Message::AddressRegistered,
        _ => Message::Unknown,
    }
}

const ROUNDS: u32 = 100_000;
/// Where the options of a BOOTP message begin.
const OPTIONS: usize = 240;
const CLIENT_FQDN: u8 = 81;
/// The flag E of option 81 (RFC 4702, section 2.1).
const LABELS: u8 = 0x04;
/// RFC 5859.
const TFTP_SERVERS: u8 = 150;
/// Type and transaction id of a DHCPv6 message.
const HEADER: usize = 4;
/// What `demo/web-1` holds in every template with IPv4.
const OWN: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 10);
