//! `leasehold.toml`: the daemon, its sources and its identity rules.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use regex_lite::Regex;
use uuid::Uuid;

use super::diagnostics::File;
use super::section::{At, Item, Keys, Section};
use super::store::store;
use super::values::{
    BRIDGE, Form, GLOB, INTERFACE, LISTEN, MAC, NETDEV_VM, NIC, NODE, PATTERN, TEMPLATE, VM, name,
    network_name,
};
use super::{Limits, Source, StaticPort, Store};
use crate::discovery::{Field, IdentityRule, Preset};
use crate::lease::NetworkName;
use crate::wire::Mac;

/// What `leasehold.toml` says.
#[derive(Debug)]
pub(super) struct DaemonFile {
    pub(super) networks_dir: PathBuf,
    pub(super) deployment: String,
    pub(super) node: String,
    pub(super) store: Store,
    pub(super) sources: Vec<Source>,
    pub(super) identity: Vec<IdentityRule>,
    pub(super) metrics_listen: Option<SocketAddr>,
    pub(super) control_socket: PathBuf,
    pub(super) limits: Limits,
    /// The networks that static ports name.
    pub(super) named_networks: Vec<At<NetworkName>>,
    /// Whether some port's network is left to `[match]`.
    pub(super) match_decides: bool,
}

/// Reads the file; `None`: it has errors, which are noted.
pub(super) fn read(file: &File, path: &Path) -> Option<DaemonFile> {
    let (table, faults) = toml::de::DeTable::parse_recoverable(file.text());
    super::note_syntax(file, &faults)?;
    let root = Section::root(file, &table, &ROOT);
    let base = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut sources = Sources::default();
    for section in root.sections("source", &SOURCE) {
        sources.read(&section, &base);
    }
    if sources.sources.is_empty() && root.get("source").is_none() {
        file.warn(0..0, "no [[source]] names any ports; nothing is served until there is one");
    }
    let identity = root.sections("identity", &IDENTITY).iter().filter_map(identity_rule).collect();
    let control = root.get("control").and_then(|item| item.section(&CONTROL));
    let control_socket = control
        .and_then(|control| control.get("socket"))
        .and_then(|item| path_in(&base, &item))
        .unwrap_or_else(|| CONTROL_SOCKET.into());
    Some(DaemonFile {
        networks_dir: root
            .get("networks-dir")
            .and_then(|item| path_in(&base, &item))
            .unwrap_or_else(|| base.join(NETWORKS_DIR)),
        deployment: deployment(&root),
        node: node(&root),
        store: store(&root, &base),
        identity,
        metrics_listen: metrics(&root),
        control_socket,
        limits: limits(&root),
        match_decides: sources.match_decides,
        named_networks: sources.named_networks,
        sources: sources.sources,
    })
}

/// Reads the control socket's path alone, whatever else is wrong in the file.
pub(super) fn control_socket(text: &str, path: &Path) -> Option<PathBuf> {
    let (table, _) = toml::de::DeTable::parse_recoverable(text);
    let control = table.get_ref().iter().find(|(key, _)| key.get_ref() == "control")?.1;
    let socket = control.get_ref().get("socket")?.get_ref().as_str()?;
    Some(path.parent().unwrap_or(Path::new("")).join(socket))
}

fn deployment(root: &Section<'_>) -> String {
    let section = root.get("deployment").and_then(|item| item.section(&DEPLOYMENT));
    section
        .and_then(|section| section.get("name"))
        .and_then(|item| filled(&item, DEPLOYMENT_FORM))
        .unwrap_or_else(|| DEPLOYMENT_NAME.to_owned())
}

/// Makes the DUID-UUID (RFC 6355) that every node of a deployment shows.
#[must_use]
pub fn server_duid(deployment: &str) -> [u8; 18] {
    let uuid = Uuid::new_v5(&Uuid::NAMESPACE_DNS, deployment.as_bytes());
    let mut duid = [0; 18];
    let (kind, body) = duid.split_at_mut(2);
    kind.copy_from_slice(&DUID_UUID.to_be_bytes());
    body.copy_from_slice(uuid.as_bytes());
    duid
}

fn node(root: &Section<'_>) -> String {
    let section = root.get("node").and_then(|item| item.section(&NODE_KEYS));
    if let Some(item) = section.and_then(|section| section.get("name")) {
        let Some(name) = filled(&item, NODE) else {
            return String::new();
        };
        if name.len() > 253 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            item.error_form(&name, NODE);
        }
        return name;
    }
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    host.filter(|name| !name.is_empty()).unwrap_or_else(|| {
        root.error("the host name cannot be used as the node's name; set name in [node]");
        String::new()
    })
}

fn metrics(root: &Section<'_>) -> Option<SocketAddr> {
    let section = root.get("metrics").and_then(|item| item.section(&METRICS));
    let Some(item) = section.and_then(|section| section.get("listen")) else {
        return METRICS_LISTEN.parse().ok();
    };
    match item.text(LISTEN)? {
        "" => None,
        _ => item.parse(LISTEN).map(At::into_inner),
    }
}

fn limits(root: &Section<'_>) -> Limits {
    let mut limits = Limits { max_ports: 4_096, frames_per_second: 50, burst: 100 };
    let Some(section) = root.get("limits").and_then(|item| item.section(&LIMITS)) else {
        return limits;
    };
    if let Some(most) = section.get("max-ports").and_then(|item| item.number(1, 65_536)) {
        limits.max_ports = most;
    }
    if let Some(rate) = section.get("frames-per-second").and_then(|item| item.number(0, 1_000_000))
    {
        limits.frames_per_second = rate;
    }
    if let Some(burst) = section.get("burst").and_then(|item| item.number(1, 1_000_000)) {
        limits.burst = burst;
    }
    limits
}

/// The sources so far, and what they ask of the networks.
#[derive(Debug, Default)]
struct Sources {
    sources: Vec<Source>,
    named_networks: Vec<At<NetworkName>>,
    match_decides: bool,
}

/// What `kind` says.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Ovsdb,
    Netdev,
    Static,
}

impl Sources {
    fn read(&mut self, section: &Section<'_>, base: &Path) {
        let Some(kind) = section.require("kind", KIND) else {
            return;
        };
        let choices = [("ovsdb", Kind::Ovsdb), ("netdev", Kind::Netdev), ("static", Kind::Static)];
        let Some(kind) = kind.choice(&choices, &[]) else {
            return;
        };
        let foreign: &[(&str, &str)] = match kind {
            Kind::Ovsdb => &[("port", "static"), ("match", "netdev"), ("vm", "netdev")],
            Kind::Netdev => &[
                ("socket", "ovsdb"),
                ("bridges", "ovsdb"),
                ("identity", "ovsdb"),
                ("port", "static"),
            ],
            Kind::Static => &[
                ("socket", "ovsdb"),
                ("bridges", "ovsdb"),
                ("identity", "ovsdb"),
                ("match", "netdev"),
                ("vm", "netdev"),
            ],
        };
        for (key, other) in foreign {
            if let Some(item) = section.get(key) {
                item.error(format!("{key:?} belongs to a source of kind {other:?}; leave it out"));
            }
        }
        let source = match kind {
            Kind::Ovsdb => {
                self.match_decides = true;
                ovsdb(section, base)
            }
            Kind::Netdev => {
                self.match_decides = true;
                let Some(source) = netdev(section) else { return };
                source
            }
            Kind::Static => Source::Static { ports: self.static_ports(section) },
        };
        self.sources.push(source);
    }

    fn static_ports(&mut self, section: &Section<'_>) -> Vec<StaticPort> {
        let ports = section.sections("port", &PORT);
        if ports.is_empty() && section.get("port").is_none() {
            let message = "a static source has no [[source.port]]; give it one or leave it out";
            section.file.warn(section.span.clone(), message);
        }
        let mut seen = HashMap::new();
        let mut checked = Vec::new();
        for port in ports {
            let interface = port.require("interface", INTERFACE).and_then(|item| {
                let name = interface(&item)?;
                if let Some(first) = seen.insert(name.clone(), item.span.start) {
                    item.error(format!(
                        "interface {name:?} is named twice, first in line {}; keep one of them",
                        item.file.line_of(first)
                    ));
                }
                Some(name)
            });
            let vm = port.require("vm", VM).and_then(|item| name(&item, VM));
            let nic = match port.get("nic") {
                Some(item) => name(&item, NIC),
                None => Some(crate::lease::NicName::default()),
            };
            let mac = port.get("mac").and_then(|item| unicast_mac(&item));
            let network = port.get("network").and_then(|item| {
                let name = network_name(&item)?;
                self.named_networks.push(item.at(name.clone()));
                Some(name)
            });
            self.match_decides |= network.is_none();
            if let (Some(interface), Some(vm), Some(nic)) = (interface, vm, nic) {
                checked.push(StaticPort { interface, vm, nic, mac, network });
            }
        }
        checked
    }
}

fn ovsdb(section: &Section<'_>, base: &Path) -> Source {
    let presets = section.get("identity").map(|item| {
        let choices = Preset::ALL.map(|preset| (preset.name(), preset));
        item.items().iter().filter_map(|item| item.choice(&choices, &[])).collect()
    });
    Source::Ovsdb {
        socket: section
            .get("socket")
            .and_then(|item| path_in(base, &item))
            .unwrap_or_else(|| OVSDB_SOCKET.into()),
        bridges: super::values::list(section, "bridges", |item| filled(item, BRIDGE))
            .unwrap_or_default(),
        presets: presets.unwrap_or_else(|| Preset::ALL.to_vec()),
    }
}

fn netdev(section: &Section<'_>) -> Option<Source> {
    let item = section.require("match", GLOB)?;
    let globs = super::values::list(section, "match", |item| filled(item, GLOB))?;
    if globs.is_empty() {
        item.error(format!("\"match\" names no interface; write one like {}", GLOB.like));
        return None;
    }
    if let Some(renumbered) = globs.iter().find(|glob| glob.starts_with("vnet") && is_glob(glob)) {
        let message = format!(
            "libvirt numbers vnet interfaces anew at every start: with {renumbered:?} a VM would \
             get another's addresses; give the interfaces names of their VMs"
        );
        section.file.warn(section.span.clone(), message);
    }
    let vm = section.require("vm", NETDEV_VM)?;
    let text = filled(&vm, NETDEV_VM)?;
    let rest = text.replace("{interface}", "");
    if rest.contains(['{', '}']) {
        vm.error("\"vm\" may use {interface} alone; an [[identity]] rule can take a name apart");
        return None;
    }
    let one_interface = globs.len() == 1 && !globs.iter().any(|glob| is_glob(glob));
    if rest == text && !one_interface {
        vm.error("\"vm\" gives every interface the same VM; write one like \"lab/{interface}\"");
        return None;
    }
    Some(Source::Netdev { globs, vm: text })
}

fn is_glob(text: &str) -> bool {
    text.contains(['*', '?'])
}

fn identity_rule(section: &Section<'_>) -> Option<IdentityRule> {
    let from = section.require("from", FIELD).and_then(|item| field(&item));
    let pattern = section.require("pattern", PATTERN).and_then(|item| {
        let text = item.text(PATTERN)?;
        Regex::new(text)
            .map_err(|fault| {
                item.error(format!(
                    "pattern {text:?} does not compile: {fault}; write one like {}",
                    PATTERN.like
                ));
            })
            .ok()
    });
    let vm = section.require("vm", TEMPLATE).and_then(|item| template(&item, pattern.as_ref()));
    let nic = match section.get("nic") {
        Some(item) => template(&item, pattern.as_ref()),
        None => Some("default".to_owned()),
    };
    Some(IdentityRule { from: from?, pattern: pattern?, vm: vm?, nic: nic? })
}

fn field(item: &Item<'_>) -> Option<Field> {
    let text = item.text(FIELD)?;
    let field = match text.split_once(':') {
        None if text == "interface" => Field::Interface,
        None if text == "bridge" => Field::Bridge,
        Some(("external-ids", key)) if !key.is_empty() => Field::ExternalId(key.to_owned()),
        Some(("other-config", key)) if !key.is_empty() => Field::OtherConfig(key.to_owned()),
        Some(_) | None => {
            item.error_form(text, FIELD);
            return None;
        }
    };
    Some(field)
}

/// Checks that every `{...}` names a capture of the pattern; without a pattern only the braces.
fn template(item: &Item<'_>, pattern: Option<&Regex>) -> Option<String> {
    let text = filled(item, TEMPLATE)?;
    let mut rest = text.as_str();
    while let Some((_, tail)) = rest.split_once('{') {
        let Some((capture, tail)) = tail.split_once('}') else {
            item.error(format!("{:?} has a brace that is not closed; write {{name}}", item.key));
            return None;
        };
        let known: Vec<&str> =
            pattern.into_iter().flat_map(|pattern| pattern.capture_names().flatten()).collect();
        if pattern.is_some() && !known.contains(&capture) {
            let right = match known.as_slice() {
                [] => format!("name it in the pattern: (?<{capture}>...)"),
                known => format!("it captures {}", known.join(", ")),
            };
            item.error(format!(
                "{:?} uses {{{capture}}}, which the pattern does not capture; {right}",
                item.key
            ));
            return None;
        }
        rest = tail;
    }
    Some(text)
}

/// Reads a name that the kernel takes for an interface: 1 to 15 bytes, no slash, no white space.
fn interface(item: &Item<'_>) -> Option<String> {
    let text = item.text(INTERFACE)?;
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'/';
    if text.is_empty() || text.len() > 15 || !text.bytes().all(allowed) {
        item.error_form(text, INTERFACE);
        return None;
    }
    Some(text.to_owned())
}

/// Reads a MAC of one station.
pub(super) fn unicast_mac(item: &Item<'_>) -> Option<Mac> {
    let mac = item.parse::<Mac>(MAC)?.into_inner();
    if !mac.is_unicast() {
        item.error(format!("MAC {mac} is not one station's address; write one like {}", MAC.like));
        return None;
    }
    Some(mac)
}

/// Reads a text that is not empty.
pub(super) fn filled(item: &Item<'_>, form: Form) -> Option<String> {
    let text = item.text(form)?;
    if text.is_empty() {
        item.error_form(text, form);
        return None;
    }
    Some(text.to_owned())
}

/// Reads a path; a relative one starts where the file is.
pub(super) fn path_in(base: &Path, item: &Item<'_>) -> Option<PathBuf> {
    let like = match item.key {
        "path" => "\"/var/lib/leasehold\"",
        "networks-dir" => "\"networks.d\"",
        "socket" => "\"/run/leasehold/control.sock\"",
        _ => "\"/etc/leasehold/etcd.pem\"",
    };
    filled(item, Form { what: "a path", like }).map(|text| base.join(text))
}

const DEPLOYMENT_FORM: Form = Form { what: "a deployment's name", like: "\"leasehold\"" };
const FIELD: Form = Form {
    what: "a field of a port",
    like: "\"external-ids:iface-id\", \"other-config:KEY\", \"interface\" or \"bridge\"",
};
const KIND: Form = Form { what: "a kind of source", like: "\"ovsdb\", \"netdev\" or \"static\"" };

/// RFC 6355, section 4.
const DUID_UUID: u16 = 4;

/// Where the daemon listens unless the file says otherwise.
pub const CONTROL_SOCKET: &str = "/run/leasehold/control.sock";
const DEPLOYMENT_NAME: &str = "leasehold";
const METRICS_LISTEN: &str = "127.0.0.1:9768";
const NETWORKS_DIR: &str = "networks.d";
const OVSDB_SOCKET: &str = "/run/openvswitch/db.sock";

pub(super) const ROOT: Keys = Keys {
    place: "",
    known: &[
        "networks-dir",
        "deployment",
        "node",
        "store",
        "source",
        "identity",
        "metrics",
        "control",
        "limits",
    ],
    later: &[],
};
pub(super) const DEPLOYMENT: Keys =
    Keys { place: " in [deployment]", known: &["name"], later: &[] };
pub(super) const NODE_KEYS: Keys = Keys { place: " in [node]", known: &["name"], later: &[] };
pub(super) const SOURCE: Keys = Keys {
    place: " in [[source]]",
    known: &["kind", "socket", "bridges", "identity", "port", "match", "vm"],
    later: &[],
};
pub(super) const PORT: Keys = Keys {
    place: " in [[source.port]]",
    known: &["interface", "vm", "nic", "mac", "network"],
    later: &[],
};
pub(super) const IDENTITY: Keys =
    Keys { place: " in [[identity]]", known: &["from", "pattern", "vm", "nic"], later: &[] };
pub(super) const METRICS: Keys = Keys { place: " in [metrics]", known: &["listen"], later: &[] };
pub(super) const CONTROL: Keys = Keys { place: " in [control]", known: &["socket"], later: &[] };
pub(super) const LIMITS: Keys =
    Keys { place: " in [limits]", known: &["max-ports", "frames-per-second", "burst"], later: &[] };
