//! What a reply holds, and in which order.

use super::*;

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
