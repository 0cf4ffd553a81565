//! The gateway's answers to echo requests (RFC 792; RFC 4443, section 4.2), where the template
//! has `answer-ping`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Neighbors;
use crate::outcome::{DropReason, Message};
use crate::reply::{Decision, Handled, Reply};
use crate::wire::Echo;
use crate::wire::bytes::Writer;

/// Decides about an ICMP echo request and writes the reply (from the ICMP type on, checksum zero)
/// into `out`.
#[must_use]
pub fn handle_echo_ipv4(
    neighbors: &Neighbors,
    echo: &Echo<'_, Ipv4Addr>,
    out: &mut [u8],
) -> Handled<Ipv4Addr> {
    // RFC 1122, section 3.2.2: an error or a group has no use for an answer, nor is it a source.
    let source = echo.source;
    let is_host = !source.is_unspecified()
        && !source.is_multicast()
        && !source.is_broadcast()
        && !source.is_loopback()
        && !neighbors.answer_ipv4(source);
    let decided = check(neighbors, echo.destination.into(), is_host)
        .and_then(|()| answer(echo, ECHO_REPLY_IPV4, out));
    Handled { message: Message::EchoRequest, decision: decided.unwrap_or_else(Decision::Dropped) }
}

/// Decides about an ICMPv6 echo request and writes the reply (from the ICMPv6 type on, checksum
/// zero) into `out`.
#[must_use]
pub fn handle_echo_ipv6(
    neighbors: &Neighbors,
    echo: &Echo<'_, Ipv6Addr>,
    out: &mut [u8],
) -> Handled<Ipv6Addr> {
    let is_host = super::message::is_unicast(echo.source) && !neighbors.answer_ipv6(echo.source);
    let decided = check(neighbors, echo.destination.into(), is_host)
        .and_then(|()| answer(echo, ECHO_REPLY_IPV6, out));
    Handled { message: Message::EchoRequest, decision: decided.unwrap_or_else(Decision::Dropped) }
}

fn check(neighbors: &Neighbors, destination: IpAddr, is_host: bool) -> Result<(), DropReason> {
    if !neighbors.answer_pings() {
        return Err(DropReason::NotForUs);
    }
    // The guest's other pings pass the filter too.
    if !neighbors.answer_ping_of(destination) {
        return Err(DropReason::NotOurAddress);
    }
    if !is_host {
        return Err(DropReason::SourceAddress);
    }
    Ok(())
}

/// Identifier, sequence number and data come back as they were.
fn answer<A: Copy>(
    echo: &Echo<'_, A>,
    kind: u8,
    out: &mut [u8],
) -> Result<Decision<A>, DropReason> {
    let mut writer = Writer::new(out);
    let written = writer.bytes(&[kind, 0, 0, 0]).and_then(|()| writer.bytes(echo.body));
    written.map_err(|_| DropReason::ReplyTooLong)?;
    let length = writer.len();
    Ok(Decision::Reply(Reply {
        message: Message::EchoReply,
        length,
        to_mac: echo.link.source,
        to_ip: echo.source,
        note: None,
    }))
}

/// RFC 792.
const ECHO_REPLY_IPV4: u8 = 0;
/// RFC 4443, section 4.2.
const ECHO_REPLY_IPV6: u8 = 129;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nd::tests::{GATEWAY_MAC, GATEWAY_V4, GUEST, GUEST_V4, gateway_v6, parameters};
    use crate::wire::Link;

    const BODY: [u8; 6] = [0, 7, 0, 1, b'h', b'i'];

    fn neighbors(answer_ping: bool) -> Neighbors {
        let mut parameters = parameters();
        parameters.gateway.answer_ping = answer_ping;
        Neighbors::new(&parameters)
    }

    fn echo<A>(source: A, destination: A) -> Echo<'static, A> {
        let link = Link { source: GUEST, destination: GATEWAY_MAC };
        Echo { link, source, destination, body: &BODY }
    }

    #[test]
    fn an_echo_request_to_the_gateway_comes_back_as_a_reply() {
        let mut out = [0xee; 10];
        let handled = handle_echo_ipv4(&neighbors(true), &echo(GUEST_V4, GATEWAY_V4), &mut out);
        let reply = Reply {
            message: Message::EchoReply,
            length: 10,
            to_mac: GUEST,
            to_ip: GUEST_V4,
            note: None,
        };
        let expected = Handled { message: Message::EchoRequest, decision: Decision::Reply(reply) };
        assert_eq!(handled, expected);
        assert_eq!(out, [0, 0, 0, 0, 0, 7, 0, 1, b'h', b'i']);

        let guest: Ipv6Addr = "fe80::5".parse().unwrap();
        let handled = handle_echo_ipv6(&neighbors(true), &echo(guest, gateway_v6()), &mut out);
        let Decision::Reply(reply) = handled.decision else { panic!("{handled:?}") };
        assert_eq!((reply.to_ip, reply.to_mac, reply.length), (guest, GUEST, 10));
        assert_eq!(out, [129, 0, 0, 0, 0, 7, 0, 1, b'h', b'i']);
    }

    #[test]
    fn other_addresses_and_a_network_without_answer_ping_are_silent() {
        let silent = Handled::dropped(Message::EchoRequest, DropReason::NotOurAddress);
        let other = Ipv4Addr::new(10, 20, 1, 6);
        let mut out = [0; 10];
        assert_eq!(handle_echo_ipv4(&neighbors(true), &echo(GUEST_V4, other), &mut out), silent);
        let silent = Handled::dropped(Message::EchoRequest, DropReason::NotForUs);
        let request = echo(GUEST_V4, GATEWAY_V4);
        assert_eq!(handle_echo_ipv4(&neighbors(false), &request, &mut out), silent);
        let silent = Handled::dropped(Message::EchoRequest, DropReason::NotForUs);
        let request = echo("fe80::5".parse().unwrap(), gateway_v6());
        assert_eq!(handle_echo_ipv6(&neighbors(false), &request, &mut out), silent);
    }

    #[test]
    fn a_source_that_nobody_can_have_is_not_answered() {
        let mut out = [0; 10];
        for source in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1", "10.20.0.1"] {
            let request = echo(source.parse().unwrap(), GATEWAY_V4);
            let refused = Handled::dropped(Message::EchoRequest, DropReason::SourceAddress);
            assert_eq!(handle_echo_ipv4(&neighbors(true), &request, &mut out), refused);
        }
        for source in ["::", "ff02::1", "::1", "fe80::1"] {
            let request = echo(source.parse().unwrap(), gateway_v6());
            let refused = Handled::dropped(Message::EchoRequest, DropReason::SourceAddress);
            assert_eq!(handle_echo_ipv6(&neighbors(true), &request, &mut out), refused);
        }
    }

    #[test]
    fn a_reply_that_does_not_fit_is_not_sent() {
        let request = echo(GUEST_V4, GATEWAY_V4);
        assert_eq!(
            handle_echo_ipv4(&neighbors(true), &request, &mut [0; 9]),
            Handled::dropped(Message::EchoRequest, DropReason::ReplyTooLong)
        );
    }
}
