//! What the embedded store costs at its limits: 5,000 new VMs made durable one by one, and a
//! million leases read at the start, in a process of their own so that its memory can be told.

#![allow(clippy::disallowed_methods, reason = "it measures real time: that is what it is for")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fmt, fs};

use leasehold::config;
use leasehold::lease::{Lease, LeaseKey, LeaseTable, NicName, Occasion};
use leasehold::network::Network;
use leasehold::store::{self, Change};
use leasehold::telemetry::Metrics;
use leasehold::time::Wall;
use nix::sys::resource::{UsageWho, getrusage};

fn main() {
    if let Some(directory) = env::var_os(DIRECTORY) {
        return load(Path::new(&directory));
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    group_commit(&directory.path().join("small"));
    fill(&directory.path().join("great"));
    let file = directory.path().join("great/store/leases.sqlite");
    let size = fs::metadata(&file).expect("the file of the store").len();
    println!("they are in {}: {} MiB", file.display(), size >> 20);
    let status = Command::new(env::current_exe().expect("this program's path"))
        .env(DIRECTORY, directory.path().join("great"))
        .status()
        .expect("this program once more");
    assert!(status.success(), "{status}");
}

/// New VMs whose ports appear at once: each waits for its own write, as a port does.
fn group_commit(directory: &Path) {
    let (config, network) = files(directory);
    let mut backend = store::open(&config, "node-a").expect("a fresh store");
    backend.load().expect("an empty store");
    let metrics = Metrics::new().expect("the metrics");
    let (store, thread) = store::spawn(backend, metrics.store("embedded")).expect("a thread");
    let mut table = LeaseTable::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let start = Since::now();
    runtime.block_on(async {
        let writes: Vec<_> = (0..NEW)
            .map(|vm| {
                let lease = table.assign(&network, &key(&network, vm), OCCASION).lease;
                let store = store.clone();
                tokio::spawn(async move { store.write(vec![Change::Put(lease)]).await })
            })
            .collect();
        for write in writes {
            write.await.expect("a task that ends").expect("a durable lease");
        }
    });
    println!("{NEW} new VMs, each with a write of its own, durable: {start}");
    runtime.block_on(thread.stop());
}

fn fill(directory: &Path) {
    let (config, network) = files(directory);
    let mut store = store::open(&config, "node-a").expect("a fresh store");
    store.load().expect("an empty store");
    let start = Since::now();
    for first in (0..LEASES).step_by(10_000) {
        let leases = (first..first + 10_000).map(|vm| Change::Put(lease(&network, vm)));
        store.write(&leases.collect::<Vec<_>>()).expect("durable leases");
    }
    println!("{LEASES} leases written, 10,000 a commit: {start}");
}

/// Reads them all, then gives addresses to newcomers.
fn load(directory: &Path) {
    let (config, network) = files(directory);
    let start = Since::now();
    let mut store = store::open(&config, "node-a").expect("the store");
    let loaded = store.load().expect("its leases");
    let read = start.to_string();
    let (mut table, refused) = LeaseTable::load(loaded.leases);
    assert!(refused.is_empty() && loaded.damaged.is_empty());
    println!("{} leases loaded: {start}; of that read and checked: {read}", table.len());
    println!("most memory used so far: {} MiB", most_memory() / 1_024);
    let start = Since::now();
    for vm in LEASES..LEASES + NEW {
        let given = table.assign(&network, &key(&network, vm), OCCASION);
        assert!(given.lease.ipv4.is_some());
    }
    println!("{NEW} newcomers in a range of 2^24: {start}");
    let mut full = Network::clone(&network);
    let ipv4 = full.ipv4.as_mut().expect("the network has IPv4");
    for range in &mut ipv4.pool.ranges {
        // All but 10,000 addresses are held.
        range.last = (u32::from(range.first) + LEASES + 2 * NEW - 1).into();
    }
    let start = Since::now();
    for vm in 2 * LEASES..2 * LEASES + NEW {
        assert!(table.assign(&full, &key(&network, vm), OCCASION).lease.ipv4.is_some());
    }
    println!("{NEW} newcomers in a range with hardly a free address: {start}");
}

fn lease(network: &Network, vm: u32) -> Lease {
    Lease {
        key: key(network, vm),
        ipv4: Some((u32::from_be_bytes([10, 0, 0, 2]) + vm).into()),
        ipv6: None,
        prefix: None,
        hostname: Some(format!("vm-{vm}")),
        created: OCCASION.wall,
        node: OCCASION.node.to_owned(),
        arrived: Some(OCCASION.wall),
        last_seen: Some(OCCASION.wall),
        conflict: false,
    }
}

fn key(network: &Network, vm: u32) -> LeaseKey {
    LeaseKey {
        network: network.name.clone(),
        vm: format!("tenant-{}/vm-{vm}", vm % 100).parse().expect("a legal name"),
        nic: NicName::default(),
    }
}

fn files(directory: &Path) -> (config::Store, Arc<Network>) {
    fs::create_dir_all(directory.join("networks.d")).expect("a directory");
    let daemon =
        format!("[deployment]\nname = \"bench\"\n[store]\npath = {:?}\n", directory.join("store"));
    fs::write(directory.join("leasehold.toml"), daemon).expect("a file");
    fs::write(directory.join("networks.d/blue.toml"), NETWORK).expect("a file");
    let config = config::load(&directory.join("leasehold.toml"))
        .unwrap_or_else(|errors| panic!("{}", errors.render(config::Colors::Off)));
    (config.store, Arc::clone(&config.networks[0]))
}

/// Returns the most memory that the process has had, in KiB.
fn most_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("the peak");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

/// Since when, by the clock and by the processor: on a busy machine they differ.
struct Since(Instant, Duration);

impl Since {
    fn now() -> Self {
        Self(Instant::now(), processor())
    }
}

impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let processor = processor() - self.1;
        let elapsed = self.0.elapsed().as_secs_f64();
        write!(f, "{elapsed:.2} s ({:.2} s of processor time)", processor.as_secs_f64())
    }
}

/// Returns the processor time that this process has had.
fn processor() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("the kernel counts");
    let [user, system] = [usage.user_time(), usage.system_time()].map(|time| {
        Duration::from_secs(u64::try_from(time.tv_sec()).expect("positive"))
            + Duration::from_micros(u64::try_from(time.tv_usec()).expect("positive"))
    });
    user + system
}

const DIRECTORY: &str = "LEASEHOLD_BENCH_DIRECTORY";

const OCCASION: Occasion<'static> = Occasion { node: "node-a", wall: Wall(1_795_571_589) };

const NEW: u32 = 5_000;

const LEASES: u32 = 1_000_000;

const NETWORK: &str = r#"
name = "blue"
[ipv4]
subnet = "10.0.0.0/7"
gateway = "10.0.0.1"
ranges = ["10.0.0.2-11.0.0.1"]
"#;
