//! `leasehold check --against DIR`: what would break a migration between two nodes.
//!
//! A VM that moves keeps its lease only if the other node has its network, gives it the same
//! addresses, and looks the same from inside: router, server, prefixes. What may differ from node to
//! node (names, sources, `[match]`, listening addresses, name servers) is not looked at.

use std::fmt::{Debug, Display};
use std::path::{Path, PathBuf};

use super::{ExitStatus, Failure, check, counted, print};
use crate::config::{Config, Step, Store, locate};
use crate::lease::{NicName, VmId};
use crate::network::{
    Ipv4Network, Ipv6Network, Mask, Network, Pool, PoolAddress, PrefixInformation, VmEntry,
};

pub(super) fn against(own: &Config, other: &Path) -> Result<(), Failure> {
    let file = if other.is_dir() { other.join("leasehold.toml") } else { other.to_owned() };
    let other = check::load(&file)?;
    let lines = differences(own, &other);
    if lines.is_empty() {
        let (own, other) = (own.path.display(), other.path.display());
        return print(&format!("{own}: nothing in {other} would break a migration\n"));
    }
    let number = counted(lines.len(), "difference");
    let text = format!("{}\n{number} would break a migration", lines.join("\n"));
    Err(Failure::new(ExitStatus::Config, text))
}

fn differences(own: &Config, other: &Config) -> Vec<String> {
    let mut found = Found { own: own.path.clone(), other: other.path.clone(), lines: Vec::new() };
    found.compare(
        &[Step::Key("deployment"), Step::Key("name")],
        "the deployment's name, which the server DUID is made from,",
        (Some(&own.deployment), Some(&other.deployment)),
    );
    found.compare(
        &[Step::Key("store"), Step::Key("backend")],
        "the lease store",
        (Some(&own.store.backend()), Some(&other.store.backend())),
    );
    found.networks(own, other);
    found.lines
}

/// The two files that are compared, and what was found.
struct Found {
    own: PathBuf,
    other: PathBuf,
    lines: Vec<String>,
}

impl Found {
    /// Names a value that differs, with its place in both files.
    fn compare<T: PartialEq + Display>(
        &mut self,
        steps: &[Step<'_>],
        what: &str,
        (own, other): (Option<&T>, Option<&T>),
    ) {
        if own != other {
            let text = |value: Option<&T>| match value {
                Some(value) => value.to_string(),
                None => "none".to_owned(),
            };
            let (own_value, other_value) = (text(own), text(other));
            self.say(steps, &format!("{what} is {own_value} here and {other_value} there"));
        }
    }

    fn say(&mut self, steps: &[Step<'_>], fault: &str) {
        let (own, other) = (locate(&self.own, steps), locate(&self.other, steps));
        self.lines.push(format!("{own}: {fault} ({other}); make both the same"));
    }

    fn networks(&mut self, own: &Config, other: &Config) {
        let find = |config: &Config, name: &str| {
            let mut all = config.networks.iter().zip(&config.network_files);
            all.find(|(network, _)| network.name.as_str() == name)
                .map(|(network, file)| (network.clone(), file.clone()))
        };
        for (network, file) in own.networks.iter().zip(&own.network_files) {
            let Some((theirs, other_file)) = find(other, network.name.as_str()) else {
                let place = locate(file, &[Step::Key("name")]);
                let (name, there) = (&network.name, other.networks_dir.display());
                self.lines.push(format!(
                    "{place}: network {name} is not there ({there}); add its file there"
                ));
                continue;
            };
            let mut found = Self { own: file.clone(), other: other_file, lines: Vec::new() };
            let several = Sharing::of(own, other);
            found.network(network, &theirs, several);
            self.lines.append(&mut found.lines);
        }
        for (network, file) in other.networks.iter().zip(&other.network_files) {
            if find(own, network.name.as_str()).is_none() {
                let place = locate(file, &[Step::Key("name")]);
                let (name, here) = (&network.name, own.networks_dir.display());
                self.lines.push(format!(
                    "{place}: network {name} is not here ({here}); add its file here"
                ));
            }
        }
    }

    fn network(&mut self, own: &Network, other: &Network, sharing: Sharing) {
        use Step::Key;
        let name = &own.name;
        let gateway = |key| [Key("gateway"), Key(key)];
        let mac = (Some(&own.gateway.source_mac), Some(&other.gateway.source_mac));
        self.compare(&gateway("mac"), &format!("network {name}: the router's MAC"), mac);
        let answer = (Some(&own.gateway.answer), Some(&other.gateway.answer));
        self.compare(&gateway("answer"), &format!("network {name}: [gateway] answer"), answer);
        let mtu = (own.common.mtu.as_ref(), other.common.mtu.as_ref());
        self.compare(&[Key("mtu")], &format!("network {name}: mtu"), mtu);
        match (&own.ipv4, &other.ipv4) {
            (None, None) => {}
            (Some(own), Some(other)) => self.ipv4(name.as_str(), (own, other), sharing),
            (_, _) => self.say(&[Key("ipv4")], &format!("network {name}: only one has [ipv4]")),
        }
        match (&own.ipv6, &other.ipv6) {
            (None, None) => {}
            (Some(own), Some(other)) => self.ipv6(name.as_str(), (own, other), sharing),
            (_, _) => self.say(&[Key("ipv6")], &format!("network {name}: only one has [ipv6]")),
        }
        self.vms(own, other);
    }

    fn ipv4(&mut self, name: &str, (own, other): (&Ipv4Network, &Ipv4Network), sharing: Sharing) {
        let steps = |key| [Step::Key("ipv4"), Step::Key(key)];
        let what = |key| format!("network {name}: [ipv4] {key}");
        let subnets = (Some(&own.subnet), Some(&other.subnet));
        self.compare(&steps("subnet"), &what("subnet"), subnets);
        let gateways = (own.gateway.as_ref(), other.gateway.as_ref());
        self.compare(&steps("gateway"), &what("gateway"), gateways);
        let servers = (Some(&own.server_id), Some(&other.server_id));
        self.compare(&steps("server-id"), &what("server-id"), servers);
        let word = |mask| match mask {
            Mask::Subnet => "subnet",
            Mask::Host => "host",
        };
        let masks = (Some(&word(own.mask)), Some(&word(other.mask)));
        self.compare(&steps("mask"), &what("mask"), masks);
        if own.routes != other.routes {
            self.say(&steps("routes"), &format!("{} differ", what("routes")));
        }
        self.pools(&steps("ranges"), &what("ranges"), (&own.pool, &other.pool), sharing);
    }

    fn ipv6(&mut self, name: &str, (own, other): (&Ipv6Network, &Ipv6Network), sharing: Sharing) {
        let steps = |key| [Step::Key("ipv6"), Step::Key(key)];
        let what = |key| format!("network {name}: [ipv6] {key}");
        let subnets = (Some(&own.subnet), Some(&other.subnet));
        self.compare(&steps("subnet"), &what("subnet"), subnets);
        let gateways = (own.gateway.as_ref(), other.gateway.as_ref());
        self.compare(&steps("gateway"), &what("gateway, the router's link-local"), gateways);
        if own.mode != other.mode {
            self.say(&steps("mode"), &format!("{} differs", what("mode")));
        }
        let prefixes = |network: &Ipv6Network| {
            let parts = |one: &PrefixInformation| (one.prefix, one.on_link, one.autonomous);
            network.prefixes.iter().map(parts).collect::<Vec<_>>()
        };
        if prefixes(own) != prefixes(other) {
            self.say(&steps("prefix"), &format!("network {name}: [[ipv6.prefix]] differ"));
        }
        self.pools(&steps("ranges"), &what("ranges"), (&own.pool, &other.pool), sharing);
    }

    /// Finds addresses that two nodes which do not share a store would both give.
    fn pools<A: PoolAddress>(
        &mut self,
        steps: &[Step<'_>],
        what: &str,
        (own, other): (&Pool<A>, &Pool<A>),
        sharing: Sharing,
    ) {
        if sharing == Sharing::OneStore {
            return;
        }
        for ours in &own.ranges {
            let overlaps = |theirs: &&_| {
                let theirs: &crate::network::PoolRange<A> = theirs;
                ours.first <= theirs.last && theirs.first <= ours.last
            };
            if let Some(theirs) = other.ranges.iter().find(overlaps) {
                let (own, other) = (locate(&self.own, steps), locate(&self.other, steps));
                self.lines.push(format!(
                    "{own}: {what}: {}-{} overlaps {}-{} ({other}), and the nodes share no store: \
                     two VMs would get one address; give each node its own ranges",
                    ours.first, ours.last, theirs.first, theirs.last
                ));
            }
        }
    }

    fn vms(&mut self, own: &Network, other: &Network) {
        let is_of = |entry: &VmEntry, (id, nic): (&VmId, Option<&NicName>)| {
            entry.id == *id && entry.nic.as_ref() == nic
        };
        let name = &own.name;
        for entry in own.vms.iter() {
            let whose = (&entry.id, entry.nic.as_ref());
            let theirs = other.vms.iter().find(|theirs| is_of(theirs, whose));
            let what = |key| format!("network {name}: {key} of VM {}", entry.id);
            let listed = |entry: Option<&VmEntry>, of: fn(&VmEntry) -> Vec<String>| {
                entry.map(of).filter(|list| !list.is_empty()).map(|list| list.join(", "))
            };
            for (key, of) in RESERVED {
                let values = (listed(Some(entry), of), listed(theirs, of));
                let ids = ids(whose);
                let steps = [Step::Key("vm"), Step::Entry(&ids), Step::Key(key)];
                self.compare(&steps, &what(key), (values.0.as_ref(), values.1.as_ref()));
            }
        }
        for entry in other.vms.iter() {
            let whose = (&entry.id, entry.nic.as_ref());
            let reserves = RESERVED.iter().any(|(_, of)| !of(entry).is_empty());
            if reserves && !own.vms.iter().any(|ours| is_of(ours, whose)) {
                let ids = ids(whose);
                let steps = [Step::Key("vm"), Step::Entry(&ids)];
                let what =
                    format!("network {name}: the reservation of VM {} is only there", entry.id);
                self.say(&steps, &what);
            }
        }
    }
}

/// Whether both nodes know each other's leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharing {
    OneStore,
    Apart,
}

impl Sharing {
    fn of(own: &Config, other: &Config) -> Self {
        let is_own = |store: &Store| matches!(store, Store::Embedded { .. } | Store::Memory);
        if is_own(&own.store) || is_own(&other.store) { Self::Apart } else { Self::OneStore }
    }
}

/// How a `[[vm]]` entry is found in a file.
fn ids<'a>((id, nic): (&'a VmId, Option<&'a NicName>)) -> [(&'a str, Option<&'a str>); 2] {
    [("id", Some(id.as_str())), ("nic", nic.map(NicName::as_str))]
}

fn texts<T: Display + Debug>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

type Of = fn(&VmEntry) -> Vec<String>;

/// What a `[[vm]]` entry promises its VM.
const RESERVED: [(&str, Of); 3] = [
    ("ipv4", |entry| texts(&entry.ipv4)),
    ("ipv6", |entry| texts(&entry.ipv6)),
    ("hostname", |entry| entry.hostname.iter().map(ToString::to_string).collect()),
];
