//! Options by name, and the names of DHCPv4's: one row an option. To add one, add its row.
//!
//! First comes IANA's name in the form that Kea uses, then Open Virtual Network's and other common
//! ones. A hyphen may be written as an underscore.

use super::option::fits;
use super::option_kind::Kind::{
    self, Address, AddressPairs, Addresses, Bool, DomainText, Domains, Elsewhere, Hex, I32,
    NodeType, Routes, SearchList, SipServers, Text, U8, U16, U16s, U32, Vendors,
};
use super::option_names_v6;
use super::section::{Section, nearest};
use crate::network::RawOption;

/// Whose options: DHCPv4's or DHCPv6's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IpFamily {
    V4,
    V6,
}

impl IpFamily {
    /// Returns the options that have a name.
    pub(super) const fn rows(self) -> &'static [Known] {
        match self {
            Self::V4 => ROWS,
            Self::V6 => option_names_v6::ROWS,
        }
    }
}

/// An option that is known by name.
#[derive(Debug)]
pub(super) struct Known {
    /// Its code.
    pub(super) code: u16,
    /// What it holds.
    pub(super) kind: Kind,
    /// Its names, the one that messages use first.
    pub(super) names: &'static [&'static str],
}

impl Known {
    /// Returns the name that messages use.
    pub(super) fn name(&self) -> &'static str {
        self.names.first().copied().unwrap_or_default()
    }
}

/// Reads a table of options by name behind those in `options`; what is wrong is noted.
pub(super) fn read(
    section: &Section<'_>,
    key: &'static str,
    family: IpFamily,
    options: &mut Vec<RawOption>,
) {
    for entry in section.placed_entries(key) {
        let item = entry.get_ref();
        let known = match find(item.key, family) {
            Ok(known) => known,
            Err(fault) => {
                item.file.error(entry.span(), fault);
                continue;
            }
        };
        let code = known.code;
        if options.iter().any(|other| other.code == code) {
            item.file.error(
                entry.span(),
                format!("option {code} ({}) is set twice; keep one of them", known.name()),
            );
            continue;
        }
        if let Some(body) = known.kind.encode(item).filter(|body| fits(item, body)) {
            options.push(RawOption { code, body: body.into(), always: false });
        }
    }
}

/// Finds an option that may be set.
///
/// # Errors
/// What is wrong with the name, and what would be right.
pub(super) fn find(text: &str, family: IpFamily) -> Result<&'static Known, String> {
    let rows = family.rows();
    let name = text.to_ascii_lowercase().replace('_', "-");
    let Some(known) = rows.iter().find(|row| row.names.contains(&name.as_str())) else {
        let names: Vec<&str> = rows.iter().flat_map(|row| row.names).copied().collect();
        let nearest = nearest(&name, &names);
        return Err(format!("unknown option {text:?}; the nearest known option is {nearest:?}"));
    };
    if let Elsewhere(advice) = known.kind {
        return Err(format!("{text:?} is not set as an option; {advice}"));
    }
    Ok(known)
}

/// Returns the name of an option, if it has one here.
pub(super) fn name_of(code: u16, family: IpFamily) -> Option<&'static str> {
    let known = family.rows().iter().find(|row| row.code == code)?;
    Some(known.name())
}

/// Makes a row.
pub(super) const fn row(code: u16, kind: Kind, names: &'static [&'static str]) -> Known {
    Known { code, kind, names }
}

/// All of them, in the order of their codes. The last two set fields and not options.
const ROWS: &[Known] = &[
    row(1, Address, &["subnet-mask", "netmask"]),
    row(2, I32, &["time-offset"]),
    row(3, Addresses, &["routers", "router"]),
    row(4, Addresses, &["time-servers", "time-server"]),
    row(5, Addresses, &["name-servers", "name-server"]),
    row(6, Addresses, &["domain-name-servers", "dns-server", "dns-servers"]),
    row(7, Addresses, &["log-servers", "log-server"]),
    row(8, Addresses, &["cookie-servers", "cookie-server", "quote-servers"]),
    row(9, Addresses, &["lpr-servers", "lpr-server"]),
    row(10, Addresses, &["impress-servers", "impress-server"]),
    row(11, Addresses, &["resource-location-servers", "resource-location-server"]),
    row(12, Text, &["host-name", "hostname"]),
    row(13, U16(0), &["boot-size", "boot-file-size"]),
    row(14, Text, &["merit-dump", "merit-dump-file"]),
    row(15, DomainText, &["domain-name"]),
    row(16, Address, &["swap-server"]),
    row(17, Text, &["root-path"]),
    row(18, Text, &["extensions-path"]),
    row(19, Bool, &["ip-forwarding", "ip-forward-enable"]),
    row(20, Bool, &["non-local-source-routing"]),
    row(21, AddressPairs, &["policy-filter"]),
    row(22, U16(576), &["max-dgram-reassembly"]),
    row(23, U8(1), &["default-ip-ttl", "default-ttl"]),
    row(24, U32, &["path-mtu-aging-timeout"]),
    row(25, U16s(68), &["path-mtu-plateau-table"]),
    row(26, U16(68), &["interface-mtu", "mtu"]),
    row(27, Bool, &["all-subnets-local"]),
    row(28, Address, &["broadcast-address"]),
    row(29, Bool, &["perform-mask-discovery"]),
    row(30, Bool, &["mask-supplier"]),
    row(31, Bool, &["router-discovery", "perform-router-discovery"]),
    row(32, Address, &["router-solicitation-address", "router-solicitation"]),
    row(33, AddressPairs, &["static-routes"]),
    row(34, Bool, &["trailer-encapsulation"]),
    row(35, U32, &["arp-cache-timeout"]),
    row(36, Bool, &["ieee802-3-encapsulation", "ethernet-encap"]),
    row(37, U8(1), &["default-tcp-ttl", "tcp-ttl"]),
    row(38, U32, &["tcp-keepalive-interval"]),
    row(39, Bool, &["tcp-keepalive-garbage"]),
    row(40, Text, &["nis-domain"]),
    row(41, Addresses, &["nis-servers", "nis-server"]),
    row(42, Addresses, &["ntp-servers", "ntp-server"]),
    row(43, Hex, &["vendor-encapsulated-options", "vendor-specific-information"]),
    row(44, Addresses, &["netbios-name-servers", "netbios-name-server"]),
    row(45, Addresses, &["netbios-dd-server"]),
    row(46, NodeType, &["netbios-node-type"]),
    row(47, Text, &["netbios-scope"]),
    row(48, Addresses, &["font-servers"]),
    row(49, Addresses, &["x-display-manager"]),
    row(
        50,
        Elsewhere("leave it out: clients send it, servers do not"),
        &["dhcp-requested-address", "requested-address"],
    ),
    row(51, Elsewhere("write \"lease-time\" in [ipv4]"), &["dhcp-lease-time", "lease-time"]),
    row(
        52,
        Elsewhere("leave it out: every exchange has its own"),
        &["dhcp-option-overload", "option-overload"],
    ),
    row(
        53,
        Elsewhere("leave it out: every exchange has its own"),
        &["dhcp-message-type", "message-type"],
    ),
    row(
        54,
        Elsewhere("write \"server-id\" in [ipv4]"),
        &["dhcp-server-identifier", "server-id", "server-identifier"],
    ),
    row(
        55,
        Elsewhere("leave it out: clients send it, servers do not"),
        &["dhcp-parameter-request-list", "parameter-request-list"],
    ),
    row(56, Elsewhere("leave it out: every exchange has its own"), &["dhcp-message"]),
    row(
        57,
        Elsewhere("leave it out: clients send it, servers do not"),
        &["dhcp-max-message-size", "max-message-size"],
    ),
    row(
        58,
        Elsewhere("write \"renew-time\" in [ipv4]"),
        &["dhcp-renewal-time", "t1", "renew-time"],
    ),
    row(
        59,
        Elsewhere("write \"rebind-time\" in [ipv4]"),
        &["dhcp-rebinding-time", "t2", "rebind-time"],
    ),
    row(60, Text, &["vendor-class-identifier", "vendor-class-id"]),
    row(
        61,
        Elsewhere("leave it out: the client's own comes back"),
        &["dhcp-client-identifier", "client-id"],
    ),
    row(62, Text, &["nwip-domain-name"]),
    row(63, Hex, &["nwip-suboptions"]),
    row(64, Text, &["nisplus-domain-name"]),
    row(65, Addresses, &["nisplus-servers"]),
    row(66, Text, &["tftp-server-name", "tftp-server"]),
    row(67, Text, &["boot-file-name", "bootfile-name"]),
    row(68, Addresses, &["mobile-ip-home-agent"]),
    row(69, Addresses, &["smtp-server", "smtp-servers"]),
    row(70, Addresses, &["pop-server", "pop-servers"]),
    row(71, Addresses, &["nntp-server", "nntp-servers"]),
    row(72, Addresses, &["www-server", "www-servers"]),
    row(73, Addresses, &["finger-server", "finger-servers"]),
    row(74, Addresses, &["irc-server", "irc-servers"]),
    row(75, Addresses, &["streettalk-server", "streettalk-servers"]),
    row(76, Addresses, &["streettalk-directory-assistance-server"]),
    row(77, Elsewhere("leave it out: clients send it, servers do not"), &["user-class"]),
    row(78, Hex, &["slp-directory-agent"]),
    row(79, Hex, &["slp-service-scope"]),
    row(80, Elsewhere("write \"rapid-commit\" in [ipv4]"), &["rapid-commit"]),
    row(81, Elsewhere("write \"hostname\" and \"domain\""), &["fqdn", "client-fqdn"]),
    row(
        82,
        Elsewhere("leave it out: relays send it, and none is here"),
        &["dhcp-agent-options", "relay-agent-information"],
    ),
    row(85, Addresses, &["nds-servers", "nds-server"]),
    row(86, Text, &["nds-tree-name"]),
    row(87, Text, &["nds-context"]),
    row(88, Domains, &["bcms-controller-names"]),
    row(89, Addresses, &["bcms-controller-address"]),
    row(90, Elsewhere("leave it out: messages are not authenticated"), &["authenticate"]),
    row(91, Elsewhere("leave it out: it answers lease queries"), &["client-last-transaction-time"]),
    row(92, Elsewhere("leave it out: it answers lease queries"), &["associated-ip"]),
    row(93, Elsewhere("leave it out: clients send it, servers do not"), &["client-system"]),
    row(94, Elsewhere("leave it out: clients send it, servers do not"), &["client-ndi"]),
    row(97, Elsewhere("leave it out: clients send it, servers do not"), &["uuid-guid"]),
    row(98, Text, &["uap-servers"]),
    row(99, Hex, &["geoconf-civic"]),
    row(100, Text, &["pcode", "tz-posix"]),
    row(101, Text, &["tcode", "tz-database"]),
    row(
        108,
        Elsewhere("write \"ipv6-only-wait\" in [ipv4]; for one VM, its code"),
        &["v6-only-preferred", "ipv6-only-preferred"],
    ),
    row(112, Addresses, &["netinfo-server-address"]),
    row(113, Text, &["netinfo-server-tag"]),
    row(
        114,
        Elsewhere("write \"captive-portal\" above the first section, or in [[vm]]"),
        &["v4-captive-portal", "captive-portal"],
    ),
    row(
        116,
        Elsewhere("write \"auto-configure\" in [ipv4]; for one VM, its code"),
        &["auto-config", "auto-configure"],
    ),
    row(117, U16s(0), &["name-service-search"]),
    row(118, Elsewhere("leave it out: clients send it, servers do not"), &["subnet-selection"]),
    row(119, SearchList, &["domain-search", "domain-search-list"]),
    row(120, SipServers, &["sip-servers", "sip-ua-servers"]),
    row(121, Routes, &["classless-static-route", "classless-static-routes"]),
    row(122, Hex, &["cablelabs-client-configuration"]),
    row(123, Hex, &["geoconf"]),
    row(124, Vendors, &["vivco-suboptions", "vendor-identifying-class"]),
    row(125, Vendors, &["vivso-suboptions", "vendor-identifying-information"]),
    row(136, Addresses, &["pana-agent"]),
    row(137, Domains, &["v4-lost"]),
    row(138, Addresses, &["capwap-ac-v4"]),
    row(139, Hex, &["ipv4-address-mos"]),
    row(140, Hex, &["ipv4-fqdn-mos"]),
    row(141, Domains, &["sip-ua-cs-domains"]),
    row(142, Addresses, &["ipv4-address-andsf"]),
    row(143, Hex, &["v4-sztp-redirect"]),
    row(144, Hex, &["geoloc"]),
    row(146, Hex, &["rdnss-selection"]),
    row(147, Domains, &["v4-dots-ri"]),
    row(148, Addresses, &["v4-dots-address"]),
    row(150, Addresses, &["tftp-server-address"]),
    row(159, Hex, &["v4-portparams"]),
    row(
        161,
        Elsewhere("leave it out: clients send it, servers do not"),
        &["option-mud-url", "mud-url"],
    ),
    row(162, Elsewhere("write \"dnr\" above the first section, or in [[vm]]"), &["v4-dnr", "dnr"]),
    row(208, Hex, &["pxelinux-magic"]),
    row(209, Text, &["pxelinux-config-file", "config-file"]),
    row(210, Text, &["pxelinux-path-prefix", "path-prefix"]),
    row(211, U32, &["pxelinux-reboot-time", "reboot-time"]),
    row(212, Hex, &["option-6rd"]),
    row(213, Domains, &["v4-access-domain"]),
    row(249, Routes, &["ms-classless-static-route", "ms-classless-static-routes"]),
    row(252, Text, &["wpad", "wpad-url"]),
    row(0, Elsewhere("write \"next-server\" in a [[boot.rule]]"), &["next-server"]),
    row(0, Elsewhere("write \"file\" in a [[boot.rule]]"), &["bootfile-name-alt"]),
];
