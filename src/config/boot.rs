//! `[boot]` of a network file, and `boot` of a `[[vm]]`: the rules of network boot.

use std::net::Ipv4Addr;
use std::sync::Arc;

use super::section::{Item, Keys, Section, nearest};
use super::values::{Form, IPV4};
use crate::network::{
    Architecture, BootRule, BootUrl, MAX_PARAMS, MAX_RULES, MAX_SERVER_NAME, MAX_TEXT, is_host_name,
};

/// Reads the rules of `boot`, if the table has it; what has an error is noted and left out.
pub(super) fn read(section: &Section<'_>, has_ipv4: bool) -> Option<Arc<[BootRule]>> {
    let item = section.get("boot")?;
    let rules = item.section(&BOOT)?.sections("rule", &RULE);
    if rules.len() > MAX_RULES {
        item.error(format!(
            "\"boot\" has {} rules, and every request is compared with all; keep it to {MAX_RULES}",
            rules.len()
        ));
    }
    let mut read: Vec<BootRule> = Vec::new();
    // The line of the first rule that fits every client.
    let mut last_reached = None;
    for section in rules {
        let rule = rule(&section);
        let line = section.file.line_of(section.span.start);
        if let Some(before) = last_reached {
            section.file.warn(
                section.span.clone(),
                format!(
                    "this boot rule is never reached, since the one in line {before} fits every \
                     client; put it before that one"
                ),
            );
        }
        // A DHCPv6 client takes a URL and nothing else (RFC 5970).
        let gives_nothing = if has_ipv4 { rule.gives_nothing() } else { rule.url.is_none() };
        if gives_nothing {
            let what = if has_ipv4 { "file or url" } else { "url" };
            section.file.warn(
                section.span.clone(),
                format!("this boot rule gives its clients nothing; add {what}"),
            );
        }
        if last_reached.is_none() && rule.fits_all() {
            last_reached = Some(line);
        }
        read.push(rule);
    }
    Some(read.into())
}

fn rule(section: &Section<'_>) -> BootRule {
    let own_server = section.get("next-server").and_then(|item| next_server(&item));
    let (tftp_server, tftp_addresses) = tftp_servers(section);
    // One of the two is enough: whichever a client looks at is there.
    let next_server = own_server.or(tftp_addresses.first().copied());
    let both = section.get("tftp-server").is_none().then_some(own_server).flatten();
    BootRule {
        architectures: members(section, "arch").iter().flat_map(architectures).collect(),
        vendor_classes: classes(section, "vendor-class"),
        user_classes: classes(section, "user-class"),
        ipxe: section.get("ipxe").and_then(|item| item.boolean()),
        next_server,
        server_name: section.get("sname").and_then(|item| text(&item, SERVER_NAME)),
        tftp_server: tftp_server.or(both.map(|address| address.to_string())),
        tftp_addresses: match both {
            Some(address) => vec![address],
            None => tftp_addresses,
        },
        file: section.get("file").and_then(|item| text(&item, FILE)),
        path_prefix: section.get("path-prefix").and_then(|item| text(&item, PATH_PREFIX)),
        url: section.get("url").and_then(|item| url(&item)),
        params: params(section),
    }
}

/// Returns the values of a key that holds one or a list; an empty list is an error, since it could
/// mean none as well as any.
fn members<'a>(section: &Section<'a>, key: &'static str) -> Vec<Item<'a>> {
    let Some(item) = section.get(key) else {
        return Vec::new();
    };
    let members = item.one_or_many();
    if item.is_empty_list() {
        item.error(format!("{key:?} is an empty list; give it a value or leave it out"));
    }
    members
}

/// Reads an architecture's name or number.
fn architectures(item: &Item<'_>) -> Vec<Architecture> {
    let Some(name) = item.as_str() else {
        return item.number(0, u16::MAX.into()).map(Architecture).into_iter().collect();
    };
    let known = Architecture::named(name);
    if known.is_none() {
        let names: Vec<&'static str> = Architecture::names().collect();
        item.error(format!(
            "\"arch\" has {name:?}, which is no known architecture; the nearest one is {:?}, or \
             give IANA's number",
            nearest(name, &names)
        ));
    }
    known.unwrap_or_default().to_vec()
}

fn classes(section: &Section<'_>, key: &'static str) -> Vec<String> {
    members(section, key).iter().filter_map(|item| text(item, CLASS)).collect()
}

/// Reads a text that ends up in a message, and has room there.
fn text(item: &Item<'_>, (form, most): (Form, usize)) -> Option<String> {
    let text = item.text(form)?;
    if text.is_empty() || text.chars().any(char::is_control) {
        item.error_form(text, form);
        return None;
    }
    if text.len() > most {
        item.error(format!(
            "{:?} is {} bytes long, which its field has no room for; keep it to {most}",
            item.key,
            text.len()
        ));
        return None;
    }
    Some(text.to_owned())
}

/// Reads what option 60 gives to the booted file (RFC 5970, section 3.2).
fn params(section: &Section<'_>) -> Vec<String> {
    let members = members(section, "params");
    let read: Vec<String> = members.iter().filter_map(|item| text(item, PARAM)).collect();
    let length = read.iter().fold(0_usize, |sum, param| sum.saturating_add(param.len() + 2));
    if let Some(item) = section.get("params").filter(|_| length > MAX_PARAMS) {
        item.error(format!(
            "\"params\" take {length} bytes with their lengths; keep them to {MAX_PARAMS}"
        ));
    }
    if let Some(item) = section.get("params").filter(|_| section.get("url").is_none()) {
        item.error("\"params\" go with a url; add url or leave \"params\" out");
    }
    read
}

fn next_server(item: &Item<'_>) -> Option<Ipv4Addr> {
    let address = item.parse::<Ipv4Addr>(IPV4)?.into_inner();
    host_address(item, address)
}

fn host_address(item: &Item<'_>, address: Ipv4Addr) -> Option<Ipv4Addr> {
    if address.is_unspecified() || address.is_broadcast() || address.is_multicast() {
        item.error(format!(
            "{:?} has {address}, which is no server's address; write one like {}",
            item.key, IPV4.like
        ));
        return None;
    }
    Some(address)
}

/// Reads `tftp-server`: the text of option 66, and the addresses of option 150.
fn tftp_servers(section: &Section<'_>) -> (Option<String>, Vec<Ipv4Addr>) {
    let (mut first, mut addresses) = (None, Vec::new());
    for item in members(section, "tftp-server") {
        let Some(text) = item.text(TFTP_SERVER) else {
            continue;
        };
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            if host_address(&item, address).is_none() {
                continue;
            }
            addresses.push(address);
        } else if !is_host_name(text) || text.len() > MAX_TEXT {
            item.error_form(text, TFTP_SERVER);
            continue;
        } else if first.is_some() {
            // RFC 2132, section 9.4 and RFC 5859: one name, but many addresses.
            item.error(format!(
                "\"tftp-server\" has the name {text:?} behind another server; only the first may \
                 be a name"
            ));
            continue;
        }
        first.get_or_insert_with(|| text.to_owned());
    }
    (first, addresses)
}

fn url(item: &Item<'_>) -> Option<BootUrl> {
    let text = item.text(URL)?;
    match text.parse() {
        Ok(url) => Some(url),
        Err(fault) => {
            item.error(format!(
                "\"url\" has {text:?}, which is no boot file's URL: {fault}; write one like {}",
                URL.like
            ));
            None
        }
    }
}

pub(super) const BOOT: Keys = Keys { place: " in [boot]", known: &["rule"], later: &[] };
pub(super) const RULE: Keys = Keys {
    place: " in [[boot.rule]]",
    known: &[
        "arch",
        "vendor-class",
        "user-class",
        "ipxe",
        "next-server",
        "sname",
        "tftp-server",
        "file",
        "path-prefix",
        "url",
        "params",
    ],
    later: &[],
};

const CLASS: (Form, usize) = (Form { what: "a class or a glob", like: "\"PXEClient*\"" }, MAX_TEXT);
const FILE: (Form, usize) = (Form { what: "a file's name", like: "\"ipxe.efi\"" }, MAX_TEXT);
const PATH_PREFIX: (Form, usize) = (Form { what: "a path's begin", like: "\"/boot/\"" }, MAX_TEXT);
const PARAM: (Form, usize) = (Form { what: "a parameter", like: "\"console=ttyS0\"" }, MAX_TEXT);
const SERVER_NAME: (Form, usize) =
    (Form { what: "a server's name", like: "\"boot.example\"" }, MAX_SERVER_NAME);
const TFTP_SERVER: Form =
    Form { what: "a TFTP server's address or name", like: "\"10.20.0.5\" or \"boot.example\"" };
const URL: Form = Form { what: "a URL", like: "\"http://10.20.0.5/ipxe.efi\"" };
