//! `captive-portal` and `dnr` of a network file, for all or for one VM.

use std::net::IpAddr;

use super::section::{Item, Keys, Section};
use super::values::{DOMAIN, Form, domain, list, server_address};
use crate::network::{CaptivePortal, EncryptedResolver, ServiceParameters};

/// Reads the URI of a captive portal's API.
pub(super) fn captive_portal(section: &Section<'_>) -> Option<CaptivePortal> {
    let item = section.get("captive-portal")?;
    let text = item.text(URI)?;
    text.parse().map_err(|fault| item.error(format!("captive-portal {text:?}: {fault}"))).ok()
}

/// Reads the encrypted resolvers and puts the first to be tried first; `None`: the key is not there.
pub(super) fn resolvers(section: &Section<'_>) -> Option<Vec<EncryptedResolver>> {
    let item = section.get("dnr")?;
    let sections = section.sections("dnr", &RESOLVER);
    let mut resolvers: Vec<_> = sections.iter().filter_map(resolver).collect();
    resolvers.sort_by_key(|resolver| resolver.priority);
    let length: usize = resolvers.iter().map(length).sum();
    if length > MOST {
        item.error(format!(
            "the resolvers take {length} bytes, which no message has room for; keep them to {MOST}"
        ));
    }
    Some(resolvers)
}

fn resolver(section: &Section<'_>) -> Option<EncryptedResolver> {
    let name = section.require("name", DOMAIN).and_then(|item| domain(&item));
    let addresses = list(section, "addresses", host_address).unwrap_or_default();
    let priority = match section.get("priority") {
        // RFC 9460, section 2.4.2: 0 is for aliases, of which there are none here.
        Some(item) => item.number(1, u16::MAX.into()),
        None => Some(1),
    };
    let params_item = section.get("params");
    let params = match &params_item {
        Some(item) => params(item),
        None => Some(ServiceParameters::default()),
    };
    // RFC 9463, section 3.1.6: without addresses guests look up the parameters too.
    let without_addresses = section.get("addresses").is_none_or(|item| item.items().is_empty());
    if let Some(item) = params_item.filter(|_| without_addresses) {
        item.error("\"params\" need \"addresses\"; give them, or leave \"params\" out");
        return None;
    }
    let params = params?;
    if !without_addresses && params.is_empty() {
        section.error("a resolver with addresses needs \"params\"; write some like \"alpn=dot\"");
        return None;
    }
    Some(EncryptedResolver { name: name?, addresses, priority: priority?, params })
}

fn params(item: &Item<'_>) -> Option<ServiceParameters> {
    let text = item.text(PARAMS)?;
    text.parse().map_err(|fault| item.error(format!("\"params\": {fault}"))).ok()
}

/// RFC 9463, section 3.1.8: guests ignore multicast and loopback addresses.
fn host_address(item: &Item<'_>) -> Option<IpAddr> {
    let address = server_address(item)?;
    if address.is_multicast() || address.is_loopback() {
        item.error(format!("{:?} has {address}, which is no host's; write another", item.key));
        return None;
    }
    Some(address)
}

/// Returns the length in the form of RFC 9463, section 6.1, the longest of the three; as if every
/// address were of IPv6.
fn length(resolver: &EncryptedResolver) -> usize {
    let addresses = resolver.addresses.len().saturating_mul(16);
    let variable = [resolver.encoded_name().len(), addresses, resolver.params.bytes().len()];
    variable.iter().fold(14, |sum: usize, length| sum.saturating_add(*length))
}

const URI: Form = Form { what: "a URI", like: "\"https://portal.example/api\"" };
const PARAMS: Form = Form { what: "service parameters", like: "\"alpn=dot\"" };
/// Leaves room for the other options in a router advertisement of 1,280 bytes.
const MOST: usize = 512;
const RESOLVER: Keys =
    Keys { place: " in \"dnr\"", known: &["name", "addresses", "priority", "params"], later: &[] };
