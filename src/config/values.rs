//! Values that several parts of the files have: durations, addresses, names, ranges.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{Ipv4Net, Ipv6Net};

use super::section::{At, Item, Section};
use crate::lease::NetworkName;
use crate::network::{DomainName, Lifetime, Pool, PoolAddress, PoolRange};

/// What a text must be, for messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// With its article: `an IPv4 address`.
    pub(super) what: &'static str,
    /// An example, with its quotes.
    pub(super) like: &'static str,
}

impl Form {
    const fn new(what: &'static str, like: &'static str) -> Self {
        Self { what, like }
    }

    /// Returns what to write, with an example.
    pub(super) fn hint(self) -> String {
        format!("{} like {}", self.what, self.like)
    }
}

/// One address family, as ranges and reservations see it.
pub(super) trait Family: PoolAddress + FromStr + Display {
    /// The network type that goes with it.
    type Net: Copy + Display + FromStr + PartialEq;
    /// How an address is written.
    const ADDRESS: Form;
    /// How a network is written.
    const NETWORK: Form;
    /// How a range is written.
    const RANGE: Form;
    /// The section's name.
    const SECTION: &'static str;
    /// Tells whether the address lies in `net`.
    fn is_in(self, net: &Self::Net) -> bool;
    /// Returns `net` without the bits behind its prefix.
    fn truncated(net: Self::Net) -> Self::Net;
}

impl Family for Ipv4Addr {
    type Net = Ipv4Net;
    const ADDRESS: Form = IPV4;
    const NETWORK: Form = IPV4_NET;
    const RANGE: Form = Form::new("an IPv4 range", "\"10.20.1.0-10.20.9.255\"");
    const SECTION: &'static str = "[ipv4]";

    fn is_in(self, net: &Ipv4Net) -> bool {
        net.contains(&self)
    }

    fn truncated(net: Ipv4Net) -> Ipv4Net {
        net.trunc()
    }
}

impl Family for Ipv6Addr {
    type Net = Ipv6Net;
    const ADDRESS: Form = IPV6;
    const NETWORK: Form = IPV6_NET;
    const RANGE: Form = Form::new("an IPv6 range", "\"2001:db8:20::1:0-2001:db8:20::1:ffff\"");
    const SECTION: &'static str = "[ipv6]";

    fn is_in(self, net: &Ipv6Net) -> bool {
        net.contains(&self)
    }

    fn truncated(net: Ipv6Net) -> Ipv6Net {
        net.trunc()
    }
}

/// Reads a duration in whole seconds, `"infinite"` included.
pub(super) fn lifetime(item: &Item<'_>) -> Option<At<Lifetime>> {
    let text = item.text(DURATION)?;
    if text == "infinite" {
        return Some(item.at(Lifetime::INFINITE));
    }
    let seconds = seconds_of(text);
    if seconds.is_none() {
        item.error_form(text, DURATION);
    }
    seconds.map(|seconds| item.at(Lifetime(seconds)))
}

/// Reads a duration in whole seconds between two bounds, both included, that has an end.
pub(super) fn seconds(item: &Item<'_>, least: u32, most: u32) -> Option<u32> {
    let text = item.text(FINITE)?;
    let Some(seconds) = seconds_of(text) else {
        item.error_form(text, FINITE);
        return None;
    };
    if !(least..=most).contains(&seconds) {
        let (least, most) = (duration(least), duration(most));
        item.error(format!(
            "{:?} is {text:?}, which is out of range; write a duration from {least} to {most}",
            item.key
        ));
        return None;
    }
    Some(seconds)
}

/// Returns the number of seconds in a text like `90s`; `None`: it is none, or 136 years or more.
pub(super) fn seconds_of(text: &str) -> Option<u32> {
    let unit = text.chars().last()?;
    let number = text.strip_suffix(unit)?;
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let factor = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let seconds = number.parse::<u32>().ok()?.checked_mul(factor)?;
    (seconds != u32::MAX).then_some(seconds)
}

/// Writes seconds as a duration, in the largest unit that holds them whole, with quotes.
#[must_use]
pub fn duration(seconds: u32) -> String {
    let units = [('d', 86_400), ('h', 3_600), ('m', 60)];
    let whole = |(_, factor): &(char, u32)| seconds != 0 && seconds.checked_rem(*factor) == Some(0);
    let (unit, factor) = units.into_iter().find(whole).unwrap_or(('s', 1));
    match seconds {
        u32::MAX => "\"infinite\"".to_owned(),
        seconds => format!("\"{}{unit}\"", seconds.checked_div(factor).unwrap_or(seconds)),
    }
}

/// Reads a name of a domain.
pub(super) fn domain(item: &Item<'_>) -> Option<DomainName> {
    let text = item.text(DOMAIN)?;
    match text.parse() {
        Ok(domain) => Some(domain),
        Err(fault) => {
            item.error(format!(
                "{:?} has {text:?}, which is not a domain name: {fault}; write one like {}",
                item.key, DOMAIN.like
            ));
            None
        }
    }
}

/// Reads a name that has a type of its own, and says what is wrong with it in the type's words.
pub(super) fn name<T: FromStr<Err: Display>>(item: &Item<'_>, form: Form) -> Option<T> {
    let text = item.text(form)?;
    match text.parse() {
        Ok(name) => Some(name),
        Err(fault) => {
            item.error(format!("{fault}; write one like {}", form.like));
            None
        }
    }
}

/// Reads the name of a network.
pub(super) fn network_name(item: &Item<'_>) -> Option<NetworkName> {
    name(item, NETWORK_NAME)
}

/// Reads a list; members that do not fit are noted and left out.
pub(super) fn list<T>(
    section: &Section<'_>,
    key: &'static str,
    read: impl Fn(&Item<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    section.get(key).map(|item| item.items().iter().filter_map(read).collect())
}

/// Reads one address of either family, as a server's.
pub(super) fn server_address(item: &Item<'_>) -> Option<IpAddr> {
    let address = item.parse::<IpAddr>(IP)?.into_inner();
    if address.is_unspecified() {
        item.error(format!(
            "{:?} has {address}, which is no server's address; write one like {}",
            item.key, IP.like
        ));
        return None;
    }
    Some(address)
}

/// Reads an MTU; with IPv6, RFC 8200 section 5 sets the least, else RFC 791.
pub(super) fn mtu(item: &Item<'_>, has_ipv6: bool) -> Option<u16> {
    let mtu: u16 = item.number(68, 65_535)?;
    if has_ipv6 && mtu < 1_280 {
        item.error(format!("\"mtu\" is {mtu}, too small for IPv6; write 1280 or more"));
        return None;
    }
    Some(mtu)
}

/// Reads a network without bits behind its prefix.
pub(super) fn network<A: Family>(item: &Item<'_>) -> Option<A::Net> {
    let net = item.parse::<A::Net>(A::NETWORK)?.into_inner();
    let truncated = A::truncated(net);
    if net != truncated {
        item.error(format!(
            "network \"{net}\" has bits set behind its prefix; write \"{truncated}\""
        ));
        return None;
    }
    Some(net)
}

/// Reads the ranges of `key`, each inside `subnet`.
pub(super) fn ranges<A: Family>(
    section: &Section<'_>,
    key: &'static str,
    subnet: Option<A::Net>,
) -> Vec<At<PoolRange<A>>> {
    let Some(item) = section.get(key) else {
        return Vec::new();
    };
    item.items().iter().filter_map(|item| range(item, subnet)).collect()
}

fn range<A: Family>(item: &Item<'_>, subnet: Option<A::Net>) -> Option<At<PoolRange<A>>> {
    let text = item.text(A::RANGE)?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Ok(first), Ok(last)) = (first.trim().parse::<A>(), last.trim().parse::<A>()) else {
        item.error_form(text, A::RANGE);
        return None;
    };
    if last < first {
        item.error(format!("range {text:?} ends before it begins; write \"{last}-{first}\""));
        return None;
    }
    let outside = |subnet: &A::Net| !first.is_in(subnet) || !last.is_in(subnet);
    if let Some(subnet) = subnet.filter(outside) {
        item.error(format!("range {text:?} is not inside the subnet; keep it within {subnet}"));
        return None;
    }
    Some(item.at(PoolRange { first, last }))
}

/// Notes every range that overlaps one before it.
pub(super) fn refuse_overlaps<A: Family>(section: &Section<'_>, ranges: &[At<PoolRange<A>>]) {
    for (place, range) in ranges.iter().enumerate() {
        let (own, mut before) = (range.get_ref(), ranges.iter().take(place));
        let overlaps = |other: &&At<PoolRange<A>>| {
            let other = other.get_ref();
            own.first <= other.last && other.first <= own.last
        };
        if let Some(other) = before.find(overlaps) {
            section.file.error(
                range.span(),
                format!(
                    "range {} overlaps {}; every address may stand in one range only",
                    written(own),
                    written(other.get_ref())
                ),
            );
        }
    }
}

/// Takes `exclude` out of `ranges`; what is left is ascending and knows where it came from.
pub(super) fn without<A: Family>(
    ranges: Vec<At<PoolRange<A>>>,
    exclude: &[At<PoolRange<A>>],
) -> Vec<At<PoolRange<A>>> {
    let mut left = ranges;
    for hole in exclude.iter().map(At::get_ref) {
        left = left
            .into_iter()
            .flat_map(|range| {
                let span = range.span();
                let pieces = punched(*range.get_ref(), *hole);
                pieces.into_iter().flatten().map(move |piece| At::new(span.clone(), piece))
            })
            .collect();
    }
    left.sort_by_key(|range| range.get_ref().first);
    left
}

/// Returns what lies below and above `hole`.
fn punched<A: Family>(range: PoolRange<A>, hole: PoolRange<A>) -> [Option<PoolRange<A>>; 2] {
    if hole.last < range.first || range.last < hole.first {
        return [Some(range), None];
    }
    let number = |address: A| address.to_number();
    let below = (range.first < hole.first).then(|| PoolRange {
        first: range.first,
        last: A::from_number(number(hole.first).saturating_sub(1)),
    });
    let above = (hole.last < range.last).then(|| PoolRange {
        first: A::from_number(number(hole.last).saturating_add(1)),
        last: range.last,
    });
    [below, above]
}

/// Notes in a pool the addresses that are never given to a VM without a reservation.
pub(super) fn withhold<A: Family>(pool: &mut Pool<A>, never: impl IntoIterator<Item = A>) {
    let inside: Vec<A> = never.into_iter().filter(|address| pool.contains(*address)).collect();
    pool.never.extend(inside);
    pool.never.sort_unstable();
    pool.never.dedup();
}

/// Writes a range as in the files.
pub(super) fn written<A: Family>(range: &PoolRange<A>) -> String {
    if range.first == range.last {
        format!("\"{}\"", range.first)
    } else {
        format!("\"{}-{}\"", range.first, range.last)
    }
}

pub(super) const BRIDGE: Form = Form::new("a bridge's name", "\"br-int\"");
pub(super) const DOMAIN: Form = Form::new("a domain name", "\"blue.example\"");
pub(super) const DURATION: Form =
    Form::new("a duration", "\"90s\", \"30m\", \"1h\" or \"infinite\"");
pub(super) const FINITE: Form = Form::new("a duration", "\"90s\", \"30m\" or \"1h\"");
pub(super) const GLOB: Form = Form::new("a pattern of interface names", "\"vm-*\"");
pub(super) const HOSTNAME: Form = Form::new("a host name", "\"db-1\"");
pub(super) const INTERFACE: Form = Form::new("an interface's name", "\"tap0\"");
pub(super) const IP: Form = Form::new("an IP address", "\"10.20.0.53\" or \"2001:db8:20::53\"");
pub(super) const IPV4: Form = Form::new("an IPv4 address", "\"10.20.0.1\"");
pub(super) const IPV6: Form = Form::new("an IPv6 address", "\"2001:db8:20::1\"");
pub(super) const IPV4_NET: Form = Form::new("an IPv4 network", "\"10.20.0.0/16\"");
pub(super) const IPV6_NET: Form = Form::new("an IPv6 network", "\"2001:db8:20::/64\"");
pub(super) const LINK_LOCAL: Form = Form::new("a link-local IPv6 address", "\"fe80::1\"");
pub(super) const LISTEN: Form = Form::new("an address with a port", "\"127.0.0.1:9768\" or \"\"");
pub(super) const MAC: Form = Form::new("a MAC address", "\"52:54:00:12:34:56\"");
pub(super) const NETDEV_VM: Form = Form::new("a template", "\"lab/{interface}\"");
pub(super) const NETWORK_NAME: Form = Form::new("a network's name", "\"blue\"");
pub(super) const NIC: Form = Form::new("a NIC's name", "\"default\"");
pub(super) const NODE: Form = Form::new("a node's name", "\"node-a\"");
pub(super) const PATTERN: Form = Form::new("a regular expression", "'^(?<name>.+)-eth0$'");
pub(super) const TEMPLATE: Form = Form::new("a template", "\"{name}\"");
pub(super) const TEXT: Form = Form::new("a text", "\"blue\"");
pub(super) const VM: Form = Form::new("a VM identity", "\"demo/web-1\" or a UUID");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_four_units() {
        for (text, seconds) in [("90s", 90), ("30m", 1_800), ("1h", 3_600), ("2d", 172_800)] {
            assert_eq!(seconds_of(text), Some(seconds), "{text}");
            assert_eq!(seconds_of(duration(seconds).trim_matches('"')), Some(seconds), "{text}");
        }
        for bad in
            ["", "s", "90", "-1s", "+1s", "1.5h", "1w", "1h30m", "4294967295s", "50000d", "١s"]
        {
            assert_eq!(seconds_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_excluded_is_cut_out_of_the_ranges() {
        let at = |first: &str, last: &str| {
            let range: PoolRange<Ipv4Addr> =
                PoolRange { first: first.parse().unwrap(), last: last.parse().unwrap() };
            At::new(0..0, range)
        };
        let cut = |holes: &[At<PoolRange<Ipv4Addr>>]| {
            without(vec![at("10.0.0.10", "10.0.0.20")], holes)
                .iter()
                .map(|range| written(range.get_ref()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            cut(&[at("10.0.0.15", "10.0.0.15")]),
            ["\"10.0.0.10-10.0.0.14\"", "\"10.0.0.16-10.0.0.20\""]
        );
        assert_eq!(
            cut(&[at("10.0.0.1", "10.0.0.10"), at("10.0.0.12", "10.0.0.99")]),
            ["\"10.0.0.11\""]
        );
        assert!(cut(&[at("10.0.0.0", "10.0.0.255")]).is_empty());
        assert_eq!(cut(&[at("10.0.0.21", "10.0.0.30")]), ["\"10.0.0.10-10.0.0.20\""]);
    }
}
