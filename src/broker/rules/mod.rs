//! The process that takes guests' requests away from the switch, and how it is asked.
//!
//! ```text
//!   responder, no capability        rules, CAP_NET_ADMIN and CAP_DAC_OVERRIDE
//!        |  ---- every rule that is wanted ---->  |  runs nft and ovs-ofctl with fixed
//!        |  <--- those that are not in force ---  |  arguments and a script on stdin
//! ```
//!
//! It is a process of its own: a program that hangs does not keep sockets from being opened. It is
//! always told all that is wanted, and makes it so: what an earlier process left behind, what a
//! firewall's reload has flushed and what a switch has lost at its restart are mended in one way.
//! A responder that a guest has taken over can have DHCP and router advertisements dropped at an
//! interface or port of the node, and nothing else.

mod client;
mod nft;
mod openflow;
mod program;
mod protocol;
mod server;

pub use client::{RuleChannel, RuleClient};
pub(super) use server::serve;

use std::fmt;

/// One rule that takes away what a guest sends to DHCP servers, DHCP clients and as or to a router,
/// after our copy of it was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// At the ingress of a network device.
    Nft {
        /// The device's name.
        interface: DeviceName,
        /// Its index, which tells it from an earlier device of the name.
        ifindex: u32,
    },
    /// On a port of an Open vSwitch bridge.
    OpenFlow {
        /// The bridge's name.
        bridge: DeviceName,
        /// The port's OpenFlow number.
        ofport: u16,
    },
}

/// A name that means nothing but itself in a script or a path: letters, digits, `_`, `-` and `.`,
/// 1 to 15 of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceName(String);

impl DeviceName {
    /// Checks a name.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        let fits = (1..=NAME_MAX).contains(&name.len());
        (fits && name.bytes().all(is_plain)).then(|| Self(name.to_owned()))
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The longest name of a network device (linux/if.h, `IFNAMSIZ` less its final zero).
const NAME_MAX: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_script_could_read_otherwise_is_refused() {
        for good in ["vnet0", "e1a2b3c4_3", "vm-web-1", "eth0.100", "tap0123456789ab"] {
            assert_eq!(DeviceName::new(good).as_ref().map(DeviceName::as_str), Some(good));
        }
        for bad in ["", "a b", "a\"b", "a;b", "a/b", "a\nb", "a{b", "é", "tap0123456789abc"] {
            assert_eq!(DeviceName::new(bad), None, "{bad:?}");
        }
    }
}
