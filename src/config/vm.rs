//! `[[vm]]` of a network file: reservations and overrides.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv6Net;

use super::boot;
use super::delegation;
use super::ipv4::{self, Ipv4Part};
use super::ipv6::{self, Ipv6Part, is_autonomous};
use super::network_file::{Claim, Part};
use super::option;
use super::option_names::{self, IpFamily};
use super::section::{At, Item, Keys, Section};
use super::services;
use super::values::{Family, HOSTNAME, NIC, VM, domain, list, mtu, name, server_address};
use crate::lease::{NicName, VmId};
use crate::network::{Hostname, PoolRange, VmEntry, overlap};

/// The entries, and what they give out.
#[derive(Debug, Default)]
pub(super) struct Entries {
    pub(super) entries: Vec<VmEntry>,
    pub(super) claims: Vec<Claim>,
    /// Where each VM and NIC stands.
    seen: HashMap<(VmId, Option<NicName>), usize>,
    ipv4: Reserved<Ipv4Addr>,
    ipv6: Reserved<Ipv6Addr>,
    prefixes: Vec<At<Ipv6Net>>,
}

/// Where each address of one family is reserved.
type Reserved<A> = HashMap<A, usize>;

/// What a reservation must keep to; `None`: the section has errors of its own.
#[derive(Debug, Clone, Copy)]
struct Bounds<'a, A: Family> {
    subnet: A::Net,
    used: &'a [(A, &'static str)],
}

/// Reads every entry; what has an error is noted and left out.
pub(super) fn read(
    sections: &[Section<'_>],
    ipv4: &Part<Ipv4Part>,
    ipv6: &Part<Ipv6Part>,
) -> Entries {
    let mut entries = Entries::default();
    for section in sections {
        if let Some(entry) = entries.entry(section, ipv4, ipv6) {
            entries.entries.push(entry);
        }
    }
    entries
}

impl Entries {
    fn entry(
        &mut self,
        section: &Section<'_>,
        ipv4: &Part<Ipv4Part>,
        ipv6: &Part<Ipv6Part>,
    ) -> Option<VmEntry> {
        let id_item = section.require("id", VM);
        let id: Option<VmId> = id_item.as_ref().and_then(|item| name(item, VM));
        let nic: Option<NicName> = section.get("nic").and_then(|item| name(&item, NIC));
        if let (Some(item), Some(id)) = (&id_item, &id) {
            self.refuse_duplicate(item, id, nic.as_ref());
        }
        let mut options = option::read(section, &OPTION);
        options.refuse_for_absent(ipv4, ipv6);
        if ipv4.is_absent() {
            refuse_options(section, IPV4_OPTIONS, "[ipv4]");
        } else {
            option_names::read(section, IPV4_OPTIONS, IpFamily::V4, &mut options.ipv4);
        }
        if ipv6.is_absent() {
            refuse_options(section, IPV6_OPTIONS, "[ipv6]");
        } else {
            option_names::read(section, IPV6_OPTIONS, IpFamily::V6, &mut options.ipv6);
        }
        let entry = VmEntry {
            ipv4: self.ipv4_addresses(section, ipv4),
            ipv6: self.ipv6_addresses(section, ipv6),
            prefix: self.prefix(section, ipv6),
            hostname: section.get("hostname").and_then(|item| hostname(&item)),
            domain: section.get("domain").and_then(|item| domain(&item)),
            search: list(section, "search", domain),
            dns: list(section, "dns", server_address),
            ntp: list(section, "ntp", server_address),
            mtu: section.get("mtu").and_then(|item| mtu(&item, !ipv6.is_absent())),
            captive_portal: services::captive_portal(section),
            resolvers: services::resolvers(section),
            routes: routes(section, ipv4),
            boot: boot::read(section, !ipv4.is_absent()),
            ipv4_options: options.ipv4,
            ipv6_options: options.ipv6,
            nic,
            id: id?,
        };
        Some(entry)
    }

    fn refuse_duplicate(&mut self, item: &Item<'_>, id: &VmId, nic: Option<&NicName>) {
        let key = (id.clone(), nic.cloned());
        if let Some(first) = self.seen.insert(key, item.span.start) {
            let first = item.file.line_of(first);
            let nic = nic.map_or_else(|| "without nic".to_owned(), |nic| format!("with nic {nic}"));
            item.error(format!(
                "VM {id} {nic} is named twice, first in line {first}; join the two entries"
            ));
        }
    }

    fn ipv4_addresses(&mut self, section: &Section<'_>, ipv4: &Part<Ipv4Part>) -> Vec<Ipv4Addr> {
        let bounds = ipv4
            .checked()
            .map(|part| Bounds { subnet: part.network.subnet, used: part.used.as_slice() });
        let items = section.get("ipv4").map(|item| addresses(&item, ipv4.is_absent(), bounds));
        self.claim(items.unwrap_or_default(), |entries| &mut entries.ipv4)
    }

    fn ipv6_addresses(&mut self, section: &Section<'_>, ipv6: &Part<Ipv6Part>) -> Vec<Ipv6Addr> {
        let bounds = ipv6
            .checked()
            .map(|part| Bounds { subnet: part.network.subnet, used: part.used.as_slice() });
        let Some(item) = section.get("ipv6") else {
            return Vec::new();
        };
        if let Some(part) = ipv6.checked()
            && is_autonomous(part.network.mode)
        {
            item.error(format!(
                "a reserved IPv6 address is not used with mode {:?}, in which guests make their \
                 own; leave it out or write mode = \"stateful\"",
                ipv6::word(part.network.mode)
            ));
        }
        let items = addresses(&item, ipv6.is_absent(), bounds);
        self.claim(items, |entries| &mut entries.ipv6)
    }

    /// Reads the reserved prefix, which no other entry's may overlap.
    fn prefix(&mut self, section: &Section<'_>, ipv6: &Part<Ipv6Part>) -> Option<Ipv6Net> {
        let prefix = delegation::reservation(section, ipv6)?;
        let (net, span) = (*prefix.get_ref(), prefix.span());
        if let Some(first) = self.prefixes.iter().find(|other| overlap(*other.get_ref(), net)) {
            let line = section.file.line_of(first.span().start);
            section.file.error(
                span,
                format!(
                    "prefix \"{net}\" overlaps \"{}\", reserved in line {line}; give every VM its \
                     own",
                    first.get_ref()
                ),
            );
            return None;
        }
        self.claims.push(Claim::new(&At::new(span, delegation::range_of(net))));
        self.prefixes.push(prefix);
        Some(net)
    }

    /// Notes addresses that an entry before this one reserves too, and keeps the rest.
    fn claim<A: Family + Into<IpAddr>>(
        &mut self,
        items: Vec<(Item<'_>, A)>,
        reserved: impl Fn(&mut Self) -> &mut Reserved<A>,
    ) -> Vec<A> {
        let mut kept = Vec::new();
        for (item, address) in items {
            if let Some(first) = reserved(self).insert(address, item.span.start) {
                let first = item.file.line_of(first);
                item.error(format!(
                    "address {address} is reserved twice, first in line {first}; give every VM its \
                     own"
                ));
                continue;
            }
            let range: At<PoolRange<A>> = item.at(PoolRange { first: address, last: address });
            self.claims.push(Claim::new(&range));
            kept.push(address);
        }
        kept
    }
}

fn addresses<'a, A: Family>(
    item: &Item<'a>,
    no_section: bool,
    bounds: Option<Bounds<'_, A>>,
) -> Vec<(Item<'a>, A)> {
    if no_section {
        item.error(format!(
            "{:?} needs {} in this network; add it or leave {:?} out",
            item.key,
            A::SECTION,
            item.key
        ));
        return Vec::new();
    }
    let read = |item: Item<'a>| {
        let address = item.parse::<A>(A::ADDRESS)?.into_inner();
        if let Some(bounds) = bounds {
            check(&item, address, bounds)?;
        }
        Some((item, address))
    };
    item.one_or_many().into_iter().filter_map(read).collect()
}

fn check<A: Family>(item: &Item<'_>, address: A, bounds: Bounds<'_, A>) -> Option<()> {
    if !address.is_in(&bounds.subnet) {
        item.error(format!(
            "address {address} is not inside the subnet; reserve one of {}",
            bounds.subnet
        ));
        return None;
    }
    if let Some((_, what)) = bounds.used.iter().find(|(used, _)| *used == address) {
        item.error(format!("address {address} is {what}; reserve another one"));
        return None;
    }
    Some(())
}

fn routes(section: &Section<'_>, ipv4: &Part<Ipv4Part>) -> Option<Vec<crate::network::Ipv4Route>> {
    if let Some(item) = section.get("routes").filter(|_| ipv4.is_absent()) {
        item.error("\"routes\" needs [ipv4] in this network; add it or leave \"routes\" out");
        return None;
    }
    ipv4::routes(section, "routes", ipv4.checked().map(|part| part.network.subnet))
}

/// Reads a host name that needs no change to be a label (RFC 1123, section 2.1).
fn hostname(item: &Item<'_>) -> Option<Hostname> {
    let text = item.text(HOSTNAME)?;
    let sanitized = Hostname::sanitize(text);
    let fits = |name: &Hostname| name.as_str() == text.to_ascii_lowercase();
    match sanitized {
        Some(name) if fits(&name) => Some(name),
        Some(name) => {
            item.error(format!("{text:?} is not a host name; write \"{name}\""));
            None
        }
        None => {
            item.error_form(text, HOSTNAME);
            None
        }
    }
}

/// Notes options by name of a family that the network does not have.
fn refuse_options(section: &Section<'_>, key: &'static str, family: &str) {
    if let Some(item) = section.get(key) {
        item.error(format!("{key:?} needs {family} in this network; add it or leave {key:?} out"));
    }
}

pub(super) const KEYS: Keys = Keys {
    place: " in [[vm]]",
    known: &[
        "id",
        "nic",
        "ipv4",
        "ipv6",
        "hostname",
        "domain",
        "search",
        "dns",
        "ntp",
        "mtu",
        "captive-portal",
        "dnr",
        "routes",
        "boot",
        "option",
        "prefix",
        IPV4_OPTIONS,
        IPV6_OPTIONS,
    ],
    later: &[],
};
const OPTION: Keys = option::keys(" in [[vm.option]]");
/// `[vm.ipv4-options]`: what `[ipv4.options]` is for the network; "ipv4" is the address here.
const IPV4_OPTIONS: &str = "ipv4-options";
/// `[vm.ipv6-options]`: the same of DHCPv6.
const IPV6_OPTIONS: &str = "ipv6-options";
