//! Options by name: what is encoded, and what is refused in which words.

use super::super::option_kind::Kind;
use super::super::option_names::{IpFamily, find};
use super::{IPV4_RANGE, IPV6, assert_network_faults, only_network};
use crate::network::RawOption;

fn in_table(lines: &str) -> Vec<(u16, Vec<u8>)> {
    let network = only_network(&format!("{IPV4_RANGE}[ipv4.options]\n{lines}\n"));
    given(&network.ipv4.unwrap().options)
}

/// What one VM is given by its own table of names.
fn in_table_of_vm(lines: &str) -> Vec<(u16, Vec<u8>)> {
    let network = only_network(&format!("{IPV4_RANGE}{VM_OPTIONS}{lines}\n"));
    given(&network.vms[0].ipv4_options)
}

/// Three lines.
const VM_OPTIONS: &str = "[[vm]]\nid = \"demo/a\"\n[vm.ipv4-options]\n";

pub(super) fn given(options: &[RawOption]) -> Vec<(u16, Vec<u8>)> {
    options.iter().map(|option| (option.code, option.body.to_vec())).collect()
}

#[test]
fn open_virtual_networks_names_are_known() {
    let given = in_table(
        r#"
netmask = "255.255.255.0"
router = "10.0.0.1"
dns_server = ["10.0.0.53", "10.0.0.54"]
log_server = "10.0.0.7"
lpr_server = "10.0.0.9"
swap_server = "10.0.0.16"
policy_filter = ["10.0.0.2", "255.0.0.0"]
broadcast_address = "10.0.0.255"
router_solicitation = "10.0.0.32"
nis_server = "10.0.0.41"
ntp_server = "10.0.0.42"
netbios_name_server = "10.0.0.44"
tftp_server_address = "10.0.0.5"
ip_forward_enable = true
router_discovery = false
ethernet_encap = true
default_ttl = 64
tcp_ttl = 65
netbios_node_type = 8
mtu = 1450
arp_cache_timeout = 30
tcp_keepalive_interval = 38
hostname = "web"
domain_name = "blue.example"
bootfile_name = "ipxe.efi"
path_prefix = "/boot/"
wpad = "http://wpad.example/"
tftp_server = "10.0.0.5"
classless_static_route = [{ to = "10.0.0.0/8", via = "10.0.0.2" }]
ms_classless_static_route = { to = "0.0.0.0/0", via = "10.0.0.3" }
domain_search_list = ["a.example", "b.example"]"#,
    );
    let expected: Vec<(u16, &[u8])> = vec![
        (1, &[255, 255, 255, 0]),
        (3, &[10, 0, 0, 1]),
        (6, &[10, 0, 0, 53, 10, 0, 0, 54]),
        (7, &[10, 0, 0, 7]),
        (9, &[10, 0, 0, 9]),
        (16, &[10, 0, 0, 16]),
        (21, &[10, 0, 0, 2, 255, 0, 0, 0]),
        (28, &[10, 0, 0, 255]),
        (32, &[10, 0, 0, 32]),
        (41, &[10, 0, 0, 41]),
        (42, &[10, 0, 0, 42]),
        (44, &[10, 0, 0, 44]),
        (150, &[10, 0, 0, 5]),
        (19, &[1]),
        (31, &[0]),
        (36, &[1]),
        (23, &[64]),
        (37, &[65]),
        (46, &[8]),
        (26, &[5, 0xaa]),
        (35, &[0, 0, 0, 30]),
        (38, &[0, 0, 0, 38]),
        (12, b"web"),
        (15, b"blue.example"),
        (67, b"ipxe.efi"),
        (210, b"/boot/"),
        (252, b"http://wpad.example/"),
        (66, b"10.0.0.5"),
        (121, &[8, 10, 10, 0, 0, 2]),
        (249, &[0, 10, 0, 0, 3]),
        (119, b"\x01a\x07example\0\x01b\xc0\x02"),
    ];
    let sorted = |mut options: Vec<(u16, Vec<u8>)>| {
        options.sort();
        options
    };
    let expected = expected.into_iter().map(|(code, body)| (code, body.to_vec())).collect();
    assert_eq!(sorted(given), sorted(expected));
    // Those that the protocol itself makes, and what fills a field.
    for name in ["server_id", "lease_time", "T1", "T2", "next_server", "bootfile_name_alt"] {
        assert!(find(name, IpFamily::V4).unwrap_err().contains("; write "), "{name}");
    }
}

/// A value of a kind, as it is written in a file; `None`: there is none.
pub(super) fn sample(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Address => r#""10.0.0.5""#,
        Kind::Addresses => r#"["10.0.0.5", "10.0.0.6"]"#,
        Kind::AddressPairs => r#"["10.0.0.5", "255.0.0.0"]"#,
        Kind::Ipv6Addresses => r#"["2001:db8::5", "2001:db8::6"]"#,
        Kind::Text => r#""text""#,
        Kind::Texts => r#"["one", "two"]"#,
        Kind::DomainText | Kind::Domain | Kind::Domains | Kind::SearchList => r#""blue.example""#,
        Kind::SipServers => r#"["sip.example"]"#,
        Kind::U8(_) => "255",
        Kind::U16(_) => "65535",
        Kind::U16s(_) => "[68, 65535]",
        Kind::U32 => "4294967295",
        Kind::I32 => "-3600",
        Kind::Bool => "true",
        Kind::NodeType => "4",
        Kind::Routes => r#"[{ to = "10.0.0.0/8", via = "10.0.0.1" }]"#,
        Kind::Hex => r#""0104c0a80001""#,
        Kind::Vendors => r#"{ enterprise = 4491, hex = "0102" }"#,
        Kind::Vendor => r#"{ enterprise = 4491, hex = "000100020aff" }"#,
        Kind::Elsewhere(_) => return None,
    })
}

#[test]
fn every_name_takes_a_value_of_its_kind_that_clients_can_read() {
    for row in IpFamily::V4.rows() {
        let Some(value) = sample(row.kind) else { continue };
        for name in row.names {
            // What is loaded was read back by dhcproto.
            let text = format!(
                "{IPV4_RANGE}[[option]]\nfamily = 4\nname = {name:?}\nvalue = {value}\n\
                 always = true\n"
            );
            let options = only_network(&text).ipv4.unwrap().options;
            let [RawOption { code, body, always: true }] = options.as_slice() else {
                panic!("{options:?}");
            };
            assert_eq!(*code, row.code, "{name}");
            assert_eq!(in_table(&format!("{name} = {value}")), [(*code, body.to_vec())]);
            assert_eq!(in_table_of_vm(&format!("{name} = {value}")), [(*code, body.to_vec())]);
            let of_vm = text.replace("[[option]]", "[[vm]]\nid = \"demo/a\"\n[[vm.option]]");
            assert_eq!(only_network(&of_vm).vms[0].ipv4_options, options, "{name}");
        }
    }
}

#[test]
fn names_are_written_once_and_in_the_form_that_is_searched() {
    for rows in [IpFamily::V4.rows(), IpFamily::V6.rows()] {
        let mut names: Vec<&str> = rows.iter().flat_map(|row| row.names).copied().collect();
        for name in &names {
            assert_eq!(*name, name.to_ascii_lowercase().replace('_', "-"));
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(rows.is_sorted_by_key(|row| if row.code == 0 { u16::MAX } else { row.code }));
    }
}

#[test]
fn kinds_are_encoded_as_their_rfcs_say() {
    let cases: [(&str, u16, &[u8]); 9] = [
        ("time-offset = -3600", 2, &[0xff, 0xff, 0xf1, 0xf0]),
        ("Boot_Size = 1", 13, &[0, 1]),
        ("path-mtu-plateau-table = [68, 1500]", 25, &[0, 68, 5, 0xdc]),
        (r#"bcms-controller-names = ["a.b", "c"]"#, 88, b"\x01a\x01b\0\x01c\0"),
        (r#"sip-servers = ["10.0.0.1", "10.0.0.2"]"#, 120, &[1, 10, 0, 0, 1, 10, 0, 0, 2]),
        (r#"sip-servers = "sip.b""#, 120, b"\0\x03sip\x01b\0"),
        (r#"vendor-encapsulated-options = "01:02:03""#, 43, &[1, 2, 3]),
        (
            r#"vivso-suboptions = [
                { enterprise = 4491, hex = "0201ff" },
                { enterprise = 4294967295, hex = "" },
            ]"#,
            125,
            &[0, 0, 0x11, 0x8b, 3, 2, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0],
        ),
        (r#"vivco-suboptions = { enterprise = 9, hex = "01" }"#, 124, &[0, 0, 0, 9, 1, 1]),
    ];
    for (line, code, body) in cases {
        assert_eq!(in_table(line), [(code, body.to_vec())], "{line}");
    }
}

#[test]
fn a_vms_option_may_be_named_too() {
    let network = only_network(&format!(
        "{IPV4_RANGE}[[vm]]\nid = \"demo/a\"\n[[vm.option]]\nfamily = 4\nname = \"mtu\"\nu16 = 9000\n\
         [[vm.option]]\nfamily = 4\nname = \"root-path\"\nhex = \"2f\"\n"
    ));
    assert_eq!(given(&network.vms[0].ipv4_options), [(26, vec![0x23, 0x28]), (17, vec![0x2f])]);
}

#[test]
fn wrong_values_are_named_with_their_option() {
    let cases = [
        ("router = 1", r#"7:10: "router" is an integer; write an IPv4 address like "10.20.0.1""#),
        (
            r#"router = ["10.0.0.1", "fe80::1"]"#,
            r#"7:23: "router" has "fe80::1", which is not an IPv4 address; write one like "10.20.0.1""#,
        ),
        ("log-server = []", r#"7:14: "log-server" is empty; give a value or leave it out"#),
        (
            r#"swap-server = ["10.0.0.1"]"#,
            r#"7:15: "swap-server" is an array; write an IPv4 address like "10.20.0.1""#,
        ),
        (
            r#"static-routes = "10.0.0.1""#,
            r#"7:17: "static-routes" has an odd number of addresses; write them in pairs, as RFC 2132 says"#,
        ),
        ("tftp-server = 5", r#"7:15: "tftp-server" is an integer; write a text like "blue""#),
        (r#"root-path = """#, r#"7:13: "root-path" is empty; give a value or leave it out"#),
        (r#"root-path = "a\n""#, r#"7:13: "root-path" has a control character; leave it out"#),
        (
            r#"domain-name = "a b""#,
            r#"7:15: "domain-name" has "a b", which is not a domain name: a label may hold letters, digits, hyphens and underscores only; write one like "blue.example""#,
        ),
        (
            "domain-search = [1]",
            r#"7:18: "domain-search" is an integer; write a domain name like "blue.example""#,
        ),
        (
            r#"sip-servers = ["10.0.0.1", "sip.example"]"#,
            r#"7:28: "sip-servers" has "sip.example", which is not an IPv4 address; write one like "10.20.0.1""#,
        ),
        (
            "default-ttl = 256",
            r#"7:15: "default-ttl" is 256, which is out of range; write a number from 1 to 255"#,
        ),
        (
            "tcp-ttl = 0",
            r#"7:11: "tcp-ttl" is 0, which is out of range; write a number from 1 to 255"#,
        ),
        ("mtu = 67", r#"7:7: "mtu" is 67, which is out of range; write a number from 68 to 65535"#),
        (r#"mtu = "1450""#, r#"7:7: "mtu" is a string; write a number from 68 to 65535"#),
        (
            "path-mtu-plateau-table = [1]",
            r#"7:27: "path-mtu-plateau-table" is 1, which is out of range; write a number from 68 to 65535"#,
        ),
        (
            "arp-cache-timeout = -1",
            r#"7:21: "arp-cache-timeout" is -1, which is out of range; write a number from 0 to 4294967295"#,
        ),
        (
            "time-offset = 2147483648",
            r#"7:15: "time-offset" is 2147483648, which is out of range; write a number from -2147483648 to 2147483647"#,
        ),
        ("ip-forwarding = 1", r#"7:17: "ip-forwarding" is an integer; write true or false"#),
        (
            "netbios-node-type = 3",
            r#"7:21: "netbios-node-type" is 3; write 1 (B-node), 2 (P-node), 4 (M-node) or 8 (H-node)"#,
        ),
        (
            r#"classless-static-route = "10.0.0.0/8""#,
            r#"7:26: "classless-static-route" is a string; write a table like { to = ..., via = ... }"#,
        ),
        (
            r#"classless-static-route = [{ to = "10.0.0.1/8", via = "10.0.0.1" }]"#,
            r#"7:34: network "10.0.0.1/8" has bits set behind its prefix; write "10.0.0.0/8""#,
        ),
        (
            r#"vendor-encapsulated-options = "012""#,
            r#"7:31: "vendor-encapsulated-options" has "012", which is not bytes in hexadecimal; write one like "0104c0a80001""#,
        ),
        (
            r#"vivso-suboptions = { hex = "01" }"#,
            r#"7:20: "enterprise" of a vendor is missing; give an enterprise's number like 4491"#,
        ),
        (
            r#"vivso-suboptions = "01""#,
            r#"7:20: "vivso-suboptions" is a string; write a table like { enterprise = ..., hex = ... }"#,
        ),
    ];
    for (line, fault) in cases {
        assert_network_faults(&[(IPV4_RANGE, &format!("[ipv4.options]\n{line}"), &[fault])]);
        let of_vm = fault.replacen("7:", "9:", 1);
        assert_network_faults(&[(IPV4_RANGE, &format!("{VM_OPTIONS}{line}"), &[&of_vm])]);
    }
    let long = format!(
        "[ipv4.options]\nvivco-suboptions = {{ enterprise = 1, hex = \"{}\" }}",
        "00".repeat(256)
    );
    let fault = r#"7:44: "hex" has 256 bytes; a vendor's data have 255 at most"#;
    assert_network_faults(&[(IPV4_RANGE, &long, &[fault])]);
    let long = format!("[ipv4.options]\nroot-path = {:?}", "x".repeat(1025));
    let fault =
        "7:13: the option is 1025 bytes long, which no message has room for; keep it to 1024";
    assert_network_faults(&[(IPV4_RANGE, &long, &[fault])]);
}

#[test]
fn names_that_cannot_be_set_say_what_can() {
    let cases = [
        (
            r#"tftp-sever = "x""#,
            r#"7:1: unknown option "tftp-sever"; the nearest known option is "tftp-server""#,
        ),
        (
            r#"dhcp-lease-time = "1h""#,
            r#"7:1: "dhcp-lease-time" is not set as an option; write "lease-time" in [ipv4]"#,
        ),
        ("T1 = 1", r#"7:1: "T1" is not set as an option; write "renew-time" in [ipv4]"#),
        (
            "message-type = 5",
            r#"7:1: "message-type" is not set as an option; leave it out: every exchange has its own"#,
        ),
        (
            r#"server_id = "10.0.0.1""#,
            r#"7:1: "server_id" is not set as an option; write "server-id" in [ipv4]"#,
        ),
        (
            r#"user-class = "x""#,
            r#"7:1: "user-class" is not set as an option; leave it out: clients send it, servers do not"#,
        ),
        (
            "v4-captive-portal = \"https://p\"",
            r#"7:1: "v4-captive-portal" is not set as an option; write "captive-portal" above the first section, or in [[vm]]"#,
        ),
        (
            "mtu = 1400\ninterface-mtu = 1400",
            "8:1: option 26 (interface-mtu) is set twice; keep one of them",
        ),
    ];
    for (line, fault) in cases {
        assert_network_faults(&[(IPV4_RANGE, &format!("[ipv4.options]\n{line}"), &[fault])]);
    }
    assert_network_faults(&[
        (
            IPV4_RANGE,
            "[[option]]\nfamily = 4\nname = \"mtu\"\nu8 = 9",
            &[r#"9:6: "u8" is not the type of option "interface-mtu"; write "u16""#],
        ),
        (
            IPV4_RANGE,
            "[[option]]\nfamily = 4\nname = \"mtu\"\nvalue = \"x\"",
            &[r#"9:9: "interface-mtu" is a string; write a number from 68 to 65535"#],
        ),
        (
            IPV4_RANGE,
            "[[option]]\nfamily = 4\nname = \"mtu\"\nhex = \"05\"",
            &[
                "6:1: option 26 (InterfaceMtu) cannot be read from this value; give it the type and length that its RFC says",
            ],
        ),
        (
            IPV4_RANGE,
            "[[option]]\nfamily = 4\nname = \"mtu\"\ncode = 26\nu16 = 1400",
            &[r#"8:8: the option has "code" and "name"; give one of them"#],
        ),
        (
            IPV4_RANGE,
            "[[option]]\nfamily = 4\nname = \"T2\"\nvalue = 1",
            &[r#"8:8: "T2" is not set as an option; write "rebind-time" in [ipv4]"#],
        ),
        (
            IPV4_RANGE,
            "[[option]]\nfamily = 4\ncode = 26\nvalue = 1400",
            &[
                r#"9:9: "value" goes with "name"; give one of hex, ip, text, u8, u16, u32, domain, bool"#,
            ],
        ),
        (
            IPV4_RANGE,
            "[[option]]\nfamily = 4\nname = \"mtu\"\nu16 = 1400\n[ipv4.options]\nmtu = 1400",
            &["11:1: option 26 (interface-mtu) is set twice; keep one of them"],
        ),
        (
            IPV6,
            "[[option]]\nfamily = 6\nname = \"mtu\"\nu16 = 1400",
            &[r#"7:8: unknown option "mtu"; the nearest known option is "oro""#],
        ),
    ]);
}

#[test]
fn wrong_options_of_a_vm_are_named_where_they_stand() {
    let vm = "[[vm]]\nid = \"demo/a\"\n";
    let option = |lines: &str| format!("{vm}[[vm.option]]\n{lines}");
    let cases = [
        (
            option("family = 4\nname = \"mtu\"\nvalue = \"x\""),
            r#"11:9: "interface-mtu" is a string; write a number from 68 to 65535"#,
        ),
        (
            option("family = 4\nname = \"mtu\"\nip = \"10.0.0.1\""),
            r#"11:6: "ip" is not the type of option "interface-mtu"; write "u16""#,
        ),
        (
            option("family = 4\ncode = 26\nu8 = 200"),
            "8:1: option 26 (InterfaceMtu) cannot be read from this value; give it the type and \
             length that its RFC says",
        ),
        (
            option("family = 4\ncode = 54\nip = \"10.0.0.9\""),
            "10:8: option 54 belongs to the protocol itself and cannot be set by code; leave it out",
        ),
        (
            option("family = 6\ncode = 59\ntext = \"x\""),
            "8:1: an option of family 6 needs [ipv6]; add it or leave this out",
        ),
        (
            option("family = 4\nname = \"mtu\"\nu16 = 1400\n[vm.ipv4-options]\nmtu = 1400"),
            "13:1: option 26 (interface-mtu) is set twice; keep one of them",
        ),
        (format!("{vm}ipv4-options = 4"), r#"8:16: "ipv4-options" is an integer; write a table"#),
        (
            format!("{vm}captive-portal = \"http://p\""),
            r#"8:18: captive-portal "http://p": it does not begin with https://; the portal's API is reached by https"#,
        ),
        (
            format!("{vm}dnr = [{{ name = \"a.b\", priority = 0 }}]"),
            r#"8:35: "priority" is 0, which is out of range; write a number from 1 to 65535"#,
        ),
        (
            format!("{vm}options = {{ mtu = 1400 }}"),
            r#"8:1: unknown key "options" in [[vm]]; the nearest known key is "option""#,
        ),
    ];
    for (lines, fault) in cases {
        assert_network_faults(&[(IPV4_RANGE, &lines, &[fault])]);
    }
    let fault =
        r#"7:1: "ipv4-options" needs [ipv4] in this network; add it or leave "ipv4-options" out"#;
    let lines = format!("{VM_OPTIONS}mtu = 1400");
    assert_network_faults(&[(IPV6, &lines, &[fault])]);
}

#[test]
fn what_the_network_has_keys_for_can_be_set_for_one_vm() {
    let network = only_network(&format!(
        r#"{IPV4_RANGE}[[vm]]
id = "demo/a"
captive-portal = "https://portal.example/a"
dnr = [{{ name = "dns.example" }}]
[[vm.option]]
family = 4
code = 108
u32 = 1800
[[vm.option]]
family = 4
code = 116
bool = true
[[vm]]
id = "demo/b"
dnr = []
"#
    ));
    let [a, b] = &*network.vms else { panic!("not two") };
    assert_eq!(given(&a.ipv4_options), [(108, vec![0, 0, 7, 8]), (116, vec![1])]);
    assert_eq!(a.captive_portal.as_ref().unwrap().as_str(), "https://portal.example/a");
    let names: Vec<&str> =
        a.resolvers.iter().flatten().map(|resolver| resolver.name.as_str()).collect();
    assert_eq!(names, ["dns.example"]);
    assert_eq!((b.captive_portal.as_ref(), b.resolvers.as_deref()), (None, Some(&[][..])));
}
