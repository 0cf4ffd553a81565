//! What the daemon last said of its ports, leases, sources and files.

use prometheus::proto::MetricFamily;

use super::text::{gauge, push, to_f64};
use crate::time::Wall;

/// How many ports of one network are in one state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortCount {
    /// The network's name; empty for ports without one.
    pub network: String,
    /// The state's word in `ports`.
    pub state: &'static str,
    /// How many ports.
    pub count: u64,
}

/// What the lease table holds for one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkCounts {
    /// The network's name.
    pub network: String,
    /// Leases whose address a guest declined.
    pub conflicts: u64,
    /// IPv4; `None`: the network has no `[ipv4]`.
    pub ipv4: Option<FamilyCounts>,
    /// IPv6; `None`: the network has no `[ipv6]`.
    pub ipv6: Option<FamilyCounts>,
    /// Delegated prefixes; `None`: the network has no `delegate`.
    pub prefixes: Option<FamilyCounts>,
}

/// What the lease table holds for one address family of a network, or of delegated prefixes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FamilyCounts {
    /// Leases that hold an address of the family.
    pub leases: u64,
    /// Addresses of the ranges that may still be given.
    pub free: u128,
    /// Addresses of the ranges.
    pub total: u128,
}

/// From how many ports of one network requests are taken away from the switch, or are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumeCount {
    /// The network's name.
    pub network: String,
    /// `installed`, `waiting` or `failed`.
    pub state: &'static str,
    /// How many ports.
    pub count: u64,
}

/// Whether one port source is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    /// The source, as the configuration names it.
    pub source: String,
    /// Whether what it says is current.
    pub up: bool,
}

/// The daemon's last snapshot.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    pub(super) ports: Vec<PortCount>,
    pub(super) networks: Vec<NetworkCounts>,
    pub(super) sources: Vec<SourceState>,
    pub(super) consumption: Vec<ConsumeCount>,
    /// When the configuration was last accepted.
    pub(super) config_loaded: Option<Wall>,
    /// Whether it has been refused since.
    pub(super) reload_failed: bool,
}

impl Gauges {
    /// Returns the families of the snapshot; one of which nothing was said is empty.
    pub(super) fn families(&self) -> Vec<MetricFamily> {
        let mut families = Vec::from(self.daemon_families());
        families.extend(self.address_families());
        families.extend(self.prefix_families());
        families
    }

    fn daemon_families(&self) -> [MetricFamily; 6] {
        let mut ports = gauge("leasehold_ports", "Ports, by state.");
        for PortCount { network, state, count } in &self.ports {
            push(&mut ports, &[("network", network), ("state", state)], to_f64((*count).into()));
        }

        let mut sources =
            gauge("leasehold_source_up", "Whether what the source says of its ports is current.");
        for SourceState { source, up } in &self.sources {
            push(&mut sources, &[("source", source)], f64::from(u8::from(*up)));
        }

        let mut consumption = gauge(
            "leasehold_consume_ports",
            "Ports whose requests are to be taken away from the switch, by whether they are.",
        );
        for ConsumeCount { network, state, count } in &self.consumption {
            let labels = [("network", network.as_str()), ("state", *state)];
            push(&mut consumption, &labels, to_f64((*count).into()));
        }

        let mut successful = gauge(
            "leasehold_config_last_reload_successful",
            "Whether the configuration files were accepted when they were last read.",
        );
        let mut since = gauge(
            "leasehold_config_last_reload_success_timestamp_seconds",
            "When the configuration files were last accepted, in seconds since 1970.",
        );
        if let Some(at) = self.config_loaded {
            push(&mut successful, &[], f64::from(u8::from(!self.reload_failed)));
            push(&mut since, &[], to_f64(at.0.into()));
        }

        let mut build = gauge("leasehold_build_info", "Constant 1; the label is the version.");
        push(&mut build, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
        [ports, sources, consumption, successful, since, build]
    }

    fn address_families(&self) -> [MetricFamily; 4] {
        let mut leases = gauge("leasehold_leases", "Leases that hold an address of the family.");
        let mut free = gauge("leasehold_addresses_free", "Addresses that may still be given.");
        let mut total = gauge("leasehold_addresses_total", "Addresses of the ranges.");
        let mut conflicts =
            gauge("leasehold_address_conflicts", "Leases whose address a guest declined.");
        for NetworkCounts { network, conflicts: declined, ipv4, ipv6, .. } in &self.networks {
            push(&mut conflicts, &[("network", network)], to_f64((*declined).into()));
            for (family, counts) in [("ipv4", ipv4), ("ipv6", ipv6)] {
                let Some(counts) = counts else { continue };
                let labels = [("network", network.as_str()), ("family", family)];
                push(&mut leases, &labels, to_f64(counts.leases.into()));
                push(&mut free, &labels, to_f64(counts.free));
                push(&mut total, &labels, to_f64(counts.total));
            }
        }
        [leases, free, total, conflicts]
    }

    fn prefix_families(&self) -> [MetricFamily; 3] {
        let mut delegated =
            gauge("leasehold_prefixes_delegated", "Leases that hold a delegated prefix.");
        let mut free = gauge("leasehold_prefixes_free", "Prefixes that may still be delegated.");
        let mut total = gauge("leasehold_prefixes_total", "Prefixes that may be delegated.");
        for NetworkCounts { network, prefixes, .. } in &self.networks {
            let Some(counts) = prefixes else { continue };
            let labels = [("network", network.as_str())];
            push(&mut delegated, &labels, to_f64(counts.leases.into()));
            push(&mut free, &labels, to_f64(counts.free));
            push(&mut total, &labels, to_f64(counts.total));
        }
        [delegated, free, total]
    }
}
