//! Network boot: which rule fits a message, and which options it then gives.
//!
//! The rules are those of DHCPv4; what a DHCPv6 client is given is a URL (RFC 5970), so a rule
//! without one that IPv6 can reach gives nothing here. UEFI's HTTP boot takes only an answer whose
//! vendor class says `HTTPClient` (UEFI 2.10, section 24.7).

use super::message::ClientMessage;
use super::options::{Encoded, Form, Sent, Within, code};
use crate::network::{Architecture, BootRule, BootUrl, matches_bytes};
use crate::wire::bytes::Reader;

/// The boot rules of one NIC, encoded.
#[derive(Debug)]
pub(super) struct Boot(Vec<Rule>);

impl Boot {
    /// Encodes `rules`.
    pub(super) fn new(rules: &[BootRule]) -> Self {
        Self(rules.iter().map(Rule::new).collect())
    }

    /// Returns what the first rule that fits gives: options that go before the NIC's, each code
    /// once.
    pub(super) fn given(&self, message: &ClientMessage<'_>) -> &[Encoded] {
        let Some(rule) = self.0.iter().find(|rule| rule.fits(message)) else { return &[] };
        match rule.options.as_slice() {
            [others @ .., Encoded { code: code::VENDOR_CLASS, .. }] if !is_http(message) => others,
            all => all,
        }
    }
}

/// One rule, encoded.
#[derive(Debug)]
struct Rule {
    architectures: Vec<Architecture>,
    /// Globs over the whole class.
    vendor_classes: Vec<Box<[u8]>>,
    user_classes: Vec<Box<[u8]>>,
    ipxe: Option<bool>,
    /// The vendor class is the last of them, if it is there.
    options: Vec<Encoded>,
}

impl Rule {
    fn new(rule: &BootRule) -> Self {
        let url = rule.url.as_ref().filter(|url| url.may_be_reached_over_ipv6());
        Self {
            architectures: rule.architectures.clone(),
            // The beginning is enough: what follows are numbers of versions.
            vendor_classes: globs(&rule.vendor_classes, b"*"),
            user_classes: globs(&rule.user_classes, b""),
            ipxe: rule.ipxe,
            options: url.map(|url| options(url, &rule.params)).unwrap_or_default(),
        }
    }

    /// Tells whether every condition holds.
    fn fits(&self, message: &ClientMessage<'_>) -> bool {
        (self.architectures.is_empty() || self.fits_architecture(message))
            && (self.vendor_classes.is_empty()
                || vendor_classes(message).any(|class| any(&self.vendor_classes, class)))
            && (self.user_classes.is_empty()
                || user_classes(message).any(|class| any(&self.user_classes, class)))
            && self.ipxe.is_none_or(|wanted| wanted == is_ipxe(message))
    }

    /// RFC 5970, section 3.3: the client may name several, each of 16 bits.
    fn fits_architecture(&self, message: &ClientMessage<'_>) -> bool {
        let (named, _) = message.architectures.unwrap_or_default().as_chunks();
        named
            .iter()
            .any(|bytes| self.architectures.contains(&Architecture(u16::from_be_bytes(*bytes))))
    }
}

/// Encodes what a rule with this URL gives.
fn options(url: &BootUrl, params: &[String]) -> Vec<Encoded> {
    let option = |code, sent, body: Vec<u8>| Encoded {
        code,
        within: Within::Configuration,
        sent,
        form: Form::Plain,
        body: body.into(),
    };
    let with_length = |text: &str| {
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        [&length.to_be_bytes(), text.as_bytes()].concat()
    };
    let mut options = vec![option(code::BOOT_URL, Sent::Requested, url.as_str().into())];
    if !params.is_empty() {
        let body = params.iter().flat_map(|param| with_length(param)).collect();
        options.push(option(code::BOOT_PARAMS, Sent::Requested, body));
    }
    let class = [&INTEL.to_be_bytes(), with_length(HTTP_CLIENT).as_slice()].concat();
    options.push(option(code::VENDOR_CLASS, Sent::Always, class));
    options
}

/// iPXE names itself in the user class.
fn is_ipxe(message: &ClientMessage<'_>) -> bool {
    user_classes(message).any(|class| class == b"iPXE")
}

fn is_http(message: &ClientMessage<'_>) -> bool {
    vendor_classes(message).any(|class| class.starts_with(HTTP_CLIENT.as_bytes()))
}

/// Returns the classes of option 15 (RFC 9915, section 21.15).
fn user_classes<'a>(message: &ClientMessage<'a>) -> impl Iterator<Item = &'a [u8]> {
    texts(message.user_class.unwrap_or_default())
}

/// Returns the classes of option 16 behind its enterprise number (RFC 9915, section 21.16).
fn vendor_classes<'a>(message: &ClientMessage<'a>) -> impl Iterator<Item = &'a [u8]> {
    let behind = message.vendor_class.and_then(|body| body.split_first_chunk::<4>());
    texts(behind.map(|(_, classes)| classes).unwrap_or_default())
}

/// Takes a list of texts apart, each behind its length; it ends where one is cut.
fn texts(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader::new(list);
    std::iter::from_fn(move || {
        let length = reader.u16()?;
        reader.take(length.into())
    })
}

/// Returns the patterns as bytes, each with `end` behind it.
fn globs(patterns: &[String], end: &[u8]) -> Vec<Box<[u8]>> {
    patterns.iter().map(|pattern| [pattern.as_bytes(), end].concat().into()).collect()
}

fn any(globs: &[Box<[u8]>], class: &[u8]) -> bool {
    globs.iter().any(|glob| matches_bytes(glob, class))
}

/// What the vendor class of an HTTP client begins with.
const HTTP_CLIENT: &str = "HTTPClient";

/// The enterprise number under which PXE and UEFI keep their classes.
const INTEL: u32 = 343;
