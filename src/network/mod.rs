//! A checked network template, and what it gives to one NIC.
//!
//! A [`Network`] cannot be wrong: `config` makes it out of TOML, once. [`Network::parameters`]
//! joins it with a lease and with what `[[vm]]` overrides into [`Parameters`], the one source that
//! DHCPv4, DHCPv6 and router advertisements are all made from, so that they cannot disagree.

mod boot;
mod delegation;
mod entries;
mod glob;
mod join;
mod matching;
mod names;
mod parameters;
mod pool;
mod services;

pub use boot::{
    Architecture, BootRule, BootUrl, BootUrlError, MAX_PARAMS, MAX_RULES, MAX_SERVER_NAME,
    MAX_TEXT, is_host_name,
};
pub use delegation::{Delegation, overlap};
pub use entries::VmEntries;
pub use glob::{matches_bytes, matches_text};
pub use matching::{Match, choose};
pub use names::{DomainName, DomainNameError, Hostname, HostnameTemplate};
pub use parameters::{
    AddressMode, Gateway, Ipv4Parameters, Ipv4Route, Ipv6Parameters, Ipv6Route, Lifetime, Mask,
    Parameters, Pref64, PrefixInformation, RawOption, RouterAdvertisement, RouterPreference,
};
pub use pool::{Pool, PoolAddress, PoolRange};
pub use services::{CaptivePortal, EncryptedResolver, ServiceError, ServiceParameters};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ipnet::{Ipv4Net, Ipv6Net};

use crate::lease::{NetworkName, NicName, VmId};

/// One file of `networks.d`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// The template's name.
    pub name: NetworkName,
    /// Which ports it covers.
    pub matcher: Match,
    /// How a host name is made for a VM that names none.
    pub hostname: HostnameTemplate,
    /// What every NIC is given unless its `[[vm]]` entry says otherwise.
    pub common: Common,
    /// The router's side.
    pub gateway: Gateway,
    /// IPv4, if the network has it.
    pub ipv4: Option<Ipv4Network>,
    /// IPv6, if the network has it.
    pub ipv6: Option<Ipv6Network>,
    /// `[boot]`, in file order.
    pub boot: Arc<[BootRule]>,
    /// What a DECLINE does.
    pub on_decline: OnDecline,
    /// How requests are taken away from the switch.
    pub consume: Consume,
    /// How long a VM must be unseen on every node, in seconds, before a newcomer that finds the
    /// ranges full may have its addresses; `None`: for ever.
    pub reclaim_after: Option<u32>,
    /// `[[vm]]`, in file order.
    pub vms: VmEntries,
}

/// The values that both families share; a `[[vm]]` entry replaces them one by one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Common {
    /// Option 15.
    pub domain: Option<DomainName>,
    /// Options 119 and 24, DNSSL; empty: the domain alone.
    pub search: Vec<DomainName>,
    /// Options 6 and 23, RDNSS.
    pub dns: Vec<IpAddr>,
    /// Options 42 and 56.
    pub ntp: Vec<IpAddr>,
    /// Option 26 and the RA's MTU.
    pub mtu: Option<u16>,
    /// Options 114 and 103, Captive-Portal in the RA.
    pub captive_portal: Option<CaptivePortal>,
    /// Options 162 and 144, Encrypted DNS in the RA; the lowest priority first.
    pub resolvers: Vec<EncryptedResolver>,
}

/// `[ipv4]`, checked: gateway, server id and ranges lie where they may.
#[derive(Debug, Clone, PartialEq)]
pub struct Ipv4Network {
    /// The subnet that addresses and mask come from.
    pub subnet: Ipv4Net,
    /// Option 3.
    pub gateway: Option<Ipv4Addr>,
    /// Option 54, and the source of our datagrams.
    pub server_id: Ipv4Addr,
    /// Addresses for VMs without a reservation.
    pub pool: Pool<Ipv4Addr>,
    /// Option 51.
    pub lease_time: Lifetime,
    /// Option 58; `None` leaves it out, as an infinite lease does.
    pub renew_time: Option<u32>,
    /// Option 59; `None` leaves it out, as an infinite lease does.
    pub rebind_time: Option<u32>,
    /// Option 1: the subnet's mask, or a host mask with routes by option 121.
    pub mask: Mask,
    /// Option 121 (249).
    pub routes: Vec<Ipv4Route>,
    /// Whether option 80 is honoured.
    pub rapid_commit: bool,
    /// Option 108, in seconds.
    pub ipv6_only_wait: Option<u32>,
    /// Option 116.
    pub auto_configure: Option<bool>,
    /// Options set by name or code.
    pub options: Vec<RawOption>,
}

/// `[ipv6]`, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Ipv6Network {
    /// The subnet that addresses come from, and the first advertised prefix.
    pub subnet: Ipv6Net,
    /// The router's link-local address; none: we advertise no default router.
    pub gateway: Option<Ipv6Addr>,
    /// Addresses for VMs without a reservation.
    pub pool: Pool<Ipv6Addr>,
    /// `delegate`: the prefixes for IA_PD.
    pub delegation: Option<Delegation>,
    /// How guests get their addresses; it decides M, O and A.
    pub mode: AddressMode,
    /// Preferred lifetime of addresses and of the subnet's prefix.
    pub preferred_lifetime: Lifetime,
    /// Valid lifetime of addresses and of the subnet's prefix.
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
    /// `[[ipv6.prefix]]`: further prefixes, each with its own flags and lifetimes.
    pub prefixes: Vec<PrefixInformation>,
    /// Route information options (RFC 4191).
    pub routes: Vec<Ipv6Route>,
    /// The rest of the router advertisement.
    pub ra: RouterAdvertisement,
    /// Options set by code.
    pub options: Vec<RawOption>,
}

/// How the guests' requests, and what only a server or router may send, are taken away from the
/// switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Consume {
    /// They are not.
    #[default]
    Off,
    /// By an nftables rule at the port's ingress.
    Nft,
    /// By OpenFlow flows on the port's bridge.
    OpenFlow,
}

impl Consume {
    /// Returns the word of the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Nft => "nft",
            Self::OpenFlow => "openflow",
        }
    }
}

/// What a DECLINE does to the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDecline {
    /// The VM keeps its address; the conflict is flagged.
    #[default]
    Keep,
    /// The VM is given another address of the range.
    Reassign,
}

/// One `[[vm]]` entry: reservation and overrides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmEntry {
    /// The VM it is for.
    pub id: VmId,
    /// The NIC it is for; `None`: every NIC of that VM.
    pub nic: Option<NicName>,
    /// Reserved IPv4 addresses: the first is given, further ones are only kept free.
    pub ipv4: Vec<Ipv4Addr>,
    /// Reserved IPv6 addresses, in the same way.
    pub ipv6: Vec<Ipv6Addr>,
    /// The reserved prefix for IA_PD.
    pub prefix: Option<Ipv6Net>,
    /// The host name.
    pub hostname: Option<Hostname>,
    /// Replaces the network's domain.
    pub domain: Option<DomainName>,
    /// Replaces the network's search list.
    pub search: Option<Vec<DomainName>>,
    /// Replaces the network's DNS servers.
    pub dns: Option<Vec<IpAddr>>,
    /// Replaces the network's NTP servers.
    pub ntp: Option<Vec<IpAddr>>,
    /// Replaces the network's MTU.
    pub mtu: Option<u16>,
    /// Replaces the network's captive portal.
    pub captive_portal: Option<CaptivePortal>,
    /// Replaces the network's encrypted resolvers; empty: none.
    pub resolvers: Option<Vec<EncryptedResolver>>,
    /// Replaces the network's IPv4 routes.
    pub routes: Option<Vec<Ipv4Route>>,
    /// Replaces the network's boot rules; empty: no network boot.
    pub boot: Option<Arc<[BootRule]>>,
    /// Replace the network's DHCPv4 options of the same code.
    pub ipv4_options: Vec<RawOption>,
    /// Replace the network's DHCPv6 options of the same code.
    pub ipv6_options: Vec<RawOption>,
}

impl Network {
    /// Finds the `[[vm]]` entry of one NIC: one that names the NIC goes before one that does not.
    #[must_use]
    pub fn vm_entry(&self, vm: &VmId, nic: &NicName) -> Option<&VmEntry> {
        self.vms.find(vm, nic)
    }

    /// Returns the host name of one NIC: its entry's, else the template's.
    #[must_use]
    pub fn hostname_of(&self, vm: &VmId, nic: &NicName) -> Option<Hostname> {
        let own = self.vm_entry(vm, nic).and_then(|entry| entry.hostname.clone());
        own.or_else(|| self.hostname.render(vm, nic))
    }
}

#[cfg(test)]
pub(crate) mod tests;
