//! What each message is answered with (RFC 9915, section 18.3).

use super::*;

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
