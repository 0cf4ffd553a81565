//! Whose link-layer address is told on the port: the gateway's, and the server's own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{NEIGHBOR_ADVERTISEMENT, SOLICITED, options};
use crate::network::Parameters;
use crate::wire::bytes::{Full, Writer};
use crate::wire::{Arp, Mac};

/// What is answered for the gateway's and the server's addresses.
#[derive(Debug)]
pub struct Neighbors {
    mac: Mac,
    ipv4: [Option<Ipv4Addr>; 2],
    ipv6: [Option<Ipv6Addr>; 2],
    /// The gateway's addresses whose echo requests are answered.
    ping: [Option<IpAddr>; 2],
}

impl Neighbors {
    /// Takes the addresses that `parameters` say are ours to answer for.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        let answer = parameters.gateway.answer;
        let ipv4 = parameters.ipv4.as_ref();
        let ipv6 = parameters.ipv6.as_ref();
        Self {
            mac: parameters.gateway.source_mac,
            ipv4: ipv4.map_or([None; 2], |ipv4| ours(ipv4.gateway, answer, ipv4.server_id)),
            ipv6: ipv6.map_or([None; 2], |ipv6| ours(ipv6.gateway, answer, ipv6.link_local)),
            ping: [
                ipv4.and_then(|ipv4| ipv4.gateway).map(IpAddr::V4),
                ipv6.and_then(|ipv6| ipv6.gateway).map(IpAddr::V6),
            ]
            .map(|gateway| gateway.filter(|_| parameters.gateway.answer_ping)),
        }
    }

    /// Tells whether ARP for `address` is ours to answer.
    pub(super) fn answer_ipv4(&self, address: Ipv4Addr) -> bool {
        self.ipv4.contains(&Some(address))
    }

    /// Tells whether Neighbor Solicitations for `address` are ours to answer.
    pub(super) fn answer_ipv6(&self, address: Ipv6Addr) -> bool {
        self.ipv6.contains(&Some(address))
    }

    /// Returns in whose name a guest is asked for its IPv4 address: one that is answered for.
    pub(super) fn asker_ipv4(&self) -> Option<Ipv4Addr> {
        self.ipv4.into_iter().flatten().next()
    }

    /// The same for IPv6: a link-local address.
    pub(super) fn asker_ipv6(&self) -> Option<Ipv6Addr> {
        self.ipv6.into_iter().flatten().find(Ipv6Addr::is_unicast_link_local)
    }

    /// Tells whether any echo request is ours to answer.
    pub(super) fn answer_pings(&self) -> bool {
        self.ping.iter().any(Option::is_some)
    }

    /// Tells whether echo requests to `address` are ours to answer.
    pub(super) fn answer_ping_of(&self, address: IpAddr) -> bool {
        self.ping.contains(&Some(address))
    }

    /// Writes the Neighbor Advertisement for `target`, checksum zero (RFC 4861, section 4.4).
    ///
    /// The Router flag is always set: what we answer for is the source of our router
    /// advertisements, and a guest forgets a router that denies being one (section 7.2.5).
    pub(super) fn write_advertisement(
        &self,
        target: Ipv6Addr,
        solicited: Solicited,
        out: &mut [u8],
    ) -> Result<usize, Full> {
        let solicited = match solicited {
            Solicited::ByNeighbor => SOLICITED,
            Solicited::ByProbe => 0,
        };
        let mut writer = Writer::new(out);
        writer.bytes(&[NEIGHBOR_ADVERTISEMENT, 0, 0, 0])?;
        writer.bytes(&[ROUTER | solicited | OVERRIDE, 0, 0, 0])?;
        writer.bytes(&target.octets())?;
        writer.bytes(&[options::TARGET_LINK_LAYER, 1])?;
        writer.bytes(&self.mac.0)?;
        Ok(writer.len())
    }

    /// Writes the ARP reply to `request` (RFC 826).
    pub(super) fn write_arp_reply(&self, request: &Arp, out: &mut [u8]) -> Result<usize, Full> {
        let mut writer = Writer::new(out);
        writer.bytes(&ETHERNET_IPV4_REPLY)?;
        writer.bytes(&self.mac.0)?;
        writer.bytes(&request.target_ip.octets())?;
        writer.bytes(&request.sender_mac.0)?;
        writer.bytes(&request.sender_ip.octets())?;
        Ok(writer.len())
    }
}

/// Who asked for a target: a neighbour with an address, or one that probes for duplicates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Solicited {
    /// From a unicast source.
    ByNeighbor,
    /// From `::` (RFC 4862, section 5.4.2).
    ByProbe,
}

/// Puts together the gateway, if it is to be answered for, and our own address, if it is another:
/// then nobody else would answer.
pub(super) fn ours<A: PartialEq>(gateway: Option<A>, answer: bool, own: A) -> [Option<A>; 2] {
    let own = if gateway.as_ref() == Some(&own) { None } else { Some(own) };
    [gateway.filter(|_| answer), own]
}

/// `ar$hrd` 1, `ar$pro` 0x0800, `ar$hln` 6, `ar$pln` 4, `ar$op` 2.
const ETHERNET_IPV4_REPLY: [u8; 8] = [0, 1, 0x08, 0x00, 6, 4, 0, 2];
/// R (RFC 4861, section 4.4).
const ROUTER: u8 = 0x80;
/// O (RFC 4861, section 4.4).
const OVERRIDE: u8 = 0x20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nd::tests::{GATEWAY_V4, gateway_v6, parameters};

    const OTHER_V4: Ipv4Addr = Ipv4Addr::new(10, 20, 0, 2);

    #[test]
    fn the_gateway_is_answered_for_only_if_the_template_says_so() {
        let mut parameters = parameters();
        let neighbors = Neighbors::new(&parameters);
        assert!(neighbors.answer_ipv4(GATEWAY_V4));
        assert!(neighbors.answer_ipv6(gateway_v6()));
        parameters.gateway.answer = false;
        let neighbors = Neighbors::new(&parameters);
        assert!(!neighbors.answer_ipv4(GATEWAY_V4));
        assert!(!neighbors.answer_ipv6(gateway_v6()));
    }

    #[test]
    fn a_server_address_other_than_the_gateway_is_always_answered_for() {
        for answer in [false, true] {
            let mut parameters = parameters();
            parameters.gateway.answer = answer;
            parameters.ipv4.as_mut().unwrap().server_id = OTHER_V4;
            let neighbors = Neighbors::new(&parameters);
            assert!(neighbors.answer_ipv4(OTHER_V4));
            assert_eq!(neighbors.answer_ipv4(GATEWAY_V4), answer);
        }
    }

    #[test]
    fn without_a_gateway_our_own_addresses_are_answered_for() {
        let mut parameters = parameters();
        parameters.gateway.answer = false;
        parameters.ipv4.as_mut().unwrap().gateway = None;
        let ipv6 = parameters.ipv6.as_mut().unwrap();
        ipv6.gateway = None;
        ipv6.link_local = parameters.gateway.source_mac.link_local();
        let neighbors = Neighbors::new(&parameters);
        assert!(neighbors.answer_ipv4(GATEWAY_V4));
        assert!(neighbors.answer_ipv6(parameters.gateway.source_mac.link_local()));
        assert!(!neighbors.answer_ipv6(gateway_v6()));
    }

    #[test]
    fn a_family_without_a_section_is_not_answered_for() {
        let neighbors = Neighbors::new(&Parameters { ipv4: None, ipv6: None, ..parameters() });
        assert!(!neighbors.answer_ipv4(GATEWAY_V4));
        assert!(!neighbors.answer_ipv6(gateway_v6()));
    }
}
