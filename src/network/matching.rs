//! Which network serves a port: `[match]`, and the choice among all networks.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use super::{Network, glob};
use crate::discovery::Port;

/// `[match]`: all that are given must hold. Empty: every port fits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Match {
    /// The bridge's name.
    pub bridge: Option<String>,
    /// The port's VLAN tag; on a trunk port the tag whose frames are served.
    pub vlan: Option<u16>,
    /// A glob over the interface's name: `*` and `?`.
    pub interface: Option<String>,
    /// External ids that the port's row must carry.
    pub external_ids: BTreeMap<String, String>,
}

impl Match {
    /// Tells whether every condition that is given holds for `port`.
    #[must_use]
    pub fn fits(&self, port: &Port) -> bool {
        self.misfit(port).is_none()
    }

    /// Names the first condition that does not hold; `None`: the port fits.
    #[must_use]
    pub fn misfit(&self, port: &Port) -> Option<String> {
        if let Some(bridge) = &self.bridge
            && port.bridge.as_ref() != Some(bridge)
        {
            return Some(format!("it wants bridge {bridge:?}"));
        }
        if let Some(vlan) = self.vlan
            && !carries(port, vlan)
        {
            return Some(format!("it wants VLAN {vlan}"));
        }
        if let Some(interface) = &self.interface
            && !glob::matches_text(interface, &port.interface)
        {
            return Some(format!("it wants an interface named {interface:?}"));
        }
        self.external_ids
            .iter()
            .find(|(key, value)| port.external_ids.get(key) != Some(value))
            .map(|(key, value)| format!("it wants external id {key:?} to be {value:?}"))
    }

    /// Tells whether every port that fits `other` fits this one too, as far as the conditions
    /// alone can say.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let held = |own: Option<&str>, others: Option<&str>| own.is_none() || own == others;
        held(self.bridge.as_deref(), other.bridge.as_deref())
            && (self.vlan.is_none() || self.vlan == other.vlan)
            && held(self.interface.as_deref(), other.interface.as_deref())
            && self
                .external_ids
                .iter()
                .all(|(key, value)| other.external_ids.get(key) == Some(value))
    }

    /// Tells whether a port of the one and a port of the other may share a broadcast domain: not
    /// if both name a bridge or both name a VLAN, and the names differ.
    #[must_use]
    pub fn may_share_segment(&self, other: &Self) -> bool {
        let bridges_differ =
            self.bridge.is_some() && other.bridge.is_some() && self.bridge != other.bridge;
        let vlans_differ = self.vlan.is_some() && other.vlan.is_some() && self.vlan != other.vlan;
        !bridges_differ && !vlans_differ
    }
}

/// Chooses the network of a port: the one that its source names, else the only one that fits.
///
/// # Errors
/// Why there is none, in words that name the networks.
pub fn choose<'a>(networks: &'a [Arc<Network>], port: &Port) -> Result<&'a Arc<Network>, String> {
    if let Some(name) = &port.network {
        return networks.iter().find(|network| network.name == *name).ok_or_else(|| {
            format!("its source names network {name}, which is not configured; add a file for it")
        });
    }
    let mut fitting = networks.iter().filter(|network| network.matcher.fits(port));
    let Some(first) = fitting.next() else {
        return Err(nothing_fits(networks, port));
    };
    let further: Vec<&str> = fitting.map(|network| network.name.as_str()).collect();
    if further.is_empty() {
        return Ok(first);
    }
    let names = listed(std::iter::once(first.name.as_str()).chain(further));
    Err(format!("more than one network fits: {names}; narrow their [match] until one is left"))
}

fn nothing_fits(networks: &[Arc<Network>], port: &Port) -> String {
    if networks.is_empty() {
        return "no network is configured; add a file to networks-dir".to_owned();
    }
    let misfits = networks.iter().filter_map(|network| {
        network.matcher.misfit(port).map(|misfit| format!("{}: {misfit}", network.name))
    });
    format!("no network fits ({})", listed(misfits))
}

/// Joins texts with commas, no more of them than fit a line.
fn listed<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> String {
    let mut out = String::new();
    let mut rest: usize = 0;
    for (place, text) in texts.into_iter().enumerate() {
        if place >= MAX_LISTED {
            rest = rest.saturating_add(1);
            continue;
        }
        if place > 0 {
            out.push_str(", ");
        }
        out.push_str(text.as_ref());
    }
    if rest > 0 {
        // Writing to a string cannot fail.
        let _ = write!(out, " and {rest} more");
    }
    out
}

/// Tells whether frames of `vlan` reach the guest: the access port's tag, or one of the trunk's.
fn carries(port: &Port, vlan: u16) -> bool {
    if port.is_trunk {
        port.trunks.is_empty() || port.trunks.contains(&vlan)
    } else {
        port.tag == Some(vlan)
    }
}

/// How many networks a reason names.
const MAX_LISTED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::{ExternalIds, Unidentified};
    use crate::network::tests::network;

    fn port(interface: &str) -> Port {
        Port::new(interface.to_owned(), Err(Unidentified(String::new())))
    }

    fn named(name: &str, matcher: Match) -> Arc<Network> {
        Arc::new(Network { matcher, ..network(name) })
    }

    fn on_bridge(bridge: &str) -> Match {
        Match { bridge: Some(bridge.to_owned()), ..Match::default() }
    }

    #[test]
    fn every_condition_must_hold() {
        let matcher = Match {
            bridge: Some("br-int".to_owned()),
            vlan: Some(100),
            interface: Some("vnet*".to_owned()),
            external_ids: [("network".to_owned(), "blue".to_owned())].into(),
        };
        let fitting = Port {
            bridge: Some("br-int".to_owned()),
            tag: Some(100),
            external_ids: matcher.external_ids.clone().into(),
            ..port("vnet3")
        };
        assert_eq!(matcher.misfit(&fitting), None);
        let misfits = [
            (Port { bridge: None, ..fitting.clone() }, "it wants bridge \"br-int\""),
            (Port { tag: Some(101), ..fitting.clone() }, "it wants VLAN 100"),
            (
                Port { interface: "tap0".to_owned(), ..fitting.clone() },
                "it wants an interface named \"vnet*\"",
            ),
            (
                Port { external_ids: ExternalIds::default(), ..fitting.clone() },
                "it wants external id \"network\" to be \"blue\"",
            ),
        ];
        for (port, reason) in misfits {
            assert_eq!(matcher.misfit(&port).as_deref(), Some(reason));
        }
    }

    #[test]
    fn a_trunk_carries_the_tags_that_it_lists_or_all() {
        let matcher = Match { vlan: Some(100), ..Match::default() };
        let trunk = Port { is_trunk: true, ..port("tap0") };
        assert!(matcher.fits(&trunk));
        assert!(matcher.fits(&Port { trunks: vec![7, 100], ..trunk.clone() }));
        assert!(!matcher.fits(&Port { trunks: vec![7], ..trunk }));
        assert!(!matcher.fits(&port("tap0")));
    }

    #[test]
    fn the_only_fitting_network_is_chosen() {
        let networks = [named("blue", on_bridge("br-a")), named("green", on_bridge("br-b"))];
        let port = Port { bridge: Some("br-b".to_owned()), ..port("tap0") };
        assert_eq!(choose(&networks, &port).map(|network| network.name.as_str()), Ok("green"));
    }

    #[test]
    fn the_network_that_a_source_names_wins_over_match() {
        let networks = [named("blue", on_bridge("br-a")), named("green", Match::default())];
        let named = Port { network: Some("blue".parse().unwrap()), ..port("tap0") };
        assert_eq!(choose(&networks, &named).map(|network| network.name.as_str()), Ok("blue"));
        let unknown = Port { network: Some("red".parse().unwrap()), ..port("tap0") };
        assert_eq!(
            choose(&networks, &unknown),
            Err("its source names network red, which is not configured; add a file for it"
                .to_owned())
        );
    }

    #[test]
    fn none_and_two_fitting_networks_are_named() {
        let networks = [named("blue", Match::default()), named("green", on_bridge("br-b"))];
        let on_b = Port { bridge: Some("br-b".to_owned()), ..port("tap0") };
        assert_eq!(
            choose(&networks, &on_b),
            Err("more than one network fits: blue, green; narrow their [match] until one is left"
                .to_owned())
        );
        let [_, green] = networks;
        assert_eq!(
            choose(&[green], &port("tap0")),
            Err("no network fits (green: it wants bridge \"br-b\")".to_owned())
        );
        assert_eq!(
            choose(&[], &port("tap0")),
            Err("no network is configured; add a file to networks-dir".to_owned())
        );
    }

    #[test]
    fn covering_means_no_condition_of_its_own() {
        let all = Match::default();
        let bridge = on_bridge("br-a");
        let narrow = Match { vlan: Some(5), ..bridge.clone() };
        assert!(all.covers(&narrow) && bridge.covers(&narrow) && narrow.covers(&narrow));
        assert!(!narrow.covers(&bridge) && !on_bridge("br-b").covers(&narrow));
        assert!(bridge.may_share_segment(&narrow) && !on_bridge("br-b").may_share_segment(&narrow));
    }
}
