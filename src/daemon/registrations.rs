//! Addresses that guests made for themselves and registered (RFC 9686): shown, and nothing else.
//!
//! They live in this process's memory and end with their valid lifetimes. No lease, no address that
//! anybody is given and no answer depends on them.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv6Addr;
use std::time::Duration;

use super::entries::Entry;
use super::supervisor::Supervisor;
use crate::clock;
use crate::control::RegisteredRow;
use crate::dhcpv6::Registration;
use crate::lease::{Lease, LeaseKey, LeaseTable};
use crate::network::{Lifetime, Network};
use crate::outcome::Note;
use crate::time::Mono;

/// What each NIC has registered, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Registrations(HashMap<LeaseKey, Vec<Registered>>);

#[derive(Debug, Clone, Copy)]
struct Registered {
    address: Ipv6Addr,
    /// `None`: it never ends.
    preferred_until: Option<Mono>,
    valid_until: Option<Mono>,
}

impl Registrations {
    /// Notes what a NIC registers; a valid lifetime of 0 takes it back.
    ///
    /// A NIC has no more than [`MOST_A_NIC`]: a further one takes the place of the one that was
    /// renewed the longest ago.
    pub(super) fn note(&mut self, key: &LeaseKey, registration: Registration, now: Mono) {
        let Registration { address, preferred, valid } = registration;
        let held = self.0.entry(key.clone()).or_default();
        held.retain(|other| other.address != address && other.is_valid(now));
        if valid != Lifetime(0) {
            if held.len() >= MOST_A_NIC {
                held.remove(0);
            }
            held.push(Registered {
                address,
                preferred_until: end(preferred, now),
                valid_until: end(valid, now),
            });
        }
        if held.is_empty() {
            self.0.remove(key);
        }
    }

    /// Tells whether a NIC has registered anything.
    pub(super) fn has(&self, key: &LeaseKey) -> bool {
        self.0.contains_key(key)
    }

    /// Forgets all that a NIC registered: the infinite lifetimes of VMs that have gone would add up.
    pub(super) fn forget(&mut self, key: &LeaseKey) {
        self.0.remove(key);
    }

    /// Lists what a NIC has registered and what is still valid.
    pub(super) fn rows(&self, key: &LeaseKey, now: Mono) -> Vec<RegisteredRow> {
        let held = self.0.get(key).into_iter().flatten();
        let row = |registered: &Registered| RegisteredRow {
            address: registered.address.to_string(),
            preferred: left(registered.preferred_until, now),
            valid: left(registered.valid_until, now),
        };
        held.filter(|registered| registered.is_valid(now)).map(row).collect()
    }
}

impl Supervisor {
    /// Takes note of what the guest of a port registers.
    pub(super) fn registered(
        &mut self,
        interface: &str,
        (network, key): (&Network, &LeaseKey),
        registration: Registration,
    ) {
        if is_anothers(&self.table, network, (key, registration.address)) {
            let text = "the VM registered an address that is not its own; it is not listed";
            return self.warn(interface, key, Note::Registered, text);
        }
        self.registrations.note(key, registration, clock::mono());
    }

    /// Forgets what the NIC of a port registered, once it has no port here any more.
    pub(super) fn forget_registrations(&mut self, before: Entry) {
        if let Some(Lease { key, .. }) = before.lease
            && self.registrations.has(&key)
            && self.ports_of(&BTreeSet::from([key.clone()])).is_empty()
        {
            self.registrations.forget(&key);
        }
    }
}

/// Tells whether an address that a NIC registers is another's by its lease, or the network's own:
/// whoever sends from it shows only that nobody keeps it from doing so.
fn is_anothers(
    table: &LeaseTable,
    network: &Network,
    (key, address): (&LeaseKey, Ipv6Addr),
) -> bool {
    let holder = table.holder(&network.name, address.into());
    let ipv6 = network.ipv6.as_ref();
    holder.is_some_and(|holder| holder != key)
        || ipv6.is_some_and(|ipv6| ipv6.pool.never.contains(&address))
}

impl Registered {
    fn is_valid(&self, now: Mono) -> bool {
        self.valid_until.is_none_or(|until| until > now)
    }
}

fn end(lifetime: Lifetime, now: Mono) -> Option<Mono> {
    (lifetime != Lifetime::INFINITE).then(|| now.after(Duration::from_secs(lifetime.0.into())))
}

/// Returns how many seconds are left; `None`: it never ends.
fn left(until: Option<Mono>, now: Mono) -> Option<u64> {
    until.map(|until| until.since(now).as_secs())
}

/// How many addresses a NIC may have registered at a time. A system has two or three for each
/// prefix; a hostile one costs no more memory than this.
const MOST_A_NIC: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Occasion;
    use crate::network::tests::network;
    use crate::time::Wall;

    fn key(vm: &str) -> LeaseKey {
        LeaseKey {
            network: "blue".parse().unwrap(),
            vm: vm.parse().unwrap(),
            nic: "default".parse().unwrap(),
        }
    }

    fn registration(last: u16, valid: u32) -> Registration {
        Registration {
            address: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last),
            preferred: Lifetime(valid / 2),
            valid: Lifetime(valid),
        }
    }

    fn row(last: u16, preferred: u64, valid: u64) -> RegisteredRow {
        RegisteredRow {
            address: format!("2001:db8::{last:x}"),
            preferred: Some(preferred),
            valid: Some(valid),
        }
    }

    #[test]
    fn a_registration_ends_with_its_valid_lifetime_and_is_renewed_by_another() {
        let mut all = Registrations::default();
        let start = Mono::from_millis(0);
        let at = |seconds: u64| Mono::from_millis(seconds * 1_000);
        all.note(&key("demo/a"), registration(1, 100), start);
        assert_eq!(all.rows(&key("demo/a"), at(60)), [row(1, 0, 40)]);
        assert_eq!(all.rows(&key("demo/b"), at(60)), []);
        all.note(&key("demo/a"), registration(1, 100), at(60));
        assert_eq!(all.rows(&key("demo/a"), at(110)), [row(1, 0, 50)]);
        assert_eq!(all.rows(&key("demo/a"), at(160)), []);
    }

    #[test]
    fn a_valid_lifetime_of_zero_takes_it_back_and_an_infinite_one_has_no_end() {
        let mut all = Registrations::default();
        let (key, start) = (key("demo/a"), Mono::from_millis(0));
        let for_ever = Registration { valid: Lifetime::INFINITE, ..registration(1, 10) };
        all.note(&key, for_ever, start);
        let rows = all.rows(&key, Mono::from_millis(u64::from(u32::MAX) * 1_000));
        assert_eq!(rows, [RegisteredRow { valid: None, ..row(1, 0, 0) }]);
        all.note(&key, registration(1, 0), start);
        assert!(all.0.is_empty());
    }

    #[test]
    fn a_nic_has_sixteen_at_most_and_the_oldest_makes_way() {
        let mut all = Registrations::default();
        let (key, start) = (key("demo/a"), Mono::from_millis(0));
        for last in 1..=20 {
            all.note(&key, registration(last, 100), start);
        }
        let rows = all.rows(&key, start);
        assert_eq!((rows.len(), &rows[0], &rows[15]), (16, &row(5, 50, 100), &row(20, 50, 100)));
    }

    #[test]
    fn a_nic_that_went_is_forgotten_whatever_lifetime_it_named() {
        let mut all = Registrations::default();
        let (key, start) = (key("demo/a"), Mono::from_millis(0));
        let for_ever = Registration { valid: Lifetime::INFINITE, ..registration(1, 10) };
        all.note(&key, for_ever, start);
        assert!(all.has(&key));
        all.forget(&key);
        assert!(!all.has(&key) && all.0.is_empty());
    }

    #[test]
    fn an_address_that_another_vm_holds_is_not_registered_for_a_guest_that_sends_from_it() {
        let network = network("blue");
        let mut table = LeaseTable::default();
        let occasion = Occasion { node: "node-a", wall: Wall(0) };
        let mut lease = table.assign(&network, &key("demo/a"), occasion).lease;
        let address = registration(7, 100).address;
        lease.ipv6 = Some(address);
        table.adopt(lease);
        assert!(is_anothers(&table, &network, (&key("demo/b"), address)));
        assert!(!is_anothers(&table, &network, (&key("demo/a"), address)));
        assert!(!is_anothers(&table, &network, (&key("demo/b"), registration(8, 100).address)));
    }
}
