//! `leases import`: whoever comes from another server brings their addresses along.
//!
//! Other servers know a host by MAC and host name, leasehold a VM by its identity: `--vm` says how
//! one is made of the other.

mod dnsmasq;
mod kea;
mod libvirt;
mod own;

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::super::{ExitStatus, Failure, check, counted, print};
use super::edit::{Force, apply, named, network_of};
use crate::config::Config;
use crate::lease::{Edit, Holding, LeaseKey, NetworkName, NicName};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// The file
    file: PathBuf,
    /// What wrote it; found out from the content if not given
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The identity of each VM, made of the host's {hostname} and {mac}
    #[arg(long, value_name = "TEMPLATE", default_value = "{hostname}")]
    vm: String,
    /// The network; without it the one whose subnet holds the address
    #[arg(long)]
    network: Option<NetworkName>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// leasehold's own JSON
    Json,
    /// leasehold's own CSV
    Csv,
    /// dnsmasq's configuration: its dhcp-host lines
    DnsmasqHosts,
    /// dnsmasq's leases file
    DnsmasqLeases,
    /// Kea's configuration: its reservations
    Kea,
    /// libvirt's network XML
    Libvirt,
}

/// One host of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Host {
    /// Where it stands, for messages.
    place: String,
    /// Only leasehold's own formats know it.
    vm: Option<String>,
    nic: Option<String>,
    network: Option<String>,
    mac: Option<String>,
    hostname: Option<String>,
    holdings: Vec<Holding>,
}

pub(super) fn import(path: &Path, options: &Options) -> Result<(), Failure> {
    let config = check::load(path)?;
    let file = options.file.display();
    let text = fs::read_to_string(&options.file)
        .map_err(|error| Failure::new(ExitStatus::OsError, format!("reading {file}: {error}")))?;
    let format = options.format.unwrap_or_else(|| guess(&text));
    let wrong = |error: String| Failure::new(ExitStatus::Config, format!("{file}: {error}"));
    let hosts = read(format, &text).map_err(wrong)?;
    let (edits, faults) = edits(&config, options, &hosts);
    if !faults.is_empty() {
        let lines: Vec<String> = faults.iter().map(|fault| format!("{file}:{fault}")).collect();
        let text = format!("{}\nnothing was imported", lines.join("\n"));
        return Err(Failure::new(ExitStatus::Config, text));
    }
    if edits.is_empty() {
        return print(&format!("{file} names no host with an address\n"));
    }
    if options.dry_run {
        return print(&plan(&edits));
    }
    let count = edits.len();
    let progress = progress(count);
    let changed = apply(&config, path, edits, Force::No);
    progress.finish_and_clear();
    let unchanged = count.saturating_sub(changed?);
    let again = match unchanged {
        0 => String::new(),
        some => format!(", {some} named twice"),
    };
    print(&format!("imported {}{again}\n", counted(count, "host")))
}

/// Tells what wrote a file.
fn guess(text: &str) -> Format {
    let first = text.trim_start();
    let has_line = |start: &str| text.lines().any(|line| line.trim_start().starts_with(start));
    if first.starts_with('<') {
        Format::Libvirt
    } else if first.starts_with('[') {
        Format::Json
    } else if first.starts_with('{') || first.starts_with("//") || first.starts_with("/*") {
        Format::Kea
    } else if first.starts_with("network,") {
        Format::Csv
    } else if has_line("dhcp-host=") {
        Format::DnsmasqHosts
    } else {
        Format::DnsmasqLeases
    }
}

fn read(format: Format, text: &str) -> Result<Vec<Host>, String> {
    match format {
        Format::Json => own::json(text),
        Format::Csv => own::csv(text),
        Format::DnsmasqHosts => Ok(dnsmasq::hosts(text)),
        Format::DnsmasqLeases => dnsmasq::leases(text),
        Format::Kea => kea::reservations(text),
        Format::Libvirt => libvirt::network(text),
    }
}

/// Makes an edit of each host with an address or a prefix; of what cannot be one, says why.
fn edits(config: &Config, options: &Options, hosts: &[Host]) -> (Vec<Edit>, Vec<String>) {
    let mut edits = Vec::new();
    let mut faults = Vec::new();
    let mut held = BTreeMap::new();
    for host in hosts {
        let Some(first) = host.holdings.first() else { continue };
        match key(config, options, host, *first) {
            Ok(key) => {
                let before: &mut Vec<Holding> = held.entry(key.clone()).or_default();
                for holding in &host.holdings {
                    match before.iter().find(|one| *one != holding && one.excludes(*holding)) {
                        Some(one) => {
                            faults.push(format!("{}: {}", host.place, both(&key, *one, *holding)))
                        }
                        None => before.push(*holding),
                    }
                }
                edits.push(Edit::Hold { key, holdings: host.holdings.clone(), hostname: None });
            }
            Err(fault) => faults.push(format!("{}: {fault}", host.place)),
        }
    }
    (edits, faults)
}

/// Says that a NIC cannot hold both: the file means two NICs, or two VMs of one name.
fn both(key: &LeaseKey, one: Holding, other: Holding) -> String {
    format!(
        "{} cannot hold {other} beside {one}; tell the hosts apart by --vm, say with {{mac}}, or \
         name a NIC for each in CSV",
        named(key)
    )
}

fn key(
    config: &Config,
    options: &Options,
    host: &Host,
    holding: Holding,
) -> Result<LeaseKey, String> {
    let network = match (&host.network, &options.network) {
        (Some(name), _) => name.parse().map_err(|error| format!("network {name:?}: {error}"))?,
        (None, Some(name)) => name.clone(),
        (None, None) => network_of(&config.networks, holding)?,
    };
    let vm = match &host.vm {
        Some(vm) => vm.clone(),
        None => identity(&options.vm, host)?,
    };
    let nic = match &host.nic {
        Some(nic) => nic.parse().map_err(|error| format!("NIC {nic:?}: {error}"))?,
        None => NicName::any(),
    };
    Ok(LeaseKey { network, vm: vm.parse().map_err(|error| format!("VM {vm:?}: {error}"))?, nic })
}

fn identity(template: &str, host: &Host) -> Result<String, String> {
    let mut identity = template.to_owned();
    for (name, value) in [("{hostname}", &host.hostname), ("{mac}", &host.mac)] {
        if !identity.contains(name) {
            continue;
        }
        let Some(value) = value else {
            return Err(format!(
                "{} has no {}; say by --vm how the VM is called",
                host.holdings.first().map_or_else(String::new, ToString::to_string),
                name.trim_matches(['{', '}'])
            ));
        };
        identity = identity.replace(name, value);
    }
    Ok(identity)
}

fn plan(edits: &[Edit]) -> String {
    let line = |edit: &Edit| match edit {
        Edit::Hold { key, holdings, .. } => {
            let words: Vec<String> = holdings.iter().map(ToString::to_string).collect();
            format!("{} would hold {} in {}\n", named(key), words.join(" and "), key.network)
        }
        Edit::Release { .. } | Edit::Move { .. } => String::new(),
    };
    edits.iter().map(line).collect()
}

/// Shows on a terminal that something goes on.
fn progress(hosts: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
    let bar = ProgressBar::new_spinner()
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        .with_message(format!("importing {}", counted(hosts, "host")));
    bar.enable_steady_tick(TICK);
    bar
}

const TICK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    fn host(place: &str, mac: &str, hostname: &str, addresses: &[&str]) -> Host {
        Host {
            place: place.to_owned(),
            mac: Some(mac.to_owned()),
            hostname: Some(hostname.to_owned()),
            holdings: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            ..Host::default()
        }
    }

    #[test]
    fn dnsmasq_hosts_with_tags_both_families_and_times_are_read() {
        let text = "interface=br0\n# dhcp-host=11:22:33:44:55:66,10.0.0.9\n\
                    dhcp-host=52:54:00:00:00:01,set:red,10.0.0.10,[2001:db8::10],db-1,12h\n\
                    dhcp-host=52:54:00:00:00:02,web-1,10.0.0.11,infinite\n\
                    dhcp-host=52:54:00:00:00:03,ignore\n";
        assert_eq!(guess(text), Format::DnsmasqHosts);
        let expected = [
            host("3", "52:54:00:00:00:01", "db-1", &["10.0.0.10", "2001:db8::10"]),
            host("4", "52:54:00:00:00:02", "web-1", &["10.0.0.11"]),
        ];
        assert_eq!(read(Format::DnsmasqHosts, text).unwrap(), expected);
    }

    #[test]
    fn dnsmasq_leases_of_both_families_are_read() {
        let text = "1795571589 52:54:00:00:00:01 10.0.0.10 db-1 01:52:54:00:00:00:01\n\
                    1795571589 52:54:00:00:00:02 10.0.0.11 * *\n\
                    duid 00:01:00:01:2c:6b:aa:aa:52:54:00:00:00:fe\n\
                    1795571589 5832769 2001:db8::10 db-1 00:03:00:01:52:54:00:00:00:01\n";
        assert_eq!(guess(text), Format::DnsmasqLeases);
        let hosts = read(Format::DnsmasqLeases, text).unwrap();
        assert_eq!(hosts[0], host("1", "52:54:00:00:00:01", "db-1", &["10.0.0.10"]));
        assert_eq!((hosts[1].place.as_str(), &hosts[1].hostname), ("2", &None));
        assert_eq!(hosts[2].holdings, ["2001:db8::10".parse::<Holding>().unwrap()]);
        assert_eq!((hosts.len(), &hosts[2].mac), (3, &None));
    }

    #[test]
    fn kea_reservations_at_every_level_are_read() {
        let text = r#"// comment
        { "Dhcp4": { # another
            "reservations": [ { "hw-address": "52:54:00:00:00:01", "ip-address": "10.0.0.10",
                                "hostname": "db-1" } ],
            "shared-networks": [ { "subnet4": [ { "subnet": "10.0.0.0/24", "reservations": [
                { "hw-address": "52:54:00:00:00:02", "ip-address": "10.0.0.11",
                  "hostname": "a//b" } ] } ] } ] },
          "Dhcp6": { "subnet6": [ { "reservations": [
                { "duid": "01:02", "ip-addresses": ["2001:db8::10"], "hostname": "db-1" } ] } ] } }"#;
        assert_eq!(guess(text), Format::Kea);
        let hosts = read(Format::Kea, text).unwrap();
        let names: Vec<_> = hosts.iter().map(|host| host.hostname.as_deref()).collect();
        assert_eq!(names, [Some("db-1"), Some("a//b"), Some("db-1")]);
        assert_eq!(hosts[2].holdings, ["2001:db8::10".parse::<Holding>().unwrap()]);
    }

    #[test]
    fn libvirt_hosts_of_both_families_are_read() {
        let text = "<network><name>default</name><dns><host ip='10.0.0.1'/></dns>\n\
                    <ip address='10.0.0.1' netmask='255.255.255.0'><dhcp>\n\
                    <range start='10.0.0.2' end='10.0.0.254'/>\n\
                    <host mac='52:54:00:00:00:01' name='db-1' ip='10.0.0.10'/></dhcp></ip>\n\
                    <ip family='ipv6' address='2001:db8::1' prefix='64'><dhcp>\n\
                    <host name='db-1' ip='2001:db8::10'/></dhcp></ip></network>";
        assert_eq!(guess(text), Format::Libvirt);
        let hosts = read(Format::Libvirt, text).unwrap();
        assert_eq!(hosts[0], host("4", "52:54:00:00:00:01", "db-1", &["10.0.0.10"]));
        assert_eq!(hosts[1].holdings, ["2001:db8::10".parse::<Holding>().unwrap()]);
        assert_eq!(hosts.len(), 2);
    }

    #[test]
    fn a_file_that_is_broken_says_where() {
        for (format, text, place) in [
            (Format::Json, "[{\"network\": 1}]", "line 1"),
            (Format::Csv, "network,vm\nblue,a,b\n", "2"),
            (Format::DnsmasqLeases, "not a lease\n", "1"),
            (Format::Kea, "{ \"Dhcp4\": }", "line 1"),
            (Format::Libvirt, "<network></net>", "1:"),
        ] {
            let error = read(format, text).unwrap_err();
            assert!(error.contains(place), "{format:?}: {error}");
        }
    }

    #[test]
    fn an_identity_is_made_of_what_the_host_has() {
        let host = host("1", "52:54:00:00:00:01", "db-1", &["10.0.0.10"]);
        assert_eq!(identity("prod/{hostname}", &host).unwrap(), "prod/db-1");
        let nameless = Host { hostname: None, ..host };
        assert_eq!(
            identity("{hostname}", &nameless).unwrap_err(),
            "10.0.0.10 has no hostname; say by --vm how the VM is called"
        );
    }
}
