//! `[[option]]` and `[[vm.option]]`: any option by its code, or by its name, encoded once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use dhcproto::{Decodable, Decoder, v4, v6};

use super::diagnostics::File;
use super::ipv4::Ipv4Part;
use super::ipv6::Ipv6Part;
use super::network_file::Part;
use super::option_kind::hex;
use super::option_names::{self, IpFamily, Known};
use super::section::{Item, Keys, Section};
use super::values::{Form, IPV4, IPV6, TEXT, domain};
use crate::network::RawOption;

/// The options of a network or of a VM, family by family.
#[derive(Debug)]
pub(super) struct Options<'a> {
    pub(super) ipv4: Vec<RawOption>,
    pub(super) ipv6: Vec<RawOption>,
    file: &'a File,
    /// Where each entry stands, and its family.
    entries: Vec<(Range<usize>, IpFamily)>,
}

/// Reads the tables of `option`.
pub(super) fn read<'a>(section: &Section<'a>, keys: &'static Keys) -> Options<'a> {
    let mut options =
        Options { ipv4: Vec::new(), ipv6: Vec::new(), file: section.file, entries: Vec::new() };
    for entry in section.sections("option", keys) {
        let Some(family) = family(&entry) else {
            continue;
        };
        options.entries.push((entry.span.clone(), family));
        let Some(option) = option(&entry, family) else {
            continue;
        };
        let list = match family {
            IpFamily::V4 => &mut options.ipv4,
            IpFamily::V6 => &mut options.ipv6,
        };
        if list.iter().any(|other| other.code == option.code) {
            entry.error(format!(
                "option {} of this family is set twice; keep one of them",
                option.code
            ));
        }
        list.push(option);
    }
    options
}

impl Options<'_> {
    /// Notes the options of a family that the network does not have.
    pub(super) fn refuse_for_absent(&self, ipv4: &Part<Ipv4Part>, ipv6: &Part<Ipv6Part>) {
        for (span, family) in &self.entries {
            let (is_absent, number, section) = match family {
                IpFamily::V4 => (ipv4.is_absent(), 4, "[ipv4]"),
                IpFamily::V6 => (ipv6.is_absent(), 6, "[ipv6]"),
            };
            if is_absent {
                self.file.error(
                    span.clone(),
                    format!(
                        "an option of family {number} needs {section}; add it or leave this out"
                    ),
                );
            }
        }
    }
}

fn family(entry: &Section<'_>) -> Option<IpFamily> {
    let item = entry.require("family", FAMILY)?;
    match item.number::<u8>(4, 6)? {
        4 => Some(IpFamily::V4),
        6 => Some(IpFamily::V6),
        other => {
            item.error(format!("\"family\" is {other}; write 4 or 6"));
            None
        }
    }
}

fn option(entry: &Section<'_>, family: IpFamily) -> Option<RawOption> {
    let (code, body) = match entry.get("name") {
        Some(name) => {
            let known = known(entry, &name, family);
            let body = known.and_then(|known| named_body(entry, known));
            (known.map(|known| known.code), body)
        }
        None => {
            let code = entry.require("code", CODE).and_then(|item| code(&item, family));
            (code, body(entry, family))
        }
    };
    if let (Some(code), Some(body)) = (code, &body)
        && let Some(name) = misfit(family, code, body)
    {
        entry.error(format!(
            "option {code} ({name}) cannot be read from this value; give it the type and length \
             that its RFC says"
        ));
        return None;
    }
    let always = match entry.get("always") {
        Some(item) => item.boolean(),
        None => Some(false),
    };
    Some(RawOption { code: code?, body: body?.into(), always: always? })
}

fn code(item: &Item<'_>, family: IpFamily) -> Option<u16> {
    let (most, own) = match family {
        IpFamily::V4 => (254, OWN_DHCPV4),
        IpFamily::V6 => (65_535, OWN_DHCPV6),
    };
    let code = item.number(1, most)?;
    if own.contains(&code) {
        item.error(format!(
            "option {code} belongs to the protocol itself and cannot be set by code; leave it out"
        ));
        return None;
    }
    Some(code)
}

/// Finds the option that is named in the place of a code.
fn known(entry: &Section<'_>, name: &Item<'_>, family: IpFamily) -> Option<&'static Known> {
    if entry.get("code").is_some() {
        name.error("the option has \"code\" and \"name\"; give one of them");
        return None;
    }
    let text = name.text(NAME)?;
    option_names::find(text, family).map_err(|fault| name.error(fault)).ok()
}

/// Reads the one value, by the key that its type has, by "value" or as "hex".
fn named_body(entry: &Section<'_>, known: &'static Known) -> Option<Vec<u8>> {
    let item = value(entry, NAMED_VALUES)?;
    let body = match item.key {
        "hex" => hex(&item),
        key if key == "value" || Some(key) == known.kind.key() => {
            known.kind.encode(&item.named(known.name()))
        }
        key => {
            let right = known.kind.key().unwrap_or("value");
            item.error(format!(
                "{key:?} is not the type of option {:?}; write {right:?}",
                known.name()
            ));
            None
        }
    };
    body.filter(|body| fits(&item, body))
}

/// Returns the one value that is given.
fn value<'a>(entry: &Section<'a>, keys: &[&'static str]) -> Option<Item<'a>> {
    let mut given = keys.iter().filter_map(|key| entry.get(key));
    let Some(item) = given.next() else {
        entry.error(format!("the option has no value; give one of {}", keys.join(", ")));
        return None;
    };
    if let Some(other) = given.next() {
        other.error(format!(
            "the option has {:?} and {:?}; give one value only",
            item.key, other.key
        ));
        return None;
    }
    Some(item)
}

fn body(entry: &Section<'_>, family: IpFamily) -> Option<Vec<u8>> {
    if let Some(item) = entry.get("value") {
        item.error(format!("\"value\" goes with \"name\"; give one of {}", VALUES.join(", ")));
        return None;
    }
    let item = value(entry, VALUES)?;
    let body = match item.key {
        "hex" => hex(&item)?,
        "ip" => each(&item, |item| address(item, family))?,
        "text" => item.text(TEXT)?.as_bytes().to_vec(),
        "u8" => item.number::<u8>(0, u8::MAX.into())?.to_be_bytes().to_vec(),
        "u16" => item.number::<u16>(0, u16::MAX.into())?.to_be_bytes().to_vec(),
        "u32" => item.number::<u32>(0, u32::MAX.into())?.to_be_bytes().to_vec(),
        "domain" => each(&item, |item| {
            let mut bytes = Vec::new();
            domain(item)?.encode(&mut bytes);
            Some(bytes)
        })?,
        // What is left of `VALUES`: "bool".
        _ => vec![u8::from(item.boolean()?)],
    };
    fits(&item, &body).then_some(body)
}

/// Notes a body that no message has room for.
pub(super) fn fits(item: &Item<'_>, body: &[u8]) -> bool {
    let fits = body.len() <= MAX_BODY;
    if !fits {
        item.error(format!(
            "the option is {} bytes long, which no message has room for; keep it to {MAX_BODY}",
            body.len()
        ));
    }
    fits
}

/// Reads the body as a client would, if dhcproto knows the option's form. Returns the option's name
/// if it cannot be read to its end.
fn misfit(family: IpFamily, code: u16, body: &[u8]) -> Option<String> {
    let read = || match family {
        // dhcproto reads one address where RFC 5859 has a list.
        IpFamily::V4 if code == TFTP_SERVERS => None,
        IpFamily::V4 => misfit_dhcpv4(u8::try_from(code).ok()?, body),
        IpFamily::V6 => misfit_dhcpv6(code, body),
    };
    // dhcproto's arithmetic may panic on a body that is too short: a misfit as well.
    std::panic::catch_unwind(read).unwrap_or_else(|_| Some("a known one".to_owned()))
}

fn misfit_dhcpv4(code: u8, body: &[u8]) -> Option<String> {
    let name = v4::OptionCode::from(code);
    // A longer one is split over several (RFC 3396), which dhcproto joins elsewhere.
    let length = u8::try_from(body.len()).ok()?;
    let bytes = [&[code, length], body].concat();
    let mut decoder = Decoder::new(&bytes);
    let option = v4::DhcpOption::decode(&mut decoder);
    let fits = option.is_ok() && decoder.buffer().is_empty();
    (!fits).then(|| format!("{name:?}"))
}

fn misfit_dhcpv6(code: u16, body: &[u8]) -> Option<String> {
    let name = v6::OptionCode::from(code);
    let length = u16::try_from(body.len()).ok()?;
    let bytes = [&code.to_be_bytes()[..], &length.to_be_bytes(), body].concat();
    let mut decoder = Decoder::new(&bytes);
    let option = v6::DhcpOption::decode(&mut decoder);
    let fits = option.is_ok() && decoder.buffer().is_empty();
    (!fits).then(|| format!("{name:?}"))
}

/// Encodes one value or a list of them, one behind the other.
fn each(item: &Item<'_>, encode: impl Fn(&Item<'_>) -> Option<Vec<u8>>) -> Option<Vec<u8>> {
    let parts: Vec<Option<Vec<u8>>> = item.one_or_many().iter().map(encode).collect();
    parts.into_iter().collect::<Option<Vec<_>>>().map(|parts| parts.concat())
}

fn address(item: &Item<'_>, family: IpFamily) -> Option<Vec<u8>> {
    let address: IpAddr = match family {
        IpFamily::V4 => item.parse::<Ipv4Addr>(IPV4)?.into_inner().into(),
        IpFamily::V6 => item.parse::<Ipv6Addr>(IPV6)?.into_inner().into(),
    };
    Some(match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    })
}

/// Returns the keys of an option's table, for the list that `place` names.
pub(super) const fn keys(place: &'static str) -> Keys {
    Keys {
        place,
        known: &[
            "family", "code", "name", "always", "value", "hex", "ip", "text", "u8", "u16", "u32",
            "domain", "bool",
        ],
        later: &[],
    }
}

/// The keys that hold a value, of which one is given.
const VALUES: &[&str] = &["hex", "ip", "text", "u8", "u16", "u32", "domain", "bool"];
const NAMED_VALUES: &[&str] = &["value", "hex", "ip", "text", "u8", "u16", "u32", "domain", "bool"];

const FAMILY: Form = Form { what: "an address family", like: "4 or 6" };
const CODE: Form = Form { what: "an option's code", like: "43" };
const NAME: Form = Form { what: "an option's name", like: "\"tftp-server-name\"" };

/// RFC 5859.
const TFTP_SERVERS: u16 = 150;

/// Requested address, lease time, overload, message type, server id, parameter list, message,
/// largest size, T1, T2, client id (RFC 2132), rapid commit (RFC 4039), relay information
/// (RFC 3046): made from the exchange or from `[ipv4]`.
const OWN_DHCPV4: &[u16] = &[50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 61, 80, 82];

/// Client id, server id, IA_NA, IA_TA, IA Address, option request, preference, elapsed time, relay
/// message, authentication, unicast, status, rapid commit, interface id, reconfigure, IA_PD and
/// IA Prefix (RFC 9915): made from the exchange or from `[ipv6]`.
const OWN_DHCPV6: &[u16] = &[1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 18, 19, 20, 25, 26];

/// A bound that leaves room for the other options in one message.
const MAX_BODY: usize = 1_024;
