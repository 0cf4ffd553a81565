//! `[ipv6]` of a network file, with its prefixes and its router advertisement.

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use super::delegation;
use super::option_names::{self, IpFamily};
use super::section::{At, Item, Keys, Section};
use super::values::{
    Form, IPV6_NET, LINK_LOCAL, duration, lifetime, network, ranges, refuse_overlaps, seconds,
    seconds_of, without,
};
use crate::network::{
    AddressMode, Ipv6Network, Ipv6Route, Lifetime, Pool, PoolRange, Pref64, PrefixInformation,
    RawOption, RouterAdvertisement, RouterPreference,
};

/// `[ipv6]`, checked but for what the `[[vm]]` entries add.
#[derive(Debug)]
pub(super) struct Ipv6Part {
    pub(super) network: Ipv6Network,
    /// The pool's ranges, with their places.
    pub(super) ranges: Vec<At<PoolRange<Ipv6Addr>>>,
    /// What `delegate` covers, with its place.
    pub(super) delegated: Option<At<PoolRange<Ipv6Addr>>>,
    /// Addresses that no VM may hold, and what they are.
    pub(super) used: Vec<(Ipv6Addr, &'static str)>,
}

/// Reads the section; `None`: it has errors, which are noted.
pub(super) fn read(
    section: &Section<'_>,
    mut options: Vec<RawOption>,
    reserves_addresses: bool,
) -> Option<Ipv6Part> {
    let subnet = section.require("subnet", IPV6_NET).and_then(|item| subnet(&item));
    let gateway = section.get("gateway").map(|item| gateway(&item));
    let included = ranges::<Ipv6Addr>(section, "ranges", subnet);
    refuse_overlaps(section, &included);
    let excluded = ranges::<Ipv6Addr>(section, "exclude", subnet);
    let mode = mode(section, subnet, reserves_addresses);
    let ranges = without(included, &excluded);
    let times = times(section);
    let ra = advertisement(section, gateway.is_some());
    let prefixes = prefixes(section, subnet, mode, times);
    let own = subnet.into_iter().chain(prefixes.iter().map(|info| info.prefix)).collect();
    let delegation = delegation::read(section, mode, own);
    let routes = routes(section, ra);
    let rapid_commit = section.get("rapid-commit").and_then(|item| item.boolean()).unwrap_or(false);
    let server_preference = section.get("server-preference").and_then(|item| item.number(0, 255));
    // RFC 9915, section 21.23: a client takes less than 600 s for 600 s.
    let information_refresh_time = section
        .get("information-refresh-time")
        .and_then(|item| seconds(&item, 600, Lifetime::INFINITE.0 - 1));

    // RFC 9915, sections 21.24 and 21.25: a client takes no other value.
    let max_retry = |key| section.get(key).and_then(|item| seconds(&item, 60, 86_400));
    let solicit_max_retry = max_retry("sol-max-rt");
    let information_max_retry = max_retry("inf-max-rt");
    option_names::read(section, "options", IpFamily::V6, &mut options);

    let gateway = match gateway {
        Some(gateway) => Some(gateway?),
        None => None,
    };
    let (subnet, mode, times, delegation) = (subnet?, mode?, times?, delegation?);
    let delegated =
        delegation.as_ref().map(|at| At::new(at.span(), delegation::range_of(at.get_ref().pool)));
    let network = Ipv6Network {
        subnet,
        gateway,
        pool: Pool {
            ranges: ranges.iter().map(|range| *range.get_ref()).collect(),
            never: Vec::new(),
        },
        delegation: delegation.map(At::into_inner),
        mode,
        preferred_lifetime: times.preferred,
        valid_lifetime: times.valid,
        renew_time: times.renew,
        rebind_time: times.rebind,
        rapid_commit,
        server_preference,
        information_refresh_time,
        solicit_max_retry,
        information_max_retry,
        prefixes,
        routes,
        ra: ra?,
        options,
    };
    // RFC 4291, section 2.6.1: the subnet's zero address belongs to its routers; RFC 6164: not
    // in a /127.
    let anycast = (subnet.prefix_len() < 127)
        .then(|| (subnet.network(), "the subnet's router anycast address"));
    Some(Ipv6Part { used: anycast.into_iter().collect(), ranges, delegated, network })
}

/// RFC 4291, section 2.5.6.
pub(super) fn is_link_local(address: Ipv6Addr) -> bool {
    address.is_unicast_link_local()
}

fn subnet(item: &Item<'_>) -> Option<Ipv6Net> {
    let net = network::<Ipv6Addr>(item)?;
    let first = net.network();
    if first.is_multicast() || is_link_local(first) {
        item.error(format!(
            "prefix \"{net}\" cannot be given to guests; write a global or unique local network"
        ));
        return None;
    }
    if !(1..=127).contains(&net.prefix_len()) {
        item.error(format!("prefix \"{net}\" has no room for guests; write /1 to /127"));
        return None;
    }
    Some(net)
}

fn gateway(item: &Item<'_>) -> Option<Ipv6Addr> {
    let gateway = item.parse::<Ipv6Addr>(LINK_LOCAL)?.into_inner();
    // RFC 4861, section 4.2: the source of an advertisement must be link-local.
    if !is_link_local(gateway) {
        item.error(format!(
            "gateway {gateway} is not link-local, as a router's address must be (RFC 4861); \
             write one like {}",
            LINK_LOCAL.like
        ));
        return None;
    }
    Some(gateway)
}

fn mode(
    section: &Section<'_>,
    subnet: Option<Ipv6Net>,
    reserves_addresses: bool,
) -> Option<AddressMode> {
    let ranges = section.get("ranges").filter(|item| !item.items().is_empty());
    let mode = match section.get("mode") {
        Some(item) => {
            let mode = item.choice(&MODES, &[])?;
            if let Some(ranges) = ranges.filter(|_| is_autonomous(mode)) {
                ranges.error(format!(
                    "\"ranges\" are not used with mode {:?}, in which guests make their own \
                     addresses; leave them out or write mode = \"stateful\"",
                    word(mode)
                ));
                return None;
            }
            mode
        }
        None if ranges.is_some() || reserves_addresses || section.get("delegate").is_some() => {
            AddressMode::Stateful
        }
        None => AddressMode::Slaac,
    };
    if let Some(subnet) = subnet.filter(|net| is_autonomous(mode) && net.prefix_len() != 64) {
        let at = section.get("mode").or_else(|| section.get("subnet"));
        let default = if section.get("mode").is_some() { "" } else { " (the default here)" };
        section.file.error(
            at.map_or(section.span.clone(), |item| item.span),
            format!(
                "mode {:?}{default} needs a /64, and the subnet is {subnet}; write a /64, or give \
                 ranges and mode = \"stateful\"",
                word(mode)
            ),
        );
        return None;
    }
    Some(mode)
}

/// Returns a mode as it is written.
pub(super) fn word(mode: AddressMode) -> &'static str {
    MODES.iter().find(|(_, known)| *known == mode).map_or("", |(word, _)| word)
}

/// Tells whether guests make their own addresses: the A flag.
pub(super) fn is_autonomous(mode: AddressMode) -> bool {
    match mode {
        AddressMode::Stateful => false,
        AddressMode::Stateless | AddressMode::Slaac => true,
    }
}

/// Lifetimes of addresses, and when they are renewed.
#[derive(Debug, Clone, Copy)]
struct Times {
    preferred: Lifetime,
    valid: Lifetime,
    renew: Lifetime,
    rebind: Lifetime,
}

/// Reads the lifetimes; T1 and T2 are derived (RFC 9915, section 21.4) unless given.
fn times(section: &Section<'_>) -> Option<Times> {
    let read = |key| section.get(key).map(|item| lifetime(&item));
    let (renew, rebind) = (read("renew-time"), read("rebind-time"));
    let lifetimes = lifetimes(section, (Lifetime(PREFERRED_LIFETIME), Lifetime(VALID_LIFETIME)));
    // An outer `Some` with nothing in it is a value that has an error.
    let given = |time: &Option<Option<At<Lifetime>>>, default: Lifetime| match time {
        Some(time) => time.as_ref().map(|time| *time.get_ref()),
        None => Some(default),
    };
    let (preferred, valid) = lifetimes?;
    let t1 = given(&renew, tenths(preferred, 5))?;
    let t2 = given(&rebind, tenths(preferred, 8))?;
    if t1 > t2 || t2 > valid {
        let at = [&renew, &rebind].into_iter().flatten().flatten().next();
        section.file.error(
            at.map_or(section.span.clone(), At::span),
            format!(
                "renew-time {}, rebind-time {} and valid-lifetime {} are not in order; each must \
                 be no longer than the next",
                duration(t1.0),
                duration(t2.0),
                duration(valid.0)
            ),
        );
        return None;
    }
    Some(Times { preferred, valid, renew: t1, rebind: t2 })
}

/// Reads preferred and valid lifetime of addresses or of a prefix.
fn lifetimes(section: &Section<'_>, default: (Lifetime, Lifetime)) -> Option<(Lifetime, Lifetime)> {
    let read = |key, default| match section.get(key) {
        Some(item) => lifetime(&item).map(At::into_inner),
        None => Some(default),
    };
    let preferred = read("preferred-lifetime", default.0);
    let valid = read("valid-lifetime", default.1);
    let (preferred, valid) = (preferred?, valid?);
    if preferred > valid {
        let at = section.get("preferred-lifetime").or_else(|| section.get("valid-lifetime"));
        section.file.error(
            at.map_or(section.span.clone(), |item| item.span),
            format!(
                "preferred-lifetime {} is longer than valid-lifetime {}; make it no longer",
                duration(preferred.0),
                duration(valid.0)
            ),
        );
        return None;
    }
    Some((preferred, valid))
}

fn tenths(time: Lifetime, tenths: u64) -> Lifetime {
    if time == Lifetime::INFINITE {
        return time;
    }
    Lifetime(u32::try_from(u64::from(time.0).saturating_mul(tenths) / 10).unwrap_or(time.0))
}

fn prefixes(
    section: &Section<'_>,
    subnet: Option<Ipv6Net>,
    mode: Option<AddressMode>,
    times: Option<Times>,
) -> Vec<PrefixInformation> {
    let default = times.map_or((Lifetime(PREFERRED_LIFETIME), Lifetime(VALID_LIFETIME)), |times| {
        (times.preferred, times.valid)
    });
    let mut seen: Vec<Ipv6Net> = subnet.into_iter().collect();
    let mut checked = Vec::new();
    for entry in section.sections("prefix", &PREFIX) {
        let flag = |key, default| match entry.get(key) {
            Some(item) => item.boolean(),
            None => Some(default),
        };
        let on_link = flag("on-link", true);
        let autonomous = flag("autonomous", mode.is_some_and(is_autonomous));
        let lifetimes = lifetimes(&entry, default);
        let Some(item) = entry.require("prefix", IPV6_NET) else {
            continue;
        };
        let Some(prefix) = self::subnet(&item) else {
            continue;
        };
        if seen.contains(&prefix) {
            item.error(format!(
                "prefix {prefix} is advertised twice; name every prefix once, and not the subnet"
            ));
        }
        seen.push(prefix);
        if autonomous == Some(true) && prefix.prefix_len() != 64 {
            item.error(format!(
                "prefix {prefix} with autonomous = true must be a /64; write a /64 or autonomous = \
                 false"
            ));
        }
        if let (Some(on_link), Some(autonomous), Some((preferred, valid))) =
            (on_link, autonomous, lifetimes)
        {
            checked.push(PrefixInformation {
                prefix,
                on_link,
                autonomous,
                preferred_lifetime: preferred,
                valid_lifetime: valid,
            });
        }
    }
    checked
}

fn routes(section: &Section<'_>, ra: Option<RouterAdvertisement>) -> Vec<Ipv6Route> {
    let longest = ra.and_then(|ra| ra.interval).map_or(u16::MAX, |(_, longest)| longest);
    let read = |route: Section<'_>| {
        let to = route.require("to", IPV6_NET).and_then(|item| network::<Ipv6Addr>(&item));
        let preference = preference(&route);
        let lifetime = match route.get("lifetime") {
            Some(item) => lifetime(&item).map(At::into_inner),
            None => Some(Lifetime(u32::from(longest).saturating_mul(3))),
        };
        Some(Ipv6Route { to: to?, preference, lifetime: lifetime? })
    };
    section.sections("routes", &ROUTE).into_iter().filter_map(read).collect()
}

fn preference(section: &Section<'_>) -> RouterPreference {
    section.get("preference").and_then(|item| item.choice(&PREFERENCES, &[])).unwrap_or_default()
}

fn advertisement(section: &Section<'_>, has_gateway: bool) -> Option<RouterAdvertisement> {
    let Some(item) = section.get("ra") else {
        return Some(unset_advertisement(Some(INTERVAL), has_gateway));
    };
    let section = item.section(&RA)?;
    let interval = match section.get("interval") {
        Some(item) => interval(&item)?,
        None => Some(INTERVAL),
    };
    let unset = unset_advertisement(interval, has_gateway);
    let longest = interval.map_or(0, |(_, longest)| longest);
    let router_lifetime = match section.get("router-lifetime") {
        Some(item) => router_lifetime(&item, longest, has_gateway),
        None => Some(unset.router_lifetime),
    };
    let dns_lifetime = match section.get("dns-lifetime") {
        Some(item) => dns_lifetime(&item, longest),
        None => Some(unset.dns_lifetime),
    };
    let hop_limit = match section.get("hop-limit") {
        Some(item) => item.number(0, 255),
        None => Some(unset.hop_limit),
    };
    let pref64 = match section.get("pref64") {
        Some(item) => Some(pref64(&item, interval)?),
        None => None,
    };
    Some(RouterAdvertisement {
        preference: preference(&section),
        router_lifetime: router_lifetime?,
        dns_lifetime: dns_lifetime?,
        hop_limit: hop_limit?,
        interval,
        pref64,
    })
}

/// Fills in what is not written: lifetimes of three of the longest intervals.
fn unset_advertisement(interval: Option<(u16, u16)>, has_gateway: bool) -> RouterAdvertisement {
    // Without unsolicited advertisements nothing renews a lifetime: the longest there is.
    let longest = interval.map_or(u16::MAX, |(_, longest)| longest);
    RouterAdvertisement {
        router_lifetime: if has_gateway { longest.saturating_mul(3) } else { 0 },
        hop_limit: HOP_LIMIT,
        preference: RouterPreference::Medium,
        interval,
        dns_lifetime: Lifetime(u32::from(longest).saturating_mul(3)),
        pref64: None,
    }
}

/// Reads the prefix of a NAT64 (RFC 6052, section 2.2; RFC 8781, section 4).
fn pref64(item: &Item<'_>, interval: Option<(u16, u16)>) -> Option<Pref64> {
    let prefix = network::<Ipv6Addr>(item)?;
    if ![32, 40, 48, 56, 64, 96].contains(&prefix.prefix_len()) {
        item.error(format!(
            "\"pref64\" is {prefix}, of a length that no NAT64 has; write /32, /40, /48, /56, /64 \
             or /96"
        ));
        return None;
    }
    // RFC 6052, section 2.2: bits 64 to 71 of every address are 0.
    if prefix.network().octets()[8] != 0 {
        item.error(format!(
            "\"pref64\" is {prefix}, whose bits 64 to 71 are not 0 (RFC 6052); write one like \
             \"64:ff9b::/96\""
        ));
        return None;
    }
    // RFC 8781, section 4.1: three of the longest intervals, as far as thirteen bits reach.
    let longest = interval.map_or(u16::MAX, |(_, longest)| longest);
    Some(Pref64 { prefix, lifetime: longest.saturating_mul(3).min(PREF64_LIFETIME_MAX) })
}

/// RFC 8106, section 5.1: at least three of the longest intervals; 0 withdraws the servers.
fn dns_lifetime(item: &Item<'_>, longest: u16) -> Option<Lifetime> {
    let lifetime = lifetime(item)?.into_inner();
    let least = u32::from(longest).saturating_mul(3);
    if lifetime.0 != 0 && lifetime.0 < least {
        item.error(format!(
            "dns-lifetime {} is shorter than three of the longest intervals; write {} or more, or \
             \"0s\"",
            duration(lifetime.0),
            duration(least)
        ));
        return None;
    }
    Some(lifetime)
}

fn router_lifetime(item: &Item<'_>, longest: u16, has_gateway: bool) -> Option<u16> {
    let lifetime = u16::try_from(seconds(item, 0, u32::from(u16::MAX))?).ok()?;
    if lifetime == 0 {
        return Some(0);
    }
    if !has_gateway {
        item.error(
            "\"router-lifetime\" needs a gateway; add gateway to [ipv6] or write router-lifetime \
             = \"0s\"",
        );
        return None;
    }
    // RFC 4861, section 6.2.1: AdvDefaultLifetime.
    if lifetime < longest {
        item.error(format!(
            "router-lifetime {} is shorter than the longest interval; write {} or more, or \"0s\"",
            duration(lifetime.into()),
            duration(longest.into())
        ));
        return None;
    }
    Some(lifetime)
}

/// Reads `"200s-600s"` or `"off"`; the outer `None`: it has an error.
fn interval(item: &Item<'_>) -> Option<Option<(u16, u16)>> {
    let text = item.text(INTERVAL_FORM)?;
    if text == "off" {
        return Some(None);
    }
    let bounds = text.split_once('-').and_then(|(shortest, longest)| {
        let bound = |text: &str| u16::try_from(seconds_of(text.trim())?).ok();
        Some((bound(shortest)?, bound(longest)?))
    });
    let Some((shortest, longest)) = bounds else {
        item.error_form(text, INTERVAL_FORM);
        return None;
    };
    // RFC 4861, section 6.2.1, with the longer maximum of RFC 8319.
    if shortest < 3 || longest < 4 || u32::from(shortest) * 4 > u32::from(longest) * 3 {
        item.error(format!(
            "interval {text:?} is out of bounds; the shortest must be 3s or more, and no more than \
             three quarters of the longest (RFC 4861)"
        ));
        return None;
    }
    Some(Some((shortest, longest)))
}

const PREFERRED_LIFETIME: u32 = 3_600;
const VALID_LIFETIME: u32 = 7_200;

/// RFC 4861, section 6.2.1: MinRtrAdvInterval and MaxRtrAdvInterval.
const INTERVAL: (u16, u16) = (200, 600);

/// RFC 4861, section 6.2.1: AdvCurHopLimit, with IANA's value.
const HOP_LIMIT: u8 = 64;

/// RFC 8781, section 4: thirteen bits of eight seconds each.
const PREF64_LIFETIME_MAX: u16 = 65_528;

const INTERVAL_FORM: Form = Form { what: "an interval", like: "\"200s-600s\" or \"off\"" };

const MODES: [(&str, AddressMode); 3] = [
    ("stateful", AddressMode::Stateful),
    ("stateless", AddressMode::Stateless),
    ("slaac", AddressMode::Slaac),
];

pub(super) const PREFERENCES: [(&str, RouterPreference); 3] = [
    ("high", RouterPreference::High),
    ("medium", RouterPreference::Medium),
    ("low", RouterPreference::Low),
];

pub(super) const KEYS: Keys = Keys {
    place: " in [ipv6]",
    known: &[
        "subnet",
        "gateway",
        "ranges",
        "exclude",
        "mode",
        "preferred-lifetime",
        "valid-lifetime",
        "renew-time",
        "rebind-time",
        "rapid-commit",
        "server-preference",
        "information-refresh-time",
        "sol-max-rt",
        "inf-max-rt",
        "routes",
        "prefix",
        "ra",
        "delegate",
        "options",
    ],
    later: &[],
};
pub(super) const PREFIX: Keys = Keys {
    place: " in [[ipv6.prefix]]",
    known: &["prefix", "on-link", "autonomous", "preferred-lifetime", "valid-lifetime"],
    later: &[],
};
const ROUTE: Keys =
    Keys { place: " in \"routes\"", known: &["to", "preference", "lifetime"], later: &[] };
pub(super) const RA: Keys = Keys {
    place: " in [ipv6.ra]",
    known: &["router-lifetime", "hop-limit", "preference", "interval", "dns-lifetime", "pref64"],
    later: &[],
};
