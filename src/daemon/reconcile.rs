//! One port after another brought to what sources, links, networks and leases say.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::entries::{Entry, Tally};
use super::plan::{Plan, Service, plan};
use super::port_task::Guest;
use super::ports::{Started, Terms};
use super::reclaim::{RECLAIM_INTERVAL, may_be_given_later};
use super::supervisor::Supervisor;
use crate::clock;
use crate::control::PortState;
use crate::lease::{Assignment, Lease};
use crate::network::{AddressMode, Network};
use crate::time::Mono;

impl Supervisor {
    /// Brings the named interfaces to what sources, links, networks and leases say.
    pub(super) async fn reconcile(&mut self, interfaces: BTreeSet<String>) {
        self.tally = Tally::of(interfaces.len());
        for interface in interfaces {
            self.reconcile_one(&interface).await;
            self.consume(&interface);
        }
        if self.tally.tell() {
            self.has_grown = true;
        }
        // A port that went may have made room for one that waits.
        if !self.refused.is_empty() && !self.ports.is_full() && self.retry_at.is_none() {
            self.retry_at = Some(clock::mono());
        }
        self.write();
        self.gauges_soon();
    }

    async fn reconcile_one(&mut self, interface: &str) {
        let Some((source, port)) = self.claims.claim(interface) else {
            self.ports.stop(interface).await;
            if let Some(entry) = self.entries.remove(interface) {
                if self.tally.is_told_alone("gone") {
                    tracing::info!(interface, "port is gone");
                }
                self.forget_registrations(entry);
            }
            return;
        };
        let link = self.links.get(interface);
        if let Some(doubt) = self.remembered.doubt(source, interface, link) {
            self.ports.stop(interface).await;
            let (state, reason) = (PortState::NoDevice, Some(doubt.to_owned()));
            return self.list(interface, Entry { state, reason, network: None, lease: None });
        }
        match plan(port, link, &self.config.networks) {
            Plan::Idle { state, reason, network } => {
                self.ports.stop(interface).await;
                self.list(interface, Entry { state, reason: Some(reason), network, lease: None });
            }
            Plan::Serve(service) => self.serve(interface, service).await,
        }
    }

    async fn serve(&mut self, interface: &str, service: Service) {
        let assignment = self.assign(&service.network, &service.key);
        if may_be_given_later(&service.network, &assignment) {
            self.refused.insert(interface.to_owned());
            self.retry_after(RECLAIM_INTERVAL);
        }
        let network = Some(Arc::clone(&service.network));
        let lease = Some(assignment.lease.clone());
        self.note_lack(interface, &assignment);
        if let Some(reason) = nothing_to_give(&service.network, &assignment) {
            self.ports.stop(interface).await;
            let state = PortState::NoAddress;
            return self.list(interface, Entry { state, reason: Some(reason), network, lease });
        }
        if !self.writes.is_durable(&service.key) {
            // A port that serves the VM's old address goes on with it until the new one is durable;
            // one that served another VM falls silent.
            if self.ports.service(interface).is_none_or(|old| old.key != service.key) {
                self.ports.stop(interface).await;
            }
            let state = PortState::NoAddress;
            let reason = Some(match self.writes.error() {
                Some(error) => format!("{NOT_YET_DURABLE}: {error}"),
                None => NOT_YET_DURABLE.to_owned(),
            });
            return self.list(interface, Entry { state, reason, network, lease });
        }
        let parameters = service.network.parameters(&assignment.lease, self.config.server_duid);
        let metrics = self.metrics.network(service.network.name.as_str());
        let guest = self.guest_of(&assignment.lease);
        let terms = Terms { service, parameters, guest, metrics };
        let started = self.ports.serve(interface, terms).await;
        let (state, reason) = match started {
            Started::Serving => (PortState::Serving, shortage(&assignment)),
            Started::Full(reason) => {
                self.refused.insert(interface.to_owned());
                (PortState::NoDevice, Some(reason))
            }
            Started::Failed(reason) => {
                self.refused.insert(interface.to_owned());
                self.retry_after(RETRY_INTERVAL);
                (PortState::NoDevice, Some(reason))
            }
        };
        self.list(interface, Entry { state, reason, network, lease });
    }

    /// Writes down how a port is, and logs it if that is news.
    fn list(&mut self, interface: &str, entry: Entry) {
        let before = self.entries.get(interface);
        let news = before
            .is_none_or(|before| (before.state, &before.reason) != (entry.state, &entry.reason));
        // Every new lease waits a moment for the store; that is no news, and its end is.
        let waits = entry.reason.as_ref().is_some_and(|text| text.starts_with(NOT_YET_DURABLE));
        if news && !waits {
            let vm = entry.lease.as_ref().map_or("-", |lease| lease.key.vm.as_str());
            let state = entry.state.as_str();
            match &entry.reason {
                // It has all that it needs, and yet it is not served.
                Some(reason) if self.refused.contains(interface) => {
                    tracing::warn!(interface, vm, %reason, "port is {state}");
                }
                _ if !self.tally.is_told_alone(state) => {}
                Some(reason) => tracing::info!(interface, vm, %reason, "port is {state}"),
                None => tracing::info!(interface, vm, "port is {state}"),
            }
        }
        if let Some(before) = self.entries.insert(interface, entry) {
            self.forget_registrations(before);
        }
    }

    /// Tells whether a guest is there already when its port begins to be served: after a restart
    /// of this program, one that was heard here last has not moved.
    fn guest_of(&self, lease: &Lease) -> Guest {
        if clock::mono() < STARTED && lease.node == self.config.node && lease.last_seen.is_some() {
            Guest::Settled
        } else {
            Guest::Awaited
        }
    }
}

/// Says why a NIC is given nothing at all. A network with SLAAC has its prefix to give.
pub(super) fn nothing_to_give(network: &Network, assignment: &Assignment) -> Option<String> {
    let lease = &assignment.lease;
    let ipv4 = network.ipv4.is_some() && lease.ipv4.is_some();
    let ipv6 = network.ipv6.as_ref().is_some_and(|ipv6| match ipv6.mode {
        AddressMode::Stateful => {
            lease.ipv6.is_some() || (ipv6.delegation.is_some() && lease.prefix.is_some())
        }
        AddressMode::Stateless | AddressMode::Slaac => true,
    });
    if ipv4 || ipv6 {
        return None;
    }
    Some(
        shortage(assignment)
            .unwrap_or_else(|| "the network has neither [ipv4] nor [ipv6]".to_owned()),
    )
}

/// Says which addresses a NIC lacks.
fn shortage(assignment: &Assignment) -> Option<String> {
    let reasons = [&assignment.no_ipv4, &assignment.no_ipv6, &assignment.no_prefix];
    let reasons: Vec<String> = reasons.into_iter().flatten().map(ToString::to_string).collect();
    if reasons.is_empty() { None } else { Some(reasons.join("; ")) }
}

/// Why a port with a new address is not served yet.
const NOT_YET_DURABLE: &str = "its new lease is not yet durable";

/// How long a port that could not be started is left alone.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Until when, on a clock that starts with this program, ports that come up were there before it.
const STARTED: Mono = Mono::from_millis(10_000);
