//! The options of a router advertisement, one row each: type, length in units of eight bytes, body
//! (RFC 4861, section 4.6; RFC 4191; RFC 8106; RFC 8781; RFC 8910; RFC 9463).

use std::net::IpAddr;

use ipnet::Ipv6Net;

use crate::network::{
    AddressMode, EncryptedResolver, Ipv6Parameters, Ipv6Route, Lifetime, Parameters, Pref64,
    PrefixInformation, RouterPreference,
};

/// Source link-layer address (RFC 4861, section 4.6.1).
pub(super) const SOURCE_LINK_LAYER: u8 = 1;
/// Target link-layer address (RFC 4861, section 4.6.1).
pub(super) const TARGET_LINK_LAYER: u8 = 2;
/// Prefix information (RFC 4861, section 4.6.2).
pub(super) const PREFIX_INFORMATION: u8 = 3;
/// MTU (RFC 4861, section 4.6.4).
pub(super) const MTU: u8 = 5;
/// Route information (RFC 4191, section 2.3).
pub(super) const ROUTE_INFORMATION: u8 = 24;
/// Recursive DNS server (RFC 8106, section 5.1).
pub(super) const RDNSS: u8 = 25;
/// DNS search list (RFC 8106, section 5.2).
pub(super) const DNSSL: u8 = 31;
/// Captive portal (RFC 8910, section 2.3).
pub(super) const CAPTIVE_PORTAL: u8 = 37;
/// NAT64 prefix (RFC 8781, section 4).
pub(super) const PREF64: u8 = 38;
/// Encrypted DNS (RFC 9463, section 6.1).
pub(super) const ENCRYPTED_DNS: u8 = 144;

/// One kind of option: its type, and the body of each option of that type that is sent.
pub(super) struct Row {
    pub(super) kind: u8,
    pub(super) bodies: fn(&Parameters, &Ipv6Parameters) -> Vec<Vec<u8>>,
}

/// In the order in which they are sent; where there is no room for all, the last are left out.
pub(super) const ROWS: &[Row] = &[
    Row { kind: SOURCE_LINK_LAYER, bodies: source_link_layer },
    Row { kind: MTU, bodies: mtu },
    Row { kind: PREFIX_INFORMATION, bodies: prefixes },
    Row { kind: PREF64, bodies: pref64 },
    Row { kind: RDNSS, bodies: dns_servers },
    Row { kind: ROUTE_INFORMATION, bodies: routes },
    Row { kind: DNSSL, bodies: search_list },
    Row { kind: CAPTIVE_PORTAL, bodies: captive_portal },
    Row { kind: ENCRYPTED_DNS, bodies: encrypted_resolvers },
];

/// Appends one of our own options: `body` without type and length, padded to eight bytes. Tells
/// whether it fitted: `out` grows to `room` bytes at most.
pub(super) fn append(out: &mut Vec<u8>, room: usize, kind: u8, body: &[u8]) -> bool {
    let units = body.len().saturating_add(HEADER).div_ceil(UNIT);
    let length = units.saturating_mul(UNIT);
    let (Ok(units), true) = (u8::try_from(units), out.len().saturating_add(length) <= room) else {
        return false;
    };
    let end = out.len().saturating_add(length);
    out.push(kind);
    out.push(units);
    out.extend_from_slice(body);
    out.resize(end, 0);
    true
}

/// Returns the MTU that guests are told. RFC 8200, section 5: an IPv6 link has one of at least
/// 1,280; less is left to IPv4.
pub(super) fn link_mtu(parameters: &Parameters) -> Option<u16> {
    parameters.mtu.filter(|mtu| *mtu >= IPV6_MIN_MTU)
}

/// Lists the prefixes: the subnet first, then the template's further ones.
pub(super) fn advertised_prefixes(
    ipv6: &Ipv6Parameters,
) -> impl Iterator<Item = PrefixInformation> {
    let autonomous = match ipv6.mode {
        AddressMode::Stateful => false,
        // RFC 4862, section 5.5.3: with Ethernet's interface identifiers of 64 bits, any other
        // length is of no use.
        AddressMode::Stateless | AddressMode::Slaac => ipv6.subnet.prefix_len() == 64,
    };
    let subnet = PrefixInformation {
        prefix: ipv6.subnet,
        on_link: true,
        autonomous,
        preferred_lifetime: ipv6.preferred_lifetime,
        valid_lifetime: ipv6.valid_lifetime,
    };
    std::iter::once(subnet).chain(ipv6.prefixes.iter().copied())
}

/// Makes the body of a prefix information option.
pub(super) fn prefix_information(information: &PrefixInformation) -> [u8; 30] {
    let on_link = if information.on_link { ON_LINK } else { 0 };
    let autonomous = if information.autonomous { AUTONOMOUS } else { 0 };
    let Lifetime(valid) = information.valid_lifetime;
    // RFC 4861, section 4.6.2: it must not exceed the valid lifetime.
    let Lifetime(preferred) = information.preferred_lifetime.min(information.valid_lifetime);
    let mut body = [0; 30];
    let parts: [&[u8]; 5] = [
        &[information.prefix.prefix_len(), on_link | autonomous],
        &valid.to_be_bytes(),
        &preferred.to_be_bytes(),
        &[0; 4],
        &information.prefix.network().octets(),
    ];
    for (to, from) in body.iter_mut().zip(parts.into_iter().flatten()) {
        *to = *from;
    }
    body
}

/// Returns the two bits of RFC 4191, section 2.1, at their place in both flag bytes.
pub(super) const fn preference_bits(preference: RouterPreference) -> u8 {
    match preference {
        RouterPreference::High => 0b0000_1000,
        RouterPreference::Medium => 0b0000_0000,
        RouterPreference::Low => 0b0001_1000,
    }
}

/// The guest is to learn the gateway's MAC from us only if it is the gateway's.
fn source_link_layer(parameters: &Parameters, _: &Ipv6Parameters) -> Vec<Vec<u8>> {
    let gateway = &parameters.gateway;
    if gateway.mac_given { vec![gateway.source_mac.0.to_vec()] } else { Vec::new() }
}

fn mtu(parameters: &Parameters, _: &Ipv6Parameters) -> Vec<Vec<u8>> {
    let mtu = link_mtu(parameters);
    mtu.map(|mtu| [&[0; 2][..], &u32::from(mtu).to_be_bytes()].concat()).into_iter().collect()
}

fn prefixes(_: &Parameters, ipv6: &Ipv6Parameters) -> Vec<Vec<u8>> {
    advertised_prefixes(ipv6).map(|prefix| prefix_information(&prefix).to_vec()).collect()
}

/// Lifetime and length in one number: thirteen bits of eight seconds each, three bits of code
/// (RFC 8781, section 4).
fn pref64(_: &Parameters, ipv6: &Ipv6Parameters) -> Vec<Vec<u8>> {
    let body = |Pref64 { prefix, lifetime }: &Pref64| {
        let code = PREF64_LENGTHS.iter().position(|length| *length == prefix.prefix_len())?;
        let lifetime = lifetime.checked_next_multiple_of(8).unwrap_or(PREF64_LIFETIME_MAX);
        let scaled = lifetime | u16::try_from(code).ok()?;
        let octets = prefix.network().octets();
        let highest = octets.get(..12)?;
        Some([&scaled.to_be_bytes()[..], highest].concat())
    };
    ipv6.ra.pref64.as_ref().and_then(body).into_iter().collect()
}

fn routes(_: &Parameters, ipv6: &Ipv6Parameters) -> Vec<Vec<u8>> {
    ipv6.routes.iter().map(route_information).collect()
}

fn route_information(route: &Ipv6Route) -> Vec<u8> {
    let Lifetime(lifetime) = route.lifetime;
    [
        &[route.to.prefix_len(), preference_bits(route.preference)][..],
        &lifetime.to_be_bytes(),
        significant(&route.to, &route.to.network().octets()),
    ]
    .concat()
}

/// Cuts a prefix to the 0, 8 or 16 bytes that its length calls for (RFC 4191, section 2.3).
fn significant<'a>(prefix: &Ipv6Net, octets: &'a [u8; 16]) -> &'a [u8] {
    let length = match prefix.prefix_len() {
        0 => 0,
        1..=64 => 8,
        _ => 16,
    };
    octets.get(..length).unwrap_or(octets)
}

/// One option for all servers; none if there are none (RFC 8106, section 5.1).
fn dns_servers(parameters: &Parameters, ipv6: &Ipv6Parameters) -> Vec<Vec<u8>> {
    let servers: Vec<u8> = parameters
        .dns
        .iter()
        .filter_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(address.octets()),
        })
        .flatten()
        .collect();
    with_dns_lifetime(ipv6, &servers)
}

/// One option for all names; none if there are none (RFC 8106, section 5.2).
fn search_list(parameters: &Parameters, ipv6: &Ipv6Parameters) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    for name in &parameters.search {
        name.encode(&mut names);
    }
    with_dns_lifetime(ipv6, &names)
}

/// The URI, which zeros of padding may follow (RFC 8910, section 2.3).
fn captive_portal(parameters: &Parameters, _: &Ipv6Parameters) -> Vec<Vec<u8>> {
    let portal = parameters.captive_portal.as_ref();
    portal.map(|portal| portal.as_str().into()).into_iter().collect()
}

/// One option for each resolver that IPv6 reaches.
fn encrypted_resolvers(parameters: &Parameters, ipv6: &Ipv6Parameters) -> Vec<Vec<u8>> {
    let lifetime = ipv6.ra.dns_lifetime;
    parameters.resolvers.iter().filter_map(|resolver| encrypted_dns(resolver, lifetime)).collect()
}

/// Makes one Encrypted DNS option (RFC 9463, section 6.1); `None` if the resolver has addresses,
/// but none of IPv6.
fn encrypted_dns(resolver: &EncryptedResolver, Lifetime(lifetime): Lifetime) -> Option<Vec<u8>> {
    let name = resolver.encoded_name();
    let mut body = resolver.priority.to_be_bytes().to_vec();
    body.extend(lifetime.to_be_bytes());
    body.extend(u16::try_from(name.len()).ok()?.to_be_bytes());
    body.extend(name);
    // A resolver without addresses has no further field, erratum 7804.
    if !resolver.addresses.is_empty() {
        let addresses = resolver.encoded_ipv6_addresses()?;
        body.extend(u16::try_from(addresses.len()).ok()?.to_be_bytes());
        body.extend(addresses);
        let params = resolver.params.bytes();
        body.extend(u16::try_from(params.len()).ok()?.to_be_bytes());
        body.extend(params);
    }
    Some(body)
}

/// Puts the reserved bytes and the lifetime before a list, if it holds anything.
fn with_dns_lifetime(ipv6: &Ipv6Parameters, list: &[u8]) -> Vec<Vec<u8>> {
    if list.is_empty() {
        return Vec::new();
    }
    let Lifetime(lifetime) = ipv6.ra.dns_lifetime;
    vec![[&[0; 2][..], &lifetime.to_be_bytes(), list].concat()]
}

/// Type and length.
pub(super) const HEADER: usize = 2;
/// What the length counts in.
pub(super) const UNIT: usize = 8;
/// L (RFC 4861, section 4.6.2).
const ON_LINK: u8 = 0x80;
/// A (RFC 4861, section 4.6.2).
const AUTONOMOUS: u8 = 0x40;
/// RFC 8200, section 5.
const IPV6_MIN_MTU: u16 = 1_280;
/// The lengths that a NAT64 prefix may have, in the order of their codes (RFC 8781, section 4).
const PREF64_LENGTHS: [u8; 6] = [96, 64, 56, 48, 40, 32];
/// The longest lifetime that thirteen bits hold (RFC 8781, section 4).
const PREF64_LIFETIME_MAX: u16 = 65_528;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::nd::message::contain;

    #[test]
    fn an_appended_option_is_padded_to_eight_bytes() {
        let mut out = Vec::new();
        assert!(append(&mut out, 24, SOURCE_LINK_LAYER, &[1, 2, 3, 4, 5, 6]));
        assert!(append(&mut out, 24, DNSSL, &[7; 7]));
        assert_eq!(out, [1, 1, 1, 2, 3, 4, 5, 6, 31, 2, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn an_option_without_room_or_length_is_not_appended() {
        let mut out = vec![9];
        assert!(!append(&mut out, 8, MTU, &[0; 6]));
        assert!(!append(&mut out, usize::MAX, MTU, &[0; 2_039]));
        assert_eq!(out, [9]);
        assert!(append(&mut out, 9, MTU, &[0; 6]));
    }

    proptest! {
        #[test]
        fn what_is_appended_is_found(
            kinds in prop::collection::vec(any::<u8>(), 1..16),
            body in prop::collection::vec(any::<u8>(), 0..2_038),
            wanted: u8,
        ) {
            let mut out = Vec::new();
            for kind in &kinds {
                prop_assert!(append(&mut out, usize::MAX, *kind, &body));
            }
            prop_assert_eq!(contain(&out, wanted), Ok(kinds.contains(&wanted)));
        }
    }
}
