//! What reading the files anew would change, found without changing anything.
//!
//! Each port is decided twice, as it is served and as it would be, and both are compared value by
//! value. Leases are drawn in a copy of the table.

use std::collections::BTreeSet;

use super::claims::Claims;
use super::plan::{Plan, plan};
use super::reconcile::nothing_to_give;
use super::supervisor::Supervisor;
use super::values::values as values_of;
use crate::clock;
use crate::config::{Config, Source};
use crate::control::{PlanOutcome, PortChange, PortState, ValueChange};
use crate::discovery::{self, SourceEvent, SourceId};
use crate::lease::{LeaseTable, Occasion};
use crate::network::Parameters;

impl Supervisor {
    /// Reads the files and says what they would change.
    pub(super) async fn preview(&self) -> PlanOutcome {
        match self.read_files().await {
            Ok(new) => self.compare(&new),
            Err(errors) => {
                PlanOutcome { errors, ports: Vec::new(), notes: Vec::new(), changes: false }
            }
        }
    }

    fn compare(&self, new: &Config) -> PlanOutcome {
        let mut notes = Notes { lines: new.warnings.clone(), changes: false };
        self.compare_daemons(new, &mut notes);
        let claims = self.claims_of(new, &mut notes);
        let (mut now, mut then) = (Draft::new(self, &self.config), Draft::new(self, new));
        let mut ports = Vec::new();
        let interfaces: BTreeSet<&str> =
            self.claims.interfaces().chain(claims.interfaces()).collect();
        for interface in interfaces {
            let before = now.port(interface, &self.claims, Serving::AsItIs);
            let after = then.port(interface, &claims, Serving::AsItWouldBe);
            let values = differences(&before.values, &after.values);
            if !values.is_empty() {
                let named = if before.vm.is_some() { before } else { after };
                let (vm, nic) = (named.vm, named.nic);
                ports.push(PortChange { interface: interface.to_owned(), vm, nic, values });
            }
        }
        if ports.is_empty() {
            self.compare_networks(new, &mut notes);
        }
        notes.lines.extend(self.table.name_outside_ranges(&new.networks, NAMED));
        let changes = notes.changes || !ports.is_empty();
        PlanOutcome { errors: Vec::new(), ports, notes: notes.lines, changes }
    }

    /// Compares what is no port's.
    fn compare_daemons(&self, new: &Config, notes: &mut Notes) {
        let old = &self.config;
        let restart = [
            ("[store]", new.store != old.store),
            ("[control]", new.control_socket != old.control_socket),
            ("max-ports", new.limits.max_ports != old.limits.max_ports),
        ];
        for (what, differs) in restart {
            if differs {
                notes.say(format!("{what} differs; it takes effect at the next restart"));
            }
        }
        let rates = |config: &Config| (config.limits.frames_per_second, config.limits.burst);
        notes.compare("limits: frames per second, burst", rates(old), rates(new));
        notes.compare("[node] name", &old.node, &new.node);
        notes.compare("[metrics] listen", old.metrics_listen, new.metrics_listen);
    }

    /// Says which networks differ though no port here shows it.
    fn compare_networks(&self, new: &Config, notes: &mut Notes) {
        let find = |config: &Config, name: &str| {
            config.networks.iter().find(|network| network.name.as_str() == name).cloned()
        };
        let names = self.config.networks.iter().chain(&new.networks);
        let names: BTreeSet<&str> = names.map(|network| network.name.as_str()).collect();
        for name in names {
            let what = match (find(&self.config, name), find(new, name)) {
                (None, _) => "is new",
                (_, None) => "is gone",
                (old, new) if old == new => continue,
                (_, _) => "differs",
            };
            notes.change(format!("network {name} {what}; no port here is given anything else"));
        }
    }

    /// Returns what the sources of `new` name, as far as that is known without asking them.
    fn claims_of(&self, new: &Config, notes: &mut Notes) -> Claims {
        let same_rules = self.config.identity == new.identity;
        let mut claims = Claims::default();
        for (place, source) in new.sources.iter().enumerate() {
            let ports = if let Source::Static { ports } = source {
                discovery::static_ports(ports)
            } else {
                let old = self.config.sources.iter().position(|old| old == source);
                if old.is_none() || !same_rules {
                    notes.change(format!(
                        "source {source}, or its rules, differ; its ports are taken as they are \
                         named now"
                    ));
                }
                {
                    let ports = self.claims.of(SourceId(old.unwrap_or(place)));
                    ports.map(|port| port.as_ref().clone()).collect()
                }
            };
            claims.apply(SourceId(place), SourceEvent::Snapshot(ports));
        }
        claims
    }
}

/// What is said beside the ports.
struct Notes {
    lines: Vec<String>,
    changes: bool,
}

impl Notes {
    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    fn change(&mut self, line: String) {
        self.changes = true;
        self.say(line);
    }

    fn compare<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, old: T, new: T) {
        if old != new {
            self.change(format!("{what}: {old:?} -> {new:?}"));
        }
    }
}

/// Whether a port's values are those that its guest is given now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serving {
    AsItIs,
    AsItWouldBe,
}

/// The ports as one set of files has them.
struct Draft<'a> {
    supervisor: &'a Supervisor,
    config: &'a Config,
    table: LeaseTable,
}

/// One port as one set of files has it.
struct Drafted {
    vm: Option<String>,
    nic: Option<String>,
    values: Vec<(&'static str, String)>,
}

impl<'a> Draft<'a> {
    fn new(supervisor: &'a Supervisor, config: &'a Config) -> Self {
        Self { supervisor, config, table: supervisor.table.clone() }
    }

    fn port(&mut self, interface: &str, claims: &Claims, serving: Serving) -> Drafted {
        let Some(port) = claims.port(interface) else {
            return Drafted { vm: None, nic: None, values: Vec::new() };
        };
        let identity = port.identity.as_ref().ok();
        let vm = identity.map(|identity| identity.vm.to_string());
        let nic = identity.map(|identity| identity.nic.to_string());
        let mut values = Vec::new();
        values.extend(vm.clone().map(|vm| ("vm", vm)));
        values.extend(nic.clone().map(|nic| ("nic", nic)));
        let link = self.supervisor.links.get(interface);
        match plan(port, link, &self.config.networks) {
            Plan::Idle { state, reason, network } => {
                values.push(("state", format!("{}: {reason}", state.as_str())));
                values.extend(network.map(|network| ("network", network.name.to_string())));
            }
            Plan::Serve(service) => {
                values.push(("network", service.network.name.to_string()));
                values.extend(service.facts.mac.map(|mac| ("mac", mac.to_string())));
                let occasion = Occasion { node: &self.config.node, wall: clock::wall() };
                let assignment = self.table.assign(&service.network, &service.key, occasion);
                match nothing_to_give(&service.network, &assignment) {
                    Some(reason) => {
                        let state = PortState::NoAddress.as_str();
                        values.push(("state", format!("{state}: {reason}")));
                    }
                    None => {
                        values.push(("state", PortState::Serving.as_str().to_owned()));
                        let duid = self.config.server_duid;
                        let drafted = service.network.parameters(&assignment.lease, duid);
                        let given = self.served(interface, serving).unwrap_or(&drafted);
                        values.extend(values_of(given));
                    }
                }
            }
        }
        Drafted { vm, nic, values }
    }

    /// Returns what the guest is given now.
    fn served(&self, interface: &str, serving: Serving) -> Option<&'a Parameters> {
        match serving {
            Serving::AsItIs => {
                self.supervisor.ports.terms(interface).map(|terms| &terms.parameters)
            }
            Serving::AsItWouldBe => None,
        }
    }
}

/// Returns the values that differ, in the order in which they stand.
fn differences(
    before: &[(&'static str, String)],
    after: &[(&'static str, String)],
) -> Vec<ValueChange> {
    let find = |values: &[(&'static str, String)], name: &str| {
        values.iter().find(|(other, _)| *other == name).map(|(_, value)| value.clone())
    };
    let mut names: Vec<&'static str> = before.iter().map(|(name, _)| *name).collect();
    let new = after.iter().map(|(name, _)| *name).filter(|name| find(before, name).is_none());
    names.extend(new);
    let change = |name: &'static str| ValueChange {
        name: name.to_owned(),
        now: find(before, name),
        then: find(after, name),
    };
    names.into_iter().map(change).filter(|change| change.now != change.then).collect()
}

/// How many leases of one network are named for lying outside its ranges.
const NAMED: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_comes_and_goes_is_told_and_nothing_else() {
        let value = |name, text: &str| (name, text.to_owned());
        let before = [value("mtu", "1450"), value("dns", "10.0.0.53"), value("ntp", "10.0.0.1")];
        let after = [value("dns", "10.0.0.54"), value("ntp", "10.0.0.1"), value("domain", "x")];
        let change = |name: &str, now: Option<&str>, then: Option<&str>| ValueChange {
            name: name.to_owned(),
            now: now.map(str::to_owned),
            then: then.map(str::to_owned),
        };
        assert_eq!(
            differences(&before, &after),
            [
                change("mtu", Some("1450"), None),
                change("dns", Some("10.0.0.53"), Some("10.0.0.54")),
                change("domain", None, Some("x")),
            ]
        );
        assert_eq!(differences(&before, &before), []);
    }
}
