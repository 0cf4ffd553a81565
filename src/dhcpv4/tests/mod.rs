//! The room as a whole: datagrams in, replies out, read back with dhcproto.

mod any_bytes;
mod boot;
mod client_fqdn;
mod message;
mod reply_options;
mod room;
mod states;

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use dhcproto::v4::{self, DhcpOption, MessageType, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::*;
use crate::network::{
    self, BootRule, DomainName, Hostname, Ipv4Parameters, Ipv4Route, Lifetime, Mask, RawOption,
};
use crate::outcome::{Message, Note};
use crate::wire::{Link, Mac};

const MAC: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 1);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 7);
const OTHERS: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 8);
const OFF_SUBNET: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 9);
const ZERO: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const EVERYBODY: Ipv4Addr = Ipv4Addr::BROADCAST;
const XID: u32 = 0x1234_5678;
const CLIENT_ID: [u8; 7] = [1, 0x52, 0x54, 0, 0x12, 0x34, 0x56];

fn parameters() -> Parameters {
    Parameters {
        hostname: Hostname::sanitize("web-1"),
        domain: Some(name("blue.example")),
        search: vec![name("blue.example"), name("example")],
        dns: ["10.20.0.53", "2001:db8::53", "10.20.0.54"].map(|ip| ip.parse().unwrap()).to_vec(),
        ntp: vec!["10.20.0.123".parse::<IpAddr>().unwrap()],
        mtu: Some(1450),
        ipv4: Some(Ipv4Parameters {
            renew_time: Some(1800),
            rebind_time: Some(3150),
            routes: vec![Ipv4Route {
                to: "10.128.0.0/9".parse().unwrap(),
                via: Ipv4Addr::new(10, 20, 0, 254),
            }],
            ..network::tests::ipv4_parameters(OWN)
        }),
        ..network::tests::parameters()
    }
}

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

fn raw(code: u16, body: &[u8], always: bool) -> RawOption {
    RawOption { code, body: body.into(), always }
}

/// The parameters after `change`, encoded.
fn profile_with(change: impl FnOnce(&mut Ipv4Parameters)) -> Profile {
    let mut parameters = parameters();
    change(parameters.ipv4.as_mut().unwrap());
    Profile::new(&parameters).unwrap()
}

fn profile() -> Profile {
    profile_with(|_| {})
}

/// A client's message, written by dhcproto, and where it is sent.
struct Client {
    message: v4::Message,
    source: Ipv4Addr,
    destination: Ipv4Addr,
}

impl Client {
    fn new(message_type: MessageType) -> Self {
        let mut message = v4::Message::new_with_id(XID, ZERO, ZERO, ZERO, ZERO, &MAC.0);
        message.opts_mut().insert(DhcpOption::MessageType(message_type));
        message.opts_mut().insert(DhcpOption::ClientIdentifier(CLIENT_ID.to_vec()));
        Self { message, source: ZERO, destination: EVERYBODY }
    }

    fn with(mut self, option: DhcpOption) -> Self {
        self.message.opts_mut().insert(option);
        self
    }

    fn asking_for(self, codes: &[u8]) -> Self {
        let codes = codes.iter().map(|code| OptionCode::from(*code)).collect();
        self.with(DhcpOption::ParameterRequestList(codes))
    }

    fn without(mut self, code: OptionCode) -> Self {
        self.message.opts_mut().remove(code);
        self
    }

    fn requested(self, address: Ipv4Addr) -> Self {
        self.with(DhcpOption::RequestedIpAddress(address))
    }

    fn naming_server(self, server: Ipv4Addr) -> Self {
        self.with(DhcpOption::ServerIdentifier(server))
    }

    fn ciaddr(mut self, address: Ipv4Addr) -> Self {
        self.message.set_ciaddr(address);
        self
    }

    fn broadcast_flag(mut self) -> Self {
        self.message.set_flags(v4::Flags::default().set_broadcast());
        self
    }

    fn sent(mut self, source: Ipv4Addr, destination: Ipv4Addr) -> Self {
        self.source = source;
        self.destination = destination;
        self
    }

    fn handled(&self, profile: &Profile, out: &mut [u8]) -> Handled<Ipv4Addr> {
        let payload = self.message.to_vec().unwrap();
        handle(profile, &datagram(&payload, self.source, self.destination), out)
    }

    fn decision(&self, profile: &Profile) -> Decision<Ipv4Addr> {
        self.handled(profile, &mut [0xaa; 1472]).decision
    }

    /// The reply and its bytes.
    fn reply(&self, profile: &Profile) -> (Reply<Ipv4Addr>, Vec<u8>) {
        let mut out = [0xaa; 1472];
        let handled = self.handled(profile, &mut out);
        let Decision::Reply(reply) = handled.decision else { panic!("{handled:?}") };
        (reply, out[..reply.length].to_vec())
    }

    /// The codes of the reply's options, in order, and the option data by code.
    fn options(&self, profile: &Profile) -> Vec<(u8, Vec<u8>)> {
        options_of(&self.reply(profile).1)
    }

    fn codes(&self, profile: &Profile) -> Vec<u8> {
        self.options(profile).into_iter().map(|(code, _)| code).collect()
    }
}

fn datagram(payload: &[u8], source: Ipv4Addr, destination: Ipv4Addr) -> Datagram<'_, Ipv4Addr> {
    let link = Link { source: MAC, destination: Mac::BROADCAST };
    Datagram { link, source, destination, payload }
}

/// Reads a reply the way RFC 3396 tells a client to: all fields, parts joined, in order of first
/// appearance. Says nothing of 52. It shares nothing with the walker that is tested.
fn options_of(reply: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut joined: Vec<(u8, Vec<u8>)> = Vec::new();
    let mut read = |mut field: &[u8]| {
        let mut overload = 0;
        while field[0] != 255 {
            let (code, length) = (field[0], usize::from(field[1]));
            let data = &field[2..2 + length];
            field = &field[2 + length..];
            if code == 52 {
                overload = data[0];
                continue;
            }
            match joined.iter_mut().find(|(known, _)| *known == code) {
                Some((_, before)) => before.extend(data),
                None => joined.push((code, data.to_vec())),
            }
        }
        assert!(field[1..].iter().all(|byte| *byte == 0), "bytes after End");
        overload
    };
    let overload = read(&reply[240..]);
    if overload & 1 != 0 {
        read(&reply[108..236]);
    }
    if overload & 2 != 0 {
        read(&reply[44..108]);
    }
    joined
}

fn decoded(bytes: &[u8]) -> v4::Message {
    v4::Message::decode(&mut Decoder::new(bytes)).unwrap()
}

/// A reply of this type with the options that every test client gets.
fn expected(message_type: MessageType, ciaddr: Ipv4Addr, yiaddr: Ipv4Addr) -> v4::Message {
    let mut message = v4::Message::new_with_id(XID, ciaddr, yiaddr, ZERO, ZERO, &MAC.0);
    message.set_opcode(v4::Opcode::BootReply);
    for option in [
        DhcpOption::MessageType(message_type),
        DhcpOption::ServerIdentifier(SERVER),
        DhcpOption::ClientIdentifier(CLIENT_ID.to_vec()),
    ] {
        message.opts_mut().insert(option);
    }
    message
}

fn configured(mut message: v4::Message) -> v4::Message {
    let domain = |text| dhcproto::Name::from_str(text).unwrap();
    for option in [
        DhcpOption::SubnetMask(Ipv4Addr::new(255, 255, 0, 0)),
        DhcpOption::ClasslessStaticRoute(vec![
            ("0.0.0.0/0".parse().unwrap(), SERVER),
            ("10.128.0.0/9".parse().unwrap(), Ipv4Addr::new(10, 20, 0, 254)),
        ]),
        DhcpOption::Router(vec![SERVER]),
        DhcpOption::DomainNameServer(vec![
            Ipv4Addr::new(10, 20, 0, 53),
            Ipv4Addr::new(10, 20, 0, 54),
        ]),
        DhcpOption::Hostname("web-1".into()),
        DhcpOption::DomainName("blue.example".into()),
        DhcpOption::InterfaceMtu(1450),
        DhcpOption::BroadcastAddr(Ipv4Addr::new(10, 20, 255, 255)),
        DhcpOption::NtpServers(vec![Ipv4Addr::new(10, 20, 0, 123)]),
        DhcpOption::DomainSearch(vec![domain("blue.example."), domain("example.")]),
    ] {
        message.opts_mut().insert(option);
    }
    message
}

fn leased(mut message: v4::Message) -> v4::Message {
    for option in
        [DhcpOption::AddressLeaseTime(3600), DhcpOption::Renewal(1800), DhcpOption::Rebinding(3150)]
    {
        message.opts_mut().insert(option);
    }
    message
}

fn nak() -> v4::Message {
    let mut message = expected(MessageType::Nak, ZERO, ZERO);
    message.opts_mut().insert(DhcpOption::Message("address is not leased to this port".into()));
    message
}

const TO_EVERYBODY: (Mac, Ipv4Addr) = (Mac::BROADCAST, EVERYBODY);

fn destination(reply: &Reply<Ipv4Addr>) -> (Mac, Ipv4Addr) {
    (reply.to_mac, reply.to_ip)
}

/// A network with options of these codes and lengths, sent to everybody.
fn wide(lengths: &[(u8, usize)]) -> Profile {
    profile_with(|ipv4| {
        let options =
            lengths.iter().map(|(code, length)| raw((*code).into(), &body(*length), true));
        ipv4.options = options.collect();
    })
}

/// Data of which no two near parts are alike.
fn body(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}
