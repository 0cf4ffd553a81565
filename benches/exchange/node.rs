//! The node: veth pairs, and the server under measurement as a process of its own.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use leasehold::config;
use leasehold::lease::{Lease, LeaseKey, NicName};
use leasehold::store::{self, Change};
use leasehold::time::Wall;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::guest::Guest;

/// Veth pairs in the bench's own network namespace, and a directory.
pub(crate) struct Node {
    ports: usize,
    directory: tempfile::TempDir,
}

/// A server's process; it ends when this is dropped.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    child: Child,
}

impl Node {
    pub(crate) fn new(ports: usize) -> Self {
        for port in 0..ports {
            let (ours, theirs) = (format!("vm{port}"), format!("guest{port}"));
            ip(&["link", "add", &ours, "type", "veth", "peer", "name", &theirs]);
            for side in [&ours, &theirs] {
                let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{side}/disable_ipv6"), "1");
                ip(&["link", "set", side, "up"]);
            }
        }
        Self { ports, directory: tempfile::tempdir().expect("there is room in /tmp") }
    }

    pub(crate) fn guest_side(&self, port: usize) -> String {
        format!("guest{port}")
    }

    pub(crate) fn start_echo(&self) -> Server {
        let this = std::env::current_exe().expect("this program has a path");
        let child = Command::new(this).args(["echo", "vm0"]).spawn().expect("it starts");
        let server = Server { name: "echo", child };
        Guest::new("guest0", 1).wait_for_answer();
        server
    }

    pub(crate) fn start_leasehold(&self, leases: usize) -> Server {
        let config = self.write_files(leases);
        let server = Self::spawn(&config);
        for port in 0..self.ports {
            Guest::new(&self.guest_side(port), 1).wait_for_answer();
        }
        server
    }

    pub(crate) fn time_to_first_answer(&self, leases: usize) -> Duration {
        let config = self.write_files(leases);
        let mut guest = Guest::new("guest0", 1);
        let begun = Instant::now();
        let server = Self::spawn(&config);
        guest.wait_for_answer();
        let taken = begun.elapsed();
        drop(server);
        taken
    }

    fn spawn(config: &Path) -> Server {
        let child = Command::new(env!("CARGO_BIN_EXE_leasehold"))
            .arg("--config")
            .arg(config)
            .arg("run")
            .env("LEASEHOLD_LOG", "warn")
            .stdin(Stdio::null())
            .spawn()
            .expect("it starts");
        Server { name: "leasehold", child }
    }

    /// Writes the files of a node with these ports, and a store with `leases` leases beside theirs.
    fn write_files(&self, leases: usize) -> PathBuf {
        let directory = self.directory.path();
        let show = |name: &str| directory.join(name).display().to_string();
        let mut text = format!(
            "networks-dir = \"networks.d\"\n[node]\nname = \"bench\"\n[store]\npath = {:?}\n\
             [control]\nsocket = {:?}\n[metrics]\nlisten = \"\"\n\
             [limits]\nframes-per-second = 0\n[[source]]\nkind = \"static\"\n",
            show("store"),
            show("control.sock"),
        );
        for port in 0..self.ports {
            let _ = write!(
                text,
                "[[source.port]]\ninterface = \"vm{port}\"\nvm = \"bench/vm-{port}\"\n"
            );
        }
        let path = directory.join("leasehold.toml");
        fs::create_dir_all(directory.join("networks.d")).expect("the directory is ours");
        fs::write(directory.join("networks.d/bench.toml"), NETWORK).expect("the directory is ours");
        fs::write(&path, text).expect("the directory is ours");
        if leases > 0 {
            self.fill_store(&path, leases);
        }
        path
    }

    fn fill_store(&self, config: &Path, leases: usize) {
        let config = config::load(config).expect("the files are right");
        let mut store = store::open(&config.store, &config.node).expect("no daemon has it");
        store.load().expect("it can be read");
        let lease = |n: usize| Lease {
            key: LeaseKey {
                network: "bench".parse().expect("a name"),
                vm: format!("other/vm-{n}").parse().expect("a name"),
                nic: NicName::default(),
            },
            ipv4: Some(std::net::Ipv4Addr::from_bits(0x0a14_1000 + u32::try_from(n).expect("few"))),
            ipv6: None,
            prefix: None,
            hostname: Some(format!("vm-{n}")),
            created: Wall(1_795_000_000),
            node: "bench".to_owned(),
            arrived: None,
            last_seen: None,
            conflict: false,
        };
        let changes: Vec<Change> = (0..leases).map(|n| Change::Put(lease(n))).collect();
        store.write(&changes).expect("the disk takes it");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for port in 0..self.ports {
            ip(&["link", "del", &format!("vm{port}")]);
        }
    }
}

impl Server {
    /// Returns the CPU time of all its threads, and of its broker's.
    pub(crate) fn cpu(&self) -> Duration {
        let own = process_cpu(self.child.id());
        self.broker().map_or(own, |broker| own + process_cpu(broker))
    }

    pub(crate) fn resident_mib(&self) -> f64 {
        resident_mib(self.child.id())
    }

    pub(crate) fn broker_resident_mib(&self) -> f64 {
        self.broker().map_or(0.0, resident_mib)
    }

    fn broker(&self) -> Option<u32> {
        let pid = self.child.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A process of ours, by its pid.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a process's CPU clock: what threads took that have ended since is in it.
fn process_cpu(pid: u32) -> Duration {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
    let clock = clock_getcpuclockid(pid).and_then(|clock| clock.now());
    clock.map_or(Duration::ZERO, Duration::from)
}

fn resident_mib(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: f64 = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0.0);
    kib / 1024.0
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().expect("iproute2 is installed");
    assert!(status.success(), "ip {} failed", arguments.join(" "));
}

const NETWORK: &str = r#"
name = "bench"
domain = "bench.example"
mtu = 1450
dns = ["10.20.0.53"]

[ipv4]
subnet = "10.20.0.0/16"
gateway = "10.20.0.1"
ranges = ["10.20.1.0-10.20.9.255"]
"#;
