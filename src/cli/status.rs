//! `leasehold status`: how the daemon is, on one screen.

use std::fmt::Write;
use std::path::Path;

use super::{Failure, ListOptions, client, counted, print, print_json};
use crate::control::{Answer, Count, Request, SourceStatus, Status, StoreStatus};

pub(super) fn status(config: &Path, options: &ListOptions) -> Result<(), Failure> {
    let socket = client::socket(config)?;
    match client::ask(&socket, &Request::Status)? {
        Answer::Status(status) if options.json => print_json(&status),
        Answer::Status(status) => print(&screen(&status)),
        other => Err(client::unexpected(other)),
    }
}

fn screen(status: &Status) -> String {
    let mut text = String::new();
    let ready = if status.ready { "ready" } else { "not ready: a source has not answered yet" };
    let mut line = |name: &str, value: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<9} {value}");
    };
    line("version", &status.version);
    line("node", &status.node);
    line("config", &status.config);
    line("state", &format!("{ready}, up {}", duration(status.uptime_seconds)));
    line("store", &store(&status.store));
    let mut lines = |name: &str, values: Vec<String>| {
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        names.zip(values).for_each(|(name, value)| line(name, &value));
    };
    lines("sources", or_none(status.sources.iter().map(source).collect()));
    lines("ports", or_none(status.ports.iter().map(count).collect()));
    lines("leases", vec![status.leases.to_string()]);
    lines("replies", by_protocol(&status.replies));
    lines("drops", by_protocol(&status.drops));
    lines("consume", status.consume.clone());
    if let Some(error) = &status.reload_error {
        line("reload", &format!("the last one failed, the old files are in force: {error}"));
    }
    text
}

fn store(store: &StoreStatus) -> String {
    let state = match &store.error {
        None if store.up => "up".to_owned(),
        None => "down".to_owned(),
        Some(error) => format!("down: {error}"),
    };
    let waiting = match store.waiting {
        0 => String::new(),
        some => format!("; not yet durable: {}", counted(some, "lease")),
    };
    format!("{}, {state}{waiting}", store.backend)
}

fn source(source: &SourceStatus) -> String {
    let state = match &source.error {
        None if source.up => "up".to_owned(),
        None => "not yet connected".to_owned(),
        Some(error) => format!("down: {error}"),
    };
    format!("{}, names {}, {state}", source.name, counted(source.ports, "port"))
}

fn count(count: &Count) -> String {
    format!("{} {}", count.count, count.name)
}

/// Joins the counts of one protocol in one line; their names begin with it.
fn by_protocol(counts: &[Count]) -> Vec<String> {
    let mut lines: Vec<(&str, Vec<String>)> = Vec::new();
    for Count { name, count } in counts {
        let (protocol, what) = name.split_once(' ').unwrap_or(("", name));
        let text = format!("{count} {what}");
        match lines.last_mut() {
            Some((last, texts)) if *last == protocol => texts.push(text),
            Some(_) | None => lines.push((protocol, vec![text])),
        }
    }
    let line = |(protocol, texts): (&str, Vec<String>)| {
        format!("{protocol:<PROTOCOL_WIDTH$} {}", texts.join(", "))
    };
    or_none(lines.into_iter().map(line).collect())
}

fn or_none(lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() { vec!["none".to_owned()] } else { lines }
}

fn duration(seconds: u64) -> String {
    match (seconds / 86_400, seconds % 86_400 / 3_600, seconds % 3_600 / 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// As long as `dhcpv4`.
const PROTOCOL_WIDTH: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(counts: &[(&str, u64)]) -> Vec<Count> {
        counts
            .iter()
            .map(|(name, count)| Count { name: (*name).to_owned(), count: *count })
            .collect()
    }

    #[test]
    fn a_status_is_one_screen() {
        let status = Status {
            version: "0.1.0".to_owned(),
            node: "node-a".to_owned(),
            config: "/etc/leasehold/leasehold.toml".to_owned(),
            uptime_seconds: 7_384,
            ready: true,
            store: StoreStatus {
                backend: "embedded /var/lib/leasehold".to_owned(),
                up: true,
                error: None,
                waiting: 1,
            },
            sources: vec![
                SourceStatus { name: "static".to_owned(), up: true, ports: 1, error: None },
                SourceStatus {
                    name: "ovsdb /run/ovs/db.sock".to_owned(),
                    up: false,
                    ports: 2,
                    error: Some("the server closed the connection".to_owned()),
                },
            ],
            ports: counts(&[("serving", 2), ("no-network", 1)]),
            leases: 3,
            replies: counts(&[("dhcpv4 offer", 4), ("dhcpv4 ack", 5), ("nd reply", 1)]),
            drops: Vec::new(),
            consume: vec!["1 port by nft".to_owned()],
            reload_error: Some("a.toml:1:1: not valid TOML".to_owned()),
        };
        let expected = "\
version   0.1.0
node      node-a
config    /etc/leasehold/leasehold.toml
state     ready, up 2h 3m
store     embedded /var/lib/leasehold, up; not yet durable: 1 lease
sources   static, names 1 port, up
          ovsdb /run/ovs/db.sock, names 2 ports, down: the server closed the connection
ports     2 serving
          1 no-network
leases    3
replies   dhcpv4 4 offer, 5 ack
          nd     1 reply
drops     none
consume   1 port by nft
reload    the last one failed, the old files are in force: a.toml:1:1: not valid TOML
";
        assert_eq!(screen(&status), expected);
    }
}
