//! What the value of a named option is, and how it is encoded.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::ipv4;
use super::section::{Item, Keys, Section};
use super::values::{Form, IPV4, IPV6, TEXT, domain};
use crate::dhcpv4;
use crate::wire::bytes::Reader;

/// What an option holds, RFC 2132 unless its row names another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One IPv4 address.
    Address,
    /// One or more IPv4 addresses.
    Addresses,
    /// IPv4 addresses in pairs: an address with its mask or its router.
    AddressPairs,
    /// Text without a zero behind it.
    Text,
    /// A domain name as text.
    DomainText,
    /// Domain names in labels, one behind the other.
    Domains,
    /// Domain names with compression (RFC 3397).
    SearchList,
    /// IPv4 addresses or domain names, and which of them (RFC 3361).
    SipServers,
    /// One byte, no less than this.
    U8(u8),
    /// Two bytes, no less than this.
    U16(u16),
    /// Several times two bytes, none less than this.
    U16s(u16),
    /// Four bytes.
    U32,
    /// Four bytes with a sign.
    I32,
    /// One byte, 0 or 1.
    Bool,
    /// One byte with one of the bits 1, 2, 4 and 8.
    NodeType,
    /// Destinations with their routers (RFC 3442).
    Routes,
    /// Bytes that are not looked at.
    Hex,
    /// Bytes of several vendors, each under its enterprise number (RFC 3925).
    Vendors,
    /// One or more IPv6 addresses.
    Ipv6Addresses,
    /// One domain name in labels (RFC 9915, section 10).
    Domain,
    /// Texts, each behind its length in two bytes (RFC 5970, section 3.2; RFC 8572, section 8.3).
    Texts,
    /// Bytes of one vendor under its enterprise number (RFC 9915, section 21.17).
    Vendor,
    /// Not set as an option: what to do in its place.
    Elsewhere(&'static str),
}

impl Kind {
    /// Returns the key of `[[option]]` that holds such a value, if there is one beside `value`.
    pub(super) const fn key(self) -> Option<&'static str> {
        match self {
            Self::Address | Self::Addresses | Self::AddressPairs | Self::Ipv6Addresses => {
                Some("ip")
            }
            Self::Text => Some("text"),
            Self::DomainText | Self::Domain | Self::Domains | Self::SearchList => Some("domain"),
            Self::U8(_) | Self::NodeType => Some("u8"),
            Self::U16(_) | Self::U16s(_) => Some("u16"),
            Self::U32 => Some("u32"),
            Self::Bool => Some("bool"),
            Self::Hex => Some("hex"),
            Self::SipServers
            | Self::I32
            | Self::Routes
            | Self::Vendors
            | Self::Texts
            | Self::Vendor
            | Self::Elsewhere(_) => None,
        }
    }

    /// Encodes a value; `None`: it does not fit, which is noted.
    pub(super) fn encode(self, item: &Item<'_>) -> Option<Vec<u8>> {
        match self {
            Self::Address => address(item),
            Self::Addresses => several(item, address),
            Self::AddressPairs => pairs(item),
            Self::Text => text(item),
            Self::DomainText => Some(domain(item)?.as_str().into()),
            Self::Domains => several(item, labels),
            Self::SearchList => search_list(item),
            Self::SipServers => sip_servers(item),
            Self::U8(least) => byte(item, least),
            Self::U16(least) => two_bytes(item, least),
            Self::U16s(least) => several(item, |item| two_bytes(item, least)),
            Self::U32 => Some(item.number::<u32>(0, u32::MAX.into())?.to_be_bytes().to_vec()),
            Self::I32 => {
                let number: i32 = item.number(i32::MIN.into(), i32::MAX.into())?;
                Some(number.to_be_bytes().to_vec())
            }
            Self::Bool => Some(vec![u8::from(item.boolean()?)]),
            Self::NodeType => node_type(item),
            Self::Routes => several_routes(item),
            Self::Hex => hex(item).filter(|bytes| is_filled(item, bytes)),
            Self::Vendors => several(item, vendor),
            Self::Ipv6Addresses => several(item, ipv6_address),
            Self::Domain => labels(item),
            Self::Texts => several(item, text_with_length),
            Self::Vendor => vendor_options(item),
            // `option_names::find` has refused it.
            Self::Elsewhere(_) => None,
        }
    }
}

/// Reads bytes in hexadecimal, with colons or without.
pub(super) fn hex(item: &Item<'_>) -> Option<Vec<u8>> {
    let text = item.text(HEX)?;
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|character| *character != ':')
        .map(|character| character.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let Some(digits) = digits.filter(|digits| digits.len() % 2 == 0) else {
        item.error_form(text, HEX);
        return None;
    };
    let bytes = digits.chunks_exact(2).filter_map(|pair| match pair {
        [high, low] => Some(high << 4 | low),
        _ => None,
    });
    Some(bytes.collect())
}

/// Encodes one value or a list of them, one behind the other.
fn several(item: &Item<'_>, encode: impl Fn(&Item<'_>) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let parts: Vec<Option<Vec<u8>>> = item.one_or_many().iter().map(encode).collect();
    let bytes = parts.into_iter().collect::<Option<Vec<_>>>()?.concat();
    Some(bytes).filter(|bytes| is_filled(item, bytes))
}

/// Notes a value of no bytes, which none of these options may have.
fn is_filled(item: &Item<'_>, bytes: &[u8]) -> bool {
    if bytes.is_empty() {
        item.error(format!("{:?} is empty; give a value or leave it out", item.key));
    }
    !bytes.is_empty()
}

fn address(item: &Item<'_>) -> Option<Vec<u8>> {
    Some(item.parse::<Ipv4Addr>(IPV4)?.into_inner().octets().to_vec())
}

fn ipv6_address(item: &Item<'_>) -> Option<Vec<u8>> {
    Some(item.parse::<Ipv6Addr>(IPV6)?.into_inner().octets().to_vec())
}

fn pairs(item: &Item<'_>) -> Option<Vec<u8>> {
    let bytes = several(item, address)?;
    if bytes.len() % 8 != 0 {
        item.error(format!(
            "{:?} has an odd number of addresses; write them in pairs, as RFC 2132 says",
            item.key
        ));
        return None;
    }
    Some(bytes)
}

fn text(item: &Item<'_>) -> Option<Vec<u8>> {
    let text = item.text(TEXT)?;
    if text.chars().any(char::is_control) {
        item.error(format!("{:?} has a control character; leave it out", item.key));
        return None;
    }
    Some(text.as_bytes().to_vec()).filter(|bytes| is_filled(item, bytes))
}

fn labels(item: &Item<'_>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    domain(item)?.encode(&mut bytes);
    Some(bytes)
}

fn search_list(item: &Item<'_>) -> Option<Vec<u8>> {
    let names: Vec<_> = item.one_or_many().iter().map(domain).collect();
    let bytes = dhcpv4::search_list(&names.into_iter().collect::<Option<Vec<_>>>()?);
    Some(bytes).filter(|bytes| is_filled(item, bytes))
}

/// RFC 3361, section 3: names after a 0, addresses after a 1.
fn sip_servers(item: &Item<'_>) -> Option<Vec<u8>> {
    let is_address =
        |item: &Item<'_>| item.as_str().is_some_and(|text| text.parse::<Ipv4Addr>().is_ok());
    let by_address = item.one_or_many().first().is_some_and(is_address);
    let body = several(item, if by_address { address } else { labels })?;
    Some([&[u8::from(by_address)], body.as_slice()].concat())
}

fn byte(item: &Item<'_>, least: u8) -> Option<Vec<u8>> {
    Some(vec![item.number::<u8>(least.into(), u8::MAX.into())?])
}

fn two_bytes(item: &Item<'_>, least: u16) -> Option<Vec<u8>> {
    Some(item.number::<u16>(least.into(), u16::MAX.into())?.to_be_bytes().to_vec())
}

/// RFC 2132, section 8.7.
fn node_type(item: &Item<'_>) -> Option<Vec<u8>> {
    let number: u8 = item.number(1, 8)?;
    if !number.is_power_of_two() {
        item.error(format!(
            "{:?} is {number}; write 1 (B-node), 2 (P-node), 4 (M-node) or 8 (H-node)",
            item.key
        ));
        return None;
    }
    Some(vec![number])
}

fn several_routes(item: &Item<'_>) -> Option<Vec<u8>> {
    several(item, |item| {
        let route = ipv4::route_of(item, None)?;
        let mut bytes = Vec::new();
        dhcpv4::push_route(&mut bytes, route.to, route.via);
        Some(bytes)
    })
}

/// Puts the length before a text.
fn text_with_length(item: &Item<'_>) -> Option<Vec<u8>> {
    let text = text(item)?;
    let Ok(length) = u16::try_from(text.len()) else {
        item.error(format!("{:?} has a text of {} bytes; 65535 is the most", item.key, text.len()));
        return None;
    };
    Some([&length.to_be_bytes()[..], &text].concat())
}

/// RFC 9915, section 21.17: enterprise number, options.
fn vendor_options(item: &Item<'_>) -> Option<Vec<u8>> {
    let section = item.section(&VENDOR)?;
    let enterprise = enterprise(&section);
    let data = section.require("hex", HEX)?;
    let bytes = hex(&data)?;
    // Each has a code and a length like an option of a message.
    let mut reader = Reader::new(&bytes);
    while !reader.is_empty() {
        let body = reader.u16().and_then(|_| reader.u16()).and_then(|len| reader.take(len.into()));
        if body.is_none() {
            data.error(
                "\"hex\" is not a list of options; write each with a code and a length of two bytes \
                 before its data (RFC 9915)",
            );
            return None;
        }
    }
    Some([&enterprise?.to_be_bytes()[..], &bytes].concat())
}

fn enterprise(section: &Section<'_>) -> Option<u32> {
    section.require("enterprise", ENTERPRISE)?.number::<u32>(0, u32::MAX.into())
}

/// RFC 3925, sections 3 and 4: enterprise number, length, data.
fn vendor(item: &Item<'_>) -> Option<Vec<u8>> {
    let section = item.section(&VENDOR)?;
    let enterprise = enterprise(&section);
    let data = section.require("hex", HEX)?;
    let bytes = hex(&data)?;
    let Ok(length) = u8::try_from(bytes.len()) else {
        data.error(format!("\"hex\" has {} bytes; a vendor's data have 255 at most", bytes.len()));
        return None;
    };
    Some([&enterprise?.to_be_bytes()[..], &[length], &bytes].concat())
}

const VENDOR: Keys = Keys { place: " of a vendor", known: &["enterprise", "hex"], later: &[] };
const ENTERPRISE: Form = Form { what: "an enterprise's number", like: "4491" };
const HEX: Form = Form { what: "bytes in hexadecimal", like: "\"0104c0a80001\"" };
