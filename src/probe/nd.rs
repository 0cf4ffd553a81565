//! Reads a Router Advertisement (RFC 4861, sections 4.2 and 4.6; RFC 4191; RFC 8106; RFC 8781).

use std::net::Ipv6Addr;

use super::plain;
use super::words::{addresses6, domains, hex, seconds, service_parameters, text};
use crate::control::Field;
use crate::wire::Mac;
use crate::wire::bytes::Reader;

/// Writes the fields and options behind type, code and checksum.
pub(super) fn fields(body: &[u8]) -> Option<Vec<Field>> {
    let mut reader = Reader::new(body);
    let hop_limit = reader.u8()?;
    let flags = reader.u8()?;
    let router_lifetime = reader.u16()?;
    let _reachable_and_retransmission_times = reader.take(8)?;
    let set = |bit: u8| if flags & bit == 0 { "no" } else { "yes" };
    let mut fields = vec![
        plain("managed (M)", set(0x80)),
        plain("other (O)", set(0x40)),
        plain(
            "router lifetime",
            match router_lifetime {
                0 => "0 s (no default router)".to_owned(),
                some => seconds(some.into()),
            },
        ),
        plain("preference", preference(flags)),
        plain("hop limit", hop_limit.to_string()),
    ];
    while !reader.is_empty() {
        let code = reader.u8()?;
        // RFC 4861, section 4.6: the length counts eight bytes, the two before included.
        let length = usize::from(reader.u8()?).checked_mul(8)?.checked_sub(2)?;
        let body = reader.take(length)?;
        fields.push(Field {
            code: Some(code.into()),
            name: name(code).to_owned(),
            value: value(code, body).unwrap_or_else(|| hex(body)),
        });
    }
    Some(fields)
}

fn value(code: u8, body: &[u8]) -> Option<String> {
    let mut reader = Reader::new(body);
    match code {
        1 => Some(Mac(reader.array()?).to_string()),
        3 => {
            let length = reader.u8()?;
            let flags = reader.u8()?;
            let (valid, preferred) = (reader.u32()?, reader.u32()?);
            let _reserved = reader.u32()?;
            let prefix = Ipv6Addr::from(reader.array::<16>()?);
            let on_link = if flags & 0x80 == 0 { "not on link" } else { "on link" };
            let autonomous = if flags & 0x40 == 0 { "no SLAAC" } else { "SLAAC" };
            Some(format!(
                "{prefix}/{length} {on_link}, {autonomous}, preferred {}, valid {}",
                seconds(preferred),
                seconds(valid)
            ))
        }
        5 => {
            let _reserved = reader.u16()?;
            Some(reader.u32()?.to_string())
        }
        24 => {
            let length = reader.u8()?;
            let flags = reader.u8()?;
            let lifetime = reader.u32()?;
            let mut prefix = [0; 16];
            for (to, from) in prefix.iter_mut().zip(reader.rest()) {
                *to = *from;
            }
            let prefix = Ipv6Addr::from(prefix);
            Some(format!("{prefix}/{length} {}, {}", preference(flags), seconds(lifetime)))
        }
        25 => {
            let _reserved = reader.u16()?;
            let lifetime = seconds(reader.u32()?);
            Some(format!("{} for {lifetime}", addresses6(reader.rest())))
        }
        31 => {
            let _reserved = reader.u16()?;
            let lifetime = seconds(reader.u32()?);
            Some(format!("{} for {lifetime}", domains(unpadded_names(reader.rest()))))
        }
        37 => {
            let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
            Some(text(body.get(..end)?))
        }
        38 => {
            // RFC 8781, section 4: 13 bits of lifetime in units of eight seconds, 3 bits of length.
            let field = reader.u16()?;
            let length = match field & 7 {
                0 => 96,
                1 => 64,
                2 => 56,
                3 => 48,
                4 => 40,
                5 => 32,
                _ => return None,
            };
            let mut prefix = [0; 16];
            for (to, from) in prefix.iter_mut().zip(reader.rest()) {
                *to = *from;
            }
            let prefix = Ipv6Addr::from(prefix);
            Some(format!("{prefix}/{length} for {}", seconds((field & !7).into())))
        }
        144 => resolver(body),
        _ => None,
    }
}

/// RFC 9463, section 5.1.
fn resolver(body: &[u8]) -> Option<String> {
    let mut reader = Reader::new(body);
    let priority = reader.u16()?;
    let lifetime = seconds(reader.u32()?);
    let length = reader.u16()?;
    let mut text = format!("{priority} {} for {lifetime}", domains(reader.take(length.into())?));
    if let Some(length @ 1..) = reader.u16() {
        let addresses = addresses6(reader.take(length.into())?);
        let length = reader.u16()?;
        let parameters = service_parameters(reader.take(length.into())?);
        text = format!("{text}, {addresses} {parameters}");
    }
    Some(text)
}

/// RFC 8106, section 5.2: zeros fill the names up to eight bytes.
fn unpadded_names(names: &[u8]) -> &[u8] {
    let end = names.iter().rposition(|byte| *byte != 0).map_or(0, |last| last.saturating_add(2));
    names.get(..end).unwrap_or(names)
}

/// RFC 4191, section 2.1.
const fn preference(flags: u8) -> &'static str {
    match flags >> 3 & 3 {
        1 => "high",
        0 => "medium",
        3 => "low",
        _ => "reserved",
    }
}

/// Returns IANA's name in short.
const fn name(code: u8) -> &'static str {
    match code {
        1 => "source-link-layer-address",
        3 => "prefix",
        5 => "mtu",
        24 => "route",
        25 => "dns-servers",
        31 => "search-list",
        37 => "captive-portal",
        38 => "pref64",
        144 => "encrypted-dns",
        _ => "unknown",
    }
}
