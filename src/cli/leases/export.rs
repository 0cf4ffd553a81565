//! `leases export`: the table for other programs.

use std::fmt::Write as _;

use super::super::{ExitStatus, Failure, print, print_json};
use crate::control::LeaseRow;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Options {
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// What `leases import` reads, every field
    Json,
    /// The same as a table with a header
    Csv,
    /// Lines for /etc/hosts
    Hosts,
}

pub(super) fn export(rows: &[LeaseRow], options: &Options) -> Result<(), Failure> {
    match options.format {
        Format::Json => print_json(&rows),
        Format::Csv => print(&csv(rows)?),
        Format::Hosts => print(&hosts(rows)),
    }
}

/// Writes the same columns for every lease; what a guest registered for itself is JSON's alone.
fn csv(rows: &[LeaseRow]) -> Result<String, Failure> {
    let failed =
        |error: String| Failure::new(ExitStatus::Software, format!("writing CSV: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(|error| failed(error.to_string()))?;
    for row in rows {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let cells = [
            row.network.clone(),
            row.vm.clone(),
            row.nic.clone(),
            text(&row.ipv4),
            text(&row.ipv6),
            text(&row.prefix),
            text(&row.hostname),
            row.created.clone(),
            row.node.clone(),
            text(&row.arrived),
            text(&row.last_seen),
            row.conflict.to_string(),
        ];
        writer.write_record(cells).map_err(|error| failed(error.to_string()))?;
    }
    let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
}

fn hosts(rows: &[LeaseRow]) -> String {
    let mut lines = String::new();
    for row in rows {
        let Some(hostname) = &row.hostname else { continue };
        for address in [&row.ipv4, &row.ipv6].into_iter().flatten() {
            let _ = writeln!(lines, "{address}\t{hostname}");
        }
    }
    lines
}

/// The names of JSON's fields.
const COLUMNS: [&str; 12] = [
    "network",
    "vm",
    "nic",
    "ipv4",
    "ipv6",
    "prefix",
    "hostname",
    "created",
    "node",
    "arrived",
    "last-seen",
    "conflict",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::RegisteredRow;

    #[test]
    fn leases_that_came_and_leases_that_did_not_make_one_table() {
        let waiting = LeaseRow {
            network: "blue".to_owned(),
            vm: "demo/db-1".to_owned(),
            nic: "*".to_owned(),
            ipv4: Some("10.20.0.10".to_owned()),
            ipv6: None,
            prefix: None,
            hostname: None,
            created: "2026-01-01T00:00:00Z".to_owned(),
            node: "node-a".to_owned(),
            arrived: None,
            last_seen: None,
            conflict: false,
            registered: Vec::new(),
        };
        let here = LeaseRow {
            vm: "demo/web,1".to_owned(),
            hostname: Some("web-1".to_owned()),
            arrived: Some("2026-01-02T00:00:00Z".to_owned()),
            last_seen: Some("2026-01-03T00:00:00Z".to_owned()),
            conflict: true,
            registered: vec![RegisteredRow {
                address: "2001:db8::7".to_owned(),
                preferred: None,
                valid: Some(60),
            }],
            ..waiting.clone()
        };
        let table = "\
network,vm,nic,ipv4,ipv6,prefix,hostname,created,node,arrived,last-seen,conflict
blue,demo/db-1,*,10.20.0.10,,,,2026-01-01T00:00:00Z,node-a,,,false
blue,\"demo/web,1\",*,10.20.0.10,,,web-1,2026-01-01T00:00:00Z,node-a,2026-01-02T00:00:00Z,\
2026-01-03T00:00:00Z,true
";
        assert_eq!(csv(&[waiting, here]).unwrap(), table);
        assert_eq!(csv(&[]).unwrap().lines().count(), 1);
    }
}
