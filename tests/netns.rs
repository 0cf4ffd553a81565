//! The real thing: Open vSwitch, real DHCP clients, and what they saw. One test a scenario.
//!
//! Each script of `tests/netns` runs in a world of its own (`lab/world.sh`), which vanishes with
//! it; so the tests may run side by side, and a test that is killed leaves nothing behind. They
//! need root, or sudo without a password.

// It measures real time: that is what it is for.
#![allow(clippy::disallowed_methods)]

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
    // What happens around them.
    restart,
    etcd,
    reclaim,
    store_full,
    store_damaged,
    replug,
    netdev,
    switch_away,
    storm,
    vlan_and_offload,
    advertisements,
    answer_ping,
    isolation,
    migration,
    flood,
    reload,
    explain,
    leases,
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
const LIMIT_SECONDS: &str = "300";
