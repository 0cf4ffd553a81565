//! What several test programs share: a port made from the templates of `packet-fixtures/`, the
//! recorded frames, and their seeded mutations; a lease, and what a program said.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use ipnet::Ipv6Net;
use leasehold::binding::{Binding, PortFacts};
use leasehold::config;
use leasehold::lease::{Lease, LeaseKey, LeaseTable, NicName, Occasion};
use leasehold::network::Network;
use leasehold::responder::{PortResponder, RateLimit};
use leasehold::time::{Mono, Wall};

/// The folder of the recorded cases.
pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packet-fixtures")
}

/// Whose port a case is about.
#[derive(Default)]
pub(crate) struct Subject<'a> {
    pub(crate) network: &'a str,
    pub(crate) vm: &'a str,
    /// None: `default`.
    pub(crate) nic: Option<&'a str>,
    /// None: that of `packet-fixtures/leasehold.toml`.
    pub(crate) deployment: Option<&'a str>,
    /// The addresses that the NIC's lease holds already.
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    /// The delegated prefix.
    pub(crate) prefix: Option<Ipv6Net>,
}

/// The templates of `packet-fixtures/networks`, and the server's DUID.
pub(crate) struct Templates {
    networks: Vec<Arc<Network>>,
    server_duid: [u8; 18],
}

impl Templates {
    pub(crate) fn load() -> Self {
        let path = fixtures().join("leasehold.toml");
        let config = config::load(&path)
            .unwrap_or_else(|errors| panic!("{}", errors.render(config::Colors::Off)));
        Self { networks: config.networks, server_duid: config.server_duid }
    }

    /// Makes the binding of one VM's port, as the daemon would.
    pub(crate) fn binding(&self, network: &str, vm: &str, facts: &PortFacts) -> Arc<Binding> {
        self.binding_of(&Subject { network, vm, ..Subject::default() }, facts)
    }

    /// Makes the binding of a port whose NIC, deployment or lease are not the usual ones.
    pub(crate) fn binding_of(&self, subject: &Subject<'_>, facts: &PortFacts) -> Arc<Binding> {
        let network = self
            .networks
            .iter()
            .find(|candidate| candidate.name.as_str() == subject.network)
            .unwrap_or_else(|| {
                panic!("no template {} in packet-fixtures/networks", subject.network)
            });
        let key = LeaseKey {
            network: network.name.clone(),
            vm: subject.vm.parse().expect("a case names a legal VM"),
            nic: subject.nic.map_or_else(NicName::default, |nic| nic.parse().expect("a legal NIC")),
        };
        let (ipv4, ipv6, prefix) = (subject.ipv4, subject.ipv6, subject.prefix);
        let held = Lease { ipv4, ipv6, prefix, ..lease(key.clone()) };
        let (mut table, _) = LeaseTable::load(vec![held]);
        let lease = table.assign(network, &key, Occasion { node: NODE, wall: NOW }).lease;
        let server_duid = subject.deployment.map_or(self.server_duid, config::server_duid);
        let parameters = network.parameters(&lease, server_duid);
        Arc::new(Binding::new(key, facts, &parameters))
    }

    /// Makes one port without limits in every template; behind each is `demo/web-1`.
    pub(crate) fn responders(&self) -> Vec<PortResponder> {
        let facts = PortFacts { mac: None, trunk_vlan: None, mtu: 1_500, is_macvtap: false };
        let limit = RateLimit { frames_per_second: 0, burst: 0 };
        self.networks
            .iter()
            .map(|network| {
                let binding = self.binding(network.name.as_str(), "demo/web-1", &facts);
                PortResponder::new(binding, limit, Mono::default(), 1)
            })
            .collect()
    }
}

/// Makes a lease that holds nothing yet.
pub(crate) fn lease(key: LeaseKey) -> Lease {
    Lease {
        key,
        ipv4: None,
        ipv6: None,
        prefix: None,
        hostname: None,
        created: NOW,
        node: NODE.to_owned(),
        arrived: None,
        last_seen: None,
        conflict: false,
    }
}

/// Reads what a program printed.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Reads what a program complained of.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Every folder that holds a `case.toml`, in order of names.
pub(crate) fn cases() -> Vec<PathBuf> {
    let mut cases = Vec::new();
    let mut folders = vec![fixtures()];
    while let Some(folder) = folders.pop() {
        if folder.join("case.toml").is_file() {
            cases.push(folder);
            continue;
        }
        let entries = fs::read_dir(&folder).expect("the folder can be read");
        folders.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()));
    }
    cases.sort();
    assert!(!cases.is_empty(), "packet-fixtures/ holds no case");
    cases
}

/// The `01-in.hex`, `02-in.hex` and so on of one case: number and file.
pub(crate) fn inputs(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let mut inputs: Vec<(String, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            Some((name.strip_suffix("-in.hex")?.to_owned(), entry.path()))
        })
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "{}: no NN-in.hex", folder.display());
    inputs
}

/// The bytes of every recorded input, in order of names.
pub(crate) fn recorded_frames() -> Vec<Vec<u8>> {
    cases()
        .iter()
        .flat_map(|folder| inputs(folder))
        .map(|(_, file)| parse_hex(&fs::read_to_string(file).expect("it was listed")))
        .collect()
}

/// Reads hexadecimal bytes; `#` begins a comment.
pub(crate) fn parse_hex(text: &str) -> Vec<u8> {
    let digits: String = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect();
    assert!(digits.len().is_multiple_of(2), "an odd number of hexadecimal digits");
    (0..digits.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&digits[place..place + 2], 16).expect("hexadecimal"))
        .collect()
}

/// Picks a recorded frame and changes up to three things in it. Most results get right lengths and
/// a right IPv4 checksum again: without them hardly one would be read past its headers.
pub(crate) fn mutated(frames: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = frames[random.below(frames.len())].clone();
    for _ in 0..random.below(4) {
        mutate(&mut bytes, frames, random);
    }
    if random.below(4) > 0 {
        repair(&mut bytes);
    }
    bytes
}

fn mutate(bytes: &mut Vec<u8>, frames: &[Vec<u8>], random: &mut Random) {
    if bytes.is_empty() {
        return;
    }
    let place = random.below(bytes.len());
    match random.below(7) {
        0 => bytes[place] = random.byte(),
        1 => bytes[place] ^= 1 << random.below(8),
        2 => bytes.truncate(place),
        3 => bytes.insert(place, random.byte()),
        4 => bytes[place] = [0, 1, 0x7f, 0x80, 0xfe, 0xff][random.below(6)],
        5 => {
            let from = random.below(bytes.len());
            let length = random.below(32).min(bytes.len() - from).min(bytes.len() - place);
            bytes.copy_within(from..from + length, place);
        }
        // A piece of another frame comes in between.
        _ => {
            let other = &frames[random.below(frames.len())];
            let from = random.below(other.len().max(1)).min(other.len());
            let length = random.below(64).min(other.len() - from);
            bytes.splice(place..place, other[from..from + length].iter().copied());
        }
    }
}

/// Makes the length fields of IP and UDP, and the IPv4 header checksum, agree with the bytes.
fn repair(bytes: &mut [u8]) {
    let length = |from: usize| u16::try_from(bytes.len().saturating_sub(from)).unwrap_or(u16::MAX);
    let (packet, ipv4_payload, ipv6_payload) = (length(14), length(34), length(54));
    match bytes.get(12..14) {
        Some([0x08, 0x00]) if bytes.len() >= 42 => {
            bytes[16..18].copy_from_slice(&packet.to_be_bytes());
            bytes[38..40].copy_from_slice(&ipv4_payload.to_be_bytes());
            bytes[24..26].fill(0);
            let mut sum: u32 = bytes[14..34]
                .chunks(2)
                .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
                .sum();
            sum = (sum & 0xffff) + (sum >> 16);
            sum = (sum & 0xffff) + (sum >> 16);
            let checksum = !u16::try_from(sum).expect("it was folded twice");
            bytes[24..26].copy_from_slice(&checksum.to_be_bytes());
        }
        Some([0x86, 0xdd]) if bytes.len() >= 62 => {
            bytes[18..20].copy_from_slice(&ipv6_payload.to_be_bytes());
            if bytes[20] == 17 {
                bytes[58..60].copy_from_slice(&ipv6_payload.to_be_bytes());
            }
        }
        _ => {}
    }
}

/// A small generator (xorshift*): the run is the same every time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from((self.next() >> 33) % bound as u64).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        u8::try_from(self.next() >> 56).unwrap()
    }
}

const NODE: &str = "node-a";

const NOW: Wall = Wall(1_795_571_589);
