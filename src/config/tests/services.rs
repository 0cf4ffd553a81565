//! `captive-portal` and `dnr`.

use super::{IPV4_RANGE, assert_network_faults, only_network};

/// The rest of a network, for keys that stand above its sections.
fn with(keys: &str) -> String {
    format!("{keys}\n{IPV4_RANGE}")
}

#[test]
fn services_are_read_and_the_first_to_be_tried_comes_first() {
    let network = only_network(&with(
        r#"captive-portal = "https://portal.example/api"
dnr = [
    { name = "late.example", priority = 7 },
    { name = "dns.example", addresses = ["10.0.0.53", "2001:db8::53"], params = "alpn=dot" },
]"#,
    ));
    assert_eq!(network.common.captive_portal.unwrap().as_str(), "https://portal.example/api");
    let [first, second] = network.common.resolvers.as_slice() else { panic!("not two") };
    assert_eq!((first.name.as_str(), first.priority), ("dns.example", 1));
    assert_eq!(first.addresses.len(), 2);
    assert_eq!(first.params.bytes(), b"\0\x01\0\x04\x03dot");
    assert_eq!((second.name.as_str(), second.priority), ("late.example", 7));
    assert!(second.addresses.is_empty() && second.params.is_empty());
}

#[test]
fn wrong_services_are_named() {
    let cases = [
        (
            r#"captive-portal = "http://portal.example""#,
            r#"1:18: captive-portal "http://portal.example": it does not begin with https://; the portal's API is reached by https"#,
        ),
        (
            "captive-portal = true",
            r#"1:18: "captive-portal" is a boolean; write a URI like "https://portal.example/api""#,
        ),
        (r#"dnr = "dns.example""#, r#"1:7: "dnr" is a string; write a list, in brackets"#),
        (
            "dnr = [{ priority = 1 }]",
            r#"1:8: "name" in "dnr" is missing; give a domain name like "blue.example""#,
        ),
        (
            r#"dnr = [{ name = "a.b", priority = 0 }]"#,
            r#"1:35: "priority" is 0, which is out of range; write a number from 1 to 65535"#,
        ),
        (
            r#"dnr = [{ name = "a.b", params = "alpn=dot" }]"#,
            r#"1:33: "params" need "addresses"; give them, or leave "params" out"#,
        ),
        (
            r#"dnr = [{ name = "a.b", addresses = ["10.0.0.1"] }]"#,
            r#"1:8: a resolver with addresses needs "params"; write some like "alpn=dot""#,
        ),
        (
            r#"dnr = [{ name = "a.b", addresses = ["127.0.0.1"], params = "alpn=dot" }]"#,
            r#"1:37: "addresses" has 127.0.0.1, which is no host's; write another"#,
        ),
        (
            r#"dnr = [{ name = "a.b", addresses = ["10.0.0.1"], params = "port=853" }]"#,
            r#"1:59: "params": alpn is missing; write one like alpn=dot"#,
        ),
        (
            r#"dnr = [{ name = "a.b", param = "alpn=dot" }]"#,
            r#"1:24: unknown key "param" in "dnr"; the nearest known key is "params""#,
        ),
    ];
    for (keys, fault) in cases {
        assert_network_faults(&[("", &with(keys), &[fault])]);
    }
    let many = vec!["\"2001:db8::1\""; 40].join(", ");
    let keys = format!("dnr = [{{ name = \"a.b\", addresses = [{many}], params = \"alpn=dot\" }}]");
    let fault =
        "1:7: the resolvers take 667 bytes, which no message has room for; keep them to 512";
    assert_network_faults(&[("", &with(&keys), &[fault])]);
}
