//! One lease as one row: key columns, a JSON value with its own version, and a checksum over both.
//!
//! SQLite hands a flipped bit out as if it had been written, so a row says itself whether it is
//! whole. Reading trusts nothing: a column may hold any type and any bytes.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;
use rusqlite::Row;
use rusqlite::types::{Value, ValueRef};
use serde::{Deserialize, Serialize};

use crate::lease::{Lease, LeaseKey, NameError, NetworkName, NicName, Withheld};
use crate::time::Wall;

/// Why a row cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Damage {
    #[error("a column holds the wrong kind of value")]
    Column,
    #[error("the checksum does not hold")]
    Checksum,
    #[error("the row has version {0}, which this program does not know")]
    Version(i64),
    #[error("the key cannot be: {0}")]
    Key(#[from] NameError),
    #[error("the value cannot be read: {0}")]
    Value(String),
    #[error("another row has the same key")]
    Twice,
    #[error("its page is damaged or may be an old one: it may have changed since")]
    Doubtful,
    #[error("set aside at an earlier start")]
    Earlier,
}

/// Returns the value column of `lease` and the checksum over the whole row.
pub(super) fn encode(lease: &Lease) -> Result<(String, u32), serde_json::Error> {
    let Lease { key, ipv4, ipv6, prefix, hostname, .. } = lease;
    let Lease { created, node, arrived, last_seen, conflict, .. } = lease;
    let value = serde_json::to_string(&Stored {
        ipv4: *ipv4,
        ipv6: *ipv6,
        prefix: *prefix,
        hostname: hostname.clone(),
        created: *created,
        node: node.clone(),
        arrived: *arrived,
        last_seen: *last_seen,
        conflict: *conflict,
    })?;
    let LeaseKey { network, vm, nic } = key;
    let checksum = checksum([network.as_str(), vm.as_str(), nic.as_str()], VERSION, &value);
    Ok((value, checksum))
}

/// The names of the row before: most rows share two of them with it, and then the text as well.
#[derive(Debug, Default)]
pub(super) struct Names {
    last: Option<(NetworkName, NicName)>,
}

impl Names {
    /// As [`decode`], for many rows one after another.
    pub(super) fn decode(&mut self, row: &Columns<'_>) -> Result<Lease, Damage> {
        decode_with(row, |network, nic| {
            let is_last = |(last, last_nic): &&(NetworkName, NicName)| {
                (last.as_str(), last_nic.as_str()) == (network, nic)
            };
            if let Some(last) = self.last.as_ref().filter(is_last) {
                return Ok(last.clone());
            }
            Ok(self.last.insert((network.parse()?, nic.parse()?)).clone())
        })
    }
}

/// A row as it was read: any kind of value may stand in any column.
pub(super) type Columns<'r> = [ValueRef<'r>; COLUMNS];

/// Reads the columns of a row of [`SELECT`].
pub(super) fn columns<'r>(row: &'r Row<'_>) -> Columns<'r> {
    std::array::from_fn(|column| row.get_ref(column).unwrap_or(ValueRef::Null))
}

/// Reads a row's lease.
pub(super) fn decode(row: &Columns<'_>) -> Result<Lease, Damage> {
    decode_with(row, |network, nic| Ok((network.parse()?, nic.parse()?)))
}

/// As [`decode`]; `names` reads the names of network and NIC.
fn decode_with(
    row: &Columns<'_>,
    names: impl FnOnce(&str, &str) -> Result<(NetworkName, NicName), NameError>,
) -> Result<Lease, Damage> {
    let [network, vm, nic, version, value, stored_checksum] = *row;
    let (network, vm, nic) = (text(network)?, text(vm)?, text(nic)?);
    let (version, value) = (integer(version)?, text(value)?);
    // The checksum first: what does not hold is not worth a guess at its meaning.
    if integer(stored_checksum)? != i64::from(checksum([network, vm, nic], version, value)) {
        return Err(Damage::Checksum);
    }
    if version != VERSION {
        return Err(Damage::Version(version));
    }
    let (network, nic) = names(network, nic)?;
    let key = LeaseKey { network, vm: vm.parse()?, nic };
    let stored: Stored =
        serde_json::from_str(value).map_err(|error| Damage::Value(error.to_string()))?;
    let Stored { ipv4, ipv6, prefix, hostname, .. } = stored;
    let Stored { created, node, arrived, last_seen, conflict, .. } = stored;
    Ok(Lease { key, ipv4, ipv6, prefix, hostname, created, node, arrived, last_seen, conflict })
}

/// Copies a row as it is, text as bytes: it may not be UTF-8.
pub(super) fn raw(row: &Columns<'_>) -> [Value; COLUMNS] {
    row.map(|column| match column {
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        ValueRef::Null => Value::Null,
    })
}

/// Copies a row that was good.
pub(super) fn raw_of(lease: &Lease) -> [Value; COLUMNS] {
    let LeaseKey { network, vm, nic } = &lease.key;
    let text = |text: &str| Value::Blob(text.as_bytes().to_vec());
    // What was read can be written.
    let (value, checksum) = encode(lease).unwrap_or_default();
    [
        text(network.as_str()),
        text(vm.as_str()),
        text(nic.as_str()),
        Value::Integer(VERSION),
        text(&value),
        Value::Integer(checksum.into()),
    ]
}

/// Reads the addresses and the prefix that a damaged row names, as far as that can be done: they may
/// be in use.
pub(super) fn withheld(raw: &[Value; COLUMNS]) -> Option<Withheld> {
    let [network, vm, nic, _, value, _] = raw;
    let text = |value: &Value| match value {
        Value::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Text(text) => text.clone(),
        Value::Null | Value::Integer(_) | Value::Real(_) => String::new(),
    };
    let network: NetworkName = text(network).parse().ok()?;
    let vm = text(vm).parse().ok();
    let owner = vm.zip(text(nic).parse().ok());
    let owner = owner.map(|(vm, nic)| LeaseKey { network: network.clone(), vm, nic });
    let value = text(value);
    let (ipv4, ipv6) = (named(&value, "\"ipv4\":\""), named(&value, "\"ipv6\":\""));
    let prefix: Option<Ipv6Net> = named(&value, "\"prefix\":\"");
    let prefix = prefix.map(|prefix| prefix.trunc());
    let names_any = ipv4.is_some() || ipv6.is_some() || prefix.is_some();
    names_any.then_some(Withheld { network, owner, ipv4, ipv6, prefix })
}

/// Reads what stands behind `name` up to a quote: what is damaged may no longer be JSON.
fn named<A: std::str::FromStr>(value: &str, name: &str) -> Option<A> {
    let (_, behind) = value.split_once(name)?;
    behind.split('"').next()?.parse().ok()
}

/// Names a row for a person, whatever its key columns hold.
pub(super) fn name(raw: &[Value; COLUMNS]) -> String {
    let [network, vm, nic, ..] = raw;
    let part = |value: &Value| match value {
        Value::Blob(bytes) => {
            let text: String = String::from_utf8_lossy(bytes).chars().take(MAX_NAMED).collect();
            format!("{text:?}")
        }
        Value::Null => "nothing".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => format!("{text:?}"),
    };
    format!("network {}, vm {}, nic {}", part(network), part(vm), part(nic))
}

/// The lease without its key, as version 1 of the value column spells it.
///
/// It is not [`Lease`]'s own form: what `leases export` prints may change without this.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Stored {
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    prefix: Option<Ipv6Net>,
    hostname: Option<String>,
    created: Wall,
    node: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    arrived: Option<Wall>,
    last_seen: Option<Wall>,
    conflict: bool,
}

fn text(column: ValueRef<'_>) -> Result<&str, Damage> {
    match column {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).map_err(|_| Damage::Column),
        _ => Err(Damage::Column),
    }
}

fn integer(column: ValueRef<'_>) -> Result<i64, Damage> {
    match column {
        ValueRef::Integer(number) => Ok(number),
        _ => Err(Damage::Column),
    }
}

/// CRC-32 over everything else in the row. No name holds a NUL, so the parts cannot run together.
fn checksum(key: [&str; 3], version: i64, value: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in key {
        hasher.update(part.as_bytes());
        hasher.update(&[0]);
    }
    hasher.update(&version.to_be_bytes());
    hasher.update(value.as_bytes());
    hasher.finalize()
}

/// The version of the value column that is written.
pub(super) const VERSION: i64 = 1;

/// Reads the columns that [`decode`] and [`raw`] expect.
pub(super) const SELECT: &str =
    "SELECT network, vm, nic, version, value, checksum FROM leases ORDER BY network, vm, nic";

/// The same of the rows that were set aside.
pub(super) const SELECT_DAMAGED: &str =
    "SELECT network, vm, nic, version, value, checksum FROM damaged";

/// How many columns [`SELECT`] has.
pub(super) const COLUMNS: usize = 6;

/// How much of a damaged name is shown.
const MAX_NAMED: usize = 64;
