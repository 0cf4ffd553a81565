//! What a port's guest was told and is to forget: prefixes and routers that the template no longer
//! names (RFC 4861, section 6.2.5; RFC 4862, section 5.5.3; RFC 9096, section 3.5).
//!
//! - A prefix that is gone goes on in every advertisement, with both lifetimes 0, for as long as
//!   its old valid lifetime may last at the guest: one that missed the first hears it later. A
//!   guest that uses it deprecates its addresses at once and keeps them valid for two hours at
//!   most, so that its connections can end; one that starts anew makes no address of it, which any
//!   valid lifetime but 0 would have it do. The same holds for a flag that a prefix has lost: of a
//!   network that goes from SLAAC to DHCPv6, the prefix stays and its A is withdrawn.
//! - A router that is gone (another gateway, or no `[ipv6]` any more) says so itself, from its own
//!   address and MAC: three advertisements with router lifetime 0, 16 s apart. One that stays with
//!   `router-lifetime = "0s"` needs none: its ordinary advertisement says it.
//!
//! This is the memory of one port's responder. It holds [`MAX_PREFIXES`] prefixes, of which the
//! one that would be forgotten first makes room, and [`MAX_ROUTERS`] routers, of which the oldest
//! does. It ends with the responder: a restart, an upgrade or a node that is drained withdraws
//! nothing. What is changed while the node is down is deprecated by `[[ipv6.prefix]]` with
//! lifetimes of `"0s"`.

use std::net::Ipv6Addr;
use std::time::Duration;

use super::options;
use super::reply::{Profile, last_header};
use crate::network::{Lifetime, PrefixInformation};
use crate::time::Mono;
use crate::wire::Mac;
use crate::wire::bytes::{Full, Writer};

/// What the guest behind one port is still to forget.
#[derive(Debug, Default)]
pub struct Withdrawals {
    // For the most part empty: an array would take as much of each port as if it were full.
    prefixes: Vec<Prefix>,
    routers: Vec<Router>,
}

/// A router that the template no longer names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetiredRouter {
    /// Its link-local address.
    pub link_local: Ipv6Addr,
    /// Its MAC.
    pub mac: Mac,
}

/// A prefix that is advertised with lifetimes 0. `information` holds the flags that are withdrawn.
#[derive(Debug, Clone, Copy)]
struct Prefix {
    information: PrefixInformation,
    until: Mono,
}

/// A router, how many of its last advertisements are to come, and when the next is.
#[derive(Debug, Clone, Copy)]
struct Router {
    router: RetiredRouter,
    left: u8,
    next: Mono,
}

impl Withdrawals {
    /// Takes note that `old` was advertised until now by `old_mac`, and that `new` is from now on,
    /// the first time at `first`: not before then the old router withdraws itself.
    pub fn replace(
        &mut self,
        (now, first): (Mono, Mono),
        (old, old_mac): (Option<&Profile>, Mac),
        new: Option<&Profile>,
    ) {
        self.forget(now);
        if let Some(old) = old {
            self.withdraw_prefixes(now, old);
            if new.is_none_or(|new| old.is_router() && new.link_local() != old.link_local()) {
                let router = RetiredRouter { link_local: old.link_local(), mac: old_mac };
                self.retire(Router { router, left: MAX_FINAL_RTR_ADVERTISEMENTS, next: first });
            }
        }
        if let Some(new) = new {
            self.keep_what_is_advertised(new);
        }
    }

    /// Forgets prefixes that no guest can hold any more.
    pub fn forget(&mut self, now: Mono) {
        self.prefixes.retain(|prefix| prefix.until > now);
    }

    /// Returns when the next last advertisement of a router is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        self.routers.iter().map(|router| router.next).min()
    }

    /// Returns a router whose last advertisement is due, and plans its next one.
    pub fn take_due(&mut self, now: Mono) -> Option<RetiredRouter> {
        let due = self.routers.iter_mut().find(|router| router.next <= now)?;
        let router = due.router;
        due.left = due.left.saturating_sub(1);
        due.next = now.after(FINAL_INTERVAL);
        self.routers.retain(|router| router.left > 0);
        Some(router)
    }

    /// Writes a last advertisement of a router, beside which `ours` is sent: lifetime 0, and the
    /// prefixes to forget.
    ///
    /// # Errors
    /// [`Full`] if it does not fit.
    pub fn write_last_advertisement(
        &self,
        ours: Option<&Profile>,
        out: &mut [u8],
    ) -> Result<usize, Full> {
        let mut writer = Writer::new(out);
        writer.bytes(&last_header(ours))?;
        self.write_prefixes(&mut writer)?;
        Ok(writer.len())
    }

    /// Writes a prefix information option for each prefix to forget.
    pub(super) fn write_prefixes(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        self.prefixes.iter().try_for_each(|prefix| {
            writer.bytes(&[options::PREFIX_INFORMATION, PREFIX_UNITS])?;
            writer.bytes(&options::prefix_information(&prefix.information))
        })
    }

    fn withdraw_prefixes(&mut self, now: Mono, old: &Profile) {
        for information in old.prefixes() {
            let Lifetime(valid) = information.valid_lifetime;
            // What was advertised with lifetime 0 is forgotten already.
            if valid > 0 {
                let until = now.after(Duration::from_secs(valid.into()));
                let lifetimes = (Lifetime(0), Lifetime(0));
                let (preferred_lifetime, valid_lifetime) = lifetimes;
                let information =
                    PrefixInformation { preferred_lifetime, valid_lifetime, ..*information };
                self.withdraw(Prefix { information, until });
            }
        }
    }

    fn withdraw(&mut self, mut prefix: Prefix) {
        let place = self
            .prefixes
            .iter()
            .position(|held| held.information.prefix == prefix.information.prefix);
        if let Some(held) = place.map(|place| self.prefixes.swap_remove(place)) {
            prefix.information.on_link |= held.information.on_link;
            prefix.information.autonomous |= held.information.autonomous;
            prefix.until = prefix.until.max(held.until);
        }
        make_room(&mut self.prefixes, MAX_PREFIXES, |held| held.until);
        self.prefixes.push(prefix);
    }

    fn retire(&mut self, router: Router) {
        make_room(&mut self.routers, MAX_ROUTERS, |held| held.next);
        self.routers.push(router);
    }

    /// Keeps from being withdrawn what `new` advertises again.
    fn keep_what_is_advertised(&mut self, new: &Profile) {
        self.prefixes.retain_mut(|Prefix { information, .. }| {
            for advertised in new.prefixes().iter().filter(|one| one.prefix == information.prefix) {
                information.on_link &= !advertised.on_link;
                information.autonomous &= !advertised.autonomous;
            }
            information.on_link || information.autonomous
        });
        self.routers.retain(|held| held.router.link_local != new.link_local());
    }
}

/// Takes the first one to go out of what is full.
fn make_room<T>(held: &mut Vec<T>, most: usize, goes: impl Fn(&T) -> Mono) {
    if held.len() < most {
        return;
    }
    let places = held.iter().enumerate();
    if let Some((place, _)) = places.min_by_key(|(_, one)| goes(one)) {
        held.remove(place);
    }
}

/// How many prefixes a port remembers: those of one network, and a few changes of them.
pub(super) const MAX_PREFIXES: usize = 4;
/// How long the options of so many prefixes are, in bytes.
pub(super) const PREFIXES_LENGTH: usize = MAX_PREFIXES * 32;
/// How many routers are withdrawn at one time.
const MAX_ROUTERS: usize = 2;
/// RFC 4861, section 10.
const MAX_FINAL_RTR_ADVERTISEMENTS: u8 = 3;
/// As far apart as the first advertisements (RFC 4861, section 6.2.4).
const FINAL_INTERVAL: Duration = Duration::from_secs(16);
/// RFC 4861, section 4.6.2: four units of eight bytes.
const PREFIX_UNITS: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nd::tests::{GATEWAY_MAC, parameters};
    use crate::network::{AddressMode, Ipv6Parameters, RouterPreference};

    const START: Mono = Mono::from_millis(1_000_000);

    fn profile(change: impl FnOnce(&mut Ipv6Parameters)) -> Profile {
        let mut parameters = parameters();
        change(parameters.ipv6.as_mut().unwrap());
        Profile::new(&parameters, 1_500).unwrap()
    }

    fn slaac(subnet: &str) -> Profile {
        profile(|ipv6| {
            ipv6.mode = AddressMode::Slaac;
            ipv6.subnet = subnet.parse().unwrap();
        })
    }

    fn after(seconds: u64) -> Mono {
        START.after(Duration::from_secs(seconds))
    }

    /// Replaces the profiles one by one, at `START`.
    fn replaced(profiles: &[Option<&Profile>]) -> Withdrawals {
        let mut withdrawals = Withdrawals::default();
        for pair in profiles.windows(2) {
            withdrawals.replace((START, START), (pair[0], GATEWAY_MAC), pair[1]);
        }
        withdrawals
    }

    /// Returns flags and prefix of each option that is written; all lifetimes must be 0.
    fn written(withdrawals: &Withdrawals) -> Vec<(u8, Ipv6Addr)> {
        let mut out = [0xee; PREFIXES_LENGTH];
        let mut writer = Writer::new(&mut out);
        withdrawals.write_prefixes(&mut writer).unwrap();
        let length = writer.len();
        let read = |option: &[u8]| {
            assert_eq!(option[..3], [3, 4, 64]);
            assert_eq!(option[4..16], [0; 12]);
            let octets: [u8; 16] = option[16..].try_into().unwrap();
            (option[3], octets.into())
        };
        out[..length].chunks(32).map(read).collect()
    }

    fn address(text: &str) -> Ipv6Addr {
        text.parse().unwrap()
    }

    #[test]
    fn a_changed_prefix_is_withdrawn_for_its_old_valid_lifetime() {
        let (old, new) = (slaac("2001:db8:1::/64"), slaac("2001:db8:2::/64"));
        let mut withdrawals = replaced(&[Some(&old), Some(&new)]);
        assert_eq!(written(&withdrawals), [(0xc0, address("2001:db8:1::"))]);
        withdrawals.forget(after(7_199));
        assert_eq!(written(&withdrawals).len(), 1);
        withdrawals.forget(after(7_200));
        assert_eq!(written(&withdrawals), []);
        // The router stays.
        assert_eq!(withdrawals.next_deadline(), None);
    }

    #[test]
    fn an_infinite_lifetime_is_never_forgotten() {
        let old = profile(|ipv6| {
            ipv6.subnet = "2001:db8:1::/64".parse().unwrap();
            ipv6.preferred_lifetime = Lifetime::INFINITE;
            ipv6.valid_lifetime = Lifetime::INFINITE;
        });
        let mut withdrawals = replaced(&[Some(&old), Some(&slaac("2001:db8:2::/64"))]);
        withdrawals.forget(after(10 * 365 * 86_400));
        assert_eq!(written(&withdrawals), [(0x80, address("2001:db8:1::"))]);
    }

    #[test]
    fn a_prefix_that_comes_back_is_no_longer_withdrawn() {
        let (old, new) = (slaac("2001:db8:1::/64"), slaac("2001:db8:2::/64"));
        let withdrawals = replaced(&[Some(&old), Some(&new), Some(&old)]);
        assert_eq!(written(&withdrawals), [(0xc0, address("2001:db8:2::"))]);
        assert_eq!(written(&replaced(&[Some(&old), Some(&old)])), []);
    }

    #[test]
    fn a_flag_that_a_prefix_loses_is_withdrawn_alone() {
        let (old, new) = (slaac("2001:db8:20::/64"), profile(|_| {}));
        let withdrawals = replaced(&[Some(&old), Some(&new)]);
        assert_eq!(written(&withdrawals), [(0x40, address("2001:db8:20::"))]);
        assert_eq!(written(&replaced(&[Some(&new), Some(&old)])), []);
    }

    #[test]
    fn what_was_advertised_with_lifetime_0_needs_no_withdrawal() {
        let old = profile(|ipv6| {
            ipv6.subnet = "2001:db8:1::/64".parse().unwrap();
            ipv6.preferred_lifetime = Lifetime(0);
            ipv6.valid_lifetime = Lifetime(0);
        });
        assert_eq!(written(&replaced(&[Some(&old), Some(&slaac("2001:db8:2::/64"))])), []);
    }

    #[test]
    fn the_prefix_that_would_be_forgotten_first_makes_room() {
        let subnets: Vec<Profile> = (1..=6_u32)
            .map(|number| {
                profile(|ipv6| {
                    ipv6.subnet = format!("2001:db8:{number}::/64").parse().unwrap();
                    // The second is forgotten first.
                    let valid = if number == 2 { 7_200 } else { 7_200 + number };
                    ipv6.valid_lifetime = Lifetime(valid);
                })
            })
            .collect();
        let all: Vec<_> = subnets.iter().map(Some).collect();
        let mut kept = written(&replaced(&all));
        kept.sort();
        let expected = [1, 3, 4, 5].map(|number| address(&format!("2001:db8:{number}::")));
        assert_eq!(kept, expected.map(|prefix| (0x80, prefix)));
    }

    #[test]
    fn another_gateway_has_the_old_one_withdrawn_three_times() {
        let old = profile(|_| {});
        let new = profile(|ipv6| {
            ipv6.gateway = Some(address("fe80::2"));
            ipv6.link_local = address("fe80::2");
        });
        let mut withdrawals = replaced(&[Some(&old), Some(&new)]);
        let router = RetiredRouter { link_local: address("fe80::1"), mac: GATEWAY_MAC };
        for seconds in [0, 16, 32] {
            assert_eq!(withdrawals.next_deadline(), Some(after(seconds)));
            assert_eq!(withdrawals.take_due(Mono::from_nanos(after(seconds).as_nanos() - 1)), None);
            assert_eq!(withdrawals.take_due(after(seconds)), Some(router));
        }
        assert_eq!(withdrawals.next_deadline(), None);
        assert_eq!(withdrawals.take_due(after(100)), None);
        // It may come back before it was withdrawn three times.
        let withdrawals = replaced(&[Some(&old), Some(&new), Some(&old)]);
        let router = withdrawals.routers.iter().map(|held| held.router.link_local);
        assert_eq!(router.collect::<Vec<_>>(), [address("fe80::2")]);
    }

    #[test]
    fn without_ipv6_router_and_prefix_are_withdrawn() {
        let old = slaac("2001:db8:1::/64");
        let withdrawals = replaced(&[Some(&old), None]);
        assert_eq!(withdrawals.next_deadline(), Some(START));
        let mut out = [0xee; 200];
        let length = withdrawals.write_last_advertisement(None, &mut out).unwrap();
        assert_eq!(length, 48);
        let header = [134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(out[..16], header);
        assert_eq!(out[16..20], [3, 4, 64, 0xc0]);
        assert_eq!(withdrawals.write_last_advertisement(None, &mut [0; 47]), Err(Full));
    }

    #[test]
    fn a_last_advertisement_says_of_the_network_what_ours_says() {
        let ours = profile(|ipv6| ipv6.ra.preference = RouterPreference::Low);
        let mut out = [0xee; 16];
        let length = Withdrawals::default().write_last_advertisement(Some(&ours), &mut out);
        assert_eq!(length, Ok(16));
        assert_eq!(out, [134, 0, 0, 0, 64, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_router_lifetime_of_0_is_said_by_the_ordinary_advertisement() {
        let old = profile(|_| {});
        let new = profile(|ipv6| ipv6.ra.router_lifetime = 0);
        assert_eq!(replaced(&[Some(&old), Some(&new)]).next_deadline(), None);
        // Nor is there a router to withdraw where there was none.
        let other = profile(|ipv6| ipv6.link_local = address("fe80::2"));
        assert_eq!(replaced(&[Some(&new), Some(&other)]).next_deadline(), None);
    }
}
