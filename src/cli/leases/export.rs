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

fn csv(rows: &[LeaseRow]) -> Result<String, Failure> {
    let failed =
        |error: String| Failure::new(ExitStatus::Software, format!("writing CSV: {error}"));
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(|error| failed(error.to_string()))?;
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
