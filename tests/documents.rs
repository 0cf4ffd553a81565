//! What the documents say is compared with the program: nothing is missing, and nothing is made up.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use regex_lite::Regex;

#[test]
fn the_table_of_metrics_has_each_one_and_no_other() {
    let files = ["metrics.rs", "metrics/counters.rs", "metrics/gauges.rs"];
    let code: String = files.iter().map(|file| read(&format!("src/telemetry/{file}"))).collect();
    let made = found(r#""(leasehold_[a-z_]+)""#, &code);
    let told = found("`(leasehold_[a-z_]+)`", &read("README.md"));
    assert_eq!(made, told);
    assert!(made.len() > 20, "{made:?}");
}

#[test]
fn every_key_that_is_read_stands_in_the_commented_files() {
    let written = read("config/leasehold.toml") + &read("config/networks.d/blue.toml");
    let list = Regex::new(r"known:\s*&\[([^\]]*)\]").unwrap();
    let mut keys = BTreeSet::new();
    for file in fs::read_dir(root().join("src/config")).unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(path).unwrap();
            for known in list.captures_iter(&source) {
                keys.extend(found(r#""([a-z0-9-]+)""#, &known[1]));
            }
        }
    }
    assert!(keys.contains("reclaim-after") && keys.contains("password-file"), "{keys:?}");
    for key in keys {
        // A line of its own, in a section's name, or in an inline table.
        let line = format!(r"(?m)^#?(\[+([a-z0-9]+\.)*)?{key}(\s*=|[\].])|[{{,] *{key} *=");
        let is_written = Regex::new(&line).unwrap().is_match(&written);
        assert!(is_written || VALUES.contains(&key.as_str()), "{key} is not in config/");
    }
}

#[test]
fn the_manual_page_has_every_command_and_option() {
    let page = run(&["man"]).replace(r"\-", "-");
    let mut paths: Vec<Vec<String>> = vec![Vec::new()];
    let mut options = 0;
    while let Some(path) = paths.pop() {
        let words: Vec<&str> = path.iter().map(String::as_str).collect();
        let help = run(&[&words[..], &["--help"]].concat());
        for command in found(r"(?m)^  ([a-z]+)  +[A-Z]", &help) {
            if command != "help" {
                paths.push([path.clone(), vec![command]].concat());
            }
        }
        for option in found(r"(?m)^ +(--[a-z-]+)", &help) {
            assert!(page.contains(&option), "{path:?}: {option} is not in the page");
            options += 1;
        }
        if !help.contains("\nCommands:\n") {
            let usage = format!("leasehold {}", path.join(" "));
            assert!(page.contains(&usage), "{usage} is not in the page");
        }
    }
    assert!(options > 40, "{options}");
}

#[test]
fn the_readme_names_every_command() {
    let readme = read("README.md");
    for command in found(r"(?m)^  ([a-z]+)  +[A-Z]", &run(&["--help"])) {
        let is_named = readme.contains(&format!("`leasehold {command}"))
            || readme.contains(&format!("`{command} "));
        assert!(is_named || command == "help", "{command} is not in README.md");
    }
    for command in found(r"(?m)^  ([a-z]+)  +[A-Z]", &run(&["leases", "--help"])) {
        let is_named = readme.contains(&format!("leases {command}"))
            || readme.contains(&format!("`{command}"));
        assert!(is_named || command == "help", "leases {command} is not in README.md");
    }
}

/// The forms of an [[option]]'s value: one comment lists them.
const VALUES: [&str; 7] = ["bool", "ip", "text", "u16", "u32", "u8", "value"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// Returns what the first group of `pattern` matches in `text`.
fn found(pattern: &str, text: &str) -> BTreeSet<String> {
    let pattern = Regex::new(pattern).unwrap();
    pattern.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

fn run(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_leasehold")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}
