//! What one NIC is given: the joined values of template, `[[vm]]` entry and lease.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};

use super::{BootRule, CaptivePortal, DomainName, EncryptedResolver, Hostname};
use crate::wire::Mac;

/// Everything that a port tells its guest, in plain values.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Options 12, 81 and 39.
    pub hostname: Option<Hostname>,
    /// Option 15.
    pub domain: Option<DomainName>,
    /// Options 119 and 24, DNSSL. Holds the domain if the template names no list.
    pub search: Vec<DomainName>,
    /// Options 6 and 23, RDNSS; both families in one list.
    pub dns: Vec<IpAddr>,
    /// Options 42 and 56; both families in one list.
    pub ntp: Vec<IpAddr>,
    /// Option 26 and the RA's MTU.
    pub mtu: Option<u16>,
    /// Options 114 and 103, Captive-Portal in the RA.
    pub captive_portal: Option<CaptivePortal>,
    /// Options 162 and 144, Encrypted DNS in the RA; the lowest priority first.
    pub resolvers: Vec<EncryptedResolver>,
    /// What network boot is given: the first rule that fits the request.
    pub boot: Arc<[BootRule]>,
    /// The router's side.
    pub gateway: Gateway,
    /// DHCPv4; `None` if the network has no `[ipv4]`.
    pub ipv4: Option<Ipv4Parameters>,
    /// DHCPv6 and RA; `None` if the network has no `[ipv6]`.
    pub ipv6: Option<Ipv6Parameters>,
    /// Option 2 of DHCPv6: a DUID-UUID (RFC 6355), type included.
    pub server_duid: [u8; 18],
}

/// `[gateway]`: how we stand in for the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The Ethernet source of everything we send.
    pub source_mac: Mac,
    /// Whether `source_mac` is the gateway's: the admin gave `mac`. Only then does the RA carry a
    /// source link-layer address option.
    pub mac_given: bool,
    /// Whether ARP and NS for the gateway are answered on the port.
    pub answer: bool,
    /// Whether the gateway's echo requests are answered.
    pub answer_ping: bool,
    /// Whether an arrival is followed by GARP and NA for the gateway.
    pub announce: bool,
    /// Old routers that are withdrawn on arrival.
    pub retire: Vec<Ipv6Addr>,
}

/// What DHCPv4 says to one NIC.
#[derive(Debug, Clone, PartialEq)]
pub struct Ipv4Parameters {
    /// The subnet: options 1 and 28.
    pub subnet: Ipv4Net,
    /// Option 3.
    pub gateway: Option<Ipv4Addr>,
    /// Option 54 and the IPv4 source of our datagrams.
    pub server_id: Ipv4Addr,
    /// `yiaddr`; `None`: DHCPv4 is silent for this NIC.
    pub address: Option<Ipv4Addr>,
    /// Option 51.
    pub lease_time: Lifetime,
    /// Option 58.
    pub renew_time: Option<u32>,
    /// Option 59.
    pub rebind_time: Option<u32>,
    /// Option 1.
    pub mask: Mask,
    /// Options 121 and 249.
    pub routes: Vec<Ipv4Route>,
    /// Whether option 80 is honoured.
    pub rapid_commit: bool,
    /// Option 108, in seconds.
    pub ipv6_only_wait: Option<u32>,
    /// Option 116.
    pub auto_configure: Option<bool>,
    /// Options set by name or code; they replace the row of the same code.
    pub options: Vec<RawOption>,
}

/// What DHCPv6 and router advertisements say to one NIC.
#[derive(Debug, Clone, PartialEq)]
pub struct Ipv6Parameters {
    /// The subnet; also the first prefix of the RA.
    pub subnet: Ipv6Net,
    /// The router's link-local address; `None`: the RA's router lifetime is 0.
    pub gateway: Option<Ipv6Addr>,
    /// The IPv6 source of everything we send: the gateway, else made from our MAC.
    pub link_local: Ipv6Addr,
    /// The address of the first IA_NA; `None`: NoAddrsAvail.
    pub address: Option<Ipv6Addr>,
    /// The delegated prefix; `None`: NoPrefixAvail.
    pub delegated: Option<Ipv6Net>,
    /// How guests get their addresses; it decides M, O and A (clauses F3, F4).
    pub mode: AddressMode,
    /// Preferred lifetime of the address and of the subnet's prefix.
    pub preferred_lifetime: Lifetime,
    /// Valid lifetime of the address and of the subnet's prefix.
    pub valid_lifetime: Lifetime,
    /// T1.
    pub renew_time: Lifetime,
    /// T2.
    pub rebind_time: Lifetime,
    /// Whether option 14 is honoured.
    pub rapid_commit: bool,
    /// Option 7.
    pub server_preference: Option<u8>,
    /// Option 32.
    pub information_refresh_time: Option<u32>,
    /// Option 82, in seconds.
    pub solicit_max_retry: Option<u32>,
    /// Option 83, in seconds.
    pub information_max_retry: Option<u32>,
    /// Further prefixes of the RA.
    pub prefixes: Vec<PrefixInformation>,
    /// Route information options (RFC 4191).
    pub routes: Vec<Ipv6Route>,
    /// The rest of the router advertisement.
    pub ra: RouterAdvertisement,
    /// DHCPv6 options set by code; they replace the row of the same code.
    pub options: Vec<RawOption>,
}

/// A lifetime in whole seconds; `u32::MAX` is infinity (RFC 2131, section 3.3; RFC 9915, 7.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lifetime(pub u32);

impl Lifetime {
    /// For ever.
    pub const INFINITE: Self = Self(u32::MAX);
}

/// What option 1 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mask {
    /// The subnet's mask.
    #[default]
    Subnet,
    /// 255.255.255.255, with the routes that then are needed in option 121.
    Host,
}

/// One route of option 121.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Route {
    /// The destination.
    pub to: Ipv4Net,
    /// The router; 0.0.0.0: on link.
    pub via: Ipv4Addr,
}

/// One route information option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Route {
    /// The destination.
    pub to: Ipv6Net,
    /// How it ranks beside other routers'.
    pub preference: RouterPreference,
    /// For how long it holds, in seconds.
    pub lifetime: Lifetime,
}

/// How guests get their IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressMode {
    /// By DHCPv6: M=1 O=1 A=0, if the NIC has an address.
    Stateful,
    /// By SLAAC, the rest by DHCPv6: M=0 O=1 A=1.
    Stateless,
    /// By SLAAC, the rest by RA: M=0 O=0 A=1; DHCPv6 is silent.
    Slaac,
}

/// RFC 4191, section 2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RouterPreference {
    /// 01.
    High,
    /// 00.
    #[default]
    Medium,
    /// 11.
    Low,
}

/// A prefix information option (RFC 4861, section 4.6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixInformation {
    /// The prefix.
    pub prefix: Ipv6Net,
    /// The L flag.
    pub on_link: bool,
    /// The A flag.
    pub autonomous: bool,
    /// Preferred lifetime; 0 deprecates the prefix.
    pub preferred_lifetime: Lifetime,
    /// Valid lifetime.
    pub valid_lifetime: Lifetime,
}

/// `[ipv6.ra]`, defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterAdvertisement {
    /// Router lifetime in seconds; 0: not a default router.
    pub router_lifetime: u16,
    /// Current hop limit; 0: unspecified.
    pub hop_limit: u8,
    /// Default router preference.
    pub preference: RouterPreference,
    /// Shortest and longest time between unsolicited advertisements, in seconds; `None`: off.
    pub interval: Option<(u16, u16)>,
    /// Lifetime of RDNSS and DNSSL (RFC 8106: at least three of the longest intervals).
    pub dns_lifetime: Lifetime,
    /// PREF64: how guests without IPv4 reach IPv4 (RFC 8781).
    pub pref64: Option<Pref64>,
}

/// The prefix of a NAT64, of one of the six lengths that PREF64 can say (RFC 8781, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pref64 {
    /// The prefix.
    pub prefix: Ipv6Net,
    /// For how long it holds, in seconds; it is sent in steps of 8 s, 65,528 at most.
    pub lifetime: u16,
}

/// A DHCP option by its code, encoded when the files were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawOption {
    /// The option code; at most 254 for DHCPv4.
    pub code: u16,
    /// The option's data.
    pub body: Box<[u8]>,
    /// Whether it is sent even to a client that did not ask.
    pub always: bool,
}
