//! Whole exchanges: what a client sends, byte for byte or through dhcproto, and the complete
//! message that comes back, read by dhcproto.

use std::net::Ipv6Addr;
use std::sync::Arc;

use dhcproto::v6::{
    DhcpOption, DhcpOptions, IAAddr, IANA, IAPD, IAPrefix, IATA, Message as Oracle, MessageType,
    NtpSuboption, ORO, OptionCode, StatusCode, UnknownOption,
};
use dhcproto::{Decodable, Encodable};
use proptest::prelude::*;

use super::options::code;
use super::*;
use crate::network::{
    Gateway, Hostname, Ipv6Parameters, RawOption, RouterAdvertisement, RouterPreference,
};
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
        mtu: None,
        boot: Arc::default(),
        gateway: Gateway {
            source_mac: Mac([2, 0, 0, 0, 0, 1]),
            mac_given: true,
            answer: true,
            answer_ping: true,
            announce: true,
            retire: Vec::new(),
        },
        ipv4: None,
        ipv6: Some(Ipv6Parameters {
            subnet: "2001:db8:20::/64".parse().unwrap(),
            gateway: Some(ip("fe80::1")),
            link_local: ip("fe80::1"),
            address: Some(ip(ADDRESS)),
            delegated: Some("2001:db8:4000::/56".parse().unwrap()),
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
                interval: None,
                dns_lifetime: Lifetime(1_800),
            },
            options: Vec::new(),
        }),
        server_duid: SERVER,
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

// Exchanges.

#[test]
fn solicit_is_advertised_to_whoever_sent_it() {
    let solicit = message(MessageType::Solicit, vec![client(), ia_na(7, vec![])]);
    let (handled, content) = run(&profile(), &solicit.to_vec().unwrap());
    let expected = message(MessageType::Advertise, vec![client(), server(), granted(7)]);
    assert_eq!(content, Some(expected));
    let Decision::Reply(reply) = handled.decision else { panic!("{handled:?}") };
    assert_eq!(handled.message, Message::Solicit);
    assert_eq!(
        reply,
        Reply {
            message: Message::Advertise,
            length: 4 + (4 + 18) + (4 + 10) + (4 + 12 + 4 + 24),
            to_mac: MAC,
            to_ip: ip("fe80::1234"),
            note: None,
        }
    );
}

#[test]
fn request_gets_the_ports_address_whatever_it_asks_for() {
    for hint in [ADDRESS, NEIGHBOUR, ELSEWHERE] {
        let wish = ia_na(0, vec![address(hint, 5, 5)]);
        let reply = ask(&profile(), MessageType::Request, vec![client(), server(), wish]);
        assert_eq!(reply, message(MessageType::Reply, vec![client(), server(), granted(0)]));
    }
}

#[test]
fn duid_and_iaid_change_nothing_but_what_is_echoed() {
    for (duid, iaid) in [(vec![0, 9, 1], 0), (vec![0xff; 130], u32::MAX)] {
        let id = DhcpOption::ClientId(duid);
        let reply = ask(&profile(), MessageType::Solicit, vec![id.clone(), ia_na(iaid, vec![])]);
        assert_eq!(reply, message(MessageType::Advertise, vec![id, server(), granted(iaid)]));
    }
}

#[test]
fn renew_and_rebind_extend_and_withdraw_what_is_no_longer_held() {
    for (kind, ids) in
        [(MessageType::Renew, vec![client(), server()]), (MessageType::Rebind, vec![client()])]
    {
        let used = ia_na(1, vec![address(ADDRESS, 9, 9), address(ELSEWHERE, 9, 9)]);
        let delegated = ia_pd(2, vec![prefix("2001:db8:5000::/60", 9, 9)]);
        let reply = ask(&profile(), kind, [ids, vec![used, delegated]].concat());
        let ia = timed_ia_na(
            1,
            (1_800, 2_880),
            vec![address(ADDRESS, 3_600, 7_200), address(ELSEWHERE, 0, 0)],
        );
        let opts = [prefix("2001:db8:4000::/56", 3_600, 7_200), prefix("2001:db8:5000::/60", 0, 0)];
        let pd = DhcpOption::IAPD(IAPD {
            id: 2,
            t1: 1_800,
            t2: 2_880,
            opts: opts.into_iter().collect(),
        });
        assert_eq!(reply, message(MessageType::Reply, vec![client(), server(), ia, pd]));
    }
}

#[test]
fn renew_of_an_address_that_is_gone_gets_it_back_with_lifetimes_0_and_no_other() {
    let bare = profile_with(|ipv6| ipv6.address = None);
    let used = ia_na(1, vec![address(ELSEWHERE, 9, 9)]);
    let reply = ask(&bare, MessageType::Renew, vec![client(), server(), used]);
    let ia = ia_na(1, vec![address(ELSEWHERE, 0, 0), no_address()]);
    assert_eq!(reply, message(MessageType::Reply, vec![client(), server(), ia]));
}

#[test]
fn renew_with_a_prefix_length_hint_withdraws_nothing() {
    let hint = ia_pd(2, vec![prefix("::/60", 0, 0)]);
    let reply = ask(&profile(), MessageType::Renew, vec![client(), server(), hint]);
    assert_eq!(reply, message(MessageType::Reply, vec![client(), server(), granted_prefix(2)]));
}

#[test]
fn renew_never_withdraws_the_held_address_from_a_second_association() {
    let ias = [ia_na(1, vec![]), ia_na(2, vec![address(ADDRESS, 9, 9)])];
    let reply =
        ask(&profile(), MessageType::Renew, [vec![client(), server()], ias.to_vec()].concat());
    let expected = vec![client(), server(), granted(1), ia_na(2, vec![no_address()])];
    assert_eq!(reply, message(MessageType::Reply, expected));
}

#[test]
fn every_association_is_answered_under_its_own_iaid_and_ia_ta_is_not() {
    let ta = DhcpOption::IATA(IATA { id: 5, opts: DhcpOptions::new() });
    let asked = vec![client(), ia_na(3, vec![]), ia_na(0, vec![]), ta, ia_pd(9, vec![])];
    let reply = ask(&profile(), MessageType::Solicit, asked);
    let expected =
        vec![client(), server(), granted(3), ia_na(0, vec![no_address()]), granted_prefix(9)];
    assert_eq!(reply, message(MessageType::Advertise, expected));
}

#[test]
fn nothing_to_give_is_said_inside_the_associations() {
    let bare = profile_with(|ipv6| (ipv6.address, ipv6.delegated) = (None, None));
    let asked = [ia_na(1, vec![]), ia_pd(1, vec![])];
    let answered = [ia_na(1, vec![no_address()]), ia_pd(1, vec![no_prefix()])];
    let reply = ask(&bare, MessageType::Solicit, [vec![client()], asked.to_vec()].concat());
    let expected = [vec![client(), server()], answered.to_vec()].concat();
    assert_eq!(reply, message(MessageType::Advertise, expected));
}

#[test]
fn stateless_network_delegates_but_assigns_no_address() {
    let stateless = profile_with(|ipv6| ipv6.mode = AddressMode::Stateless);
    let asked = vec![client(), ia_na(1, vec![]), ia_pd(2, vec![])];
    let reply = ask(&stateless, MessageType::Solicit, asked);
    let expected = vec![client(), server(), ia_na(1, vec![no_address()]), granted_prefix(2)];
    assert_eq!(reply, message(MessageType::Advertise, expected));
}

#[test]
fn slaac_network_is_silent() {
    let slaac = profile_with(|ipv6| ipv6.mode = AddressMode::Slaac);
    assert_eq!(refusal(&slaac, &raw_solicit(&[])), DropReason::NoFamily);
    assert_eq!(refusal(&slaac, &raw(11, &[])), DropReason::NoFamily);
}

#[test]
fn solicit_without_an_association_is_advertised_the_options() {
    let reply = ask(&profile(), MessageType::Solicit, vec![client(), oro(&[23])]);
    let dns = DhcpOption::DomainNameServers(vec![ip("2001:db8::53")]);
    assert_eq!(reply, message(MessageType::Advertise, vec![client(), server(), dns]));
}

#[test]
fn infinite_times_go_out_as_they_are() {
    let endless = profile_with(|ipv6| {
        ipv6.preferred_lifetime = Lifetime::INFINITE;
        ipv6.valid_lifetime = Lifetime::INFINITE;
        ipv6.renew_time = Lifetime::INFINITE;
        ipv6.rebind_time = Lifetime::INFINITE;
    });
    let reply = ask(&endless, MessageType::Solicit, vec![client(), ia_na(1, vec![])]);
    let max = u32::MAX;
    let ia = timed_ia_na(1, (max, max), vec![address(ADDRESS, max, max)]);
    assert_eq!(reply, message(MessageType::Advertise, vec![client(), server(), ia]));
}

#[test]
fn rapid_commit_needs_both_client_and_template() {
    let asked = vec![client(), DhcpOption::RapidCommit, ia_na(1, vec![])];
    let rapid = profile_with(|ipv6| ipv6.rapid_commit = true);
    let reply = ask(&rapid, MessageType::Solicit, asked.clone());
    let expected = vec![client(), server(), DhcpOption::RapidCommit, granted(1)];
    assert_eq!(reply, message(MessageType::Reply, expected));

    let advertised = message(MessageType::Advertise, vec![client(), server(), granted(1)]);
    assert_eq!(ask(&profile(), MessageType::Solicit, asked), advertised);
    let plain = vec![client(), ia_na(1, vec![])];
    assert_eq!(ask(&rapid, MessageType::Solicit, plain), advertised);
}

#[test]
fn confirm_is_judged_by_the_ports_own_address() {
    let confirm = |addresses: &[&str]| {
        let ias = addresses.iter().map(|text| ia_na(4, vec![address(text, 0, 0)]));
        ask(&profile(), MessageType::Confirm, std::iter::once(client()).chain(ias).collect())
    };
    let reply = |verdict| message(MessageType::Reply, vec![client(), server(), verdict]);
    assert_eq!(confirm(&[ADDRESS]), reply(status(0, "done")));
    let off_link = status(4, "not the address of this port");
    for wrong in [&[ELSEWHERE][..], &[NEIGHBOUR], &[ADDRESS, ELSEWHERE]] {
        assert_eq!(confirm(wrong), reply(off_link.clone()), "{wrong:?}");
    }
}

#[test]
fn confirm_without_an_address_is_silent() {
    for options in [vec![client()], vec![client(), ia_na(1, vec![])]] {
        let confirm = message(MessageType::Confirm, options).to_vec().unwrap();
        assert_eq!(refusal(&profile(), &confirm), DropReason::NoAddress);
    }
}

#[test]
fn release_and_decline_succeed_and_are_noted_if_they_name_what_is_held() {
    for (kind, named, note) in [
        (MessageType::Release, ADDRESS, Some(Note::Released)),
        (MessageType::Release, ELSEWHERE, None),
        (MessageType::Decline, ADDRESS, Some(Note::Declined)),
        (MessageType::Decline, NEIGHBOUR, None),
    ] {
        let asked =
            vec![client(), server(), ia_na(1, vec![address(named, 0, 0)]), ia_na(2, vec![])];
        let (handled, content) = run(&profile(), &message(kind, asked).to_vec().unwrap());
        let expected = vec![client(), server(), status(0, "done"), ia_na(2, vec![no_binding()])];
        assert_eq!(content, Some(message(MessageType::Reply, expected)));
        let Decision::Reply(reply) = handled.decision else { panic!("{handled:?}") };
        assert_eq!(reply.note, note, "{kind:?} {named}");
    }
}

#[test]
fn release_of_the_delegated_prefix_is_noted() {
    let asked = vec![client(), server(), ia_pd(1, vec![prefix("2001:db8:4000::/56", 0, 0)])];
    let release = message(MessageType::Release, asked).to_vec().unwrap();
    let Decision::Reply(reply) = run(&profile(), &release).0.decision else { panic!() };
    assert_eq!(reply.note, Some(Note::Released));
}

#[test]
fn information_request_gets_options_and_no_association() {
    let profile = profile_with(|ipv6| ipv6.information_refresh_time = Some(86_400));
    let asked = oro(&[23, 24, 31, 32, 56]);
    let options = vec![
        DhcpOption::DomainNameServers(vec![ip("2001:db8::53")]),
        DhcpOption::DomainSearchList(vec![
            "blue.example.".parse().unwrap(),
            "corp.example.".parse().unwrap(),
        ]),
        DhcpOption::Unknown(UnknownOption::new(
            OptionCode::SntpServers,
            ip("2001:db8::123").octets().to_vec(),
        )),
        unknown_refresh_time(86_400),
        DhcpOption::NtpServer(vec![NtpSuboption::ServerAddress(ip("2001:db8::123"))]),
    ];
    // With both identifiers, with either, with none.
    for ids in [vec![client(), server()], vec![client()], vec![]] {
        let echoed = ids.iter().filter(|id| **id == client()).cloned().collect::<Vec<_>>();
        let reply =
            ask(&profile, MessageType::InformationRequest, [ids, vec![asked.clone()]].concat());
        let expected = [echoed, vec![server()], options.clone()].concat();
        assert_eq!(reply, message(MessageType::Reply, expected));
    }
}

/// dhcproto reads option 32 as one that it does not know.
fn unknown_refresh_time(seconds: u32) -> DhcpOption {
    let body = seconds.to_be_bytes().to_vec();
    DhcpOption::Unknown(UnknownOption::new(OptionCode::InformationRefreshTime, body))
}

// Options.

#[test]
fn nothing_is_sent_unasked_but_preference_and_what_the_template_forces() {
    let profile = profile_with(|ipv6| {
        ipv6.server_preference = Some(255);
        ipv6.information_refresh_time = Some(600);
        ipv6.options = vec![
            RawOption { code: 59, body: b"tftp://[2001:db8::1]/x".as_slice().into(), always: true },
            RawOption { code: 103, body: b"https://portal".as_slice().into(), always: false },
        ];
    });
    let boot_file = DhcpOption::Unknown(UnknownOption::new(
        OptionCode::OptBootfileUrl,
        b"tftp://[2001:db8::1]/x".to_vec(),
    ));
    let advertise = ask(&profile, MessageType::Solicit, vec![client()]);
    let expected = vec![client(), server(), DhcpOption::Preference(255), boot_file.clone()];
    assert_eq!(advertise, message(MessageType::Advertise, expected));

    // Preference is the Advertise's alone, and 32 the Information-request's.
    let request = ask(&profile, MessageType::Request, vec![client(), server(), oro(&[7, 32])]);
    assert_eq!(request, message(MessageType::Reply, vec![client(), server(), boot_file]));
}

#[test]
fn an_option_set_by_code_replaces_its_row() {
    let profile = profile_with(|ipv6| {
        let own = ip("2001:db8::99").octets();
        ipv6.options = vec![RawOption { code: 23, body: own.as_slice().into(), always: true }];
    });
    let reply = ask(&profile, MessageType::Solicit, vec![client()]);
    let dns = DhcpOption::DomainNameServers(vec![ip("2001:db8::99")]);
    assert_eq!(reply, message(MessageType::Advertise, vec![client(), server(), dns]));
}

#[test]
fn an_option_set_by_code_cannot_stand_in_for_the_protocols_own() {
    let profile = profile_with(|ipv6| {
        let body: Box<[u8]> = [0, 1, 2, 3].into();
        let forged = (1..=6).chain([8, 9, 13, 14, 19, 20, 25, 26]);
        ipv6.options =
            forged.map(|code| RawOption { code, body: body.clone(), always: true }).collect();
    });
    let reply = ask(&profile, MessageType::Solicit, vec![client()]);
    assert_eq!(reply, message(MessageType::Advertise, vec![client(), server()]));
}

/// Option 39 of the Reply to a Request that carries `sent`.
fn fqdn_reply(profile: &Profile, sent: Option<u8>) -> Option<Vec<u8>> {
    let mut options = vec![client(), server(), oro(&[39])];
    options.extend(sent.map(|flags| {
        let body = vec![flags, 4, b'b', b'o', b'o', b't'];
        DhcpOption::Unknown(UnknownOption::new(OptionCode::ClientFqdn, body))
    }));
    let reply = ask(profile, MessageType::Request, options);
    match reply.opts().get(OptionCode::ClientFqdn)? {
        DhcpOption::Unknown(option) => Some(option.data().to_vec()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fqdn_says_that_no_dns_is_updated_and_overrules_who_asked_for_it() {
    let profile = profile();
    let name = b"\x05web-1\x04blue\x07example\x00";
    for (sent, flags) in [(None, 4), (Some(0), 4), (Some(4), 4), (Some(1), 6), (Some(0xf9), 6)] {
        let expected = [vec![flags], name.to_vec()].concat();
        assert_eq!(fqdn_reply(&profile, sent), Some(expected), "{sent:?}");
    }
}

#[test]
fn fqdn_without_a_domain_or_room_for_it_is_partial() {
    let mut parameters = parameters();
    let partial = Some(b"\x04\x05web-1".to_vec());
    parameters.domain = None;
    assert_eq!(fqdn_reply(&Profile::new(&parameters).unwrap(), Some(0)), partial);
    // 255 bytes with lengths and root, then one more.
    let longest = vec!["x".repeat(61); 4].join(".");
    parameters.domain = Some(longest.parse().unwrap());
    let complete = fqdn_reply(&Profile::new(&parameters).unwrap(), Some(0)).unwrap();
    assert_eq!((complete.len(), complete.last()), (1 + 255, Some(&0)));
    parameters.domain = Some(format!("x{longest}").parse().unwrap());
    assert_eq!(fqdn_reply(&Profile::new(&parameters).unwrap(), Some(0)), partial);
    parameters.hostname = None;
    assert_eq!(fqdn_reply(&Profile::new(&parameters).unwrap(), Some(0)), None);
}

#[test]
fn fqdn_is_not_sent_unasked() {
    let body = vec![0, 4, b'b', b'o', b'o', b't'];
    let fqdn = DhcpOption::Unknown(UnknownOption::new(OptionCode::ClientFqdn, body));
    let reply = ask(&profile(), MessageType::Request, vec![client(), server(), fqdn]);
    assert_eq!(reply, message(MessageType::Reply, vec![client(), server()]));
}

#[test]
fn what_does_not_fit_is_left_out_by_need_and_only_the_core_is_a_must() {
    let solicit =
        message(MessageType::Solicit, vec![client(), oro(&[23, 24, 56]), ia_na(1, vec![])]);
    let payload = solicit.to_vec().unwrap();
    let profile = profile();
    let core = 4 + (4 + 18) + (4 + 10) + (4 + 12 + 4 + 24);
    let sent = |room: usize| {
        let mut out = vec![0; room];
        match handle(&profile, &datagram(&payload), &mut out).decision {
            Decision::Reply(reply) => {
                let read = read(&out[..reply.length]);
                let codes = read.opts().iter().map(|option| u16::from(OptionCode::from(option)));
                Ok(codes.collect::<Vec<_>>())
            }
            Decision::Dropped(reason) => Err(reason),
            Decision::Noted(note) => panic!("{note:?}"),
        }
    };
    assert_eq!(sent(core - 1), Err(DropReason::ReplyTooLong));
    assert_eq!(sent(0), Err(DropReason::ReplyTooLong));
    assert_eq!(sent(core), Ok(vec![1, 2, 3]));
    assert_eq!(sent(core + 20), Ok(vec![1, 2, 3, 23]));
    // 24 takes 4 + 28 bytes, 56 takes 24.
    assert_eq!(sent(core + 20 + 32), Ok(vec![1, 2, 3, 23, 24]));
    assert_eq!(sent(core + 20 + 32 + 24), Ok(vec![1, 2, 3, 23, 24, 56]));
}

#[test]
fn codes_are_the_registered_ones() {
    for (code, name) in [
        (code::CLIENT_ID, OptionCode::ClientId),
        (code::SERVER_ID, OptionCode::ServerId),
        (code::IA_NA, OptionCode::IANA),
        (code::IA_TA, OptionCode::IATA),
        (code::IA_ADDR, OptionCode::IAAddr),
        (code::ORO, OptionCode::ORO),
        (code::PREFERENCE, OptionCode::Preference),
        (code::ELAPSED_TIME, OptionCode::ElapsedTime),
        (code::RELAY_MESSAGE, OptionCode::RelayMsg),
        (code::STATUS_CODE, OptionCode::StatusCode),
        (code::RAPID_COMMIT, OptionCode::RapidCommit),
        (code::RECONF_MESSAGE, OptionCode::ReconfMsg),
        (code::RECONF_ACCEPT, OptionCode::ReconfAccept),
        (code::DNS_SERVERS, OptionCode::DomainNameServers),
        (code::DOMAIN_LIST, OptionCode::DomainSearchList),
        (code::IA_PD, OptionCode::IAPD),
        (code::IA_PREFIX, OptionCode::IAPrefix),
        (code::SNTP_SERVERS, OptionCode::SntpServers),
        (code::INFORMATION_REFRESH_TIME, OptionCode::InformationRefreshTime),
        (code::CLIENT_FQDN, OptionCode::ClientFqdn),
        (code::NTP_SERVER, OptionCode::NtpServer),
    ] {
        assert_eq!(code, u16::from(name), "{name:?}");
    }
}

// Section 16 and what is refused before it.

#[test]
fn section_16_holds_for_every_message_type() {
    use DropReason::{ClientId, Invalid, ServerId};
    let address_of = [ip(ADDRESS).octets().to_vec(), vec![0; 8]].concat();
    let ia = raw_ia_na(&[tlv(5, &address_of)]);
    let mut foreign = SERVER;
    foreign[17] ^= 1;
    let (id, ours, theirs) = (tlv(1, CLIENT), tlv(2, &SERVER), tlv(2, &foreign));
    // Per row: none; client id; client id and ours; client id and foreign; ours alone.
    let forbids = [Some(ClientId), None, Some(ServerId), Some(ServerId), Some(ClientId)];
    let demands = [Some(ClientId), Some(ServerId), None, Some(ServerId), Some(ClientId)];
    for (kind, expected) in [
        (1, forbids),
        (3, demands),
        (4, forbids),
        (5, demands),
        (6, forbids),
        (8, demands),
        (9, demands),
        (11, [None, None, None, Some(ServerId), None]),
    ] {
        let sets: [&[&Vec<u8>]; 5] = [&[], &[&id], &[&id, &ours], &[&id, &theirs], &[&ours]];
        for (set, expected) in sets.into_iter().zip(expected) {
            let mut options: Vec<Vec<u8>> = set.iter().map(|bytes| (*bytes).clone()).collect();
            if kind != 11 {
                options.push(ia.clone());
            }
            let (handled, _) = run(&profile(), &raw(kind, &options));
            let reason = match handled.decision {
                Decision::Dropped(reason) => Some(reason),
                Decision::Reply(_) => None,
                Decision::Noted(note) => panic!("{note:?}"),
            };
            assert_eq!(reason, expected, "type {kind}, options {set:?}");
        }
    }
    for association in [ia.clone(), tlv(4, &[0; 4]), tlv(25, &[0; 12])] {
        assert_eq!(refusal(&profile(), &raw(11, &[id.clone(), association])), Invalid);
    }
    // A DUID that only begins like ours, or that ours begins like, is foreign.
    for duid in [&SERVER[..17], &[], &[&SERVER[..], &[0]].concat()] {
        assert_eq!(refusal(&profile(), &raw(3, &[id.clone(), tlv(2, duid)])), ServerId);
    }
}

#[test]
fn other_message_types_are_named_and_dropped() {
    for (kind, name, reason) in [
        (0, Message::Unknown, DropReason::UnknownMessage),
        (2, Message::Advertise, DropReason::UnknownMessage),
        (7, Message::Reply, DropReason::UnknownMessage),
        (10, Message::Unknown, DropReason::UnknownMessage),
        (12, Message::Unknown, DropReason::Relayed),
        (13, Message::Unknown, DropReason::Relayed),
        (14, Message::Unknown, DropReason::UnknownMessage),
        (36, Message::Unknown, DropReason::UnknownMessage),
        (255, Message::Unknown, DropReason::UnknownMessage),
    ] {
        let payload = raw(kind, &[tlv(1, CLIENT)]);
        assert_eq!(run(&profile(), &payload).0, Handled::dropped(name, reason), "{kind}");
    }
    for short in [&[][..], &[1], &[1, 2, 3]] {
        let expected = Handled::dropped(Message::Unknown, DropReason::TooShort);
        assert_eq!(run(&profile(), short).0, expected);
    }
}

#[test]
fn only_link_local_to_all_servers_is_served() {
    let payload = raw_solicit(&[]);
    let mut out = [0; 1_452];
    for (source, destination, reason) in [
        ("fe80::1", "fe80::1", DropReason::Destination),
        ("fe80::1", "2001:db8:20::1", DropReason::Destination),
        ("fe80::1", "ff02::1", DropReason::Destination),
        ("fe80::1", "ff05::1:3", DropReason::Destination),
        ("::", "ff02::1:2", DropReason::SourceAddress),
        (ADDRESS, "ff02::1:2", DropReason::SourceAddress),
        ("ff02::1", "ff02::1:2", DropReason::SourceAddress),
        ("fec0::1", "ff02::1:2", DropReason::SourceAddress),
    ] {
        let request =
            Datagram { source: ip(source), destination: ip(destination), ..datagram(&payload) };
        let handled = handle(&profile(), &request, &mut out);
        assert_eq!(handled, Handled::dropped(Message::Solicit, reason), "{source} {destination}");
    }
}

// Hostile bytes.

#[test]
fn duid_lengths_outside_3_to_130_are_refused() {
    for length in [0, 1, 2, 131, 1_000] {
        let payload = raw(1, &[tlv(1, &vec![7; length])]);
        assert_eq!(refusal(&profile(), &payload), DropReason::ClientId, "{length}");
    }
}

#[test]
fn lying_and_impossible_lengths_are_refused() {
    let mut address_beyond = raw_address();
    address_beyond[3] += 1;
    let prefix_of = |length: u8| {
        let body = [vec![0; 8], vec![length], vec![0; 16]].concat();
        tlv(25, &[vec![0; 12], tlv(26, &body)].concat())
    };
    for option in [
        vec![0],
        vec![0, 8, 0],
        vec![0, 8, 0, 2, 0],
        vec![0xff, 0xff, 0xff, 0xff],
        tlv(3, &[]),
        tlv(3, &[0; 11]),
        tlv(4, &[0; 3]),
        tlv(25, &[0; 11]),
        tlv(6, &[0, 23, 0]),
        tlv(8, &[0]),
        tlv(8, &[0; 3]),
        tlv(14, &[0]),
        tlv(20, &[0]),
        tlv(39, &[]),
        raw_ia_na(&[vec![0]]),
        raw_ia_na(&[tlv(5, &[0; 23])]),
        raw_ia_na(&[address_beyond]),
        raw_ia_na(&[tlv(5, &[0; 25])]),
        tlv(25, &[vec![0; 12], tlv(26, &[0; 24])].concat()),
        prefix_of(129),
        prefix_of(255),
    ] {
        let payload = raw_solicit(std::slice::from_ref(&option));
        assert_eq!(refusal(&profile(), &payload), DropReason::BadOption, "{option:?}");
    }
    assert!(run(&profile(), &raw_solicit(&[prefix_of(128)])).1.is_some());
}

#[test]
fn an_option_that_stands_twice_is_refused() {
    for option in [
        tlv(1, CLIENT),
        tlv(2, &SERVER),
        tlv(6, &[0, 23]),
        tlv(8, &[0, 0]),
        tlv(14, &[]),
        tlv(39, &[0]),
    ] {
        let payload = raw_solicit(&[option.clone(), option.clone()]);
        assert_eq!(refusal(&profile(), &payload), DropReason::BadOption, "{option:?}");
    }
}

#[test]
fn bounds_hold_to_the_last_one_that_is_allowed() {
    let ia = raw_ia_na(&[]);
    let vendor = tlv(9_999, &[]);
    let full_ia = raw_ia_na(&vec![raw_address(); 8]);
    // One of the 64 is the client identifier.
    for allowed in [
        vec![vendor.clone(); 63],
        vec![ia.clone(); 4],
        vec![full_ia.clone(); 4],
        vec![tlv(6, &vec![0; 256])],
    ] {
        assert!(run(&profile(), &raw_solicit(&allowed)).1.is_some());
    }
    for refused in [
        vec![vendor.clone(); 64],
        vec![tlv(9_999, &[]); 600],
        vec![ia; 5],
        vec![tlv(4, &[0; 4]); 5],
        vec![raw_ia_na(&vec![raw_address(); 9])],
        vec![raw_ia_na(&vec![vendor; 63])],
        vec![tlv(6, &vec![0; 258])],
    ] {
        assert_eq!(refusal(&profile(), &raw_solicit(&refused)), DropReason::TooManyOptions);
    }
}

#[test]
fn nesting_beyond_an_address_is_refused() {
    let inner = |body: Vec<u8>| {
        let address = [ip(ADDRESS).octets().to_vec(), vec![0; 8], body].concat();
        raw_ia_na(&[tlv(5, &address)])
    };
    let mut deep = tlv(4, &[0; 4]);
    for _ in 0..300 {
        deep = tlv(4, &[vec![0; 4], deep].concat());
    }
    for option in [raw_ia_na(&[raw_ia_na(&[])]), deep, inner(raw_address()), inner(raw_ia_na(&[]))]
    {
        assert_eq!(refusal(&profile(), &raw_solicit(&[option])), DropReason::TooManyOptions);
    }
    assert_eq!(
        refusal(&profile(), &raw_solicit(&[inner(vec![0, 13, 0, 9])])),
        DropReason::BadOption
    );
    assert!(run(&profile(), &raw_solicit(&[inner(tlv(13, &[0, 0]))])).1.is_some());
}

// Any bytes.

/// Options that look like options, so that the walk gets deep.
fn option_bytes() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![1, 2, 3, 4, 5, 6, 8, 13, 14, 25, 26, 39]);
    let code = prop_oneof![12 => known, 1 => any::<u16>()];
    let leaf = (code.clone(), prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(code, body)| tlv(code, &body));
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let head = prop::sample::select(vec![0_usize, 4, 12, 24, 25]);
        (code.clone(), head, prop::collection::vec(inner, 0..4)).prop_map(
            |(code, head, options)| tlv(code, &[vec![1; head], options.concat()].concat()),
        )
    })
}

/// A message that section 16 lets through, with up to `rest` options that may be anything.
fn plausible(rest: usize) -> impl Strategy<Value = Vec<u8>> {
    let duid = prop::collection::vec(any::<u8>(), 3..=130);
    let kinds = prop::sample::select(vec![1, 3, 4, 5, 6, 8, 9, 11]);
    let wishes = prop::collection::vec((any::<u32>(), any::<u128>(), any::<bool>()), 0..4);
    let codes = prop::collection::vec(0_u16..64, 0..12);
    (kinds, duid, wishes, codes, prop::collection::vec(option_bytes(), 0..=rest)).prop_map(
        |(kind, duid, wishes, codes, rest)| {
            let codes: Vec<u8> = codes.into_iter().flat_map(u16::to_be_bytes).collect();
            let mut options = vec![tlv(1, &duid), tlv(6, &codes)];
            if [3, 5, 8, 9].contains(&kind) {
                options.push(tlv(2, &SERVER));
            }
            for (iaid, wish, is_prefix) in wishes.into_iter().filter(|_| kind != 11) {
                let head = [iaid.to_be_bytes().to_vec(), vec![0; 8]].concat();
                let wish = wish.to_be_bytes().to_vec();
                options.push(if is_prefix {
                    tlv(25, &[head, tlv(26, &[vec![0; 8], vec![64], wish].concat())].concat())
                } else {
                    tlv(3, &[head, tlv(5, &[wish, vec![0; 8]].concat())].concat())
                });
            }
            raw(kind, &[options, rest].concat())
        },
    )
}

/// The addresses with a lifetime in a reply.
fn given(reply: &Oracle) -> Vec<Ipv6Addr> {
    let in_ia = |option: &DhcpOption| match option {
        DhcpOption::IANA(ia) => ia.opts.iter().cloned().collect(),
        _ => Vec::new(),
    };
    let live = |option: DhcpOption| match option {
        DhcpOption::IAAddr(address) if address.valid_life > 0 => Some(address.addr),
        _ => None,
    };
    reply.opts().iter().flat_map(in_ia).filter_map(live).collect()
}

/// Whatever came in: a reply reads whole, echoes the exchange and gives away nothing else's.
fn assert_sound(payload: &[u8]) {
    let profile = profile_with(|ipv6| ipv6.rapid_commit = true);
    let (_, Some(reply)) = run(&profile, payload) else { return };
    assert_eq!(reply.xid(), payload[1..4]);
    assert_eq!(reply.opts().get(OptionCode::ServerId), Some(&server()));
    let sent = ClientMessage::parse(message::kind(payload).unwrap(), payload).unwrap();
    let echoed = sent.client_id.map(|duid| DhcpOption::ClientId(duid.to_vec()));
    assert_eq!(reply.opts().get(OptionCode::ClientId), echoed.as_ref());
    assert!(given(&reply).len() <= 1);
    assert!(given(&reply).iter().all(|address| *address == ip(ADDRESS)));
}

proptest! {
    // The same messages at every run.
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(547),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_are_survived(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        assert_sound(&payload);
    }

    #[test]
    fn any_options_are_survived(
        kind in any::<u8>(),
        options in prop::collection::vec(option_bytes(), 0..8),
    ) {
        assert_sound(&raw(kind, &options));
        assert_sound(&raw_solicit(&options));
    }

    #[test]
    fn any_plausible_message_is_answered_soundly(payload in plausible(1)) {
        assert_sound(&payload);
    }

    #[test]
    fn any_good_message_but_confirm_is_answered(payload in plausible(0)) {
        prop_assert!(payload[0] == 4 || run(&profile(), &payload).1.is_some());
    }

    #[test]
    fn a_message_cut_anywhere_is_survived(
        payload in plausible(1),
        keep in any::<prop::sample::Index>(),
    ) {
        assert_sound(&payload[..keep.index(payload.len())]);
    }
}
