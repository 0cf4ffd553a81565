#![allow(clippy::disallowed_methods, reason = "it waits for a real program")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use leasehold::config::{Etcd, Store};
use leasehold::lease::Lease;
use leasehold::store::{self, Change, LeaseStore, News};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::Receiver;

use super::*;

#[test]
fn a_lease_costs_etcd_and_its_watcher_what_the_document_says() {
    if !Path::new("/usr/bin/etcd").exists() {
        println!("SKIPPED: etcd is not installed");
        return;
    }
    if std::env::var_os("LAB").is_none() {
        return again();
    }
    let mut etcd = start();
    let runtime = Runtime::new().unwrap();
    let mut here = open(&runtime, "node-a");
    let mut there = open(&runtime, "node-b");
    let leases: Vec<Lease> = (0..LEASES).map(lease).collect();
    let empty = memory(&etcd);
    let created = bytes_of(|| write(&mut here, &leases));
    println!("{LEASES} new leases: {} bytes each on the wire", created / u64::from(LEASES));
    let filled = memory(&etcd);
    let status = etcdctl(&["endpoint", "status", "-w", "json"]);
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let used = status[0]["Status"]["dbSizeInUse"].as_u64().unwrap();
    let each = used / u64::from(LEASES);
    let keys = etcdctl(&["get", "--prefix", "/leasehold/v1/", "--keys-only"]);
    let keys = keys.lines().filter(|line| !line.is_empty()).count();
    println!("{LEASES} leases with two addresses: {keys} keys, {each} bytes each in etcd's file");
    assert_eq!(keys, 3 * usize::try_from(LEASES).unwrap());
    assert!((300..2_500).contains(&each), "{each}");

    let mut news = here.watch().unwrap();
    hear(&runtime, &mut news, |said| *said == News::Up);
    let watched = memory(&etcd);
    println!(
        "memory of etcd: {} KiB with nothing, {filled} KiB with the leases, {watched} KiB with \
         their watches",
        empty
    );
    // The other node takes each VM over: one event each for the node that watches it.
    let moved: Vec<Lease> =
        leases.iter().map(|lease| Lease { node: "node-b".to_owned(), ..lease.clone() }).collect();
    let taken_over = bytes_of(|| {
        write(&mut there, &moved);
        let mut heard = 0;
        hear(&runtime, &mut news, |said| {
            heard += u32::from(matches!(said, News::Lease(_, Some(_))));
            heard == LEASES
        });
    });
    println!(
        "{LEASES} leases taken over: {} bytes each on the wire, two transactions and an event",
        taken_over / u64::from(LEASES)
    );
    // At rest a watch costs nothing but keep-alives.
    let quiet = bytes_of(|| thread::sleep(Duration::from_secs(10)));
    println!("10 s at rest, {LEASES} watchers: {quiet} bytes");
    assert!(quiet < 20_000, "{quiet}");
    etcd.kill().unwrap();
    etcd.wait().unwrap();
}

/// Counts what passes over loopback meanwhile.
fn bytes_of(work: impl FnOnce()) -> u64 {
    let before = received();
    work();
    received() - before
}

fn received() -> u64 {
    let counters = fs::read_to_string("/proc/net/dev").unwrap();
    let line = counters.lines().find_map(|line| line.trim().strip_prefix("lo:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Returns the memory that a process has, in KiB.
fn memory(process: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn lease(vm: u32) -> Lease {
    let key = LeaseKey {
        network: "tenant-blue".parse().unwrap(),
        vm: format!("production/database-{vm:06}").parse().unwrap(),
        nic: "default".parse().unwrap(),
    };
    Lease {
        key,
        ipv4: Some((0x0a14_0000 + vm).into()),
        ipv6: Some((0x2001_0db8_0020_u128 << 80 | u128::from(vm)).into()),
        prefix: None,
        hostname: Some(format!("database-{vm:06}")),
        created: Wall(1_795_571_589),
        node: "node-a".to_owned(),
        arrived: None,
        last_seen: Some(Wall(1_795_571_589)),
        conflict: false,
    }
}

fn write(store: &mut Box<dyn LeaseStore>, leases: &[Lease]) {
    // A second try reads what another node has, and takes the lease over.
    let changes: Vec<Change> = leases.iter().cloned().map(Change::Put).collect();
    if !store.write(&changes).unwrap().is_empty() {
        assert_eq!(store.write(&changes).unwrap(), []);
    }
}

fn hear(runtime: &Runtime, news: &mut Receiver<News>, mut is_all: impl FnMut(&News) -> bool) {
    runtime.block_on(async {
        loop {
            let said = tokio::time::timeout(PATIENCE, news.recv()).await;
            if is_all(&said.expect("nothing was heard").expect("it goes on")) {
                return;
            }
        }
    });
}

fn open(runtime: &Runtime, name: &str) -> Box<dyn LeaseStore> {
    let etcd = Etcd {
        endpoints: vec!["http://127.0.0.1:2379".to_owned()],
        prefix: "/leasehold".to_owned(),
        ca_file: None,
        cert_file: None,
        key_file: None,
        username: None,
        password_file: None,
    };
    let path = PathBuf::from("/dev/shm").join(name);
    let _inside = runtime.enter();
    let mut store = store::open(&Store::Etcd { path, etcd }, name).unwrap();
    store.load().unwrap();
    store
}

fn start() -> Child {
    let mut command = Command::new("etcd");
    command.args(["--data-dir=/dev/shm/etcd", "--log-level=error"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    while !ask(&["put", "/up", "1"]).0 {
        assert!(Instant::now() < end, "etcd does not come up");
        thread::sleep(Duration::from_millis(100));
    }
    child
}

fn etcdctl(arguments: &[&str]) -> String {
    let (is_done, text) = ask(arguments);
    assert!(is_done, "etcdctl {arguments:?}: {text}");
    text
}

fn ask(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("etcdctl");
    let output = command.env("ETCDCTL_API", "3").args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs the test once more in a world of its own.
fn again() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(root.join("lab/world.sh"))
        .arg(root.join("lab/inside.sh"))
        .arg(std::env::current_exe().unwrap())
        .args(["etcd::", "--nocapture"])
        .env("LAB_LIMIT", "200")
        .stdin(Stdio::null())
        .status()
        .expect("lab/world.sh should start");
    assert!(status.success(), "{status}");
}

const LEASES: u32 = 2_000;

/// Far more than anything here takes, for a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);
