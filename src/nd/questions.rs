//! What a guest is asked that may be there already: whether it is (clause D3).
//!
//! A port that was opened after its guest came hears nothing of it while it has no question. So it
//! is asked as its gateway would ask it, by frames to its own MAC: who has the VM's addresses? Any
//! answer will do, for it is a frame of the guest's.
//!
//! - The asker is an address that is answered for on this port on every node alike, with the MAC
//!   that is told to whoever asks for it: what a guest learns from the question is true. Where there
//!   is none, as without `[gateway] mac`, nothing is asked.
//! - It is never the VM's own address or none: the guest would take a probe for its own address
//!   (RFC 5227, section 2.1.1; RFC 4862, section 5.4.3) for a conflict.
//! - A guest that is still paused finds the question when it goes on, and answers it then.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::announcements::ETHERNET_IPV4;
use super::{ARP_REQUEST, NEIGHBOR_SOLICITATION, Neighbors, options};
use crate::network::Parameters;
use crate::wire::bytes::{Full, Writer};
use crate::wire::{Link, Mac, encode};

/// Everything that one NIC's guest is asked, in order.
#[derive(Debug)]
pub struct Questions(Box<[Question]>);

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// An ARP request (RFC 826).
    Arp {
        /// Who asks.
        sender: Ipv4Addr,
        /// The guest's address.
        target: Ipv4Addr,
    },
    /// A unicast Neighbor Solicitation (RFC 4861, section 4.3).
    Neighbor {
        /// Who asks: a link-local address.
        source: Ipv6Addr,
        /// The guest's address.
        target: Ipv6Addr,
    },
}

impl Questions {
    /// Takes from `parameters` what `guest` is asked by an address that `neighbors` answer for. A
    /// guest whose MAC is not known is not asked.
    #[must_use]
    pub fn new(parameters: &Parameters, neighbors: &Neighbors, guest: Option<Mac>) -> Self {
        let Some(guest) = guest else {
            return Self(Box::default());
        };
        let target = parameters.ipv4.as_ref().and_then(|ipv4| ipv4.address);
        let arp = neighbors.asker_ipv4().zip(target);
        let arp = arp.map(|(sender, target)| Question::Arp { sender, target });
        let source = neighbors.asker_ipv6();
        // Some make their link-local address from the MAC, and some hold what they are given.
        let leased = parameters.ipv6.as_ref().and_then(|ipv6| ipv6.address);
        let targets = [Some(guest.link_local()), leased].into_iter().flatten();
        let neighbor =
            targets.filter_map(|target| source.map(|source| Question::Neighbor { source, target }));
        Self(arp.into_iter().chain(neighbor).collect())
    }

    /// Returns one of them, counted from 0.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<Question> {
        self.0.get(place).copied()
    }
}

/// Writes a question as a whole frame. Returns its length, 0 if it does not fit.
#[must_use]
pub fn write_question(frame: &mut [u8], link: Link, question: Question) -> usize {
    match question {
        Question::Arp { sender, target } => {
            let out = frame.get_mut(encode::ARP_OFFSET..).unwrap_or_default();
            match write_arp_request(out, link.source, (sender, target)) {
                Ok(()) => encode::arp(frame, link),
                Err(Full) => 0,
            }
        }
        Question::Neighbor { source, target } => {
            let out = frame.get_mut(encode::ICMPV6_OFFSET..).unwrap_or_default();
            match write_solicitation(out, link.source, target) {
                Ok(length) => encode::icmpv6(frame, link, source, target, length),
                Err(Full) => 0,
            }
        }
    }
}

fn write_arp_request(
    out: &mut [u8],
    mac: Mac,
    (sender, target): (Ipv4Addr, Ipv4Addr),
) -> Result<(), Full> {
    let mut writer = Writer::new(out);
    writer.bytes(&ETHERNET_IPV4)?;
    writer.u16(ARP_REQUEST)?;
    writer.bytes(&mac.0)?;
    writer.bytes(&sender.octets())?;
    writer.bytes(&Mac::default().0)?;
    writer.bytes(&target.octets())
}

/// Writes the message, checksum zero (RFC 4861, section 4.3). The option spares the guest asking
/// back before it answers.
fn write_solicitation(out: &mut [u8], mac: Mac, target: Ipv6Addr) -> Result<usize, Full> {
    let mut writer = Writer::new(out);
    writer.bytes(&[NEIGHBOR_SOLICITATION, 0, 0, 0])?;
    writer.bytes(&[0; 4])?;
    writer.bytes(&target.octets())?;
    writer.bytes(&[options::SOURCE_LINK_LAYER, 1])?;
    writer.bytes(&mac.0)?;
    Ok(writer.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nd::tests::{GATEWAY_V4, GUEST, GUEST_V4, gateway_v6, parameters};

    fn all(parameters: &Parameters, guest: Option<Mac>) -> Vec<Question> {
        let questions = Questions::new(parameters, &Neighbors::new(parameters), guest);
        (0..).map_while(|place| questions.get(place)).collect()
    }

    fn neighbor(source: Ipv6Addr, target: &str) -> Question {
        Question::Neighbor { source, target: target.parse().unwrap() }
    }

    #[test]
    fn the_gateway_asks_for_the_leased_addresses_and_the_one_made_from_the_mac() {
        let expected = [
            Question::Arp { sender: GATEWAY_V4, target: GUEST_V4 },
            neighbor(gateway_v6(), "fe80::5054:ff:fe12:3456"),
            neighbor(gateway_v6(), "2001:db8:20::5"),
        ];
        assert_eq!(all(&parameters(), Some(GUEST)), expected);
    }

    #[test]
    fn a_guest_whose_mac_is_not_known_is_not_asked() {
        assert_eq!(all(&parameters(), None), []);
    }

    #[test]
    fn nobody_asks_in_the_name_of_a_gateway_that_is_left_alone() {
        let mut parameters = parameters();
        parameters.gateway.answer = false;
        assert_eq!(all(&parameters, Some(GUEST)), []);
        // The server's own address is always answered for.
        let server = Ipv4Addr::new(10, 20, 0, 2);
        parameters.ipv4.as_mut().unwrap().server_id = server;
        let arp = Question::Arp { sender: server, target: GUEST_V4 };
        assert_eq!(all(&parameters, Some(GUEST)), [arp]);
        let ipv6 = parameters.ipv6.as_mut().unwrap();
        ipv6.link_local = parameters.gateway.source_mac.link_local();
        ipv6.address = None;
        let own = neighbor(ipv6.link_local, "fe80::5054:ff:fe12:3456");
        assert_eq!(all(&parameters, Some(GUEST)), [arp, own]);
    }

    #[test]
    fn a_nic_without_addresses_is_asked_by_its_mac_alone() {
        let mut parameters = parameters();
        parameters.ipv4 = None;
        parameters.ipv6.as_mut().unwrap().address = None;
        let expected = [neighbor(gateway_v6(), "fe80::5054:ff:fe12:3456")];
        assert_eq!(all(&parameters, Some(GUEST)), expected);
        parameters.ipv6 = None;
        assert_eq!(all(&parameters, Some(GUEST)), []);
    }

    #[test]
    fn what_does_not_fit_has_length_zero() {
        let link = Link { source: Mac([2; 6]), destination: GUEST };
        for question in all(&parameters(), Some(GUEST)) {
            for room in [0, 14, 41] {
                assert_eq!(write_question(&mut [0; 41][..room], link, question), 0);
            }
        }
    }
}
