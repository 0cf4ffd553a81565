//! `leasehold explain`: why a port is as it is, and what its guest would be told now.

use std::fmt::Write as _;
use std::path::Path;

use super::table::or_dash;
use super::{ExitStatus, Failure, arrival, client, decision, print, print_json};
use crate::control::{
    Answer, Explanation, Field, NetworkFit, Past, PortRow, PortState, Probed, Request,
};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// A port, by its interface's name, or a VM, by its identity
    #[arg(value_name = "PORT-or-VM")]
    subject: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn explain(config: &Path, options: &Options) -> Result<(), Failure> {
    let socket = client::socket(config)?;
    let subject = &options.subject;
    match client::ask(&socket, &Request::Explain { subject: subject.clone() })? {
        Answer::Explain(found) if found.is_empty() => Err(Failure::new(
            ExitStatus::Unavailable,
            format!(
                "explaining {subject:?}: no source names such a port, and no port here is of such \
                 a VM; {}`leasehold ports` lists all, `leasehold status` the sources",
                meant(&socket, subject)
            ),
        )),
        Answer::Explain(found) if options.json => print_json(&found),
        Answer::Explain(found) => print(&found.iter().map(page).collect::<Vec<_>>().join("\n")),
        other => Err(client::unexpected(other)),
    }
}

/// Names a VM of a port here whose name without the namespace is what was asked for.
fn meant(socket: &Path, subject: &str) -> String {
    let Ok(Answer::Ports(rows)) = client::ask(socket, &Request::Ports) else {
        return String::new();
    };
    let vm = same_name(&rows, subject);
    vm.map(|vm| format!("is {vm:?} meant? ")).unwrap_or_default()
}

fn same_name<'r>(rows: &'r [PortRow], subject: &str) -> Option<&'r str> {
    let is_meant = |vm: &&str| vm.rsplit_once('/').is_some_and(|(_, name)| name == subject);
    rows.iter().filter_map(|row| row.vm.as_deref()).find(is_meant)
}

fn page(explanation: &Explanation) -> String {
    let mut page = Page(String::new());
    page.port(explanation);
    page.networks(explanation);
    page.addresses(explanation);
    page.messages(explanation);
    page.exchanges(&explanation.exchanges);
    page.0
}

/// The text so far. Writing to a String cannot fail.
struct Page(String);

impl Page {
    fn line(&mut self, name: &str, value: &str) {
        let _ = writeln!(self.0, "{name:<NAMES$} {value}");
    }

    fn title(&mut self, title: &str) {
        let _ = writeln!(self.0, "\n{title}");
    }

    fn port(&mut self, explanation: &Explanation) {
        let Explanation { port, identity, link, .. } = explanation;
        let state = match &port.reason {
            Some(reason) => format!("{}: {reason}", port.state.as_str()),
            None => port.state.as_str().to_owned(),
        };
        self.line("port", &format!("{}, {state}", port.interface));
        let nic = port.nic.as_deref().map(|nic| format!(", NIC {nic}")).unwrap_or_default();
        self.line("vm", &format!("{}{nic}", or_dash(port.vm.as_deref())));
        let source = or_dash(identity.source.as_deref());
        let named = match (&identity.rule, &identity.reason) {
            (Some(rule), _) if *rule == source => format!("by source {source}"),
            (Some(rule), _) => format!("by {rule} of source {source}"),
            (None, Some(reason)) => format!("not by source {source}: {reason}"),
            (None, None) => format!("by source {source}"),
        };
        self.line("named", &named);
        for seen in &identity.saw {
            self.line("", &format!("{} = {}", seen.key, seen.value));
        }
        for other in &identity.others {
            let says = &other.says;
            self.line(
                "",
                &format!("source {} comes later, and is not asked: {says}", other.source),
            );
        }
        self.line("mac", &or_dash(port.mac.as_deref()));
        self.line("link", link.as_deref().unwrap_or("no such interface on this node"));
        if let Some(consume) = &explanation.consume {
            self.line("consume", consume);
        }
    }

    fn networks(&mut self, explanation: &Explanation) {
        self.title("Network");
        if let Some(network) = &explanation.source_network {
            let _ = writeln!(self.0, "  the source names {network}: no [match] is asked");
        }
        if explanation.networks.is_empty() {
            let _ = writeln!(self.0, "  none is configured");
        }
        let names = explanation.networks.iter().map(|network| network.network.len());
        let width = names.max().unwrap_or(0);
        for network in &explanation.networks {
            let _ = writeln!(self.0, "  {:width$}  {}", network.network, verdict(network));
            let is_told = explanation.networks.len() > 1 || !network.fits;
            for condition in network.conditions.iter().filter(|_| is_told) {
                let holds = if condition.holds { "is so" } else { "is not so" };
                let wants = format!("{} = {}", condition.key, condition.wants);
                let has = &condition.has;
                let _ = writeln!(self.0, "  {:width$}    {wants} {holds}: it has {has}", "");
            }
        }
    }

    fn addresses(&mut self, explanation: &Explanation) {
        if explanation.addresses.is_empty() {
            return;
        }
        self.title("Addresses");
        let width = explanation.addresses.iter().map(|address| address.family.len()).max();
        let width = width.unwrap_or(0);
        for address in &explanation.addresses {
            let text = or_dash(address.address.as_deref());
            let _ = writeln!(self.0, "  {:width$}  {text}", address.family);
            let _ = writeln!(self.0, "  {:width$}  {}", "", address.origin);
        }
        match &explanation.lease {
            None => {
                let _ = writeln!(self.0, "  there is no lease yet: this is what it would be");
            }
            Some(lease) => {
                let seen = match &lease.last_seen {
                    Some(seen) => format!("guest last heard {seen}"),
                    None => "guest not yet heard".to_owned(),
                };
                let _ = writeln!(
                    self.0,
                    "  lease made {}, served by {}, {seen}",
                    lease.created, lease.node
                );
                if let Some(arrived) = &lease.arrived {
                    let _ = writeln!(self.0, "  the VM came to {} {arrived}", lease.node);
                }
                if lease.conflict {
                    let _ = writeln!(self.0, "  CONFLICT: the guest found an address in use");
                }
            }
        }
    }

    fn messages(&mut self, explanation: &Explanation) {
        let messages = &explanation.messages;
        if messages.is_empty() {
            return;
        }
        let when = match explanation.port.state {
            PortState::Serving => "now",
            PortState::Unidentified
            | PortState::NoNetwork
            | PortState::NoAddress
            | PortState::Inactive
            | PortState::NoDevice => "once the port is served; now it hears nothing",
        };
        self.title(&format!("What a guest that asks for everything would get {when}"));
        for (place, probed) in messages.iter().enumerate() {
            let Probed { protocol, request, explanation, reply, .. } = probed;
            let outcome = decision(&probed.verdict, &probed.outcome);
            let why = explanation.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            let Some(reply) = reply else {
                let _ = writeln!(self.0, "  {protocol} {request} > {outcome}{why}");
                continue;
            };
            let _ = writeln!(self.0, "  {protocol} {request} > {outcome}{why}");
            let _ = writeln!(self.0, "    from {} to {}", reply.source, reply.destination);
            let before = messages.get(..place).unwrap_or_default();
            let before = before.iter().rev().find(|before| before.protocol == *protocol);
            let before = before.and_then(|before| {
                let fields = &before.reply.as_ref()?.fields;
                Some((before.outcome.as_str(), fields.as_slice()))
            });
            self.fields(&reply.fields, before);
        }
    }

    /// Writes a reply's fields; those that an earlier reply had too are not written again.
    fn fields(&mut self, fields: &[Field], before: Option<(&str, &[Field])>) {
        let is_new = |field: &&Field| before.is_none_or(|(_, before)| !before.contains(field));
        let new: Vec<&Field> = fields.iter().filter(is_new).collect();
        let width = new.iter().map(|field| field.name.len()).max().unwrap_or(0);
        for field in &new {
            let code = field.code.map(|code| code.to_string()).unwrap_or_default();
            let line = format!("    {code:>3} {:width$}  {}", field.name, field.value);
            // What belongs together is long: each part gets a line of its own.
            let gap = width.saturating_add(10);
            let parts = if line.len() > WIDTH { format!("\n{:gap$}", "") } else { "; ".to_owned() };
            let _ = writeln!(self.0, "{}", line.replace("; ", &parts));
        }
        if let Some((outcome, before)) = before {
            let same = fields.len().saturating_sub(new.len());
            if same > 0 {
                let _ = writeln!(self.0, "        and {same} as in the {outcome} above");
            }
            let gone = before.iter().filter(|old| fields.iter().all(|new| new.name != old.name));
            let gone: Vec<&str> = gone.map(|field| field.name.as_str()).collect();
            if !gone.is_empty() {
                let _ = writeln!(self.0, "        but no {}", gone.join(", "));
            }
        }
    }

    fn exchanges(&mut self, exchanges: &[Past]) {
        self.title("Last exchanges");
        if exchanges.is_empty() {
            let _ = writeln!(self.0, "  none since the port is served");
        }
        for past in exchanges {
            let _ = writeln!(self.0, "  {}", exchange(past));
        }
    }
}

fn verdict(network: &NetworkFit) -> &'static str {
    match (network.chosen, network.fits, network.conditions.is_empty()) {
        (true, _, _) => "is the port's",
        (false, true, true) => "fits: it has no [match]",
        (false, true, false) => "fits",
        (false, false, _) => "does not fit",
    }
}

fn exchange(past: &Past) -> String {
    // The time of day is what is compared; `--json` has the day too.
    let time = |at: &str| at.get(11..19).unwrap_or(at).to_owned();
    let Past { count, protocol, message, note, explanation, .. } = past;
    let outcome = decision(&past.verdict, &past.outcome);
    let mut text = format!("{}  {protocol} {message} > {outcome}", time(&past.last));
    if let Some(note) = note {
        let _ = write!(text, ", {note}");
    }
    if let Some(explanation) = explanation {
        let _ = write!(text, ": {explanation}");
    }
    text.push_str(arrival(past.arrived, &past.outcome));
    if *count > 1 {
        let _ = write!(text, " ({count} since {})", time(&past.first));
    }
    text
}

/// As wide as the longest name of the first part.
const NAMES: usize = 7;

/// A terminal's.
const WIDTH: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Condition, Decoded, Identified};

    fn unserved() -> Explanation {
        Explanation {
            port: PortRow {
                interface: "vnet0".to_owned(),
                vm: Some("demo/web-1".to_owned()),
                nic: Some("eth0".to_owned()),
                network: None,
                mac: None,
                ipv4: None,
                ipv6: None,
                prefix: None,
                hostname: None,
                state: PortState::NoNetwork,
                reason: Some("no network fits".to_owned()),
                last_exchange: None,
            },
            identity: Identified {
                source: Some("static".to_owned()),
                rule: Some("static".to_owned()),
                saw: Vec::new(),
                reason: None,
                others: Vec::new(),
            },
            link: Some("up, index 7, MTU 1500".to_owned()),
            consume: None,
            source_network: None,
            networks: ["blue", "green"]
                .map(|name| NetworkFit {
                    network: name.to_owned(),
                    chosen: false,
                    fits: false,
                    conditions: vec![Condition {
                        key: "vlan".to_owned(),
                        wants: "100".to_owned(),
                        has: "none".to_owned(),
                        holds: false,
                    }],
                })
                .into(),
            addresses: Vec::new(),
            lease: None,
            messages: Vec::new(),
            exchanges: Vec::new(),
        }
    }

    #[test]
    fn a_port_without_a_network_says_which_key_does_not_hold() {
        let expected = "\
port    vnet0, no-network: no network fits
vm      demo/web-1, NIC eth0
named   by source static
mac     -
link    up, index 7, MTU 1500

Network
  blue   does not fit
           vlan = 100 is not so: it has none
  green  does not fit
           vlan = 100 is not so: it has none

Last exchanges
  none since the port is served
";
        assert_eq!(page(&unserved()), expected);
    }

    #[test]
    fn a_vm_that_was_named_without_its_namespace_is_found() {
        let rows = [unserved().port];
        assert_eq!(same_name(&rows, "web-1"), Some("demo/web-1"));
        assert_eq!(same_name(&rows, "web"), None);
        assert_eq!(same_name(&rows, "demo/web-1"), None);
    }

    #[test]
    fn what_a_port_that_is_not_served_would_tell_is_not_told_now() {
        let mut explanation = unserved();
        explanation.messages = vec![Probed {
            protocol: "dhcpv4".to_owned(),
            request: "discover".to_owned(),
            verdict: "drop".to_owned(),
            outcome: "no-address".to_owned(),
            explanation: None,
            reply: None,
        }];
        let title = "would get once the port is served; now it hears nothing\n";
        assert!(page(&explanation).contains(title), "{}", page(&explanation));
        explanation.port.state = PortState::Serving;
        assert!(page(&explanation).contains("would get now\n"), "{}", page(&explanation));
    }

    #[test]
    fn the_only_network_says_why_it_does_not_fit_and_is_brief_if_it_does() {
        let mut explanation = unserved();
        explanation.networks.truncate(1);
        let why = "  blue  does not fit\n          vlan = 100 is not so: it has none\n";
        assert!(page(&explanation).contains(why), "{}", page(&explanation));
        explanation.networks[0].fits = true;
        explanation.networks[0].conditions[0].holds = true;
        assert!(!page(&explanation).contains("vlan"), "{}", page(&explanation));
    }

    #[test]
    fn a_reply_is_compared_with_the_one_before() {
        let field = |code, name: &str, value: &str| Field {
            code: Some(code),
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let probed = |request: &str, outcome: &str, fields| Probed {
            protocol: "dhcpv4".to_owned(),
            request: request.to_owned(),
            verdict: "reply".to_owned(),
            outcome: outcome.to_owned(),
            explanation: None,
            reply: Some(Decoded {
                source: "10.0.0.1".to_owned(),
                destination: "10.0.0.10".to_owned(),
                fields,
            }),
        };
        let mtu = || field(26, "interface-mtu", "1450");
        let mut page = Page(String::new());
        let mut explanation = unserved();
        explanation.port.state = PortState::Serving;
        explanation.messages = vec![
            probed(
                "discover",
                "offer",
                vec![field(53, "type", "OFFER"), mtu(), field(116, "auto", "no")],
            ),
            probed("request", "ack", vec![field(53, "type", "ACK"), mtu()]),
        ];
        page.messages(&explanation);
        let expected = "
What a guest that asks for everything would get now
  dhcpv4 discover > offer
    from 10.0.0.1 to 10.0.0.10
     53 type           OFFER
     26 interface-mtu  1450
    116 auto           no
  dhcpv4 request > ack
    from 10.0.0.1 to 10.0.0.10
     53 type  ACK
        and 1 as in the offer above
        but no auto
";
        assert_eq!(page.0, expected);
    }

    #[test]
    fn equal_exchanges_are_one_line_with_their_number() {
        let past = Past {
            first: "2026-11-25T01:53:09Z".to_owned(),
            last: "2026-11-25T01:53:59Z".to_owned(),
            count: 7,
            protocol: "dhcpv4".to_owned(),
            message: "discover".to_owned(),
            verdict: "drop".to_owned(),
            outcome: "no-address".to_owned(),
            note: None,
            arrived: false,
            explanation: Some("the VM holds no address of this family".to_owned()),
        };
        assert_eq!(
            exchange(&past),
            "01:53:59  dhcpv4 discover > drop no-address: the VM holds no address of this family (7 \
             since 01:53:09)"
        );
    }
}
