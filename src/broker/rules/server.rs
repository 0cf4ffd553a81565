//! The privileged side: makes what is told so, request after request, until the responder is gone.
//!
//! When the responder goes without a word the rules stay: its guests' requests are no other
//! server's while it restarts, and the next process begins with what it finds.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use super::nft::{self, Chains};
use super::openflow::{Bridges, Switch};
use super::protocol::{COUNT, Failure, RULE, count, decode};
use super::{DeviceName, Rule};

/// Serves until the other end of `stream` is closed; `folders` are where bridges have their
/// management sockets.
///
/// # Errors
/// If the stream fails, or the other side sends what it cannot have sent.
pub(in crate::broker) fn serve(mut stream: UnixStream, folders: Vec<PathBuf>) -> io::Result<()> {
    let mut switch: Option<Switch> = None;
    let mut is_first = true;
    loop {
        let Some(rules) = request(&mut stream)? else { return Ok(()) };
        let switch = switch.get_or_insert_with(|| Switch::new(folders.clone()));
        let (chains, bridges) = sorted(&rules);
        let mut failures = nft::apply(&chains, &mut is_first);
        failures.extend(switch.apply(&bridges));
        match answer(&mut stream, &failures) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
}

/// Reads the rules that are wanted; `None`: the responder is gone.
fn request(stream: &mut UnixStream) -> io::Result<Option<Vec<Rule>>> {
    let strange = || io::Error::other("a request that is none");
    let mut head = [0; COUNT];
    match stream.read_exact(&mut head) {
        Ok(()) => {}
        Err(error) => {
            return match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => Ok(None),
                _ => Err(error),
            };
        }
    }
    let mut rules = Vec::new();
    for _ in 0..count(head).ok_or_else(strange)? {
        let mut bytes = [0; RULE];
        stream.read_exact(&mut bytes)?;
        rules.push(decode(&bytes).ok_or_else(strange)?);
    }
    Ok(Some(rules))
}

/// Sorts rules by who enforces them, each with its place.
fn sorted(rules: &[Rule]) -> (Chains<'_>, Bridges) {
    let (mut chains, mut bridges) = (Chains::new(), Bridges::new());
    for (at, rule) in (0..).zip(rules) {
        match rule {
            Rule::Nft { interface, ifindex } => {
                chains.insert(nft::chain(interface, *ifindex), (interface, at));
            }
            Rule::OpenFlow { bridge, ofport } => {
                let bridge = DeviceName::as_str(bridge).to_owned();
                bridges.entry(bridge).or_default().insert(*ofport, at);
            }
        }
    }
    (chains, bridges)
}

fn answer(stream: &mut UnixStream, failures: &[Failure]) -> io::Result<()> {
    let text = serde_json::to_vec(failures)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes()[..], &text].concat())
}
