//! Where a key stands: what is right in another section of the file is told of.

use super::section::Keys;
use super::{boot, daemon_file, ipv4, ipv6, network_file, store, vm};

/// Returns where a key that `keys` does not have is known: ` in [ipv6.ra]`. `None`: nowhere else in
/// a file of that kind, or `keys` is no section of one.
pub(super) fn elsewhere(name: &str, keys: &Keys) -> Option<&'static str> {
    let is_of = |file: &&[&'static Keys]| file.iter().any(|other| other.known == keys.known);
    let file = [NETWORK, DAEMON].into_iter().find(is_of)?;
    let place = file.iter().find(|other| other.known.contains(&name))?.place;
    Some(if place.is_empty() { " above the first section" } else { place })
}

/// The sections of a network's file; the likeliest place of a key that several have comes first.
const NETWORK: &[&Keys] = &[
    &network_file::ROOT,
    &network_file::GATEWAY,
    &ipv4::KEYS,
    &ipv6::KEYS,
    &ipv6::RA,
    &network_file::MATCH,
    &ipv6::PREFIX,
    &boot::RULE,
    &boot::BOOT,
    &vm::KEYS,
];

/// The sections of the daemon's file.
const DAEMON: &[&Keys] = &[
    &daemon_file::ROOT,
    &daemon_file::METRICS,
    &daemon_file::LIMITS,
    &daemon_file::SOURCE,
    &store::STORE,
    &store::ETCD,
    &daemon_file::PORT,
    &daemon_file::IDENTITY,
    &daemon_file::DEPLOYMENT,
    &daemon_file::NODE_KEYS,
    &daemon_file::CONTROL,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_section_is_found_in_its_own_kind_of_file() {
        for (name, keys, place) in [
            ("dns", &ipv4::KEYS, Some(" above the first section")),
            ("interval", &ipv6::KEYS, Some(" in [ipv6.ra]")),
            ("mac", &ipv4::KEYS, Some(" in [gateway]")),
            ("backend", &daemon_file::ROOT, Some(" in [store]")),
            ("endpoints", &store::STORE, Some(" in [store.etcd]")),
            ("mtu", &daemon_file::ROOT, None),
            ("backend", &ipv4::KEYS, None),
            ("size", &ipv4::KEYS, None),
        ] {
            assert_eq!(elsewhere(name, keys), place, "{name}{}", keys.place);
        }
    }
}
