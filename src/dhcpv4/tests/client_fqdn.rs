//! Option 81 (RFC 4702).

use super::*;

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
    // What has moved to `file` leaves room for it.
    assert!(payload(&wide(&[(224, 200), (225, 100)])).is_some());
}

#[test]
fn fqdn_set_by_code_is_sent_as_it_is() {
    let profile = profile_with(|ipv4| ipv4.options = vec![raw(81, &[0, 0, 0, b'y'], false)]);
    let client = Client::new(MessageType::Discover).asking_for(&[81]);
    assert_eq!(fqdn_reply(client, &profile, &[4, 0, 0]), Some(vec![0, 0, 0, b'y']));
}
