//! A process that keeps leases is killed at any moment, again and again: what it had shown is there
//! afterwards, once, and nothing else is.
//!
//! The process that is killed is this test program itself. It makes, changes and releases leases
//! through the lease table and the store's thread, as the daemon does: it names a lease before it
//! changes it, and shows it once it is durable. `make test` kills it 50 times, `make chaos` 1,000
//! times. A kill takes the process, not the machine: what a lost power supply does is left to
//! SQLite's own tests.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, io};

use leasehold::config;
use leasehold::lease::{Family, LeaseKey, LeaseTable, Occasion};
use leasehold::network::Network;
use leasehold::store::{self, Change, StoreHandle};
use leasehold::telemetry::Metrics;
use leasehold::time::Wall;

#[test]
fn what_was_shown_survives_every_kill_and_no_address_is_held_twice() {
    let crashes = number_of("LEASEHOLD_CRASHES").unwrap_or(CRASHES);
    let seed = number_of("LEASEHOLD_CRASH_SEED").unwrap_or(SEED);
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path());
    let mut random = Random(seed);
    let mut seen = Seen::default();
    let mut expected = Known::new();
    for crash in 1..=crashes {
        let mut child = start(directory.path(), random.next());
        let said = kill(&mut child, &mut random);
        for line in &said {
            seen.note(line);
            hear(&mut expected, line);
        }
        let (table, _) = open(directory.path());
        let actual: BTreeMap<String, Ipv4Addr> = table
            .iter()
            .map(|lease| (name(&lease.key), lease.ipv4.expect("a lease has its address")))
            .collect();
        compare(&expected, &actual)
            .unwrap_or_else(|fault| panic!("crash {crash}, seed {seed}: {fault}"));
        seen.leases = seen.leases.max(actual.len());
        expected =
            actual.into_iter().map(|(name, address)| (name, State::Shown(address))).collect();
    }
    println!("report: crash: {crashes} kills, seed {seed}: {seen:?}; none lost, none twice");
    // It was under load: leases were made, changed and released, and the range was as good as full.
    assert!(seen.shown > crashes && seen.gone > crashes / 4, "{seen:?}");
    assert!(seen.leases >= RANGE - RANGE / 10, "{seen:?}");
}

/// The process that is killed.
#[test]
#[ignore = "the other test starts it, and kills it"]
fn child() {
    let Some(directory) = env::var_os(DIRECTORY) else { return };
    let seed = number_of("LEASEHOLD_CRASH_SEED").expect("the parent gives a seed");
    let (table, backend) = open(Path::new(&directory));
    let metrics = Metrics::new().unwrap();
    let (store, _thread) = store::spawn(backend, metrics.store("embedded")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(churn(table, store, load(Path::new(&directory)).1, Random(seed)));
}

/// Changes leases at random, several batches at a time, until the process is killed.
async fn churn(
    mut table: LeaseTable,
    store: StoreHandle,
    network: Arc<Network>,
    mut random: Random,
) {
    let mut under_way = VecDeque::new();
    // A lease that is on its way to the store is not changed again before it is there.
    let mut busy = BTreeSet::new();
    loop {
        let mut batch = BTreeMap::new();
        for _ in 0..=random.below(12) {
            let key = any_key(&network, &mut random);
            if !busy.contains(&key)
                && !batch.contains_key(&key)
                && let Some(change) = step(&mut table, &network, &key, random.below(8))
            {
                batch.insert(key, change);
            }
        }
        say(batch.keys().map(|key| format!("changing {}", name(key))));
        busy.extend(batch.keys().cloned());
        let changes: Vec<Change> = batch.values().cloned().collect();
        let handle = store.clone();
        let written = tokio::spawn(async move { handle.write(changes).await });
        under_way.push_back((batch, written));
        if under_way.len() > BATCHES
            && let Some((batch, written)) = under_way.pop_front()
        {
            written.await.unwrap().unwrap();
            for key in batch.keys() {
                busy.remove(key);
            }
            say(batch.values().map(|change| match change {
                Change::Put(lease) => format!("shown {} {}", name(&lease.key), lease.ipv4.unwrap()),
                Change::Delete(key) => format!("gone {}", name(key)),
            }));
        }
    }
}

/// Does one thing to one NIC's lease; returns what the store must be told.
fn step(table: &mut LeaseTable, network: &Network, key: &LeaseKey, what: u64) -> Option<Change> {
    let occasion = Occasion { node: "node-a", wall: Wall(1_795_571_589) };
    match what {
        0 => table.remove(key).map(|lease| Change::Delete(lease.key)),
        1 => table.decline(network, key, Family::Ipv4, occasion).map(Change::Put),
        _ => {
            let lease = table.assign(network, key, occasion).lease;
            lease.ipv4.is_some().then_some(Change::Put(lease))
        }
    }
}

/// What the parent knows of each NIC; one that is not there has no lease.
type Known = BTreeMap<String, State>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its lease is durable, with this address.
    Shown(Ipv4Addr),
    /// Its lease is on its way to the store: it may be there or not, or be the one before.
    Changing,
}

/// How much there was to see.
#[derive(Debug, Default)]
struct Seen {
    shown: u64,
    gone: u64,
    leases: usize,
}

impl Seen {
    fn note(&mut self, line: &str) {
        match line.split(' ').next() {
            Some("shown") => self.shown += 1,
            Some("gone") => self.gone += 1,
            _ => {}
        }
    }
}

fn hear(known: &mut Known, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["changing", name] => {
            known.insert((*name).to_owned(), State::Changing);
        }
        ["shown", name, address] => {
            let shown = State::Shown(address.parse().unwrap());
            let other = known.iter().find(|(other, state)| *other != name && **state == shown);
            assert!(other.is_none(), "{line:?}, and {other:?} has it too");
            known.insert((*name).to_owned(), shown);
        }
        ["gone", name] => {
            known.remove(*name);
        }
        // The test harness speaks too.
        _ => {}
    }
}

fn compare(expected: &Known, actual: &BTreeMap<String, Ipv4Addr>) -> Result<(), String> {
    for (name, state) in expected {
        if let State::Shown(address) = state
            && actual.get(name) != Some(address)
        {
            return Err(format!(
                "{name} was shown {address}, the store has {:?}",
                actual.get(name)
            ));
        }
    }
    let made_up = actual.keys().find(|name| !expected.contains_key(*name));
    made_up.map_or(Ok(()), |name| Err(format!("{name} has a lease that was never made, or gone")))
}

fn start(directory: &Path, seed: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(DIRECTORY, directory)
        .env("LEASEHOLD_CRASH_SEED", seed.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets the child run to a random place, kills it, and returns the whole lines that it wrote.
fn kill(child: &mut Child, random: &mut Random) -> Vec<String> {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = Vec::new();
    if random.below(5) == 0 {
        // While it starts: before, in and after the opening of the store.
        std::thread::sleep(Duration::from_micros(random.below(30_000)));
    } else {
        for _ in 0..random.below(400) {
            said.push(read_line(&mut output).expect("the child writes until it is killed"));
        }
    }
    child.kill().unwrap();
    // What was in the pipe had been shown.
    said.extend(std::iter::from_fn(|| read_line(&mut output)));
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status}");
    said
}

/// Reads a line; none at the end, nor for a line that was cut off.
fn read_line(output: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.strip_suffix('\n').map(str::to_owned)
}

fn say(lines: impl Iterator<Item = String>) {
    let text: String = lines.map(|line| line + "\n").collect();
    io::stdout().lock().write_all(text.as_bytes()).unwrap();
}

/// Opens the store, and has it whole.
fn open(directory: &Path) -> (LeaseTable, Box<dyn store::LeaseStore>) {
    let mut backend = store::open(&load(directory).0, "node-a").unwrap();
    let loaded = backend.load().unwrap();
    assert_eq!(loaded.damaged, Vec::<String>::new());
    let (table, refused) = LeaseTable::load(loaded.leases);
    assert_eq!(refused, Vec::<String>::new());
    (table, backend)
}

fn load(directory: &Path) -> (config::Store, Arc<Network>) {
    let config = config::load(&directory.join("leasehold.toml"))
        .unwrap_or_else(|errors| panic!("{}", errors.render(config::Colors::Off)));
    (config.store, Arc::clone(&config.networks[0]))
}

fn write_files(directory: &Path) {
    fs::create_dir(directory.join("networks.d")).unwrap();
    let store = directory.join("store");
    let daemon = format!(
        "[deployment]\nname = \"crash\"\n[node]\nname = \"node-a\"\n[store]\npath = {store:?}\n"
    );
    fs::write(directory.join("leasehold.toml"), daemon).unwrap();
    fs::write(directory.join("networks.d/blue.toml"), NETWORK).unwrap();
}

/// One of more NICs than the range has addresses.
fn any_key(network: &Network, random: &mut Random) -> LeaseKey {
    let nic = ["default", "second"][usize::try_from(random.below(2)).unwrap()];
    LeaseKey {
        network: network.name.clone(),
        vm: format!("lab/vm-{}", random.below(60)).parse().unwrap(),
        nic: nic.parse().unwrap(),
    }
}

fn name(key: &LeaseKey) -> String {
    format!("{}:{}", key.vm, key.nic)
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

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

const DIRECTORY: &str = "LEASEHOLD_CRASH_DIRECTORY";

/// How often the process is killed unless `LEASEHOLD_CRASHES` says otherwise.
const CRASHES: u64 = 50;

const SEED: u64 = 20_261_125;

/// Batches that wait for the store at a time.
const BATCHES: usize = 3;

/// How many addresses the network has.
const RANGE: usize = 80;

const NETWORK: &str = r#"
name = "blue"
on-decline = "reassign"
[ipv4]
subnet = "10.20.0.0/16"
gateway = "10.20.0.1"
ranges = ["10.20.1.1-10.20.1.80"]
"#;
