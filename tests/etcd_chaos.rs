//! Three members of etcd, each in a network namespace of its own, are killed, suspended, cut off,
//! slowed and made to forget who logged in, while three nodes race for a range that is too small.
//!
//! What must hold: no address is two VMs' at once, none that was shown is lost, and whatever a node
//! knows it answers, with etcd or without, over its own restart too. `make test` does it with a few
//! faults, `make chaos` with many: `LEASEHOLD_ETCD_FAULTS` and `LEASEHOLD_CHAOS_SEED`.

#![cfg(feature = "etcd")]
#![allow(clippy::disallowed_methods, reason = "it waits for real programs")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use leasehold::config::{self, Etcd, Store};
use leasehold::lease::{Holding, Lease, LeaseKey, LeaseTable, Occasion};
use leasehold::network::Network;
use leasehold::store::{self, Change, LeaseStore, Loaded, StoreError};
use leasehold::time::Wall;
use tokio::runtime::Runtime;

#[test]
fn whatever_happens_to_the_members_no_address_is_given_twice_and_none_is_lost() {
    if env::var_os("LAB").is_none() {
        return again();
    }
    let faults = number_of("LEASEHOLD_ETCD_FAULTS").unwrap_or(FAULTS);
    let seed = number_of("LEASEHOLD_CHAOS_SEED").unwrap_or(SEED);
    let mut random = Random(seed);
    let mut cluster = Cluster::start();
    let held = Held::default();
    let is_over = AtomicBool::new(false);
    let mut nodes: Vec<Node> = NODES
        .iter()
        .map(|name| Node::open(name, cluster.config(), &held, Random(random.next())))
        .collect();
    let mut done = BTreeMap::new();
    thread::scope(|scope| {
        let tasks: Vec<_> =
            nodes.iter_mut().map(|node| scope.spawn(|| node.live(&is_over))).collect();
        // Every kind once, in any order, and then as it comes.
        let mut first = Fault::ALL.to_vec();
        for _ in 0..faults {
            let fault = match first.len() {
                0 => Fault::ALL[random.below(Fault::ALL.len())],
                left => first.swap_remove(random.below(left)),
            };
            *done.entry(format!("{fault:?}")).or_insert(0) += 1;
            cluster.suffer(fault, &mut random);
            // Less than an election takes, or more: what comes next may meet a wounded cluster.
            thread::sleep(Duration::from_millis(random.below(1_500) as u64));
            if tasks.iter().any(|task| task.is_finished()) {
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        for task in tasks {
            if let Err(fault) = task.join() {
                std::panic::resume_unwind(fault);
            }
        }
    });
    cluster.heal();
    for node in &mut nodes {
        node.settle();
    }
    let shared = every_lease(&cluster);
    let addresses: BTreeSet<_> = shared.values().collect();
    assert_eq!(addresses.len(), shared.len(), "seed {seed}: {shared:?}");
    for (address, key) in &*held.lock() {
        assert_eq!(shared.get(key), Some(address), "seed {seed}: {key:?} was shown {address}");
    }
    let counts: Counts = nodes.iter().fold(Counts::default(), |sum, node| sum.plus(&node.counts));
    println!("report: etcd: {faults} faults {done:?}, seed {seed}: {counts:?}; all held");
    assert!(counts.shown > 60 && counts.failed > 0 && counts.full > 0, "{counts:?}");
    assert!(counts.restarts > 0 && counts.known > counts.shown, "{counts:?}");
}

/// Runs the test once more in a world of its own.
fn again() {
    for program in ["/usr/bin/etcd", "/usr/bin/etcdctl"] {
        if !Path::new(program).exists() {
            println!("SKIPPED: {program} is not installed");
            return;
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seconds = 200 + 15 * number_of("LEASEHOLD_ETCD_FAULTS").unwrap_or(FAULTS);
    let status = Command::new(root.join("lab/world.sh"))
        .arg(root.join("lab/inside.sh"))
        .arg("env")
        .args(
            ["LEASEHOLD_ETCD_FAULTS", "LEASEHOLD_CHAOS_SEED"]
                .iter()
                .filter_map(|name| Some(format!("{name}={}", number_of(name)?))),
        )
        .arg(env::current_exe().unwrap())
        .args(["--nocapture"])
        .env("LAB_LIMIT", seconds.to_string())
        .stdin(Stdio::null())
        .status()
        .expect("lab/world.sh should start");
    assert!(status.success(), "{status}");
}

/// Which NIC was shown which address last, over all nodes.
#[derive(Debug, Default)]
struct Held(Mutex<HashMap<Ipv4Addr, LeaseKey>>);

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashMap<Ipv4Addr, LeaseKey>> {
        self.0.lock().expect("no thread has failed")
    }

    /// Notes that a VM is told its address.
    fn show(&self, key: &LeaseKey, address: Ipv4Addr) {
        let mut held = self.lock();
        let before = held.insert(address, key.clone());
        let other = before.filter(|other| other != key);
        drop(held);
        assert_eq!(other, None, "{address} is {key:?}'s as well");
    }
}

#[derive(Debug, Default)]
struct Counts {
    /// Leases that became durable.
    shown: u64,
    /// Answers from what a node knows.
    known: u64,
    released: u64,
    /// Writes that etcd did not confirm.
    failed: u64,
    /// Newcomers without an address left.
    full: u64,
    restarts: u64,
}

impl Counts {
    fn plus(self, other: &Self) -> Self {
        Self {
            shown: self.shown + other.shown,
            known: self.known + other.known,
            released: self.released + other.released,
            failed: self.failed + other.failed,
            full: self.full + other.full,
            restarts: self.restarts + other.restarts,
        }
    }
}

/// One node: a lease table and its store, driven as the daemon drives them.
struct Node<'a> {
    name: &'static str,
    etcd: Etcd,
    held: &'a Held,
    random: Random,
    network: Network,
    table: LeaseTable,
    runtime: Runtime,
    store: Option<Box<dyn LeaseStore>>,
    /// Leases that are durable, and so are answered whatever happens.
    durable: BTreeMap<LeaseKey, Ipv4Addr>,
    /// Leases whose release etcd has not confirmed.
    leaving: BTreeSet<LeaseKey>,
    counts: Counts,
}

impl<'a> Node<'a> {
    fn open(name: &'static str, etcd: Etcd, held: &'a Held, random: Random) -> Self {
        let mut node = Self {
            name,
            etcd,
            held,
            random,
            network: network(),
            table: LeaseTable::default(),
            runtime: Runtime::new().unwrap(),
            store: None,
            durable: BTreeMap::new(),
            leaving: BTreeSet::new(),
            counts: Counts::default(),
        };
        node.start();
        node
    }

    /// Opens the store, with etcd or without: what was durable is there.
    fn start(&mut self) {
        drop(self.store.take());
        let path = scratch(self.name);
        let config = Store::Etcd { path, etcd: self.etcd.clone() };
        let mut store = {
            let _inside = self.runtime.enter();
            store::open(&config, self.name).unwrap()
        };
        let Loaded { leases, damaged, .. } = store.load().unwrap();
        assert_eq!(damaged, Vec::<String>::new());
        let (table, refused) = LeaseTable::load(leases);
        assert_eq!(refused, Vec::<String>::new());
        for (key, address) in &self.durable {
            let found = table.get(key).and_then(|lease| lease.ipv4);
            assert_eq!(found, Some(*address), "{}: {key:?} after a restart", self.name);
        }
        // Beside these there may be leases whose write was not confirmed, and was made. Whatever
        // there is, is served: also what was to be released, if it is still there.
        let found: Vec<(LeaseKey, Ipv4Addr)> =
            table.iter().map(|lease| (lease.key.clone(), lease.ipv4.unwrap())).collect();
        self.table = table;
        self.store = Some(store);
        for (key, address) in found {
            self.leaving.remove(&key);
            self.held.show(&key, address);
            self.durable.insert(key, address);
        }
    }

    /// Serves, releases and restarts at random, until it is over.
    fn live(&mut self, is_over: &AtomicBool) {
        while !is_over.load(Ordering::Relaxed) {
            let key = key(&format!("{}/{}", self.name, self.random.below(VMS)));
            match self.random.below(40) {
                0 => {
                    self.counts.restarts += 1;
                    self.start();
                }
                1..=9 => self.release(&key),
                _ => self.serve(&key),
            }
            // The guests of a node that does not wait for etcd are not told apart by speed.
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn serve(&mut self, key: &LeaseKey) {
        if let Some(address) = self.durable.get(key) {
            // No write is needed, so nothing can keep it from its answer.
            let given = self.table.assign(&self.network, key, self.occasion());
            assert_eq!(given.lease.ipv4, Some(*address), "{}: {key:?}", self.name);
            self.counts.known += 1;
            return;
        }
        if self.leaving.contains(key) {
            return self.release(key);
        }
        loop {
            let lease = self.table.assign(&self.network, key, self.occasion()).lease;
            let Some(address) = lease.ipv4 else {
                self.counts.full += 1;
                self.table.remove(key);
                self.table.forget_occupied();
                return;
            };
            match self.write(Change::Put(lease)) {
                Ok(true) => {
                    self.counts.shown += 1;
                    self.held.show(key, address);
                    self.durable.insert(key.clone(), address);
                    return;
                }
                // Another lease is tried, or the one that etcd has already.
                Ok(false) => {
                    let now = self.table.get(key).and_then(|lease| lease.ipv4);
                    if let Some(now) = now.filter(|_| self.is_known(key)) {
                        self.counts.shown += 1;
                        self.held.show(key, now);
                        self.durable.insert(key.clone(), now);
                        return;
                    }
                }
                Err(_) => {
                    self.counts.failed += 1;
                    self.table.remove(key);
                    return;
                }
            }
        }
    }

    /// Tells whether the table holds what etcd said.
    fn is_known(&self, key: &LeaseKey) -> bool {
        self.table.get(key).is_some_and(|lease| lease.node == self.name)
    }

    fn release(&mut self, key: &LeaseKey) {
        if self.durable.remove(key).is_none() && !self.leaving.contains(key) {
            return;
        }
        self.table.remove(key);
        // From here on it may be another's, whenever etcd gets to it.
        self.held.lock().retain(|_, holder| holder != key);
        match self.write(Change::Delete(key.clone())) {
            Ok(_) => {
                self.leaving.remove(key);
                self.counts.released += 1;
            }
            Err(_) => {
                self.leaving.insert(key.clone());
                self.counts.failed += 1;
            }
        }
    }

    /// Makes what was not confirmed certain, with etcd in good health.
    fn settle(&mut self) {
        let end = Instant::now() + PATIENCE;
        while let Some(key) = self.leaving.first().cloned() {
            self.release(&key);
            assert!(Instant::now() < end, "{}: {key:?} cannot be released", self.name);
        }
        for vm in 0..VMS {
            self.serve(&key(&format!("{}/{vm}", self.name)));
        }
        self.start();
    }

    /// Tells whether the change was made as it was.
    fn write(&mut self, change: Change) -> Result<bool, StoreError> {
        let store = self.store.as_mut().expect("it is open");
        let refused = store.write(&[change])?;
        let is_done = refused.is_empty();
        for refused in refused {
            match refused.now {
                Some(now) => drop(self.table.adopt(*now)),
                None => drop(self.table.remove(&refused.key)),
            }
            for taken in refused.taken {
                let Holding::Address(address) = taken.what else { panic!("{taken:?}") };
                self.table.occupy(&taken.holder, address);
            }
        }
        Ok(is_done)
    }

    fn occasion(&self) -> Occasion<'static> {
        Occasion { node: self.name, wall: Wall(1_000) }
    }
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// A member is killed, and started after a while.
    Kill,
    /// A member stands still: it answers nothing and closes nothing.
    Suspend,
    /// A member's network is gone.
    CutOff,
    /// Two members are gone at once: nothing can be written.
    LoseQuorum,
    /// Nobody answers for five seconds.
    Slow,
    /// Every token is stale, and time has made them so as well.
    Forget,
}

impl Fault {
    const ALL: [Self; 6] =
        [Self::Kill, Self::Suspend, Self::CutOff, Self::LoseQuorum, Self::Slow, Self::Forget];
}

/// Three members, each at 10.9.0.N in a namespace of its own.
struct Cluster {
    running: Vec<Option<Child>>,
    users: u32,
}

impl Cluster {
    fn start() -> Self {
        ip("link add br0 type bridge");
        ip("addr add 10.9.0.254/24 dev br0");
        ip("link set br0 up");
        for n in 0..MEMBERS {
            ip(&format!("netns add m{n}"));
            ip(&format!("link add v{n} type veth peer name eth0 netns m{n}"));
            ip(&format!("link set v{n} master br0 up"));
            ip(&format!("-n m{n} addr add {}/24 dev eth0", address(n)));
            ip(&format!("-n m{n} link set eth0 up"));
            ip(&format!("-n m{n} link set lo up"));
        }
        fs::write("/dev/shm/password", "secret\n").unwrap();
        let mut cluster = Self { running: (0..MEMBERS).map(|_| None).collect(), users: 0 };
        cluster.spawn_all();
        cluster.wait(&[]);
        for command in ["user add root:secret", "user grant-role root root", "auth enable"] {
            let (is_done, text) = ask(&command.split(' ').collect::<Vec<_>>());
            assert!(is_done, "{command}: {text}");
        }
        cluster
    }

    fn config(&self) -> Etcd {
        Etcd {
            endpoints: (0..self.running.len())
                .map(|n| format!("http://{}:2379", address(n)))
                .collect(),
            prefix: "/leasehold".to_owned(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            username: Some("root".to_owned()),
            password_file: Some("/dev/shm/password".into()),
        }
    }

    fn suffer(&mut self, fault: Fault, random: &mut Random) {
        let first = random.below(MEMBERS);
        let second = (first + 1) % MEMBERS;
        let lasts = Duration::from_millis(200 + random.below(2_500) as u64);
        match fault {
            Fault::Kill => {
                self.kill(first);
                thread::sleep(lasts);
                self.spawn_all();
            }
            Fault::Suspend => {
                self.signal(first, "STOP");
                thread::sleep(lasts);
                self.signal(first, "CONT");
            }
            Fault::CutOff => {
                ip(&format!("link set v{first} down"));
                thread::sleep(lasts);
                ip(&format!("link set v{first} up"));
            }
            Fault::LoseQuorum => {
                self.kill(first);
                ip(&format!("link set v{second} down"));
                // Longer than a node tries.
                thread::sleep(lasts + Duration::from_secs(6));
                ip(&format!("link set v{second} up"));
                self.spawn_all();
            }
            Fault::Slow => {
                for n in 0..MEMBERS {
                    self.signal(n, "STOP");
                }
                thread::sleep(Duration::from_secs(5));
                for n in 0..MEMBERS {
                    self.signal(n, "CONT");
                }
            }
            Fault::Forget => {
                self.users += 1;
                // It may fail: the members may be busy with their last fault.
                let user = format!("user-{}:secret", self.users);
                let _ = ask(&["--user=root:secret", "user", "add", &user]);
                thread::sleep(Duration::from_secs(2));
            }
        }
    }

    fn heal(&mut self) {
        self.spawn_all();
        self.wait(&["--user=root:secret"]);
    }

    /// Starts the members that do not run.
    fn spawn_all(&mut self) {
        let peers: Vec<String> =
            (0..MEMBERS).map(|n| format!("m{n}=http://{}:2380", address(n))).collect();
        for n in 0..MEMBERS {
            let slot = &mut self.running[n];
            if slot.is_some() {
                continue;
            }
            let at = address(n);
            let log = fs::File::create(scratch("log").join(format!("m{n}"))).unwrap();
            let mut command = Command::new("ip");
            command
                .args(["netns", "exec", &format!("m{n}"), "etcd"])
                .arg(format!("--name=m{n}"))
                .arg(format!("--data-dir=/dev/shm/etcd-{n}"))
                .arg(format!("--listen-client-urls=http://{at}:2379"))
                .arg(format!("--advertise-client-urls=http://{at}:2379"))
                .arg(format!("--listen-peer-urls=http://{at}:2380"))
                .arg(format!("--initial-advertise-peer-urls=http://{at}:2380"))
                .arg(format!("--initial-cluster={}", peers.join(",")))
                .args(["--auth-token-ttl=2", "--log-level=error", "--unsafe-no-fsync"])
                .stdin(Stdio::null())
                .stdout(log.try_clone().unwrap())
                .stderr(log);
            *slot = Some(command.spawn().expect("etcd should start"));
        }
    }

    /// Waits until a write goes through.
    fn wait(&self, options: &[&str]) {
        let end = Instant::now() + PATIENCE;
        loop {
            let (is_up, text) = ask(&[options, &["put", "/up", "1"]].concat());
            if is_up {
                return;
            }
            assert!(Instant::now() < end, "etcd does not come up: {text}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn kill(&mut self, n: usize) {
        if let Some(mut member) = self.running[n].take() {
            member.kill().unwrap();
            member.wait().unwrap();
        }
    }

    fn signal(&self, n: usize, signal: &str) {
        if let Some(member) = &self.running[n] {
            let id = member.id().to_string();
            let status = Command::new("kill").args([&format!("-{signal}"), &id]).status();
            assert!(status.unwrap().success());
        }
    }
}

fn address(member: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 9, 0, u8::try_from(member).unwrap() + 1)
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}: {status}");
}

fn ask(arguments: &[&str]) -> (bool, String) {
    let endpoints: Vec<String> = (0..MEMBERS).map(|n| format!("{}:2379", address(n))).collect();
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").arg(format!("--endpoints={}", endpoints.join(",")));
    let output = command.arg("--command-timeout=3s").args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
}

/// Every lease that etcd has; its address keys say the same.
fn every_lease(cluster: &Cluster) -> HashMap<LeaseKey, Ipv4Addr> {
    let config = Store::Etcd { path: scratch("none"), etcd: cluster.config() };
    let leases: Vec<Lease> = store::read_shared(&config).unwrap().unwrap();
    leases.into_iter().map(|lease| (lease.key, lease.ipv4.unwrap())).collect()
}

/// Makes a directory in the world's own memory.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new("/dev/shm").join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

fn key(vm: &str) -> LeaseKey {
    LeaseKey {
        network: "blue".parse().unwrap(),
        vm: vm.parse().unwrap(),
        nic: "default".parse().unwrap(),
    }
}

/// A network with 60 addresses to give, to 75 VMs.
fn network() -> Network {
    let folder = scratch("config");
    let networks = folder.join("networks.d");
    fs::create_dir_all(&networks).unwrap();
    fs::write(folder.join("leasehold.toml"), "[[source]]\nkind = \"ovsdb\"\n").unwrap();
    let blue = "name = \"blue\"\n[ipv4]\nsubnet = \"10.20.0.0/24\"\n\
                gateway = \"10.20.0.1\"\nranges = [\"10.20.0.101-10.20.0.160\"]\n";
    fs::write(networks.join("blue.toml"), blue).unwrap();
    let config = config::load(&folder.join("leasehold.toml")).unwrap();
    Network::clone(&config.networks[0])
}

fn number_of(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().expect("a number"))
}

/// SplitMix64: the same numbers for the same seed, on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }
}

const NODES: [&str; 3] = ["node-a", "node-b", "node-c"];

const MEMBERS: usize = 3;

/// How many VMs each node has.
const VMS: usize = 25;

/// How many faults there are unless `LEASEHOLD_ETCD_FAULTS` says otherwise.
const FAULTS: u64 = 6;

const SEED: u64 = 20_261_125;

/// Far more than anything here takes, for a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(60);
