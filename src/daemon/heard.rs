//! What ports' tasks report of their guests: seen, declined, registered, or behaving oddly.

use std::sync::Arc;

use super::port_task::{PortEvent, PortReport};
use super::supervisor::Supervisor;
use crate::clock;
use crate::lease::{Family, Lease, LeaseChange, LeaseKey, Occasion};
use crate::network::Network;
use crate::outcome::{Note, Protocol};

impl Supervisor {
    /// Takes note of what a port's task reports.
    pub(super) async fn heard(&mut self, PortReport { interface, event }: PortReport) {
        let Some(service) = self.ports.service(&interface) else {
            return;
        };
        let key = service.key.clone();
        match event {
            PortEvent::Seen => {
                if self.table.seen(&key, clock::wall(), SEEN_GRANULARITY).is_some() {
                    self.writes.note(&key, LeaseChange::Details);
                    self.write();
                }
            }
            PortEvent::Registered(registration) => {
                let network = Arc::clone(&service.network);
                self.registered(&interface, (&network, &key), registration);
            }
            PortEvent::Noted(protocol, note @ Note::Declined) => {
                let network = Arc::clone(&service.network);
                self.warn(&interface, &key, note, "the guest declined its address: it is in use");
                self.declined(&network, &key, family(protocol));
            }
            PortEvent::Noted(_, note @ Note::ForeignServer) => {
                self.warn(&interface, &key, note, "the VM acts as a DHCP server or router");
            }
            PortEvent::Noted(_, note @ Note::OptionsLeftOut) => {
                self.warn(&interface, &key, note, "a reply had no room for all its options");
            }
            PortEvent::Noted(_, note @ Note::RelayInformation) => {
                self.warn(
                    &interface,
                    &key,
                    note,
                    "the VM sent a relay's option 82; it was ignored",
                );
            }
            PortEvent::Arrived(message) => self.arrived(&interface, &key, message).await,
            PortEvent::Noted(
                _,
                Note::Released | Note::Arrived | Note::Announced | Note::Registered,
            ) => {}
        }
    }

    fn declined(&mut self, network: &Network, key: &LeaseKey, family: Family) {
        // It speaks of the address before: its new one is not served yet.
        if !self.writes.is_durable(key) {
            return;
        }
        let addresses = |lease: &Lease| (lease.ipv4, lease.ipv6);
        let before = self.table.get(key).map(addresses);
        let occasion = Occasion { node: &self.config.node, wall: clock::wall() };
        let Some(lease) = self.table.decline(network, key, family, occasion) else {
            return;
        };
        let change = if before == Some(addresses(&lease)) {
            LeaseChange::Details
        } else {
            LeaseChange::Addresses
        };
        self.writes.note(key, change);
        self.write();
        self.gauges_soon();
    }

    /// Logs what a guest did, not more than one line an interval for each port and note.
    pub(super) fn warn(&mut self, interface: &str, key: &LeaseKey, note: Note, text: &str) {
        let admitted = self.log_limit.admit((interface.to_owned(), note), clock::mono());
        if let Some(held_back) = admitted {
            tracing::warn!(interface, vm = %key.vm, held_back, "{text}");
        }
    }
}

/// Returns the family whose address a protocol gives.
fn family(protocol: Protocol) -> Family {
    match protocol {
        Protocol::Dhcpv6 => Family::Ipv6,
        Protocol::Dhcpv4 | Protocol::Nd | Protocol::Arp | Protocol::Other => Family::Ipv4,
    }
}

/// How often "last seen" is written down, in seconds.
pub(super) const SEEN_GRANULARITY: u64 = 60;
