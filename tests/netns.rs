//! The real thing: Open vSwitch, real DHCP clients, and what they saw. One test a scenario.
//!
//! Each script of `tests/netns` runs in a world of its own (`lab/world.sh`), which vanishes with
//! it; so the tests may run side by side, and a test that is killed leaves nothing behind. They
//! need root, or sudo without a password.
//!
//! Which client is seen where, over IPv6; `-`: it has no part in it, or this version does not know
//! it.
//!
//! | client | stateful | stateless | slaac | delegation | without IPv4 |
//! |---|---|---|---|---|---|
//! | dhclient -6 | `dhclient6` | `stateless6` | - | `prefix_delegation` | - |
//! | dhcpcd | `dhcpcd` | `dhcpcd6` | `dhcpcd6` | `dhcpcd6` | `ipv6_only`, option 108 |
//! | systemd-networkd | `networkd` | `slaac_networkd` | `slaac_networkd` | `networkd6` | `networkd6` |
//! | NetworkManager | `networkmanager6` | `slaac_networkmanager` | `slaac_networkmanager` | - | - |
//! | wide-dhcpv6 | `wide_dhcpv6` | `wide_dhcpv6` | - | `prefix_delegation` | - |
//! | Linux, from the MAC | - | `stateless6` | `rdisc6_and_slaac` | - | - |
//! | Linux, RFC 7217 | - | - | `advertisements` | - | - |
//! | OVMF's PXE | `vm/boot6` | - | - | - | - |
//! | rdisc6 | `advertisements` | `advertisements` | `rdisc6_and_slaac` | - | `ipv6_only`, PREF64 |
//! | radvdump | `radvdump` | `radvdump` | - | - | - |

#![allow(clippy::disallowed_methods, reason = "it measures real time: that is what it is for")]

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Declares one test for each script, and the list that is compared with the folder.
macro_rules! scenarios {
    ($($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                run(stringify!($name));
            }
        )*

        const SCENARIOS: &[&str] = &[$(stringify!($name),)*];
    };
}

scenarios! {
    // What each client makes of the answers.
    dhclient4,
    dhclient6,
    dhcpcd,
    udhcpc,
    networkd,
    networkd6,
    networkmanager6,
    dhcpcd6,
    wide_dhcpv6,
    rdisc6_and_slaac,
    stateless6,
    prefix_delegation,
    slaac_networkd,
    slaac_networkmanager,
    ipv6_only,
    // The life of a lease: boot, T1, T2, another address, INIT-REBOOT, RELEASE; and DECLINE.
    life_dhclient,
    life_dhcpcd,
    life_udhcpc,
    life_networkd,
    life_networkmanager,
    decline,
    // Leases over the years: the store in trouble, admins, a full range.
    restart,
    leases,
    reclaim,
    etcd,
    store_full,
    store_readonly,
    store_trouble,
    store_damaged,
    // Ports come, go, move and are many.
    replug,
    migration,
    netdev,
    macvtap,
    switch_away,
    ports_many,
    storm,
    vlan_and_offload,
    // What the router is said to be, and what no guest may do.
    advertisements,
    radvdump,
    answer_ping,
    isolation,
    flood,
    consume,
    // The daemon and who runs it.
    reload,
    explain,
    unprivileged,
    signals,
}

#[test]
fn every_script_has_its_test() {
    let mut scripts: Vec<String> = folder()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    scripts.sort();
    let mut tests = SCENARIOS.to_vec();
    tests.sort_unstable();
    assert_eq!(scripts, tests);
}

#[test]
fn the_table_above_names_scripts_that_there_are() {
    let named: Vec<&str> = include_str!("netns.rs")
        .lines()
        .filter(|line| line.starts_with("//! | "))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .collect();
    assert!(!named.is_empty());
    for name in named {
        let script = folder().join("..").join(match name.split_once('/') {
            Some(_) => format!("{name}.sh"),
            None => format!("netns/{name}.sh"),
        });
        assert!(script.exists(), "{name}");
    }
}

/// Runs one scenario; its output is shown by the test harness if it fails.
fn run(scenario: &str) {
    let start = Instant::now();
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("lab/world.sh"))
        .arg(folder().join(scenario).with_extension("sh"))
        .env("LEASEHOLD", env!("CARGO_BIN_EXE_leasehold"))
        .env("LAB_LIMIT", LIMIT_SECONDS)
        .stdin(Stdio::null())
        .output()
        .expect("lab/world.sh should start");
    print!("{}{}", text(&output.stdout), text(&output.stderr));
    println!("{scenario}: {:.1} s", start.elapsed().as_secs_f64());
    assert!(output.status.success(), "{scenario}: {}", output.status);
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/netns")
}

/// Far more than a scenario takes, for a machine that is busy with something else.
const LIMIT_SECONDS: &str = "600";
