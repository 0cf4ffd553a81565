//! Bytes that no honest client sends.

use super::*;

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
