//! The reservations of Kea's configuration, global ones and those of subnets and shared networks.

use serde_json::{Map, Value};

use super::Host;
use crate::lease::Holding;

/// Reads JSON with the comments that Kea allows: `#`, `//` and `/* */`.
pub(super) fn reservations(text: &str) -> Result<Vec<Host>, String> {
    let value: Value =
        serde_json::from_str(&without_comments(text)).map_err(|error| error.to_string())?;
    let mut hosts = Vec::new();
    collect(&value, "", &mut hosts);
    Ok(hosts)
}

/// Finds every `reservations` list.
fn collect(value: &Value, place: &str, hosts: &mut Vec<Host>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                let place = format!("{place}/{name}");
                if let ("reservations", Value::Array(list)) = (name.as_str(), member) {
                    let numbered = list.iter().enumerate();
                    hosts.extend(numbered.filter_map(|(number, reservation)| {
                        host(reservation.as_object()?, format!("{place}/{number}"))
                    }));
                } else {
                    collect(member, &place, hosts);
                }
            }
        }
        Value::Array(list) => {
            for (number, member) in list.iter().enumerate() {
                collect(member, &format!("{place}/{number}"), hosts);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn host(reservation: &Map<String, Value>, place: String) -> Option<Host> {
    let text = |name: &str| reservation.get(name).and_then(Value::as_str).map(str::to_owned);
    // A NIC holds one address and one prefix; further ones have nowhere to go.
    let first = |name: &str| {
        let many = reservation.get(name).and_then(Value::as_array);
        many.and_then(|list| list.first()?.as_str()).map(str::to_owned)
    };
    let holdings: Vec<Holding> = text("ip-address")
        .into_iter()
        .chain(first("ip-addresses"))
        .chain(first("prefixes"))
        .filter_map(|holding| holding.parse().ok())
        .collect();
    let hostname = text("hostname").filter(|name| !name.is_empty());
    let mac = text("hw-address").map(|mac| mac.to_ascii_lowercase());
    (!holdings.is_empty()).then(|| Host { place, mac, hostname, holdings, ..Host::default() })
}

/// Puts a blank in the place of every character of a comment, so that lines and columns stay.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut within = Within::Code;
    while let Some(character) = characters.next() {
        let next = characters.peek().copied();
        within = match (within, character, next) {
            (Within::Code, '"', _) => Within::Text,
            (Within::Code, '#', _) | (Within::Code, '/', Some('/')) => Within::Line,
            (Within::Code, '/', Some('*')) => Within::Block,
            (Within::Text, '\\', Some(escaped)) => {
                characters.next();
                out.push(character);
                out.push(escaped);
                continue;
            }
            (Within::Text, '"', _) | (Within::Line, '\n', _) => Within::Code,
            (Within::Block, '*', Some('/')) => {
                characters.next();
                out.push_str("  ");
                within = Within::Code;
                continue;
            }
            (within, _, _) => within,
        };
        let is_comment = matches!(within, Within::Line | Within::Block) && character != '\n';
        out.push(if is_comment { ' ' } else { character });
    }
    out
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Code,
    Text,
    Line,
    Block,
}
