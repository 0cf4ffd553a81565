//! `leasehold ports`: every port of this node and what is served on it.

use std::collections::HashMap;
use std::path::Path;

use super::table::{or_dash, render};
use super::{Failure, ListOptions, client, print, print_json};
use crate::control::{Answer, PortRow, Request};

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
    // Few networks delegate: only where one does is there a third line.
    let has_prefix = rows.iter().any(|row| row.prefix.is_some());
    let addresses = if has_prefix { "IPV4\nIPV6\nPREFIX" } else { "IPV4\nIPV6" };
    let header = ["INTERFACE\nNETWORK", "VM\nLAST EXCHANGE", "STATE", addresses];
    let mut ports_of: HashMap<&str, usize> = HashMap::new();
    for vm in rows.iter().filter_map(|row| row.vm.as_deref()) {
        *ports_of.entry(vm).or_default() += 1;
    }
    // Only a VM with further ports needs the NIC to tell them apart.
    let nic = |row: &PortRow| {
        let vm = row.vm.as_deref()?;
        row.nic.clone().filter(|_| ports_of.get(vm).is_some_and(|ports| *ports > 1))
    };
    let table = render(&header, rows.iter().map(|row| cells(row, nic(row))).collect());
    let reasons = rows.iter().filter_map(|row| {
        let reason = row.reason.as_ref()?;
        Some(format!("{}: {}: {reason}\n", row.interface, row.state.as_str()))
    });
    let reasons: String = reasons.collect();
    if reasons.is_empty() { table } else { format!("{table}\n{reasons}") }
}

/// Puts a port into two lines, so that 80 columns hold it even if its VM is named by a UUID. The
/// first has what is asked for most.
fn cells(row: &PortRow, nic: Option<String>) -> Vec<String> {
    let exchange = row.last_exchange.as_ref().map(|exchange| {
        // The day is left out: what matters is how long ago, and `--json` has it whole.
        let time = exchange.at.get(11..19).unwrap_or(&exchange.at);
        // Both DHCPs have a request and a reply.
        format!("{time} {} {} > {}", exchange.protocol, exchange.message, exchange.outcome)
    });
    // A port of which nothing more is known needs no second line.
    let is_known = row.network.is_some() || row.ipv6.is_some() || exchange.is_some();
    let two_lines = |first: Option<&str>, second: Option<&str>| match is_known {
        true => format!("{}\n{}", or_dash(first), or_dash(second)),
        false => or_dash(first),
    };
    let vm = or_dash(row.vm.as_deref());
    let vm = nic.map_or_else(|| vm.clone(), |nic| format!("{vm}\n{nic}"));
    let addresses = two_lines(row.ipv4.as_deref(), row.ipv6.as_deref());
    vec![
        two_lines(Some(&row.interface), row.network.as_deref()),
        two_lines(Some(&vm), exchange.as_deref()),
        row.state.as_str().to_owned(),
        row.prefix.iter().fold(addresses, |lines, prefix| format!("{lines}\n{prefix}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Exchange, PortState};
    use crate::outcome::{Message, Protocol};

    fn port(interface: &str, vm: Option<&str>, state: PortState) -> PortRow {
        PortRow {
            interface: interface.to_owned(),
            vm: vm.map(str::to_owned),
            nic: vm.map(|_| format!("nic-of-{interface}")),
            network: None,
            mac: None,
            ipv4: None,
            ipv6: None,
            prefix: None,
            hostname: None,
            state,
            reason: None,
            last_exchange: None,
        }
    }

    fn served(interface: &str, vm: &str) -> PortRow {
        let at = "2026-11-25T01:53:09Z".to_owned();
        PortRow {
            network: Some("blue".to_owned()),
            ipv4: Some("10.20.0.10".to_owned()),
            ipv6: Some("2001:db8:20::1:a934".to_owned()),
            last_exchange: Some(Exchange::new(at, Protocol::Dhcpv4, Message::Request, "ack")),
            ..port(interface, Some(vm), PortState::Serving)
        }
    }

    #[test]
    fn two_lines_of_eighty_columns_hold_a_port_and_its_reason_stands_below() {
        let reason = Some("no vm-id in external_ids".to_owned());
        let rows = [
            served("vnet0", "3f2b8c1e-0d5a-4b7e-9c11-5a6d7e8f9a01"),
            PortRow { reason, ..port("patch-7", None, PortState::Unidentified) },
        ];
        let expected = "\
INTERFACE  VM                                    STATE         IPV4
NETWORK    LAST EXCHANGE                                       IPV6
vnet0      3f2b8c1e-0d5a-4b7e-9c11-5a6d7e8f9a01  serving       10.20.0.10
blue       01:53:09 dhcpv4 request > ack                       2001:db8:20::1:a934
patch-7    -                                     unidentified  -

patch-7: unidentified: no vm-id in external_ids
";
        assert_eq!(listing(&rows), expected);
    }

    #[test]
    fn a_delegated_prefix_stands_on_a_third_line() {
        let prefix = Some("2001:db8:8000:200::/56".to_owned());
        let rows = [
            PortRow { prefix, ..served("vnet0", "3f2b8c1e-0d5a-4b7e-9c11-5a6d7e8f9a01") },
            served("vnet1", "db-1"),
        ];
        let expected = "\
INTERFACE  VM                                    STATE    IPV4
NETWORK    LAST EXCHANGE                                  IPV6
                                                          PREFIX
vnet0      3f2b8c1e-0d5a-4b7e-9c11-5a6d7e8f9a01  serving  10.20.0.10
blue       01:53:09 dhcpv4 request > ack                  2001:db8:20::1:a934
                                                          2001:db8:8000:200::/56
vnet1      db-1                                  serving  10.20.0.10
blue       01:53:09 dhcpv4 request > ack                  2001:db8:20::1:a934
";
        assert_eq!(listing(&rows), expected);
    }

    #[test]
    fn the_nic_is_shown_where_it_tells_two_ports_apart() {
        let rows = [served("vnet0", "web-1"), served("vnet1", "web-1"), served("vnet2", "db-1")];
        let text = listing(&rows);
        let nics = ["nic-of-vnet0", "nic-of-vnet1", "nic-of-vnet2"].map(|nic| text.contains(nic));
        assert_eq!(nics, [true, true, false], "{text}");
    }
}
