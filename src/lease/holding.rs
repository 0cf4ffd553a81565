//! What a lease holds that no other lease of its network may.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use super::Lease;

/// An address or a delegated prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Holding {
    /// An address of either family.
    Address(IpAddr),
    /// A delegated prefix.
    Prefix(Ipv6Net),
}

/// Text that is neither an address nor an IPv6 prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor an IPv6 prefix such as 2001:db8:1:200::/56")]
pub struct NoHolding(String);

impl Holding {
    /// Returns everything that a lease holds.
    pub fn of(lease: &Lease) -> impl Iterator<Item = Self> + use<> {
        let ipv4 = lease.ipv4.map(|address| Self::Address(address.into()));
        let ipv6 = lease.ipv6.map(|address| Self::Address(address.into()));
        [ipv4, ipv6, lease.prefix.map(Self::Prefix)].into_iter().flatten()
    }

    /// Tells whether one lease cannot hold both beside each other: they are of one kind.
    #[must_use]
    pub const fn excludes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Address(one), Self::Address(other)) => one.is_ipv4() == other.is_ipv4(),
            (Self::Prefix(_), Self::Prefix(_)) => true,
            (Self::Address(_), Self::Prefix(_)) | (Self::Prefix(_), Self::Address(_)) => false,
        }
    }

    /// Writes it into a lease, in the place of what that holds of the kind.
    pub(super) fn put_into(self, lease: &mut Lease) {
        match self {
            Self::Address(IpAddr::V4(address)) => lease.ipv4 = Some(address),
            Self::Address(IpAddr::V6(address)) => lease.ipv6 = Some(address),
            Self::Prefix(prefix) => lease.prefix = Some(prefix),
        }
    }

    /// Takes it out of the lease that holds it.
    pub const fn take_from(self, lease: &mut Lease) {
        match self {
            Self::Address(IpAddr::V4(_)) => lease.ipv4 = None,
            Self::Address(IpAddr::V6(_)) => lease.ipv6 = None,
            Self::Prefix(_) => lease.prefix = None,
        }
    }
}

impl From<IpAddr> for Holding {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Prefix(prefix) => prefix.fmt(f),
        }
    }
}

impl FromStr for Holding {
    type Err = NoHolding;

    fn from_str(text: &str) -> Result<Self, NoHolding> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        // Bits behind the prefix's length are no part of it.
        let prefix: Ipv6Net = text.parse().map_err(|_| NoHolding(text.to_owned()))?;
        Ok(Self::Prefix(prefix.trunc()))
    }
}

impl TryFrom<String> for Holding {
    type Error = NoHolding;

    fn try_from(text: String) -> Result<Self, NoHolding> {
        text.parse()
    }
}

impl From<Holding> for String {
    fn from(holding: Holding) -> Self {
        holding.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_prefixes_are_told_apart_by_their_text() {
        let holding = |text: &str| text.parse::<Holding>().unwrap();
        assert_eq!(holding("10.0.0.5"), Holding::Address("10.0.0.5".parse().unwrap()));
        assert_eq!(holding("2001:db8::5"), Holding::Address("2001:db8::5".parse().unwrap()));
        let prefix = Holding::Prefix("2001:db8:0:100::/56".parse().unwrap());
        assert_eq!(holding("2001:db8:0:100::/56"), prefix);
        assert_eq!(holding("2001:db8:0:1ff::1/56"), prefix);
        for text in ["", "10.0.0.0/24", "2001:db8::/129", "web-1"] {
            assert!(text.parse::<Holding>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["10.0.0.5", "2001:db8::5", "2001:db8:0:100::/56"] {
            let json = serde_json::to_string(&text.parse::<Holding>().unwrap()).unwrap();
            assert_eq!(json, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Holding>(&json).unwrap().to_string(), text);
        }
        assert!(serde_json::from_str::<Holding>("\"x\"").is_err());
    }
}
