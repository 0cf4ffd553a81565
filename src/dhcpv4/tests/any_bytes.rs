//! Anything at all, as a guest may send it.

use super::*;

fn config() -> Config {
    Config {
        cases: 2_000,
        rng_seed: RngSeed::Fixed(2131),
        failure_persistence: None,
        ..Config::default()
    }
}

/// Headers as a client writes them, then any options and any `sname` and `file`.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let tlv = |code: u8, data: &[u8]| {
        let mut option = vec![code, u8::try_from(data.len()).unwrap()];
        option.extend(data);
        option
    };
    let addresses = prop_oneof![Just(OWN), Just(SERVER), Just(OTHERS)];
    let option = prop_oneof![
        2 => Just(vec![0]),
        2 => (1..=3u8).prop_map(move |fields| tlv(52, &[fields])),
        4 => (prop_oneof![Just(50), Just(54)], addresses)
            .prop_map(move |(code, address)| tlv(code, &address.octets())),
        4 => (prop_oneof![Just(55), Just(61)], prop::collection::vec(any::<u8>(), 2..=255))
            .prop_map(move |(code, data)| tlv(code, &data)),
        4 => any::<u16>().prop_map(move |size| tlv(57, &size.to_be_bytes())),
        8 => (any::<u8>(), prop::collection::vec(any::<u8>(), 0..=255))
            .prop_map(move |(code, data)| tlv(code, &data)),
        1 => prop::collection::vec(any::<u8>(), 1..4),
    ];
    let kind =
        prop_oneof![9 => (1..=8u8).prop_map(move |kind| tlv(53, &[kind])), 1 => Just(vec![])];
    let options = (kind, prop::collection::vec(option, 0..8));
    (
        options.prop_map(|(kind, options)| [kind, options.concat()].concat()),
        prop_oneof![Just(ZERO), Just(OWN), Just(OTHERS)],
        prop::collection::vec(prop_oneof![9 => Just(0), 1 => any::<u8>()], 192),
        any::<u16>(),
    )
        .prop_map(|(options, ciaddr, fields, flags)| {
            let mut payload = vec![1, 1, 6, 0];
            payload.extend(XID.to_be_bytes());
            payload.extend([0, 0]);
            payload.extend(flags.to_be_bytes());
            payload.extend(ciaddr.octets());
            payload.extend([0; 12]);
            payload.extend(MAC.0);
            payload.extend([0; 10]);
            payload.extend(fields);
            payload.extend([99, 130, 83, 99]);
            payload.extend(options);
            payload
        })
}

/// Whatever is answered is a whole message about this NIC alone.
fn check(profile: &Profile, payload: &[u8]) {
    let mut out = [0xaa; 1472];
    let handled = handle(profile, &datagram(payload, ZERO, EVERYBODY), &mut out);
    let Decision::Reply(reply) = handled.decision else { return };
    let bytes = &out[..reply.length];
    let message = decoded(bytes);
    assert_eq!(message.xid(), XID);
    assert_eq!(message.chaddr(), MAC.0);
    assert!([ZERO, OWN].contains(&message.yiaddr()));
    assert!(bytes.len() >= 300);
    let options = options_of(bytes);
    assert!(options.contains(&(54, SERVER.octets().to_vec())));
    assert_eq!(options[0].0, 53);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_bytes_panic(payload in prop::collection::vec(any::<u8>(), 0..1500)) {
        check(&profile(), &payload);
    }

    #[test]
    fn every_reply_to_any_options_decodes(payload in plausible()) {
        check(&profile(), &payload);
        check(&wide(&[(224, 300), (225, 255), (226, 100)]), &payload);
    }
}
