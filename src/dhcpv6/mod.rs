//! DHCPv6 as a server speaks it (RFC 9915, RFC 3646, RFC 4075, RFC 4704, RFC 5908,
//! RFC 5970, RFC 9686).
//!
//! `message` reads what the guest sent and applies section 16, `decide` is section 18.3, `ia`
//! answers the identity associations, `reply` writes, and `options` has one row an option. Who the
//! guest is was settled by its port: DUID and IAID are checked and echoed, and choose nothing.
//!
//! # Where this differs from RFC 9915
//!
//! Each for a reason; what is not listed is as the RFC says. Router advertisements have a list of
//! their own in `nd`.
//!
//! | section | what is done here | why |
//! | --- | --- | --- |
//! | 16 | of the options that a message may not hold only the identifiers and an IA in an Information-request make it invalid; others are stepped over | a stray option changes no answer, and clients that send one want service |
//! | 16, 17.1 | every unicast message, and every one from another source than a link-local address, is dropped; a registration comes from its own address | the port is the link: nothing else comes from the guest itself |
//! | 18.3.2 | a Request for an address off the link gets the right one, and not NotOnLink | one address can be behind the port; the status would cost a round and end there as well |
//! | 18.3.3 | a Confirm is Success for the VM's own address alone | another VM's address is on the link and still wrong here |
//! | 18.3.4, 18.3.5 | a Renew or Rebind of an unknown binding is answered with the lease, under the IAID that is named; NoBinding is never said there | the RFC leaves it to policy; the lease is the port's, whatever the guest calls it |
//! | 18.3.5 | a Rebind is answered whoever gave the lease | no other server speaks for this port |
//! | 18.3.7 | a Release frees nothing | the lease is the VM's and outlives what runs in it |
//! | 18.3.8 | a Decline withholds nothing for the moment; it is noted, and `on-decline` says what comes of it | a guest that declines on purpose would empty the ranges |
//! | 18.3.9 | an option that finds no room is left out, the least needed first | no reply would leave the guest without its address |
//! | 18.3.11, 20 | no Reconfigure, no authentication | a guest renews at T1; the port says who asks and who answers |
//! | 19 | Relay-forward is dropped unread | a VM is no relay |
//! | 21 | an option that may stand once makes a message invalid if it stands twice | readers that differ about which one counts could be played against each other |
//! | 21 | a message has no more than 64 options, 4 IAs, 8 addresses in each and 128 requested codes | a guest's message costs a bounded time |
//! | 21.4 | T1, T2 and lifetimes that a client hints at are not looked at | they come from the template |
//! | RFC 4704, 6 | option 39 is sent to who asks for it, though it did not send one | a guest without a name is told the name that it has |
//! | RFC 9686, 4.2.1 | a registered address is not withheld from the ranges; a second guest's registration of it is not compared with the first's | a guest could take the whole range; what is registered is shown, and decides nothing |
//! | RFC 9686, 4.2.1 | a preferred lifetime over the valid one is dropped | RFC 9915, section 21.6, has no such address |
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

mod boot;
mod decide;
mod ia;
mod message;
mod options;
mod reply;

use std::net::Ipv6Addr;

use ipnet::Ipv6Net;

use self::boot::Boot;
use self::message::ClientMessage;
use self::options::Encoded;
use crate::network::{AddressMode, Ipv6Parameters, Lifetime, Parameters};
use crate::outcome::DropReason;
use crate::reply::{Decision, Handled, Reply};
use crate::wire::Datagram;

/// Everything DHCPv6 says to one NIC, encoded once when the port's binding is made.
#[derive(Debug)]
pub struct Profile {
    link_local: Ipv6Addr,
    service: Service,
    /// Option 2.
    server_duid: [u8; 18],
    /// The address of the first IA_NA; none unless addresses come by DHCPv6.
    address: Option<Ipv6Addr>,
    /// The prefix of the first IA_PD.
    delegated: Option<Ipv6Net>,
    times: Times,
    rapid_commit: RapidCommit,
    /// What a reply carries beside identities and associations, the most needed first.
    options: Box<[Encoded]>,
    boot: Boot,
    /// What addresses of a guest's own making lie in.
    prefixes: Box<[Ipv6Net]>,
}

impl Profile {
    /// Encodes `parameters`; `None` if the network has no `[ipv6]`.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Option<Self> {
        let ipv6 = parameters.ipv6.as_ref()?;
        let (service, address, delegated) = match ipv6.mode {
            AddressMode::Stateful => (Service::Served, ipv6.address, ipv6.delegated),
            AddressMode::Stateless => (Service::Served, None, ipv6.delegated),
            AddressMode::Slaac => (Service::Silent, None, None),
        };
        Some(Self {
            link_local: ipv6.link_local,
            service,
            server_duid: parameters.server_duid,
            address,
            delegated: delegated.map(|prefix| prefix.trunc()),
            times: Times {
                renew: ipv6.renew_time,
                rebind: ipv6.rebind_time,
                preferred: ipv6.preferred_lifetime,
                valid: ipv6.valid_lifetime,
            },
            rapid_commit: if ipv6.rapid_commit {
                RapidCommit::Honoured
            } else {
                RapidCommit::Ignored
            },
            options: options::encode(parameters, &ipv6.options),
            boot: Boot::new(&parameters.boot),
            prefixes: prefixes(ipv6, delegated),
        })
    }

    fn is_on_link(&self, address: Ipv6Addr) -> bool {
        self.prefixes.iter().any(|prefix| prefix.contains(&address))
    }

    /// Returns the IPv6 source of everything that is sent.
    #[must_use]
    pub fn link_local(&self) -> Ipv6Addr {
        self.link_local
    }
}

/// An address that a guest made for itself and registers (RFC 9686).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registration {
    /// The address.
    pub address: Ipv6Addr,
    /// Its preferred lifetime.
    pub preferred: Lifetime,
    /// Its valid lifetime; 0: it is no longer used.
    pub valid: Lifetime,
}

/// Reads what a datagram registers that [`handle`] answered with a note of it.
#[must_use]
pub fn registration(request: &Datagram<'_, Ipv6Addr>) -> Option<Registration> {
    let kind = message::kind(request.payload).ok()?;
    Some(ClientMessage::parse(kind, request.payload).ok()?.registration?.value)
}

/// Decides about one datagram to UDP port 547 and writes the reply message into `out`.
///
/// `out` is as long as the port's MTU allows a UDP payload to be. Headers, checksum and MAC are
/// checked before.
#[must_use]
pub fn handle(
    profile: &Profile,
    request: &Datagram<'_, Ipv6Addr>,
    out: &mut [u8],
) -> Handled<Ipv6Addr> {
    let kind = match message::kind(request.payload) {
        Ok(kind) => kind,
        Err((message, reason)) => return Handled::dropped(message, reason),
    };
    let received = kind.into();
    match answer(profile, request, kind, out) {
        Ok(reply) => Handled { message: received, decision: Decision::Reply(reply) },
        Err(reason) => Handled::dropped(received, reason),
    }
}

/// Takes one message of a known type through its checks to a written reply.
fn answer(
    profile: &Profile,
    request: &Datagram<'_, Ipv6Addr>,
    kind: message::Kind,
    out: &mut [u8],
) -> Result<Reply<Ipv6Addr>, DropReason> {
    // RFC 9915 has no server unicast any more, and All_DHCP_Servers is for relays.
    if request.destination != ALL_DHCP_RELAY_AGENTS_AND_SERVERS {
        return Err(DropReason::Destination);
    }
    // RFC 9915, section 17.1: a client sends from a link-local address of the interface; a
    // registration comes from the address that it is about.
    let may_send_from = match kind {
        message::Kind::AddressRegistration => profile.is_on_link(request.source),
        message::Kind::Solicit
        | message::Kind::Request
        | message::Kind::Confirm
        | message::Kind::Renew
        | message::Kind::Rebind
        | message::Kind::Release
        | message::Kind::Decline
        | message::Kind::InformationRequest => request.source.is_unicast_link_local(),
    };
    if !may_send_from {
        return Err(DropReason::SourceAddress);
    }
    let message = ClientMessage::parse(kind, request.payload)?;
    message.validate(&profile.server_duid)?;
    if message.registration.is_some_and(|option| option.value.address != request.source) {
        return Err(DropReason::SourceAddress);
    }
    let decided = match profile.service {
        Service::Served => decide::decide(profile, &message)?,
        // Clause F4: with SLAAC alone the network has no DHCPv6 to speak of.
        Service::Silent => return Err(DropReason::NoFamily),
    };
    let length = reply::write(profile, &message, decided.answer, out)
        .map_err(|_| DropReason::ReplyTooLong)?;
    Ok(Reply {
        message: decided.answer.message(),
        length,
        to_mac: request.link.source,
        to_ip: request.source,
        note: decided.note,
    })
}

/// Returns what an address must lie in to be appropriate to the link, or to what is behind the
/// guest (RFC 9686, section 4.2.1).
fn prefixes(ipv6: &Ipv6Parameters, delegated: Option<Ipv6Net>) -> Box<[Ipv6Net]> {
    let further = ipv6.prefixes.iter().filter(|information| information.on_link);
    let further = further.map(|information| information.prefix);
    std::iter::once(ipv6.subnet).chain(further).chain(delegated).collect()
}

/// Whether the network speaks DHCPv6 at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Served,
    Silent,
}

/// What the template says about the two-message exchange (RFC 9915, section 21.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RapidCommit {
    Honoured,
    Ignored,
}

/// The times of an identity association and of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Times {
    /// T1.
    renew: Lifetime,
    /// T2.
    rebind: Lifetime,
    preferred: Lifetime,
    valid: Lifetime,
}

/// RFC 9915, section 7.1.
const ALL_DHCP_RELAY_AGENTS_AND_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x1, 0x2);

#[cfg(test)]
mod tests;
