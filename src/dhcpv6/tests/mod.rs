//! Whole exchanges: what a client sends, byte for byte or through dhcproto, and the complete
//! message that comes back, read by dhcproto.

mod any_bytes;
mod exchanges;
mod hostile;
mod reply_options;
mod validation;

use std::net::Ipv6Addr;

use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, IAPrefix, IATA, Message as Oracle, MessageType,
    NtpSuboption, ORO, OptionCode, StatusCode, UnknownOption,
};
use dhcproto::{Decodable, Encodable};
use proptest::prelude::*;

use super::options::code;
use super::*;
use crate::network::{self, Hostname, Ipv6Parameters, RawOption};
use crate::outcome::{Message, Note};
use crate::wire::bytes::Reader;
use crate::wire::{Link, Mac};

const XID: [u8; 3] = [0xab, 0xcd, 0xef];
const CLIENT: &[u8] = &[0, 3, 0, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56];
const SERVER: [u8; 18] = [0, 4, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6];
const ADDRESS: &str = "2001:db8:20::10";
/// Of the same subnet, but another VM's.
const NEIGHBOUR: &str = "2001:db8:20::11";
const ELSEWHERE: &str = "2001:db8:99::10";
const MAC: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

fn ip(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

fn parameters() -> Parameters {
    Parameters {
        hostname: Hostname::sanitize("web-1"),
        domain: Some("blue.example".parse().unwrap()),
        search: vec!["blue.example".parse().unwrap(), "corp.example".parse().unwrap()],
        dns: vec!["192.0.2.53".parse().unwrap(), "2001:db8::53".parse().unwrap()],
        ntp: vec!["192.0.2.123".parse().unwrap(), "2001:db8::123".parse().unwrap()],
        ipv6: Some(Ipv6Parameters {
            delegated: Some("2001:db8:4000::/56".parse().unwrap()),
            ..network::tests::ipv6_parameters(ADDRESS)
        }),
        server_duid: SERVER,
        ..network::tests::parameters()
    }
}

fn profile_with(change: impl FnOnce(&mut Ipv6Parameters)) -> Profile {
    let mut parameters = parameters();
    change(parameters.ipv6.as_mut().unwrap());
    Profile::new(&parameters).unwrap()
}

fn profile() -> Profile {
    profile_with(|_| {})
}

fn datagram(payload: &[u8]) -> Datagram<'_, Ipv6Addr> {
    Datagram {
        link: Link { source: MAC, destination: Mac([0x33, 0x33, 0, 1, 0, 2]) },
        source: ip("fe80::1234"),
        destination: ip("ff02::1:2"),
        payload,
    }
}

fn message(kind: MessageType, options: Vec<DhcpOption>) -> Oracle {
    let mut message = Oracle::new_with_id(kind, XID);
    message.set_opts(options.into_iter().collect());
    message
}

fn client() -> DhcpOption {
    DhcpOption::ClientId(CLIENT.to_vec())
}

fn server() -> DhcpOption {
    DhcpOption::ServerId(SERVER.to_vec())
}

fn oro(codes: &[u16]) -> DhcpOption {
    DhcpOption::ORO(ORO { opts: codes.iter().map(|code| OptionCode::from(*code)).collect() })
}

fn address(text: &str, preferred_life: u32, valid_life: u32) -> DhcpOption {
    let addr = ip(text);
    DhcpOption::IAAddr(IAAddr { addr, preferred_life, valid_life, opts: DhcpOptions::new() })
}

fn prefix(text: &str, preferred_lifetime: u32, valid_lifetime: u32) -> DhcpOption {
    let prefix: Ipv6Net = text.parse().unwrap();
    DhcpOption::IAPrefix(IAPrefix {
        preferred_lifetime,
        valid_lifetime,
        prefix_len: prefix.prefix_len(),
        prefix_ip: prefix.addr(),
        opts: DhcpOptions::new(),
    })
}

fn status(code: u16, text: &str) -> DhcpOption {
    DhcpOption::StatusCode(StatusCode { status: code.into(), msg: text.to_owned() })
}

fn no_address() -> DhcpOption {
    status(2, "no address is left for this association")
}

fn no_prefix() -> DhcpOption {
    status(6, "no prefix is left for this association")
}

fn no_binding() -> DhcpOption {
    status(3, "nothing is held in this association")
}

/// An IA_NA as a client sends it.
fn ia_na(id: u32, options: Vec<DhcpOption>) -> DhcpOption {
    timed_ia_na(id, (0, 0), options)
}

fn timed_ia_na(id: u32, (t1, t2): (u32, u32), options: Vec<DhcpOption>) -> DhcpOption {
    DhcpOption::IANA(IANA { id, t1, t2, opts: options.into_iter().collect() })
}

fn ia_pd(id: u32, options: Vec<DhcpOption>) -> DhcpOption {
    DhcpOption::IAPD(IAPD { id, t1: 0, t2: 0, opts: options.into_iter().collect() })
}

/// An IA_NA with everything that the template gives.
fn granted(id: u32) -> DhcpOption {
    timed_ia_na(id, (1_800, 2_880), vec![address(ADDRESS, 3_600, 7_200)])
}

fn granted_prefix(id: u32) -> DhcpOption {
    let opts = vec![prefix("2001:db8:4000::/56", 3_600, 7_200)];
    DhcpOption::IAPD(IAPD { id, t1: 1_800, t2: 2_880, opts: opts.into_iter().collect() })
}

/// Walks a reply to its end: dhcproto stops silently at the first option that it cannot read.
fn assert_whole(options: &[u8]) {
    let mut reader = Reader::new(options);
    while !reader.is_empty() {
        let code = reader.u16().unwrap();
        let length = usize::from(reader.u16().unwrap());
        let body = reader.take(length).unwrap();
        match code {
            code::IA_NA | code::IA_PD => assert_whole(&body[12..]),
            code::IA_ADDR => assert_eq!(body.len(), 24),
            code::IA_PREFIX => assert_eq!(body.len(), 25),
            _ => {}
        }
    }
}

fn read(reply: &[u8]) -> Oracle {
    assert_whole(&reply[4..]);
    Oracle::from_bytes(reply).unwrap()
}

/// Hands `payload` to the responder; what came back, and the reply's content.
fn run(profile: &Profile, payload: &[u8]) -> (Handled<Ipv6Addr>, Option<Oracle>) {
    let mut out = [0xaa; 1_452];
    let handled = handle(profile, &datagram(payload), &mut out);
    let content = match &handled.decision {
        Decision::Reply(reply) => Some(read(&out[..reply.length])),
        Decision::Noted(_) | Decision::Dropped(_) => None,
    };
    (handled, content)
}

/// Sends what dhcproto encodes and expects a reply.
fn ask(profile: &Profile, kind: MessageType, options: Vec<DhcpOption>) -> Oracle {
    run(profile, &message(kind, options).to_vec().unwrap()).1.unwrap()
}

/// Sends bytes and expects silence.
fn refusal(profile: &Profile, payload: &[u8]) -> DropReason {
    match run(profile, payload).0.decision {
        Decision::Dropped(reason) => reason,
        other => panic!("answered: {other:?}"),
    }
}

fn tlv(code: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = code.to_be_bytes().to_vec();
    bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend(body);
    bytes
}

/// A message of type `kind` out of a header and raw options.
fn raw(kind: u8, options: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![kind, XID[0], XID[1], XID[2]];
    bytes.extend(options.concat());
    bytes
}

/// A Solicit with a good client identifier and these options.
fn raw_solicit(options: &[Vec<u8>]) -> Vec<u8> {
    raw(1, &[vec![tlv(1, CLIENT)], options.to_vec()].concat())
}

fn raw_ia_na(options: &[Vec<u8>]) -> Vec<u8> {
    tlv(3, &[vec![0; 12], options.concat()].concat())
}

fn raw_address() -> Vec<u8> {
    tlv(5, &[ip(ADDRESS).octets().to_vec(), vec![0; 8]].concat())
}
