//! The router's side of Neighbor Discovery: advertisements, their schedule, what is withdrawn, and
//! what is answered for the gateway's and the server's addresses (RFC 4861, RFC 4191, RFC 8106,
//! RFC 8781, RFC 826, RFC 5227, RFC 792, RFC 4443).
//!
//! A guest's options are walked only to check their lengths: replies go to the MAC that the frame
//! came from, never to one that an option names. pnet's option iterator is not used, because it
//! panics on lengths that a guest may send.
//!
//! # Where this differs from RFC 4861
//!
//! | section | what is done here | why |
//! | --- | --- | --- |
//! | 6.2.6 | a solicitation is answered at once, without a random delay | the delay keeps routers and hosts of one link apart; here is one of each |
//! | 6.2.6 | an answer to a solicitation from `::`, to all nodes, does not wait for 3 s after the last one | it goes to one MAC and burdens nobody else; the port's rate bounds it |
//! | 6.2.5 | a router that stops sends no advertisement with lifetime 0 | another node or the next start goes on as the same router |
//! | 6.2.7 | what other routers advertise is not compared with ours | a VM's advertisement is noted as a foreign one, whatever it says |

#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic
    )
)]

mod announcements;
mod decide;
mod echo;
mod message;
mod neighbors;
mod options;
mod questions;
mod reply;
mod schedule;
mod withdrawals;

pub use announcements::{
    Announcement, Announcements, ArpForm, write_arp_announcement, write_last_advertisement,
    write_unsolicited_advertisement,
};
pub use echo::{handle_echo_ipv4, handle_echo_ipv6};
pub use neighbors::Neighbors;
pub use questions::{Question, Questions, write_question};
pub use reply::Profile;
pub use schedule::Schedule;
pub use withdrawals::{RetiredRouter, Withdrawals};

use std::net::{Ipv4Addr, Ipv6Addr};

use self::message::Neighbor;
use crate::outcome::{DropReason, Message, Note};
use crate::reply::{Decision, Handled};
use crate::wire::{Arp, Icmpv6};

/// Decides about a Router Solicitation and writes the advertisement (from the ICMPv6 type on,
/// checksum zero) into `out`.
#[must_use]
pub fn handle_router_solicitation(
    profile: &Profile,
    withdrawals: &Withdrawals,
    solicitation: &Icmpv6<'_>,
    out: &mut [u8],
) -> Handled<Ipv6Addr> {
    let decided = decide::router_solicitation(profile, withdrawals, solicitation, out);
    handled(Message::RouterSolicitation, decided)
}

/// Decides about a Neighbor Solicitation and writes the advertisement (from the ICMPv6 type on,
/// checksum zero) into `out`.
#[must_use]
pub fn handle_neighbor_solicitation(
    neighbors: &Neighbors,
    solicitation: &Icmpv6<'_>,
    out: &mut [u8],
) -> Handled<Ipv6Addr> {
    let decided = decide::neighbor_solicitation(neighbors, solicitation, out);
    handled(Message::NeighborSolicitation, decided)
}

/// Decides about an ARP packet and writes the ARP reply (from `ar$hrd` on) into `out`.
#[must_use]
pub fn handle_arp(neighbors: &Neighbors, arp: &Arp, out: &mut [u8]) -> Handled<Ipv4Addr> {
    let message = match arp.operation {
        ARP_REQUEST => Message::ArpRequest,
        ARP_REPLY => Message::Reply,
        _ => Message::Unknown,
    };
    handled(message, decide::arp(neighbors, arp, out))
}

/// Returns the address that a Neighbor Solicitation asks for; `::` if it holds none.
#[must_use]
pub fn solicited_target(solicitation: &Icmpv6<'_>) -> Ipv6Addr {
    Neighbor::read(solicitation.body).map_or(Ipv6Addr::UNSPECIFIED, |neighbor| neighbor.target)
}

/// Decides about a guest's Neighbor Advertisement: a valid one that nobody asked for announces that
/// the guest is here (RFC 4861, sections 7.1.2 and 7.2.6).
///
/// # Errors
/// [`DropReason::SourceAddress`] if it speaks for an address that is ours to answer for, else
/// [`DropReason::NotForUs`].
pub fn handle_neighbor_advertisement(
    neighbors: &Neighbors,
    advertisement: &Icmpv6<'_>,
) -> Result<Note, DropReason> {
    let announced = || {
        message::check_header(advertisement)?;
        let neighbor = Neighbor::read(advertisement.body)?;
        message::contain(neighbor.options, options::TARGET_LINK_LAYER)?;
        Ok::<_, DropReason>((neighbor.flags & SOLICITED == 0).then_some(neighbor.target))
    };
    let target = announced().ok().flatten().filter(|_| message::is_unicast(advertisement.source));
    let target = target.ok_or(DropReason::NotForUs)?;
    if [target, advertisement.source].into_iter().any(|one| neighbors.answer_ipv6(one)) {
        return Err(DropReason::SourceAddress);
    }
    Ok(Note::Arrived)
}

fn handled<A>(message: Message, decided: Result<Decision<A>, DropReason>) -> Handled<A> {
    Handled { message, decision: decided.unwrap_or_else(Decision::Dropped) }
}

/// ICMPv6 types (RFC 4861, section 4).
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;
/// S of an advertisement (RFC 4861, section 4.4).
const SOLICITED: u8 = 0x40;
/// RFC 4291, section 2.7.1.
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
/// RFC 4291, section 2.7.1.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
/// RFC 826.
const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;

#[cfg(test)]
mod tests;
