//! DHCPv6 as a server speaks it (RFC 9915, RFC 3646, RFC 4704, RFC 5908).

use std::net::Ipv6Addr;

use crate::network::Parameters;
use crate::reply::Handled;
use crate::wire::Datagram;

/// Everything DHCPv6 says to one NIC, encoded once when the port's binding is made.
#[derive(Debug)]
pub struct Profile {}

impl Profile {
    /// Encodes `parameters`; `None` if the network has no `[ipv6]`.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Option<Self> {
        parameters.ipv6.as_ref().map(|_| Self {})
    }

    /// Returns the IPv6 source of everything that is sent.
    #[must_use]
    pub fn link_local(&self) -> Ipv6Addr {
        Ipv6Addr::UNSPECIFIED
    }
}

/// Decides about one datagram to UDP port 547 and writes the reply message into `out`.
///
/// `out` is as long as the port's MTU allows a UDP payload to be.
#[must_use]
pub fn handle(
    profile: &Profile,
    request: &Datagram<'_, Ipv6Addr>,
    out: &mut [u8],
) -> Handled<Ipv6Addr> {
    let _ = (profile, request, out);
    Handled::dropped(crate::outcome::Message::Unknown, crate::outcome::DropReason::NotForUs)
}
