//! What a router advertisement says: one row an option (RFC 4861, section 4.2; RFC 4191; RFC 8106; RFC 8910;
//! RFC 9463).

use std::net::{IpAddr, Ipv6Addr};

use ipnet::Ipv6Net;

use super::{ROUTER_ADVERTISEMENT, options};
use crate::network::{
    AddressMode, EncryptedResolver, Ipv6Parameters, Ipv6Route, Lifetime, Parameters,
    PrefixInformation, RouterPreference,
};

/// One NIC's router advertisement, encoded once when the port's binding is made.
#[derive(Debug)]
pub struct Profile {
    link_local: Ipv6Addr,
    advertisement: Box<[u8]>,
    interval: Option<(u16, u16)>,
}

impl Profile {
    /// Encodes `parameters`; `None` if the network has no `[ipv6]`.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Option<Self> {
        let ipv6 = parameters.ipv6.as_ref()?;
        let mut message = header(ipv6).to_vec();
        for row in ROWS {
            for body in (row.bodies)(parameters, ipv6) {
                options::append(&mut message, row.kind, &body);
            }
        }
        Some(Self {
            link_local: ipv6.link_local,
            advertisement: message.into_boxed_slice(),
            interval: ipv6.ra.interval,
        })
    }

    /// Returns the IPv6 source of everything that is sent: the router's link-local address.
    #[must_use]
    pub fn link_local(&self) -> Ipv6Addr {
        self.link_local
    }

    /// Returns the whole ICMPv6 message, checksum zero.
    #[must_use]
    pub fn advertisement(&self) -> &[u8] {
        &self.advertisement
    }

    /// Returns shortest and longest time between unsolicited advertisements, in seconds.
    #[must_use]
    pub fn interval(&self) -> Option<(u16, u16)> {
        self.interval
    }
}

/// One kind of option: its type, and the body of each option of that type that is sent.
struct Row {
    kind: u8,
    bodies: fn(&Parameters, &Ipv6Parameters) -> Vec<Vec<u8>>,
}

/// In the order in which they are sent.
const ROWS: &[Row] = &[
    Row { kind: options::SOURCE_LINK_LAYER, bodies: source_link_layer },
    Row { kind: options::MTU, bodies: mtu },
    Row { kind: options::PREFIX_INFORMATION, bodies: prefixes },
    Row { kind: options::ROUTE_INFORMATION, bodies: routes },
    Row { kind: options::RDNSS, bodies: dns_servers },
    Row { kind: options::DNSSL, bodies: search_list },
    Row { kind: options::CAPTIVE_PORTAL, bodies: captive_portal },
    Row { kind: options::ENCRYPTED_DNS, bodies: encrypted_resolvers },
];

/// Makes the sixteen bytes before the options. Reachable Time and Retrans Timer are left to the
/// guest: 0.
fn header(ipv6: &Ipv6Parameters) -> [u8; 16] {
    // Without a gateway nobody here forwards: not a default router.
    let lifetime = if ipv6.gateway.is_some() { ipv6.ra.router_lifetime } else { 0 };
    // RFC 4191, section 2.2: with lifetime 0 the preference must be medium.
    let preference = if lifetime == 0 { RouterPreference::Medium } else { ipv6.ra.preference };
    let (managed, other) = match (ipv6.mode, ipv6.address) {
        (AddressMode::Stateful, Some(_)) => (MANAGED, OTHER),
        (AddressMode::Stateful, None) | (AddressMode::Stateless, _) => (0, OTHER),
        (AddressMode::Slaac, _) => (0, 0),
    };
    let flags = managed | other | preference_bits(preference);
    let [high, low] = lifetime.to_be_bytes();
    let hop_limit = ipv6.ra.hop_limit;
    [ROUTER_ADVERTISEMENT, 0, 0, 0, hop_limit, flags, high, low, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// The guest is to learn the gateway's MAC from us only if it is the gateway's.
fn source_link_layer(parameters: &Parameters, _: &Ipv6Parameters) -> Vec<Vec<u8>> {
    let gateway = &parameters.gateway;
    if gateway.mac_given { vec![gateway.source_mac.0.to_vec()] } else { Vec::new() }
}

/// RFC 8200, section 5: an IPv6 link has an MTU of at least 1,280; less is left to IPv4.
fn mtu(parameters: &Parameters, _: &Ipv6Parameters) -> Vec<Vec<u8>> {
    let mtu = parameters.mtu.filter(|mtu| *mtu >= IPV6_MIN_MTU);
    mtu.map(|mtu| [&[0; 2][..], &u32::from(mtu).to_be_bytes()].concat()).into_iter().collect()
}

/// The subnet first, then the template's further prefixes.
fn prefixes(_: &Parameters, ipv6: &Ipv6Parameters) -> Vec<Vec<u8>> {
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
    std::iter::once(&subnet).chain(&ipv6.prefixes).map(prefix_information).collect()
}

fn prefix_information(information: &PrefixInformation) -> Vec<u8> {
    let on_link = if information.on_link { ON_LINK } else { 0 };
    let autonomous = if information.autonomous { AUTONOMOUS } else { 0 };
    let Lifetime(valid) = information.valid_lifetime;
    // RFC 4861, section 4.6.2: it must not exceed the valid lifetime.
    let Lifetime(preferred) = information.preferred_lifetime.min(information.valid_lifetime);
    [
        &[information.prefix.prefix_len(), on_link | autonomous][..],
        &valid.to_be_bytes(),
        &preferred.to_be_bytes(),
        &[0; 4],
        &information.prefix.network().octets(),
    ]
    .concat()
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

/// Returns the two bits of RFC 4191, section 2.1, at their place in both flag bytes.
const fn preference_bits(preference: RouterPreference) -> u8 {
    match preference {
        RouterPreference::High => 0b0000_1000,
        RouterPreference::Medium => 0b0000_0000,
        RouterPreference::Low => 0b0001_1000,
    }
}

/// M (RFC 4861, section 4.2).
const MANAGED: u8 = 0x80;
/// O (RFC 4861, section 4.2).
const OTHER: u8 = 0x40;
/// L (RFC 4861, section 4.6.2).
const ON_LINK: u8 = 0x80;
/// A (RFC 4861, section 4.6.2).
const AUTONOMOUS: u8 = 0x40;
/// RFC 8200, section 5.
const IPV6_MIN_MTU: u16 = 1_280;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nd::tests::parameters;

    fn advertisement(parameters: &Parameters) -> Vec<u8> {
        Profile::new(parameters).unwrap().advertisement().to_vec()
    }

    fn changed(change: impl FnOnce(&mut Ipv6Parameters)) -> Parameters {
        let mut parameters = parameters();
        change(parameters.ipv6.as_mut().unwrap());
        parameters
    }

    /// Returns the flags of the header, and the flags of each prefix.
    fn flags(parameters: &Parameters) -> (u8, Vec<u8>) {
        let message = advertisement(parameters);
        let prefixes = all_options(&message);
        let prefixes = prefixes.iter().filter(|option| option[0] == options::PREFIX_INFORMATION);
        (message[5], prefixes.map(|option| option[3]).collect())
    }

    fn all_options(message: &[u8]) -> Vec<&[u8]> {
        let mut options = Vec::new();
        let mut rest = &message[16..];
        while let [_, units, ..] = *rest {
            let (option, tail) = rest.split_at(usize::from(units) * 8);
            options.push(option);
            rest = tail;
        }
        options
    }

    #[test]
    fn a_full_advertisement_is_these_bytes() {
        let mut parameters = changed(|ipv6| {
            ipv6.ra.preference = RouterPreference::High;
            ipv6.prefixes = vec![PrefixInformation {
                prefix: "2001:db8:21::1/64".parse().unwrap(),
                on_link: false,
                autonomous: true,
                preferred_lifetime: Lifetime(0),
                valid_lifetime: Lifetime::INFINITE,
            }];
            ipv6.routes = vec![Ipv6Route {
                to: "2001:db8:ff::/48".parse().unwrap(),
                preference: RouterPreference::Low,
                lifetime: Lifetime(1_800),
            }];
        });
        parameters.mtu = Some(1_450);
        parameters.dns = vec!["10.20.0.53".parse().unwrap(), "2001:db8:20::53".parse().unwrap()];
        parameters.search = vec!["blue.example".parse().unwrap(), "example".parse().unwrap()];
        let expected: &[&[u8]] = &[
            &[134, 0, 0, 0, 64, 0xc8, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0],
            &[1, 1, 0x0a, 0x58, 0xa9, 0xfe, 0x01, 0x01],
            &[5, 1, 0, 0, 0, 0, 0x05, 0xaa],
            &[3, 4, 64, 0x80, 0, 0, 0x1c, 0x20, 0, 0, 0x0e, 0x10, 0, 0, 0, 0],
            &[0x20, 0x01, 0x0d, 0xb8, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[3, 4, 64, 0x40, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x20, 0x01, 0x0d, 0xb8, 0, 0x21, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[24, 2, 48, 0x18, 0, 0, 0x07, 0x08, 0x20, 0x01, 0x0d, 0xb8, 0, 0xff, 0, 0],
            &[25, 3, 0, 0, 0, 0, 0x07, 0x08],
            &[0x20, 0x01, 0x0d, 0xb8, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53],
            &[31, 4, 0, 0, 0, 0, 0x07, 0x08, 4],
            b"blue\x07example\0\x07example\0\0",
        ];
        assert_eq!(advertisement(&parameters), expected.concat());
    }

    #[test]
    fn without_ipv6_there_is_no_profile() {
        assert!(Profile::new(&Parameters { ipv6: None, ..parameters() }).is_none());
    }

    #[test]
    fn stateful_with_an_address_says_managed_and_other() {
        assert_eq!(flags(&parameters()), (0xc0, vec![0x80]));
    }

    #[test]
    fn stateful_without_an_address_says_other_only() {
        assert_eq!(flags(&changed(|ipv6| ipv6.address = None)), (0x40, vec![0x80]));
    }

    #[test]
    fn stateless_says_other_and_autonomous() {
        let stateless = changed(|ipv6| ipv6.mode = AddressMode::Stateless);
        assert_eq!(flags(&stateless), (0x40, vec![0xc0]));
    }

    #[test]
    fn slaac_says_autonomous_for_a_prefix_of_64_bits_only() {
        assert_eq!(flags(&changed(|ipv6| ipv6.mode = AddressMode::Slaac)), (0x00, vec![0xc0]));
        let longer = changed(|ipv6| {
            ipv6.mode = AddressMode::Slaac;
            ipv6.subnet = "2001:db8:20::/80".parse().unwrap();
        });
        assert_eq!(flags(&longer), (0x00, vec![0x80]));
    }

    #[test]
    fn without_a_gateway_lifetime_and_preference_are_zero() {
        let message = advertisement(&changed(|ipv6| {
            ipv6.gateway = None;
            ipv6.ra.preference = RouterPreference::High;
        }));
        assert_eq!(message[5..8], [0xc0, 0, 0]);
        let message = advertisement(&changed(|ipv6| {
            ipv6.ra.router_lifetime = 0;
            ipv6.ra.preference = RouterPreference::Low;
        }));
        assert_eq!(message[5..8], [0xc0, 0, 0]);
        let message = advertisement(&changed(|ipv6| ipv6.ra.preference = RouterPreference::Low));
        assert_eq!(message[5..8], [0xd8, 0x07, 0x08]);
    }

    #[test]
    fn the_link_layer_address_is_given_only_if_it_is_the_gateways() {
        let mut parameters = parameters();
        let kinds = |parameters: &Parameters| -> Vec<u8> {
            all_options(&advertisement(parameters)).iter().map(|option| option[0]).collect()
        };
        assert_eq!(kinds(&parameters), [1, 3]);
        parameters.gateway.mac_given = false;
        assert_eq!(kinds(&parameters), [3]);
    }

    #[test]
    fn an_mtu_that_ipv6_cannot_have_is_left_out() {
        let mut parameters = parameters();
        for (mtu, sent) in [(1_279, false), (1_280, true), (9_000, true)] {
            parameters.mtu = Some(mtu);
            let message = advertisement(&parameters);
            let options = all_options(&message);
            assert_eq!(options.iter().any(|option| option[0] == options::MTU), sent, "{mtu}");
        }
    }

    #[test]
    fn a_preferred_lifetime_never_exceeds_the_valid_one() {
        let message = advertisement(&changed(|ipv6| {
            ipv6.preferred_lifetime = Lifetime::INFINITE;
            ipv6.valid_lifetime = Lifetime(60);
        }));
        let prefix = all_options(&message)[1];
        assert_eq!(prefix[4..12], [0, 0, 0, 60, 0, 0, 0, 60]);
    }

    #[test]
    fn a_route_takes_the_bytes_that_its_length_calls_for() {
        for (to, expected) in [
            ("::/0", &[24, 1, 0, 0, 0, 0, 0, 9][..]),
            ("2000::/3", &[24, 2, 3, 0, 0, 0, 0, 9, 0x20, 0, 0, 0, 0, 0, 0, 0]),
            ("2001:db8::/64", &[24, 2, 64, 0, 0, 0, 0, 9, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0]),
            (
                "2001:db8::ff/65",
                &[
                    24, 3, 65, 0, 0, 0, 0, 9, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, //
                    0, 0, 0, 0, 0, 0, 0, 0,
                ],
            ),
        ] {
            let route = Ipv6Route {
                to: to.parse().unwrap(),
                preference: RouterPreference::Medium,
                lifetime: Lifetime(9),
            };
            let message = advertisement(&changed(|ipv6| ipv6.routes = vec![route]));
            assert_eq!(*all_options(&message).last().unwrap(), expected, "{to}");
        }
    }
}
