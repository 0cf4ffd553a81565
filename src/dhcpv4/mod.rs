//! DHCPv4 as a server speaks it (RFC 2131, RFC 2132, RFC 3396, RFC 3442, RFC 4702, RFC 6842).
//!
//! `message` reads what the guest sent, `decide` chooses the answer, `boot` the boot file, `reply`
//! writes them, `options` has one row an option, `encode` makes the data of some, `fqdn` the one
//! that follows the client's. The NIC is known before a byte is read: nothing in a message chooses
//! whose lease is served.

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
mod encode;
mod fqdn;
mod message;
mod options;
mod reply;

pub use encode::{encrypted_resolvers, push_route, search_list};
pub use options::{may_be_set, option_name};

use std::net::Ipv4Addr;

use self::boot::{Boot, Given};
use self::decide::{AnswerKind, Decided, decide};
use self::message::Request;
use self::options::OptionSet;
use self::reply::Content;
use crate::network::Parameters;
use crate::outcome::DropReason;
use crate::reply::{Decision, Handled, Reply};
use crate::wire::Datagram;

/// Everything DHCPv4 says to one NIC, encoded once when the port's binding is made.
#[derive(Debug)]
pub struct Profile {
    server_id: Ipv4Addr,
    gateway: Option<Ipv4Addr>,
    address: Option<Ipv4Addr>,
    rapid_commit: bool,
    options: OptionSet,
    boot: Boot,
}

impl Profile {
    /// Encodes `parameters`; `None` if the network has no `[ipv4]`.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Option<Self> {
        let ipv4 = parameters.ipv4.as_ref()?;
        Some(Self {
            server_id: ipv4.server_id,
            gateway: ipv4.gateway,
            address: ipv4.address,
            rapid_commit: ipv4.rapid_commit,
            options: OptionSet::new(parameters, ipv4),
            boot: Boot::new(&parameters.boot),
        })
    }

    /// Returns option 54, which is the IPv4 source of everything that is sent.
    #[must_use]
    pub fn server_id(&self) -> Ipv4Addr {
        self.server_id
    }
}

/// Decides about one datagram to UDP port 67 and writes the reply's BOOTP message into `out`.
///
/// `out` is as long as the port's MTU allows a UDP payload to be.
#[must_use]
pub fn handle(
    profile: &Profile,
    datagram: &Datagram<'_, Ipv4Addr>,
    out: &mut [u8],
) -> Handled<Ipv4Addr> {
    let request = match Request::parse(datagram) {
        Ok(request) => request,
        Err(refused) => return Handled::dropped(refused.message, refused.reason),
    };
    let decision = match decide(profile, &request, datagram) {
        Decided::Answer(answer) => {
            let boot = match answer.kind {
                AnswerKind::Offer
                | AnswerKind::Ack
                | AnswerKind::RapidAck
                | AnswerKind::InformAck => profile.boot.given(&request),
                AnswerKind::Nak => Given::NOTHING,
            };
            let content = Content { options: &profile.options, boot };
            match reply::write(content, &request, &answer, out) {
                Ok(written) => Decision::Reply(Reply {
                    message: answer.kind.message(),
                    length: written.length,
                    to_mac: answer.to_mac,
                    to_ip: answer.to_ip,
                    note: written.note,
                }),
                Err(_) => Decision::Dropped(DropReason::ReplyTooLong),
            }
        }
        Decided::Noted(note) => Decision::Noted(note),
        Decided::Dropped(reason) => Decision::Dropped(reason),
    };
    Handled { message: request.kind.message(), decision }
}

#[cfg(test)]
mod tests;
