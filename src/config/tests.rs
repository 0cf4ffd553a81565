//! Whole files, good and bad: every diagnostic is compared with the complete line.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::network::{AddressMode, Lifetime, Mask, OnDecline, RouterPreference};
use crate::wire::Mac;

/// Beginnings of files, to which a case adds its fault.
const OVSDB: &str = "[[source]]\nkind = \"ovsdb\"\n";
const IPV4: &str = r#"name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
"#;
const IPV4_RANGE: &str = r#"name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]
"#;
const IPV6: &str = r#"name = "blue"
[ipv6]
subnet = "2001:db8::/64"
gateway = "fe80::1"
"#;

/// The beginning of a file, its end, and every line that is said about it, without its name.
type Case<'a> = (&'a str, &'a str, &'a [&'a str]);

/// Files in a directory of their own.
fn written(daemon: &str, networks: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("leasehold.toml"), daemon).unwrap();
    fs::create_dir(dir.path().join("networks.d")).unwrap();
    for (name, text) in networks {
        fs::write(dir.path().join("networks.d").join(name), text).unwrap();
    }
    dir
}

fn loaded(daemon: &str, networks: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let dir = written(daemon, networks);
    let config = load(&dir.path().join("leasehold.toml"));
    config
        .map(|mut config| {
            config.warnings = without_dir(&config.warnings, dir.path());
            config
        })
        .map_err(|errors| without_dir(&errors.lines, dir.path()))
}

fn without_dir(lines: &[String], dir: &Path) -> Vec<String> {
    let dir = format!("{}/", dir.display());
    lines.iter().map(|line| line.replace(&dir, "")).collect()
}

fn only_network(text: &str) -> Network {
    let config = loaded(OVSDB, &[("blue.toml", text)]).unwrap();
    let [network] = config.networks.as_slice() else {
        panic!("{} networks", config.networks.len());
    };
    network.as_ref().clone()
}

fn assert_network_faults(cases: &[Case<'_>]) {
    for (head, tail, lines) in cases {
        let text = format!("{head}{tail}\n");
        let expected: Vec<String> =
            lines.iter().map(|line| format!("networks.d/blue.toml:{line}")).collect();
        let faults = loaded(OVSDB, &[("blue.toml", &text)]).map(|config| config.warnings);
        assert_eq!(faults, Err(expected), "{text}");
    }
}

fn assert_daemon_faults(cases: &[Case<'_>]) {
    for (head, tail, lines) in cases {
        let text = format!("{head}{tail}\n");
        let expected: Vec<String> =
            lines.iter().map(|line| format!("leasehold.toml:{line}")).collect();
        let faults = loaded(&text, &[("blue.toml", IPV4_RANGE)]).map(|config| config.warnings);
        assert_eq!(faults, Err(expected), "{text}");
    }
}

#[test]
fn faults_at_the_top_of_a_network_are_named() {
    assert_network_faults(&[
        (
            "",
            r#"name = "blue"
[ipv4"#,
            &["2:6: not valid TOML: unclosed table, expected `]`; correct it here or just before"],
        ),
        (
            "",
            r#"name = "blue"
name = "green""#,
            &["2:1: not valid TOML: duplicate key; keep one of the two"],
        ),
        (
            "",
            r#"nme = "blue"
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[r#"1:1: unknown key "nme"; the nearest known key is "name""#],
        ),
        (
            "",
            r#"name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gatway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[
                r#"2:1: "gateway" in [ipv4] is missing, so "server-id" is needed; give one of them"#,
                r#"4:1: unknown key "gatway" in [ipv4]; the nearest known key is "gateway""#,
            ],
        ),
        (
            "",
            r#"[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[r#"1:1: "name" is missing; give a network's name like "blue""#],
        ),
        (
            "",
            r#"name = "blue/1"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[
                r#"1:8: network name "blue/1" has a character that is not allowed in it; write one like "blue""#,
            ],
        ),
        (
            "",
            r#"name = "blue""#,
            &["1:1: the network has neither [ipv4] nor [ipv6]; add one of them with its subnet"],
        ),
        (
            "",
            r#"name = "blue"
ipv4 = 4"#,
            &[r#"2:8: "ipv4" is an integer; write a table"#],
        ),
        (
            "",
            r#"name = "blue"
[ipv4]
ranges = ["10.0.0.1-10.0.0.2"]"#,
            &[
                r#"2:1: "subnet" in [ipv4] is missing; give an IPv4 network like "10.20.0.0/16""#,
                r#"2:1: "gateway" in [ipv4] is missing, so "server-id" is needed; give one of them"#,
            ],
        ),
        (
            "",
            r#"name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.300"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[
                r#"4:11: "gateway" has "10.0.0.300", which is not an IPv4 address; write one like "10.20.0.1""#,
            ],
        ),
        (
            "",
            r#"name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = 1
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[r#"4:11: "gateway" is an integer; write an IPv4 address like "10.20.0.1""#],
        ),
        (
            "",
            r#"name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.1.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &["4:11: gateway 10.0.1.1 is not inside the subnet; write an address of 10.0.0.0/24"],
        ),
        (
            "",
            r#"name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.0"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[
                "4:11: gateway 10.0.0.0 is the network's own address of 10.0.0.0/24; write a host's address",
            ],
        ),
        (
            "",
            r#"name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[r#"2:1: "gateway" in [ipv4] is missing, so "server-id" is needed; give one of them"#],
        ),
        (
            "",
            r#"name = "blue"
[ipv4]
subnet = "10.0.0.7/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[r#"3:10: network "10.0.0.7/24" has bits set behind its prefix; write "10.0.0.0/24""#],
        ),
        (
            "",
            r#"name = "blue"
[ipv4]
subnet = "10.0.0.0/33"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[
                r#"3:10: "subnet" has "10.0.0.0/33", which is not an IPv4 network; write one like "10.20.0.0/16""#,
            ],
        ),
        (
            "",
            r#"name = "blue"
[ipv4]
subnet = "224.0.0.0/24"
server-id = "10.0.0.1""#,
            &[r#"3:10: subnet "224.0.0.0/24" cannot be given to guests; write a unicast network"#],
        ),
        (
            "",
            r#"mtu = 67
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[r#"1:7: "mtu" is 67, which is out of range; write a number from 68 to 65535"#],
        ),
        (
            "",
            r#"mtu = 1279
name = "blue"
[ipv6]
subnet = "2001:db8::/64"
gateway = "fe80::1""#,
            &[r#"1:7: "mtu" is 1279, too small for IPv6; write 1280 or more"#],
        ),
        (
            "",
            r#"domain = "a..b"
search = ["x", "-y"]
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[
                r#"1:10: "domain" has "a..b", which is not a domain name: it has an empty label; write one like "blue.example""#,
                r#"2:16: "search" has "-y", which is not a domain name: a label begins or ends with a hyphen; write one like "blue.example""#,
            ],
        ),
        (
            "",
            r#"dns = ["10.0.0.53", "localhost"]
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[
                r#"1:21: "dns" has "localhost", which is not an IP address; write one like "10.20.0.53" or "2001:db8:20::53""#,
            ],
        ),
        (
            "",
            r#"dns = ["0.0.0.0"]
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[
                r#"1:8: "dns" has 0.0.0.0, which is no server's address; write one like "10.20.0.53" or "2001:db8:20::53""#,
            ],
        ),
        (
            "",
            r#"hostname = "{pod}"
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[
                r#"1:12: "hostname" has "{pod}", which is no placeholder; write {vm}, {namespace}, {name} or {nic}"#,
            ],
        ),
        (
            "",
            r#"consume = "nft"
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[r#"1:11: consume "nft" is not available in this version; write "off""#],
        ),
        (
            "",
            r#"consume = "all"
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[r#"1:11: consume "all" is unknown; write "off""#],
        ),
        (
            "",
            r#"reclaim-after = "30d"
on-decline = "drop"
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[
                r#"1:17: reclaim-after "30d" is not available in this version; write "never""#,
                r#"2:14: on-decline "drop" is unknown; write "keep" or "reassign""#,
            ],
        ),
        (
            "",
            r#"captive-portal = "https://portal.example/api"
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[r#"1:1: "captive-portal" is not available in this version; leave it out"#],
        ),
        (
            "",
            r#"name = "blue"
[ipv6]
subnet = "2001:db8::/64"
gateway = "2001:db8::1""#,
            &[
                r#"4:11: gateway 2001:db8::1 is not link-local, as a router's address must be (RFC 4861); write one like "fe80::1""#,
            ],
        ),
        (
            "",
            r#"name = "blue"
[ipv6]
subnet = "2001:db8::/80"
gateway = "fe80::1""#,
            &[
                r#"3:10: mode "slaac" (the default here) needs a /64, and the subnet is 2001:db8::/80; write a /64, or give ranges and mode = "stateful""#,
            ],
        ),
        (
            "",
            r#"name = "blue"
[ipv6]
subnet = "2001:db8::/64"
[ipv6.ra]
router-lifetime = "30m""#,
            &[
                r#"5:19: "router-lifetime" needs a gateway; add gateway to [ipv6] or write router-lifetime = "0s""#,
            ],
        ),
    ]);
}

#[test]
fn faults_after_ipv4_are_named() {
    assert_network_faults(&[
        (
            "",
            r#"name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
server-id = "10.0.0.1"
mask = "host""#,
            &[
                r#"5:8: mask "host" sends everything through the gateway, and there is none; add gateway, or write "subnet""#,
            ],
        ),
        (
            IPV4,
            r#"routes = [{ to = "10.0.0.0/8", via = """
ten
""" }]"#,
            &[
                r#"5:38: "via" has "ten\n", which is not an IPv4 address; write one like "10.20.0.1""#,
            ],
        ),
        (
            IPV4_RANGE,
            r#"lease_time = "1h""#,
            &[r#"6:1: unknown key "lease_time" in [ipv4]; the nearest known key is "lease-time""#],
        ),
        (
            IPV4_RANGE,
            r#"server-id = "10.0.0.255""#,
            &[
                "6:13: server-id 10.0.0.255 is the broadcast address of 10.0.0.0/24; write a host's address",
            ],
        ),
        (
            IPV4_RANGE,
            r#"server-id = "224.0.0.1""#,
            &["6:13: server-id 224.0.0.1 is no host's address; write a unicast address"],
        ),
        (
            IPV4,
            r#"ranges = ["10.0.1.0-10.0.1.9"]"#,
            &[
                r#"5:11: range "10.0.1.0-10.0.1.9" is not inside the subnet; keep it within 10.0.0.0/24"#,
            ],
        ),
        (
            IPV4,
            r#"ranges = ["10.0.0.20-10.0.0.10"]"#,
            &[
                r#"5:11: range "10.0.0.20-10.0.0.10" ends before it begins; write "10.0.0.10-10.0.0.20""#,
            ],
        ),
        (
            IPV4,
            r#"ranges = ["10.0.0.10-10.0.0.20", "10.0.0.20-10.0.0.30"]"#,
            &[
                r#"5:34: range "10.0.0.20-10.0.0.30" overlaps "10.0.0.10-10.0.0.20"; every address may stand in one range only"#,
            ],
        ),
        (
            IPV4,
            r#"ranges = ["10.0.0.10..10.0.0.20"]"#,
            &[
                r#"5:11: "ranges" has "10.0.0.10..10.0.0.20", which is not an IPv4 range; write one like "10.20.1.0-10.20.9.255""#,
            ],
        ),
        (
            IPV4,
            r#"ranges = "10.0.0.10-10.0.0.20""#,
            &[r#"5:10: "ranges" is a string; write a list, in brackets"#],
        ),
        (
            IPV4_RANGE,
            r#"exclude = ["10.9.0.1"]"#,
            &[r#"6:12: range "10.9.0.1" is not inside the subnet; keep it within 10.0.0.0/24"#],
        ),
        (
            IPV4_RANGE,
            r#"lease-time = "1 hour""#,
            &[
                r#"6:14: "lease-time" has "1 hour", which is not a duration; write one like "90s", "30m", "1h" or "infinite""#,
            ],
        ),
        (
            IPV4_RANGE,
            "lease-time = 3600",
            &[
                r#"6:14: "lease-time" is an integer; write a duration like "90s", "30m", "1h" or "infinite""#,
            ],
        ),
        (
            IPV4_RANGE,
            r#"lease-time = "1s""#,
            &[r#"6:14: lease-time "1s" is too short to be renewed; write "4s" or more"#],
        ),
        (
            IPV4_RANGE,
            r#"lease-time = "10m"
rebind-time = "20m""#,
            &[
                r#"7:15: renew-time "5m", rebind-time "20m" and lease-time "10m" are not in order; each must be shorter than the next"#,
            ],
        ),
        (
            IPV4_RANGE,
            r#"renew-time = "59m""#,
            &[
                r#"6:14: renew-time "59m", rebind-time "3150s" and lease-time "1h" are not in order; each must be shorter than the next"#,
            ],
        ),
        (
            IPV4_RANGE,
            r#"mask = "hosts""#,
            &[r#"6:8: mask "hosts" is unknown; write "subnet" or "host""#],
        ),
        (
            IPV4_RANGE,
            r#"rapid-commit = "yes""#,
            &[r#"6:16: "rapid-commit" is a string; write true or false"#],
        ),
        (
            IPV4_RANGE,
            r#"routes = [{ to = "10.0.0.0/8", via = "10.1.0.1" }, { to = "10.0.0.1/8" }]"#,
            &[
                r#"6:38: router 10.1.0.1 is not inside the subnet; write one within 10.0.0.0/24, or "0.0.0.0" for on link"#,
                r#"6:52: "via" in "routes" is missing; give an IPv4 address like "10.20.0.1""#,
                r#"6:59: network "10.0.0.1/8" has bits set behind its prefix; write "10.0.0.0/8""#,
            ],
        ),
        (
            IPV4_RANGE,
            r#"ipv6-only-wait = "30m""#,
            &[r#"6:1: "ipv6-only-wait" in [ipv4] is not available in this version; leave it out"#],
        ),
        (
            IPV4_RANGE,
            r#"[ipv4.options]
tftp-server = "10.0.0.5""#,
            &[r#"6:7: "options" in [ipv4] is not available in this version; leave it out"#],
        ),
        (
            IPV4_RANGE,
            r#"[boot]
file = "x""#,
            &[r#"6:2: "boot" is not available in this version; leave it out"#],
        ),
        (
            IPV4_RANGE,
            r#"[match]
vlan = 4095
brige = "br-int""#,
            &[
                r#"7:8: "vlan" is 4095, which is out of range; write a number from 1 to 4094"#,
                r#"8:1: unknown key "brige" in [match]; the nearest known key is "bridge""#,
            ],
        ),
        (
            IPV4_RANGE,
            r#"[match]
external-ids = { network = 5 }"#,
            &[r#"7:28: "network" is an integer; write a text like "blue""#],
        ),
        (
            IPV4_RANGE,
            r#"[gateway]
mac = "0a:58:a9:fe:01""#,
            &[
                r#"7:7: "mac" has "0a:58:a9:fe:01", which is not a MAC address; write one like "52:54:00:12:34:56""#,
            ],
        ),
        (
            IPV4_RANGE,
            r#"[gateway]
mac = "01:00:5e:00:00:01""#,
            &[
                r#"7:7: MAC 01:00:5e:00:00:01 is not one station's address; write one like "52:54:00:12:34:56""#,
            ],
        ),
        (
            IPV4_RANGE,
            r#"[gateway]
answer = true"#,
            &[
                "7:10: answer = true needs the gateway's MAC, which is the same on every node; add mac to [gateway] or leave answer out",
            ],
        ),
        (
            IPV4_RANGE,
            r#"[gateway]
answer-ping = true"#,
            &["7:15: answer-ping = true is not available in this version; write false"],
        ),
        (
            IPV4_RANGE,
            r#"[gateway]
retire = ["fe80::a"]"#,
            &[r#"7:11: "retire" needs [ipv6]; add it or leave "retire" out"#],
        ),
        (
            IPV4,
            r#"[[vm]]
id = "demo/a"
ipv4 = "10.0.1.5"
[[vm]]
id = "demo/b"
ipv4 = ["10.0.0.0", "10.0.0.255", "10.0.0.1"]"#,
            &[
                "7:8: address 10.0.1.5 is not inside the subnet; reserve one of 10.0.0.0/24",
                "10:9: address 10.0.0.0 is the network's own address; reserve another one",
                "10:21: address 10.0.0.255 is the broadcast address; reserve another one",
                "10:35: address 10.0.0.1 is the gateway; reserve another one",
            ],
        ),
        (
            IPV4,
            r#"server-id = "10.0.0.2"
[[vm]]
id = "demo/a"
ipv4 = "10.0.0.2""#,
            &["8:8: address 10.0.0.2 is the server's address; reserve another one"],
        ),
        (
            IPV4,
            r#"[[vm]]
id = "demo/a"
ipv4 = "10.0.0.5"
[[vm]]
id = "demo/b"
ipv4 = "10.0.0.5""#,
            &["10:8: address 10.0.0.5 is reserved twice, first in line 7; give every VM its own"],
        ),
        (
            IPV4,
            r#"[[vm]]
id = "demo/a"
[[vm]]
id = "demo/a"
[[vm]]
id = "demo/a"
nic = "x"
[[vm]]
id = "demo/a"
nic = "x""#,
            &[
                "8:6: VM demo/a without nic is named twice, first in line 6; join the two entries",
                "13:6: VM demo/a with nic x is named twice, first in line 10; join the two entries",
            ],
        ),
        (
            IPV4,
            r#"[[vm]]
ipv4 = "10.0.0.5""#,
            &[r#"5:1: "id" in [[vm]] is missing; give a VM identity like "demo/web-1" or a UUID"#],
        ),
        (
            IPV4,
            r#"[[vm]]
id = "a b"
hostname = "Db_1""#,
            &[
                r#"6:6: VM identity "a b" has a character that is not allowed in it; write one like "demo/web-1" or a UUID"#,
                r#"7:12: "Db_1" is not a host name; write "db-1""#,
            ],
        ),
        (
            IPV4,
            r#"[[vm]]
id = "demo/a"
ipv6 = "2001:db8::10"
prefix = "2001:db8:1::/64""#,
            &[
                r#"7:8: "ipv6" needs [ipv6] in this network; add it or leave "ipv6" out"#,
                r#"8:1: "prefix" in [[vm]] is not available in this version; leave it out"#,
            ],
        ),
        (
            IPV4_RANGE,
            r#"[[option]]
family = 5
code = 43
hex = "00""#,
            &[r#"7:10: "family" is 5; write 4 or 6"#],
        ),
        (
            IPV4_RANGE,
            r#"[[option]]
family = 4
code = 43"#,
            &[
                "6:1: the option has no value; give one of hex, ip, text, u8, u16, u32, domain, bool",
            ],
        ),
        (
            IPV4_RANGE,
            r#"[[option]]
family = 4
code = 53
u8 = 2"#,
            &[
                "8:8: option 53 belongs to the protocol itself and cannot be set by code; leave it out",
            ],
        ),
        (
            IPV4_RANGE,
            r#"[[option]]
family = 4
code = 43
hex = "0"
text = "x""#,
            &[r#"10:8: the option has "hex" and "text"; give one value only"#],
        ),
        (
            IPV4_RANGE,
            r#"[[option]]
family = 4
code = 43
hex = "0g""#,
            &[
                r#"9:7: "hex" has "0g", which is not bytes in hexadecimal; write one like "0104c0a80001""#,
            ],
        ),
        (
            IPV4_RANGE,
            r#"[[option]]
family = 4
code = 43
u8 = 1
[[option]]
family = 4
code = 43
u8 = 2"#,
            &["10:1: option 43 of this family is set twice; keep one of them"],
        ),
        (
            IPV4_RANGE,
            r#"[[option]]
family = 4
code = 66
ip = ["10.0.0.1", "::1"]"#,
            &[r#"9:19: "ip" has "::1", which is not an IPv4 address; write one like "10.20.0.1""#],
        ),
        (
            IPV4_RANGE,
            r#"[[option]]
family = 6
code = 100
bool = true"#,
            &["6:1: an option of family 6 needs [ipv6]; add it or leave this out"],
        ),
    ]);
}

#[test]
fn faults_after_ipv6_are_named() {
    assert_network_faults(&[
        (
            IPV6,
            r#"[gateway]
retire = ["2001:db8::a", "fe80::1"]"#,
            &[
                r#"6:11: "retire" has 2001:db8::a, which is not link-local; write one like "fe80::1""#,
                r#"6:26: "retire" has fe80::1, which is today's gateway; leave it out or change the gateway"#,
            ],
        ),
        (
            IPV6,
            r#"mode = "slaac"
ranges = ["2001:db8::10-2001:db8::20"]"#,
            &[
                r#"6:10: "ranges" are not used with mode "slaac", in which guests make their own addresses; leave them out or write mode = "stateful""#,
            ],
        ),
        (
            IPV6,
            r#"mode = "dhcp""#,
            &[r#"5:8: mode "dhcp" is unknown; write "stateful", "stateless" or "slaac""#],
        ),
        (
            IPV6,
            r#"mode = "stateless"
[[vm]]
id = "demo/a"
ipv6 = "2001:db8::10""#,
            &[
                r#"8:8: a reserved IPv6 address is not used with mode "stateless", in which guests make their own; leave it out or write mode = "stateful""#,
            ],
        ),
        (
            IPV6,
            r#"preferred-lifetime = "3h""#,
            &[
                r#"5:22: preferred-lifetime "3h" is longer than valid-lifetime "2h"; make it no longer"#,
            ],
        ),
        (
            IPV6,
            r#"renew-time = "50m""#,
            &[
                r#"5:14: renew-time "50m", rebind-time "48m" and valid-lifetime "2h" are not in order; each must be no longer than the next"#,
            ],
        ),
        (
            IPV6,
            r#"information-refresh-time = "5m"
server-preference = 256"#,
            &[
                r#"5:28: "information-refresh-time" is "5m", which is out of range; write a duration from "10m" to "4294967294s""#,
                r#"6:21: "server-preference" is 256, which is out of range; write a number from 0 to 255"#,
            ],
        ),
        (
            IPV6,
            r#"delegate = { pool = "2001:db8:8000::/40", length = 64 }"#,
            &[r#"5:1: "delegate" in [ipv6] is not available in this version; leave it out"#],
        ),
        (
            IPV6,
            r#"[[ipv6.prefix]]
prefix = "2001:db8::/64"
[[ipv6.prefix]]
prefix = "2001:db8:1::/56"
autonomous = true"#,
            &[
                "6:10: prefix 2001:db8::/64 is advertised twice; name every prefix once, and not the subnet",
                "8:10: prefix 2001:db8:1::/56 with autonomous = true must be a /64; write a /64 or autonomous = false",
            ],
        ),
        (
            IPV6,
            r#"routes = [{ to = "2001:db8:ff::1/48", preference = "best" }]"#,
            &[
                r#"5:18: network "2001:db8:ff::1/48" has bits set behind its prefix; write "2001:db8:ff::/48""#,
                r#"5:52: preference "best" is unknown; write "high", "medium" or "low""#,
            ],
        ),
        (
            IPV6,
            r#"[ipv6.ra]
router-lifetime = "5m"
dns-lifetime = "10m""#,
            &[
                r#"6:19: router-lifetime "5m" is shorter than the longest interval; write "10m" or more, or "0s""#,
                r#"7:16: dns-lifetime "10m" is shorter than three of the longest intervals; write "30m" or more, or "0s""#,
            ],
        ),
        (
            IPV6,
            r#"[ipv6.ra]
interval = "500s-600s""#,
            &[
                r#"6:12: interval "500s-600s" is out of bounds; the shortest must be 3s or more, and no more than three quarters of the longest (RFC 4861)"#,
            ],
        ),
        (
            IPV6,
            r#"[ipv6.ra]
interval = "10m"
pref64 = "64:ff9b::/96""#,
            &[
                r#"6:12: "interval" has "10m", which is not an interval; write one like "200s-600s" or "off""#,
                r#"7:1: "pref64" in [ipv6.ra] is not available in this version; leave it out"#,
            ],
        ),
        (
            IPV6,
            r#"[[vm]]
id = "demo/a"
ipv6 = "2001:db8::""#,
            &[
                "7:8: address 2001:db8:: is the subnet's router anycast address; reserve another one",
            ],
        ),
    ]);
}

#[test]
fn faults_of_the_daemon_file_are_named() {
    assert_daemon_faults(&[
        (
            OVSDB,
            r#"[[identity]]
from = "interface"
pattern = "x"
vm = """{a
b}"""
"#,
            &[
                r#"6:6: "vm" uses {a\nb}, which the pattern does not capture; name it in the pattern: (?<a\nb>...)"#,
            ],
        ),
        (
            "",
            r#"[[sources]]
kind = "ovsdb""#,
            &[r#"1:3: unknown key "sources"; the nearest known key is "source""#],
        ),
        (
            "",
            r#"[[source]]
socket = "/x""#,
            &[
                r#"1:1: "kind" in [[source]] is missing; give a kind of source like "ovsdb" or "static""#,
            ],
        ),
        (
            "",
            r#"[[source]]
kind = "ovs""#,
            &[r#"2:8: kind "ovs" is unknown; write "ovsdb" or "static""#],
        ),
        (
            "",
            r#"[[source]]
kind = "netdev"
match = ["vm-*"]
vm = "lab/{interface}""#,
            &[r#"2:8: kind "netdev" is not available in this version; write "ovsdb" or "static""#],
        ),
        (
            OVSDB,
            r#"identity = ["libvirt", "kube-ovn", "lxd"]"#,
            &[
                r#"3:24: identity "kube-ovn" is not available in this version; write "libvirt" or "openstack""#,
                r#"3:36: identity "lxd" is unknown; write "libvirt" or "openstack""#,
            ],
        ),
        (
            "",
            r#"[[source]]
kind = "static""#,
            &["1:1: a static source has no [[source.port]]; give it one or leave it out"],
        ),
        (
            "",
            r#"[[source]]
kind = "static"
socket = "/x"
[[source.port]]
interface = "tap0"
vm = "a"
mac = "x""#,
            &[
                r#"3:10: "socket" belongs to a source of kind "ovsdb"; leave it out"#,
                r#"7:7: "mac" has "x", which is not a MAC address; write one like "52:54:00:12:34:56""#,
            ],
        ),
        (
            "",
            r#"[[source]]
kind = "static"
[[source.port]]
interface = "tap0"
vm = "demo/a"
[[source.port]]
interface = "tap0"
vm = "demo/b""#,
            &[r#"7:13: interface "tap0" is named twice, first in line 4; keep one of them"#],
        ),
        (
            "",
            r#"[[source]]
kind = "static"
[[source.port]]
interface = "tap0"
vm = "demo/a"
network = "red""#,
            &[r#"6:11: network "red" is not configured; the networks are blue"#],
        ),
        (
            "",
            r#"[[source]]
kind = "static"
[[source.port]]
interface = "a-name-that-is-too-long"
vm = "demo/a""#,
            &[
                r#"4:13: "interface" has "a-name-that-is-too-long", which is not an interface's name; write one like "tap0""#,
            ],
        ),
        (
            "",
            r#"[[source]]
kind = "static"
[[source.port]]
interface = "tap0""#,
            &[
                r#"3:1: "vm" in [[source.port]] is missing; give a VM identity like "demo/web-1" or a UUID"#,
            ],
        ),
        (
            OVSDB,
            r#"[[identity]]
from = "iface"
pattern = "^(?<name>.+)$"
vm = "{name}""#,
            &[
                r#"4:8: "from" has "iface", which is not a field of a port; write one like "external-ids:iface-id", "other-config:KEY", "interface" or "bridge""#,
            ],
        ),
        (
            OVSDB,
            r#"[[identity]]
from = "interface"
pattern = "^(?<name>.+$"
vm = "{name}""#,
            &[
                r#"5:11: pattern "^(?<name>.+$" does not compile: found open group without closing ')'; write one like '^(?<name>.+)-eth0$'"#,
            ],
        ),
        (
            OVSDB,
            r#"[[identity]]
from = "interface"
pattern = "^(?<name>.+)$"
vm = "{nam}""#,
            &[r#"6:6: "vm" uses {nam}, which the pattern does not capture; it captures name"#],
        ),
        (
            OVSDB,
            r#"[[identity]]
from = "interface"
pattern = "^(?<name>.+)$"
vm = "{name""#,
            &[r#"6:6: "vm" has a brace that is not closed; write {name}"#],
        ),
        (
            OVSDB,
            r#"[store]
backend = "etcd""#,
            &[
                r#"4:11: backend "etcd" needs the feature "etcd", which was not built in; write "embedded" or "memory""#,
            ],
        ),
        (
            OVSDB,
            r#"[store]
backend = "sqlite""#,
            &[r#"4:11: backend "sqlite" is unknown; write "embedded" or "memory""#],
        ),
        (
            OVSDB,
            r#"[store.etcd]
endpoints = []"#,
            &["3:1: [store.etcd] is not available in this version; leave it out"],
        ),
        (
            OVSDB,
            r#"[metrics]
listen = "9768""#,
            &[
                r#"4:10: "listen" has "9768", which is not an address with a port; write one like "127.0.0.1:9768" or """#,
            ],
        ),
        (
            OVSDB,
            r#"[limits]
max-ports = 0
burst = "x""#,
            &[
                r#"4:13: "max-ports" is 0, which is out of range; write a number from 1 to 65536"#,
                r#"5:9: "burst" is a string; write a number from 1 to 1000000"#,
            ],
        ),
        (
            OVSDB,
            r#"[deployment]
name = """#,
            &[
                r#"4:8: "name" has "", which is not a deployment's name; write one like "leasehold""#,
            ],
        ),
        (
            OVSDB,
            r#"[node]
name = "a b""#,
            &[r#"4:8: "name" has "a b", which is not a node's name; write one like "node-a""#],
        ),
        (
            OVSDB,
            r#"[control]
socket = 5"#,
            &[r#"4:10: "socket" is an integer; write a path like "/run/leasehold/control.sock""#],
        ),
    ]);
}

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
fn what_serves_nobody_is_warned_of() {
    assert_eq!(
        loaded(OVSDB, &[]).unwrap().warnings,
        ["leasehold.toml:1:1: networks.d has no network files; nothing is served until there is \
          one, named *.toml"]
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
    assert_eq!((ipv6, vms, on_decline), (None, Vec::new(), OnDecline::Keep));
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
        }
    );
    // The first four bytes of SHA-256 of "fe80::1".
    assert_eq!(network.gateway.source_mac, Mac([0x0a, 0x58, 0x6d, 0x6d, 0xc1, 0x50]));
}

#[test]
fn reservations_and_ranges_make_ipv6_stateful() {
    let mode = |tail: &str| only_network(&format!("{IPV6}{tail}")).ipv6.unwrap().mode;
    assert_eq!(mode("ranges = [\"2001:db8::10-2001:db8::20\"]\n"), AddressMode::Stateful);
    assert_eq!(mode("[[vm]]\nid = \"demo/a\"\nipv6 = \"2001:db8::10\"\n"), AddressMode::Stateful);
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
    let plain = errors.render(false).replace(&format!("{}/", dir.path().display()), "");
    assert!(
        plain.starts_with(
            "leasehold.toml:2:9: \"burst\" is 0, which is out of range; write a number from 1 to \
             1000000\n"
        ),
        "{plain}"
    );
    assert!(plain.contains("2 | burst = 0") && plain.contains("        ^"), "{plain}");
    assert!(!plain.contains('\u{1b}') && errors.render(true).contains('\u{1b}'));
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
    assert_eq!((config.sources.len(), config.identity.len()), (2, 1));
    assert_eq!(config.networks[0].vms[0].mtu, Some(9_000));
    assert_eq!(config.networks[0].matcher.vlan, Some(100));
}

/// The text that explains the values is itself a set of files with the same values.
#[test]
fn explained_values_load_as_the_same_configuration() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let slaac = format!("{IPV6}[match]\nbridge = \"x\"\n[ipv6.ra]\ninterval = \"off\"\n");
    let dir = written(
        OVSDB,
        &[("blue.toml", IPV4_RANGE), ("green.toml", &slaac.replace("blue", "green"))],
    );
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
