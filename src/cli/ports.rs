//! `leasehold ports`: every port of this node and what is served on it.

use std::path::Path;

use super::table::{or_dash, render};
use super::{Failure, ListOptions, client, print, print_json};
use crate::control::{Answer, PortRow, PortState, Request};

pub(super) fn ports(config: &Path, options: &ListOptions) -> Result<(), Failure> {
    let socket = client::socket(config)?;
    match client::ask(&socket, &Request::Ports)? {
        Answer::Ports(rows) if options.json => print_json(&rows),
        Answer::Ports(rows) => print(&listing(&rows)),
        other => Err(client::unexpected(other)),
    }
}

fn listing(rows: &[PortRow]) -> String {
    if rows.is_empty() {
        return "no ports: no source names one yet; `leasehold status` lists the sources\n"
            .to_owned();
    }
    let header = ["INTERFACE", "VM", "NETWORK", "IPV4", "IPV6", "STATE", "LAST EXCHANGE"];
    let table = render(&header, rows.iter().map(row).collect());
    let reasons = rows.iter().filter_map(|row| {
        let reason = row.reason.as_ref()?;
        Some(format!("{}: {}: {reason}\n", row.interface, row.state.as_str()))
    });
    let reasons: String = reasons.collect();
    if reasons.is_empty() { table } else { format!("{table}\n{reasons}") }
}

fn row(row: &PortRow) -> Vec<String> {
    let exchange = row.last_exchange.as_ref().map(|exchange| {
        // The day is left out: what matters is how long ago, and `--json` has it whole.
        let time = exchange.at.get(11..19).unwrap_or(&exchange.at);
        format!("{time} {} > {}", exchange.message, exchange.outcome)
    });
    vec![
        row.interface.clone(),
        vm(row),
        or_dash(row.network.as_deref()),
        or_dash(row.ipv4.as_deref()),
        or_dash(row.ipv6.as_deref()),
        PortState::as_str(row.state).to_owned(),
        or_dash(exchange.as_deref()),
    ]
}

/// Returns the VM, with the NIC if that is more than the only one.
fn vm(row: &PortRow) -> String {
    match (row.vm.as_deref(), row.nic.as_deref()) {
        (Some(vm), None | Some("default")) => vm.to_owned(),
        (Some(vm), Some(nic)) => format!("{vm} {nic}"),
        (None, _) => "-".to_owned(),
    }
}
