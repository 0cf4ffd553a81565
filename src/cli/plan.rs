//! `leasehold plan`: what the files, as they are now, would change in the running daemon.

use std::fmt::Write as _;
use std::path::Path;

use super::{ExitStatus, Failure, ListOptions, client, counted, print, print_json};
use crate::control::{Answer, PlanOutcome, PortChange, Request, ValueChange};

pub(super) fn plan(config: &Path, options: &ListOptions) -> Result<(), Failure> {
    let socket = client::socket(config)?;
    let outcome = match client::ask(&socket, &Request::Plan)? {
        Answer::Plan(outcome) => outcome,
        other => return Err(client::unexpected(other)),
    };
    if options.json {
        print_json(&outcome)?;
    }
    if !outcome.errors.is_empty() {
        return Err(Failure::new(ExitStatus::Config, outcome.errors.join("\n")));
    }
    if !options.json {
        print(&page(&outcome))?;
    }
    if outcome.changes { Err(Failure::new(ExitStatus::Differs, "")) } else { Ok(()) }
}

fn page(outcome: &PlanOutcome) -> String {
    let mut text: String = outcome.ports.iter().map(port).collect();
    for note in &outcome.notes {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{note}");
    }
    let _ = match (outcome.changes, outcome.ports.len()) {
        (false, _) => writeln!(text, "no change"),
        (true, 0) => writeln!(text, "no change for the VMs of this node"),
        (true, ports) => writeln!(text, "{} would change", counted(ports, "port")),
    };
    text
}

fn port(change: &PortChange) -> String {
    let vm = change.vm.as_deref().unwrap_or("no VM");
    let nic = change.nic.as_deref().map(|nic| format!(" {nic}")).unwrap_or_default();
    let mut text = format!("{vm}{nic} on {}\n", change.interface);
    let width = change.values.iter().map(|value| value.name.len()).max().unwrap_or(0);
    for ValueChange { name, now, then } in &change.values {
        let now = now.as_deref().unwrap_or("none");
        let then = then.as_deref().unwrap_or("none");
        let line = format!("  {name:width$}  {now} -> {then}");
        // Long values are easier to compare below each other.
        let _ = if line.len() <= WIDTH {
            writeln!(text, "{line}")
        } else {
            let gap = width.saturating_add(4);
            writeln!(text, "  {name:width$}  {now}\n{:gap$}-> {then}", "")
        };
    }
    text.push('\n');
    text
}

/// A terminal's.
const WIDTH: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_below_each_other_and_what_is_not_set_is_none() {
        let value = |name: &str, now: Option<&str>, then: Option<&str>| ValueChange {
            name: name.to_owned(),
            now: now.map(str::to_owned),
            then: then.map(str::to_owned),
        };
        let long =
            "10.0.0.0/8 via 10.20.0.254, 172.16.0.0/12 via 10.20.0.254, 0.0.0.0/0 via 10.20.0.1";
        let outcome = PlanOutcome {
            errors: Vec::new(),
            ports: vec![PortChange {
                interface: "vnet0".to_owned(),
                vm: Some("demo/web-1".to_owned()),
                nic: Some("eth0".to_owned()),
                values: vec![
                    value("mtu", Some("1450"), Some("1400")),
                    value("ipv4.routes", None, Some(long)),
                    value("domain", Some("blue.example"), None),
                ],
            }],
            notes: vec!["[store] differs; it takes effect at the next restart".to_owned()],
            changes: true,
        };
        let expected = "\
demo/web-1 eth0 on vnet0
  mtu          1450 -> 1400
  ipv4.routes  none
               -> 10.0.0.0/8 via 10.20.0.254, 172.16.0.0/12 via 10.20.0.254, 0.0.0.0/0 via 10.20.0.1
  domain       blue.example -> none

[store] differs; it takes effect at the next restart
1 port would change
";
        assert_eq!(page(&outcome), expected);
        let same = PlanOutcome { ports: Vec::new(), notes: Vec::new(), changes: false, ..outcome };
        assert_eq!(page(&same), "no change\n");
    }
}
