//! Runs the recorded cases of `packet-fixtures/`: what comes in, what must go out.
//!
//! `REWRITE_FIXTURES=1 cargo test --test fixtures` writes the outputs anew; look at the difference
//! before you commit it. `packet-fixtures/README.md` tells how a case is laid out.

mod common;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use common::{Templates, fixtures, parse_hex, to_hex};
use leasehold::binding::PortFacts;
use leasehold::outcome::{DropReason, Outcome, Verdict};
use leasehold::responder::{PortResponder, RateLimit};
use leasehold::time::Mono;
use leasehold::wire::{Frame, Mac, Outbox};
use serde::Deserialize;

/// `case.toml`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Case {
    /// What the case shows, in one sentence.
    about: String,
    /// The clauses or RFC sections that it witnesses.
    #[serde(default)]
    clauses: Vec<String>,
    /// The template, a file of `packet-fixtures/networks`.
    network: String,
    #[serde(default = "default_vm")]
    vm: String,
    /// The port's known MAC; none: any.
    mac: Option<String>,
    trunk_vlan: Option<u16>,
    #[serde(default = "default_mtu")]
    mtu: u16,
    /// Frames a second, and at once; none: no limit.
    rate: Option<(u32, u32)>,
    /// How many replies the outbox takes.
    #[serde(default = "default_outbox")]
    outbox: usize,
}

fn default_vm() -> String {
    "demo/web-1".to_owned()
}

fn default_mtu() -> u16 {
    1_500
}

fn default_outbox() -> usize {
    4
}

#[test]
fn every_case_gives_what_was_recorded() {
    let templates = Templates::load();
    let rewrite = std::env::var_os("REWRITE_FIXTURES").is_some();
    let cases = cases();
    assert!(!cases.is_empty(), "packet-fixtures/ holds no case");
    let mut faults = Vec::new();
    for folder in &cases {
        for step in run(&templates, folder) {
            let recorded = fs::read_to_string(&step.file).unwrap_or_default();
            if recorded == step.text {
                continue;
            }
            if rewrite {
                fs::write(&step.file, &step.text).expect("the tree can be written");
            } else {
                faults.push(format!(
                    "{}\n--- recorded\n{recorded}--- now\n{}",
                    step.file.display(),
                    step.text
                ));
            }
        }
    }
    println!("{} cases", cases.len());
    assert!(faults.is_empty(), "{} differ:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn every_drop_reason_has_a_case() {
    let templates = Templates::load();
    let seen: BTreeSet<&str> = cases()
        .iter()
        .flat_map(|folder| run(&templates, folder))
        .filter_map(|step| match step.outcome.verdict {
            Verdict::Dropped(reason) => Some(reason.as_str()),
            Verdict::Replied(_) | Verdict::Noted(_) => None,
        })
        .collect();
    let missing: Vec<&str> = DropReason::ALL
        .iter()
        // A panic that a frame could reach would be a fault, not a case.
        .filter(|reason| !matches!(reason, DropReason::Panicked))
        .map(|reason| reason.as_str())
        .filter(|reason| !seen.contains(reason))
        .collect();
    assert!(missing.is_empty(), "no case drops a frame for: {}", missing.join(", "));
}

#[test]
fn every_case_says_what_it_shows() {
    for folder in cases() {
        let case = case(&folder);
        assert!(case.about.ends_with('.'), "{}: `about` is one sentence", folder.display());
        assert!(!case.clauses.is_empty(), "{}: `clauses` names none", folder.display());
    }
}

struct Step {
    file: PathBuf,
    text: String,
    outcome: Outcome,
}

fn run(templates: &Templates, folder: &Path) -> Vec<Step> {
    let case = case(folder);
    let facts = PortFacts {
        mac: case.mac.as_ref().map(|mac| mac.parse::<Mac>().expect("a case's mac is a MAC")),
        trunk_vlan: case.trunk_vlan,
        mtu: case.mtu,
    };
    let binding = templates.binding(&case.network, &case.vm, &facts);
    let (frames_per_second, burst) = case.rate.unwrap_or((0, 0));
    let limit = RateLimit { frames_per_second, burst };
    let mut responder = PortResponder::new(binding, limit, Mono::default(), 1);
    let mut outbox = Outbox::new(case.outbox);
    inputs(folder)
        .into_iter()
        .map(|(number, file)| {
            let text = fs::read_to_string(&file).expect("it was listed");
            let bytes = parse_hex(&text);
            let frame = frame(&text, &bytes);
            outbox.clear();
            let turn = responder.handle_frame(Mono::default(), &frame, &mut outbox);
            let mut text = describe(&turn.outcome);
            for reply in outbox.frames() {
                let _ = write!(text, "\n{}", to_hex(reply));
            }
            Step { file: folder.join(format!("{number}-out.txt")), text, outcome: turn.outcome }
        })
        .collect()
}

/// Reads the marks that say what the kernel said beside the frame: `#! vlan=100`.
fn frame<'a>(text: &str, bytes: &'a [u8]) -> Frame<'a> {
    let mut frame = Frame { bytes, vlan: None, checksum_pending: false, truncated: false };
    for mark in text.lines().filter_map(|line| line.strip_prefix("#!")) {
        match mark.trim().split_once('=') {
            Some(("vlan", tci)) => frame.vlan = Some(tci.parse().expect("a tag is a number")),
            None if mark.trim() == "checksum-pending" => frame.checksum_pending = true,
            None if mark.trim() == "truncated" => frame.truncated = true,
            Some(_) | None => panic!("unknown mark {mark:?}"),
        }
    }
    frame
}

fn describe(outcome: &Outcome) -> String {
    let verdict = match outcome.verdict {
        Verdict::Replied(message) => format!("reply {}", message.as_str()),
        Verdict::Noted(note) => format!("note {}", note.as_str()),
        Verdict::Dropped(reason) => format!("drop {}", reason.as_str()),
    };
    format!("# {} {}: {verdict}\n", outcome.protocol.as_str(), outcome.message.as_str())
}

fn case(folder: &Path) -> Case {
    let file = folder.join("case.toml");
    let text = fs::read_to_string(&file).expect("it was listed");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Every folder that holds a `case.toml`.
fn cases() -> Vec<PathBuf> {
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
    cases
}

/// `01-in.hex`, `02-in.hex` and so on.
fn inputs(folder: &Path) -> Vec<(String, PathBuf)> {
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
