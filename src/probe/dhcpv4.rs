//! Reads a server's DHCPv4 message (RFC 2131, section 2; RFC 2132).

use std::net::Ipv4Addr;

use super::plain;
use super::words::{domains, hex, seconds, service_parameters, text};
use crate::config;
use crate::control::Field;
use crate::wire::bytes::Reader;
use crate::wire::{self, Frame, Inbound};

/// Returns `yiaddr` of an OFFER in an untagged frame.
pub(super) fn offered_address(frame: &[u8]) -> Option<Ipv4Addr> {
    let frame = Frame { bytes: frame, vlan: None, checksum_pending: true, truncated: false };
    let Ok(Inbound::Dhcpv4Server(datagram)) = wire::decode(&frame) else {
        return None;
    };
    address(datagram.payload, YIADDR)
}

/// Writes the fields and options of a message, in the order in which they stand.
pub(super) fn fields(message: &[u8]) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    for (name, offset) in [("your address", YIADDR), ("next server", SIADDR)] {
        if let Some(address) = address(message, offset) {
            fields.push(plain(name, address.to_string()));
        }
    }
    let options = collect(message.get(OPTIONS..)?, message);
    let overload = options.iter().find(|(code, _)| *code == OVERLOAD);
    let overload = overload.and_then(|(_, body)| body.first().copied()).unwrap_or(0);
    for (name, place, bit) in [("server name", SNAME, 2), ("boot file", FILE, 1)] {
        let field = message.get(place)?;
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        if let (0, Some(field @ [_, ..])) = (overload & bit, field.get(..end)) {
            fields.push(plain(name, text(field)));
        }
    }
    fields.extend(options.iter().map(|(code, body)| Field {
        code: Some((*code).into()),
        name: config::option_name(*code).unwrap_or("unknown").to_owned(),
        value: value(*code, body).unwrap_or_else(|| hex(body)),
    }));
    Some(fields)
}

/// Writes one option's name and data; `None`: one of them is not known.
pub(super) fn option(code: u8, body: &[u8]) -> Option<String> {
    Some(format!("{} {}", config::option_name(code)?, value(code, body)?))
}

/// Collects the options, also those in `file` and `sname` (RFC 2132, section 9.3), the parts of a
/// long one joined (RFC 3396).
fn collect(options: &[u8], message: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found: Vec<(u8, Vec<u8>)> = Vec::new();
    read(options, &mut found);
    let overload = found.iter().find(|(code, _)| *code == OVERLOAD);
    let overload = overload.and_then(|(_, body)| body.first().copied()).unwrap_or(0);
    for (place, bit) in [(FILE, 1), (SNAME, 2)] {
        if let (true, Some(field)) = (overload & bit != 0, message.get(place)) {
            read(field, &mut found);
        }
    }
    found
}

fn read(options: &[u8], found: &mut Vec<(u8, Vec<u8>)>) -> Option<()> {
    let mut reader = Reader::new(options);
    loop {
        match reader.u8()? {
            // RFC 2132, section 3.1: a Pad has no length.
            0 => {}
            255 => return None,
            code => {
                let length = reader.u8()?;
                let body = reader.take(length.into())?;
                match found.iter_mut().find(|(other, _)| *other == code) {
                    Some((_, joined)) => joined.extend_from_slice(body),
                    None => found.push((code, body.to_vec())),
                }
            }
        }
    }
}

/// Writes one option's data; the protocol's own are known here, the others by their rows.
fn value(code: u8, body: &[u8]) -> Option<String> {
    match code {
        51 | 58 | 59 | 108 => Some(seconds(u32::from_be_bytes(body.try_into().ok()?))),
        OVERLOAD => Some(match body {
            [1] => "options in the boot file's field".to_owned(),
            [2] => "options in the server name's field".to_owned(),
            _ => "options in both fields".to_owned(),
        }),
        53 => Some(kind(*body.first()?).to_owned()),
        54 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(body).ok()?).to_string()),
        56 | 114 => Some(text(body)),
        80 => Some("yes".to_owned()),
        81 => {
            let (head, name) = body.split_first_chunk::<3>()?;
            let [flags, _, _] = head;
            let name = if flags & FLAG_E == 0 {
                text(name)
            } else if name.last() == Some(&0) {
                domains(name)
            } else {
                domains(&[name, &[0]].concat())
            };
            Some(format!("{name} (no DNS update)"))
        }
        116 => Some(if body == [1] { "allowed" } else { "not allowed" }.to_owned()),
        162 => resolvers(body),
        _ => config::option_text(code, body),
    }
}

/// RFC 9463, section 6.1.
fn resolvers(body: &[u8]) -> Option<String> {
    let mut reader = Reader::new(body);
    let mut texts = Vec::new();
    while !reader.is_empty() {
        let length = reader.u16()?;
        let mut one = Reader::new(reader.take(length.into())?);
        let priority = one.u16()?;
        let length = one.u8()?;
        let name = domains(one.take(length.into())?);
        let mut parts = vec![format!("{priority} {name}")];
        if let Some(length) = one.u8() {
            parts.push(super::words::addresses4(one.take(length.into())?));
            parts.push(service_parameters(one.rest()));
        }
        texts.push(parts.join(" "));
    }
    Some(texts.join("; "))
}

fn kind(code: u8) -> &'static str {
    match code {
        2 => "OFFER",
        5 => "ACK",
        6 => "NAK",
        _ => "not a server's",
    }
}

fn address(message: &[u8], offset: usize) -> Option<Ipv4Addr> {
    let address = Ipv4Addr::from(Reader::new(message.get(offset..)?).array::<4>()?);
    (!address.is_unspecified()).then_some(address)
}

/// RFC 2131, section 2.
const YIADDR: usize = 16;
const SIADDR: usize = 20;
const SNAME: std::ops::Range<usize> = 44..108;
const FILE: std::ops::Range<usize> = 108..236;
/// Behind the magic cookie.
const OPTIONS: usize = 240;
/// RFC 2132, section 9.3.
const OVERLOAD: u8 = 52;
/// RFC 4702, section 2.1.
const FLAG_E: u8 = 0x04;
