//! The command line: what it prints, and its exit codes, without a daemon and without privileges.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use leasehold::config;
use leasehold::lease::{Lease, LeaseKey};
use leasehold::store::{self, Change};
use leasehold::time::Wall;
use tempfile::TempDir;

#[test]
fn shipped_files_pass_the_check() {
    for file in ["config/leasehold.toml", "config/minimal/leasehold.toml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let output = leasehold(&path, &["check"]);
        assert_eq!(output.status.code(), Some(0), "{file}: {}", stderr(&output));
        assert!(stdout(&output).contains(": ok, "), "{file}: {}", stdout(&output));
    }
}

#[test]
fn check_says_what_several_nodes_have_to_mind_if_there_are_ranges() {
    let note = "note: leases of backend \"embedded\" are this node's alone";
    let output = Node::good().run(&["check"]);
    assert!(stdout(&output).contains(note), "{}", stdout(&output));
    let reserved = "[ipv4]\nsubnet = \"10.0.0.0/24\"\ngateway = \"10.0.0.1\"\n\
                    [[vm]]\nid = \"demo/web-1\"\nipv4 = \"10.0.0.9\"\n";
    let output = Node::new(reserved).run(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!stdout(&output).contains("note"), "{}", stdout(&output));
}

#[test]
fn check_names_every_fault_with_file_line_and_column_and_exits_78() {
    let node = Node::new("[ipv4]\nsubnett = \"10.0.0.0/24\"\n");
    let output = node.run(&["check"]);
    assert_eq!(output.status.code(), Some(78));
    let text = stderr(&output);
    let file = node.directory.path().join("networks.d/lab.toml");
    let unknown = format!("{}:3:1: unknown key \"subnett\"", file.display());
    let line = text.lines().find(|line| line.starts_with(&unknown)).unwrap_or(&text);
    assert!(line.contains("\"subnet\""), "{text}");
    assert!(text.lines().all(|line| line.starts_with(&file.display().to_string())), "{text}");
    assert_eq!(stdout(&output), "");
}

#[test]
fn a_missing_file_is_named_and_exits_78() {
    let output = leasehold(Path::new("/nonexistent/leasehold.toml"), &["check"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(stderr(&output).contains("/nonexistent/leasehold.toml"), "{}", stderr(&output));
}

#[test]
fn check_explains_the_defaults() {
    let node = Node::good();
    let output = node.run(&["check", "--explain-defaults"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    for value in ["lease-time = \"1h\"", "renew-time = \"30m\"", "max-ports = 4096"] {
        assert!(text.contains(value), "{value} is missing:\n{text}");
    }
}

#[test]
fn a_listing_without_a_daemon_says_so_and_exits_69() {
    let node = Node::good();
    for command in [&["ports"][..], &["status"], &["reload"]] {
        let output = node.run(command);
        assert_eq!(output.status.code(), Some(69), "{command:?}: {}", stderr(&output));
        let text = stderr(&output);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("control.sock") && text.contains("systemctl start"), "{text}");
    }
}

#[test]
fn leases_are_read_from_the_store_where_no_daemon_runs() {
    let node = Node::good();
    let mut store = store::open(&node.config().store, "node-a").unwrap();
    store.load().unwrap();
    store.write(&[Change::Put(lease("demo/web-1", [10, 0, 0, 9]))]).unwrap();
    drop(store);
    let output = node.run(&["leases", "list", "--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let rows: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(rows[0]["vm"], "demo/web-1");
    assert_eq!(rows[0]["ipv4"], "10.0.0.9");
    assert_eq!(rows[0]["last-seen"], serde_json::Value::Null);
    let table = stdout(&node.run(&["leases", "list"]));
    assert!(table.starts_with("NETWORK  VM "), "{table}");
    let sheet = stdout(&node.run(&["leases", "show", "10.0.0.9"]));
    assert!(sheet.contains("vm         demo/web-1\n"), "{sheet}");
    let missing = node.run(&["leases", "show", "demo/web-2"]);
    assert_eq!(missing.status.code(), Some(69));
}

#[test]
fn a_wrong_command_line_exits_64_and_help_exits_0() {
    let node = Node::good();
    assert_eq!(node.run(&["serve"]).status.code(), Some(64));
    assert_eq!(node.run(&["ports", "--xml"]).status.code(), Some(64));
    let help = node.run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in ["run", "check", "ports", "leases", "status", "reload", "replay"] {
        assert!(stdout(&help).contains(&format!("  {command}")), "{}", stdout(&help));
    }
}

#[test]
fn completions_and_manual_page_are_written() {
    let node = Node::good();
    assert!(stdout(&node.run(&["completions", "bash"])).contains("_leasehold()"));
    assert!(stdout(&node.run(&["man"])).starts_with(".ie"));
}

struct Node {
    directory: TempDir,
}

impl Node {
    fn good() -> Self {
        Self::new(
            "[ipv4]\nsubnet = \"10.0.0.0/24\"\ngateway = \"10.0.0.1\"\nranges = [\"10.0.0.9-10.0.0.99\"]\n",
        )
    }

    /// Writes a daemon's file and one network of the given text under `name = "lab"`.
    fn new(network: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::create_dir(path.join("networks.d")).unwrap();
        fs::write(path.join("networks.d/lab.toml"), format!("name = \"lab\"\n{network}")).unwrap();
        let text = format!(
            "[store]\npath = {:?}\n[control]\nsocket = {:?}\n[[source]]\nkind = \"static\"\n",
            path.join("store"),
            path.join("control.sock")
        );
        fs::write(path.join("leasehold.toml"), text).unwrap();
        Self { directory }
    }

    fn config(&self) -> config::Config {
        config::load(&self.directory.path().join("leasehold.toml")).unwrap()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        leasehold(&self.directory.path().join("leasehold.toml"), arguments)
    }
}

fn leasehold(config: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leasehold"))
        .arg("--config")
        .arg(config)
        .args(arguments)
        .output()
        .unwrap()
}

fn lease(vm: &str, ipv4: [u8; 4]) -> Lease {
    let key = LeaseKey {
        network: "lab".parse().unwrap(),
        vm: vm.parse().unwrap(),
        nic: leasehold::lease::NicName::default(),
    };
    Lease {
        key,
        ipv4: Some(ipv4.into()),
        ipv6: None,
        prefix: None,
        hostname: None,
        created: Wall(1_795_571_589),
        node: "node-a".to_owned(),
        last_seen: None,
        conflict: false,
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
