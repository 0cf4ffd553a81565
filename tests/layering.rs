//! Keeps the pure modules pure: they name no runtime, socket, file, clock or random source, and
//! `unsafe` stands only where it is allowed.

use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn pure_modules_do_not_name_the_outside_world() {
    let mut faults = Vec::new();
    for part in PURE {
        for file in rust_files(&source().join(part)) {
            for (number, line) in code_lines(&file) {
                for name in OUTSIDE {
                    if line.contains(name) {
                        faults.push(format!("{}:{number}: names {name}", file.display()));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn each_protocol_uses_its_own_packages_only() {
    let mut faults = Vec::new();
    for file in rust_files(&source()) {
        let inside = file.strip_prefix(source()).expect("it was found there").to_owned();
        for (package, rooms) in PACKAGES {
            if rooms.iter().any(|room| inside.starts_with(room)) {
                continue;
            }
            for (number, line) in code_lines(&file) {
                if names(&line, package) {
                    faults.push(format!("{}:{number}: names {package}", file.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn unsafe_stands_only_where_it_is_allowed() {
    let allowed = |file: &Path| {
        let inside = file.strip_prefix(source()).expect("it was found there");
        UNSAFE.iter().any(|room| inside.starts_with(room))
    };
    let faults: Vec<String> = rust_files(&source())
        .into_iter()
        .filter(|file| !allowed(file))
        .flat_map(|file| {
            code_lines(&file)
                .into_iter()
                .filter(|(_, line)| line.contains("unsafe {") || line.contains("allow(unsafe_code"))
                .map(|(number, _)| format!("{}:{number}: unsafe", file.display()))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_file_passes_six_hundred_lines_of_code() {
    let faults: Vec<String> = rust_files(&source())
        .into_iter()
        .filter_map(|file| {
            let lines = code_lines(&file).len();
            (lines > 600).then(|| format!("{}: {lines} lines of code", file.display()))
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whoever adds a module says what it is for, and whether it is pure.
#[test]
fn every_module_is_on_the_map_and_the_pure_ones_are_checked() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).expect("the file can be read");
    let text = read("src/lib.rs");
    let (core, shell) = text.split_once("// The shell.").expect("lib.rs has two halves");
    let modules = |half: &str| -> Vec<String> {
        let name = |line: &str| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
        half.lines().filter_map(name).collect()
    };
    let pure: Vec<&str> = PURE.iter().map(|part| part.trim_end_matches(".rs")).collect();
    assert_eq!(modules(core), pure);
    let map = read("ARCHITECTURE.md");
    for module in [modules(core), modules(shell)].concat() {
        let is_named = [format!("`{module}/`"), format!("`{module}.rs`")];
        assert!(is_named.iter().any(|name| map.contains(name)), "ARCHITECTURE.md: no {module}");
    }
}

/// What is read up to the tests is all there is to read.
#[test]
fn tests_stand_at_the_foot_of_their_file() {
    let mut faults = Vec::new();
    for file in rust_files(&source()) {
        let text = fs::read_to_string(&file).expect("a source file can be read");
        let mut lines = text.lines().skip_while(|line| line.trim() != TESTS).skip(1);
        let opens = lines
            .next()
            .is_none_or(|line| line.trim_start_matches("pub(crate) ").starts_with("mod "));
        let starts = |line: &str| ITEMS.iter().any(|item| line.starts_with(item));
        if !opens || lines.any(starts) {
            faults.push(format!("{}: code stands below or between its tests", file.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Tells whether a line names `package` as a path's root: `ipnet::` does not name `pnet`.
fn names(line: &str, package: &str) -> bool {
    line.match_indices(&format!("{package}::"))
        .any(|(place, _)| !line[..place].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.is_dir() || path.extension().is_some_and(|ending| ending == "rs"))
        .flat_map(|path| rust_files(&path))
        .collect();
    files.sort();
    files
}

/// Returns the numbered lines that are neither blank nor comments, up to the file's tests.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    let text = fs::read_to_string(file).expect("a source file can be read");
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim().to_owned()))
        .take_while(|(_, line)| line != TESTS)
        .filter(|(_, line)| !line.is_empty() && !line.starts_with("//"))
        .collect()
}

/// Where a file's tests begin.
const TESTS: &str = "#[cfg(test)]";

/// How an item of a module's own begins.
const ITEMS: &[&str] = &[
    "pub ",
    "pub(",
    "fn ",
    "async fn ",
    "impl ",
    "impl<",
    "struct ",
    "enum ",
    "trait ",
    "type ",
    "const ",
    "static ",
    "use ",
    "mod ",
    "#[",
];

/// Files and folders that perform no I/O and read no clock.
const PURE: &[&str] = &[
    "arrival.rs",
    "binding.rs",
    "dhcpv4",
    "dhcpv6",
    "lease",
    "nd",
    "network",
    "outcome.rs",
    "probe",
    "reply.rs",
    "responder.rs",
    "time.rs",
    "wire",
];

/// What the pure modules may not name.
const OUTSIDE: &[&str] = &[
    "tokio",
    "tracing",
    "socket2",
    "nix::",
    "libc",
    "std::fs",
    "std::io",
    "std::net::Tcp",
    "std::net::Udp",
    "std::thread",
    "std::env",
    "Instant::now",
    "SystemTime",
    "crate::clock",
    "rand::",
];

/// Which rooms may name a package.
const PACKAGES: &[(&str, &[&str])] = &[
    ("dhcproto", &["dhcpv4", "dhcpv6", "config"]),
    ("pnet", &["wire"]),
    ("socket2", &["net", "broker"]),
    ("rusqlite", &["store"]),
    ("prometheus", &["telemetry"]),
    ("toml", &["config"]),
    ("rtnetlink", &["net"]),
    ("pcap_parser", &["replay"]),
    ("csv", &["cli"]),
    ("comfy_table", &["cli"]),
    ("indicatif", &["cli"]),
    ("etcd_client", &["store"]),
    ("hyper", &["telemetry"]),
    ("caps", &["broker", "sandbox.rs"]),
    ("roxmltree", &["cli"]),
];

/// Where `unsafe` may stand.
const UNSAFE: &[&str] = &["net", "broker", "sandbox.rs"];
