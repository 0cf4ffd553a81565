//! What the sources say of each interface, joined: the first source in file order has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::discovery::{Port, SourceEvent, SourceId};
use crate::lease::VmId;

/// Every port that a source names, by interface and source.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Each in the order of sources; there is seldom more than one.
    by_interface: BTreeMap<String, Vec<(SourceId, Arc<Port>)>>,
}

impl Claims {
    /// Takes what a source says. Returns the interfaces that it concerns.
    pub(super) fn apply(&mut self, source: SourceId, event: SourceEvent) -> BTreeSet<String> {
        match event {
            SourceEvent::Snapshot(ports) => {
                let mut concerned = self.of_source(source);
                for interface in &concerned {
                    self.remove(source, interface);
                }
                for port in ports {
                    concerned.insert(port.interface.clone());
                    self.insert(source, port);
                }
                concerned
            }
            SourceEvent::Changed(port) => {
                let interface = port.interface.clone();
                self.insert(source, port);
                BTreeSet::from([interface])
            }
            SourceEvent::Removed(interface) => {
                self.remove(source, &interface);
                BTreeSet::from([interface])
            }
            SourceEvent::Down(_) => BTreeSet::new(),
        }
    }

    /// Forgets every source from `first` on. Returns the interfaces that it concerns.
    pub(super) fn forget_from(&mut self, first: SourceId) -> BTreeSet<String> {
        let mut concerned = BTreeSet::new();
        self.by_interface.retain(|interface, claims| {
            let before = claims.len();
            claims.retain(|(source, _)| *source < first);
            if claims.len() != before {
                concerned.insert(interface.clone());
            }
            !claims.is_empty()
        });
        concerned
    }

    /// Returns what the first source says of an interface.
    pub(super) fn port(&self, interface: &str) -> Option<&Port> {
        self.claim(interface).map(|(_, port)| port)
    }

    /// Returns the VM behind an interface, if its source could name one.
    pub(super) fn vm(&self, interface: &str) -> Option<&VmId> {
        self.port(interface)?.identity.as_ref().ok().map(|identity| &identity.vm)
    }

    /// Returns what each source says of an interface, in file order.
    pub(super) fn claims(&self, interface: &str) -> impl Iterator<Item = (SourceId, &Port)> {
        let claims = self.by_interface.get(interface).into_iter().flatten();
        claims.map(|(source, port)| (*source, port.as_ref()))
    }

    /// Returns which source has an interface, and what it says of it.
    pub(super) fn claim(&self, interface: &str) -> Option<(SourceId, &Port)> {
        let (source, port) = self.by_interface.get(interface)?.first()?;
        Some((*source, port))
    }

    /// Returns every port that a source names, also those that an earlier source has.
    pub(super) fn of(&self, source: SourceId) -> impl Iterator<Item = &Arc<Port>> {
        self.by_interface
            .values()
            .flatten()
            .filter(move |claim| claim.0 == source)
            .map(|(_, port)| port)
    }

    /// Returns every interface that a source names.
    pub(super) fn interfaces(&self) -> impl Iterator<Item = &str> {
        self.by_interface.keys().map(String::as_str)
    }

    /// Counts the ports that a source names.
    pub(super) fn count(&self, source: SourceId) -> usize {
        self.of(source).count()
    }

    fn of_source(&self, source: SourceId) -> BTreeSet<String> {
        self.of(source).map(|port| port.interface.clone()).collect()
    }

    fn insert(&mut self, source: SourceId, port: Arc<Port>) {
        let claims = self.by_interface.entry(port.interface.clone()).or_default();
        match claims.binary_search_by_key(&source, |(source, _)| *source) {
            Ok(place) => drop(claims.get_mut(place).map(|claim| claim.1 = port)),
            Err(place) => {
                claims.reserve_exact(1);
                claims.insert(place, (source, port));
            }
        }
    }

    fn remove(&mut self, source: SourceId, interface: &str) {
        if let Some(claims) = self.by_interface.get_mut(interface) {
            claims.retain(|claim| claim.0 != source);
            if claims.is_empty() {
                self.by_interface.remove(interface);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::Unidentified;

    fn port(interface: &str, reason: &str) -> Arc<Port> {
        Port::new(interface.to_owned(), Err(Unidentified(reason.to_owned()))).into()
    }

    #[test]
    fn the_first_source_has_an_interface_until_it_lets_go() {
        let mut claims = Claims::default();
        claims.apply(SourceId(1), SourceEvent::Snapshot(vec![port("tap0", "second")]));
        claims.apply(SourceId(0), SourceEvent::Changed(port("tap0", "first")));
        assert_eq!(claims.port("tap0"), Some(&*port("tap0", "first")));
        claims.apply(SourceId(0), SourceEvent::Removed("tap0".to_owned()));
        assert_eq!(claims.port("tap0"), Some(&*port("tap0", "second")));
        assert_eq!(claims.forget_from(SourceId(1)), BTreeSet::from(["tap0".to_owned()]));
        assert_eq!(claims.port("tap0"), None);
    }

    #[test]
    fn a_snapshot_concerns_what_it_names_and_what_it_leaves_out() {
        let mut claims = Claims::default();
        claims.apply(SourceId(0), SourceEvent::Snapshot(vec![port("a", ""), port("b", "")]));
        let concerned =
            claims.apply(SourceId(0), SourceEvent::Snapshot(vec![port("b", ""), port("c", "")]));
        assert_eq!(concerned, BTreeSet::from(["a", "b", "c"].map(str::to_owned)));
        assert_eq!(claims.interfaces().collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(claims.count(SourceId(0)), 2);
    }
}
