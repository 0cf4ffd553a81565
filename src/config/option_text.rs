//! A DHCPv4 option's data in words, by the same rows that read it from a file.

use std::net::Ipv4Addr;

use super::option_kind::Kind;
use super::option_names::{IpFamily, Known, name_of};
use crate::wire::bytes::Reader;

/// Returns the name of a DHCPv4 option, if it has a row.
#[must_use]
pub fn option_name(code: u8) -> Option<&'static str> {
    // The two rows of code 0 are fields of the message, and no options.
    name_of(code.into(), IpFamily::V4).filter(|_| code != 0)
}

/// Writes what a DHCPv4 option holds as its row says; `None`: it has no row, or not such data.
#[must_use]
pub fn option_text(code: u8, body: &[u8]) -> Option<String> {
    let is_of = |row: &&Known| row.code == u16::from(code);
    match IpFamily::V4.rows().iter().find(is_of)?.kind {
        Kind::Address => exact(body).map(|octets: [u8; 4]| Ipv4Addr::from(octets).to_string()),
        Kind::Addresses => listed(body, address),
        Kind::AddressPairs => listed(body, |reader| {
            let first = address(reader)?;
            Some(format!("{first} {}", address(reader)?))
        }),
        Kind::Text | Kind::DomainText => text(body),
        Kind::Domains | Kind::SearchList => domains(body),
        Kind::SipServers => match body.split_first()? {
            (0, names) => domains(names),
            (1, addresses) => listed(addresses, address),
            _ => None,
        },
        Kind::U8(_) | Kind::NodeType => exact(body).map(|[byte]: [u8; 1]| byte.to_string()),
        Kind::U16(_) => exact(body).map(|bytes| u16::from_be_bytes(bytes).to_string()),
        Kind::U16s(_) => listed(body, |reader| reader.u16().map(|number| number.to_string())),
        Kind::U32 => exact(body).map(|bytes| u32::from_be_bytes(bytes).to_string()),
        Kind::I32 => exact(body).map(|bytes| i32::from_be_bytes(bytes).to_string()),
        Kind::Bool => match body {
            [0] => Some("no".to_owned()),
            [1] => Some("yes".to_owned()),
            _ => None,
        },
        Kind::Routes => listed(body, route),
        Kind::Hex | Kind::Vendors | Kind::Elsewhere(_) => None,
        // No DHCPv4 option is of these kinds.
        Kind::Ipv6Addresses | Kind::Domain | Kind::Texts | Kind::Vendor => None,
    }
}

/// Reads domain names in labels, with the pointers of RFC 1035, section 4.1.4, into what stands
/// before them (RFC 3397), separated by blanks.
#[must_use]
pub fn domains(body: &[u8]) -> Option<String> {
    let mut names = Vec::new();
    let mut place = 0;
    while place < body.len() {
        let (name, after) = domain(body, place)?;
        names.push(name);
        place = after;
    }
    (!names.is_empty()).then(|| names.join(" "))
}

/// Reads the name at `start`; returns it with the place behind it.
fn domain(body: &[u8], start: usize) -> Option<(String, usize)> {
    let mut labels: Vec<String> = Vec::new();
    let mut place = start;
    let mut after = None;
    loop {
        let length = usize::from(*body.get(place)?);
        let next = place.checked_add(1)?;
        if length & POINTER == POINTER {
            let target = (length & !POINTER) << 8 | usize::from(*body.get(next)?);
            after.get_or_insert(next.checked_add(1)?);
            // A pointer leads back: so there is an end.
            if target >= place {
                return None;
            }
            place = target;
            continue;
        }
        let end = next.checked_add(length)?;
        if length == 0 {
            return Some((labels.join("."), after.unwrap_or(end)));
        }
        labels.push(text(body.get(next..end)?)?);
        place = end;
    }
}

fn listed(body: &[u8], mut read: impl FnMut(&mut Reader<'_>) -> Option<String>) -> Option<String> {
    let mut reader = Reader::new(body);
    let mut texts = Vec::new();
    while !reader.is_empty() {
        texts.push(read(&mut reader)?);
    }
    (!texts.is_empty()).then(|| texts.join(", "))
}

fn address(reader: &mut Reader<'_>) -> Option<String> {
    Some(Ipv4Addr::from(reader.array::<4>()?).to_string())
}

/// RFC 3442: a prefix's length, as many octets as it needs, and the router.
fn route(reader: &mut Reader<'_>) -> Option<String> {
    let length = reader.u8().filter(|length| *length <= 32)?;
    let octets = reader.take(usize::from(length.div_ceil(8)))?;
    let mut network = [0; 4];
    for (to, from) in network.iter_mut().zip(octets) {
        *to = *from;
    }
    let network = Ipv4Addr::from(network);
    let router = Ipv4Addr::from(reader.array::<4>()?);
    Some(if router.is_unspecified() {
        format!("{network}/{length} on link")
    } else {
        format!("{network}/{length} via {router}")
    })
}

fn exact<const N: usize>(body: &[u8]) -> Option<[u8; N]> {
    body.try_into().ok()
}

/// Returns text that is fit for a terminal.
fn text(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// RFC 1035, section 4.1.4: both bits set.
const POINTER: usize = 0xc0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_written_as_their_rows_say() {
        let said = |code, body: &[u8]| option_text(code, body).unwrap();
        assert_eq!(said(6, &[10, 20, 0, 53, 10, 20, 0, 54]), "10.20.0.53, 10.20.0.54");
        assert_eq!(said(26, &[5, 170]), "1450");
        assert_eq!(said(15, b"blue.example"), "blue.example");
        assert_eq!(said(119, b"\x04blue\x07example\0\x01x\xc0\x05"), "blue.example x.example");
        assert_eq!(
            said(121, &[8, 10, 10, 20, 0, 254, 0, 10, 20, 0, 1, 16, 10, 20, 0, 0, 0, 0]),
            "10.0.0.0/8 via 10.20.0.254, 0.0.0.0/0 via 10.20.0.1, 10.20.0.0/16 on link"
        );
        assert_eq!(said(19, &[1]), "yes");
    }

    #[test]
    fn data_of_another_form_is_not_put_into_words() {
        for (code, body) in [
            (1, &[255, 255][..]),
            (15, b"\x1b[2J"),
            (43, &[1]),
            (119, b"\xc0\x00"),
            (119, b"\x04blu"),
            (121, &[40, 1, 2, 3, 4]),
            (224, &[1]),
        ] {
            assert_eq!(option_text(code, body), None, "{code}");
        }
    }
}
