//! A capture as a case of `packet-fixtures/`: a bug report becomes a test.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use crate::lease::LeaseKey;
use crate::outcome::Verdict;
use crate::responder::Turn;
use crate::wire::{Frame, Mac, Outbox};

/// A case that is being collected, to be written in one go.
#[derive(Debug, Default)]
pub struct Fixture {
    steps: Vec<(String, String)>,
}

/// What `case.toml` says of the port.
#[derive(Debug)]
pub struct FixturePort<'a> {
    /// The capture's name.
    pub capture: &'a str,
    /// Network, VM and NIC.
    pub key: &'a LeaseKey,
    /// `[deployment] name`, which the server's DUID is made from.
    pub deployment: &'a str,
    /// The port's known MAC.
    pub mac: Option<Mac>,
    /// The tag that is served on a trunk.
    pub trunk_vlan: Option<u16>,
    /// The addresses of a stored lease, where an empty table would give others.
    pub held: Option<(Option<Ipv4Addr>, Option<Ipv6Addr>)>,
    /// The file of the network's template.
    pub template: &'a Path,
}

impl Fixture {
    /// Takes one frame of the guest's, with what became of it.
    pub fn add(&mut self, frame: &Frame<'_>, turn: &Turn, replies: &Outbox) {
        self.steps.push((input_text(frame), output_text(turn, replies)));
    }

    /// Returns how many frames were taken.
    #[must_use]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Tells whether no frame was taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Writes the folder: `case.toml`, the frames, the answers, and the template. Returns where the
    /// template stands.
    ///
    /// # Errors
    /// Whatever the system says; a folder that holds something is `DirectoryNotEmpty`.
    pub fn write(&self, folder: &Path, port: &FixturePort<'_>) -> io::Result<PathBuf> {
        fs::create_dir_all(folder)?;
        if fs::read_dir(folder)?.next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        fs::write(folder.join("case.toml"), case_text(port))?;
        // The runner takes them in the order of their names.
        let width = self.steps.len().to_string().len().max(2);
        for (number, (input, output)) in (1_usize..).zip(&self.steps) {
            fs::write(folder.join(format!("{number:0width$}-in.hex")), input)?;
            fs::write(folder.join(format!("{number:0width$}-out.txt")), output)?;
        }
        let template = folder.join(format!("{}.toml", port.key.network));
        fs::copy(port.template, &template)?;
        Ok(template)
    }
}

/// Returns the text of an `-out.txt`: the verdict in one line, then the replies' bytes.
#[must_use]
pub fn output_text(turn: &Turn, replies: &Outbox) -> String {
    let outcome = &turn.outcome;
    let verdict = match outcome.verdict {
        Verdict::Replied(message) => match turn.note {
            Some(note) => format!("reply {}, note {}", message.as_str(), note.as_str()),
            None => format!("reply {}", message.as_str()),
        },
        Verdict::Noted(note) => format!("note {}", note.as_str()),
        Verdict::Dropped(reason) => format!("drop {}", reason.as_str()),
    };
    let mut text =
        format!("# {} {}: {verdict}\n", outcome.protocol.as_str(), outcome.message.as_str());
    text.push_str(&frames_text(replies));
    text
}

/// Returns the bytes of frames as they stand in an `-out.txt`.
#[must_use]
pub fn frames_text(frames: &Outbox) -> String {
    frames.frames().map(|frame| format!("\n{}", to_hex(frame))).collect()
}

/// Returns the text of an `-in.hex`: marks for what the kernel says, then the bytes.
fn input_text(frame: &Frame<'_>) -> String {
    let mut text = String::new();
    if let Some(tci) = frame.vlan {
        let _ = writeln!(text, "#! vlan={tci}");
    }
    if frame.checksum_pending {
        text.push_str("#! checksum-pending\n");
    }
    if frame.truncated {
        text.push_str("#! truncated\n");
    }
    text + &to_hex(frame.bytes)
}

fn case_text(port: &FixturePort<'_>) -> String {
    // A comment and a string of TOML: nothing of a file's name may end them.
    let capture: String =
        port.capture.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    let vm = port.key.vm.as_str();
    let mut text = format!(
        "# Made by `leasehold replay` from {capture}. Say what it shows, and which clauses\n\
         # or RFC sections it witnesses.\n\
         about = {}\n\
         clauses = [\"E1\"]\n\
         network = {}\n\
         deployment = {}\n\
         vm = {}\n",
        quoted(&format!("What {vm} sent in {capture}.")),
        quoted(port.key.network.as_str()),
        quoted(port.deployment),
        quoted(vm),
    );
    let nic = port.key.nic.as_str();
    if nic != "default" {
        let _ = writeln!(text, "nic = {}", quoted(nic));
    }
    if let Some(mac) = port.mac {
        let _ = writeln!(text, "mac = \"{mac}\"");
    }
    if let Some(vlan) = port.trunk_vlan {
        let _ = writeln!(text, "trunk-vlan = {vlan}");
    }
    let (ipv4, ipv6) = port.held.unwrap_or_default();
    if let Some(ipv4) = ipv4 {
        let _ = writeln!(text, "ipv4 = \"{ipv4}\"");
    }
    if let Some(ipv6) = ipv6 {
        let _ = writeln!(text, "ipv6 = \"{ipv6}\"");
    }
    text
}

/// Writes a TOML string; JSON's escapes are among TOML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes bytes in lines of sixteen.
fn to_hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| {
        let octets: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        octets.join(" ") + "\n"
    };
    bytes.chunks(16).map(line).collect()
}
