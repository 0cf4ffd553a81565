//! `delegate` of `[ipv6]`, and `prefix` of a `[[vm]]`: prefixes for routers behind a port.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::ipv6::{Ipv6Part, is_link_local};
use super::network_file::Part;
use super::section::{At, Item, Keys, Section};
use super::values::{Form, IPV6_NET, network};
use crate::network::{AddressMode, Delegation, PoolRange, overlap};

/// Reads `delegate`; the outer `None`: it has an error, which is noted. What the `[[vm]]` entries
/// reserve is added later.
pub(super) fn read(
    section: &Section<'_>,
    mode: Option<AddressMode>,
    own: Vec<Ipv6Net>,
) -> Option<Option<At<Delegation>>> {
    let Some(item) = section.get("delegate") else {
        return Some(None);
    };
    if mode == Some(AddressMode::Slaac) {
        item.error(
            "\"delegate\" is not used with mode \"slaac\", in which DHCPv6 is silent; leave it out \
             or write mode = \"stateless\" or \"stateful\"",
        );
        return None;
    }
    let table = item.section(&DELEGATE)?;
    let pool_item = table.require("pool", IPV6_NET);
    let pool = pool_item.as_ref().and_then(|item| delegable(item));
    let length = table.require("length", LENGTH);
    let (pool_item, pool, length_item) = (pool_item?, pool?, length?);
    let length: u8 = length_item.number(1, 128)?;
    if length < pool.prefix_len() {
        length_item.error(format!(
            "length {length} is shorter than the pool's; write a number from {} to 128",
            pool.prefix_len()
        ));
        return None;
    }
    if let Some(taken) = own.iter().find(|own| own.contains(&pool)) {
        pool_item.error(format!(
            "pool \"{pool}\" lies in the network's own prefix {taken}, of which nothing is \
             delegated; give another pool"
        ));
        return None;
    }
    Some(Some(item.at(Delegation { pool, length, own, reserved: Vec::new() })))
}

/// Reads `prefix` of a `[[vm]]` entry.
pub(super) fn reservation(section: &Section<'_>, ipv6: &Part<Ipv6Part>) -> Option<At<Ipv6Net>> {
    let item = section.get("prefix")?;
    let delegation = match ipv6 {
        Part::Checked(part) => part.network.delegation.as_ref(),
        Part::Absent => None,
        // Whether it delegates is not known.
        Part::Broken => return None,
    };
    let Some(delegation) = delegation else {
        item.error("\"prefix\" needs delegate in [ipv6]; add it or leave \"prefix\" out");
        return None;
    };
    let prefix = delegable(&item)?;
    if let Some(taken) = delegation.own.iter().find(|own| overlap(**own, prefix)) {
        item.error(format!(
            "prefix \"{prefix}\" overlaps the network's own prefix {taken}; reserve another one"
        ));
        return None;
    }
    Some(item.at(prefix))
}

/// Returns the first and the last address of a prefix.
pub(super) fn range_of(prefix: Ipv6Net) -> PoolRange<Ipv6Addr> {
    PoolRange { first: prefix.network(), last: prefix.broadcast() }
}

fn delegable(item: &Item<'_>) -> Option<Ipv6Net> {
    let net = network::<Ipv6Addr>(item)?;
    let first = net.network();
    if first.is_multicast() || is_link_local(first) || net.prefix_len() == 0 {
        item.error(format!(
            "prefix \"{net}\" cannot be delegated; write a global or unique local network"
        ));
        return None;
    }
    Some(net)
}

pub(super) const DELEGATE: Keys =
    Keys { place: " in \"delegate\"", known: &["pool", "length"], later: &[] };

const LENGTH: Form = Form { what: "a prefix length", like: "64" };
