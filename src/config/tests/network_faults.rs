//! Faults of a network file outside `[ipv4]` and `[ipv6]`.

use super::assert_network_faults;

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
            r#"consume = "all"
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[r#"1:11: consume "all" is unknown; write "off", "nft" or "openflow""#],
        ),
        (
            "",
            r#"reclaim-after = "59m"
on-decline = "drop"
name = "blue"
[ipv4]
subnet = "10.0.0.0/24"
gateway = "10.0.0.1"
ranges = ["10.0.0.10-10.0.0.20"]"#,
            &[
                r#"1:17: reclaim-after is "59m" and lease-time "1h", in which a guest need not be heard; write "1h" or more, or "never""#,
                r#"2:14: on-decline "drop" is unknown; write "keep" or "reassign""#,
            ],
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
