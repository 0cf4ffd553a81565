//! `[boot]`: rules that are right, and rules that are not.

use super::{IPV4_RANGE, IPV6, OVSDB, assert_network_faults, loaded, only_network};
use crate::network::{Architecture, BootRule};

fn rules(text: &str) -> Vec<BootRule> {
    only_network(&format!("{IPV4_RANGE}{text}")).boot.to_vec()
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn every_key_of_a_boot_rule_is_read() {
    let given = rules(
        r#"[[boot.rule]]
arch = ["x86-uefi", "x86-64-uefi", 0x1f]
vendor-class = "PXEClient"
user-class = ["lab", "test-*"]
ipxe = false
next-server = "10.0.0.5"
sname = "boot.example"
tftp-server = ["tftp.example", "10.0.0.6", "10.0.0.7"]
file = "ipxe.efi"
path-prefix = "/boot/"
url = "tftp://[2001:db8:20::5]/ipxe.efi"
params = ["console=ttyS0", "quiet"]
"#,
    );
    let expected = BootRule {
        architectures: [6, 7, 9, 31].map(Architecture).to_vec(),
        vendor_classes: vec!["PXEClient".to_owned()],
        user_classes: vec!["lab".to_owned(), "test-*".to_owned()],
        ipxe: Some(false),
        next_server: Some("10.0.0.5".parse().unwrap()),
        server_name: text("boot.example"),
        tftp_server: text("tftp.example"),
        tftp_addresses: vec!["10.0.0.6".parse().unwrap(), "10.0.0.7".parse().unwrap()],
        file: text("ipxe.efi"),
        path_prefix: text("/boot/"),
        url: Some("tftp://[2001:db8:20::5]/ipxe.efi".parse().unwrap()),
        params: vec!["console=ttyS0".to_owned(), "quiet".to_owned()],
    };
    assert_eq!(given, [expected]);
}

#[test]
fn next_server_and_tftp_server_stand_for_each_other() {
    let expected = BootRule {
        next_server: Some("10.0.0.5".parse().unwrap()),
        tftp_server: text("10.0.0.5"),
        tftp_addresses: vec!["10.0.0.5".parse().unwrap()],
        ..BootRule::default()
    };
    assert_eq!(
        rules("[[boot.rule]]\nnext-server = \"10.0.0.5\"\n"),
        std::slice::from_ref(&expected)
    );
    assert_eq!(rules("[[boot.rule]]\ntftp-server = \"10.0.0.5\"\n"), [expected]);
    let named = BootRule { tftp_server: text("boot"), ..BootRule::default() };
    assert_eq!(rules("[[boot.rule]]\ntftp-server = \"boot\"\n"), [named]);
}

#[test]
fn a_vm_has_rules_of_its_own_or_none() {
    let network = only_network(&format!(
        "{IPV4_RANGE}[[boot.rule]]\nfile = \"all\"\n[[vm]]\nid = \"demo/a\"\n[[vm.boot.rule]]\n\
         file = \"own\"\n[[vm]]\nid = \"demo/b\"\nboot = {{}}\n[[vm]]\nid = \"demo/c\"\n"
    ));
    let files = |vm: usize| {
        let rules = network.vms[vm].boot.as_deref()?;
        Some(rules.iter().map(|rule| rule.file.clone().unwrap()).collect::<Vec<_>>())
    };
    assert_eq!(files(0), Some(vec!["own".to_owned()]));
    assert_eq!(files(1), Some(Vec::new()));
    assert_eq!(files(2), None);
}

#[test]
fn rules_that_are_never_reached_or_give_nothing_are_warned_of() {
    let text = format!(
        "{IPV4_RANGE}[[boot.rule]]\nipxe = true\n[[boot.rule]]\nfile = \"a\"\n[[boot.rule]]\n\
         arch = 7\nfile = \"b\"\n"
    );
    assert_eq!(
        loaded(OVSDB, &[("blue.toml", &text)]).unwrap().warnings,
        [
            "networks.d/blue.toml:6:1: this boot rule gives its clients nothing; add file or url",
            "networks.d/blue.toml:10:1: this boot rule is never reached, since the one in line 8 \
             fits every client; put it before that one",
        ]
    );
    let text = format!("{IPV6}[[boot.rule]]\nfile = \"a\"\n[[vm]]\nid = \"demo/a\"\n");
    assert_eq!(
        loaded(OVSDB, &[("blue.toml", &text)]).unwrap().warnings,
        ["networks.d/blue.toml:5:1: this boot rule gives its clients nothing; add url"]
    );
}

#[test]
fn faults_of_boot_rules_are_named() {
    assert_network_faults(&[
        (
            IPV4_RANGE,
            "[boot]\nfile = \"x\"",
            &[
                r#"7:1: unknown key "file" in [boot]; the nearest known key is "file" in [[boot.rule]]"#,
            ],
        ),
        (
            IPV4_RANGE,
            "[[boot.rule]]\nfiel = \"x\"\nfile = \"y\"",
            &[r#"7:1: unknown key "fiel" in [[boot.rule]]; the nearest known key is "file""#],
        ),
        (
            IPV4_RANGE,
            "[[boot.rule]]\nfile = \"y\"\narch = [\"x86-efi\", 65536, 7]",
            &[
                r#"8:9: "arch" has "x86-efi", which is no known architecture; the nearest one is "x86-uefi", or give IANA's number"#,
                r#"8:20: "arch" is 65536, which is out of range; write a number from 0 to 65535"#,
            ],
        ),
        (
            IPV4_RANGE,
            "[[boot.rule]]\nfile = \"y\"\nuser-class = []\nvendor-class = \"\"",
            &[
                r#"8:14: "user-class" is an empty list; give it a value or leave it out"#,
                r#"9:16: "vendor-class" has "", which is not a class or a glob; write one like "PXEClient*""#,
            ],
        ),
        (
            IPV4_RANGE,
            "[[boot.rule]]\nnext-server = \"boot.example\"\ntftp-server = [\"10.0.0.256\", \"0.0.0.0\"]",
            &[
                r#"7:15: "next-server" has "boot.example", which is not an IPv4 address; write one like "10.20.0.1""#,
                r#"8:16: "tftp-server" has "10.0.0.256", which is not a TFTP server's address or name; write one like "10.20.0.5" or "boot.example""#,
                r#"8:30: "tftp-server" has 0.0.0.0, which is no server's address; write one like "10.20.0.1""#,
            ],
        ),
        (
            IPV4_RANGE,
            "[[boot.rule]]\ntftp-server = [\"10.0.0.5\", \"boot\"]",
            &[
                r#"7:28: "tftp-server" has the name "boot" behind another server; only the first may be a name"#,
            ],
        ),
        (
            IPV4_RANGE,
            "[[boot.rule]]\nurl = \"http://10.0.0.5\"",
            &[
                r#"7:7: "url" has "http://10.0.0.5", which is no boot file's URL: it names no file behind the host; write one like "http://10.20.0.5/ipxe.efi""#,
            ],
        ),
        (
            IPV4_RANGE,
            "[[boot.rule]]\nfile = \"a\\u0000b\"\nipxe = 1",
            &[
                r#"7:8: "file" has "a\0b", which is not a file's name; write one like "ipxe.efi""#,
                r#"8:8: "ipxe" is an integer; write true or false"#,
            ],
        ),
        (
            IPV6,
            "[[boot.rule]]\nparams = [\"a\", \"\"]",
            &[
                r#"6:10: "params" go with a url; add url or leave "params" out"#,
                r#"6:16: "params" has "", which is not a parameter; write one like "console=ttyS0""#,
            ],
        ),
        (
            IPV4_RANGE,
            "[[vm]]\nid = \"demo/a\"\n[[vm.boot.rule]]\narch = \"x86\"\nfile = \"x\"",
            &[
                r#"9:8: "arch" has "x86", which is no known architecture; the nearest one is "x86-bios", or give IANA's number"#,
            ],
        ),
    ]);
}

#[test]
fn what_has_no_room_in_a_message_is_refused() {
    let name = "x".repeat(64);
    let file = "x".repeat(256);
    let tail = format!("[[boot.rule]]\nsname = \"{name}\"\nfile = \"{file}\"");
    assert_network_faults(&[(
        IPV4_RANGE,
        &tail,
        &[
            r#"7:9: "sname" is 64 bytes long, which its field has no room for; keep it to 63"#,
            r#"8:8: "file" is 256 bytes long, which its field has no room for; keep it to 255"#,
        ],
    )]);
    let many = "[[boot.rule]]\narch = 7\nfile = \"x\"\n".repeat(65);
    assert_network_faults(&[(
        IPV4_RANGE,
        &many,
        &["6:3: \"boot\" has 65 rules, and every request is compared with all; keep it to 64"],
    )]);
}
