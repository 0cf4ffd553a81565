//! `leasehold leases`: the lease table.

mod edit;
mod export;
mod import;

use std::collections::HashMap;
use std::path::Path;

use super::table::{or_dash, render};
use super::{ExitStatus, Failure, ListOptions, check, client, print, print_json};
use crate::config::Config;
use crate::control::{Answer, LeaseRow, RegisteredRow, Request};
use crate::lease::{Holding, Lease, LeaseKey};
use crate::store::{self, OpenError};
use crate::time::Wall;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List leases, in the order of network, VM and NIC
    List(Filters),
    /// Show the leases of one VM, or the one that holds an address
    Show {
        /// A VM identity or an address
        subject: String,
        /// Only on this network
        #[arg(long)]
        network: Option<String>,
        /// Only of this NIC
        #[arg(long)]
        nic: Option<String>,
        #[command(flatten)]
        options: ListOptions,
    },
    /// Hold addresses for a VM that need not exist yet
    Reserve(edit::Reserve),
    /// Give a VM's lease up: its addresses are free
    Release(edit::Release),
    /// Move an address from the VM that holds it to another one, in one step
    Move(edit::Move),
    /// Hold the addresses that a file names: leasehold's own JSON and CSV, dnsmasq's dhcp-host lines
    /// and leases file, Kea's reservations, libvirt's network XML
    Import(import::Options),
    /// Print all leases for other programs
    Export(export::Options),
}

/// Which leases are listed.
#[derive(Debug, clap::Args)]
pub(super) struct Filters {
    /// Only those of this network
    #[arg(long)]
    network: Option<String>,
    /// Only those of VMs whose identity holds this text
    #[arg(long)]
    vm: Option<String>,
    /// Only those that this node served last
    #[arg(long)]
    node: Option<String>,
    /// Only those whose guest found an address in use
    #[arg(long)]
    conflict: bool,
    /// Leave out so many first
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    skip: usize,
    /// List at most so many
    #[arg(long, value_name = "NUMBER", default_value_t = usize::MAX, hide_default_value = true)]
    limit: usize,
    #[command(flatten)]
    options: ListOptions,
}

impl Filters {
    fn take(&self, row: &LeaseRow) -> bool {
        self.network.as_ref().is_none_or(|network| row.network == *network)
            && self.vm.as_ref().is_none_or(|vm| row.vm.contains(vm.as_str()))
            && self.node.as_ref().is_none_or(|node| row.node == *node)
            && (row.conflict || !self.conflict)
    }
}

pub(super) fn leases(config: &Path, command: &Command) -> Result<(), Failure> {
    match command {
        Command::List(filters) => list(&rows(config)?, filters),
        Command::Reserve(options) => edit::reserve(config, options),
        Command::Release(options) => edit::release(config, options),
        Command::Move(options) => edit::move_address(config, options),
        Command::Import(options) => import::import(config, options),
        Command::Export(options) => export::export(&rows(config)?, options),
        Command::Show { subject, network, nic, options } => {
            let wanted = |row: &LeaseRow| {
                is_about(row, subject)
                    && network.as_ref().is_none_or(|network| row.network == *network)
                    && nic.as_ref().is_none_or(|nic| row.nic == *nic)
            };
            let found: Vec<LeaseRow> = rows(config)?.into_iter().filter(wanted).collect();
            if found.is_empty() {
                return Err(Failure::new(
                    ExitStatus::Unavailable,
                    format!("no lease of a VM {subject:?}, and none that holds such an address"),
                ));
            }
            if options.json { print_json(&found) } else { print(&sheets(&found)) }
        }
    }
}

fn list(rows: &[LeaseRow], filters: &Filters) -> Result<(), Failure> {
    let fitting = rows.iter().filter(|row| filters.take(row));
    let chosen: Vec<LeaseRow> =
        fitting.clone().skip(filters.skip).take(filters.limit).cloned().collect();
    if filters.options.json {
        return print_json(&chosen);
    }
    if rows.is_empty() {
        return print("no leases yet\n");
    }
    let all = fitting.count();
    if chosen.len() == all {
        return print(&listing(&chosen));
    }
    print(&format!("{}{} of {all}\n", listing(&chosen), chosen.len()))
}

/// Asks the daemon; where none runs, reads its store.
pub(super) fn rows(path: &Path) -> Result<Vec<LeaseRow>, Failure> {
    if let Some(mut rows) = from_shared(path) {
        // Without a daemon on this node the shared table is all there is.
        if let Ok(Answer::Leases(here)) = client::ask(&client::socket(path)?, &Request::Leases) {
            add_what_is_known_here(&mut rows, here);
        }
        return Ok(rows);
    }
    match client::ask(&client::socket(path)?, &Request::Leases) {
        Ok(Answer::Leases(rows)) => Ok(rows),
        Ok(other) => Err(client::unexpected(other)),
        Err(unreachable) if unreachable.code == ExitStatus::Unavailable => {
            from_store(&check::load(path)?).unwrap_or(Err(unreachable))
        }
        Err(other) => Err(other),
    }
}

/// Reads the store that nodes share: every node's leases; `None` if there is none, or it does not
/// answer. Then what this node knows is shown, and that is said.
fn from_shared(path: &Path) -> Option<Vec<LeaseRow>> {
    let config = crate::config::load(path).ok()?;
    match store::read_shared(&config.store)? {
        Ok(leases) => Some(sorted(&leases)),
        Err(error) => {
            eprintln!("leasehold: {error}; this is what this node knows");
            None
        }
    }
}

/// Adds to rows of the shared table what only the node of a VM knows: the addresses that its guest
/// registered (RFC 9686), and when it was last heard.
fn add_what_is_known_here(rows: &mut [LeaseRow], here: Vec<LeaseRow>) {
    let name = |row: &LeaseRow| (row.network.clone(), row.vm.clone(), row.nic.clone());
    let mut here: HashMap<_, _> = here.into_iter().map(|row| (name(&row), row)).collect();
    for row in rows {
        let Some(known) = here.remove(&name(row)) else { continue };
        row.registered = known.registered;
        // Both are written in UTC, with as many digits: the later one is the greater text.
        row.last_seen = known.last_seen.max(row.last_seen.take());
    }
}

fn sorted(leases: &[Lease]) -> Vec<LeaseRow> {
    let mut rows: Vec<LeaseRow> = leases.iter().map(LeaseRow::from).collect();
    rows.sort_by(|a, b| (&a.network, &a.vm, &a.nic).cmp(&(&b.network, &b.vm, &b.nic)));
    rows
}

/// Reads the store that a daemon left behind; `None` if there is none that outlives it.
fn from_store(config: &Config) -> Option<Result<Vec<LeaseRow>, Failure>> {
    let loaded = store::read(&config.store)?;
    Some(match loaded {
        Ok(loaded) => {
            for line in &loaded.damaged {
                eprintln!("{line}");
            }
            Ok(sorted(&loaded.leases))
        }
        Err(error) => Err(store_failure(&error)),
    })
}

/// Says why the store of a daemon that is down cannot be used.
fn store_failure(error: &OpenError) -> Failure {
    let code = match error {
        OpenError::InUse(_) => ExitStatus::TempFail,
        OpenError::NoPermission(_) => ExitStatus::NoPermission,
        OpenError::Damaged(_) | OpenError::Unusable(_) => ExitStatus::OsError,
    };
    Failure::new(code, error.to_string())
}

/// Makes leases of a listing again; what cannot be read holds no address here.
pub(super) fn stored(rows: Vec<LeaseRow>) -> Vec<Lease> {
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

fn is_about(row: &LeaseRow, subject: &str) -> bool {
    // An address may be written in several ways; a row has the canonical one.
    let canonical = subject.parse::<Holding>().map(|holding| holding.to_string());
    let subject = canonical.as_deref().unwrap_or(subject);
    row.vm == subject
        || [&row.ipv4, &row.ipv6, &row.prefix]
            .into_iter()
            .any(|address| address.as_deref() == Some(subject))
}

fn listing(rows: &[LeaseRow]) -> String {
    // Few networks delegate: only where one does is there a column for it.
    let has_prefix = rows.iter().any(|row| row.prefix.is_some());
    let mut header = vec!["NETWORK", "VM", "NIC", "IPV4", "IPV6"];
    header.extend(has_prefix.then_some("PREFIX"));
    header.extend(["HOSTNAME", "NODE", "LAST SEEN"]);
    let row = |row: &LeaseRow| {
        let seen = or_dash(row.last_seen.as_deref());
        let mut cells = vec![
            row.network.clone(),
            row.vm.clone(),
            row.nic.clone(),
            or_dash(row.ipv4.as_deref()),
            or_dash(row.ipv6.as_deref()),
        ];
        cells.extend(has_prefix.then(|| or_dash(row.prefix.as_deref())));
        cells.extend([
            or_dash(row.hostname.as_deref()),
            row.node.clone(),
            if row.conflict { format!("{seen} CONFLICT") } else { seen },
        ]);
        cells
    };
    render(&header, rows.iter().map(row).collect())
}

fn sheets(rows: &[LeaseRow]) -> String {
    let sheet = |row: &LeaseRow| {
        let conflict = if row.conflict { "the guest found an address in use" } else { "none" };
        format!(
            "network    {}\nvm         {}\nnic        {}\nipv4       {}\nipv6       {}\n\
             prefix     {}\nhostname   {}\ncreated    {}\nnode       {}\narrived    {}\nlast seen  {}\nconflict   {conflict}\n",
            row.network,
            row.vm,
            row.nic,
            or_dash(row.ipv4.as_deref()),
            or_dash(row.ipv6.as_deref()),
            or_dash(row.prefix.as_deref()),
            or_dash(row.hostname.as_deref()),
            row.created,
            row.node,
            or_dash(row.arrived.as_deref()),
            or_dash(row.last_seen.as_deref()),
        ) + &row.registered.iter().map(registered).collect::<String>()
    };
    rows.iter().map(sheet).collect::<Vec<_>>().join("\n")
}

/// Writes the line of one address that the guest made for itself (RFC 9686).
fn registered(row: &RegisteredRow) -> String {
    let time = |seconds: Option<u64>| match seconds {
        Some(seconds) => format!("{seconds}s"),
        None => "for ever".to_owned(),
    };
    let RegisteredRow { address, preferred, valid } = row;
    format!("registered {address}, preferred {}, valid {}\n", time(*preferred), time(*valid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(vm: &str, last_seen: Option<u64>) -> LeaseRow {
        LeaseRow::from(&Lease {
            key: LeaseKey {
                network: "blue".parse().unwrap(),
                vm: vm.parse().unwrap(),
                nic: "eth0".parse().unwrap(),
            },
            ipv4: None,
            ipv6: None,
            prefix: None,
            hostname: None,
            created: Wall(0),
            node: "node-a".to_owned(),
            arrived: None,
            last_seen: last_seen.map(Wall),
            conflict: false,
        })
    }

    #[test]
    fn what_the_node_of_a_vm_knows_is_added_to_the_shared_table_and_nothing_taken_from_it() {
        let registered = vec![RegisteredRow {
            address: "2001:db8::1".to_owned(),
            preferred: None,
            valid: Some(60),
        }];
        let here = vec![
            LeaseRow { registered: registered.clone(), ..row("demo/a", Some(90)) },
            row("demo/b", Some(90)),
            row("demo/c", None),
            // Released a moment ago.
            row("demo/gone", Some(90)),
        ];
        let shared =
            [("demo/a", None), ("demo/b", Some(95)), ("demo/c", Some(80)), ("demo/d", Some(70))];
        let mut rows = shared.map(|(vm, seen)| row(vm, seen));
        add_what_is_known_here(&mut rows, here);
        let expected = [
            LeaseRow { registered, ..row("demo/a", Some(90)) },
            row("demo/b", Some(95)),
            row("demo/c", Some(80)),
            row("demo/d", Some(70)),
        ];
        let words = |row: &LeaseRow| format!("{row:?}");
        assert_eq!(rows.each_ref().map(words), expected.each_ref().map(words));
    }
}
