//! DHCPv4 as a server speaks it (RFC 2131, RFC 2132, RFC 3396, RFC 3442, RFC 6842).

use std::net::Ipv4Addr;

use crate::network::Parameters;
use crate::reply::Handled;
use crate::wire::Datagram;

/// Everything DHCPv4 says to one NIC, encoded once when the port's binding is made.
#[derive(Debug)]
pub struct Profile {}

impl Profile {
    /// Encodes `parameters`; `None` if the network has no `[ipv4]`.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Option<Self> {
        parameters.ipv4.as_ref().map(|_| Self {})
    }

    /// Returns the IPv4 source of everything that is sent: option 54.
    #[must_use]
    pub fn server_id(&self) -> Ipv4Addr {
        Ipv4Addr::UNSPECIFIED
    }
}

/// Decides about one datagram to UDP port 67 and writes the reply's BOOTP message into `out`.
///
/// `out` is as long as the port's MTU allows a UDP payload to be.
#[must_use]
pub fn handle(
    profile: &Profile,
    request: &Datagram<'_, Ipv4Addr>,
    out: &mut [u8],
) -> Handled<Ipv4Addr> {
    let _ = (profile, request, out);
    Handled::dropped(crate::outcome::Message::Unknown, crate::outcome::DropReason::NotForUs)
}
