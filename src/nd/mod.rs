//! The router's side of Neighbor Discovery: advertisements, their schedule, and what is answered
//! for the gateway's and the server's addresses (RFC 4861, RFC 4191, RFC 8106, RFC 826).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::network::Parameters;
use crate::reply::Handled;
use crate::time::Mono;
use crate::wire::{Arp, Icmpv6};

/// One NIC's router advertisement, encoded once when the port's binding is made.
#[derive(Debug)]
pub struct Profile {}

impl Profile {
    /// Encodes `parameters`; `None` if the network has no `[ipv6]`.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Option<Self> {
        parameters.ipv6.as_ref().map(|_| Self {})
    }

    /// Returns the IPv6 source of everything that is sent: the router's link-local address.
    #[must_use]
    pub fn link_local(&self) -> Ipv6Addr {
        Ipv6Addr::UNSPECIFIED
    }

    /// Returns the whole ICMPv6 message, checksum zero.
    #[must_use]
    pub fn advertisement(&self) -> &[u8] {
        &[]
    }

    /// Returns shortest and longest time between unsolicited advertisements, in seconds.
    #[must_use]
    pub fn interval(&self) -> Option<(u16, u16)> {
        None
    }
}

/// What is answered for the gateway's and the server's addresses.
#[derive(Debug)]
pub struct Neighbors {}

impl Neighbors {
    /// Takes the addresses that `parameters` say are ours to answer for.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        let _ = parameters;
        Self {}
    }
}

/// Decides about a Router Solicitation and writes the advertisement (from the ICMPv6 type on,
/// checksum zero) into `out`.
#[must_use]
pub fn handle_router_solicitation(
    profile: &Profile,
    solicitation: &Icmpv6<'_>,
    out: &mut [u8],
) -> Handled<Ipv6Addr> {
    let _ = (profile, solicitation, out);
    Handled::dropped(
        crate::outcome::Message::RouterSolicitation,
        crate::outcome::DropReason::NotForUs,
    )
}

/// Decides about a Neighbor Solicitation and writes the advertisement (from the ICMPv6 type on,
/// checksum zero) into `out`.
#[must_use]
pub fn handle_neighbor_solicitation(
    neighbors: &Neighbors,
    solicitation: &Icmpv6<'_>,
    out: &mut [u8],
) -> Handled<Ipv6Addr> {
    let _ = (neighbors, solicitation, out);
    Handled::dropped(
        crate::outcome::Message::NeighborSolicitation,
        crate::outcome::DropReason::NotForUs,
    )
}

/// Decides about an ARP packet and writes the ARP reply (from `ar$hrd` on) into `out`.
#[must_use]
pub fn handle_arp(neighbors: &Neighbors, arp: &Arp, out: &mut [u8]) -> Handled<Ipv4Addr> {
    let _ = (neighbors, arp, out);
    Handled::dropped(crate::outcome::Message::ArpRequest, crate::outcome::DropReason::NotForUs)
}

/// When the next unsolicited advertisement is due on one port (RFC 4861, section 6.2.4).
#[derive(Debug)]
pub struct Schedule {}

impl Schedule {
    /// Starts with the first of three quick advertisements due at once; `seed` feeds the jitter.
    #[must_use]
    pub fn new(now: Mono, interval: Option<(u16, u16)>, seed: u64) -> Self {
        let _ = (now, interval, seed);
        Self {}
    }

    /// Starts anew with three quick advertisements: link up, or a change of template.
    pub fn restart(&mut self, now: Mono, interval: Option<(u16, u16)>) {
        let _ = (now, interval);
    }

    /// Returns when the next advertisement is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Mono> {
        None
    }

    /// Tells whether an advertisement is due, and if so plans the next one.
    pub fn take_due(&mut self, now: Mono) -> bool {
        let _ = now;
        false
    }
}

/// Tells whether the guest announces itself: a well-formed advertisement that nobody asked for.
#[must_use]
pub fn is_unsolicited_advertisement(advertisement: &Icmpv6<'_>) -> bool {
    let _ = advertisement;
    false
}

/// Returns the address that a Neighbor Solicitation asks for; `::` if it holds none.
#[must_use]
pub fn neighbor_target(solicitation: &Icmpv6<'_>) -> Ipv6Addr {
    let _ = solicitation;
    Ipv6Addr::UNSPECIFIED
}
