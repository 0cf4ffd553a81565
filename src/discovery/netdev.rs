//! The netdev source: this node's interfaces whose names match.
//!
//! For taps, veth ends and ports of Linux bridges, where no database says who is behind them. The
//! interface's name is all that is known of its VM, so it must be one that stays with the VM.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::identity::{seen, templated};
use super::{Evidence, IdentityRule, IdentityTrace, Port, SourceEvent, SourceId, identify};
use crate::net::{Link, LinkEvent, LinkKind, LinkWatcher};
use crate::network::matches_text;

/// What the file says of this source.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// Globs over the interface's name.
    pub(super) globs: Vec<String>,
    /// The VM, with `{interface}` for the name.
    pub(super) vm: String,
    /// `[[identity]]`, in file order.
    pub(super) rules: Arc<[IdentityRule]>,
}

/// Watches the kernel's links until the receiver of the events is gone.
pub(super) async fn run(
    id: SourceId,
    selection: Selection,
    events: mpsc::Sender<(SourceId, SourceEvent)>,
) {
    let mut model = Model::new(selection);
    loop {
        let reason = match LinkWatcher::new() {
            Ok(mut watcher) => loop {
                match watcher.next().await {
                    Ok(event) => {
                        for event in model.apply(event) {
                            if events.send((id, event)).await.is_err() {
                                return;
                            }
                        }
                    }
                    Err(error) => break error.to_string(),
                }
            },
            Err(error) => format!("listening to the kernel's link events: {error}"),
        };
        if events.send((id, SourceEvent::Down(reason))).await.is_err() {
            return;
        }
        sleep(RETRY).await;
    }
}

/// The node's links, and the ports that were told of them.
#[derive(Debug)]
struct Model {
    selection: Selection,
    links: HashMap<u32, Link>,
    by_name: HashMap<String, u32>,
    told: BTreeMap<String, Arc<Port>>,
}

impl Model {
    fn new(selection: Selection) -> Self {
        Self { selection, links: HashMap::new(), by_name: HashMap::new(), told: BTreeMap::new() }
    }

    fn apply(&mut self, event: LinkEvent) -> Vec<SourceEvent> {
        match event {
            LinkEvent::Snapshot(links) => {
                self.by_name = links.iter().map(|link| (link.name.clone(), link.ifindex)).collect();
                self.links = links.into_iter().map(|link| (link.ifindex, link)).collect();
                let ports = self.links.values().filter_map(|link| self.port(link));
                self.told = ports.map(|port| (port.interface.clone(), Arc::new(port))).collect();
                vec![SourceEvent::Snapshot(self.told.values().cloned().collect())]
            }
            LinkEvent::Changed(link) => {
                let touched = self.touched_by(link.ifindex, Some(&link));
                self.forget(link.ifindex);
                self.by_name.insert(link.name.clone(), link.ifindex);
                self.links.insert(link.ifindex, link);
                self.differences(touched)
            }
            LinkEvent::Removed { ifindex, .. } => {
                let touched = self.touched_by(ifindex, None);
                self.forget(ifindex);
                self.differences(touched)
            }
        }
    }

    fn forget(&mut self, ifindex: u32) {
        if let Some(link) = self.links.remove(&ifindex)
            && self.by_name.get(&link.name) == Some(&ifindex)
        {
            self.by_name.remove(&link.name);
        }
    }

    /// Returns the names of which a link's change may tell something new: its own, before and
    /// after, and those of the ports of a bridge that has another name now.
    fn touched_by(&self, ifindex: u32, after: Option<&Link>) -> BTreeSet<String> {
        let before = self.links.get(&ifindex);
        let mut touched: BTreeSet<String> =
            before.iter().copied().chain(after).map(|link| link.name.clone()).collect();
        let is_bridge = before.or(after).is_some_and(|link| link.kind == LinkKind::Bridge);
        if is_bridge && before.map(|link| &link.name) != after.map(|link| &link.name) {
            let ports = self.links.values().filter(|link| link.master == Some(ifindex));
            touched.extend(ports.map(|link| link.name.clone()));
        }
        touched
    }

    fn differences(&mut self, touched: BTreeSet<String>) -> Vec<SourceEvent> {
        let mut events = Vec::new();
        for name in touched {
            let link = self.by_name.get(&name).and_then(|ifindex| self.links.get(ifindex));
            match link.and_then(|link| self.port(link)) {
                Some(port) if self.told.get(&name).is_some_and(|told| **told == port) => {}
                Some(port) => {
                    let port = Arc::new(port);
                    self.told.insert(name, Arc::clone(&port));
                    events.push(SourceEvent::Changed(port));
                }
                None => {
                    if self.told.remove(&name).is_some() {
                        events.push(SourceEvent::Removed(name));
                    }
                }
            }
        }
        events
    }

    fn port(&self, link: &Link) -> Option<Port> {
        let Selection { globs, vm, rules } = &self.selection;
        if !globs.iter().any(|glob| matches_text(glob, &link.name)) {
            return None;
        }
        let master = link.master.and_then(|master| self.links.get(&master));
        let bridge = master.filter(|master| master.kind == LinkKind::Bridge);
        let bridge = bridge.map(|bridge| bridge.name.clone());
        let evidence = Evidence {
            interface: link.name.clone(),
            bridge: bridge.clone(),
            ..Evidence::default()
        };
        // Own rules stand before the template, as they do before presets.
        let identity = identify(&evidence, rules, &[]).or_else(|_| {
            let saw = vec![seen("interface".to_owned(), &link.name)];
            let trace = IdentityTrace { rule: "netdev".to_owned(), saw };
            templated(&vm.replace("{interface}", &link.name), trace)
        });
        Some(Port { bridge, ..Port::new(link.name.clone(), identity) })
    }
}

/// How long to wait before the kernel is asked again.
const RETRY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Field;

    fn model(rules: &[IdentityRule]) -> Model {
        Model::new(Selection {
            globs: vec!["vm-*".into(), "tap?".into()],
            vm: "lab/{interface}".into(),
            rules: rules.into(),
        })
    }

    fn link(name: &str, ifindex: u32) -> Link {
        let (mac, mtu, up) = (None, 1500, true);
        Link { name: name.into(), ifindex, mac, mtu, up, kind: LinkKind::Other, master: None }
    }

    fn bridge(name: &str, ifindex: u32) -> Link {
        Link { kind: LinkKind::Bridge, ..link(name, ifindex) }
    }

    fn of_bridge(name: &str, ifindex: u32, master: u32) -> Link {
        Link { master: Some(master), ..link(name, ifindex) }
    }

    /// Writes events as `+INTERFACE VM BRIDGE`, `-INTERFACE`, and snapshots as a list of these.
    fn told(events: Vec<SourceEvent>) -> Vec<String> {
        let port = |port: Arc<Port>| {
            let vm = match &port.identity {
                Ok(identity) => identity.vm.as_str(),
                Err(reason) => &reason.0,
            };
            format!("+{} {vm} {}", port.interface, port.bridge.as_deref().unwrap_or_default())
        };
        let text = |event| match event {
            SourceEvent::Snapshot(ports) => {
                ports.into_iter().map(port).collect::<Vec<_>>().join(", ")
            }
            SourceEvent::Changed(changed) => port(changed),
            SourceEvent::Removed(name) => format!("-{name}"),
            SourceEvent::Down(reason) => reason,
        };
        events.into_iter().map(text).collect()
    }

    #[test]
    fn names_that_match_are_told_with_their_vm_and_their_linux_bridge() {
        let mut model = model(&[]);
        let links = vec![
            of_bridge("vm-a", 5, 2),
            bridge("br0", 2),
            link("tap1", 3),
            link("tap10", 4),
            of_bridge("vm-b", 6, 4),
        ];
        let events = model.apply(LinkEvent::Snapshot(links));
        assert_eq!(told(events), ["+tap1 lab/tap1 , +vm-a lab/vm-a br0, +vm-b lab/vm-b "]);
    }

    #[test]
    fn coming_going_and_moving_are_told_once() {
        let mut model = model(&[]);
        model.apply(LinkEvent::Snapshot(vec![bridge("br0", 2), bridge("br1", 3)]));
        let mut tell = |link| told(model.apply(LinkEvent::Changed(link)));
        assert_eq!(tell(link("vm-a", 5)), ["+vm-a lab/vm-a "]);
        assert_eq!(tell(Link { mtu: 9000, up: false, ..link("vm-a", 5) }), [""; 0]);
        assert_eq!(tell(of_bridge("vm-a", 5, 2)), ["+vm-a lab/vm-a br0"]);
        assert_eq!(tell(of_bridge("vm-a", 5, 3)), ["+vm-a lab/vm-a br1"]);
        assert_eq!(tell(of_bridge("vm-b", 5, 3)), ["-vm-a", "+vm-b lab/vm-b br1"]);
        assert_eq!(tell(link("other", 6)), [""; 0]);
        let removed = LinkEvent::Removed { ifindex: 5, name: "vm-b".into() };
        assert_eq!(told(model.apply(removed.clone())), ["-vm-b"]);
        assert_eq!(told(model.apply(removed)), [""; 0]);
    }

    #[test]
    fn a_bridge_that_comes_late_or_is_renamed_moves_its_ports() {
        let mut model = model(&[]);
        model.apply(LinkEvent::Snapshot(vec![of_bridge("vm-a", 5, 2)]));
        let events = model.apply(LinkEvent::Changed(bridge("br0", 2)));
        assert_eq!(told(events), ["+vm-a lab/vm-a br0"]);
        let events = model.apply(LinkEvent::Changed(bridge("br9", 2)));
        assert_eq!(told(events), ["+vm-a lab/vm-a br9"]);
    }

    #[test]
    fn a_name_that_another_device_has_taken_is_not_lost_with_the_first() {
        let mut model = model(&[]);
        model.apply(LinkEvent::Snapshot(vec![link("vm-a", 5)]));
        assert_eq!(told(model.apply(LinkEvent::Changed(link("vm-a", 6)))), [""; 0]);
        let late = LinkEvent::Removed { ifindex: 5, name: "vm-a".into() };
        assert_eq!(told(model.apply(late)), [""; 0]);
        let events = model.apply(LinkEvent::Removed { ifindex: 6, name: "vm-a".into() });
        assert_eq!(told(events), ["-vm-a"]);
    }

    #[test]
    fn own_rules_come_before_the_template() {
        let rule = IdentityRule {
            from: Field::Interface,
            pattern: regex_lite::Regex::new("^vm-(?<name>.+)$").unwrap(),
            vm: "own/{name}".into(),
            nic: "default".into(),
        };
        let mut model = model(&[rule]);
        let events = model.apply(LinkEvent::Snapshot(vec![link("vm-a", 5), link("tap1", 6)]));
        assert_eq!(told(events), ["+tap1 lab/tap1 , +vm-a own/a "]);
    }
}
