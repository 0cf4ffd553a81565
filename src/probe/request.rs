//! Requests that ask for everything, as a guest would send them.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::{Link, Mac, encode};

/// Makes a DISCOVER.
pub(super) fn discover(guest: Mac) -> Option<Vec<u8>> {
    // RFC 2563, section 2: option 116 is answered only if it was sent.
    dhcpv4(guest, &[&[53, 1, 1], &[116, 1, 1]])
}

/// Makes the REQUEST that takes an OFFER.
pub(super) fn request4(guest: Mac, server_id: Ipv4Addr, address: Ipv4Addr) -> Option<Vec<u8>> {
    let server_id = [&[54, 4][..], &server_id.octets()].concat();
    let address = [&[50, 4][..], &address.octets()].concat();
    dhcpv4(guest, &[&[53, 1, 3], &server_id, &address])
}

/// Makes a Solicit for an address and a prefix.
pub(super) fn solicit(guest: Mac) -> Option<Vec<u8>> {
    dhcpv6(guest, SOLICIT, &[ASSOCIATIONS])
}

/// Makes the Request that takes an Advertise.
pub(super) fn request6(guest: Mac, server_id: &[u8]) -> Option<Vec<u8>> {
    let server_id = option6(SERVER_ID, server_id)?;
    dhcpv6(guest, REQUEST, &[&server_id, ASSOCIATIONS])
}

/// Makes an Information-request.
pub(super) fn information(guest: Mac) -> Option<Vec<u8>> {
    dhcpv6(guest, INFORMATION_REQUEST, &[])
}

/// Makes a Router Solicitation.
pub(super) fn router_solicitation(guest: Mac) -> Option<Vec<u8>> {
    // RFC 4861, section 4.1: type, code, checksum, reserved; the source link-layer address.
    let message = [&[133, 0, 0, 0, 0, 0, 0, 0, 1, 1][..], &guest.0].concat();
    let mut frame = framed(encode::ICMPV6_OFFSET, &message)?;
    let link = Link { source: guest, destination: ALL_ROUTERS_MAC };
    let length = encode::icmpv6(&mut frame, link, guest.link_local(), ALL_ROUTERS, message.len());
    (length == frame.len()).then_some(frame)
}

fn dhcpv4(guest: Mac, options: &[&[u8]]) -> Option<Vec<u8>> {
    // RFC 2131, section 2: BOOTREQUEST over Ethernet, no relay, no address yet.
    let mut message = vec![0; BOOTP];
    message.get_mut(..3)?.copy_from_slice(&[1, 1, 6]);
    message.get_mut(4..8)?.copy_from_slice(&TRANSACTION);
    message.get_mut(28..34)?.copy_from_slice(&guest.0);
    message.get_mut(236..)?.copy_from_slice(&[99, 130, 83, 99]);
    for option in options {
        message.extend_from_slice(option);
    }
    // Room for a whole Ethernet frame (section 9.10), and the name that the guest should have.
    message.extend([57, 2, 5, 220, 81, 3, FQDN_ENCODED, 0, 0]);
    message.extend([55, LISTED4]);
    message.extend(1..=LISTED4);
    message.push(255);
    let mut frame = framed(encode::DHCPV4_OFFSET, &message)?;
    let link = Link { source: guest, destination: Mac::BROADCAST };
    let (from, to) = (Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST);
    let length = encode::dhcpv4(&mut frame, link, from, to, message.len());
    from_client(&mut frame, encode::DHCPV4_OFFSET)?;
    (length == frame.len()).then_some(frame)
}

fn dhcpv6(guest: Mac, kind: u8, options: &[&[u8]]) -> Option<Vec<u8>> {
    let [_, a, b, c] = TRANSACTION;
    let mut message = vec![kind, a, b, c];
    // RFC 9915, section 11.4: a DUID-LL.
    let client_id = [&[0, 3, 0, 1][..], &guest.0].concat();
    message.extend(option6(CLIENT_ID, &client_id)?);
    message.extend(option6(ELAPSED_TIME, &[0, 0])?);
    for option in options {
        message.extend_from_slice(option);
    }
    let listed: Vec<u8> = LISTED6.iter().flat_map(|code| code.to_be_bytes()).collect();
    message.extend(option6(ORO, &listed)?);
    // RFC 4704, section 4: flags, and no name.
    message.extend(option6(CLIENT_FQDN, &[0])?);
    let mut frame = framed(encode::DHCPV6_OFFSET, &message)?;
    let link = Link { source: guest, destination: ALL_SERVERS_MAC };
    let length = encode::dhcpv6(&mut frame, link, guest.link_local(), ALL_SERVERS, message.len());
    from_client(&mut frame, encode::DHCPV6_OFFSET)?;
    (length == frame.len()).then_some(frame)
}

fn option6(code: u16, body: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(body.len()).ok()?;
    Some([&code.to_be_bytes()[..], &length.to_be_bytes(), body].concat())
}

/// Puts a message where it stands in a frame.
fn framed(offset: usize, message: &[u8]) -> Option<Vec<u8>> {
    let mut frame = vec![0; offset.checked_add(message.len())?];
    frame.get_mut(offset..)?.copy_from_slice(message);
    Some(frame)
}

/// Turns a datagram to the client's port into one to the server's: the two change places, and the
/// checksum's sum stays.
fn from_client(frame: &mut [u8], offset: usize) -> Option<()> {
    let udp = frame.get_mut(offset.checked_sub(UDP_HEADER)?..)?;
    udp.get_mut(..4)?.rotate_left(2);
    Some(())
}

/// What both DHCPs use as the transaction's number.
const TRANSACTION: [u8; 4] = [0, 0, 0, 1];
/// The fixed part of a DHCPv4 message, with the magic cookie.
const BOOTP: usize = 240;
/// RFC 768.
const UDP_HEADER: usize = 8;
/// The last code that the parameter list names: as many as an option holds.
const LISTED4: u8 = 253;
/// RFC 4702, section 2.1: the name in labels.
const FQDN_ENCODED: u8 = 0x04;
/// RFC 9915, section 7.3.
const SOLICIT: u8 = 1;
const REQUEST: u8 = 3;
const INFORMATION_REQUEST: u8 = 11;
/// RFC 9915, section 21, and RFC 4704.
const CLIENT_ID: u16 = 1;
const SERVER_ID: u16 = 2;
const ORO: u16 = 6;
const ELAPSED_TIME: u16 = 8;
const CLIENT_FQDN: u16 = 39;
/// An IA_NA and an IA_PD of IAID 1, T1 and T2 left to the server (RFC 9915, 21.4 and 21.21).
const ASSOCIATIONS: &[u8] = &[
    0, 3, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, //
    0, 25, 0, 12, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0,
];
/// Every option of IANA's list that a server gives and a client may list, and those that files set
/// most. A client lists 128 at most.
const LISTED6: &[u16] = &[
    7, 12, 17, 21, 22, 23, 24, 27, 28, 29, 30, 31, 32, 33, 34, 40, 41, 42, 48, 49, 50, 51, 52, 56,
    59, 60, 61, 62, 64, 65, 67, 68, 69, 70, 71, 72, 74, 82, 83, 88, 89, 90, 94, 95, 96, 97, 98, 99,
    103, 111, 112, 113, 136, 137, 138, 141, 142, 143, 144,
];
/// RFC 9915, section 7.1.
const ALL_SERVERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 1, 2);
const ALL_SERVERS_MAC: Mac = Mac([0x33, 0x33, 0, 1, 0, 2]);
/// RFC 4291, section 2.7.1.
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const ALL_ROUTERS_MAC: Mac = Mac([0x33, 0x33, 0, 0, 0, 2]);
