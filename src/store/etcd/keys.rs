//! Where a lease is in etcd, and what its value is.
//!
//! ```text
//! PREFIX/v1/leases/NETWORK/VM/NIC          the lease as JSON
//! PREFIX/v1/addresses/NETWORK/ADDRESS      the key of the lease that holds the address or prefix
//! ```
//!
//! A VM's name may hold a slash, so each part is written as in a URL (RFC 3986, section 2.1): every
//! byte that is not a letter, a digit or one of `-._~:` becomes `%` and two upper-case hex digits.

use crate::lease::{Holding, LeaseKey};

/// Makes keys below one prefix.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    prefix: String,
}

impl Layout {
    /// Takes the `prefix` of `[store.etcd]`; a slash at its end makes no difference.
    pub(super) fn new(prefix: &str) -> Self {
        Self { prefix: format!("{}/{VERSION}", prefix.trim_end_matches('/')) }
    }

    /// Returns the key of a lease.
    pub(super) fn lease(&self, key: &LeaseKey) -> String {
        let LeaseKey { network, vm, nic } = key;
        let parts = [network.as_str(), vm.as_str(), nic.as_str()].map(escape);
        format!("{}{}", self.leases(), parts.join("/"))
    }

    /// Returns what the keys of all leases of the key's VM on its network begin with.
    pub(super) fn leases_of_vm(&self, key: &LeaseKey) -> String {
        let parts = [key.network.as_str(), key.vm.as_str()].map(escape);
        format!("{}{}/", self.leases(), parts.join("/"))
    }

    /// Returns what the keys of all leases begin with.
    pub(super) fn leases(&self) -> String {
        format!("{}/leases/", self.prefix)
    }

    /// Returns the key of an address or prefix of `network`.
    pub(super) fn holding(&self, network: &str, holding: Holding) -> String {
        format!("{}{}", self.holdings(network), escape(&holding.to_string()))
    }

    /// Returns what the keys of all addresses of `network` begin with.
    pub(super) fn holdings(&self, network: &str) -> String {
        format!("{}/addresses/{}/", self.prefix, escape(network))
    }

    /// Reads what [`Self::lease`] wrote.
    pub(super) fn parse_lease(&self, key: &[u8]) -> Option<LeaseKey> {
        let rest = std::str::from_utf8(key).ok()?.strip_prefix(&self.leases())?;
        let parts: Vec<String> = rest.split('/').map(unescape).collect::<Option<_>>()?;
        let [network, vm, nic] = parts.as_slice() else { return None };
        let parsed = LeaseKey {
            network: network.parse().ok()?,
            vm: vm.parse().ok()?,
            nic: nic.parse().ok()?,
        };
        // Another spelling is another key, which nothing here compares or deletes.
        (self.lease(&parsed).as_bytes() == key).then_some(parsed)
    }

    /// Reads what [`Self::holding`] wrote.
    pub(super) fn parse_holding(&self, network: &str, key: &[u8]) -> Option<Holding> {
        let rest = std::str::from_utf8(key).ok()?.strip_prefix(&self.holdings(network))?;
        let parsed = unescape(rest)?.parse().ok()?;
        (self.holding(network, parsed).as_bytes() == key).then_some(parsed)
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// The layout's version, as the keys spell it.
const VERSION: &str = "v1";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(vm: &str, nic: &str) -> LeaseKey {
        LeaseKey {
            network: "blue".parse().unwrap(),
            vm: vm.parse().unwrap(),
            nic: nic.parse().unwrap(),
        }
    }

    #[test]
    fn a_name_with_a_slash_is_one_part_of_the_key() {
        let layout = Layout::new("/leasehold/");
        let text = layout.lease(&key("demo/web-1", "default"));
        assert_eq!(text, "/leasehold/v1/leases/blue/demo%2Fweb-1/default");
        assert_eq!(layout.parse_lease(text.as_bytes()), Some(key("demo/web-1", "default")));
    }

    #[test]
    fn addresses_and_prefixes_are_told_apart() {
        let layout = Layout::new("/leasehold");
        for (holding, end) in [
            (Holding::Address("10.20.1.2".parse().unwrap()), "10.20.1.2"),
            (Holding::Address("2001:db8::1".parse().unwrap()), "2001:db8::1"),
            (Holding::Prefix("2001:db8:8000::/64".parse().unwrap()), "2001:db8:8000::%2F64"),
        ] {
            let text = layout.holding("blue", holding);
            assert_eq!(text, format!("/leasehold/v1/addresses/blue/{end}"));
            assert_eq!(layout.parse_holding("blue", text.as_bytes()), Some(holding));
        }
    }

    #[test]
    fn keys_that_were_not_made_here_are_passed_over() {
        let layout = Layout::new("/leasehold");
        for bad in ["/other/v1/leases/a/b/c", "/leasehold/v1/leases/a/b", "", "\u{ff}"] {
            assert_eq!(layout.parse_lease(bad.as_bytes()), None, "{bad}");
        }
        for vm in ["%G0", "%2fb", "%+1b", "%62", "*"] {
            let key = format!("/leasehold/v1/leases/a/{vm}/c");
            assert_eq!(layout.parse_lease(key.as_bytes()), None, "{vm}");
        }
        assert_eq!(layout.parse_holding("blue", b"/leasehold/v1/addresses/blue/2001:DB8::1"), None);
        assert_eq!(layout.parse_holding("blue", b"/leasehold/v1/addresses/blue/x"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn any_key_comes_back(vm in "[!-~]{1,253}", nic in "[!-~]{1,253}") {
            let layout = Layout::new("");
            let text = layout.lease(&key(&vm, &nic));
            prop_assert_eq!(layout.parse_lease(text.as_bytes()), Some(key(&vm, &nic)));
        }
    }
}
