//! One file of `networks.d`: reads its parts and joins them into a [`Network`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

use sha2::{Digest, Sha256};

use super::boot;
use super::diagnostics::File;
use super::ipv4::{self, Ipv4Part};
use super::ipv6::{self, Ipv6Part};
use super::option;
use super::section::{At, Item, Keys, Section};
use super::services;
use super::values::{
    BRIDGE, DURATION, Family, INTERFACE, LINK_LOCAL, NETWORK_NAME, TEMPLATE, TEXT, domain,
    duration, list, mtu, network_name, seconds, server_address, withhold,
};
use super::vm;
use super::{daemon_file, ipv6::is_link_local};
use crate::network::{
    Common, Consume, Gateway, HostnameTemplate, Ipv4Network, Ipv6Network, Lifetime, Match, Network,
    OnDecline, PoolAddress, PoolRange,
};
use crate::wire::Mac;

/// A network, and what other files must be compared with.
#[derive(Debug)]
pub(super) struct NetworkFile {
    pub(super) network: Network,
    /// Where its name stands.
    pub(super) name: Range<usize>,
    /// What it gives out.
    pub(super) claims: Vec<Claim>,
}

/// Addresses that a network gives out, by a range or by a reservation.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) first: IpAddr,
    pub(super) last: IpAddr,
    pub(super) span: Range<usize>,
}

impl Claim {
    pub(super) fn new<A: Family + Into<IpAddr>>(range: &At<PoolRange<A>>) -> Self {
        let PoolRange { first, last } = *range.get_ref();
        Self { first: first.into(), last: last.into(), span: range.span() }
    }
}

/// A section that a network may have.
#[derive(Debug)]
pub(super) enum Part<T> {
    /// It is not in the file.
    Absent,
    /// It has errors, which are noted.
    Broken,
    /// It is checked.
    Checked(T),
}

impl<T> Part<T> {
    pub(super) fn checked(&self) -> Option<&T> {
        match self {
            Self::Checked(part) => Some(part),
            Self::Absent | Self::Broken => None,
        }
    }

    pub(super) fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Returns the part for a network: the outer `None` says that it has errors.
    fn settled(self) -> Option<Option<T>> {
        match self {
            Self::Absent => Some(None),
            Self::Broken => None,
            Self::Checked(part) => Some(Some(part)),
        }
    }
}

/// Reads the file; `None`: it has errors, which are noted.
pub(super) fn read(file: &File) -> Option<NetworkFile> {
    let (table, faults) = toml::de::DeTable::parse_recoverable(file.text());
    super::note_syntax(file, &faults)?;
    let root = Section::root(file, &table, &ROOT);

    let name_item = root.require("name", NETWORK_NAME);
    let name = name_item.as_ref().and_then(network_name);
    let has_ipv6 = root.get("ipv6").is_some();
    let common = common(&root, has_ipv6);
    let matcher = matcher(&root);
    let hostname = hostname(&root);
    let on_decline = on_decline(&root);
    let consume = consume(&root);

    let vms = root.sections("vm", &vm::KEYS);
    let options = option::read(&root, &ROOT_OPTION);
    let reserves_ipv6 = vms.iter().any(|vm| vm.get("ipv6").is_some());
    let ipv4 =
        part(&root, "ipv4", &ipv4::KEYS, |section| ipv4::read(section, options.ipv4.clone()));
    let ipv6 = part(&root, "ipv6", &ipv6::KEYS, |section| {
        ipv6::read(section, options.ipv6.clone(), reserves_ipv6)
    });
    if ipv4.is_absent() && ipv6.is_absent() {
        root.error("the network has neither [ipv4] nor [ipv6]; add one of them with its subnet");
    }
    options.refuse_for_absent(&ipv4, &ipv6);
    let gateway = gateway(&root, &ipv4, &ipv6);
    let boot = boot::read(&root, !ipv4.is_absent()).unwrap_or_default();
    let entries = vm::read(&vms, &ipv4, &ipv6);

    let mut claims = entries.claims;
    claims.extend(ipv4.checked().iter().flat_map(|part| &part.ranges).map(Claim::new));
    claims.extend(ipv6.checked().iter().flat_map(|part| &part.ranges).map(Claim::new));
    claims.extend(ipv6.checked().iter().flat_map(|part| &part.delegated).map(Claim::new));

    let (name, vms) = (name?, entries.entries);
    let ipv4 = ipv4.settled()?.map(|part| {
        let mut network = part.network;
        let reserved = vms.iter().flat_map(|entry| entry.ipv4.iter().copied());
        withhold(&mut network.pool, part.used.into_iter().map(|(a, _)| a).chain(reserved));
        network
    });
    let ipv6 = ipv6.settled()?.map(|part| {
        let mut network = part.network;
        let reserved = vms.iter().flat_map(|entry| entry.ipv6.iter().copied());
        withhold(&mut network.pool, part.used.into_iter().map(|(a, _)| a).chain(reserved));
        if let Some(delegation) = &mut network.delegation {
            delegation.reserved = vms.iter().filter_map(|entry| entry.prefix).collect();
        }
        network
    });
    let gateway = gateway.finish(&name.to_string(), ipv4.as_ref(), ipv6.as_ref());
    let reclaim_after = reclaim_after(&root, ipv4.as_ref(), ipv6.as_ref());
    let network = Network {
        name,
        matcher,
        hostname: hostname.unwrap_or_default(),
        common,
        gateway,
        ipv4,
        ipv6,
        boot,
        on_decline,
        consume,
        reclaim_after,
        vms: vms.into(),
    };
    warn_if_it_serves_nobody(&root, &network);
    let name = name_item.map_or(0..0, |item| item.span);
    Some(NetworkFile { network, name, claims })
}

fn part<T>(
    root: &Section<'_>,
    key: &'static str,
    keys: &'static Keys,
    read: impl FnOnce(&Section<'_>) -> Option<T>,
) -> Part<T> {
    let Some(item) = root.get(key) else {
        return Part::Absent;
    };
    item.section(keys).and_then(|section| read(&section)).map_or(Part::Broken, Part::Checked)
}

fn common(root: &Section<'_>, has_ipv6: bool) -> Common {
    Common {
        domain: root.get("domain").and_then(|item| domain(&item)),
        search: list(root, "search", domain).unwrap_or_default(),
        dns: list(root, "dns", server_address).unwrap_or_default(),
        ntp: list(root, "ntp", server_address).unwrap_or_default(),
        mtu: root.get("mtu").and_then(|item| mtu(&item, has_ipv6)),
        captive_portal: services::captive_portal(root),
        resolvers: services::resolvers(root).unwrap_or_default(),
    }
}

fn hostname(root: &Section<'_>) -> Option<HostnameTemplate> {
    let item = root.get("hostname")?;
    let text = item.text(TEMPLATE)?;
    HostnameTemplate::new(text)
        .map_err(|placeholder| {
            item.error(format!(
                "\"hostname\" has {placeholder:?}, which is no placeholder; write {{vm}}, \
                 {{namespace}}, {{name}} or {{nic}}"
            ));
        })
        .ok()
}

fn on_decline(root: &Section<'_>) -> OnDecline {
    let choices = [("keep", OnDecline::Keep), ("reassign", OnDecline::Reassign)];
    root.get("on-decline").and_then(|item| item.choice(&choices, &[])).unwrap_or_default()
}

fn consume(root: &Section<'_>) -> Consume {
    let choices = [Consume::Off, Consume::Nft, Consume::OpenFlow].map(|one| (one.as_str(), one));
    root.get("consume").and_then(|item| item.choice(&choices, &[])).unwrap_or_default()
}

/// Reads how long a VM must be unseen before its addresses may go to another: not shorter than its
/// guest may use them without a word.
fn reclaim_after(
    root: &Section<'_>,
    ipv4: Option<&Ipv4Network>,
    ipv6: Option<&Ipv6Network>,
) -> Option<u32> {
    let item = root.get("reclaim-after")?;
    if item.text(DURATION)? == "never" {
        return None;
    }
    let reclaim_after = seconds(&item, 1, Lifetime::INFINITE.0 - 1)?;
    let ipv4 = ipv4.map(|ipv4| (ipv4.lease_time, "lease-time"));
    let ipv6 = ipv6.map(|ipv6| (ipv6.valid_lifetime, "valid-lifetime"));
    for (Lifetime(used), key) in ipv4.into_iter().chain(ipv6) {
        if reclaim_after < used {
            item.error(format!(
                "reclaim-after is {} and {key} {}, in which a guest need not be heard; write \
                 {} or more, or \"never\"",
                duration(reclaim_after),
                duration(used),
                if used == Lifetime::INFINITE.0 { "\"never\"".to_owned() } else { duration(used) },
            ));
        }
    }
    Some(reclaim_after)
}

fn matcher(root: &Section<'_>) -> Match {
    let Some(section) = root.get("match").and_then(|item| item.section(&MATCH)) else {
        return Match::default();
    };
    let text = |key, form| section.get(key).and_then(|item| daemon_file::filled(&item, form));
    let external_ids: BTreeMap<String, String> = section
        .entries("external-ids")
        .iter()
        .filter_map(|item| Some((item.key.to_owned(), item.text(TEXT)?.to_owned())))
        .collect();
    Match {
        bridge: text("bridge", BRIDGE),
        vlan: section.get("vlan").and_then(|item| item.number(1, 4_094)),
        interface: text("interface", INTERFACE),
        external_ids,
    }
}

/// `[gateway]` before the network's addresses are settled.
#[derive(Debug, Default)]
struct GatewayKeys {
    mac: Option<Mac>,
    answer: Option<bool>,
    answer_ping: Option<bool>,
    announce: Option<bool>,
    retire: Vec<Ipv6Addr>,
}

fn gateway(root: &Section<'_>, ipv4: &Part<Ipv4Part>, ipv6: &Part<Ipv6Part>) -> GatewayKeys {
    let Some(section) = root.get("gateway").and_then(|item| item.section(&GATEWAY)) else {
        return GatewayKeys::default();
    };
    let mac = section.get("mac");
    let has_router = |part: Option<bool>| part.unwrap_or(true);
    let has_ipv4 =
        has_router(ipv4.checked().map(|part| part.network.gateway.is_some())) && !ipv4.is_absent();
    let has_ipv6 =
        has_router(ipv6.checked().map(|part| part.network.gateway.is_some())) && !ipv6.is_absent();
    let standing_in = |key: &'static str| {
        let item = section.get(key)?;
        let wanted = item.boolean()?;
        if wanted && mac.is_none() {
            item.error(format!(
                "{key} = true needs the gateway's MAC, which is the same on every node; add mac \
                 to [gateway] or leave {key} out"
            ));
        } else if wanted && !has_ipv4 && !has_ipv6 {
            item.error(format!(
                "{key} = true needs a gateway; add gateway to [ipv4] or [ipv6], or leave {key} out"
            ));
        }
        Some(wanted)
    };
    let current = ipv6.checked().and_then(|part| part.network.gateway);
    let retire = list(&section, "retire", |item| retired(item, current, ipv6.is_absent()));
    let answer = standing_in("answer");
    let answer_ping = standing_in("answer-ping");
    if let (Some(false), Some(true), Some(item)) = (answer, answer_ping, section.get("answer-ping"))
    {
        item.error(
            "answer-ping = true needs answer = true, without which pings go to the gateway itself; \
             write the same for both",
        );
    }
    GatewayKeys {
        answer,
        answer_ping,
        announce: standing_in("announce"),
        retire: retire.unwrap_or_default(),
        mac: mac.and_then(|item| daemon_file::unicast_mac(&item)),
    }
}

fn retired(item: &Item<'_>, current: Option<Ipv6Addr>, no_ipv6: bool) -> Option<Ipv6Addr> {
    let router = item.parse::<Ipv6Addr>(LINK_LOCAL)?.into_inner();
    if no_ipv6 {
        item.error("\"retire\" needs [ipv6]; add it or leave \"retire\" out");
    } else if !is_link_local(router) {
        item.error(format!(
            "\"retire\" has {router}, which is not link-local; write one like {}",
            LINK_LOCAL.like
        ));
    } else if Some(router) == current {
        item.error(format!(
            "\"retire\" has {router}, which is today's gateway; leave it out or change the gateway"
        ));
    }
    Some(router)
}

impl GatewayKeys {
    fn finish(self, name: &str, ipv4: Option<&Ipv4Network>, ipv6: Option<&Ipv6Network>) -> Gateway {
        let gateway_of_ipv6 = ipv6.and_then(|ipv6| ipv6.gateway);
        let derived = || match ipv4 {
            Some(ipv4) => locally_made(ipv4.server_id.octets()),
            // The same on every node, and different from the gateway's own: it is only a sender's
            // address. Without any gateway the network's name stands in.
            None => locally_made(hashed(
                &gateway_of_ipv6.map_or_else(|| name.to_owned(), |gateway| gateway.to_string()),
            )),
        };
        Gateway {
            source_mac: self.mac.unwrap_or_else(derived),
            mac_given: self.mac.is_some(),
            answer: self.answer.unwrap_or(self.mac.is_some()),
            answer_ping: self.answer_ping.unwrap_or(false),
            announce: self.announce.unwrap_or(self.mac.is_some()),
            retire: self.retire,
        }
    }
}

/// Makes a locally administered MAC out of four bytes.
fn locally_made([a, b, c, d]: [u8; 4]) -> Mac {
    Mac([0x0a, 0x58, a, b, c, d])
}

fn hashed(text: &str) -> [u8; 4] {
    let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

fn warn_if_it_serves_nobody(root: &Section<'_>, network: &Network) {
    use crate::network::AddressMode;
    let has_range = network.ipv4.as_ref().is_some_and(|ipv4| !ipv4.pool.ranges.is_empty())
        || network
            .ipv6
            .as_ref()
            .is_some_and(|ipv6| !ipv6.pool.ranges.is_empty() || ipv6.delegation.is_some());
    let advertises = network.ipv6.as_ref().is_some_and(|ipv6| match ipv6.mode {
        AddressMode::Stateless | AddressMode::Slaac => true,
        AddressMode::Stateful => false,
    });
    if !has_range && !advertises && network.vms.is_empty() {
        root.file.warn(
            root.span.clone(),
            format!(
                "network {:?} has no ranges and no [[vm]], so nobody is served; add one of them",
                network.name.as_str()
            ),
        );
        return;
    }
    let unserved = |key: &'static str, family: &str| {
        if let Some(item) = root.get(key) {
            let text = format!(
                "[{key}] has no ranges, and no [[vm]] an {family} address: no VM is given one but by \
                 `leasehold leases reserve`; add ranges or a [[vm]]"
            );
            root.file.warn(item.span, text);
        }
    };
    if let Some(ipv4) = &network.ipv4
        && ipv4.pool.ranges.is_empty()
        && network.vms.iter().all(|vm| vm.ipv4.is_empty())
    {
        unserved("ipv4", "IPv4");
    }
    if let Some(ipv6) = &network.ipv6
        && ipv6.mode == AddressMode::Stateful
        && ipv6.pool.ranges.is_empty()
        && ipv6.delegation.is_none()
        && network.vms.iter().all(|vm| vm.ipv6.is_empty())
    {
        unserved("ipv6", "IPv6");
    }
}

/// Returns an address's place among all of its family, for comparisons.
pub(super) fn number_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_number(),
        IpAddr::V6(address) => address.to_number(),
    }
}

pub(super) const ROOT: Keys = Keys {
    place: "",
    known: &[
        "name",
        "domain",
        "hostname",
        "mtu",
        "dns",
        "search",
        "ntp",
        "captive-portal",
        "dnr",
        "consume",
        "on-decline",
        "reclaim-after",
        "match",
        "gateway",
        "ipv4",
        "ipv6",
        "boot",
        "option",
        "vm",
    ],
    later: &[],
};
const ROOT_OPTION: Keys = option::keys(" in [[option]]");
pub(super) const MATCH: Keys = Keys {
    place: " in [match]",
    known: &["bridge", "vlan", "interface", "external-ids"],
    later: &[],
};
pub(super) const GATEWAY: Keys = Keys {
    place: " in [gateway]",
    known: &["mac", "answer", "answer-ping", "announce", "retire"],
    later: &[],
};
