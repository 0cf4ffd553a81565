//! Where a VM is: the port, and the node, whose guest was heard last (clauses D3, D6).

use super::heard::SEEN_GRANULARITY;
use super::supervisor::Supervisor;
use crate::clock;
use crate::lease::{LeaseKey, Occasion};
use crate::outcome::Message;

impl Supervisor {
    /// Takes note that a VM has come to a port of this node. Other ports of the same NIC, as during
    /// a migration, go on being served with the same lease, and wait for their guest again.
    pub(super) async fn arrived(&mut self, interface: &str, key: &LeaseKey, by: Message) {
        let occasion = Occasion { node: &self.config.node, wall: clock::wall() };
        let before = self.table.arrived(key, occasion, SEEN_GRANULARITY).map(|(node, change)| {
            self.writes.note(key, change);
            node
        });
        if before.as_ref().is_some_and(|node| *node != self.config.node) {
            self.unwritten_arrivals.insert(key.clone());
        }
        self.write();
        // There are few arrivals on each port, however often its guest moves: see `arrival.rs`.
        let (vm, nic) = (&key.vm, &key.nic);
        let from = before.filter(|node| *node != self.config.node);
        let (from, by) = (from.as_deref(), by.as_str());
        tracing::info!(interface, %vm, %nic, from, by, "the VM has come to its port");
        self.ports.guest_came(interface);
        let reason = format!("served with the same lease as {interface}, whose guest spoke last");
        self.vm_is_at(key, Some(interface), &reason).await;
    }

    /// Takes note that the shared table names `node` as the one where a VM was heard last. Its ports
    /// here, if that is another, have been left (clause D3).
    pub(super) async fn heard_on(&mut self, key: &LeaseKey, node: &str) {
        if node == self.config.node {
            return;
        }
        // The other node wrote something while the arrival here was on its way to the table.
        if self.unwritten_arrivals.contains(key) {
            let occasion = Occasion { node: &self.config.node, wall: clock::wall() };
            if let Some((_, change)) = self.table.arrived(key, occasion, SEEN_GRANULARITY) {
                self.writes.note(key, change);
            }
            return;
        }
        let reason = format!("the VM was heard on {node} last, with the same lease");
        self.vm_is_at(key, None, &reason).await;
    }

    /// Takes note that a VM is elsewhere, on another node or at `port` of this one: its other ports
    /// here, which are listed with `reason`, tell it nothing more until it speaks there.
    pub(super) async fn vm_is_at(&mut self, key: &LeaseKey, port: Option<&str>, reason: &str) {
        for interface in self.entries.of(key).filter(|interface| Some(*interface) != port) {
            self.ports.guest_left(interface, key, reason).await;
        }
    }
}
