//! What `leases export` writes.

use serde::Deserialize;

use super::Host;
use crate::lease::Holding;

/// The fields of an exported lease that can be had again.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    network: String,
    vm: String,
    nic: Option<String>,
    ipv4: Option<Holding>,
    ipv6: Option<Holding>,
    prefix: Option<Holding>,
}

pub(super) fn json(text: &str) -> Result<Vec<Host>, String> {
    let rows: Vec<Row> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(rows.into_iter().enumerate().map(|(place, row)| host(place, row)).collect())
}

pub(super) fn csv(text: &str) -> Result<Vec<Host>, String> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Result<Vec<Row>, csv::Error> = reader.deserialize().collect();
    let rows = rows.map_err(|error| error.to_string())?;
    // The header is the first line.
    Ok(rows.into_iter().enumerate().map(|(line, row)| host(line.saturating_add(1), row)).collect())
}

fn host(before: usize, row: Row) -> Host {
    Host {
        place: before.saturating_add(1).to_string(),
        vm: Some(row.vm),
        nic: row.nic.filter(|nic| !nic.is_empty()),
        network: Some(row.network),
        holdings: [row.ipv4, row.ipv6, row.prefix].into_iter().flatten().collect(),
        ..Host::default()
    }
}
