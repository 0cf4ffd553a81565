//! The state table of RFC 2131, section 4.3.

use super::*;

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
