//! Reads a server's DHCPv6 message (RFC 9915, section 21).

use std::net::Ipv6Addr;

use super::plain;
use super::words::{addresses6, domains, hex, seconds, service_parameters, text};
use crate::control::Field;
use crate::wire::bytes::Reader;
use crate::wire::{self, Frame, Inbound};

/// Returns the server's DUID from an untagged frame.
pub(super) fn server_id(frame: &[u8]) -> Option<Vec<u8>> {
    let frame = Frame { bytes: frame, vlan: None, checksum_pending: true, truncated: false };
    let Ok(Inbound::Dhcpv6Server(datagram)) = wire::decode(&frame) else {
        return None;
    };
    let mut found = None;
    options(datagram.payload.get(HEADER..)?, |code, body| {
        if code == 2 {
            found = Some(body.to_vec());
        }
    })?;
    found
}

/// Writes the message's type and options, in the order in which they stand.
pub(super) fn fields(message: &[u8]) -> Option<Vec<Field>> {
    let kind = match message.first()? {
        2 => "ADVERTISE",
        7 => "REPLY",
        _ => "not a server's",
    };
    let mut fields = vec![plain("message type", kind)];
    options(message.get(HEADER..)?, |code, body| {
        fields.push(Field {
            code: Some(code),
            name: name(code).to_owned(),
            value: value(code, body).unwrap_or_else(|| hex(body)),
        });
    })?;
    Some(fields)
}

/// Writes one option's name and data; `None`: one of them is not known.
pub(super) fn option(code: u16, body: &[u8]) -> Option<String> {
    Some(format!("{} {}", name(code), value(code, body)?))
}

/// Hands every option to `each`; `None`: one runs past the end.
fn options(bytes: &[u8], mut each: impl FnMut(u16, &[u8])) -> Option<()> {
    let mut reader = Reader::new(bytes);
    while !reader.is_empty() {
        let code = reader.u16()?;
        let length = reader.u16()?;
        each(code, reader.take(length.into())?);
    }
    Some(())
}

fn value(code: u16, body: &[u8]) -> Option<String> {
    match code {
        3 | 25 => association(body),
        5 => member(body, 0),
        26 => member(body, 1),
        7 => Some(body.first()?.to_string()),
        13 => status(body),
        14 => Some("yes".to_owned()),
        21 | 24 | 33 => Some(domains(body)),
        22 | 23 | 27 | 28 | 31 | 34 => Some(addresses6(body)),
        32 | 82 | 83 => Some(seconds(u32::from_be_bytes(body.try_into().ok()?))),
        39 => {
            let (_, name) = body.split_first()?;
            let name = match name.last() {
                Some(0) => domains(name),
                _ => domains(&[name, &[0]].concat()),
            };
            Some(format!("{name} (no DNS update)"))
        }
        41 | 42 | 59 | 103 => Some(text(body)),
        56 => time_servers(body),
        64 => Some(domains(body)),
        144 => resolver(body),
        _ => None,
    }
}

/// RFC 9915, sections 21.4 and 21.21.
fn association(body: &[u8]) -> Option<String> {
    let mut reader = Reader::new(body);
    let iaid = reader.u32()?;
    let times = format!("T1 {}, T2 {}", seconds(reader.u32()?), seconds(reader.u32()?));
    let mut text = format!("IAID {iaid}, {times}");
    let mut inner = Vec::new();
    options(reader.rest(), |code, body| {
        let value = value(code, body).unwrap_or_else(|| hex(body));
        inner.push(match code {
            5 | 26 | 13 => value,
            _ => format!("{} {value}", name(code)),
        });
    })?;
    for one in inner {
        text.push_str("; ");
        text.push_str(&one);
    }
    Some(text)
}

/// Reads an IA Address (RFC 9915, section 21.6), or an IA Prefix (21.22) behind `lengths` bytes.
fn member(body: &[u8], lengths: u8) -> Option<String> {
    let mut reader = Reader::new(body);
    if lengths == 0 {
        let address = Ipv6Addr::from(reader.array::<16>()?);
        let (preferred, valid) = (reader.u32()?, reader.u32()?);
        return Some(format!(
            "{address} preferred {}, valid {}",
            seconds(preferred),
            seconds(valid)
        ));
    }
    let (preferred, valid) = (reader.u32()?, reader.u32()?);
    let length = reader.u8()?;
    let prefix = Ipv6Addr::from(reader.array::<16>()?);
    Some(format!("{prefix}/{length} preferred {}, valid {}", seconds(preferred), seconds(valid)))
}

/// RFC 9915, section 21.13.
fn status(body: &[u8]) -> Option<String> {
    let mut reader = Reader::new(body);
    let name = match reader.u16()? {
        0 => "Success",
        1 => "UnspecFail",
        2 => "NoAddrsAvail",
        3 => "NoBinding",
        4 => "NotOnLink",
        5 => "UseMulticast",
        6 => "NoPrefixAvail",
        _ => "unknown status",
    };
    Some(match reader.rest() {
        [] => name.to_owned(),
        message => format!("{name}: {}", text(message)),
    })
}

/// RFC 5908, section 4.
fn time_servers(body: &[u8]) -> Option<String> {
    let mut texts = Vec::new();
    options(body, |code, body| {
        texts.push(match code {
            1 | 2 => addresses6(body),
            3 => domains(body),
            _ => hex(body),
        });
    })?;
    Some(texts.join(", "))
}

/// RFC 9463, section 4.1.
fn resolver(body: &[u8]) -> Option<String> {
    let mut reader = Reader::new(body);
    let priority = reader.u16()?;
    let length = reader.u16()?;
    let mut text = format!("{priority} {}", domains(reader.take(length.into())?));
    if let Some(length) = reader.u16() {
        let addresses = addresses6(reader.take(length.into())?);
        text = format!("{text} {addresses} {}", service_parameters(reader.rest()));
    }
    Some(text)
}

/// Returns IANA's name in lower case.
fn name(code: u16) -> &'static str {
    match code {
        1 => "client-id",
        2 => "server-id",
        3 => "ia-na",
        5 => "ia-address",
        7 => "preference",
        13 => "status-code",
        14 => "rapid-commit",
        17 => "vendor-options",
        21 => "sip-server-names",
        22 => "sip-servers",
        23 => "dns-servers",
        24 => "domain-list",
        25 => "ia-pd",
        26 => "ia-prefix",
        27 => "nis-servers",
        28 => "nisp-servers",
        31 => "sntp-servers",
        32 => "information-refresh-time",
        33 => "bcmcs-server-names",
        34 => "bcmcs-servers",
        39 => "client-fqdn",
        41 => "posix-timezone",
        42 => "tzdb-timezone",
        56 => "ntp-servers",
        59 => "boot-file-url",
        60 => "boot-file-parameters",
        64 => "aftr-name",
        82 => "sol-max-rt",
        83 => "inf-max-rt",
        103 => "captive-portal",
        144 => "encrypted-dns",
        _ => "unknown",
    }
}

/// Message type and transaction id.
const HEADER: usize = 4;
