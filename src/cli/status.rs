//! `leasehold status`: how the daemon is, on one screen.

use std::fmt::Write;
use std::path::Path;

use super::{Failure, ListOptions, client, print, print_json};
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
    for (place, source) in status.sources.iter().enumerate() {
        line(if place == 0 { "sources" } else { "" }, &self::source(source));
    }
    line("ports", &counts(&status.ports));
    line("leases", &status.leases.to_string());
    line("replies", &counts(&status.replies));
    line("drops", &counts(&status.drops));
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
    match store.waiting {
        0 => format!("{} {state}", store.backend),
        some => format!("{} {state}, {some} leases wait to be made durable", store.backend),
    }
}

fn source(source: &SourceStatus) -> String {
    let state = match &source.error {
        None if source.up => "up".to_owned(),
        None => "not yet connected".to_owned(),
        Some(error) => format!("down: {error}"),
    };
    format!("{} {state}, names {} ports", source.name, source.ports)
}

fn counts(counts: &[Count]) -> String {
    if counts.is_empty() {
        return "none".to_owned();
    }
    let words = counts.iter().map(|count| format!("{} {}", count.count, count.name));
    words.collect::<Vec<_>>().join(", ")
}

fn duration(seconds: u64) -> String {
    match (seconds / 86_400, seconds % 86_400 / 3_600, seconds % 3_600 / 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}
