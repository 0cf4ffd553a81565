//! What is read of a guest's bytes, and what is refused.

use super::super::message::{COOKIE, FIXED, Kind, Refused};
use super::*;

fn header() -> Vec<u8> {
    let mut bytes = vec![0; FIXED];
    bytes[..3].copy_from_slice(&[1, 1, 6]);
    bytes[4..8].copy_from_slice(&[0xde, 0xad, 0xbe, 0xef]);
    bytes[28..34].copy_from_slice(&MAC.0);
    bytes[236..].copy_from_slice(&COOKIE);
    bytes
}

fn with_options(options: &[u8]) -> Vec<u8> {
    let mut bytes = header();
    bytes.extend_from_slice(options);
    bytes
}

fn parse(payload: &[u8]) -> Result<Request<'_>, Refused> {
    Request::parse(&Datagram {
        link: Link { source: MAC, destination: Mac::BROADCAST },
        source: Ipv4Addr::UNSPECIFIED,
        destination: Ipv4Addr::BROADCAST,
        payload,
    })
}

fn refused(payload: &[u8]) -> (Message, DropReason) {
    let refused = parse(payload).unwrap_err();
    (refused.message, refused.reason)
}

const UNKNOWN: Message = Message::Unknown;

#[test]
fn fixed_part_of_another_shape_is_refused() {
    assert_eq!(refused(&[]), (UNKNOWN, DropReason::TooShort));
    assert_eq!(refused(&header()[..239]), (UNKNOWN, DropReason::TooShort));
    for (place, value) in [(0, 2), (0, 0), (1, 6), (2, 16), (2, 255), (236, 0), (239, 98)] {
        let mut bytes = with_options(&[53, 1, 1, 255]);
        bytes[place] = value;
        assert_eq!(refused(&bytes), (UNKNOWN, DropReason::BadBootpHeader), "{place} {value}");
    }
}

#[test]
fn relay_fields_and_foreign_chaddr_are_refused() {
    for (place, reason) in
        [(3, DropReason::Relayed), (27, DropReason::Relayed), (33, DropReason::SourceMac)]
    {
        let mut bytes = with_options(&[53, 1, 1, 255]);
        bytes[place] = 9;
        assert_eq!(refused(&bytes), (UNKNOWN, reason), "{place}");
    }
}

#[test]
fn no_message_type_is_bootp() {
    for options in [&[][..], &[255], &[0, 0, 0], &[12, 1, b'x', 255], &[255, 53, 1, 1]] {
        assert_eq!(refused(&with_options(options)), (Message::Bootp, DropReason::Bootp));
    }
}

#[test]
fn message_types_of_servers_and_unknown_ones_are_refused() {
    for (number, message) in
        [(2, Message::Offer), (5, Message::Ack), (6, Message::Nak), (0, UNKNOWN), (10, UNKNOWN)]
    {
        let bytes = with_options(&[53, 1, number, 255]);
        assert_eq!(refused(&bytes), (message, DropReason::UnknownMessage));
    }
}

#[test]
fn options_of_impossible_length_are_refused() {
    let discover = Message::Discover;
    for (options, message) in [
        // Cut short: a code, a length, the data.
        (&[53, 1, 1, 12][..], UNKNOWN),
        (&[53, 1, 1, 12, 5, b'a'], UNKNOWN),
        (&[53], UNKNOWN),
        // 53 is one byte, joined.
        (&[53, 0, 255], UNKNOWN),
        (&[53, 2, 1, 1, 255], UNKNOWN),
        (&[53, 1, 1, 53, 1, 1, 255], UNKNOWN),
        // Fixed lengths.
        (&[53, 1, 1, 50, 3, 1, 2, 3, 255], discover),
        (&[53, 1, 1, 50, 5, 1, 2, 3, 4, 5, 255], discover),
        (&[53, 1, 1, 50, 4, 1, 2, 3, 4, 50, 4, 1, 2, 3, 4, 255], UNKNOWN),
        (&[53, 1, 1, 54, 0, 255], discover),
        (&[53, 1, 1, 57, 1, 2, 255], discover),
        (&[53, 1, 1, 80, 1, 0, 255], discover),
        // A client identifier has two bytes at least.
        (&[53, 1, 1, 61, 0, 255], discover),
        (&[53, 1, 1, 61, 1, 1, 255], discover),
    ] {
        let got = refused(&with_options(options));
        assert_eq!(got, (message, DropReason::BadOption), "{options:?}");
    }
}

#[test]
fn a_client_identifier_of_more_than_255_bytes_is_refused() {
    let mut options = vec![53, 1, 1, 61, 255];
    options.extend([7; 255]);
    assert_eq!(parse(&with_options(&options)).unwrap().client_id.bytes(), Some(&[7; 255][..]));
    options.extend([61, 1, 7]);
    assert_eq!(refused(&with_options(&options)), (UNKNOWN, DropReason::BadOption));
}

#[test]
fn pad_has_no_length_and_end_stops() {
    // Read as if Pad had a length, the type would be hidden.
    let bytes = with_options(&[0, 4, 1, 9, 53, 1, 1, 255, 53, 1, 1]);
    assert_eq!(parse(&bytes).unwrap().kind, Kind::Discover);
    let bytes = with_options(&[0, 0, 53, 1, 3, 0, 50, 4, 10, 0, 0, 1, 255, 53, 1, 1, 12]);
    let request = parse(&bytes).unwrap();
    assert_eq!(request.kind, Kind::Request);
    assert_eq!(request.requested_address, Some(Ipv4Addr::new(10, 0, 0, 1)));
}

#[test]
fn sixty_four_options_are_read_and_one_more_is_refused() {
    let mut options = vec![53, 1, 1];
    options.extend([200, 0].repeat(63));
    assert_eq!(parse(&with_options(&options)).unwrap().kind, Kind::Discover);
    options.extend([200, 0]);
    assert_eq!(refused(&with_options(&options)), (UNKNOWN, DropReason::TooManyOptions));
}

#[test]
fn split_options_are_joined_over_all_fields() {
    let mut bytes = with_options(&[52, 1, 3, 61, 2, 1, 2, 55, 1, 1, 50, 1, 10, 255]);
    // `file` comes before `sname` although it stands behind it (RFC 3396, section 5).
    bytes[108..123].copy_from_slice(&[61, 1, 3, 53, 1, 1, 55, 2, 3, 6, 50, 1, 20, 255, 61]);
    bytes[44..54].copy_from_slice(&[61, 2, 4, 5, 50, 2, 0, 7, 255, 61]);
    let request = parse(&bytes).unwrap();
    assert_eq!(request.kind, Kind::Discover);
    assert_eq!(request.client_id.bytes(), Some(&[1, 2, 3, 4, 5][..]));
    assert_eq!(request.parameter_list.bytes(), Some(&[1, 3, 6][..]));
    assert_eq!(request.requested_address, Some(Ipv4Addr::new(10, 20, 0, 7)));
}

#[test]
fn fields_that_are_not_overloaded_are_not_read() {
    let mut bytes = with_options(&[52, 1, 2, 53, 1, 1, 255]);
    bytes[108..111].copy_from_slice(&[12, 255, 0]);
    assert_eq!(parse(&bytes).unwrap().kind, Kind::Discover);
}

#[test]
fn overload_is_valid_once_in_the_options_field() {
    for options in [
        &[52, 1, 0, 53, 1, 1, 255][..],
        &[52, 1, 4, 53, 1, 1, 255],
        &[52, 0, 53, 1, 1, 255],
        &[52, 2, 1, 1, 53, 1, 1, 255],
        &[52, 1, 1, 52, 1, 1, 53, 1, 1, 255],
    ] {
        let got = refused(&with_options(options));
        assert_eq!(got, (UNKNOWN, DropReason::BadOption), "{options:?}");
    }
    let mut bytes = with_options(&[52, 1, 1, 53, 1, 1, 255]);
    bytes[108..111].copy_from_slice(&[52, 1, 2]);
    assert_eq!(refused(&bytes), (UNKNOWN, DropReason::BadOption));
    // An option that runs past `file` does not go on in `sname`.
    let mut bytes = with_options(&[52, 1, 3, 53, 1, 1, 255]);
    bytes[234..236].copy_from_slice(&[61, 2]);
    assert_eq!(refused(&bytes), (UNKNOWN, DropReason::BadOption));
}

#[test]
fn all_fields_are_read() {
    let mut bytes = with_options(&[
        53, 1, 8, 54, 4, 10, 0, 0, 1, 57, 2, 5, 220, 80, 0, 55, 2, 1, 121, 61, 3, 1, 2, 3, 82, 2,
        1, 0, 255,
    ]);
    bytes[10..12].copy_from_slice(&[0x80, 0]);
    bytes[12..16].copy_from_slice(&[10, 0, 0, 9]);
    let request = parse(&bytes).unwrap();
    assert_eq!(request.kind, Kind::Inform);
    assert_eq!(request.transaction_id, 0xdead_beef);
    assert!(request.wants_broadcast());
    assert_eq!(request.client_address, Some(Ipv4Addr::new(10, 0, 0, 9)));
    assert_eq!(request.client_mac, MAC);
    assert_eq!(request.requested_address, None);
    assert_eq!(request.server_id, Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(request.max_message_size, Some(1500));
    assert!(request.rapid_commit);
    assert_eq!(request.parameter_list.bytes(), Some(&[1, 121][..]));
    assert_eq!(request.client_id.bytes(), Some(&[1, 2, 3][..]));
}
