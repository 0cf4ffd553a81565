//! Network boot: what a rule puts into fields and options.

use super::*;

const BOOT_SERVER: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 5);

/// A rule that says all there is to say, for every client.
fn boot_rule() -> BootRule {
    BootRule {
        next_server: Some(BOOT_SERVER),
        server_name: Some("boot.example".to_owned()),
        tftp_server: Some("tftp.example".to_owned()),
        tftp_addresses: vec![BOOT_SERVER, OTHERS],
        file: Some("ipxe.efi".to_owned()),
        path_prefix: Some("/boot/".to_owned()),
        ..BootRule::default()
    }
}

/// A field of `N` bytes that holds `text`.
fn padded<const N: usize>(text: &str) -> Box<[u8]> {
    let mut field = text.as_bytes().to_vec();
    field.resize(N, 0);
    field.into()
}

/// The usual network with one boot rule, and these options set by code.
fn booting(rule: BootRule, options: Vec<RawOption>) -> Profile {
    let mut parameters = parameters();
    parameters.boot = [rule].into();
    parameters.ipv4.as_mut().unwrap().options = options;
    Profile::new(&parameters).unwrap()
}

#[test]
fn boot_data_stands_in_the_fields_and_in_the_options_that_are_listed() {
    let profile = booting(boot_rule(), Vec::new());
    let listing = Client::new(MessageType::Discover).asking_for(&[150, 67, 66]);
    let quiet = Client::new(MessageType::Discover).asking_for(&[1]);
    for client in [&listing, &quiet] {
        let bytes = client.reply(&profile).1;
        assert_eq!(decoded(&bytes).siaddr(), BOOT_SERVER);
        assert_eq!(bytes[44..108], *padded::<64>("boot.example"));
        assert_eq!(bytes[108..236], *padded::<128>("ipxe.efi"));
    }
    let options = listing.options(&profile);
    let addresses = [BOOT_SERVER.octets(), OTHERS.octets()].concat();
    for (code, body) in
        [(150, addresses.as_slice()), (67, b"ipxe.efi"), (66, b"tftp.example"), (210, b"/boot/")]
    {
        assert!(options.contains(&(code, body.to_vec())), "{code}: {options:?}");
    }
    assert_eq!(listing.codes(&profile), [53, 54, 51, 150, 67, 66, 1, 58, 59, 210, 61]);
    assert_eq!(quiet.codes(&profile), [53, 54, 51, 1, 58, 59, 210, 61]);
}

#[test]
fn boot_data_is_in_every_reply_but_a_nak() {
    let profile = booting(boot_rule(), Vec::new());
    let next_server = |client: Client| decoded(&client.reply(&profile).1).siaddr();
    let request = || Client::new(MessageType::Request);
    assert_eq!(next_server(Client::new(MessageType::Discover)), BOOT_SERVER);
    assert_eq!(next_server(request().requested(OWN)), BOOT_SERVER);
    assert_eq!(next_server(Client::new(MessageType::Inform).ciaddr(OWN)), BOOT_SERVER);
    let (_, nak) = request().requested(OTHERS).reply(&profile);
    assert_eq!(nak[20..24], [0; 4]);
    assert_eq!(nak[44..236], [0; 192]);
    assert!(options_of(&nak).iter().all(|(code, _)| [53, 54, 56, 61].contains(code)));
}

#[test]
fn a_rule_goes_before_what_is_set_by_code_where_it_fits() {
    let by_code = || vec![raw(66, b"old", true), raw(67, b"old", true), raw(43, b"kept", true)];
    let value = |profile: &Profile, client: &Client| {
        let options = client.options(profile);
        [66, 67, 43].map(|code| {
            let found = options.iter().find(|(known, _)| *known == code);
            found.map(|(_, body)| String::from_utf8(body.clone()).unwrap())
        })
    };
    let some = |text: &str| Some(text.to_owned());
    let client = Client::new(MessageType::Discover).asking_for(&[66, 67]);
    let profile = booting(boot_rule(), by_code());
    assert_eq!(value(&profile, &client), [some("tftp.example"), some("ipxe.efi"), some("kept")]);
    let profile = booting(BootRule { ipxe: Some(true), ..boot_rule() }, by_code());
    assert_eq!(value(&profile, &client), [some("old"), some("old"), some("kept")]);
}

#[test]
fn options_do_not_go_into_a_field_that_holds_boot_data() {
    // Both take 266 bytes, but 265 are left in the options field; either field has room for 225.
    let options = || vec![raw(224, &body(202), true), raw(225, &body(60), true)];
    let client = Client::new(MessageType::Discover).asking_for(&[224]);
    for (rule, overload, note) in [
        (BootRule::default(), 1, None),
        (BootRule { server_name: Some("s".to_owned()), ..BootRule::default() }, 1, None),
        (BootRule { file: Some("f".to_owned()), ..BootRule::default() }, 2, None),
        (BootRule { path_prefix: None, ..boot_rule() }, 0, Some(Note::OptionsLeftOut)),
    ] {
        let (sname, file) = (rule.server_name.clone(), rule.file.clone());
        let profile = booting(rule, options());
        let (reply, bytes) = client.reply(&profile);
        assert_eq!(reply.note, note, "{overload}");
        let field = match decoded(&bytes).opts().get(OptionCode::OptionOverload) {
            Some(DhcpOption::OptionOverload(field)) => *field,
            _ => 0,
        };
        assert_eq!(field, overload);
        if let Some(file) = file {
            assert_eq!(bytes[108..236], *padded::<128>(&file));
        }
        if let Some(sname) = sname {
            assert_eq!(bytes[44..108], *padded::<64>(&sname));
        }
    }
}

#[test]
fn a_machine_identifier_comes_back_if_there_is_room() {
    let id = [&[0][..], &[7; 16]].concat();
    let client = Client::new(MessageType::Discover)
        .asking_for(&[224])
        .with(DhcpOption::Unknown(v4::UnknownOption::new(OptionCode::from(97), id.clone())));
    // 43 bytes are always there, 19 are the identifier's.
    for (length, note) in [(244, None), (245, Some(Note::OptionsLeftOut))] {
        let profile = booting(
            BootRule { next_server: Some(BOOT_SERVER), ..BootRule::default() },
            vec![raw(224, &body(length), true)],
        );
        let (reply, bytes) = client.reply(&profile);
        assert_eq!(reply.note, note);
        assert!(reply.length <= 548);
        assert_eq!(options_of(&bytes).contains(&(97, id.clone())), note.is_none());
    }
    assert!(!client.codes(&profile()).contains(&97));
}
