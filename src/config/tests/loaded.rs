//! Files that are right, and what comes out of them; networks side by side; the shipped files.

use std::fs;
use std::path::Path;

use super::super::*;
use super::{IPV4, IPV4_RANGE, IPV6, OVSDB, loaded, only_network, without_dir, written};
use crate::network::{AddressMode, Lifetime, Mask, OnDecline, RouterPreference, VmEntries};
use crate::wire::Mac;

#[test]
fn networks_are_compared_with_each_other() {
    let green = |tail: &str| format!("{}{tail}", IPV4_RANGE.replace("blue", "green"));
    let faults = |green: &str| {
        loaded(OVSDB, &[("blue.toml", IPV4_RANGE), ("green.toml", green)])
            .map(|config| config.warnings)
    };
    assert_eq!(
        faults(IPV4_RANGE),
        Err(vec![
            "networks.d/green.toml:1:8: network name \"blue\" is used in networks.d/blue.toml \
             already; give every network its own"
                .to_owned(),
            "networks.d/green.toml:5:11: range \"10.0.0.10-10.0.0.20\" overlaps what network \
             \"blue\" gives out (networks.d/blue.toml:5); keep them apart, or give both a \
             different bridge or vlan in [match]"
                .to_owned(),
        ])
    );
    let reserved = green("[[vm]]\nid = \"demo/a\"\nipv4 = \"10.0.0.20\"\n")
        .replace("ranges = [\"10.0.0.10-10.0.0.20\"]", "ranges = []");
    assert_eq!(
        faults(&reserved),
        Err(vec![
            "networks.d/green.toml:8:8: address 10.0.0.20 overlaps what network \"blue\" gives out \
             (networks.d/blue.toml:5); keep them apart, or give both a different bridge or vlan \
             in [match]"
                .to_owned(),
        ])
    );
}

#[test]
fn networks_on_separate_vlans_may_give_out_the_same_addresses() {
    let on = |name: &str, vlan: u16| {
        format!("{}[match]\nvlan = {vlan}\n", IPV4_RANGE.replace("blue", name))
    };
    let (blue, green) = (on("blue", 1), on("green", 2));
    let config = loaded(OVSDB, &[("a.toml", &blue), ("b.toml", &green)]).unwrap();
    assert_eq!(config.networks.len(), 2);
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn networks_that_shadow_each_other_are_warned_of() {
    let green = IPV4_RANGE.replace("blue", "green").replace("10.0.0.", "10.0.1.");
    let green = format!("{green}[match]\nbridge = \"br-int\"\n");
    let networks = [("blue.toml", IPV4_RANGE), ("green.toml", green.as_str())];
    let config = loaded(OVSDB, &networks).unwrap();
    assert_eq!(
        config.warnings,
        [
            "networks.d/green.toml:1:8: every port that fits network \"green\" fits \"blue\" too, and \
          is then served by neither; narrow [match] of \"blue\""
        ]
    );
    // Static ports that name their network do not ask [match].
    let named = "[[source]]\nkind = \"static\"\n[[source.port]]\ninterface = \"tap0\"\n\
                 vm = \"demo/a\"\nnetwork = \"blue\"\n";
    assert_eq!(loaded(named, &networks).unwrap().warnings, Vec::<String>::new());
}

#[test]
fn a_family_that_gives_no_address_is_warned_of_beside_one_that_does() {
    let warnings = |network: &str| loaded(OVSDB, &[("blue.toml", network)]).unwrap().warnings;
    let slaac = "[ipv6]\nsubnet = \"2001:db8::/64\"\ngateway = \"fe80::1\"\n";
    let text = |place: &str, key: &str, family: &str| {
        format!(
            "networks.d/blue.toml:{place}: [{key}] has no ranges, and no [[vm]] an {family} address: \
             no VM is given one but by `leasehold leases reserve`; add ranges or a [[vm]]"
        )
    };
    assert_eq!(warnings(&format!("{IPV4}\n{slaac}")), [text("2:1", "ipv4", "IPv4")]);
    let reserved = "[[vm]]\nid = \"a/b\"\nipv4 = \"10.0.0.9\"\n";
    assert_eq!(warnings(&format!("{IPV4}\n{slaac}{reserved}")), [""; 0]);
    assert_eq!(warnings(&format!("{IPV4_RANGE}\n{slaac}")), [""; 0]);
    let stateful = format!("{IPV4_RANGE}\n{slaac}mode = \"stateful\"\n");
    assert_eq!(warnings(&stateful), [text("7:1", "ipv6", "IPv6")]);
}

#[test]
fn what_serves_nobody_is_warned_of() {
    assert_eq!(
        loaded(OVSDB, &[]).unwrap().warnings,
        ["leasehold.toml:1:1: networks.d has no network files; nothing is served until there is \
          one, named *.toml"]
    );
    assert_eq!(
        loaded("[[source]]\nkind = \"static\"\n", &[("blue.toml", IPV4_RANGE)]).unwrap().warnings,
        ["leasehold.toml:1:1: a static source has no [[source.port]]; give it one or leave it out"]
    );
    assert_eq!(
        loaded("", &[("blue.toml", IPV4)]).unwrap().warnings,
        [
            "leasehold.toml:1:1: no [[source]] names any ports; nothing is served until there is \
             one",
            "networks.d/blue.toml:1:1: network \"blue\" has no ranges and no [[vm]], so nobody is \
             served; add one of them",
        ]
    );
}

#[test]
fn files_that_cannot_be_read_are_one_line_each() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("leasehold.toml");
    let lines = || without_dir(&load(&path).unwrap_err().lines, dir.path());
    assert_eq!(
        lines(),
        ["leasehold.toml: reading the file failed: no such file or directory; it must be a file \
          that this user may read"]
    );
    fs::write(&path, OVSDB).unwrap();
    assert_eq!(
        lines(),
        ["networks.d: reading the networks' directory failed: no such file or directory; create \
          it, or set networks-dir"]
    );
    fs::create_dir_all(dir.path().join("networks.d/x.toml")).unwrap();
    fs::write(dir.path().join("networks.d/y.toml"), b"name = \"\xff\"").unwrap();
    assert_eq!(
        lines(),
        [
            "networks.d/x.toml: reading the file failed: is a directory; it must be a file that \
             this user may read",
            "networks.d/y.toml:1:9: the file is not UTF-8 text; save it as UTF-8",
        ]
    );
}

#[test]
fn a_minimal_network_has_the_documented_defaults() {
    let Network { hostname, common, gateway, ipv4, ipv6, on_decline, vms, .. } =
        only_network(IPV4_RANGE);
    let ipv4 = ipv4.unwrap();
    assert_eq!(ipv4.server_id, "10.0.0.1".parse::<std::net::Ipv4Addr>().unwrap());
    assert_eq!(
        (ipv4.lease_time, ipv4.renew_time, ipv4.rebind_time),
        (Lifetime(3_600), Some(1_800), Some(3_150))
    );
    assert_eq!((ipv4.mask, ipv4.rapid_commit), (Mask::Subnet, false));
    assert_eq!((ipv6, vms, on_decline), (None, VmEntries::default(), OnDecline::Keep));
    assert_eq!(hostname.as_str(), "{name}");
    assert_eq!(common, crate::network::Common::default());
    // Without `mac` the real router is left alone, and frames come from the server id's MAC.
    assert_eq!(
        gateway,
        crate::network::Gateway {
            source_mac: Mac([0x0a, 0x58, 10, 0, 0, 1]),
            mac_given: false,
            answer: false,
            answer_ping: false,
            announce: false,
            retire: Vec::new(),
        }
    );
}

#[test]
fn a_network_with_ipv6_alone_has_the_documented_defaults() {
    let network = only_network(IPV6);
    let ipv6 = network.ipv6.unwrap();
    assert_eq!(ipv6.mode, AddressMode::Slaac);
    assert_eq!(
        (ipv6.preferred_lifetime, ipv6.valid_lifetime, ipv6.renew_time, ipv6.rebind_time),
        (Lifetime(3_600), Lifetime(7_200), Lifetime(1_800), Lifetime(2_880))
    );
    assert_eq!(
        ipv6.ra,
        crate::network::RouterAdvertisement {
            router_lifetime: 1_800,
            hop_limit: 64,
            preference: RouterPreference::Medium,
            interval: Some((200, 600)),
            dns_lifetime: Lifetime(1_800),
            pref64: None,
        }
    );
    // The first four bytes of SHA-256 of "fe80::1".
    assert_eq!(network.gateway.source_mac, Mac([0x0a, 0x58, 0x6d, 0x6d, 0xc1, 0x50]));
}

#[test]
fn a_nat64_prefix_holds_for_three_intervals_as_far_as_it_can() {
    let pref64 = |interval: &str| {
        let tail = format!("[ipv6.ra]\npref64 = \"64:ff9b::/96\"\ninterval = \"{interval}\"\n");
        let pref64 = only_network(&format!("{IPV6}{tail}")).ipv6.unwrap().ra.pref64.unwrap();
        assert_eq!(pref64.prefix, "64:ff9b::/96".parse().unwrap());
        pref64.lifetime
    };
    assert_eq!(["200s-600s", "200s-30000s", "off"].map(pref64), [1_800, 65_528, 65_528]);
}

#[test]
fn reservations_and_ranges_make_ipv6_stateful() {
    let mode = |tail: &str| only_network(&format!("{IPV6}{tail}")).ipv6.unwrap().mode;
    assert_eq!(mode("ranges = [\"2001:db8::10-2001:db8::20\"]\n"), AddressMode::Stateful);
    assert_eq!(mode("[[vm]]\nid = \"demo/a\"\nipv6 = \"2001:db8::10\"\n"), AddressMode::Stateful);
    let pool = "delegate = { pool = \"2001:db8:8000::/40\", length = 56 }\n";
    assert_eq!(mode(pool), AddressMode::Stateful);
    assert_eq!(mode("[[vm]]\nid = \"demo/a\"\n"), AddressMode::Slaac);
}

#[test]
fn infinite_leases_have_no_renewal_times() {
    let ipv4 = only_network(&format!("{IPV4_RANGE}lease-time = \"infinite\"\n")).ipv4.unwrap();
    assert_eq!(
        (ipv4.lease_time, ipv4.renew_time, ipv4.rebind_time),
        (Lifetime::INFINITE, None, None)
    );
    let text = format!("{IPV6}preferred-lifetime = \"infinite\"\nvalid-lifetime = \"infinite\"\n");
    let ipv6 = only_network(&text).ipv6.unwrap();
    assert_eq!((ipv6.renew_time, ipv6.rebind_time), (Lifetime::INFINITE, Lifetime::INFINITE));
}

#[test]
fn the_routers_lifetime_follows_the_interval() {
    let lifetime = |tail: &str| only_network(&format!("{IPV6}{tail}")).ipv6.unwrap().ra;
    assert_eq!(lifetime("[ipv6.ra]\ninterval = \"3s-4s\"\n").router_lifetime, 12);
    assert_eq!(lifetime("[ipv6.ra]\ninterval = \"1h-9h\"\n").router_lifetime, 65_535);
    assert_eq!(lifetime("[ipv6.ra]\ninterval = \"off\"\n").router_lifetime, 65_535);
    let text = IPV6.replace("gateway = \"fe80::1\"\n", "");
    assert_eq!(only_network(&text).ipv6.unwrap().ra.router_lifetime, 0);
}

#[test]
fn what_an_arriving_vm_is_told_is_read() {
    let text = format!(
        "{IPV6}[gateway]\nmac = \"0a:58:a9:fe:01:01\"\nannounce = true\nretire = [\"fe80::a\"]\n"
    );
    let config = loaded(OVSDB, &[("blue.toml", &text)]).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    let gateway = &config.networks[0].gateway;
    assert!(gateway.announce);
    assert_eq!(gateway.retire, ["fe80::a".parse::<std::net::Ipv6Addr>().unwrap()]);
}

#[test]
fn a_given_mac_stands_for_the_gateway() {
    let text = format!("{IPV4_RANGE}[gateway]\nmac = \"0a:58:a9:fe:01:01\"\n");
    let gateway = only_network(&text).gateway;
    assert_eq!(gateway.source_mac.to_string(), "0a:58:a9:fe:01:01");
    assert!(gateway.mac_given && gateway.answer && gateway.announce);
    let gateway = only_network(&format!("{text}answer = false\n")).gateway;
    assert!(!gateway.answer && gateway.announce);
}

#[test]
fn reserved_and_excluded_addresses_are_not_in_the_pool() {
    let text = IPV4.to_owned()
        + "ranges = [\"10.0.0.0-10.0.0.255\"]\nexclude = [\"10.0.0.9\", \"10.0.0.20-10.0.0.29\"]\n\
           [[vm]]\nid = \"demo/a\"\nipv4 = [\"10.0.0.5\", \"10.0.0.25\"]\n";
    let network = only_network(&text);
    let pool = network.ipv4.unwrap().pool;
    for withheld in ["10.0.0.0", "10.0.0.255", "10.0.0.1", "10.0.0.9", "10.0.0.20", "10.0.0.5"] {
        assert!(!pool.contains(withheld.parse().unwrap()), "{withheld}");
    }
    for given in ["10.0.0.2", "10.0.0.10", "10.0.0.30", "10.0.0.254"] {
        assert!(pool.contains(given.parse().unwrap()), "{given}");
    }
    assert_eq!(pool.size(), 245);
    assert_eq!(network.vms[0].ipv4.len(), 2);
}

#[test]
fn options_are_encoded_at_load() {
    let options = [
        ("43", "hex = \"01:04:c0A80001\"", &b"\x01\x04\xc0\xa8\x00\x01"[..]),
        ("150", "ip = [\"10.0.0.5\", \"10.0.0.6\"]", b"\x0a\x00\x00\x05\x0a\x00\x00\x06"),
        ("44", "ip = \"10.0.0.5\"", b"\x0a\x00\x00\x05"),
        ("66", "text = \"tftp\"", b"tftp"),
        ("23", "u8 = 64", b"\x40"),
        ("26", "u16 = 1450", b"\x05\xaa"),
        ("35", "u32 = 4294967295", b"\xff\xff\xff\xff"),
        ("120", "domain = [\"a.b\", \"c\"]", b"\x01a\x01b\x00\x01c\x00"),
        ("19", "bool = true", b"\x01"),
    ];
    for (code, value, body) in options {
        let text = format!("{IPV4_RANGE}[[option]]\nfamily = 4\ncode = {code}\n{value}\n");
        let given = only_network(&text).ipv4.unwrap().options;
        let expected = crate::network::RawOption {
            code: code.parse().unwrap(),
            body: body.into(),
            always: false,
        };
        assert_eq!(given, [expected], "{value}");
    }
    let text = format!(
        "{IPV6}[[option]]\nfamily = 6\ncode = 59\ntext = \"x\"\nalways = true\n\
         [[vm]]\nid = \"demo/a\"\n[[vm.option]]\nfamily = 6\ncode = 59\ntext = \"y\"\n"
    );
    let network = only_network(&text);
    assert_eq!(*network.ipv6.unwrap().options[0].body, *b"x");
    assert_eq!(*network.vms[0].ipv6_options[0].body, *b"y");
}

#[test]
fn every_node_of_a_deployment_shows_the_same_duid() {
    let duid = |text: &str| loaded(&format!("{OVSDB}{text}"), &[]).unwrap().server_duid;
    let uuid = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_DNS, b"leasehold");
    let default = duid("");
    assert_eq!((&default[..2], &default[2..]), (&[0, 4][..], &uuid.as_bytes()[..]));
    assert_eq!(duid("[node]\nname = \"node-b\"\n"), default);
    assert_ne!(duid("[deployment]\nname = \"lab\"\n"), default);
}

#[test]
fn relative_paths_start_where_the_file_is() {
    let dir = written(
        "networks-dir = \"nets\"\n[control]\nsocket = \"c.sock\"\n[store]\npath = \"/var/x\"\n",
        &[],
    );
    let path = dir.path().join("leasehold.toml");
    fs::create_dir(dir.path().join("nets")).unwrap();
    let config = load(&path).unwrap();
    assert_eq!(config.networks_dir, dir.path().join("nets"));
    assert_eq!(config.control_socket, dir.path().join("c.sock"));
    assert_eq!(config.store, Store::Embedded { path: "/var/x".into() });
    assert_eq!(control_socket_of(&path), Some(dir.path().join("c.sock")));
}

#[test]
fn the_control_socket_is_found_in_a_broken_file() {
    let dir = written("bogus = 1\n[control]\nsocket = \"/run/x\"\n[limits]\nburst = \"\"\n", &[]);
    let path = dir.path().join("leasehold.toml");
    assert!(load(&path).is_err());
    assert_eq!(control_socket_of(&path), Some("/run/x".into()));
    fs::write(&path, "[control]\n").unwrap();
    assert_eq!(control_socket_of(&path), None);
}

#[test]
fn networks_are_read_in_name_order_and_hidden_files_are_left_alone() {
    let named = |name: &str, third: u8| {
        IPV4_RANGE.replace("blue", name).replace("10.0.0.", &format!("10.0.{third}."))
    };
    let (red, blue) = (named("red", 1), named("blue", 2));
    let files =
        [("20.toml", red.as_str()), ("10.toml", &blue), (".30.toml", "?"), ("40.toml~", "?")];
    let config = loaded(OVSDB, &files).unwrap();
    let names: Vec<&str> = config.networks.iter().map(|network| network.name.as_str()).collect();
    assert_eq!(names, ["blue", "red"]);
}

#[test]
fn an_error_is_shown_with_its_line() {
    let dir = written("[limits]\nburst = 0\n", &[]);
    let errors = load(&dir.path().join("leasehold.toml")).unwrap_err();
    let plain = errors.render(Colors::Off).replace(&format!("{}/", dir.path().display()), "");
    assert!(
        plain.starts_with(
            "leasehold.toml:2:9: \"burst\" is 0, which is out of range; write a number from 1 to \
             1000000\n"
        ),
        "{plain}"
    );
    assert!(plain.contains("2 | burst = 0") && plain.contains("        ^"), "{plain}");
    assert!(!plain.contains('\u{1b}') && errors.render(Colors::On).contains('\u{1b}'));
}

#[test]
fn shipped_files_load_without_a_warning() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    for file in ["leasehold.toml", "minimal/leasehold.toml"] {
        let config = load(&shipped.join(file)).map_err(|errors| errors.lines).unwrap();
        assert_eq!(config.warnings, Vec::<String>::new(), "{file}");
        assert_eq!(config.networks.len(), 1, "{file}");
    }
}

#[test]
fn settings_that_are_switched_off_in_the_shipped_files_load_too() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let switched_on = |file: &str| {
        let text = fs::read_to_string(shipped.join(file)).unwrap();
        let on = |line: &str| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => setting.to_owned(),
            _ => line.to_owned(),
        };
        text.lines().map(|line| on(line) + "\n").collect::<String>()
    };
    let config = loaded(
        &switched_on("leasehold.toml"),
        &[("blue.toml", &switched_on("networks.d/blue.toml"))],
    )
    .unwrap();
    assert_eq!((config.sources.len(), config.identity.len()), (3, 1));
    assert_eq!(config.networks[0].vms[0].mtu, Some(9_000));
    assert_eq!(config.networks[0].matcher.vlan, Some(100));
}

/// The text that explains the values is itself a set of files with the same values.
#[test]
fn explained_values_load_as_the_same_configuration() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let slaac = format!("{IPV6}[match]\nbridge = \"x\"\n[ipv6.ra]\ninterval = \"off\"\n");
    let options = format!(
        "captive-portal = \"https://p.example/api\"\n\
         dnr = [{{ name = \"a.example\", addresses = [\"10.0.0.9\"], params = 'alpn=\"dot\"' }}, \
         {{ name = \"b.example\" }}]\n{IPV4_RANGE}ipv6-only-wait = \"30m\"\n\
         auto-configure = true\n[ipv4.options]\nmtu = 1400\n"
    );
    let dir =
        written(OVSDB, &[("blue.toml", &options), ("green.toml", &slaac.replace("blue", "green"))]);
    for path in [shipped.join("leasehold.toml"), dir.path().join("leasehold.toml")] {
        let config = load(&path).unwrap();
        let explained = explain_defaults(&config);
        let mut parts = explained.split("\n# network ");
        let again = written(parts.next().unwrap(), &[]);
        let networks = again.path().join("networks.d");
        let file = again.path().join("leasehold.toml");
        let daemon = fs::read_to_string(&file)
            .unwrap()
            .replace(&config.networks_dir.display().to_string(), &networks.display().to_string());
        fs::write(&file, daemon).unwrap();
        for (place, part) in parts.enumerate() {
            fs::write(networks.join(format!("{place}.toml")), format!("# {part}")).unwrap();
        }
        let again = load(&file).map_err(|errors| errors.lines).unwrap();
        assert_eq!(again.networks, config.networks);
        assert_eq!(again.sources, config.sources);
        assert_eq!(again.limits, config.limits);
        let tail = |text: &str| text.split_once("[deployment]").unwrap().1.to_owned();
        assert_eq!(tail(&explain_defaults(&again)), tail(&explained));
    }
}
