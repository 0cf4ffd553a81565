//! DHCPv6 options by name: what is encoded, and what is refused in which words.

use super::super::option_names::IpFamily;
use super::option_names::{given, sample};
use super::{IPV4_RANGE, IPV6, assert_network_faults, only_network};
use crate::network::RawOption;

fn in_table(lines: &str) -> Vec<(u16, Vec<u8>)> {
    let network = only_network(&format!("{IPV6}[ipv6.options]\n{lines}\n"));
    given(&network.ipv6.unwrap().options)
}

/// What one VM is given by its own table of names.
fn in_table_of_vm(lines: &str) -> Vec<(u16, Vec<u8>)> {
    given(&only_network(&format!("{IPV6}{VM_OPTIONS}{lines}\n")).vms[0].ipv6_options)
}

/// Three lines.
const VM_OPTIONS: &str = "[[vm]]\nid = \"demo/a\"\n[vm.ipv6-options]\n";

#[test]
fn every_name_takes_a_value_of_its_kind_that_clients_can_read() {
    for row in IpFamily::V6.rows() {
        let Some(value) = sample(row.kind) else { continue };
        for name in row.names {
            // What is loaded was read back by dhcproto.
            let text = format!(
                "{IPV6}[[option]]\nfamily = 6\nname = {name:?}\nvalue = {value}\nalways = true\n"
            );
            let options = only_network(&text).ipv6.unwrap().options;
            let [RawOption { code, body, always: true }] = options.as_slice() else {
                panic!("{options:?}");
            };
            assert_eq!(*code, row.code, "{name}");
            assert_eq!(in_table(&format!("{name} = {value}")), [(*code, body.to_vec())]);
            assert_eq!(in_table_of_vm(&format!("{name} = {value}")), [(*code, body.to_vec())]);
        }
    }
}

#[test]
fn kinds_are_encoded_as_their_rfcs_say() {
    let address = |last: u8| {
        let mut octets = vec![0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        octets.push(last);
        octets
    };
    let cases: [(&str, u16, Vec<u8>); 8] = [
        (r#"sip-server = ["2001:db8::1", "2001:db8::2"]"#, 22, [address(1), address(2)].concat()),
        (r#"pana-agent = "2001:db8::1""#, 40, address(1)),
        (r#"Sip_Server_Domain = ["a.b", "c"]"#, 21, b"\x01a\x01b\0\x01c\0".to_vec()),
        (r#"aftr-name = "aftr.example""#, 64, b"\x04aftr\x07example\0".to_vec()),
        (r#"bootfile-url = "tftp://x/y""#, 59, b"tftp://x/y".to_vec()),
        (r#"bootfile-param = ["a", "bc"]"#, 60, b"\0\x01a\0\x02bc".to_vec()),
        (r#"new-tzdb-timezone = "Europe/Zurich""#, 42, b"Europe/Zurich".to_vec()),
        (
            r#"vendor-opts = { enterprise = 4491, hex = "0020000261620021:0000" }"#,
            17,
            b"\0\0\x11\x8b\0\x20\0\x02ab\0\x21\0\0".to_vec(),
        ),
    ];
    for (line, code, body) in cases {
        assert_eq!(in_table(line), [(code, body)], "{line}");
    }
}

#[test]
fn wrong_values_are_named_with_their_option() {
    let cases = [
        (
            r#"sip-server = "10.0.0.1""#,
            r#"6:14: "sip-server" has "10.0.0.1", which is not an IPv6 address; write one like "2001:db8:20::1""#,
        ),
        ("pana-agent = []", r#"6:14: "pana-agent" is empty; give a value or leave it out"#),
        (
            r#"aftr-name = ["a.example"]"#,
            r#"6:13: "aftr-name" is an array; write a domain name like "blue.example""#,
        ),
        (r#"bootfile-url = """#, r#"6:16: "bootfile-url" is empty; give a value or leave it out"#),
        (
            r#"bootfile-param = ["a", 1]"#,
            r#"6:24: "bootfile-param" is an integer; write a text like "blue""#,
        ),
        (
            r#"vendor-opts = { enterprise = 9, hex = "0102" }"#,
            r#"6:39: "hex" is not a list of options; write each with a code and a length of two bytes before its data (RFC 9915)"#,
        ),
        (
            r#"vendor-opts = { hex = "" }"#,
            r#"6:15: "enterprise" of a vendor is missing; give an enterprise's number like 4491"#,
        ),
    ];
    for (line, fault) in cases {
        assert_network_faults(&[(IPV6, &format!("[ipv6.options]\n{line}"), &[fault])]);
        let of_vm = fault.replacen("6:", "8:", 1);
        assert_network_faults(&[(IPV6, &format!("{VM_OPTIONS}{line}"), &[&of_vm])]);
    }
    // Its length would not fit into two bytes.
    let long = format!("[ipv6.options]\nbootfile-param = {:?}", "x".repeat(65_536));
    let fault = r#"6:18: "bootfile-param" has a text of 65536 bytes; 65535 is the most"#;
    assert_network_faults(&[(IPV6, &long, &[fault])]);
}

#[test]
fn names_that_cannot_be_set_say_what_can() {
    let cases = [
        (
            r#"pana-agnet = "x""#,
            r#"6:1: unknown option "pana-agnet"; the nearest known option is "pana-agent""#,
        ),
        (
            r#"dns_server = "2001:db8::1""#,
            r#"6:1: "dns_server" is not set as an option; write "dns" above the first section, or in [[vm]]"#,
        ),
        (
            r#"domain-search = "a.b""#,
            r#"6:1: "domain-search" is not set as an option; write "search" above the first section, or in [[vm]]"#,
        ),
        (
            "preference = 1",
            r#"6:1: "preference" is not set as an option; write "server-preference" in [ipv6]"#,
        ),
        (
            r#"ia_addr = "2001:db8::1""#,
            r#"6:1: "ia_addr" is not set as an option; write "ranges" in [ipv6], or "ipv6" in [[vm]]"#,
        ),
        (r#"ia-pd = "x""#, r#"6:1: "ia-pd" is not set as an option; write "delegate" in [ipv6]"#),
        (
            "server_id = 1",
            r#"6:1: "server_id" is not set as an option; write "name" in [deployment]: the server's DUID is made from it"#,
        ),
        (
            "user-class = 1",
            r#"6:1: "user-class" is not set as an option; leave it out: clients send it, servers do not"#,
        ),
        (
            "bootfile-url = \"a\"\nbootfile_name = \"b\"",
            "7:1: option 59 (bootfile-url) is set twice; keep one of them",
        ),
    ];
    for (line, fault) in cases {
        assert_network_faults(&[(IPV6, &format!("[ipv6.options]\n{line}"), &[fault])]);
    }
    assert_network_faults(&[
        (
            IPV6,
            "[[option]]\nfamily = 6\nname = \"aftr-name\"\nip = \"2001:db8::1\"",
            &[r#"8:6: "ip" is not the type of option "aftr-name"; write "domain""#],
        ),
        (
            IPV6,
            "[[option]]\nfamily = 6\nname = \"rapid-commit\"\nvalue = true",
            &[r#"7:8: "rapid-commit" is not set as an option; write "rapid-commit" in [ipv6]"#],
        ),
        (
            IPV6,
            "[[option]]\nfamily = 6\ncode = 64\ndomain = \"a.b\"\n[ipv6.options]\naftr-name = \"a.b\"",
            &["10:1: option 64 (aftr-name) is set twice; keep one of them"],
        ),
    ]);
    let fault =
        r#"8:1: "ipv6-options" needs [ipv6] in this network; add it or leave "ipv6-options" out"#;
    let lines = format!("{VM_OPTIONS}aftr-name = \"a.b\"");
    assert_network_faults(&[(IPV4_RANGE, &lines, &[fault])]);
}

#[test]
fn options_of_a_vm_take_the_place_of_the_networks() {
    let network = only_network(&format!(
        "{IPV6}[ipv6.options]\naftr-name = \"net.example\"\n{VM_OPTIONS}aftr-name = \"vm.example\"\n"
    ));
    assert_eq!(given(&network.vms[0].ipv6_options), [(64, b"\x02vm\x07example\0".to_vec())]);
}
