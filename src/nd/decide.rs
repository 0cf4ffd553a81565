//! What is answered to whom.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::message::{
    Neighbor, RESERVED, Source, check_header, contain, is_solicited_node, solicited_node,
};
use super::neighbors::{Neighbors, Solicited};
use super::reply::Profile;
use super::withdrawals::Withdrawals;
use super::{ALL_NODES, ALL_ROUTERS, ARP_REPLY, ARP_REQUEST, options};
use crate::outcome::{DropReason, Message, Note};
use crate::reply::{Decision, Reply};
use crate::wire::bytes::Reader;
use crate::wire::{Arp, Icmpv6, Mac};

/// RFC 4861, sections 6.1.1 and 6.2.6.
pub(super) fn router_solicitation(
    profile: &Profile,
    withdrawals: &Withdrawals,
    solicitation: &Icmpv6<'_>,
    out: &mut [u8],
) -> Result<Decision<Ipv6Addr>, DropReason> {
    check_header(solicitation)?;
    let mut body = Reader::new(solicitation.body);
    body.take(RESERVED).ok_or(DropReason::BadNeighborDiscovery)?;
    let has_source = contain(body.rest(), options::SOURCE_LINK_LAYER)?;
    let source = Source::of(solicitation)?;
    if has_source && source == Source::Unspecified {
        return Err(DropReason::BadNeighborDiscovery);
    }
    if solicitation.source == profile.link_local() {
        return Err(DropReason::SourceAddress);
    }
    if ![ALL_ROUTERS, ALL_NODES, profile.link_local()].contains(&solicitation.destination) {
        return Err(DropReason::Destination);
    }

    let written = profile.write(withdrawals, out);
    let length = written.map_err(|_| DropReason::ReplyTooLong)?;
    // Nobody else is on the port: no delay, and the guest's MAC even under a group address
    // (RFC 6085).
    let (to_mac, to_ip) = source.reply_to(solicitation.link.source);
    let message = Message::RouterAdvertisement;
    let note = (!profile.is_whole()).then_some(Note::OptionsLeftOut);
    Ok(Decision::Reply(Reply { message, length, to_mac, to_ip, note }))
}

/// RFC 4861, sections 7.1.1 and 7.2.4.
pub(super) fn neighbor_solicitation(
    neighbors: &Neighbors,
    solicitation: &Icmpv6<'_>,
    out: &mut [u8],
) -> Result<Decision<Ipv6Addr>, DropReason> {
    check_header(solicitation)?;
    let Neighbor { target, options, .. } = Neighbor::read(solicitation.body)?;
    let has_source = contain(options, options::SOURCE_LINK_LAYER)?;
    let source = Source::of(solicitation)?;
    let probe = source == Source::Unspecified;
    if probe && (has_source || !is_solicited_node(solicitation.destination)) {
        return Err(DropReason::BadNeighborDiscovery);
    }
    if neighbors.answer_ipv6(solicitation.source) {
        return Err(DropReason::SourceAddress);
    }
    if !neighbors.answer_ipv6(target) {
        return Err(DropReason::NotOurAddress);
    }
    if ![target, solicited_node(target)].contains(&solicitation.destination) {
        return Err(DropReason::Destination);
    }

    let solicited = match source {
        Source::Unicast(_) => Solicited::ByNeighbor,
        // RFC 4862, section 5.4.4: the answer keeps the guest from taking the address.
        Source::Unspecified => Solicited::ByProbe,
    };
    let written = neighbors.write_advertisement(target, solicited, out);
    let length = written.map_err(|_| DropReason::ReplyTooLong)?;
    let (to_mac, to_ip) = source.reply_to(solicitation.link.source);
    let message = Message::NeighborAdvertisement;
    Ok(Decision::Reply(Reply { message, length, to_mac, to_ip, note: None }))
}

/// RFC 826, and RFC 5227 for announcements and probes.
pub(super) fn arp(
    neighbors: &Neighbors,
    arp: &Arp,
    out: &mut [u8],
) -> Result<Decision<Ipv4Addr>, DropReason> {
    if arp.sender_mac != arp.link.source {
        return Err(DropReason::SourceMac);
    }
    if neighbors.answer_ipv4(arp.sender_ip) {
        return Err(DropReason::SourceAddress);
    }
    let announced = arp.sender_ip == arp.target_ip && !arp.sender_ip.is_unspecified();
    match arp.operation {
        ARP_REQUEST if announced => Ok(Decision::Noted(Note::Arrived)),
        ARP_REQUEST if neighbors.answer_ipv4(arp.target_ip) => {
            let written = neighbors.write_arp_reply(arp, out);
            let length = written.map_err(|_| DropReason::ReplyTooLong)?;
            let (to_mac, to_ip) = (arp.sender_mac, arp.sender_ip);
            Ok(Decision::Reply(Reply {
                message: Message::Reply,
                length,
                to_mac,
                to_ip,
                note: None,
            }))
        }
        // A probe for the guest's own address comes here too: silence lets it pass.
        ARP_REQUEST => Err(DropReason::NotOurAddress),
        // A reply to everybody answers nobody's question.
        ARP_REPLY if announced || arp.link.destination == Mac::BROADCAST => {
            Ok(Decision::Noted(Note::Arrived))
        }
        _ => Err(DropReason::NotForUs),
    }
}
