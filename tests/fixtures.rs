//! Runs the recorded cases of `packet-fixtures/`: what comes in, what must go out.
//!
//! `REWRITE_FIXTURES=1 cargo test --test fixtures` writes the outputs anew; look at the difference
//! before you commit it. `packet-fixtures/README.md` tells how a case is laid out.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use common::{Subject, Templates, cases, fixtures, inputs, parse_hex};
use ipnet::Ipv6Net;
use leasehold::binding::PortFacts;
use leasehold::outcome::{DropReason, Verdict};
use leasehold::replay::{frames_text, output_text};
use leasehold::responder::{PortResponder, RateLimit, Turn};
use leasehold::time::Mono;
use leasehold::wire::{Frame, Mac, Outbox};
use serde::Deserialize;
use std::time::Duration;

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
    nic: Option<String>,
    /// The name that the server's DUID is made from; none: the one of `packet-fixtures`.
    deployment: Option<String>,
    /// The addresses that the NIC's lease holds already.
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    /// The delegated prefix that it holds already.
    prefix: Option<Ipv6Net>,
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
    let cases = cases();
    let mut faults = Vec::new();
    for folder in &cases {
        for step in run(&templates, folder) {
            let recorded = fs::read_to_string(&step.file).unwrap_or_default();
            if recorded == step.text {
                continue;
            }
            if rewrite() {
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
        .filter_map(|step| match step.turn?.outcome.verdict {
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

#[test]
fn no_row_of_the_table_is_empty() {
    let of_cases = cases().into_iter().flat_map(|folder| case(&folder).clauses);
    let of_tests = WITNESSES.iter().map(|(clause, _)| (*clause).to_owned());
    let witnessed: BTreeSet<String> = of_cases.chain(of_tests).collect();
    let empty: Vec<String> = CLAUSES
        .iter()
        .flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}")))
        .filter(|clause| !witnessed.contains(clause))
        .collect();
    assert!(empty.is_empty(), "nothing witnesses {}", empty.join(", "));
}

#[test]
fn every_test_that_witnesses_a_clause_is_there() {
    for (clause, test) in WITNESSES {
        assert!(root().join(test).is_file(), "{clause}: there is no {test}");
    }
}

#[test]
fn the_tables_in_the_readme_name_every_case_under_its_clauses_and_faults() {
    let readme = fixtures().join("README.md");
    let text = fs::read_to_string(&readme).expect("packet-fixtures/ has a README.md");
    let now = with_table(&text, (TABLE_BEGIN, TABLE_END), &clause_table());
    let now = with_table(&now, (FAULTS_BEGIN, FAULTS_END), &fault_table());
    if now == text {
        return;
    }
    assert!(rewrite(), "{}: a table is old; REWRITE_FIXTURES=1 writes it", readme.display());
    fs::write(&readme, now).expect("the tree can be written");
}

#[test]
fn every_fault_of_a_parser_has_a_case_that_ends_as_it_should() {
    for (fault, expected, names) in FAULTS {
        assert!(!names.is_empty(), "{fault}: no case");
        for name in *names {
            assert!(fixtures().join(name).join("case.toml").is_file(), "{fault}: no {name}");
            let seen = outcomes(name);
            let right = seen.iter().all(|outcome| match expected {
                Dropped => outcome.starts_with("drop "),
                Answered => outcome.starts_with("reply "),
                Bounded => true,
            });
            assert!(right && !seen.is_empty(), "{fault}: {name} gives {seen:?}");
        }
    }
}

/// The text with the table between its two marks replaced.
fn with_table(text: &str, (begin, end): (&str, &str), table: &str) -> String {
    let (before, rest) = text.split_once(begin).expect("the README marks its tables");
    let (_, after) = rest.split_once(end).expect("the README marks its tables' ends");
    format!("{before}{begin}\n{table}{end}{after}")
}

/// One row a fault: its cases, and what became of their frames.
fn fault_table() -> String {
    let mut table = "| fault | cases | outcome |\n| --- | --- | --- |\n".to_owned();
    for (fault, _, names) in FAULTS {
        let links: Vec<String> = names.iter().map(|name| format!("[{name}]({name})")).collect();
        let seen: BTreeSet<String> = names.iter().flat_map(|name| outcomes(name)).collect();
        let seen: Vec<String> = seen.into_iter().collect();
        let _ = writeln!(table, "| {fault} | {} | {} |", links.join(", "), seen.join(", "));
    }
    table
}

/// The verdicts that are recorded for a case: `drop bad-option`, `reply offer`.
fn outcomes(name: &str) -> BTreeSet<String> {
    let inputs = inputs(&fixtures().join(name)).into_iter();
    inputs
        .map(|(number, _)| {
            let file = fixtures().join(name).join(format!("{number}-out.txt"));
            let text = fs::read_to_string(&file).expect("each input has its output");
            let line = text.lines().next().unwrap_or_default();
            let (_, verdict) = line.split_once(": ").expect("the first line is the verdict");
            verdict.split(',').next().unwrap_or_default().to_owned()
        })
        .collect()
}

/// One row a clause, with what witnesses it.
fn clause_table() -> String {
    let mut witnesses: BTreeMap<Vec<Part>, (String, Vec<String>)> = BTreeMap::new();
    for folder in cases() {
        let name = folder.strip_prefix(fixtures()).expect("it was found there");
        let name = name.to_str().expect("the names are plain").to_owned();
        for clause in case(&folder).clauses {
            let row = witnesses.entry(parts(&clause)).or_insert((clause, Vec::new()));
            row.1.push(format!("[{name}]({name})"));
        }
    }
    for (clause, test) in WITNESSES {
        let row = witnesses.entry(parts(clause)).or_insert(((*clause).to_owned(), Vec::new()));
        row.1.push(format!("[{test}](../{test})"));
    }
    let mut table = "| clause | cases, and tests that are no case |\n| --- | --- |\n".to_owned();
    for (clause, names) in witnesses.values() {
        let _ = writeln!(table, "| {clause} | {} |", names.join(", "));
    }
    table
}

/// A piece of a clause's name. Clauses come before standards, and 9 before 10.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Clause,
    Number(u32),
    Text(String),
}

fn parts(clause: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    // "A17", but not "RFC 826" or "packet(7)".
    if clause.chars().skip(1).all(|c| c.is_ascii_digit()) {
        parts.push(Part::Clause);
    }
    for c in clause.chars() {
        match (c.to_digit(10), parts.last_mut()) {
            (Some(digit), Some(Part::Number(number))) => *number = *number * 10 + digit,
            (Some(digit), Some(Part::Clause | Part::Text(_)) | None) => {
                parts.push(Part::Number(digit));
            }
            (None, Some(Part::Text(text))) => text.push(c),
            (None, Some(Part::Clause | Part::Number(_)) | None) => {
                parts.push(Part::Text(c.to_string()));
            }
        }
    }
    parts
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rewrite() -> bool {
    std::env::var_os("REWRITE_FIXTURES").is_some()
}

struct Step {
    file: PathBuf,
    text: String,
    /// None: no frame came in, time passed.
    turn: Option<Turn>,
}

fn run(templates: &Templates, folder: &Path) -> Vec<Step> {
    let case = case(folder);
    let facts = PortFacts {
        mac: case.mac.as_ref().map(|mac| mac.parse::<Mac>().expect("a case's mac is a MAC")),
        trunk_vlan: case.trunk_vlan,
        mtu: case.mtu,
        is_macvtap: false,
    };
    let subject = Subject {
        network: &case.network,
        vm: &case.vm,
        nic: case.nic.as_deref(),
        deployment: case.deployment.as_deref(),
        ipv4: case.ipv4,
        ipv6: case.ipv6,
        prefix: case.prefix,
    };
    let binding = templates.binding_of(&subject, &facts);
    let (frames_per_second, burst) = case.rate.unwrap_or((0, 0));
    let limit = RateLimit { frames_per_second, burst };
    let mut responder = PortResponder::new(binding, limit, Mono::default(), 1);
    let mut outbox = Outbox::new(case.outbox);
    let mut now = Mono::default();
    let mut steps = waits(folder);
    steps.extend(inputs(folder));
    steps.sort();
    steps
        .into_iter()
        .map(|(number, file)| {
            let text = fs::read_to_string(&file).expect("it was listed");
            let (text, turn) = if file.extension().is_some_and(|extension| extension == "hex") {
                let bytes = parse_hex(&text);
                let frame = frame(&text, &bytes);
                outbox.clear();
                let turn = responder.handle_frame(now, &frame, &mut outbox);
                (output_text(&turn, &outbox), Some(turn))
            } else {
                now = now.after(seconds(&text));
                (told_text(&mut responder, now, &mut outbox), None)
            };
            Step { file: folder.join(format!("{number}-out.txt")), text, turn }
        })
        .collect()
}

/// The `NN-after.txt` of one case: number and file.
fn waits(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let wait = |path: PathBuf| {
        let number = path.file_name()?.to_str()?.strip_suffix("-after.txt")?.to_owned();
        Some((number, path))
    };
    entries.flatten().filter_map(|entry| wait(entry.path())).collect()
}

/// Reads how much time passes: `3s`.
fn seconds(text: &str) -> Duration {
    let number = text.trim().strip_suffix('s').and_then(|number| number.parse().ok());
    Duration::from_secs(number.unwrap_or_else(|| panic!("{text:?} is not a time such as 3s")))
}

/// What an arrived guest is told by `now`, over as many outboxes as it takes.
fn told_text(responder: &mut PortResponder, now: Mono, outbox: &mut Outbox) -> String {
    let mut told = 0;
    let mut text = String::new();
    while responder.arrival_due(now).is_some() {
        outbox.clear();
        told += responder.handle_arrival(now, outbox);
        text += &frames_text(outbox);
    }
    format!("# {told} announcements\n{text}")
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

fn case(folder: &Path) -> Case {
    let file = folder.join("case.toml");
    let text = fs::read_to_string(&file).expect("it was listed");
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

const TABLE_BEGIN: &str = "<!-- the table of clauses, made by tests/fixtures.rs -->";
const TABLE_END: &str = "<!-- end of the table -->";
/// The clauses that the table must have a row for: letter, and last number.
const CLAUSES: &[(&str, u32)] = &[("E", 8), ("F", 4), ("A", 17), ("B", 11), ("C", 6)];
const FAULTS_BEGIN: &str = "<!-- the table of faults, made by tests/fixtures.rs -->";
const FAULTS_END: &str = "<!-- end of the faults -->";
/// What must become of every frame of a fault's cases.
#[derive(Debug, Clone, Copy)]
enum Expected {
    /// It is dropped, with a reason.
    Dropped,
    /// It is answered: the fault costs nothing.
    Answered,
    /// Either, as each frame deserves.
    Bounded,
}
use Expected::{Answered, Bounded, Dropped};
/// The faults that parsers of these protocols had, and what a hostile guest may try on IPv6.
const FAULTS: &[(&str, Expected, &[&str])] = &[
    ("DHCPv4: `hlen` over 16", Dropped, &["hostile/dhcpv4-bootp-header"]),
    ("DHCPv4: wrong magic cookie", Dropped, &["hostile/dhcpv4-bootp-header"]),
    (
        "DHCPv4: parts of an option that do not stand side by side (RFC 3396)",
        Answered,
        &["dhcpv4/discover-split-options", "dhcpv4/discover-overloaded"],
    ),
    ("DHCPv4: overload (52) inside an overloaded field", Bounded, &["hostile/dhcpv4-overload"]),
    ("DHCPv4: option 108 taken for 106", Answered, &["dhcpv4/discover-ipv6-only"]),
    (
        "DHCPv4: options in numeric order, less than 300 bytes",
        Answered,
        &["dhcpv4/discover-windows-list", "dhcpv4/discover-without-list"],
    ),
    (
        "bombs of name pointers",
        Answered,
        &["hostile/dhcpv4-name-pointers", "hostile/dhcpv6-name-pointers", "hostile/dhcpv6-names"],
    ),
    (
        "a malformed option that ends the reading in silence",
        Dropped,
        &[
            "hostile/dhcpv4-option-past-end",
            "hostile/dhcpv6-malformed-first",
            "hostile/dhcpv6-option-past-end",
        ],
    ),
    (
        "DHCPv6: nesting without limit",
        Dropped,
        &[
            "hostile/dhcpv6-nested",
            "hostile/dhcpv6-nested-cut",
            "hostile/dhcpv6-nested-ia-na",
            "hostile/dhcpv6-relayed",
        ],
    ),
    (
        "DHCPv6: options of a fixed length with another one",
        Dropped,
        &["hostile/dhcpv6-fixed-lengths"],
    ),
    (
        "ND: options of length 0, of 32 and more",
        Dropped,
        &["hostile/nd-option-length", "hostile/nd-neighbor-option-length"],
    ),
    ("ND: a long option that is there in full", Answered, &["hostile/nd-long-option"]),
    (
        "IPv6: extension headers, fragments, jumbograms",
        Dropped,
        &["hostile/ipv6-extensions", "hostile/frame-jumbo", "hostile/nd-extensions"],
    ),
    ("ND: a hop limit other than 255", Dropped, &["hostile/nd-hop-limit"]),
    ("ND: a code other than 0", Dropped, &["hostile/nd-code"]),
    (
        "ND: shorter than its fixed part, or than its header says",
        Dropped,
        &["hostile/nd-short", "hostile/nd-solicitation-short", "hostile/nd-lengths"],
    ),
    (
        "ND: a wrong checksum, and a UDP checksum that is wrong or 0",
        Dropped,
        &["hostile/ipv6-checksums", "hostile/ipv6-no-checksum"],
    ),
    (
        "ND: a source link-layer address from `::`",
        Dropped,
        &["hostile/nd-unspecified-with-link-layer-address"],
    ),
    ("ND: a source that no guest has", Dropped, &["hostile/nd-source-address"]),
    (
        "DHCPv6: a Server Identifier missing, foreign, or where none may be",
        Dropped,
        &["hostile/dhcpv6-server-id"],
    ),
    (
        "DHCPv6: a Client Identifier missing, too short or too long",
        Dropped,
        &["hostile/dhcpv6-client-id"],
    ),
    (
        "DHCPv6: an IA in an Information-request",
        Dropped,
        &["hostile/dhcpv6-ia-in-information-request"],
    ),
    (
        "DHCPv6: unicast, or from another source than a link-local one",
        Dropped,
        &["hostile/dhcpv6-destination", "hostile/dhcpv6-source-address"],
    ),
    (
        "DHCPv6: registrations that RFC 9686 discards",
        Dropped,
        &[
            "hostile/dhcpv6-registration",
            "hostile/dhcpv6-registration-of-lease",
            "hostile/dhcpv6-registration-source",
        ],
    ),
    (
        "giants and runts",
        Dropped,
        &[
            "hostile/dhcpv6-giant",
            "hostile/dhcpv6-short",
            "hostile/frame-cut",
            "hostile/frame-runt",
            "hostile/nd-giant",
        ],
    ),
    (
        "hundreds of options, IAs, addresses or requested codes",
        Dropped,
        &[
            "hostile/dhcpv6-many-ias",
            "hostile/dhcpv6-many-options",
            "hostile/nd-many-options",
            "hostile/nd-seventeen-options",
        ],
    ),
    (
        "the costliest frames that are within the bounds",
        Answered,
        &["hostile/dhcpv6-costly", "hostile/nd-costly"],
    ),
];
/// Tests that witness what no single frame shows.
const WITNESSES: &[(&str, &str)] = &[
    ("E1", "tests/mutations.rs"),
    ("E1", "tests/netns/isolation.sh"),
    ("E3", "tests/netns/vlan_and_offload.sh"),
    ("E5", "tests/netns/flood.sh"),
    ("E8", "tests/mutations.rs"),
    ("A1", "tests/netns/life_dhclient.sh"),
    ("A6", "tests/netns/decline.sh"),
    ("A15", "tests/vm/boot.sh"),
    ("A17", "tests/netns/dhcpcd.sh"),
    ("C3", "src/nd/schedule.rs"),
    ("C4", "src/nd/withdrawals.rs"),
    ("C4", "tests/netns/advertisements.sh"),
];
