//! Real VMs: QEMU's, with their real firmware, kernels and DHCP clients. One test a scenario.
//!
//! Each script of `tests/vm` runs in a world of its own, like those of `tests/netns`, and alone: an
//! emulated machine takes all that a core has. The short ones run in `make test`, all of them in
//! `make test-vm`. What a machine cannot run says why, on a line that begins with `SKIPPED`; so run
//! them with `--nocapture`.

#![allow(clippy::disallowed_methods, reason = "it measures real time: that is what it is for")]

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Declares one test for each script, and the list that is compared with the folder.
macro_rules! scenarios {
    ($($(#[$attribute:meta])* $name:ident needs $needs:ident,)*) => {
        $(
            #[test]
            $(#[$attribute])*
            fn $name() {
                run(stringify!($name), Needs::$needs);
            }
        )*

        const SCENARIOS: &[&str] = &[$(stringify!($name),)*];
    };
}

scenarios! {
    boot needs Nothing,
    boot6 needs Nothing,
    migration needs Guest,
    #[ignore = "long: `make test-vm`"]
    migration_renewals needs Guest,
    #[ignore = "long: `make test-vm`"]
    migration_back needs Guest,
    #[ignore = "long: `make test-vm`"]
    migration_aborted needs Guest,
    #[ignore = "long: `make test-vm`"]
    migration_failed needs Guest,
    #[ignore = "long: `make test-vm`"]
    migration_late_daemon needs Guest,
    #[ignore = "long: `make test-vm`"]
    migration_without_etcd needs Guest,
    #[ignore = "long: `make test-vm`"]
    power_cut needs Guest,
}

/// What a scenario needs beside what its script looks for itself.
#[derive(Clone, Copy, PartialEq)]
enum Needs {
    /// Firmware is enough.
    Nothing,
    /// The guest that `lab/guest.sh` makes, and nodes that share etcd.
    Guest,
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

/// Runs one scenario, and no other beside it; all of its output is shown if it fails.
fn run(scenario: &str, needs: Needs) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    if needs == Needs::Guest
        && let Err(reason) = guest()
    {
        println!("SKIPPED {scenario}: this machine cannot run it: {reason}");
        return;
    }
    let start = Instant::now();
    let output = Command::new(root().join("lab/world.sh"))
        .arg(folder().join(scenario).with_extension("sh"))
        .env("LEASEHOLD", env!("CARGO_BIN_EXE_leasehold"))
        .env("LAB_LIMIT", LIMIT_SECONDS)
        .stdin(Stdio::null())
        .output()
        .expect("lab/world.sh should start");
    let (said, complained) = (text(&output.stdout), text(&output.stderr));
    if output.status.success() {
        for line in said.lines().filter(|line| TOLD.iter().any(|told| line.starts_with(told))) {
            println!("{scenario}: {line}");
        }
    } else {
        print!("{said}{complained}");
    }
    println!("{scenario}: {:.1} s", start.elapsed().as_secs_f64());
    assert!(output.status.success(), "{scenario}: {}", output.status);
}

/// Makes the guest that the scenarios boot, or says why it cannot be made here.
fn guest() -> Result<(), String> {
    if !cfg!(feature = "etcd") {
        return Err("leasehold was built without the feature etcd".to_owned());
    }
    let output = Command::new(root().join("lab/guest.sh"))
        .arg(root().join("target/guest"))
        .stdin(Stdio::null())
        .output()
        .expect("lab/guest.sh should start");
    match output.status.code() {
        Some(0) => Ok(()),
        Some(CANNOT) => Err(text(&output.stdout).trim().to_owned()),
        Some(_) | None => {
            panic!("lab/guest.sh: {}{}", text(&output.stdout), text(&output.stderr));
        }
    }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

fn folder() -> PathBuf {
    root().join("tests/vm")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What is shown of a scenario that passes.
const TOLD: &[&str] = &["SKIPPED", "captures:"];

/// The exit code of `lab/guest.sh` for a machine that cannot run it.
const CANNOT: i32 = 77;

/// Far more than a scenario takes, for a machine that is busy with something else.
const LIMIT_SECONDS: &str = "1800";
