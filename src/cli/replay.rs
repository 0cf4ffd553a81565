//! `leasehold replay`: answers a capture offline.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::{ExitStatus, Failure, check, leases, print};
use crate::binding::{Binding, PortFacts};
use crate::clock;
use crate::config::Config;
use crate::control::LeaseRow;
use crate::lease::{Assignment, Lease, LeaseKey, LeaseTable, NicName, Occasion, VmId};
use crate::network::Network;
use crate::outcome::{DropReason, Outcome, Protocol, Verdict};
use crate::replay::{
    Capture, CaptureError, CaptureTime, CaptureWriter, Captured, Event, Fixture, FixturePort,
    Replay, Told,
};
use crate::responder::Turn;
use crate::time::Wall;
use crate::wire::{Frame, Mac};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The capture, pcap or pcapng
    file: PathBuf,
    /// The VM whose port it was made on
    #[arg(long)]
    vm: VmId,
    /// Which of the VM's interfaces [default: the only one that the network or --store names, else "default"]
    #[arg(long)]
    nic: Option<NicName>,
    /// The network [default: the one with an entry for the VM, or the only one]
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// The port's known MAC: frames from another one are dropped
    #[arg(long)]
    mac: Option<Mac>,
    /// The port is a trunk: the tag of the network's [match] vlan is served
    #[arg(long)]
    trunk: bool,
    /// Take the lease that the VM holds, from the daemon or its store, not one of an empty table
    #[arg(long)]
    store: bool,
    /// Write the replies to a pcap file, with the times of what they answer
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the VM's frames and the answers to a new folder, as a case of packet-fixtures
    #[arg(long, value_name = "DIR")]
    fixture: Option<PathBuf>,
    /// Print one JSON object a frame
    #[arg(long)]
    json: bool,
}

pub(super) fn replay(path: &Path, options: &Options) -> Result<(), Failure> {
    let config = check::load(path)?;
    let port = Port::find(path, &config, options)?;
    let capture = Capture::open(&options.file, port.binding.source_mac).map_err(unreadable)?;
    refuse_to_overwrite(options)?;
    if !options.json {
        print(&port.headline())?;
    }
    let mut session = Session {
        options,
        replay: Replay::new(Arc::clone(&port.binding)),
        writer: options.out.as_deref().map(Writer::create).transpose()?,
        fixture: Fixture::default(),
        summary: Summary::default(),
    };
    // What was read before a fault is shown, counted and written all the same.
    let mut fault = None;
    for captured in capture {
        match captured {
            Ok(captured) => session.show(&captured)?,
            Err(error) => fault = Some(error),
        }
    }
    session.finish(&config, &port)?;
    match fault {
        None => Ok(()),
        // Whoever stops tcpdump leaves such a file.
        Some(error @ CaptureError::Cut { .. }) => {
            eprintln!("{error}");
            Ok(())
        }
        Some(error) => Err(unreadable(error)),
    }
}

/// The port that is answered: a network, a lease and what was said of the port.
struct Port {
    network: Arc<Network>,
    template: PathBuf,
    assignment: Assignment,
    /// Whether an empty lease table would have given the same addresses.
    is_fresh: bool,
    binding: Arc<Binding>,
}

impl Port {
    fn find(path: &Path, config: &Config, options: &Options) -> Result<Self, Failure> {
        let (network, template) = choose_network(config, options)?;
        let leases = if options.store { stored(leases::rows(path)?) } else { Vec::new() };
        let key = LeaseKey {
            network: network.name.clone(),
            vm: options.vm.clone(),
            nic: choose_nic(&leases, &network, options)?,
        };
        let occasion = Occasion { node: &config.node, wall: clock::wall() };
        let fresh = LeaseTable::default().assign(&network, &key, occasion).lease;
        let (mut table, _) = LeaseTable::load(leases);
        let assignment = table.assign(&network, &key, occasion);
        let trunk_vlan = match (options.trunk, network.matcher.vlan) {
            (false, _) => None,
            (true, Some(vlan)) => Some(vlan),
            (true, None) => {
                let name = &network.name;
                return Err(usage(format!(
                    "--trunk: network {name} has no [match] vlan, so no tag is served on a trunk"
                )));
            }
        };
        let facts = PortFacts { mac: options.mac, trunk_vlan, mtu: MTU };
        let parameters = network.parameters(&assignment.lease, config.server_duid);
        let lease = &assignment.lease;
        Ok(Self {
            is_fresh: (fresh.ipv4, fresh.ipv6, fresh.prefix)
                == (lease.ipv4, lease.ipv6, lease.prefix),
            binding: Arc::new(Binding::new(key, &facts, &parameters)),
            network,
            template,
            assignment,
        })
    }

    /// Says for whom the capture is answered, and with which addresses.
    fn headline(&self) -> String {
        let Assignment { lease, no_ipv4, no_ipv6, no_prefix, .. } = &self.assignment;
        let LeaseKey { network, vm, nic } = &lease.key;
        let ipv4 = self.network.ipv4.as_ref().and(lease.ipv4).map(|address| address.to_string());
        let ipv6 = self.network.ipv6.as_ref().and(lease.ipv6).map(|address| address.to_string());
        let delegation = self.network.ipv6.as_ref().and_then(|ipv6| ipv6.delegation.as_ref());
        let prefix = delegation.and(lease.prefix).map(|prefix| prefix.to_string());
        let addresses: Vec<String> = [ipv4, ipv6, prefix].into_iter().flatten().collect();
        let addresses =
            if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") };
        let mut text = format!("{vm} {nic} on network {network}: {addresses}\n");
        for reason in [no_ipv4, no_ipv6, no_prefix].into_iter().flatten() {
            let _ = writeln!(text, "  {reason}");
        }
        text
    }
}

/// Finds the network by its name, by the VM's entry, or because there is no other.
fn choose_network(config: &Config, options: &Options) -> Result<(Arc<Network>, PathBuf), Failure> {
    let all = || config.networks.iter().zip(&config.network_files);
    let names = |of: &[(&Arc<Network>, &PathBuf)]| {
        of.iter().map(|(network, _)| network.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let vm = &options.vm;
    let candidates: Vec<_> = match &options.network {
        Some(name) => all().filter(|(network, _)| network.name.as_str() == name).collect(),
        None => all().filter(|(network, _)| has_entry(network, options)).collect(),
    };
    let every: Vec<_> = all().collect();
    let chosen = match (candidates.as_slice(), every.as_slice(), &options.network) {
        ([one], _, _) | ([], [one], None) => one,
        (_, [], _) => {
            let dir = config.networks_dir.display();
            return Err(usage(format!("no network is configured; add a file to {dir}")));
        }
        (_, _, Some(name)) => {
            let names = names(&every);
            return Err(usage(format!("no network is named {name:?}; the networks are {names}")));
        }
        ([], _, None) => {
            let names = names(&every);
            return Err(usage(format!(
                "no network has an entry for {vm}; name one with --network: {names}"
            )));
        }
        (several, _, None) => {
            let names = names(several);
            return Err(usage(format!(
                "more than one network has an entry for {vm}; name one with --network: {names}"
            )));
        }
    };
    Ok((Arc::clone(chosen.0), chosen.1.clone()))
}

fn has_entry(network: &Network, options: &Options) -> bool {
    match &options.nic {
        Some(nic) => network.vm_entry(&options.vm, nic).is_some(),
        None => network.vms.iter().any(|entry| entry.id == options.vm),
    }
}

/// Takes the NIC that was named, or the only one that has an entry or holds a lease.
fn choose_nic(leases: &[Lease], network: &Network, options: &Options) -> Result<NicName, Failure> {
    let (vm, name) = (&options.vm, &network.name);
    let leased = leases
        .iter()
        .filter(|lease| lease.key.vm == *vm && lease.key.network == *name)
        .map(|lease| &lease.key.nic);
    let entries = network.vms.iter().filter(|entry| entry.id == *vm);
    let nics: BTreeSet<&NicName> =
        leased.chain(entries.filter_map(|entry| entry.nic.as_ref())).collect();
    match (&options.nic, nics.into_iter().collect::<Vec<_>>().as_slice()) {
        (Some(nic), _) => Ok(nic.clone()),
        (None, [nic]) => Ok((*nic).clone()),
        (None, []) => Ok(NicName::default()),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|nic| nic.as_str()).collect();
            Err(usage(format!(
                "{vm} has several NICs on network {name}; name one with --nic: {}",
                names.join(", ")
            )))
        }
    }
}

/// Makes leases of a listing again; what cannot be read holds no address here.
fn stored(rows: Vec<LeaseRow>) -> Vec<Lease> {
    let lease = |row: LeaseRow| {
        Some(Lease {
            key: LeaseKey {
                network: row.network.parse().ok()?,
                vm: row.vm.parse().ok()?,
                nic: row.nic.parse().ok()?,
            },
            ipv4: row.ipv4.and_then(|address| address.parse().ok()),
            ipv6: row.ipv6.and_then(|address| address.parse().ok()),
            prefix: row.prefix.and_then(|prefix| prefix.parse().ok()),
            hostname: row.hostname,
            created: Wall::default(),
            node: row.node,
            arrived: None,
            last_seen: None,
            conflict: row.conflict,
        })
    };
    rows.into_iter().filter_map(lease).collect()
}

/// One run through a capture.
struct Session<'a> {
    options: &'a Options,
    replay: Replay,
    writer: Option<Writer>,
    fixture: Fixture,
    summary: Summary,
}

impl Session<'_> {
    /// Answers one frame, prints its line, and keeps what is to be written.
    fn show(&mut self, captured: &Captured) -> Result<(), Failure> {
        let first = *self.summary.first.get_or_insert(captured.time);
        self.summary.last = captured.time;
        let mut row = Row {
            number: captured.number,
            time: captured.time.to_string(),
            source: None,
            vlan: None,
            protocol: None,
            message: None,
            verdict: "unreadable",
            reply: None,
            note: None,
            reason: None,
            address: None,
            explanation: None,
        };
        match &captured.frame {
            Err(unreadable) => row.explanation = Some(unreadable.to_string()),
            Ok(ethernet) => {
                let frame = ethernet.frame();
                row.source = ethernet.source().map(|mac| mac.to_string());
                row.vlan = ethernet.vlan;
                match self.replay.handle(&frame) {
                    Event::ToGuest(told) => row.tell(&told),
                    Event::FromGuest(turn) => {
                        self.keep(captured.time, &frame, &turn)?;
                        row.decide(&turn, self.replay.replies().frames().next());
                    }
                }
            }
        }
        self.summary.count(&row);
        if self.options.json {
            let line = serde_json::to_string(&row).map_err(|error| {
                Failure::new(ExitStatus::Software, format!("writing JSON: {error}"))
            })?;
            return print(&format!("{line}\n"));
        }
        print(&row.line(&captured.time.seconds_since(first)))
    }

    fn keep(&mut self, time: CaptureTime, frame: &Frame<'_>, turn: &Turn) -> Result<(), Failure> {
        let replies = self.replay.replies();
        if let Some(writer) = &mut self.writer {
            for reply in replies.frames() {
                writer.write(time, reply)?;
            }
        }
        // A case is made of what the socket's filter lets through.
        let is_seen = turn.outcome
            != Outcome::dropped(Protocol::Other, turn.outcome.message, DropReason::NotForUs);
        if self.options.fixture.is_some() && is_seen {
            self.fixture.add(frame, turn, replies);
        }
        Ok(())
    }

    fn finish(self, config: &Config, port: &Port) -> Result<(), Failure> {
        let mut text = format!("\n{}\n", self.summary.line());
        if let Some(writer) = self.writer {
            let _ = writeln!(text, "wrote {}", writer.finish()?);
        }
        if let Some(folder) = &self.options.fixture {
            text.push_str(&write_fixture(config, port, (self.options, folder, &self.fixture))?);
        }
        if self.options.json { Ok(()) } else { print(&text) }
    }
}

/// One frame, as `--json` prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    /// Its place in the file, from 1.
    number: u64,
    /// Seconds since 1970, as text: JSON's numbers lose nanoseconds.
    time: String,
    source: Option<String>,
    /// The VLAN tag that was taken out.
    vlan: Option<u16>,
    protocol: Option<&'static str>,
    message: Option<&'static str>,
    /// `replied`, `noted`, `dropped`, `to-guest` or `unreadable`.
    verdict: &'static str,
    /// The reply's type.
    reply: Option<&'static str>,
    note: Option<&'static str>,
    /// The drop reason.
    reason: Option<&'static str>,
    /// The address that the reply, or the message to the guest, gives.
    address: Option<String>,
    /// Note or reason in words.
    explanation: Option<String>,
}

impl Row {
    fn decide(&mut self, turn: &Turn, reply: Option<&[u8]>) {
        let Outcome { protocol, message, verdict } = turn.outcome;
        self.protocol = Some(protocol.as_str());
        self.message = Some(message.as_str());
        self.note = turn.note.map(|note| note.as_str());
        self.explanation = turn.note.map(|note| note.explain().to_owned());
        match verdict {
            Verdict::Replied(message) => {
                self.verdict = "replied";
                self.reply = Some(message.as_str());
                let address = reply.and_then(|reply| Told::of_reply(reply).address);
                self.address = address.map(|address| address.to_string());
            }
            Verdict::Noted(_) => self.verdict = "noted",
            Verdict::Dropped(reason) => {
                self.verdict = "dropped";
                self.reason = Some(reason.as_str());
                self.explanation = Some(reason.explain().to_owned());
            }
        }
    }

    fn tell(&mut self, told: &Told) {
        self.verdict = "to-guest";
        self.protocol = Some(told.protocol.as_str());
        self.message = Some(told.message.as_str());
        self.address = told.address.map(|address| address.to_string());
    }

    /// Writes the row for people: number, time, source, what was sent, what became of it.
    fn line(&self, time: &str) -> String {
        let source = self.source.as_deref().unwrap_or("-");
        let mut text = format!("{:>3}  {time:>5}  {source:17}  ", self.number);
        let address = self.address.as_ref().map(|address| format!(" {address}"));
        let address = address.unwrap_or_default();
        let what = match (self.protocol, self.message) {
            (Some(protocol), Some("unknown")) => protocol.to_owned(),
            (Some(protocol), Some(message)) => format!("{protocol} {message}"),
            (Some(_) | None, None) | (None, Some(_)) => String::new(),
        };
        let vlan = self.vlan.map_or_else(String::new, |tci| format!(" (VLAN {})", tci & 0xfff));
        let explanation = self.explanation.as_deref().unwrap_or_default();
        let _ = match (self.reply, self.note, self.reason) {
            (Some(reply), None, _) => writeln!(text, "{what}{vlan} > {reply}{address}"),
            (Some(reply), Some(note), _) => {
                writeln!(text, "{what}{vlan} > {reply}{address}, note {note}: {explanation}")
            }
            (None, Some(note), _) => writeln!(text, "{what}{vlan} > note {note}: {explanation}"),
            (None, None, Some(reason)) => {
                writeln!(text, "{what}{vlan} > drop {reason}: {explanation}")
            }
            (None, None, None) if self.protocol.is_some() => {
                writeln!(text, "{what}{address}{vlan} < to the guest, not answered")
            }
            (None, None, None) => writeln!(text, "not read: {explanation}"),
        };
        text
    }
}

/// What became of all frames.
#[derive(Debug, Default)]
struct Summary {
    first: Option<CaptureTime>,
    last: CaptureTime,
    frames: u64,
    replied: Counts,
    noted: Counts,
    dropped: Counts,
    to_guest: u64,
    unreadable: u64,
}

type Counts = BTreeMap<&'static str, u64>;

impl Summary {
    fn count(&mut self, row: &Row) {
        add(&mut self.frames);
        match (row.reply, row.note, row.reason) {
            (Some(reply), _, _) => add(self.replied.entry(reply).or_default()),
            (None, Some(note), _) => add(self.noted.entry(note).or_default()),
            (None, None, Some(reason)) => add(self.dropped.entry(reason).or_default()),
            (None, None, None) if row.protocol.is_some() => add(&mut self.to_guest),
            (None, None, None) => add(&mut self.unreadable),
        }
    }

    fn line(&self) -> String {
        let seconds = self.last.seconds_since(self.first.unwrap_or_default());
        let frames = if self.frames == 1 { "frame" } else { "frames" };
        let mut text = format!("{} {frames} in {seconds} s", self.frames);
        let mut separator = ":";
        for (counts, word) in
            [(&self.replied, "answered"), (&self.noted, "noted"), (&self.dropped, "dropped")]
        {
            if !counts.is_empty() {
                let total: u64 = counts.values().sum();
                let each: Vec<String> =
                    counts.iter().map(|(label, number)| format!("{label} {number}")).collect();
                let _ = write!(text, "{separator} {total} {word} ({})", each.join(", "));
                separator = ",";
            }
        }
        for (number, word) in [(self.to_guest, "to the guest"), (self.unreadable, "not read")] {
            if number > 0 {
                let _ = write!(text, "{separator} {number} {word}");
                separator = ",";
            }
        }
        text
    }
}

fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}

/// The file of `--out`.
struct Writer {
    name: String,
    capture: CaptureWriter<BufWriter<File>>,
    replies: u64,
}

impl Writer {
    fn create(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let capture = File::create(path)
            .and_then(|file| CaptureWriter::new(BufWriter::new(file)))
            .map_err(|error| unwritten(&name, &error))?;
        Ok(Self { name, capture, replies: 0 })
    }

    fn write(&mut self, time: CaptureTime, reply: &[u8]) -> Result<(), Failure> {
        add(&mut self.replies);
        self.capture.write(time, reply).map_err(|error| unwritten(&self.name, &error))
    }

    /// Ends the file; returns what was written in words.
    fn finish(self) -> Result<String, Failure> {
        self.capture.finish().map_err(|error| unwritten(&self.name, &error))?;
        let replies = if self.replies == 1 { "reply" } else { "replies" };
        Ok(format!("{} {replies} to {}", self.replies, self.name))
    }
}

fn write_fixture(
    config: &Config,
    port: &Port,
    (options, folder, fixture): (&Options, &Path, &Fixture),
) -> Result<String, Failure> {
    let name = folder.display();
    if fixture.is_empty() {
        return Err(usage(format!(
            "writing the case {name}: the capture has no frame of the VM's that is for leasehold"
        )));
    }
    let lease = &port.assignment.lease;
    let capture = options.file.file_name().unwrap_or_default().to_string_lossy();
    let described = FixturePort {
        capture: &capture,
        key: &port.binding.key,
        deployment: &config.deployment,
        mac: options.mac,
        trunk_vlan: port.binding.trunk_vlan,
        held: (!port.is_fresh).then_some((lease.ipv4, lease.ipv6)),
        template: &port.template,
    };
    let template =
        fixture.write(folder, &described).map_err(|error| unwritten(&name.to_string(), &error))?;
    let frames = if fixture.len() == 1 { "frame" } else { "frames" };
    Ok(format!(
        "wrote a case of {} {frames} to {name}; to run it, put the folder into packet-fixtures and \
         {} into packet-fixtures/networks\n",
        fixture.len(),
        template.display(),
    ))
}

/// Refuses to write over the capture, or into a folder that holds something, before anything is
/// written.
fn refuse_to_overwrite(options: &Options) -> Result<(), Failure> {
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    if let Some(out) = &options.out
        && identity(out).is_some_and(|out| identity(&options.file) == Some(out))
    {
        let out = out.display();
        return Err(usage(format!("--out {out}: it is the capture itself; name another file")));
    }
    if let Some(folder) = &options.fixture
        && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
    {
        let folder = folder.display();
        return Err(usage(format!("--fixture {folder}: it is not empty; name a new folder")));
    }
    Ok(())
}

fn usage(text: String) -> Failure {
    Failure::new(ExitStatus::Usage, text)
}

/// A capture that cannot be read is a wrong argument, unless a permission is missing.
fn unreadable(error: CaptureError) -> Failure {
    let code = match &error {
        CaptureError::Open { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
            ExitStatus::NoPermission
        }
        CaptureError::Open { .. }
        | CaptureError::Read(_)
        | CaptureError::NotACapture(_)
        | CaptureError::LinkType { .. }
        | CaptureError::Cut { .. }
        | CaptureError::Damaged { .. } => ExitStatus::Usage,
    };
    Failure::new(code, error.to_string())
}

fn unwritten(name: &str, error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::PermissionDenied => ExitStatus::NoPermission,
        _ => ExitStatus::OsError,
    };
    Failure::new(code, format!("writing {name}: {error}"))
}

/// What a VM's port has where nobody sets another one.
const MTU: u16 = 1_500;
