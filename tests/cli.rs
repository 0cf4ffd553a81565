//! The command line: what it prints, and its exit codes, without a daemon and without privileges.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use common::{stderr, stdout};
use leasehold::config;
use leasehold::lease::{Lease, LeaseKey};
use leasehold::store::{self, Change};
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
fn check_names_the_leases_that_the_ranges_have_left_behind() {
    let node = Node::good();
    let mut store = store::open(&node.config().store, "node-a").unwrap();
    store.load().unwrap();
    let leases = [lease("demo/inside", [10, 0, 0, 9]), lease("demo/left", [10, 0, 0, 200])];
    store.write(&leases.map(Change::Put)).unwrap();
    let held = "note: the leases were not looked at: ";
    let output = node.run(&["check"]);
    assert!(stdout(&output).contains(held), "{}", stdout(&output));
    drop(store);
    let output = node.run(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let left = "note: network lab: demo/left default holds 10.0.0.200, outside the ranges; it \
                keeps that until it is released\n";
    assert!(text.ends_with(left) && !text.contains("demo/inside"), "{text}");
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
    let commands =
        [&["ports"][..], &["status"], &["reload"], &["plan"], &["watch"], &["explain", "tap0"]];
    for command in commands {
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
fn leases_are_reserved_moved_and_released_where_no_daemon_runs() {
    let node = Node::good();
    let run = |arguments: &[&str], code: i32| {
        let output = node.run(&[&["leases"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        if code == 0 { stdout(&output) } else { stderr(&output) }
    };
    fs::create_dir(node.directory.path().join("store")).unwrap();
    assert_eq!(run(&["reserve", "demo/a", "10.0.0.5"], 0), "demo/a holds 10.0.0.5 in lab\n");
    // Another VM's, the network's own, another network's.
    let held = run(&["reserve", "demo/b", "10.0.0.5"], 78);
    assert!(held.starts_with("10.0.0.5 is held by demo/a *, wanted for demo/b"), "{held}");
    assert!(run(&["reserve", "demo/b", "10.0.0.1"], 78).contains("cannot give 10.0.0.1"));
    assert!(run(&["reserve", "demo/b", "10.9.0.1"], 64).contains("no network's subnet"));
    assert!(run(&["move", "10.0.0.6", "demo/b"], 78).contains("nobody holds 10.0.0.6"));
    run(&["move", "10.0.0.5", "demo/b"], 0);
    let json = run(&["list", "--json"], 0);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{json}");
    assert_eq!((&rows[0]["vm"], &rows[0]["ipv4"]), (&"demo/b".into(), &"10.0.0.5".into()));
    assert!(run(&["release", "demo/b"], 64).contains("add --yes"));
    assert!(run(&["release", "demo/b", "--yes"], 0).ends_with("released 1 lease\n"));
    assert_eq!(run(&["list"], 0), "no leases yet\n");
    assert!(run(&["release", "demo/b", "--yes"], 69).contains("holds no such lease"));
}

#[test]
fn what_is_exported_is_imported_again_and_a_file_with_a_fault_changes_nothing() {
    let node = Node::good();
    let place = |name: &str| node.directory.path().join(name);
    fs::create_dir(place("store")).unwrap();
    let run = |arguments: &[&str]| node.run(&[&["leases"], arguments].concat());
    assert_eq!(run(&["reserve", "demo/a", "10.0.0.5"]).status.code(), Some(0));
    assert_eq!(run(&["reserve", "demo/b", "10.0.0.6", "--nic", "net1"]).status.code(), Some(0));
    // The VM's only NIC is meant.
    assert_eq!(run(&["reserve", "demo/b", "10.0.0.7"]).status.code(), Some(0));
    for format in ["json", "csv"] {
        let exported = stdout(&run(&["export", "--format", format]));
        fs::write(place(format), &exported).unwrap();
        for vm in ["demo/a", "demo/b"] {
            assert_eq!(run(&["release", vm, "--yes"]).status.code(), Some(0));
        }
        let output = run(&["import", place(format).to_str().unwrap()]);
        assert_eq!(stdout(&output), "imported 2 hosts\n", "{}", stderr(&output));
        let rows = |text: &str| -> Vec<serde_json::Value> { serde_json::from_str(text).unwrap() };
        let again = rows(&stdout(&run(&["list", "--json"])));
        let held: Vec<_> =
            again.iter().map(|row| (&row["vm"], &row["nic"], &row["ipv4"])).collect();
        assert_eq!(held[0], (&"demo/a".into(), &"*".into(), &"10.0.0.5".into()), "{format}");
        assert_eq!(held[1], (&"demo/b".into(), &"net1".into(), &"10.0.0.7".into()), "{format}");
        assert_eq!(held.len(), 2);
    }
    // The second host's address is the gateway's: the first gets none either.
    let hosts = "dhcp-host=52:54:00:00:00:01,10.0.0.20,web-1\n\
                 dhcp-host=52:54:00:00:00:02,10.0.0.1,web-2\n";
    fs::write(place("hosts"), hosts).unwrap();
    let file = place("hosts");
    let arguments = ["import", file.to_str().unwrap(), "--vm", "demo/{hostname}"];
    let output = run(&arguments);
    assert_eq!(output.status.code(), Some(78), "{}", stdout(&output));
    assert!(stderr(&output).contains("cannot give 10.0.0.1"), "{}", stderr(&output));
    assert!(!stdout(&run(&["list"])).contains("web-1"));
    fs::write(place("hosts"), hosts.replace("10.0.0.1,", "10.0.0.21,")).unwrap();
    let shown = stdout(&run(&[&arguments[..], &["--dry-run"]].concat()));
    assert!(shown.starts_with("demo/web-1 would hold 10.0.0.20 in lab\n"), "{shown}");
    assert!(!stdout(&run(&["list"])).contains("web-1"));
    assert_eq!(run(&arguments).status.code(), Some(0));
    assert!(stdout(&run(&["list", "--vm", "web", "--limit", "1"])).ends_with("1 of 2\n"));
}

#[test]
fn delegated_prefixes_are_reserved_moved_exported_and_imported_as_addresses_are() {
    let node = Node::new(
        "[ipv4]\nsubnet = \"10.0.0.0/24\"\ngateway = \"10.0.0.1\"\n\
         [ipv6]\nsubnet = \"2001:db8::/64\"\ngateway = \"fe80::1\"\n\
         delegate = { pool = \"2001:db8:8000::/40\", length = 56 }\n",
    );
    fs::create_dir(node.directory.path().join("store")).unwrap();
    let run = |arguments: &[&str], code: i32| {
        let output = node.run(&[&["leases"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        if code == 0 { stdout(&output) } else { stderr(&output) }
    };
    let (first, second) = ("2001:db8:8000:100::/56", "2001:db8:8000:200::/56");
    let said = run(&["reserve", "demo/a", first, "10.0.0.5", "--nic", "net1"], 0);
    assert_eq!(said, format!("demo/a net1 holds {first} and 10.0.0.5 in lab\n"));
    run(&["reserve", "demo/b", second, "--nic", "net1"], 0);
    assert!(run(&["reserve", "demo/c", first], 78).contains("is held by demo/a net1"));
    assert!(run(&["reserve", "demo/c", first, second], 64).contains("one of each"));
    assert!(run(&["reserve", "demo/c", "2001:db8:8000:300::/64"], 78).contains("length 56"));
    assert!(run(&["reserve", "demo/c", "2001:db8:1::/56"], 64).contains("no network's `delegate`"));
    run(&["move", first, "demo/b", "--nic", "net1"], 0);
    let list = run(&["list"], 0);
    assert!(list.lines().next().unwrap().contains("IPV6  PREFIX"), "{list}");
    let held = |node: &Node| -> Vec<(String, Option<String>, Option<String>)> {
        let json = stdout(&node.run(&["leases", "list", "--json"]));
        let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let held = |row: &serde_json::Value| {
            (text(&row["vm"]).unwrap(), text(&row["ipv4"]), text(&row["prefix"]))
        };
        rows.iter().map(held).collect()
    };
    let expected = [
        ("demo/a".to_owned(), Some("10.0.0.5".to_owned()), None),
        ("demo/b".to_owned(), None, Some(first.to_owned())),
    ];
    assert_eq!(held(&node), expected);
    for format in ["json", "csv"] {
        let file = node.directory.path().join(format);
        fs::write(&file, run(&["export", "--format", format], 0)).unwrap();
        run(&["release", "demo/a", "--yes"], 0);
        run(&["release", "demo/b", "--yes"], 0);
        run(&["import", file.to_str().unwrap()], 0);
        assert_eq!(held(&node), expected, "{format}");
    }
}

#[test]
fn a_wrong_command_line_exits_64_and_help_exits_0() {
    let node = Node::good();
    assert_eq!(node.run(&["serve"]).status.code(), Some(64));
    assert_eq!(node.run(&["ports", "--xml"]).status.code(), Some(64));
    let help = node.run(&["--help"]);
    assert_eq!(help.status.code(), Some(0));
    for command in [
        "run", "check", "ports", "leases", "explain", "watch", "status", "plan", "reload", "replay",
    ] {
        assert!(stdout(&help).contains(&format!("  {command}")), "{}", stdout(&help));
    }
}

#[test]
fn completions_and_manual_page_are_written() {
    let node = Node::good();
    let script = stdout(&node.run(&["completions", "bash"]));
    let page = stdout(&node.run(&["man"]));
    assert!(script.contains("_leasehold()"));
    assert!(page.starts_with(".ie"));
    for command in ["explain", "watch", "plan"] {
        assert!(script.contains(&format!("__{command}")), "{command} is not completed");
        assert!(page.contains(&format!(".SS \"leasehold {command}")), "{page}");
    }
}

const BLUE: &str = "mtu = 1450\n[gateway]\nmac = \"0a:58:0a:00:00:01\"\n\
                    [ipv4]\nsubnet = \"10.0.0.0/24\"\ngateway = \"10.0.0.1\"\n\
                    [ipv6]\nsubnet = \"2001:db8::/64\"\ngateway = \"fe80::1\"\n\
                    [[vm]]\nid = \"demo/web-1\"\nipv4 = \"10.0.0.9\"\nipv6 = \"2001:db8::9\"\n";

#[test]
fn a_node_that_differs_in_harmless_things_may_take_vms_over() {
    let own = Node::new(BLUE);
    let other = Node::new(&BLUE.replace("[gateway]", "dns = [\"10.0.0.53\"]\n[gateway]"));
    other.append("[node]\nname = \"node-b\"\n[metrics]\nlisten = \"127.0.0.1:9\"\n");
    let output = own.run(&["check", "--against", other.directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("would break a migration"), "{}", stdout(&output));
}

#[test]
fn every_difference_that_breaks_a_migration_is_named_with_both_places() {
    let own = Node::new(BLUE);
    let other = BLUE
        .replace("1450", "1400")
        .replace("0a:58:0a:00:00:01", "0a:58:0a:00:00:02")
        .replace("gateway = \"10.0.0.1\"", "gateway = \"10.0.0.2\"")
        .replace("fe80::1", "fe80::2")
        .replace("2001:db8::9", "2001:db8::10")
        .replace("10.0.0.9", "10.0.0.8");
    let other = Node::new(&other);
    other.append("[deployment]\nname = \"other\"\n");
    let output = own.run(&["check", "--against", other.directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    let text = stderr(&output);
    let lab = |node: &Node| node.directory.path().join("networks.d/lab.toml").display().to_string();
    let (here, there) = (lab(&own), lab(&other));
    let wanted = [
        format!("{here}:2:1: network lab: mtu is 1450 here and 1400 there ({there}:2:1)"),
        format!("{here}:4:1: network lab: the router's MAC is 0a:58:0a:00:00:01 here and"),
        format!("{here}:7:1: network lab: [ipv4] gateway is 10.0.0.1 here and 10.0.0.2 there"),
        format!(
            "{here}:10:1: network lab: [ipv6] gateway, the router's link-local is fe80::1 here"
        ),
        format!("{here}:13:1: network lab: ipv4 of VM demo/web-1 is 10.0.0.9 here and 10.0.0.8"),
        format!("{here}:14:1: network lab: ipv6 of VM demo/web-1 is 2001:db8::9 here and"),
    ];
    for line in &wanted {
        assert!(text.lines().any(|said| said.starts_with(line)), "{line}\nis missing in\n{text}");
    }
    assert!(
        text.contains("the deployment's name, which the server DUID is made from, is"),
        "{text}"
    );
    // The server id follows the gateway.
    assert!(text.ends_with("8 differences would break a migration\n"), "{text}");
}

#[test]
fn overlapping_ranges_of_nodes_without_a_shared_store_are_named() {
    let own = Node::good();
    let other = Node::good();
    let output = own.run(&["check", "--against", other.directory.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78));
    let text = stderr(&output);
    assert!(text.contains("10.0.0.9-10.0.0.99 overlaps 10.0.0.9-10.0.0.99"), "{text}");
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

    /// Adds to the daemon's file.
    fn append(&self, text: &str) {
        let path = self.directory.path().join("leasehold.toml");
        let before = fs::read_to_string(&path).unwrap();
        fs::write(path, format!("{text}{before}")).unwrap();
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
    Lease { ipv4: Some(ipv4.into()), ..common::lease(key) }
}
