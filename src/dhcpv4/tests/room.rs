//! What is done when a reply has no room for all its options.

use super::*;

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
