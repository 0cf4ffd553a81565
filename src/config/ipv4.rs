//! `[ipv4]` of a network file.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::option_names::{self, IpFamily};
use super::section::{At, Item, Keys, Section};
use super::values::{
    IPV4, IPV4_NET, duration, lifetime, network, ranges, refuse_overlaps, seconds, without,
};
use crate::network::{Ipv4Network, Ipv4Route, Lifetime, Mask, Pool, PoolRange, RawOption};

/// `[ipv4]`, checked but for what the `[[vm]]` entries add.
#[derive(Debug)]
pub(super) struct Ipv4Part {
    pub(super) network: Ipv4Network,
    /// The pool's ranges, with their places.
    pub(super) ranges: Vec<At<PoolRange<Ipv4Addr>>>,
    /// Addresses that no VM may hold, and what they are.
    pub(super) used: Vec<(Ipv4Addr, &'static str)>,
}

/// Reads the section; `None`: it has errors, which are noted.
pub(super) fn read(section: &Section<'_>, mut options: Vec<RawOption>) -> Option<Ipv4Part> {
    let subnet = section.require("subnet", IPV4_NET).and_then(|item| subnet(&item));
    let gateway = section.get("gateway").map(|item| gateway(&item, subnet));
    let server_id = match (section.get("server-id"), gateway) {
        (Some(item), _) => server_id(&item, subnet),
        // The gateway, or nothing if that is broken.
        (None, Some(gateway)) => gateway,
        (None, None) => {
            section.error(
                "\"gateway\" in [ipv4] is missing, so \"server-id\" is needed; give one of them",
            );
            None
        }
    };
    let included = ranges::<Ipv4Addr>(section, "ranges", subnet);
    refuse_overlaps(section, &included);
    let excluded = ranges::<Ipv4Addr>(section, "exclude", subnet);
    let ranges = without(included, &excluded);
    let times = times(section);
    let mask = section
        .get("mask")
        .and_then(|item| item.choice(&[("subnet", Mask::Subnet), ("host", Mask::Host)], &[]))
        .unwrap_or_default();
    if mask == Mask::Host
        && gateway.is_none()
        && let Some(item) = section.get("mask")
    {
        item.error(
            "mask \"host\" sends everything through the gateway, and there is none; add gateway, \
             or write \"subnet\"",
        );
    }
    let routes = routes(section, "routes", subnet).unwrap_or_default();
    let rapid_commit = section.get("rapid-commit").and_then(|item| item.boolean()).unwrap_or(false);

    // RFC 8925, section 3.4: a client takes less than MIN_V6ONLY_WAIT for that.
    let ipv6_only_wait = section
        .get("ipv6-only-wait")
        .and_then(|item| seconds(&item, MIN_V6ONLY_WAIT, Lifetime::INFINITE.0 - 1));
    let auto_configure = section.get("auto-configure").and_then(|item| item.boolean());
    option_names::read(section, "options", IpFamily::V4, &mut options);

    let (subnet, server_id, (lease_time, renew_time, rebind_time)) = (subnet?, server_id?, times?);
    let gateway = match gateway {
        Some(gateway) => Some(gateway?),
        None => None,
    };
    let network = Ipv4Network {
        subnet,
        gateway,
        server_id,
        pool: Pool {
            ranges: ranges.iter().map(|range| *range.get_ref()).collect(),
            never: Vec::new(),
        },
        lease_time,
        renew_time,
        rebind_time,
        mask,
        routes,
        rapid_commit,
        ipv6_only_wait,
        auto_configure,
        options,
    };
    Some(Ipv4Part { used: used(&network), ranges, network })
}

/// Reads the routes of option 121, of the network or of one VM.
pub(super) fn routes(
    section: &Section<'_>,
    key: &'static str,
    subnet: Option<Ipv4Net>,
) -> Option<Vec<Ipv4Route>> {
    let item = section.get(key)?;
    Some(item.items().iter().filter_map(|item| route_of(item, subnet)).collect())
}

/// Reads one route, which is a table.
pub(super) fn route_of(item: &Item<'_>, subnet: Option<Ipv4Net>) -> Option<Ipv4Route> {
    item.section(&ROUTE).and_then(|section| route(&section, subnet))
}

fn route(section: &Section<'_>, subnet: Option<Ipv4Net>) -> Option<Ipv4Route> {
    let to = section.require("to", IPV4_NET).and_then(|item| network::<Ipv4Addr>(&item));
    let via = section.require("via", IPV4).and_then(|item| {
        let via = item.parse::<Ipv4Addr>(IPV4)?.into_inner();
        // RFC 3442: 0.0.0.0 says that the destination is on the link.
        if let Some(subnet) = subnet.filter(|net| !net.contains(&via) && !via.is_unspecified()) {
            item.error(format!(
                "router {via} is not inside the subnet; write one within {subnet}, or \
                 \"0.0.0.0\" for on link"
            ));
            return None;
        }
        Some(via)
    });
    Some(Ipv4Route { to: to?, via: via? })
}

fn subnet(item: &Item<'_>) -> Option<Ipv4Net> {
    let net = network::<Ipv4Addr>(item)?;
    let first = net.network();
    if first.is_multicast() || first.is_loopback() || first.is_broadcast() {
        item.error(format!("subnet \"{net}\" cannot be given to guests; write a unicast network"));
        return None;
    }
    if !(1..=31).contains(&net.prefix_len()) {
        item.error(format!("subnet \"{net}\" has no room for guests; write /1 to /31"));
        return None;
    }
    Some(net)
}

fn gateway(item: &Item<'_>, subnet: Option<Ipv4Net>) -> Option<Ipv4Addr> {
    let gateway = item.parse::<Ipv4Addr>(IPV4)?.into_inner();
    if let Some(subnet) = subnet {
        if !subnet.contains(&gateway) {
            item.error(format!(
                "gateway {gateway} is not inside the subnet; write an address of {subnet}"
            ));
            return None;
        }
        refuse_edge(item, gateway, subnet)?;
    }
    Some(gateway)
}

fn server_id(item: &Item<'_>, subnet: Option<Ipv4Net>) -> Option<Ipv4Addr> {
    let server_id = item.parse::<Ipv4Addr>(IPV4)?.into_inner();
    let is_host = !server_id.is_multicast()
        && !server_id.is_broadcast()
        && !server_id.is_unspecified()
        && !server_id.is_loopback();
    if !is_host {
        item.error(format!("server-id {server_id} is no host's address; write a unicast address"));
        return None;
    }
    if let Some(subnet) = subnet {
        refuse_edge(item, server_id, subnet)?;
    }
    Some(server_id)
}

fn refuse_edge(item: &Item<'_>, address: Ipv4Addr, subnet: Ipv4Net) -> Option<()> {
    let what = edges(subnet).find(|(edge, _)| *edge == address).map(|(_, what)| what);
    if let Some(what) = what {
        item.error(format!("{} {address} is {what} of {subnet}; write a host's address", item.key));
        return None;
    }
    Some(())
}

/// Returns the network and broadcast addresses; RFC 3021: a /31 has none.
fn edges(subnet: Ipv4Net) -> impl Iterator<Item = (Ipv4Addr, &'static str)> {
    let edges = [
        (subnet.network(), "the network's own address"),
        (subnet.broadcast(), "the broadcast address"),
    ];
    edges.into_iter().filter(move |_| subnet.prefix_len() < 31)
}

fn used(network: &Ipv4Network) -> Vec<(Ipv4Addr, &'static str)> {
    let gateway = network.gateway.map(|gateway| (gateway, "the gateway"));
    let server_id = (network.server_id, "the server's address");
    edges(network.subnet).chain(gateway).chain([server_id]).collect()
}

type Times = (Lifetime, Option<u32>, Option<u32>);

/// Reads lease time, T1 and T2; what is not given is derived (RFC 2131, section 4.4.5).
fn times(section: &Section<'_>) -> Option<Times> {
    let read = |key| section.get(key).map(|item| lifetime(&item));
    let (lease, renew, rebind) = (read("lease-time"), read("renew-time"), read("rebind-time"));
    // An outer `Some` with nothing in it is a value that has an error.
    let given = |time: &Option<Option<At<Lifetime>>>| match time {
        Some(None) => None,
        Some(Some(time)) => Some(Some(time.get_ref().0)),
        None => Some(None),
    };
    let lease_time = given(&lease)?.unwrap_or(LEASE_TIME);
    if let Some(Some(time)) = &lease
        && lease_time < SHORTEST_LEASE
    {
        section.file.error(
            time.span(),
            format!(
                "lease-time {} is too short to be renewed; write {} or more",
                duration(lease_time),
                duration(SHORTEST_LEASE)
            ),
        );
        return None;
    }
    let infinite = lease_time == Lifetime::INFINITE.0;
    let renew_time = given(&renew)?.unwrap_or_else(|| part_of(lease_time, 4));
    let rebind_time = given(&rebind)?.unwrap_or_else(|| part_of(lease_time, 7));
    let in_order = |earlier: u32, later: u32| earlier < later || (infinite && earlier == later);
    if !(in_order(renew_time, rebind_time) && in_order(rebind_time, lease_time)) {
        let at = [&renew, &rebind, &lease].into_iter().flatten().flatten().next();
        section.file.error(
            at.map_or(section.span.clone(), At::span),
            format!(
                "renew-time {}, rebind-time {} and lease-time {} are not in order; each must be \
                 shorter than the next",
                duration(renew_time),
                duration(rebind_time),
                duration(lease_time)
            ),
        );
        return None;
    }
    let sent = |time: u32| (time != Lifetime::INFINITE.0).then_some(time);
    Some((Lifetime(lease_time), sent(renew_time), sent(rebind_time)))
}

/// Returns `eighths` of a time, rounded down; of an infinite one all.
fn part_of(time: u32, eighths: u64) -> u32 {
    if time == Lifetime::INFINITE.0 {
        return time;
    }
    u32::try_from(u64::from(time).saturating_mul(eighths) / 8).unwrap_or(time)
}

const LEASE_TIME: u32 = 3_600;

/// RFC 8925, section 4.
const MIN_V6ONLY_WAIT: u32 = 300;

/// The shortest lease whose T1, T2 and end are three different seconds, with one to spare.
const SHORTEST_LEASE: u32 = 4;

pub(super) const KEYS: Keys = Keys {
    place: " in [ipv4]",
    known: &[
        "subnet",
        "gateway",
        "server-id",
        "ranges",
        "exclude",
        "lease-time",
        "renew-time",
        "rebind-time",
        "mask",
        "routes",
        "rapid-commit",
        "ipv6-only-wait",
        "auto-configure",
        "options",
    ],
    later: &[],
};
const ROUTE: Keys = Keys { place: " in \"routes\"", known: &["to", "via"], later: &[] };
