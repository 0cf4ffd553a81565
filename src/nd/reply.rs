//! What a router advertisement says: the header, and of the options as many as fit (RFC 4861,
//! section 4.2; RFC 4191, section 2.2).
//!
//! An advertisement is one frame, no longer than the port's MTU and than the MTU that it advertises
//! itself, and keeps room for the prefixes that are withdrawn. Options are taken in the order of
//! their rows, most needed first; one that finds no room is left out, which each reply notes.

use std::net::Ipv6Addr;

use super::withdrawals::{PREFIXES_LENGTH, Withdrawals};
use super::{ROUTER_ADVERTISEMENT, options};
use crate::network::{
    AddressMode, Ipv6Parameters, Parameters, PrefixInformation, RouterPreference,
};
use crate::wire::bytes::{Full, Writer};
use crate::wire::encode;

/// One NIC's router advertisement, encoded once when the port's binding is made.
#[derive(Debug)]
pub struct Profile {
    link_local: Ipv6Addr,
    router_lifetime: u16,
    prefixes: Box<[PrefixInformation]>,
    advertisement: Box<[u8]>,
    is_whole: bool,
    interval: Option<(u16, u16)>,
}

impl Profile {
    /// Encodes `parameters` for a port with this MTU; `None` if the network has no `[ipv6]`.
    #[must_use]
    pub fn new(parameters: &Parameters, port_mtu: u16) -> Option<Self> {
        let ipv6 = parameters.ipv6.as_ref()?;
        let room = encode::icmpv6_room(options::link_mtu(parameters).unwrap_or(port_mtu))
            .min(encode::icmpv6_room(port_mtu))
            .saturating_sub(PREFIXES_LENGTH);
        let mut message = header(ipv6).to_vec();
        let mut is_whole = true;
        for row in options::ROWS {
            for body in (row.bodies)(parameters, ipv6) {
                is_whole &= options::append(&mut message, room, row.kind, &body);
            }
        }
        Some(Self {
            link_local: ipv6.link_local,
            router_lifetime: router_lifetime(ipv6),
            prefixes: options::advertised_prefixes(ipv6).collect(),
            advertisement: message.into_boxed_slice(),
            is_whole,
            interval: ipv6.ra.interval,
        })
    }

    /// Returns the IPv6 source of everything that is sent: the router's link-local address.
    #[must_use]
    pub fn link_local(&self) -> Ipv6Addr {
        self.link_local
    }

    /// Returns the ICMPv6 message, checksum zero, without the prefixes that are withdrawn.
    #[must_use]
    pub fn advertisement(&self) -> &[u8] {
        &self.advertisement
    }

    /// Tells whether no option was left out.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// Returns shortest and longest time between unsolicited advertisements, in seconds.
    #[must_use]
    pub fn interval(&self) -> Option<(u16, u16)> {
        self.interval
    }

    /// Writes the whole ICMPv6 message, checksum zero; returns its length.
    ///
    /// # Errors
    /// [`Full`] if it does not fit.
    pub fn write(&self, withdrawals: &Withdrawals, out: &mut [u8]) -> Result<usize, Full> {
        let mut writer = Writer::new(out);
        writer.bytes(&self.advertisement)?;
        withdrawals.write_prefixes(&mut writer)?;
        Ok(writer.len())
    }

    /// Tells whether guests take the sender for a default router.
    pub(super) fn is_router(&self) -> bool {
        self.router_lifetime > 0
    }

    /// Returns the prefixes that are advertised.
    pub(super) fn prefixes(&self) -> &[PrefixInformation] {
        &self.prefixes
    }
}

/// Makes the sixteen bytes of the last advertisement of a router that is no more: lifetime 0 (RFC
/// 4861, section 6.2.5). Flags and hop limit are those of our own advertisement, for a guest takes
/// them from whichever comes last; with lifetime 0 the preference must be medium (RFC 4191, section
/// 2.2).
pub(super) fn last_header(ours: Option<&Profile>) -> [u8; 16] {
    let header = ours.and_then(|ours| ours.advertisement.first_chunk::<16>());
    let (hop_limit, flags) = match header {
        Some([_, _, _, _, hop_limit, flags, ..]) => (*hop_limit, flags & !PREFERENCE),
        None => (0, 0),
    };
    [ROUTER_ADVERTISEMENT, 0, 0, 0, hop_limit, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// Without a gateway nobody here forwards: not a default router.
fn router_lifetime(ipv6: &Ipv6Parameters) -> u16 {
    if ipv6.gateway.is_some() { ipv6.ra.router_lifetime } else { 0 }
}

/// Makes the sixteen bytes before the options. Reachable Time and Retrans Timer are left to the
/// guest: 0.
fn header(ipv6: &Ipv6Parameters) -> [u8; 16] {
    let lifetime = router_lifetime(ipv6);
    // RFC 4191, section 2.2: with lifetime 0 the preference must be medium.
    let preference = if lifetime == 0 { RouterPreference::Medium } else { ipv6.ra.preference };
    let (managed, other) = match (ipv6.mode, ipv6.address) {
        (AddressMode::Stateful, Some(_)) => (MANAGED, OTHER),
        (AddressMode::Stateful, None) | (AddressMode::Stateless, _) => (0, OTHER),
        (AddressMode::Slaac, _) => (0, 0),
    };
    let flags = managed | other | options::preference_bits(preference);
    let [high, low] = lifetime.to_be_bytes();
    let hop_limit = ipv6.ra.hop_limit;
    [ROUTER_ADVERTISEMENT, 0, 0, 0, hop_limit, flags, high, low, 0, 0, 0, 0, 0, 0, 0, 0]
}

/// M (RFC 4861, section 4.2).
const MANAGED: u8 = 0x80;
/// The preference's two bits beside M and O (RFC 4191, section 2.2).
const PREFERENCE: u8 = 0x18;
/// O (RFC 4861, section 4.2).
const OTHER: u8 = 0x40;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nd::tests::parameters;
    use crate::network::{Ipv6Route, Lifetime, Pref64};

    fn advertisement(parameters: &Parameters) -> Vec<u8> {
        Profile::new(parameters, 1_500).unwrap().advertisement().to_vec()
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
            ipv6.ra.pref64 = Some(nat64("64:ff9b::/96", 1_800));
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
            &[38, 2, 0x07, 0x08, 0x00, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0],
            &[25, 3, 0, 0, 0, 0, 0x07, 0x08],
            &[0x20, 0x01, 0x0d, 0xb8, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53],
            &[24, 2, 48, 0x18, 0, 0, 0x07, 0x08, 0x20, 0x01, 0x0d, 0xb8, 0, 0xff, 0, 0],
            &[31, 4, 0, 0, 0, 0, 0x07, 0x08, 4],
            b"blue\x07example\0\x07example\0\0",
        ];
        assert_eq!(advertisement(&parameters), expected.concat());
    }

    fn nat64(prefix: &str, lifetime: u16) -> Pref64 {
        Pref64 { prefix: prefix.parse().unwrap(), lifetime }
    }

    #[test]
    fn a_nat64_prefix_says_its_lifetime_in_steps_of_8_s_and_its_length_in_a_code() {
        for (prefix, lifetime, scaled) in [
            ("64:ff9b::/96", 1_800, 1_800),
            ("2001:db8:64::/64", 1_799, 1_800 | 1),
            ("2001:db8:64::/56", 1, 8 | 2),
            ("2001:db8:64::/48", 0, 3),
            ("2001:db8:6400::/40", 65_528, 65_528 | 4),
            ("2001:db8::/32", 65_535, 65_528 | 5),
        ] {
            let message =
                advertisement(&changed(|ipv6| ipv6.ra.pref64 = Some(nat64(prefix, lifetime))));
            let octets = prefix.parse::<ipnet::Ipv6Net>().unwrap().network().octets();
            let scaled = u16::to_be_bytes(scaled);
            let expected = [&[38, 2][..], &scaled, &octets[..12]].concat();
            assert_eq!(*all_options(&message).last().unwrap(), expected, "{prefix}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_from_the_last_row_on() {
        let mut parameters = changed(|ipv6| {
            let route = |number: u32| Ipv6Route {
                to: format!("2001:db8:{number}::/48").parse().unwrap(),
                preference: RouterPreference::Medium,
                lifetime: Lifetime(1_800),
            };
            ipv6.routes = (1..=80).map(route).collect();
        });
        parameters.dns = vec!["2001:db8:20::53".parse().unwrap()];
        parameters.search = vec!["blue.example".parse().unwrap()];
        let fitted = |parameters: &Parameters, mtu: u16| {
            let profile = Profile::new(parameters, mtu).unwrap();
            let kinds: Vec<u8> =
                all_options(profile.advertisement()).iter().map(|option| option[0]).collect();
            let routes = kinds.iter().filter(|kind| **kind == options::ROUTE_INFORMATION).count();
            assert!(kinds.starts_with(&[1, 3, 25, 24]) && !kinds.contains(&31), "{kinds:?}");
            let length = profile.advertisement().len();
            assert!(!profile.is_whole() && length + PREFIXES_LENGTH + 40 <= usize::from(mtu));
            routes
        };
        // 40 of IPv6, 16 of header, 8, 32 and 24 before the routes of 16 each.
        assert_eq!(fitted(&parameters, 1_280), (1_280 - 40 - PREFIXES_LENGTH - 80) / 16);
        // A frame of ours is never longer than 1,514 bytes with its tag.
        assert_eq!(fitted(&parameters, 9_000), (1_496 - 40 - PREFIXES_LENGTH - 80) / 16);
        // What the guest is told of the link counts as well.
        parameters.ipv6.as_mut().unwrap().ra.hop_limit = 0;
        parameters.mtu = Some(1_280);
        let profile = Profile::new(&parameters, 9_000).unwrap();
        assert!(profile.advertisement().len() + PREFIXES_LENGTH + 40 <= 1_280);
        parameters.ipv6.as_mut().unwrap().routes.truncate(1);
        assert!(Profile::new(&parameters, 1_280).unwrap().is_whole());
    }

    #[test]
    fn withdrawn_prefixes_follow_in_the_room_that_is_kept_for_them() {
        let mut withdrawals = Withdrawals::default();
        let profiles: Vec<Profile> = (1..=5_u32)
            .map(|number| {
                let subnet = format!("2001:db8:{number}::/64").parse().unwrap();
                Profile::new(&changed(|ipv6| ipv6.subnet = subnet), 1_280).unwrap()
            })
            .collect();
        for pair in profiles.windows(2) {
            let old = (Some(&pair[0]), crate::wire::Mac::default());
            let now = crate::time::Mono::default();
            withdrawals.replace((now, now), old, Some(&pair[1]));
        }
        let mut out = [0; 1_240];
        let length = profiles[4].write(&withdrawals, &mut out).unwrap();
        let options = all_options(&out[..length]);
        let kinds: Vec<u8> = options.iter().map(|option| option[0]).collect();
        assert_eq!(kinds, [1, 3, 3, 3, 3, 3]);
        assert!(options[2..].iter().all(|option| option[4..16] == [0; 12]));
        assert!(profiles[4].write(&withdrawals, &mut out[..length - 1]).is_err());
    }

    #[test]
    fn without_ipv6_there_is_no_profile() {
        assert!(Profile::new(&Parameters { ipv6: None, ..parameters() }, 1_500).is_none());
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
