//! Everything that is known of one port, and why it is so.

use std::sync::Arc;

use super::entries::Entry;
use super::plan::{Plan, Service, plan};
use super::supervisor::Supervisor;
use crate::binding::{Binding, PortFacts};
use crate::clock;
use crate::control::{
    AddressOrigin, Claim, Condition, Explanation, Identified, LeaseRow, NetworkFit, SeenValue,
};
use crate::discovery::Port;
use crate::lease::{Assignment, Lease, LeaseKey, LeaseTable, NoAddress, Occasion};
use crate::network::{Match, Network};
use crate::probe::probe;
use crate::wire::Mac;

impl Supervisor {
    /// Explains the port of this name, or every port of the VM of this name.
    pub(super) async fn explain(&self, subject: &str) -> Vec<Explanation> {
        let is_meant = |interface: &str| {
            interface == subject
                || self.claims.port(interface).is_some_and(|port| is_of_vm(port, subject))
        };
        let mut explanations = Vec::new();
        for (interface, entry) in self.entries.iter() {
            if let (true, Some(port)) = (is_meant(interface), self.claims.port(interface)) {
                explanations.push(self.explain_port(port, entry).await);
            }
        }
        explanations
    }

    async fn explain_port(&self, port: &Port, entry: &Entry) -> Explanation {
        let interface = port.interface.as_str();
        let service = self.service_of(port, entry);
        let assignment = service.as_ref().map(|service| self.assignment_of(service));
        let binding = match (self.ports.terms(interface), &service, &assignment) {
            (Some(terms), _, _) => Some(terms.binding()),
            (None, Some(service), Some(assignment)) => Some(self.binding_of(service, assignment)),
            (None, _, _) => None,
        };
        let row = self.port_row(interface, entry);
        let guest = row.mac.as_ref().and_then(|mac| mac.parse().ok()).unwrap_or(SOME_GUEST);
        let addresses = match (&service, &assignment) {
            (Some(service), Some(assignment)) => origins(&service.network, assignment),
            (None, _) | (_, None) => Vec::new(),
        };
        let link = self.links.get(interface).map(|link| {
            let state = if link.up { "up" } else { "down" };
            format!("{state}, index {}, MTU {}", link.ifindex, link.mtu)
        });
        let lease = service.and_then(|service| self.table.get(&service.key).map(LeaseRow::from));
        let chosen = entry.network.as_deref();
        Explanation {
            identity: self.identified(port),
            link,
            consume: self.consumption.told(interface),
            source_network: port.network.as_ref().map(ToString::to_string),
            networks: self.config.networks.iter().map(|one| fit(one, port, chosen)).collect(),
            addresses,
            lease,
            messages: binding.map(|binding| probe(&binding, guest)).unwrap_or_default(),
            exchanges: self.ports.exchanges(interface).await,
            port: row,
        }
    }

    fn identified(&self, port: &Port) -> Identified {
        let mut claims = self.claims.claims(&port.interface);
        let source = claims.next().map(|(source, _)| self.sources.name(source).to_owned());
        let others = claims.map(|(source, port)| Claim {
            source: self.sources.name(source).to_owned(),
            says: match &port.identity {
                Ok(identity) => format!("VM {}", identity.vm),
                Err(unidentified) => unidentified.0.clone(),
            },
        });
        let others = others.collect();
        match &port.identity {
            Ok(identity) => {
                let saw = identity.trace.saw.iter();
                let saw =
                    saw.map(|seen| SeenValue { key: seen.key.clone(), value: seen.value.clone() });
                let rule = Some(identity.trace.rule.clone());
                Identified { source, rule, saw: saw.collect(), reason: None, others }
            }
            Err(unidentified) => {
                let reason = Some(unidentified.0.clone());
                Identified { source, rule: None, saw: Vec::new(), reason, others }
            }
        }
    }

    /// Returns how a port is served, or would be if its VM came to this node.
    fn service_of(&self, port: &Port, entry: &Entry) -> Option<Service> {
        if let Some(service) = self.ports.service(&port.interface) {
            return Some(service.clone());
        }
        if let Plan::Serve(service) =
            plan(port, self.links.get(&port.interface), &self.config.networks)
        {
            return Some(service);
        }
        let identity = port.identity.as_ref().ok()?;
        let network = Arc::clone(entry.network.as_ref()?);
        let key = LeaseKey {
            network: network.name.clone(),
            vm: identity.vm.clone(),
            nic: identity.nic.clone(),
        };
        let trunk_vlan = if port.is_trunk { network.matcher.vlan } else { None };
        let facts = PortFacts { mac: port.mac, trunk_vlan, mtu: MTU, is_macvtap: false };
        Some(Service { key, network, ifindex: 0, facts })
    }

    /// Returns what the NIC holds, or would be given: the table itself is left alone.
    fn assignment_of(&self, service: &Service) -> Assignment {
        let occasion = Occasion { node: &self.config.node, wall: clock::wall() };
        self.table.clone().assign(&service.network, &service.key, occasion)
    }

    fn binding_of(&self, service: &Service, assignment: &Assignment) -> Arc<Binding> {
        let parameters = service.network.parameters(&assignment.lease, self.config.server_duid);
        Arc::new(Binding::new(service.key.clone(), &service.facts, &parameters))
    }
}

fn is_of_vm(port: &Port, vm: &str) -> bool {
    port.identity.as_ref().is_ok_and(|identity| identity.vm.as_str() == vm)
}

/// Compares a network's `[match]` with a port, key by key.
fn fit(network: &Network, port: &Port, chosen: Option<&Network>) -> NetworkFit {
    let Match { bridge, vlan, interface, external_ids } = &network.matcher;
    let condition = |key: String, wants: String, has: Option<String>, alone: Match| Condition {
        key,
        wants,
        has: has.unwrap_or_else(|| "none".to_owned()),
        holds: alone.fits(port),
    };
    let mut conditions = Vec::new();
    if let Some(wants) = bridge {
        let alone = Match { bridge: Some(wants.clone()), ..Match::default() };
        conditions.push(condition("bridge".to_owned(), wants.clone(), port.bridge.clone(), alone));
    }
    if let Some(wants) = vlan {
        let alone = Match { vlan: Some(*wants), ..Match::default() };
        conditions.push(condition("vlan".to_owned(), wants.to_string(), vlans(port), alone));
    }
    if let Some(wants) = interface {
        let alone = Match { interface: Some(wants.clone()), ..Match::default() };
        let has = Some(port.interface.clone());
        conditions.push(condition("interface".to_owned(), wants.clone(), has, alone));
    }
    for (key, wants) in external_ids {
        let external_ids = [(key.clone(), wants.clone())].into();
        let alone = Match { external_ids, ..Match::default() };
        let has = port.external_ids.get(key).map(str::to_owned);
        conditions.push(condition(format!("external-ids:{key}"), wants.clone(), has, alone));
    }
    NetworkFit {
        network: network.name.to_string(),
        chosen: chosen.is_some_and(|chosen| chosen.name == network.name),
        fits: conditions.iter().all(|condition| condition.holds),
        conditions,
    }
}

/// Writes which VLANs reach the guest.
fn vlans(port: &Port) -> Option<String> {
    if !port.is_trunk {
        return port.tag.map(|tag| tag.to_string());
    }
    let trunks: Vec<String> = port.trunks.iter().map(ToString::to_string).collect();
    Some(if trunks.is_empty() {
        "a trunk of all".to_owned()
    } else {
        format!("a trunk of {}", trunks.join(", "))
    })
}

/// Says of each family where its address comes from, and where the delegated prefix does.
fn origins(network: &Network, assignment: &Assignment) -> Vec<AddressOrigin> {
    let lease = &assignment.lease;
    let entry = network.vm_entry(&lease.key.vm, &lease.key.nic);
    let fresh = first_choice(network, lease);
    let mut origins = Vec::new();
    if let Some(ipv4) = &network.ipv4 {
        let origin = Origin {
            reserved: entry.and_then(|entry| entry.ipv4.first()) == lease.ipv4.as_ref()
                && lease.ipv4.is_some(),
            first_choice: fresh.ipv4 == lease.ipv4,
            in_ranges: lease.ipv4.is_some_and(|address| ipv4.pool.contains(address)),
            lacks: assignment.no_ipv4.as_ref(),
        };
        let address = lease.ipv4.map(|address| address.to_string());
        origins.push(origin.told("ipv4", "ranges", address));
    }
    if let Some(ipv6) = &network.ipv6 {
        let origin = Origin {
            reserved: entry.and_then(|entry| entry.ipv6.first()) == lease.ipv6.as_ref()
                && lease.ipv6.is_some(),
            first_choice: fresh.ipv6 == lease.ipv6,
            in_ranges: lease.ipv6.is_some_and(|address| ipv6.pool.contains(address)),
            lacks: assignment.no_ipv6.as_ref(),
        };
        let address = lease.ipv6.map(|address| address.to_string());
        origins.push(origin.told("ipv6", "ranges", address));
    }
    if let Some(delegation) = network.ipv6.as_ref().and_then(|ipv6| ipv6.delegation.as_ref()) {
        let origin = Origin {
            reserved: entry.and_then(|entry| entry.prefix) == lease.prefix
                && lease.prefix.is_some(),
            first_choice: fresh.prefix == lease.prefix,
            in_ranges: lease.prefix.is_some_and(|prefix| delegation.may_hold(prefix)),
            lacks: assignment.no_prefix.as_ref(),
        };
        let prefix = lease.prefix.map(|prefix| prefix.to_string());
        origins.push(origin.told("prefix", "pool", prefix));
    }
    origins
}

/// Returns the lease that an empty table would give.
fn first_choice(network: &Network, lease: &Lease) -> Lease {
    let occasion = Occasion { node: &lease.node, wall: lease.created };
    LeaseTable::default().assign(network, &lease.key, occasion).lease
}

/// What is known about an address.
struct Origin<'a> {
    reserved: bool,
    first_choice: bool,
    in_ranges: bool,
    /// Why there is none, or not the reserved one.
    lacks: Option<&'a NoAddress>,
}

impl Origin<'_> {
    fn told(&self, family: &str, place: &str, address: Option<String>) -> AddressOrigin {
        let mut origin = match &address {
            None if self.lacks.is_some() => String::new(),
            None => "the guest makes its own by SLAAC".to_owned(),
            Some(_) if self.reserved => "reserved by the VM's [[vm]] entry".to_owned(),
            Some(_) if self.in_ranges && self.first_choice => {
                format!("from the {place}: the one that the hash of network, VM and NIC prefers")
            }
            Some(_) if self.in_ranges => {
                format!(
                    "from the {place}: the one that the hash prefers was taken, or a lease was kept"
                )
            }
            Some(_) => format!("kept from before: it lies outside today's {place}"),
        };
        if let Some(lacks) = self.lacks {
            if !origin.is_empty() {
                origin.push_str("; ");
            }
            origin.push_str(&lacks.to_string());
        }
        AddressOrigin { family: family.to_owned(), address, origin }
    }
}

/// Who asks where the guest's MAC is not known.
const SOME_GUEST: Mac = Mac([0x02, 0, 0, 0, 0, 0x01]);

/// The MTU of an interface that is not there.
const MTU: u16 = 1_500;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Unidentified;
    use crate::network::tests::network;
    use crate::time::Wall;

    fn port() -> Port {
        let unidentified = Err(Unidentified(String::new()));
        Port {
            bridge: Some("br-a".to_owned()),
            is_trunk: true,
            trunks: vec![5, 7],
            ..Port::new("vnet0".to_owned(), unidentified)
        }
    }

    #[test]
    fn each_key_of_a_match_is_told_with_what_the_port_has() {
        let matcher = Match {
            bridge: Some("br-a".to_owned()),
            vlan: Some(6),
            interface: Some("vnet*".to_owned()),
            external_ids: [("network".to_owned(), "blue".to_owned())].into(),
        };
        let blue = Network { matcher, ..network("blue") };
        let told = fit(&blue, &port(), None);
        let conditions: Vec<_> = told
            .conditions
            .iter()
            .map(|one| (one.key.as_str(), one.wants.as_str(), one.has.as_str(), one.holds))
            .collect();
        assert_eq!(
            conditions,
            [
                ("bridge", "br-a", "br-a", true),
                ("vlan", "6", "a trunk of 5, 7", false),
                ("interface", "vnet*", "vnet0", true),
                ("external-ids:network", "blue", "none", false),
            ]
        );
        assert!(!told.fits && !told.chosen);
        let plain = network("green");
        let told = fit(&plain, &port(), Some(&plain));
        assert!(told.fits && told.chosen && told.conditions.is_empty());
    }

    #[test]
    fn an_address_says_where_it_comes_from() {
        let mut blue = network("blue");
        let range = "10.0.0.10".parse().unwrap();
        if let Some(ipv4) = &mut blue.ipv4 {
            ipv4.pool.ranges = vec![crate::network::PoolRange {
                first: range,
                last: "10.0.0.99".parse().unwrap(),
            }];
        }
        let key = LeaseKey {
            network: blue.name.clone(),
            vm: "demo/web-1".parse().unwrap(),
            nic: "default".parse().unwrap(),
        };
        let occasion = Occasion { node: "node-a", wall: Wall(0) };
        let assignment = LeaseTable::default().assign(&blue, &key, occasion);
        let said = |assignment: &Assignment| origins(&blue, assignment).remove(0).origin;
        assert!(said(&assignment).starts_with("from the ranges: the one that the hash of"));
        let mut other = assignment.clone();
        other.lease.ipv4 = Some("10.0.0.5".parse().unwrap());
        assert_eq!(said(&other), "kept from before: it lies outside today's ranges");
        other.lease.ipv4 = None;
        other.no_ipv4 = Some(NoAddress::Exhausted("IPv4"));
        assert_eq!(said(&other), "all IPv4 addresses of the network's ranges are in use");
    }
}
