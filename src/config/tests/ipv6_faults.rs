//! Faults in files that have `[ipv6]`.

use super::{IPV6, assert_network_faults};

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
            r#"mode = "slaac"
delegate = { pool = "2001:db8:8000::/40", length = 64 }"#,
            &[
                r#"6:12: "delegate" is not used with mode "slaac", in which DHCPv6 is silent; leave it out or write mode = "stateless" or "stateful""#,
            ],
        ),
        (
            IPV6,
            r#"delegate = { pool = "2001:db8:8000::/40", length = 36, size = 1 }"#,
            &[
                r#"5:52: length 36 is shorter than the pool's; write a number from 40 to 128"#,
                r#"5:56: unknown key "size" in "delegate"; the nearest known key is "pool""#,
            ],
        ),
        (
            IPV6,
            r#"delegate = { pool = "2001:db8:0:0:8000::/65", length = 72 }"#,
            &[
                r#"5:21: pool "2001:db8:0:0:8000::/65" lies in the network's own prefix 2001:db8::/64, of which nothing is delegated; give another pool"#,
            ],
        ),
        (
            IPV6,
            r#"delegate = { pool = "fe80::/16", length = 64 }"#,
            &[
                r#"5:21: prefix "fe80::/16" cannot be delegated; write a global or unique local network"#,
            ],
        ),
        (
            IPV6,
            r#"delegate = { pool = "2001:db8:8000::/40", length = 64 }
[[vm]]
id = "demo/a"
prefix = "2001:db8::/60"
[[vm]]
id = "demo/b"
prefix = "2001:db8:8000::/56"
[[vm]]
id = "demo/c"
prefix = "2001:db8:8000:1::/64""#,
            &[
                r#"8:10: prefix "2001:db8::/60" overlaps the network's own prefix 2001:db8::/64; reserve another one"#,
                r#"14:10: prefix "2001:db8:8000:1::/64" overlaps "2001:db8:8000::/56", reserved in line 11; give every VM its own"#,
            ],
        ),
        (
            IPV6,
            r#"[[vm]]
id = "demo/a"
prefix = "2001:db8:8000::/64""#,
            &[r#"7:10: "prefix" needs delegate in [ipv6]; add it or leave "prefix" out"#],
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
interval = "10m""#,
            &[
                r#"6:12: "interval" has "10m", which is not an interval; write one like "200s-600s" or "off""#,
            ],
        ),
        (
            IPV6,
            r#"[ipv6.ra]
pref64 = "64:ff9b::/95""#,
            &[
                r#"6:10: "pref64" is 64:ff9b::/95, of a length that no NAT64 has; write /32, /40, /48, /56, /64 or /96"#,
            ],
        ),
        (
            IPV6,
            r#"[ipv6.ra]
pref64 = "2001:db8:0:0:100::/96""#,
            &[
                r#"6:10: "pref64" is 2001:db8:0:0:100::/96, whose bits 64 to 71 are not 0 (RFC 6052); write one like "64:ff9b::/96""#,
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
