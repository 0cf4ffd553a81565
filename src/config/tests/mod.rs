//! Whole files, good and bad: every diagnostic is compared with the complete line.

mod boot;
mod daemon_faults;
mod ipv4_faults;
mod ipv6_faults;
mod loaded;
mod network_faults;
mod option_names;
mod option_names_v6;
mod services;
mod store;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;

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
