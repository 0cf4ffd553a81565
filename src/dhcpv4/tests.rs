//! The room as a whole: datagrams in, replies out, read back with dhcproto.

use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

use dhcproto::v4::{self, DhcpOption, MessageType, OptionCode};
use dhcproto::{Decodable, Decoder, Encodable};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};

use super::*;
use crate::network::{
    DomainName, Gateway, Hostname, Ipv4Parameters, Ipv4Route, Lifetime, Mask, RawOption,
};
use crate::outcome::{Message, Note};
use crate::wire::{Link, Mac};

const MAC: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);
const ROUTER_MAC: Mac = Mac([0x0a, 0x58, 10, 20, 0, 1]);
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
        gateway: Gateway {
            source_mac: ROUTER_MAC,
            mac_given: false,
            answer: false,
            answer_ping: false,
            announce: false,
            retire: Vec::new(),
        },
        ipv4: Some(Ipv4Parameters {
            subnet: "10.20.0.0/16".parse().unwrap(),
            gateway: Some(SERVER),
            server_id: SERVER,
            address: Some(OWN),
            lease_time: Lifetime(3600),
            renew_time: Some(1800),
            rebind_time: Some(3150),
            mask: Mask::Subnet,
            routes: vec![Ipv4Route {
                to: "10.128.0.0/9".parse().unwrap(),
                via: Ipv4Addr::new(10, 20, 0, 254),
            }],
            rapid_commit: false,
            options: Vec::new(),
        }),
        ipv6: None,
        server_duid: [0; 18],
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

// The state table of RFC 2131, section 4.3.

#[test]
fn discover_is_offered_the_own_address() {
    let (reply, bytes) = Client::new(MessageType::Discover).requested(OTHERS).reply(&profile());
    let length = bytes.len();
    let message = Message::Offer;
    assert_eq!(reply, Reply { message, length, to_mac: MAC, to_ip: OWN, note: None });
    let offer = configured(leased(expected(MessageType::Offer, ZERO, OWN)));
    assert_eq!(decoded(&bytes), offer);
}

#[test]
fn request_for_the_own_address_is_acked_in_every_state() {
    let request = || Client::new(MessageType::Request);
    let first = configured(leased(expected(MessageType::Ack, ZERO, OWN)));
    let extended = configured(leased(expected(MessageType::Ack, OWN, OWN)));
    for (state, client, ack) in [
        ("SELECTING", request().naming_server(SERVER).requested(OWN), &first),
        ("INIT-REBOOT", request().requested(OWN), &first),
        ("RENEWING", request().ciaddr(OWN).sent(OWN, SERVER), &extended),
        ("RENEWING elsewhere", request().ciaddr(OWN).sent(OWN, OFF_SUBNET), &extended),
        ("REBINDING", request().ciaddr(OWN).sent(OWN, EVERYBODY), &extended),
        ("RENEWING with 54", request().ciaddr(OWN).naming_server(SERVER), &extended),
        ("RENEWING with 50", request().ciaddr(OWN).requested(OWN), &extended),
    ] {
        let (reply, bytes) = client.reply(&profile());
        assert_eq!(reply.message, Message::Ack, "{state}");
        assert_eq!(destination(&reply), (MAC, OWN), "{state}");
        assert_eq!(&decoded(&bytes), ack, "{state}");
    }
}

#[test]
fn request_for_another_address_is_refused_in_every_state() {
    let request = || Client::new(MessageType::Request).asking_for(&[1, 3, 51]);
    for other in [OTHERS, OFF_SUBNET] {
        for (state, client) in [
            ("SELECTING", request().naming_server(SERVER).requested(other)),
            ("INIT-REBOOT", request().requested(other)),
            ("RENEWING", request().ciaddr(other).sent(other, SERVER)),
            ("REBINDING", request().ciaddr(other).sent(other, EVERYBODY)),
        ] {
            let (reply, bytes) = client.reply(&profile());
            assert_eq!(reply.message, Message::Nak, "{state} {other}");
            assert_eq!(destination(&reply), TO_EVERYBODY, "{state} {other}");
            assert_eq!(decoded(&bytes), nak(), "{state} {other}");
        }
    }
}

#[test]
fn nak_keeps_the_broadcast_flag_and_orders_its_options() {
    let client = Client::new(MessageType::Request).requested(OTHERS).broadcast_flag();
    let (_, bytes) = client.reply(&profile());
    assert_eq!(bytes[10..12], [0x80, 0]);
    assert_eq!(client.codes(&profile()), [53, 54, 56, 61]);
    let client = client.without(OptionCode::ClientIdentifier);
    assert_eq!(client.codes(&profile()), [53, 54, 56]);
}

#[test]
fn request_naming_another_server_is_dropped() {
    let request = || Client::new(MessageType::Request).naming_server(OFF_SUBNET);
    let dropped = Decision::Dropped(DropReason::OtherServer);
    assert_eq!(request().requested(OWN).decision(&profile()), dropped);
    assert_eq!(request().requested(OTHERS).decision(&profile()), dropped);
    assert_eq!(request().ciaddr(OWN).decision(&profile()), dropped);
}

#[test]
fn request_that_fits_no_state_is_dropped() {
    let request = || Client::new(MessageType::Request);
    for client in
        [request(), request().naming_server(SERVER), request().ciaddr(OWN).requested(OTHERS)]
    {
        assert_eq!(client.decision(&profile()), Decision::Dropped(DropReason::Invalid));
    }
}

#[test]
fn request_that_answers_an_offer_may_still_hold_the_old_address() {
    let client = Client::new(MessageType::Request)
        .ciaddr(OTHERS)
        .sent(ZERO, Ipv4Addr::BROADCAST)
        .requested(OWN)
        .naming_server(SERVER);
    let (reply, bytes) = client.reply(&profile());
    assert_eq!((reply.message, destination(&reply)), (Message::Ack, (MAC, OWN)));
    assert_eq!(decoded(&bytes), configured(leased(expected(MessageType::Ack, ZERO, OWN))));
}

#[test]
fn broadcast_flag_is_honoured_until_the_client_has_an_address() {
    let discover = Client::new(MessageType::Discover).broadcast_flag();
    let reboot = Client::new(MessageType::Request).requested(OWN).broadcast_flag();
    for client in [discover, reboot] {
        let (reply, bytes) = client.reply(&profile());
        assert_eq!(destination(&reply), TO_EVERYBODY);
        assert_eq!(bytes[10..12], [0x80, 0]);
    }
    let renewing = Client::new(MessageType::Request).ciaddr(OWN).broadcast_flag();
    assert_eq!(destination(&renewing.reply(&profile()).0), (MAC, OWN));
}

#[test]
fn discover_with_rapid_commit_is_acked_if_the_network_allows() {
    let client = Client::new(MessageType::Discover).with(DhcpOption::RapidCommit);
    assert_eq!(client.reply(&profile()).0.message, Message::Offer);
    let allowing = profile_with(|ipv4| ipv4.rapid_commit = true);
    let (reply, bytes) = client.reply(&allowing);
    assert_eq!((reply.message, destination(&reply)), (Message::Ack, (MAC, OWN)));
    let mut ack = configured(leased(expected(MessageType::Ack, ZERO, OWN)));
    ack.opts_mut().insert(DhcpOption::RapidCommit);
    assert_eq!(decoded(&bytes), ack);
    let plain = Client::new(MessageType::Discover);
    assert_eq!(plain.reply(&allowing).0.message, Message::Offer);
}

#[test]
fn inform_is_acked_without_a_lease() {
    let inform = || Client::new(MessageType::Inform);
    for (client, ciaddr, to_ip) in [
        (inform().ciaddr(OWN).sent(OWN, EVERYBODY), OWN, OWN),
        (inform().ciaddr(OTHERS).sent(OTHERS, SERVER), OTHERS, OTHERS),
        (inform().ciaddr(OTHERS).broadcast_flag(), OTHERS, OTHERS),
        (inform().sent(OTHERS, EVERYBODY), ZERO, OTHERS),
    ] {
        let (reply, bytes) = client.reply(&profile());
        assert_eq!((reply.message, destination(&reply)), (Message::Ack, (MAC, to_ip)));
        let mut ack = configured(expected(MessageType::Ack, ciaddr, ZERO));
        ack.set_flags(client.message.flags());
        assert_eq!(decoded(&bytes), ack);
    }
    let nowhere = inform().decision(&profile());
    assert_eq!(nowhere, Decision::Dropped(DropReason::SourceAddress));
}

#[test]
fn release_and_decline_are_noted_if_they_are_for_us() {
    let client = Client::new;
    let release = || client(MessageType::Release).ciaddr(OWN).sent(OWN, SERVER);
    let decline = || client(MessageType::Decline);
    let other = Decision::Dropped(DropReason::OtherServer);
    let invalid = Decision::Dropped(DropReason::Invalid);
    for (client, decision) in [
        (release().naming_server(SERVER), Decision::Noted(Note::Released)),
        (release(), Decision::Noted(Note::Released)),
        (release().naming_server(OFF_SUBNET), other),
        (release().ciaddr(OTHERS).sent(OTHERS, SERVER), invalid),
        (release().ciaddr(ZERO), invalid),
        (decline().requested(OWN).naming_server(SERVER), Decision::Noted(Note::Declined)),
        (decline().requested(OWN), Decision::Noted(Note::Declined)),
        (decline().requested(OWN).naming_server(OFF_SUBNET), other),
        (decline().requested(OTHERS), invalid),
        (decline(), invalid),
    ] {
        assert_eq!(client.decision(&profile()), decision);
    }
}

#[test]
fn a_nic_without_an_address_is_silent() {
    let profile = profile_with(|ipv4| ipv4.address = None);
    for message_type in [
        MessageType::Discover,
        MessageType::Request,
        MessageType::Decline,
        MessageType::Release,
        MessageType::Inform,
    ] {
        let client = Client::new(message_type).ciaddr(OWN).sent(OWN, SERVER);
        assert_eq!(client.decision(&profile), Decision::Dropped(DropReason::NoAddress));
    }
}

#[test]
fn a_source_that_the_guest_cannot_have_is_dropped() {
    let discover = || Client::new(MessageType::Discover);
    let renewing = Client::new(MessageType::Request).ciaddr(OWN);
    for client in [
        discover().sent(OTHERS, EVERYBODY),
        discover().ciaddr(OWN).sent(OTHERS, EVERYBODY),
        renewing.sent(OTHERS, SERVER),
        Client::new(MessageType::Inform).ciaddr(OWN).sent(OTHERS, SERVER),
        Client::new(MessageType::Inform).sent(Ipv4Addr::new(224, 0, 0, 1), SERVER),
    ] {
        let dropped = Decision::Dropped(DropReason::SourceAddress);
        assert_eq!(client.decision(&profile()), dropped);
    }
    assert_eq!(discover().sent(OWN, EVERYBODY).reply(&profile()).0.message, Message::Offer);
}

#[test]
fn a_destination_at_which_nobody_serves_is_dropped() {
    let profile = profile_with(|ipv4| ipv4.gateway = Some(Ipv4Addr::new(10, 20, 0, 2)));
    let discover = |to| Client::new(MessageType::Discover).sent(ZERO, to);
    for served in [EVERYBODY, SERVER, Ipv4Addr::new(10, 20, 0, 2)] {
        assert_eq!(discover(served).reply(&profile).0.message, Message::Offer);
    }
    let reboot = Client::new(MessageType::Request).requested(OWN);
    let multicast = Ipv4Addr::new(224, 0, 0, 1);
    let renewing = Client::new(MessageType::Request).ciaddr(OWN);
    for client in
        [discover(OFF_SUBNET), reboot.sent(OWN, OFF_SUBNET), renewing.sent(OWN, multicast)]
    {
        let dropped = Decision::Dropped(DropReason::Destination);
        assert_eq!(client.decision(&profile), dropped);
    }
}

// What a reply holds, and in which order.

#[test]
fn options_follow_the_clients_list() {
    let client = Client::new(MessageType::Discover);
    for (list, codes) in [
        // What the client lists, without repeats and unknown codes; 1 (never behind 3), 58 and 59
        // in any case.
        (&[6, 15, 6, 200, 53, 61, 12][..], &[53, 54, 51, 6, 15, 12, 1, 58, 59, 61][..]),
        (&[3, 59, 121, 51], &[53, 54, 51, 1, 121, 3, 59, 58, 61]),
        (&[3, 1, 249, 121], &[53, 54, 51, 1, 121, 249, 3, 58, 59, 61]),
        (&[121, 28, 3], &[53, 54, 51, 121, 28, 1, 3, 58, 59, 61]),
        (&[3], &[53, 54, 51, 1, 3, 58, 59, 61]),
    ] {
        let client = Client { message: client.message.clone(), ..client }.asking_for(list);
        assert_eq!(client.codes(&profile()), codes, "{list:?}");
    }
    let all = [53, 54, 51, 1, 121, 3, 6, 12, 15, 26, 28, 42, 58, 59, 119, 61];
    assert_eq!(client.codes(&profile()), all);
}

#[test]
fn classless_routes_are_the_same_under_both_codes() {
    let client = Client::new(MessageType::Discover).asking_for(&[121, 249]);
    let options = client.options(&profile());
    let body = [0, 10, 20, 0, 1, 9, 10, 128, 10, 20, 0, 254];
    assert!(options.contains(&(121, body.to_vec())));
    assert!(options.contains(&(249, body.to_vec())));
    let without_routes = profile_with(|ipv4| ipv4.routes.clear());
    assert_eq!(client.codes(&without_routes), [53, 54, 51, 1, 58, 59, 61]);
}

#[test]
fn a_default_route_of_the_template_replaces_the_gateways() {
    let client = Client::new(MessageType::Discover).asking_for(&[121]);
    let via = Ipv4Addr::new(10, 20, 0, 9);
    let route = Ipv4Route { to: "0.0.0.0/0".parse().unwrap(), via };
    let profile = profile_with(|ipv4| ipv4.routes = vec![route]);
    assert!(client.options(&profile).contains(&(121, vec![0, 10, 20, 0, 9])));
}

#[test]
fn a_host_mask_comes_with_its_routes_and_without_a_broadcast_address() {
    let profile = profile_with(|ipv4| ipv4.mask = Mask::Host);
    let client = Client::new(MessageType::Discover).asking_for(&[3, 28]);
    let options = client.options(&profile);
    let codes: Vec<u8> = options.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [53, 54, 51, 1, 3, 121, 58, 59, 61]);
    assert!(options.contains(&(1, vec![255; 4])));
    let routes =
        [&[32, 10, 20, 0, 1, 0, 0, 0, 0][..], &[0, 10, 20, 0, 1], &[9, 10, 128, 10, 20, 0, 254]];
    assert!(options.contains(&(121, routes.concat())));
}

#[test]
fn an_infinite_lease_has_no_timers() {
    let profile = profile_with(|ipv4| {
        ipv4.lease_time = Lifetime::INFINITE;
        (ipv4.renew_time, ipv4.rebind_time) = (None, None);
    });
    let options = Client::new(MessageType::Discover).asking_for(&[58, 59]).options(&profile);
    assert!(options.contains(&(51, vec![255; 4])));
    assert!(!options.iter().any(|(code, _)| [58, 59].contains(code)));
}

#[test]
fn raw_options_replace_rows_and_follow_them() {
    let profile = profile_with(|ipv4| {
        ipv4.options = vec![
            raw(43, &[1, 2], true),
            raw(6, &[9, 9, 9, 9], false),
            raw(176, &[], false),
            raw(15, b"old", false),
            raw(15, b"new", true),
            // The protocol's own, and no code at all.
            raw(53, &[9], true),
            raw(61, &[9, 9], true),
            raw(255, &[9], true),
            raw(300, &[9], true),
        ];
    });
    let client = Client::new(MessageType::Discover);
    let all = client.options(&profile);
    assert!(all.contains(&(6, vec![9; 4])) && all.contains(&(15, b"new".to_vec())));
    let codes: Vec<u8> = all.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, [53, 54, 51, 1, 121, 3, 6, 12, 15, 26, 28, 42, 58, 59, 119, 43, 176, 61]);
    let client = client.asking_for(&[176]);
    assert_eq!(client.codes(&profile), [53, 54, 51, 176, 1, 15, 58, 59, 43, 61]);
    assert!(client.options(&profile).contains(&(176, Vec::new())));
}

#[test]
fn ipv6_only_preferred_goes_only_to_who_lists_it() {
    let profile = profile_with(|ipv4| ipv4.options = vec![raw(108, &[0, 0, 7, 8], false)]);
    let client = Client::new(MessageType::Discover);
    assert!(!client.codes(&profile).contains(&108));
    assert!(client.asking_for(&[108]).codes(&profile).contains(&108));
}

#[test]
fn search_list_is_compressed_over_all_names() {
    let mut parameters = parameters();
    parameters.search =
        ["a.blue.example", "b.blue.example", "example", "a.blue.example", "c"].map(name).to_vec();
    let profile = Profile::new(&parameters).unwrap();
    let client = Client::new(MessageType::Discover).asking_for(&[119]);
    let body = b"\x01a\x04blue\x07example\0\x01b\xc0\x02\xc0\x07\xc0\0\x01c\0";
    assert!(client.options(&profile).contains(&(119, body.to_vec())));
    let decoded = decoded(&client.reply(&profile).1);
    let names = ["a.blue.example.", "b.blue.example.", "example.", "a.blue.example.", "c."]
        .map(|text| dhcproto::Name::from_str(text).unwrap());
    let search = DhcpOption::DomainSearch(names.to_vec());
    assert_eq!(decoded.opts().get(OptionCode::DomainSearch), Some(&search));
}

#[test]
fn names_of_rows_are_dhcprotos() {
    for code in 0..=255 {
        if let (Some(name), known) = (option_name(code), OptionCode::from(code))
            && known != OptionCode::Unknown(code)
        {
            assert_eq!(name, format!("{known:?}"));
        }
    }
    assert_eq!(option_name(249), Some("ClasslessStaticRouteMicrosoft"));
    assert_eq!(option_name(200), None);
}

#[test]
fn agent_information_of_a_guest_is_not_echoed() {
    let mut payload = Client::new(MessageType::Discover).message.to_vec().unwrap();
    payload.pop();
    payload.extend([82, 6, 1, 4, b'e', b't', b'h', b'0', 55, 2, 82, 1, 255]);
    let mut out = [0; 1472];
    let handled = handle(&profile(), &datagram(&payload, ZERO, EVERYBODY), &mut out);
    let Decision::Reply(reply) = handled.decision else { panic!("{handled:?}") };
    assert!(!options_of(&out[..reply.length]).iter().any(|(code, _)| *code == 82));
}

// Option 81.

/// Option 81 of the reply to `client`, sent with these bytes.
fn fqdn_reply(client: Client, profile: &Profile, sent: &[u8]) -> Option<Vec<u8>> {
    let mut payload = client.message.to_vec().unwrap();
    assert_eq!(payload.pop(), Some(255));
    payload.extend([81, u8::try_from(sent.len()).unwrap()]);
    payload.extend(sent);
    payload.push(255);
    let mut out = [0xaa; 1472];
    let handled = handle(profile, &datagram(&payload, client.source, client.destination), &mut out);
    let Decision::Reply(reply) = handled.decision else { panic!("{handled:?}") };
    let options = options_of(&out[..reply.length]);
    options.into_iter().find(|(code, _)| *code == 81).map(|(_, body)| body)
}

#[test]
fn fqdn_is_answered_with_our_name_in_the_clients_encoding() {
    let canonical = &b"\x05web-1\x04blue\x07example\0"[..];
    let text = &b"web-1.blue.example"[..];
    // N in any case; O if the client asked for S; E as the client's.
    for (sent, flags, name) in [
        (0x00, 0x08, text),
        (0x01, 0x0a, text),
        (0x04, 0x0c, canonical),
        (0x05, 0x0e, canonical),
        (0x0c, 0x0c, canonical),
        (0xff, 0x0e, canonical),
    ] {
        let client = Client::new(MessageType::Discover).asking_for(&[81]);
        let expected = [&[flags, 255, 255], name].concat();
        assert_eq!(fqdn_reply(client, &profile(), &[sent, 0, 0, b'x']), Some(expected), "{sent}");
    }
}

#[test]
fn fqdn_comes_with_a_lease_alone_and_only_to_who_sent_it() {
    let sent = [4, 0, 0];
    let ack = Client::new(MessageType::Request).requested(OWN);
    assert!(fqdn_reply(ack, &profile(), &sent).is_some());
    let nak = Client::new(MessageType::Request).requested(OTHERS);
    assert_eq!(fqdn_reply(nak, &profile(), &sent), None);
    let inform = Client::new(MessageType::Inform).ciaddr(OWN);
    assert_eq!(fqdn_reply(inform, &profile(), &sent), None);
    let listed = Client::new(MessageType::Discover).asking_for(&[81]);
    assert!(!listed.codes(&profile()).contains(&81));
    // Without its fixed part it is none.
    assert_eq!(fqdn_reply(listed, &profile(), &[4, 0]), None);
}

#[test]
fn fqdn_without_a_domain_or_room_for_it_is_partial() {
    let mut parameters = parameters();
    let mut answered = |domain: Option<&str>| {
        parameters.domain = domain.map(name);
        let client = Client::new(MessageType::Discover).asking_for(&[1]);
        fqdn_reply(client, &Profile::new(&parameters).unwrap(), &[4, 0, 0]).unwrap()
    };
    let partial = b"\x0c\xff\xff\x05web-1";
    assert_eq!(answered(None), partial);
    // "web-1" and the domain have 249 letters and dots, then one more.
    let longest = ["x".repeat(60), "x".repeat(60), "x".repeat(60), "x".repeat(61)].join(".");
    assert_eq!(answered(Some(&longest)).len(), 255);
    assert_eq!(answered(Some(&format!("x{longest}"))), partial);
    parameters.hostname = None;
    let client = Client::new(MessageType::Discover);
    assert_eq!(fqdn_reply(client, &Profile::new(&parameters).unwrap(), &[4, 0, 0]), None);
}

#[test]
fn fqdn_is_the_first_to_be_left_out() {
    let payload = |profile: &Profile| {
        let client = Client::new(MessageType::Discover).asking_for(&[224]);
        fqdn_reply(client, profile, &[4, 0, 0, 1, b'x'])
    };
    // 43 bytes are always there, 262 are left less 3: see the overload.
    assert!(payload(&wide(&[(224, 230)])).is_some());
    assert_eq!(payload(&wide(&[(224, 245)])), None);
    assert_eq!(payload(&wide(&[(224, 255), (225, 100)])), None);
}

#[test]
fn fqdn_set_by_code_is_sent_as_it_is() {
    let profile = profile_with(|ipv4| ipv4.options = vec![raw(81, &[0, 0, 0, b'y'], false)]);
    let client = Client::new(MessageType::Discover).asking_for(&[81]);
    assert_eq!(fqdn_reply(client, &profile, &[4, 0, 0]), Some(vec![0, 0, 0, b'y']));
}

// Room.

#[test]
fn a_short_reply_is_padded_to_a_whole_bootp_message() {
    let client = Client::new(MessageType::Request).requested(OTHERS);
    let (reply, bytes) = client.without(OptionCode::ClientIdentifier).reply(&profile());
    assert_eq!((reply.length, bytes.len()), (300, 300));
}

#[test]
fn what_fits_in_548_bytes_leaves_file_and_sname_alone() {
    let full = profile_with(|ipv4| ipv4.options = vec![raw(43, &[7; 200], false)]);
    let client = Client::new(MessageType::Discover).asking_for(&[43]);
    let (reply, bytes) = client.reply(&full);
    assert!(reply.length <= 548);
    assert_eq!(bytes[44..236], [0; 192]);
    assert_eq!(reply.note, None);
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

#[test]
fn options_move_to_file_and_sname_when_the_options_field_is_full() {
    let client = Client::new(MessageType::Discover).asking_for(&[224]);
    // What is always there: 53, 54, 51, 1, 58, 59, 61 and End are 43 bytes; 52 is 3; 262 are left.
    for (bodies, overload) in [
        (&[(224, 255), (225, 4)][..], None),
        (&[(224, 255), (225, 100)], Some(1)),
        (&[(224, 255), (225, 125), (226, 61)], Some(3)),
    ] {
        let profile = wide(bodies);
        let (reply, bytes) = client.reply(&profile);
        assert!(reply.length <= 548);
        assert_eq!(reply.note, None, "{bodies:?}");
        let field = decoded(&bytes).opts().get(OptionCode::OptionOverload).cloned();
        assert_eq!(field, overload.map(DhcpOption::OptionOverload), "{bodies:?}");
        let options = options_of(&bytes);
        for (code, length) in bodies {
            assert!(options.contains(&(*code, body(*length))), "{bodies:?} {code}");
        }
    }
}

#[test]
fn file_is_filled_before_sname() {
    let client = Client::new(MessageType::Discover).asking_for(&[224]);
    let profile = wide(&[(224, 255), (225, 125), (226, 20)]);
    let (reply, bytes) = client.reply(&profile);
    assert_eq!(reply.note, None);
    assert_eq!(bytes[108..110], [225, 125]);
    assert_eq!(bytes[235], 255);
    assert_eq!(bytes[44..46], [226, 20]);
    assert_eq!(bytes[66], 255);
}

#[test]
fn an_option_of_more_than_255_bytes_is_split() {
    let profile = wide(&[(224, 600)]);
    let client = Client::new(MessageType::Discover)
        .asking_for(&[224])
        .with(DhcpOption::MaxMessageSize(1500));
    let (reply, bytes) = client.reply(&profile);
    assert_eq!(reply.note, None);
    let body = body(600);
    let split =
        [&[224, 255][..], &body[..255], &[224, 255], &body[255..510], &[224, 90], &body[510..]];
    let split = split.concat();
    assert!(bytes[240..].windows(split.len()).any(|window| window == split));
    assert!(options_of(&bytes).contains(&(224, body)));
}

#[test]
fn an_option_that_fits_no_field_is_spread_over_all() {
    let profile = wide(&[(224, 400)]);
    let client = Client::new(MessageType::Discover).asking_for(&[224]);
    let (reply, bytes) = client.reply(&profile);
    assert_eq!((reply.note, reply.length <= 548), (None, true));
    assert_eq!(bytes[108], 224);
    assert!(options_of(&bytes).contains(&(224, body(400))));
}

#[test]
fn what_does_not_fit_is_left_out_by_priority_and_noted() {
    let profile = wide(&[(224, 255), (225, 200), (226, 10)]);
    let client = Client::new(MessageType::Discover).asking_for(&[42, 119, 225, 3, 121]);
    assert_eq!(client.reply(&profile).0.note, Some(Note::OptionsLeftOut));
    // 225 was listed, so it comes before 224, which then finds no room even if it is split.
    assert_eq!(client.codes(&profile), [53, 54, 51, 42, 119, 225, 1, 121, 3, 58, 59, 226, 61]);
    // 43 was listed first, but a guest misses routes and name servers more.
    let profile = profile_with(|ipv4| {
        ipv4.options = vec![raw(6, &[7; 248], false), raw(43, &[7; 248], false)];
    });
    let client = Client::new(MessageType::Discover).asking_for(&[43, 6, 3, 121]);
    assert_eq!(client.codes(&profile), [53, 54, 51, 6, 1, 121, 3, 58, 59, 61]);
}

#[test]
fn option_57_is_respected_above_its_floor() {
    let profile = wide(&[(224, 255), (225, 255), (226, 255)]);
    for (size, limit, fitting) in
        [(0, 548, 1), (300, 548, 1), (576, 548, 1), (900, 872, 3), (1500, 1472, 3), (9000, 1472, 3)]
    {
        let client = Client::new(MessageType::Discover)
            .asking_for(&[224])
            .with(DhcpOption::MaxMessageSize(size));
        let (reply, bytes) = client.reply(&profile);
        assert!(reply.length <= limit, "{size}: {}", reply.length);
        let count = options_of(&bytes).iter().filter(|(code, _)| *code >= 224).count();
        assert_eq!(count, fitting, "{size}");
    }
}

#[test]
fn the_longest_client_identifier_always_fits() {
    let id = vec![7; 255];
    let with_id =
        |message_type| Client::new(message_type).with(DhcpOption::ClientIdentifier(id.clone()));
    let rapid = profile_with(|ipv4| ipv4.rapid_commit = true);
    for client in [
        with_id(MessageType::Discover),
        with_id(MessageType::Discover).with(DhcpOption::RapidCommit),
        with_id(MessageType::Request).requested(OTHERS),
        with_id(MessageType::Inform).ciaddr(OWN),
    ] {
        let (reply, bytes) = client.reply(&rapid);
        assert!(reply.length <= 548);
        assert!(options_of(&bytes).contains(&(61, id.clone())));
    }
}

#[test]
fn a_port_whose_frames_are_too_short_gets_no_reply() {
    let client = Client::new(MessageType::Discover);
    for (length, fits) in [(0, false), (240, false), (299, false), (300, true), (400, true)] {
        let mut out = vec![0; length];
        let decision = client.handled(&profile(), &mut out).decision;
        let too_long = Decision::Dropped(DropReason::ReplyTooLong);
        assert_eq!(decision != too_long, fits, "{length}: {decision:?}");
    }
}

// Anything at all.

fn config() -> Config {
    Config {
        cases: 2_000,
        rng_seed: RngSeed::Fixed(2131),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Headers as a client writes them, then any options and any `sname` and `file`.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let tlv = |code: u8, data: &[u8]| {
        let mut option = vec![code, u8::try_from(data.len()).unwrap()];
        option.extend(data);
        option
    };
    let addresses = prop_oneof![Just(OWN), Just(SERVER), Just(OTHERS)];
    let option = prop_oneof![
        2 => Just(vec![0]),
        2 => (1..=3u8).prop_map(move |fields| tlv(52, &[fields])),
        4 => (prop_oneof![Just(50), Just(54)], addresses)
            .prop_map(move |(code, address)| tlv(code, &address.octets())),
        4 => (prop_oneof![Just(55), Just(61)], prop::collection::vec(any::<u8>(), 2..=255))
            .prop_map(move |(code, data)| tlv(code, &data)),
        4 => any::<u16>().prop_map(move |size| tlv(57, &size.to_be_bytes())),
        8 => (any::<u8>(), prop::collection::vec(any::<u8>(), 0..=255))
            .prop_map(move |(code, data)| tlv(code, &data)),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    let kind =
        prop_oneof![9 => (1..=8u8).prop_map(move |kind| tlv(53, &[kind])), 1 => Just(vec![])];
    let options = (kind, prop::collection::vec(option, 0..8));
    (
        options.prop_map(|(kind, options)| [kind, options.concat()].concat()),
        prop_oneof![Just(ZERO), Just(OWN), Just(OTHERS)],
        prop::collection::vec(prop_oneof![9 => Just(0), 1 => any::<u8>()], 192),
        any::<u16>(),
    )
        .prop_map(|(options, ciaddr, fields, flags)| {
            let mut payload = vec![1, 1, 6, 0];
            payload.extend(XID.to_be_bytes());
            payload.extend([0, 0]);
            payload.extend(flags.to_be_bytes());
            payload.extend(ciaddr.octets());
            payload.extend([0; 12]);
            payload.extend(MAC.0);
            payload.extend([0; 10]);
            payload.extend(fields);
            payload.extend([99, 130, 83, 99]);
            payload.extend(options);
            payload
        })
}

/// Whatever is answered is a whole message about this NIC alone.
fn check(profile: &Profile, payload: &[u8]) {
    let mut out = [0xaa; 1472];
    let handled = handle(profile, &datagram(payload, ZERO, EVERYBODY), &mut out);
    let Decision::Reply(reply) = handled.decision else { return };
    let bytes = &out[..reply.length];
    let message = decoded(bytes);
    assert_eq!(message.xid(), XID);
    assert_eq!(message.chaddr(), MAC.0);
    assert!([ZERO, OWN].contains(&message.yiaddr()));
    assert!(bytes.len() >= 300);
    let options = options_of(bytes);
    assert!(options.contains(&(54, SERVER.octets().to_vec())));
    assert_eq!(options[0].0, 53);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_bytes_panic(payload in prop::collection::vec(any::<u8>(), 0..1500)) {
        check(&profile(), &payload);
    }

    #[test]
    fn every_reply_to_any_options_decodes(payload in plausible()) {
        check(&profile(), &payload);
        check(&wide(&[(224, 300), (225, 255), (226, 100)]), &payload);
    }
}
