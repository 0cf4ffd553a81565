//! dnsmasq's `dhcp-host` lines and its leases file, as dnsmasq(8) describes them.

use std::net::IpAddr;

use super::Host;
use crate::wire::Mac;

/// Reads `dhcp-host=[MAC][,set:TAG][,ADDRESS][,[ADDRESS6]][,NAME][,TIME]` in any order. Hosts that
/// are to be ignored have no address.
pub(super) fn hosts(text: &str) -> Vec<Host> {
    let mut hosts = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let Some(value) = line.trim().strip_prefix("dhcp-host=") else { continue };
        let mut host = Host { place: number.saturating_add(1).to_string(), ..Host::default() };
        for part in value.split(',').map(str::trim) {
            let bare = part.trim_matches(['[', ']']);
            if let Ok(address) = bare.parse::<IpAddr>() {
                host.holdings.push(address.into());
            } else if part.parse::<Mac>().is_ok() {
                host.mac = Some(part.to_ascii_lowercase());
            } else if is_name(part) {
                host.hostname = Some(part.to_owned());
            }
        }
        if !host.holdings.is_empty() {
            hosts.push(host);
        }
    }
    hosts
}

/// Reads `EXPIRY MAC ADDRESS NAME CLIENT-ID`, and with `EXPIRY IAID ADDRESS NAME DUID` those of
/// DHCPv6 after the line that names the server's DUID.
pub(super) fn leases(text: &str) -> Result<Vec<Host>, String> {
    let mut hosts = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (link, address, name) = match words.as_slice() {
            [] | ["duid", _] => continue,
            [_, link, address, name, ..] => (*link, *address, *name),
            _ => return Err(fault(number, line)),
        };
        let address: IpAddr = address.parse().map_err(|_| fault(number, line))?;
        hosts.push(Host {
            place: number.saturating_add(1).to_string(),
            mac: link.parse::<Mac>().is_ok().then(|| link.to_ascii_lowercase()),
            hostname: (name != "*").then(|| name.to_owned()),
            holdings: vec![address.into()],
            ..Host::default()
        });
    }
    Ok(hosts)
}

fn fault(number: usize, line: &str) -> String {
    let line_number = number.saturating_add(1);
    format!("line {line_number}: {line:?} is no lease of dnsmasq's; --format names another one")
}

/// Whether a part is a name, and not a tag, an identifier, a lease time or a word.
fn is_name(part: &str) -> bool {
    let is_time = part
        .strip_suffix(['s', 'm', 'h', 'd', 'w'])
        .unwrap_or(part)
        .chars()
        .all(|character| character.is_ascii_digit());
    let is_word = matches!(part, "infinite" | "ignore");
    let is_tagged = part.contains(':') || part.contains('*');
    !part.is_empty() && !is_time && !is_word && !is_tagged
}
