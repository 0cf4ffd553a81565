//! `[store]` and `[store.etcd]`.

use super::{IPV4_RANGE, OVSDB, assert_daemon_faults, loaded};
use crate::config::Store;

#[test]
fn an_unknown_backend_is_named() {
    let known = if cfg!(feature = "etcd") {
        r#""embedded", "etcd" or "memory""#
    } else {
        r#""embedded" or "memory""#
    };
    let expected = format!("4:11: backend \"sqlite\" is unknown; write {known}");
    assert_daemon_faults(&[(OVSDB, "[store]\nbackend = \"sqlite\"", &[&expected])]);
}

#[test]
#[cfg(not(feature = "etcd"))]
fn a_backend_that_was_not_built_in_is_named_with_its_feature() {
    assert_daemon_faults(&[(
        OVSDB,
        "[store]\nbackend = \"etcd\"",
        &[
            r#"4:11: backend "etcd" needs the feature "etcd", which was not built in; write "embedded" or "memory""#,
        ],
    )]);
}

#[test]
fn a_section_of_another_backend_is_a_warning() {
    let text = format!("{OVSDB}[store.etcd]\nendpoints = [\"http://192.0.2.1:2379\"]\n");
    let config = loaded(&text, &[("blue.toml", IPV4_RANGE)]).unwrap();
    assert!(matches!(config.store, Store::Embedded { .. }));
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("[store.etcd] is not used with backend \"embedded\""));
}

#[cfg(feature = "etcd")]
mod etcd {
    use super::*;

    /// `[store]` with the backend etcd, and the lines of `[store.etcd]`.
    fn with(lines: &str) -> String {
        format!("[store]\nbackend = \"etcd\"\n[store.etcd]\n{lines}")
    }

    #[test]
    fn a_whole_section_is_read_and_written_down_again() {
        let tail = with(
            r#"endpoints = ["https://192.0.2.1:2379/", "https://[2001:db8::1]:2379"]
prefix = "/lab"
ca-file = "ca.pem"
cert-file = "/etc/node.pem"
key-file = "/etc/node.key"
username = "leasehold"
password-file = "/etc/password"
"#,
        );
        let config = loaded(&format!("{OVSDB}{tail}"), &[("blue.toml", IPV4_RANGE)]).unwrap();
        let Store::Etcd { path, etcd } = &config.store else { panic!("{:?}", config.store) };
        assert_eq!(path.to_str(), Some("/var/lib/leasehold"));
        assert_eq!(etcd.endpoints, ["https://192.0.2.1:2379", "https://[2001:db8::1]:2379"]);
        assert!(etcd.ca_file.as_ref().unwrap().is_absolute());
        let text = crate::config::explain_defaults(&config);
        assert!(text.contains("backend = \"etcd\"") && text.contains("username = \"leasehold\""));
    }

    #[test]
    fn the_prefix_has_a_default() {
        let tail = with("endpoints = [\"http://127.0.0.1:2379\"]\n");
        let config = loaded(&format!("{OVSDB}{tail}"), &[("blue.toml", IPV4_RANGE)]).unwrap();
        let Store::Etcd { etcd, .. } = &config.store else { panic!("{:?}", config.store) };
        assert_eq!(etcd.prefix, "/leasehold");
    }

    #[test]
    fn wrong_sections_are_named() {
        let cases = [
            (
                with(""),
                r#"5:1: "endpoints" in [store.etcd] is missing; give the URL of a member of etcd like "https://192.0.2.1:2379""#,
            ),
            (
                with("endpoints = []"),
                r#"6:13: "endpoints" names no member of etcd; write at least one"#,
            ),
            (
                with("endpoints = [\"192.0.2.1\"]"),
                r#"6:14: "endpoints" has "192.0.2.1", which is not the URL of a member of etcd; write one like "https://192.0.2.1:2379""#,
            ),
            (
                with("endpoints = [\"https://192.0.2.1:2379\"]"),
                r#"5:1: https endpoints need "ca-file", the certificate of their signer"#,
            ),
            (
                with("endpoints = [\"http://a:2379\"]\nusername = \"x\""),
                r#"7:12: "username" needs "password-file" beside it"#,
            ),
            (
                with("endpoints = [\"http://a:2379\"]\nprefix = \"x\""),
                r#"7:10: "prefix" has "x", which is not what keys begin with; write one like "/leasehold""#,
            ),
            (
                "[store]\nbackend = \"etcd\"".to_owned(),
                r#"3:1: backend "etcd" needs [store.etcd] with its endpoints"#,
            ),
        ];
        for (tail, line) in &cases {
            assert_daemon_faults(&[(OVSDB, tail, &[line])]);
        }
    }
}
