//! The options that are sent: one row an option, and the values of one NIC.
//!
//! A row says when its option may be sent, what asks for it, how soon it is left out, and how it is
//! made. Bodies are made once, when the port's binding is; a reply copies them. To add an option,
//! add a row: its place in [`ROWS`] is its place in a reply to a client that names no options.
//!
//! RFC 2132, RFC 2563, RFC 3397, RFC 3442, RFC 8910, RFC 8925, RFC 9463.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use smallvec::SmallVec;

use super::{encode, fqdn};
use crate::network::{Ipv4Parameters, Ipv4Route, Mask, Parameters, RawOption};

/// One option: what is known of it before any NIC is.
#[derive(Debug)]
pub(super) struct Row {
    /// The option code.
    code: u8,
    /// dhcproto's name where it has one.
    name: &'static str,
    /// Which replies may hold it.
    when: When,
    /// What makes a reply hold it.
    demand: Demand,
    /// How long it is kept when not everything fits.
    priority: Priority,
    /// Makes the option's data; `None`: there is nothing to say.
    make: fn(&Parameters, &Ipv4Parameters) -> Option<Vec<u8>>,
}

/// Which replies may hold an option (RFC 2131, section 4.3.1, table 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Every reply, DHCPNAK as well.
    EveryReply,
    /// OFFER and ACK, the ACK to an INFORM as well.
    Configuration,
    /// OFFER and ACK that give a lease.
    Lease,
}

/// What makes a reply hold an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Demand {
    /// Nothing: it is always sent.
    Always,
    /// The client's list, or that the client sent none.
    ListedOrNoList,
    /// The client's list alone.
    Listed,
    /// That the client sent the option itself: option 116 (RFC 2563, section 2).
    SentByClient,
}

/// How long an option is kept when not everything fits; the first is kept longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Priority {
    /// Without it the message is wrong: never left out.
    Mandatory,
    /// Without it the guest has no network.
    Reachability,
    /// Without it the network is hard to use.
    Service,
    /// The guest can do without.
    Extra,
}

impl Priority {
    /// Every priority, in the order in which room is given.
    pub(super) const ALL: [Self; 4] =
        [Self::Mandatory, Self::Reachability, Self::Service, Self::Extra];
}

/// The options of one NIC, in the order of [`ROWS`], then those that only the files name.
#[derive(Debug)]
pub(super) struct OptionSet {
    /// No two have the same code.
    entries: Vec<Entry>,
    name: Option<fqdn::Name>,
}

/// One option of one NIC.
#[derive(Debug)]
pub(super) struct Entry {
    /// The option code.
    pub(super) code: u8,
    /// Which replies may hold it.
    pub(super) when: When,
    /// What makes a reply hold it.
    pub(super) demand: Demand,
    /// How long it is kept.
    pub(super) priority: Priority,
    /// The option's data, of any length. Most are short, and every port has a score of them.
    pub(super) body: SmallVec<[u8; 16]>,
}

impl OptionSet {
    /// Makes every option that `parameters` have a value for.
    pub(super) fn new(parameters: &Parameters, ipv4: &Ipv4Parameters) -> Self {
        let name = fqdn::Name::new(parameters);
        let mut set = Self { entries: Vec::new(), name };
        for row in ROWS {
            let Row { code, when, priority, .. } = *row;
            let raw = last_raw(ipv4, code);
            let body = match raw {
                Some(raw) => Some(raw.body.as_ref().into()),
                None => (row.make)(parameters, ipv4).map(|body| body.as_slice().into()),
            };
            // A host mask is of no use without its routes.
            let needs_routes = ipv4.mask == Mask::Host && code == code::CLASSLESS_ROUTES;
            let always = needs_routes || raw.is_some_and(|raw| raw.always);
            let demand = if always { Demand::Always } else { row.demand };
            if let Some(body) = body {
                set.entries.push(Entry { code, when, demand, priority, body });
            }
        }
        for code in ipv4.options.iter().filter_map(|raw| u8::try_from(raw.code).ok()) {
            if set.has(code) {
                continue;
            }
            if let Some(raw) = last_raw(ipv4, code) {
                set.entries.push(Entry {
                    code,
                    when: When::Configuration,
                    demand: if raw.always { Demand::Always } else { Demand::ListedOrNoList },
                    priority: if raw.always { Priority::Service } else { Priority::Extra },
                    body: raw.body.as_ref().into(),
                });
            }
        }
        set.entries.shrink_to_fit();
        set
    }

    /// Returns all options.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    fn has(&self, code: u8) -> bool {
        self.entries.iter().any(|entry| entry.code == code)
    }

    /// Returns the name that option 81 is answered with; `None` if there is none, or if the files
    /// set the option by its code.
    pub(super) fn name(&self) -> Option<&fqdn::Name> {
        self.name.as_ref().filter(|_| !self.has(code::CLIENT_FQDN))
    }
}

/// Tells whether the files may set this option by its code.
///
/// The others are the protocol's own: their value depends on the exchange, or on what is served.
#[must_use]
pub const fn may_be_set(code: u8) -> bool {
    !matches!(
        code,
        code::PAD
            | code::REQUESTED_ADDRESS
            | code::OVERLOAD
            | code::MESSAGE_TYPE
            | code::SERVER_ID
            | code::PARAMETER_LIST
            | code::MESSAGE
            | code::MAX_MESSAGE_SIZE
            | code::CLIENT_ID
            | code::RAPID_COMMIT
            | code::AGENT_INFORMATION
            | code::END
    )
}

/// Returns the name of an option that has a row.
#[must_use]
pub fn option_name(code: u8) -> Option<&'static str> {
    ROWS.iter().find(|row| row.code == code).map(|row| row.name)
}

/// Returns what the files set this option to; the last one wins.
fn last_raw(ipv4: &Ipv4Parameters, code: u8) -> Option<&RawOption> {
    let raw = ipv4.options.iter().rev().find(|raw| raw.code == u16::from(code));
    raw.filter(|_| may_be_set(code))
}

fn subnet_mask(_: &Parameters, ipv4: &Ipv4Parameters) -> Option<Vec<u8>> {
    let mask = match ipv4.mask {
        Mask::Subnet => ipv4.subnet.netmask(),
        Mask::Host => Ipv4Addr::BROADCAST,
    };
    Some(mask.octets().to_vec())
}

fn router(_: &Parameters, ipv4: &Ipv4Parameters) -> Option<Vec<u8>> {
    ipv4.gateway.map(|gateway| gateway.octets().to_vec())
}

/// Makes the list of RFC 3442, default route included: a client that takes it ignores option 3.
fn classless_routes(_: &Parameters, ipv4: &Ipv4Parameters) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let mut add = |to, via| encode::push_route(&mut body, to, via);
    let says_something = match ipv4.mask {
        Mask::Subnet => !ipv4.routes.is_empty(),
        Mask::Host => true,
    };
    if let Some(gateway) = ipv4.gateway.filter(|_| says_something) {
        match ipv4.mask {
            Mask::Subnet => {}
            // 0.0.0.0: the gateway itself is on the link.
            Mask::Host => add(Ipv4Net::from(gateway), Ipv4Addr::UNSPECIFIED),
        }
        if !ipv4.routes.iter().any(|route| route.to.prefix_len() == 0) {
            add(Ipv4Net::default(), gateway);
        }
    }
    for Ipv4Route { to, via } in &ipv4.routes {
        add(*to, *via);
    }
    given(body)
}

fn dns_servers(parameters: &Parameters, _: &Ipv4Parameters) -> Option<Vec<u8>> {
    addresses(&parameters.dns)
}

fn host_name(parameters: &Parameters, _: &Ipv4Parameters) -> Option<Vec<u8>> {
    parameters.hostname.as_ref().map(|name| name.as_str().into())
}

fn domain_name(parameters: &Parameters, _: &Ipv4Parameters) -> Option<Vec<u8>> {
    parameters.domain.as_ref().map(|name| name.as_str().into())
}

fn interface_mtu(parameters: &Parameters, _: &Ipv4Parameters) -> Option<Vec<u8>> {
    parameters.mtu.map(|mtu| mtu.to_be_bytes().to_vec())
}

fn broadcast_address(_: &Parameters, ipv4: &Ipv4Parameters) -> Option<Vec<u8>> {
    match ipv4.mask {
        // RFC 3021: there is none in a subnet of two addresses or one.
        Mask::Subnet if ipv4.subnet.prefix_len() < 31 => {
            Some(ipv4.subnet.broadcast().octets().to_vec())
        }
        Mask::Subnet | Mask::Host => None,
    }
}

fn ntp_servers(parameters: &Parameters, _: &Ipv4Parameters) -> Option<Vec<u8>> {
    addresses(&parameters.ntp)
}

fn lease_time(_: &Parameters, ipv4: &Ipv4Parameters) -> Option<Vec<u8>> {
    Some(ipv4.lease_time.0.to_be_bytes().to_vec())
}

fn server_id(_: &Parameters, ipv4: &Ipv4Parameters) -> Option<Vec<u8>> {
    Some(ipv4.server_id.octets().to_vec())
}

fn renewal_time(_: &Parameters, ipv4: &Ipv4Parameters) -> Option<Vec<u8>> {
    ipv4.renew_time.map(|seconds| seconds.to_be_bytes().to_vec())
}

fn rebinding_time(_: &Parameters, ipv4: &Ipv4Parameters) -> Option<Vec<u8>> {
    ipv4.rebind_time.map(|seconds| seconds.to_be_bytes().to_vec())
}

fn domain_search(parameters: &Parameters, _: &Ipv4Parameters) -> Option<Vec<u8>> {
    given(encode::search_list(&parameters.search))
}

fn ipv6_only_wait(_: &Parameters, ipv4: &Ipv4Parameters) -> Option<Vec<u8>> {
    ipv4.ipv6_only_wait.map(|seconds| seconds.to_be_bytes().to_vec())
}

fn auto_configure(_: &Parameters, ipv4: &Ipv4Parameters) -> Option<Vec<u8>> {
    ipv4.auto_configure.map(|may| vec![u8::from(may)])
}

fn captive_portal(parameters: &Parameters, _: &Ipv4Parameters) -> Option<Vec<u8>> {
    parameters.captive_portal.as_ref().map(|portal| portal.as_str().into())
}

fn encrypted_resolvers(parameters: &Parameters, _: &Ipv4Parameters) -> Option<Vec<u8>> {
    given(encode::encrypted_resolvers(&parameters.resolvers))
}

/// Returns the IPv4 addresses of a list of both families.
fn addresses(list: &[IpAddr]) -> Option<Vec<u8>> {
    given(encode::ipv4_of(list))
}

/// Returns the data if there are any: no list is sent empty.
fn given(body: Vec<u8>) -> Option<Vec<u8>> {
    Some(body).filter(|body| !body.is_empty())
}

/// The rows; a reply to a client that names no options holds them in this order.
const ROWS: &[Row] = &[
    Row {
        code: code::SERVER_ID,
        name: "ServerIdentifier",
        when: When::EveryReply,
        demand: Demand::Always,
        priority: Priority::Mandatory,
        make: server_id,
    },
    Row {
        code: code::LEASE_TIME,
        name: "AddressLeaseTime",
        when: When::Lease,
        demand: Demand::Always,
        priority: Priority::Mandatory,
        make: lease_time,
    },
    Row {
        code: code::SUBNET_MASK,
        name: "SubnetMask",
        when: When::Configuration,
        demand: Demand::Always,
        priority: Priority::Reachability,
        make: subnet_mask,
    },
    Row {
        // Before option 3: some clients take what comes first.
        code: code::CLASSLESS_ROUTES,
        name: "ClasslessStaticRoute",
        when: When::Configuration,
        demand: Demand::ListedOrNoList,
        priority: Priority::Reachability,
        make: classless_routes,
    },
    Row {
        // The same option under the code of old Windows versions, which name it.
        code: code::CLASSLESS_ROUTES_MICROSOFT,
        name: "ClasslessStaticRouteMicrosoft",
        when: When::Configuration,
        demand: Demand::Listed,
        priority: Priority::Extra,
        make: classless_routes,
    },
    Row {
        code: code::ROUTER,
        name: "Router",
        when: When::Configuration,
        demand: Demand::ListedOrNoList,
        priority: Priority::Reachability,
        make: router,
    },
    Row {
        code: code::DNS_SERVERS,
        name: "DomainNameServer",
        when: When::Configuration,
        demand: Demand::ListedOrNoList,
        priority: Priority::Service,
        make: dns_servers,
    },
    Row {
        code: code::HOST_NAME,
        name: "Hostname",
        when: When::Configuration,
        demand: Demand::ListedOrNoList,
        priority: Priority::Service,
        make: host_name,
    },
    Row {
        code: code::DOMAIN_NAME,
        name: "DomainName",
        when: When::Configuration,
        demand: Demand::ListedOrNoList,
        priority: Priority::Service,
        make: domain_name,
    },
    Row {
        code: code::INTERFACE_MTU,
        name: "InterfaceMtu",
        when: When::Configuration,
        demand: Demand::ListedOrNoList,
        priority: Priority::Reachability,
        make: interface_mtu,
    },
    Row {
        code: code::BROADCAST_ADDRESS,
        name: "BroadcastAddr",
        when: When::Configuration,
        demand: Demand::ListedOrNoList,
        priority: Priority::Extra,
        make: broadcast_address,
    },
    Row {
        code: code::NTP_SERVERS,
        name: "NtpServers",
        when: When::Configuration,
        demand: Demand::ListedOrNoList,
        priority: Priority::Extra,
        make: ntp_servers,
    },
    Row {
        code: code::RENEWAL_TIME,
        name: "Renewal",
        when: When::Lease,
        demand: Demand::Always,
        priority: Priority::Reachability,
        make: renewal_time,
    },
    Row {
        code: code::REBINDING_TIME,
        name: "Rebinding",
        when: When::Lease,
        demand: Demand::Always,
        priority: Priority::Reachability,
        make: rebinding_time,
    },
    Row {
        code: code::DOMAIN_SEARCH,
        name: "DomainSearch",
        when: When::Configuration,
        demand: Demand::ListedOrNoList,
        priority: Priority::Extra,
        make: domain_search,
    },
    Row {
        // RFC 8925, section 3.3: never to a client that does not list it.
        code: code::IPV6_ONLY_PREFERRED,
        name: "Ipv6OnlyPreferred",
        when: When::Configuration,
        demand: Demand::Listed,
        priority: Priority::Service,
        make: ipv6_only_wait,
    },
    Row {
        code: code::CAPTIVE_PORTAL,
        name: "CaptivePortal",
        when: When::Configuration,
        demand: Demand::ListedOrNoList,
        priority: Priority::Extra,
        make: captive_portal,
    },
    Row {
        code: code::AUTO_CONFIGURE,
        name: "DisableSLAAC",
        when: When::Configuration,
        demand: Demand::SentByClient,
        priority: Priority::Extra,
        make: auto_configure,
    },
    Row {
        code: code::ENCRYPTED_RESOLVERS,
        name: "EncryptedDnsServers",
        when: When::Configuration,
        demand: Demand::Listed,
        priority: Priority::Extra,
        make: encrypted_resolvers,
    },
];

/// Option codes (RFC 2132 unless said otherwise).
pub(super) mod code {
    pub(in crate::dhcpv4) const PAD: u8 = 0;
    pub(in crate::dhcpv4) const SUBNET_MASK: u8 = 1;
    pub(in crate::dhcpv4) const ROUTER: u8 = 3;
    pub(in crate::dhcpv4) const DNS_SERVERS: u8 = 6;
    pub(in crate::dhcpv4) const HOST_NAME: u8 = 12;
    pub(in crate::dhcpv4) const DOMAIN_NAME: u8 = 15;
    pub(in crate::dhcpv4) const INTERFACE_MTU: u8 = 26;
    pub(in crate::dhcpv4) const BROADCAST_ADDRESS: u8 = 28;
    pub(in crate::dhcpv4) const NTP_SERVERS: u8 = 42;
    pub(in crate::dhcpv4) const REQUESTED_ADDRESS: u8 = 50;
    pub(in crate::dhcpv4) const LEASE_TIME: u8 = 51;
    pub(in crate::dhcpv4) const OVERLOAD: u8 = 52;
    pub(in crate::dhcpv4) const MESSAGE_TYPE: u8 = 53;
    pub(in crate::dhcpv4) const SERVER_ID: u8 = 54;
    pub(in crate::dhcpv4) const PARAMETER_LIST: u8 = 55;
    pub(in crate::dhcpv4) const MESSAGE: u8 = 56;
    pub(in crate::dhcpv4) const MAX_MESSAGE_SIZE: u8 = 57;
    pub(in crate::dhcpv4) const RENEWAL_TIME: u8 = 58;
    pub(in crate::dhcpv4) const REBINDING_TIME: u8 = 59;
    pub(in crate::dhcpv4) const VENDOR_CLASS: u8 = 60;
    pub(in crate::dhcpv4) const CLIENT_ID: u8 = 61;
    pub(in crate::dhcpv4) const TFTP_SERVER_NAME: u8 = 66;
    pub(in crate::dhcpv4) const BOOT_FILE: u8 = 67;
    /// RFC 3004.
    pub(in crate::dhcpv4) const USER_CLASS: u8 = 77;
    /// RFC 4039.
    pub(in crate::dhcpv4) const RAPID_COMMIT: u8 = 80;
    /// RFC 4702.
    pub(in crate::dhcpv4) const CLIENT_FQDN: u8 = 81;
    /// RFC 3046.
    pub(in crate::dhcpv4) const AGENT_INFORMATION: u8 = 82;
    /// RFC 4578.
    pub(in crate::dhcpv4) const ARCHITECTURES: u8 = 93;
    /// RFC 4578.
    pub(in crate::dhcpv4) const MACHINE_ID: u8 = 97;
    /// RFC 8925.
    pub(in crate::dhcpv4) const IPV6_ONLY_PREFERRED: u8 = 108;
    /// RFC 8910.
    pub(in crate::dhcpv4) const CAPTIVE_PORTAL: u8 = 114;
    /// RFC 2563.
    pub(in crate::dhcpv4) const AUTO_CONFIGURE: u8 = 116;
    /// RFC 3397.
    pub(in crate::dhcpv4) const DOMAIN_SEARCH: u8 = 119;
    /// RFC 3442.
    pub(in crate::dhcpv4) const CLASSLESS_ROUTES: u8 = 121;
    /// RFC 5859.
    pub(in crate::dhcpv4) const TFTP_SERVER_ADDRESSES: u8 = 150;
    /// RFC 9463.
    pub(in crate::dhcpv4) const ENCRYPTED_RESOLVERS: u8 = 162;
    /// Etherboot's private code, which iPXE sends its own options in.
    pub(in crate::dhcpv4) const IPXE_OPTIONS: u8 = 175;
    /// RFC 5071.
    pub(in crate::dhcpv4) const PATH_PREFIX: u8 = 210;
    /// Microsoft's private code for RFC 3442.
    pub(in crate::dhcpv4) const CLASSLESS_ROUTES_MICROSOFT: u8 = 249;
    pub(in crate::dhcpv4) const END: u8 = 255;
}

/// No place: at most 254 codes can be set.
pub(super) const NO_PLACE: u8 = 255;
