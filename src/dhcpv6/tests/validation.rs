//! RFC 9915, section 16, and what is refused before it.

use super::*;

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
        (35, Message::Unknown, DropReason::UnknownMessage),
        (37, Message::AddressRegistered, DropReason::UnknownMessage),
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
fn a_registration_of_the_address_that_was_given_is_dropped() {
    let body = [&ip(ADDRESS).octets()[..], &[0, 0, 7, 8], &[0, 0, 14, 16]].concat();
    let payload = raw(36, &[tlv(1, CLIENT), tlv(5, &body)]);
    let request = Datagram { source: ip(ADDRESS), ..datagram(&payload) };
    let dropped = Handled::dropped(Message::AddressRegistration, DropReason::Invalid);
    assert_eq!(handle(&profile(), &request, &mut [0; 1_452]), dropped);
}

#[test]
fn what_a_registration_says_is_read_from_the_message_that_was_answered() {
    let own_made = Ipv6Addr::from(u128::from(ip(ADDRESS)) + 1);
    let body = [&own_made.octets()[..], &[0, 0, 7, 8], &[0, 0, 14, 16]].concat();
    let payload = raw(36, &[tlv(1, CLIENT), tlv(5, &body)]);
    let request = Datagram { source: own_made, ..datagram(&payload) };
    let mut out = [0; 1_452];
    let Decision::Reply(reply) = handle(&profile(), &request, &mut out).decision else {
        panic!("it is answered");
    };
    assert_eq!((reply.message, reply.to_ip), (Message::AddressRegistered, own_made));
    assert_eq!(reply.note, Some(Note::Registered));
    let registration =
        Registration { address: own_made, preferred: Lifetime(1_800), valid: Lifetime(3_600) };
    assert_eq!(crate::dhcpv6::registration(&request), Some(registration));
    assert_eq!(crate::dhcpv6::registration(&datagram(&raw_solicit(&[]))), None);
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
