//! What a reply holds, and what is left out first.

use super::*;

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
