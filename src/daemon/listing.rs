//! What the supervisor shows: listings, status and gauges.

use std::collections::BTreeMap;

use super::entries::Entry;
use super::sources::{Health, Running};
use super::supervisor::Supervisor;
use crate::clock;
use crate::control::{Count, LeaseRow, PortRow, PortState, SourceStatus, Status, StoreStatus};
use crate::discovery::SourceId;
use crate::lease::{Lease, Usage};
use crate::network::Network;
use crate::telemetry::{FamilyCounts, NetworkCounts, PortCount, SourceState};

impl Supervisor {
    /// Lists every port that a source names.
    pub(super) fn port_rows(&self) -> Vec<PortRow> {
        self.entries.iter().map(|(interface, entry)| self.port_row(interface, entry)).collect()
    }

    /// Lists every lease.
    pub(super) fn lease_rows(&self) -> Vec<LeaseRow> {
        let now = clock::mono();
        let row = |lease: &Lease| {
            let row = LeaseRow::from(lease);
            LeaseRow { registered: self.registrations.rows(&lease.key, now), ..row }
        };
        self.table.iter().map(row).collect()
    }

    /// Tells how the daemon is.
    pub(super) fn status(&self) -> Status {
        let mut ports: BTreeMap<PortState, u64> = BTreeMap::new();
        for (_, entry) in self.entries.iter() {
            let count = ports.entry(entry.state).or_default();
            *count = count.saturating_add(1);
        }
        let ports = ports.into_iter();
        let count = |(name, count): (String, u64)| Count { name, count };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.config.node.clone(),
            config: self.config.path.display().to_string(),
            uptime_seconds: clock::mono().as_nanos() / 1_000_000_000,
            ready: self.is_ready(),
            store: StoreStatus {
                backend: self.config.store.to_string(),
                up: self.writes.error().is_none(),
                error: self.writes.error().map(str::to_owned),
                waiting: self.writes.waiting(),
            },
            sources: self.source_rows(),
            ports: ports.map(|(state, n)| count((state.as_str().to_owned(), n))).collect(),
            leases: self.table.len(),
            replies: self.metrics.replies().into_iter().map(count).collect(),
            drops: self.metrics.drops().into_iter().map(count).collect(),
            consume: self.consumption.summary(),
            reload_error: self.reload_error.clone(),
        }
    }

    /// Brings the gauges to what is so now.
    pub(super) fn publish_gauges(&self) {
        let mut ports: BTreeMap<(&str, PortState), u64> = BTreeMap::new();
        for network in &self.config.networks {
            for state in PortState::ALL {
                ports.insert((network.name.as_str(), state), 0);
            }
        }
        for (_, entry) in self.entries.iter() {
            let network = entry.network.as_ref().map_or("", |network| network.name.as_str());
            let count = ports.entry((network, entry.state)).or_default();
            *count = count.saturating_add(1);
        }
        let count = |((network, state), count): ((&str, PortState), u64)| PortCount {
            network: network.to_owned(),
            state: state.as_str(),
            count,
        };
        self.metrics.set_ports(ports.into_iter().map(count).collect());
        let networks = self.config.networks.iter().map(|network| self.network_counts(network));
        self.metrics.set_networks(networks.collect());
        let sources = self.sources.iter().map(|(_, running)| SourceState {
            source: running.name.clone(),
            up: running.health == Health::Up,
        });
        self.metrics.set_sources(sources.collect());
        self.metrics.set_consumption(self.consumption.counts());
    }

    fn network_counts(&self, network: &Network) -> NetworkCounts {
        let family = |usage: Usage| FamilyCounts {
            leases: usage.leases,
            free: usage.free.into(),
            total: usage.total.into(),
        };
        NetworkCounts {
            network: network.name.to_string(),
            conflicts: self.table.conflicts(&network.name),
            ipv4: network
                .ipv4
                .as_ref()
                .map(|ipv4| family(self.table.ipv4_usage(&network.name, &ipv4.pool))),
            ipv6: network
                .ipv6
                .as_ref()
                .map(|ipv6| family(self.table.ipv6_usage(&network.name, &ipv6.pool))),
            prefixes: network
                .ipv6
                .as_ref()
                .and_then(|ipv6| ipv6.delegation.as_ref())
                .map(|pool| family(self.table.prefix_usage(&network.name, pool))),
        }
    }

    /// Lists one port.
    pub(super) fn port_row(&self, interface: &str, entry: &Entry) -> PortRow {
        let port = self.claims.port(interface);
        let identity = port.and_then(|port| port.identity.as_ref().ok());
        let last = self.ports.last(interface);
        let mac = port.and_then(|port| port.mac).or_else(|| last.and_then(|last| last.source()));
        let lease = entry.lease.as_ref();
        let elsewhere = self.ports.elsewhere(interface).map(str::to_owned);
        let reasons = [entry.reason.clone(), elsewhere, self.consumption.trouble(interface)];
        let reasons: Vec<String> = reasons.into_iter().flatten().collect();
        PortRow {
            interface: interface.to_owned(),
            vm: identity.map(|identity| identity.vm.to_string()),
            nic: identity.map(|identity| identity.nic.to_string()),
            network: entry.network.as_ref().map(|network| network.name.to_string()),
            mac: mac.map(|mac| mac.to_string()),
            ipv4: lease.and_then(|lease| lease.ipv4).map(|address| address.to_string()),
            ipv6: lease.and_then(|lease| lease.ipv6).map(|address| address.to_string()),
            prefix: lease.and_then(|lease| lease.prefix).map(|prefix| prefix.to_string()),
            hostname: lease.and_then(|lease| lease.hostname.clone()),
            state: entry.state,
            reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
            last_exchange: last.and_then(|last| last.exchange()),
        }
    }

    fn source_rows(&self) -> Vec<SourceStatus> {
        let row = |(id, running): (SourceId, &Running)| SourceStatus {
            name: running.name.clone(),
            up: running.health == Health::Up,
            ports: self.claims.count(id),
            error: match &running.health {
                Health::Down(reason) => Some(match self.remembered.count(id) {
                    0 => reason.clone(),
                    ports => format!("{reason}; ports from before the start: {ports}"),
                }),
                Health::Starting | Health::Up => None,
            },
        };
        self.sources.iter().map(row).collect()
    }
}
