//! Faults in files that have `[ipv4]`.

use super::{IPV4, IPV4_RANGE, assert_network_faults};

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
            r#"dns = ["10.0.0.53"]"#,
            &[
                r#"6:1: unknown key "dns" in [ipv4]; the nearest known key is "dns" above the first section"#,
            ],
        ),
        (
            IPV4_RANGE,
            r#"routes = ["10.0.0.0/8"]"#,
            &[r#"6:11: "routes" is a string; write a table like { to = ..., via = ... }"#],
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
            r#"ipv6-only-wait = "299s"
auto-configure = "no""#,
            &[
                r#"6:18: "ipv6-only-wait" is "299s", which is out of range; write a duration from "5m" to "4294967294s""#,
                r#"7:18: "auto-configure" is a string; write true or false"#,
            ],
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
            &[
                "7:15: answer-ping = true needs the gateway's MAC, which is the same on every node; add mac to [gateway] or leave answer-ping out",
            ],
        ),
        (
            IPV4_RANGE,
            r#"[gateway]
mac = "0a:58:a9:fe:01:01"
answer = false
answer-ping = true"#,
            &[
                "9:15: answer-ping = true needs answer = true, without which pings go to the gateway itself; write the same for both",
            ],
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
                r#"8:10: "prefix" needs delegate in [ipv6]; add it or leave "prefix" out"#,
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
code = 26
u8 = 200"#,
            &[
                "6:1: option 26 (InterfaceMtu) cannot be read from this value; give it the type and length that its RFC says",
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
