//! What the kernel says of this node's interfaces, by name.

use std::collections::{BTreeSet, HashMap};

use crate::net::{Link, LinkEvent, LinkKind};

/// Every interface of this node.
#[derive(Debug, Default)]
pub(super) struct Links {
    by_name: HashMap<String, Link>,
    names: HashMap<u32, String>,
}

/// What an event changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LinkChange {
    /// Interfaces to look at again.
    pub(super) concerned: BTreeSet<String>,
    /// Interfaces whose link came up.
    pub(super) came_up: Vec<String>,
}

impl Links {
    /// Returns the interface of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Link> {
        self.by_name.get(name)
    }

    /// Takes what the kernel says.
    pub(super) fn apply(&mut self, event: LinkEvent) -> LinkChange {
        let mut change = LinkChange::default();
        match event {
            LinkEvent::Snapshot(links) => {
                let present: BTreeSet<u32> = links.iter().map(|link| link.ifindex).collect();
                let gone = self.names.keys().filter(|ifindex| !present.contains(ifindex));
                for ifindex in gone.copied().collect::<Vec<_>>() {
                    self.remove(ifindex, &mut change);
                }
                for link in links {
                    self.put(link, &mut change);
                }
            }
            LinkEvent::Changed(link) => self.put(link, &mut change),
            LinkEvent::Removed { ifindex, .. } => self.remove(ifindex, &mut change),
        }
        change
    }

    fn put(&mut self, link: Link, change: &mut LinkChange) {
        // A rename: the same index under another name.
        if self.names.get(&link.ifindex).is_some_and(|name| *name != link.name) {
            self.remove(link.ifindex, change);
        }
        let before = self.by_name.get(&link.name);
        if before == Some(&link) {
            return;
        }
        // Up and down do not change what is served; the others do. Of a macvtap its MAC does too.
        let mac = |link: &Link| link.mac.filter(|_| link.kind == LinkKind::MacVtap);
        let facts = |link: &Link| (link.ifindex, link.mtu, link.kind, mac(link));
        if before.map(facts) != Some(facts(&link)) {
            change.concerned.insert(link.name.clone());
        }
        if link.up && before.is_some_and(|before| before.ifindex == link.ifindex && !before.up) {
            change.came_up.push(link.name.clone());
        }
        if let Some(before) = before {
            self.names.remove(&before.ifindex);
        }
        self.names.insert(link.ifindex, link.name.clone());
        self.by_name.insert(link.name.clone(), link);
    }

    fn remove(&mut self, ifindex: u32, change: &mut LinkChange) {
        if let Some(name) = self.names.remove(&ifindex) {
            self.by_name.remove(&name);
            change.concerned.insert(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::LinkKind;

    fn link(name: &str, ifindex: u32, up: bool) -> Link {
        let (name, kind) = (name.to_owned(), LinkKind::Other);
        Link { name, ifindex, mac: None, mtu: 1500, up, kind, master: None }
    }

    fn concerned(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_rename_concerns_both_names() {
        let mut links = Links::default();
        links.apply(LinkEvent::Snapshot(vec![link("tap0", 7, true)]));
        let change = links.apply(LinkEvent::Changed(link("tap1", 7, true)));
        assert_eq!(change.concerned, concerned(&["tap0", "tap1"]));
        assert_eq!(links.get("tap0"), None);
        assert_eq!(links.get("tap1"), Some(&link("tap1", 7, true)));
    }

    #[test]
    fn a_name_that_comes_back_with_another_index_is_looked_at_again() {
        let mut links = Links::default();
        links.apply(LinkEvent::Changed(link("tap0", 7, true)));
        links.apply(LinkEvent::Changed(link("tap0", 8, true)));
        // The old index goes late: it takes nothing with it.
        let change = links.apply(LinkEvent::Removed { ifindex: 7, name: "tap0".to_owned() });
        assert_eq!(change, LinkChange::default());
        assert_eq!(links.get("tap0"), Some(&link("tap0", 8, true)));
    }

    #[test]
    fn link_up_is_told_apart_from_what_must_be_bound_anew() {
        let mut links = Links::default();
        links.apply(LinkEvent::Changed(link("tap0", 7, false)));
        let change = links.apply(LinkEvent::Changed(link("tap0", 7, true)));
        assert_eq!(change, LinkChange { concerned: concerned(&[]), came_up: vec!["tap0".into()] });
    }

    #[test]
    fn a_snapshot_takes_away_what_it_does_not_name() {
        let mut links = Links::default();
        links.apply(LinkEvent::Snapshot(vec![link("a", 1, true), link("b", 2, true)]));
        let change = links.apply(LinkEvent::Snapshot(vec![link("b", 2, true)]));
        assert_eq!(change.concerned, concerned(&["a"]));
    }
}
