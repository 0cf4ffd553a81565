//! `leasehold leases`: the lease table.

use std::path::Path;

use super::table::{or_dash, render};
use super::{ExitStatus, Failure, ListOptions, check, client, print, print_json};
use crate::config::Config;
use crate::control::{Answer, LeaseRow, RegisteredRow, Request};
use crate::store;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List all leases
    List(ListOptions),
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
}

pub(super) fn leases(config: &Path, command: &Command) -> Result<(), Failure> {
    let rows = rows(config)?;
    match command {
        Command::List(options) if options.json => print_json(&rows),
        Command::List(_) if rows.is_empty() => print("no leases yet\n"),
        Command::List(_) => print(&listing(&rows)),
        Command::Show { subject, network, nic, options } => {
            let wanted = |row: &LeaseRow| {
                is_about(row, subject)
                    && network.as_ref().is_none_or(|network| row.network == *network)
                    && nic.as_ref().is_none_or(|nic| row.nic == *nic)
            };
            let found: Vec<LeaseRow> = rows.into_iter().filter(wanted).collect();
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

/// Asks the daemon; where none runs, reads its store.
pub(super) fn rows(path: &Path) -> Result<Vec<LeaseRow>, Failure> {
    match client::ask(&client::socket(path)?, &Request::Leases) {
        Ok(Answer::Leases(rows)) => Ok(rows),
        Ok(other) => Err(client::unexpected(other)),
        Err(unreachable) => from_store(&check::load(path)?).unwrap_or(Err(unreachable)),
    }
}

/// Reads the store that a daemon left behind; `None` if there is none that outlives it.
fn from_store(config: &Config) -> Option<Result<Vec<LeaseRow>, Failure>> {
    let loaded = store::read(&config.store)?;
    Some(match loaded {
        Ok(loaded) => {
            for line in &loaded.damaged {
                eprintln!("{line}");
            }
            let mut rows: Vec<LeaseRow> = loaded.leases.iter().map(LeaseRow::from).collect();
            rows.sort_by(|a, b| (&a.network, &a.vm, &a.nic).cmp(&(&b.network, &b.vm, &b.nic)));
            Ok(rows)
        }
        Err(error) => Err(Failure::new(ExitStatus::OsError, error.to_string())),
    })
}

fn is_about(row: &LeaseRow, subject: &str) -> bool {
    row.vm == subject
        || [&row.ipv4, &row.ipv6, &row.prefix]
            .into_iter()
            .any(|address| address.as_deref() == Some(subject))
}

fn listing(rows: &[LeaseRow]) -> String {
    let header = ["NETWORK", "VM", "NIC", "IPV4", "IPV6", "HOSTNAME", "NODE", "LAST SEEN"];
    let row = |row: &LeaseRow| {
        let seen = or_dash(row.last_seen.as_deref());
        vec![
            row.network.clone(),
            row.vm.clone(),
            row.nic.clone(),
            or_dash(row.ipv4.as_deref()),
            or_dash(row.ipv6.as_deref()),
            or_dash(row.hostname.as_deref()),
            row.node.clone(),
            if row.conflict { format!("{seen} CONFLICT") } else { seen },
        ]
    };
    render(&header, rows.iter().map(row).collect())
}

fn sheets(rows: &[LeaseRow]) -> String {
    let sheet = |row: &LeaseRow| {
        let conflict = if row.conflict { "the guest found an address in use" } else { "none" };
        format!(
            "network    {}\nvm         {}\nnic        {}\nipv4       {}\nipv6       {}\n\
             prefix     {}\nhostname   {}\ncreated    {}\nnode       {}\nlast seen  {}\nconflict   {conflict}\n",
            row.network,
            row.vm,
            row.nic,
            or_dash(row.ipv4.as_deref()),
            or_dash(row.ipv6.as_deref()),
            or_dash(row.prefix.as_deref()),
            or_dash(row.hostname.as_deref()),
            row.created,
            row.node,
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
