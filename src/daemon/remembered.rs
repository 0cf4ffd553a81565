//! The ports that the last process served, for a start while their database is away.
//!
//! They stand in one small file beside the lease store. It is read once. If a source cannot reach
//! its database at the start, the ports that it named last are served as they were, each only if
//! its device is still the one that it was: same name, same index, same MAC, since the same boot.
//! The source's first snapshot replaces them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::claims::Claims;
use super::links::Links;
use crate::clock;
use crate::config::{Config, Source, Store};
use crate::discovery::{Identity, IdentityTrace, Port, PortStatus, Seen, SourceId, SwitchPort};
use crate::lease::{NicName, VmId};
use crate::net::Link;
use crate::time::Mono;

/// What is remembered of the ports, and where it is kept.
pub(super) struct Remembered {
    boot: String,
    /// What the file said of each source, until the source has spoken.
    last: BTreeMap<SourceId, Arc<[KeptPort]>>,
    /// By which rules each source spoke last.
    rules: HashMap<SourceId, String>,
    /// The devices of ports that are served from memory.
    devices: HashMap<(SourceId, String), Device>,
    /// When the file is written next; none while it is up to date.
    due: Option<Mono>,
    writer: Option<Writer>,
}

/// Writes the file, one state after another, the newest alone if they come fast.
struct Writer {
    states: watch::Sender<Arc<State>>,
    task: JoinHandle<()>,
}

/// The whole file, as it is read.
#[derive(Debug, Default, Deserialize)]
struct Kept {
    /// The boot that device indexes belong to.
    boot: String,
    sources: Vec<KeptSource>,
}

/// The ports as they are to be written: nothing of them is copied, and the text is made where
/// nobody waits for it.
#[derive(Debug, Default, Serialize)]
struct State {
    boot: String,
    sources: Vec<SourceState>,
}

#[derive(Debug, Serialize)]
struct SourceState {
    rules: String,
    ports: PortsState,
}

#[derive(Debug)]
enum PortsState {
    /// The source has not spoken yet.
    Last(Arc<[KeptPort]>),
    Now(Vec<(Arc<Port>, Device)>),
}

#[derive(Debug, Deserialize)]
struct KeptSource {
    /// A digest of what the files say of the source and of identities: under other rules the ports
    /// may be other VMs'.
    rules: String,
    ports: Vec<KeptPort>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct KeptPort {
    interface: String,
    device: Device,
    vm: VmId,
    nic: NicName,
    rule: String,
    saw: Vec<(String, String)>,
    mac: Option<String>,
    bridge: Option<String>,
    tag: Option<u16>,
    trunks: Vec<u16>,
    is_trunk: bool,
    external_ids: BTreeMap<String, String>,
    inactive: bool,
    #[serde(default)]
    switch: Option<SwitchPort>,
}

/// What tells one network device from another of the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Device {
    ifindex: u32,
    mac: Option<String>,
}

impl Remembered {
    /// Reads the file of the last process; with a store that keeps nothing there is none.
    pub(super) fn open(config: &Config) -> Self {
        let mut remembered = Self {
            boot: boot(),
            last: BTreeMap::new(),
            rules: HashMap::new(),
            devices: HashMap::new(),
            due: None,
            writer: None,
        };
        let Some(path) = path(&config.store) else { return remembered };
        match read(&path) {
            Ok(kept) => remembered.take_in(kept, config),
            Err(error) => tracing::warn!(
                %error,
                "reading {}; ports are served once their database answers",
                path.display()
            ),
        }
        remembered.writer = Some(Writer::start(path));
        remembered
    }

    fn take_in(&mut self, kept: Kept, config: &Config) {
        if kept.boot != self.boot || self.boot.is_empty() {
            return;
        }
        let mut by_rules: HashMap<String, Vec<KeptPort>> =
            kept.sources.into_iter().map(|source| (source.rules, source.ports)).collect();
        for (id, source) in databases(config) {
            if let Some(ports) = by_rules.remove(&rules(config, source)) {
                self.last.insert(id, ports.into());
            }
        }
    }

    /// Returns the ports that a source named last, if it has not spoken since the start.
    pub(super) fn recall(&mut self, source: SourceId, config: &Config) -> Option<Vec<Arc<Port>>> {
        let kept = self.last.remove(&source).filter(|ports| !ports.is_empty())?;
        self.note_rules(source, config);
        for port in kept.iter() {
            self.devices.insert((source, port.interface.clone()), port.device.clone());
        }
        Some(kept.iter().cloned().map(|port| Arc::new(port.into())).collect())
    }

    /// Takes note that a source has spoken: what it says goes for everything.
    pub(super) fn heard(&mut self, source: SourceId, config: &Config) {
        self.note_rules(source, config);
        self.last.remove(&source);
        self.devices.retain(|(of, _), _| *of != source);
    }

    fn note_rules(&mut self, source: SourceId, config: &Config) {
        if let Some(of) = config.sources.get(source.0) {
            self.rules.insert(source, rules(config, of));
        }
    }

    /// Forgets what no source has confirmed and nothing is served by: the files say something else
    /// now.
    pub(super) fn forget_unheard(&mut self) {
        self.last.clear();
    }

    /// Says why a port must not be served from memory; `None`: it may, or it is not.
    pub(super) fn doubt(
        &self,
        source: SourceId,
        interface: &str,
        link: Option<&Link>,
    ) -> Option<&'static str> {
        // Without a device there is nothing to mistake.
        let (known, link) = (self.devices.get(&(source, interface.to_owned()))?, link?);
        (*known != Device::of(link)).then_some(ANOTHER_DEVICE)
    }

    /// Counts the ports of a source that are known from memory alone.
    pub(super) fn count(&self, source: SourceId) -> usize {
        self.devices.keys().filter(|(of, _)| *of == source).count()
    }

    /// Has the file written soon, once for many changes.
    pub(super) fn changed(&mut self) {
        if self.writer.is_some() {
            self.due.get_or_insert_with(|| clock::mono().after(WRITE_DELAY));
        }
    }

    /// Returns when [`Self::write`] is to be called.
    pub(super) const fn due(&self) -> Option<Mono> {
        self.due
    }

    /// Has the file written with the ports as they are now.
    pub(super) fn write(&mut self, config: &Config, claims: &Claims, links: &Links) {
        self.due = None;
        let Some(writer) = &self.writer else { return };
        let ports = |id: SourceId| match self.last.get(&id) {
            Some(last) => PortsState::Last(Arc::clone(last)),
            None => {
                let ports = claims.of(id).filter_map(|port| {
                    let known = self.devices.get(&(id, port.interface.clone())).cloned();
                    let device = || links.get(&port.interface).map(Device::of);
                    Some((Arc::clone(port), known.or_else(device)?))
                });
                PortsState::Now(ports.collect())
            }
        };
        let sources = databases(config).map(|(id, source)| SourceState {
            // After a reload it may not have spoken by its new rules yet.
            rules: self.rules.get(&id).cloned().unwrap_or_else(|| rules(config, source)),
            ports: ports(id),
        });
        let state = State { boot: self.boot.clone(), sources: sources.collect() };
        let _ = writer.states.send(Arc::new(state));
    }

    /// Waits until what was to be written is.
    pub(super) async fn close(self) {
        if let Some(Writer { states, task }) = self.writer {
            drop(states);
            let _ = task.await;
        }
    }
}

impl Writer {
    fn start(path: PathBuf) -> Self {
        let (states, mut given) = watch::channel(Arc::default());
        let task = tokio::spawn(async move {
            let mut last_error = String::new();
            // What the file holds: a link that flaps costs no writes.
            let mut written = None;
            // A state that came before the sender went is still seen.
            while given.changed().await.is_ok() {
                let state = Arc::clone(&given.borrow_and_update());
                let target = path.clone();
                let writing = tokio::task::spawn_blocking(move || {
                    let digest = digest(&state)?;
                    if written != Some(digest) {
                        replace(&target, &state)?;
                    }
                    io::Result::Ok(digest)
                });
                let error = match writing.await {
                    Ok(Ok(digest)) => {
                        written = Some(digest);
                        String::new()
                    }
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => String::new(),
                };
                if !error.is_empty() && error != last_error {
                    tracing::warn!(%error, "writing {}", path.display());
                }
                last_error = error;
            }
        });
        Self { states, task }
    }
}

impl Serialize for PortsState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Last(ports) => ports.serialize(serializer),
            Self::Now(ports) => {
                let kept = |(port, device): &(Arc<Port>, Device)| KeptPort::of(port, device);
                serializer.collect_seq(ports.iter().filter_map(kept))
            }
        }
    }
}

impl Device {
    fn of(link: &Link) -> Self {
        Self { ifindex: link.ifindex, mac: link.mac.map(|mac| mac.to_string()) }
    }
}

impl KeptPort {
    /// Makes the entry of a port; `None`: there is nothing in it to serve.
    fn of(port: &Port, device: &Device) -> Option<Self> {
        let Identity { vm, nic, trace } = port.identity.as_ref().ok()?;
        let inactive = match port.status {
            PortStatus::Active => false,
            PortStatus::Inactive => true,
            PortStatus::NoDevice(_) => return None,
        };
        Some(Self {
            interface: port.interface.clone(),
            device: device.clone(),
            vm: vm.clone(),
            nic: nic.clone(),
            rule: trace.rule.clone(),
            saw: trace.saw.iter().map(|seen| (seen.key.clone(), seen.value.clone())).collect(),
            mac: port.mac.map(|mac| mac.to_string()),
            bridge: port.bridge.clone(),
            tag: port.tag,
            trunks: port.trunks.clone(),
            is_trunk: port.is_trunk,
            external_ids: port.external_ids.to_map(),
            inactive,
            switch: port.switch.clone(),
        })
    }
}

impl From<KeptPort> for Port {
    fn from(kept: KeptPort) -> Self {
        let saw = kept.saw.into_iter().map(|(key, value)| Seen { key, value }).collect();
        let trace = IdentityTrace { rule: kept.rule, saw };
        let identity = Identity { vm: kept.vm, nic: kept.nic, trace };
        Self {
            mac: kept.mac.and_then(|mac| mac.parse().ok()),
            bridge: kept.bridge,
            tag: kept.tag,
            trunks: kept.trunks,
            is_trunk: kept.is_trunk,
            external_ids: kept.external_ids.into(),
            switch: kept.switch,
            status: if kept.inactive { PortStatus::Inactive } else { PortStatus::Active },
            ..Self::new(kept.interface, Ok(identity))
        }
    }
}

/// Returns the sources that may be away at a start: the others say at once what they have.
fn databases(config: &Config) -> impl Iterator<Item = (SourceId, &Source)> {
    let is_database = |source: &Source| match source {
        Source::Ovsdb { .. } => true,
        Source::Netdev { .. } | Source::Static { .. } => false,
    };
    let sources = config.sources.iter().enumerate();
    sources
        .filter(move |(_, source)| is_database(source))
        .map(|(at, source)| (SourceId(at), source))
}

fn rules(config: &Config, source: &Source) -> String {
    let text = format!("{source:?} {:?}", config.identity);
    Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn path(store: &Store) -> Option<PathBuf> {
    match store {
        Store::Embedded { path } | Store::Etcd { path, .. } => Some(path.join(FILE_NAME)),
        Store::Memory => None,
    }
}

/// Returns the id of this boot, empty if it cannot be had.
fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

fn read(path: &Path) -> io::Result<Kept> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Kept::default()),
        Err(error) => Err(error),
    }
}

/// Makes the digest of the text, without making the text.
fn digest(state: &State) -> io::Result<[u8; 32]> {
    let mut digest = Sha256::new();
    serde_json::to_writer(&mut digest, state)?;
    Ok(digest.finalize().into())
}

/// Writes a new file and puts it in the place of the old one: after a power cut it is one of both.
fn replace(path: &Path, state: &State) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    let mut text = BufWriter::new(file);
    serde_json::to_writer(&mut text, state)?;
    text.flush()?;
    text.get_ref().sync_all()?;
    fs::rename(&new, path)?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Why a port is not served from memory.
const ANOTHER_DEVICE: &str = "its database is away, and the device is not the one that it named \
                              last; it is served once the database answers";

const FILE_NAME: &str = "ports.json";

/// How long the file may lag behind.
const WRITE_DELAY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
