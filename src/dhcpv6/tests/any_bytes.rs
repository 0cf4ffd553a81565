//! Anything at all, as a guest may send it.

use super::*;

/// Options that look like options, so that the walk gets deep.
fn option_bytes() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![1, 2, 3, 4, 5, 6, 8, 13, 14, 15, 16, 25, 26, 39, 61]);
    let code = prop_oneof![12 => known, 1 => any::<u16>()];
    let leaf = (code.clone(), prop::collection::vec(any::<u8>(), 0..40))
        .prop_map(|(code, body)| tlv(code, &body));
    leaf.prop_recursive(3, 24, 4, move |inner| {
        let head = prop::sample::select(vec![0_usize, 4, 12, 24, 25]);
        (code.clone(), head, prop::collection::vec(inner, 0..4)).prop_map(
            |(code, head, options)| tlv(code, &[vec![1; head], options.concat()].concat()),
        )
    })
}

/// A message that section 16 lets through, with up to `rest` options that may be anything.
fn plausible(rest: usize) -> impl Strategy<Value = Vec<u8>> {
    let duid = prop::collection::vec(any::<u8>(), 3..=130);
    let kinds = prop::sample::select(vec![1, 3, 4, 5, 6, 8, 9, 11]);
    let wishes = prop::collection::vec((any::<u32>(), any::<u128>(), any::<bool>()), 0..4);
    let codes = prop::collection::vec(0_u16..64, 0..12);
    (kinds, duid, wishes, codes, prop::collection::vec(option_bytes(), 0..=rest)).prop_map(
        |(kind, duid, wishes, codes, rest)| {
            let codes: Vec<u8> = codes.into_iter().flat_map(u16::to_be_bytes).collect();
            let mut options = vec![tlv(1, &duid), tlv(6, &codes)];
            if [3, 5, 8, 9].contains(&kind) {
                options.push(tlv(2, &SERVER));
            }
            for (iaid, wish, is_prefix) in wishes.into_iter().filter(|_| kind != 11) {
                let head = [iaid.to_be_bytes().to_vec(), vec![0; 8]].concat();
                let wish = wish.to_be_bytes().to_vec();
                options.push(if is_prefix {
                    tlv(25, &[head, tlv(26, &[vec![0; 8], vec![64], wish].concat())].concat())
                } else {
                    tlv(3, &[head, tlv(5, &[wish, vec![0; 8]].concat())].concat())
                });
            }
            raw(kind, &[options, rest].concat())
        },
    )
}

/// The addresses with a lifetime in a reply.
fn given(reply: &Oracle) -> Vec<Ipv6Addr> {
    let in_ia = |option: &DhcpOption| match option {
        DhcpOption::IANA(ia) => ia.opts.iter().cloned().collect(),
        _ => Vec::new(),
    };
    let live = |option: DhcpOption| match option {
        DhcpOption::IAAddr(address) if address.valid_life > 0 => Some(address.addr),
        _ => None,
    };
    reply.opts().iter().flat_map(in_ia).filter_map(live).collect()
}

/// Whatever came in: a reply reads whole, echoes the exchange and gives away nothing else's.
fn assert_sound(payload: &[u8]) {
    let profile = profile_with(|ipv6| ipv6.rapid_commit = true);
    let (_, Some(reply)) = run(&profile, payload) else { return };
    assert_eq!(reply.xid(), payload[1..4]);
    assert_eq!(reply.opts().get(OptionCode::ServerId), Some(&server()));
    let sent = ClientMessage::parse(message::kind(payload).unwrap(), payload).unwrap();
    let echoed = sent.client_id.map(|duid| DhcpOption::ClientId(duid.to_vec()));
    assert_eq!(reply.opts().get(OptionCode::ClientId), echoed.as_ref());
    assert!(given(&reply).len() <= 1);
    assert!(given(&reply).iter().all(|address| *address == ip(ADDRESS)));
}

proptest! {
    // The same messages at every run.
    #![proptest_config(ProptestConfig {
        rng_seed: proptest::test_runner::RngSeed::Fixed(547),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_are_survived(payload in prop::collection::vec(any::<u8>(), 0..300)) {
        assert_sound(&payload);
    }

    #[test]
    fn any_options_are_survived(
        kind in any::<u8>(),
        options in prop::collection::vec(option_bytes(), 0..8),
    ) {
        assert_sound(&raw(kind, &options));
        assert_sound(&raw_solicit(&options));
    }

    #[test]
    fn any_plausible_message_is_answered_soundly(payload in plausible(1)) {
        assert_sound(&payload);
    }

    #[test]
    fn any_good_message_but_confirm_is_answered(payload in plausible(0)) {
        prop_assert!(payload[0] == 4 || run(&profile(), &payload).1.is_some());
    }

    #[test]
    fn a_message_cut_anywhere_is_survived(
        payload in plausible(1),
        keep in any::<prop::sample::Index>(),
    ) {
        assert_sound(&payload[..keep.index(payload.len())]);
    }
}
