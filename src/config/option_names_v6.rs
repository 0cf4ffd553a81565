//! The names of DHCPv6 options: one row an option. To add one, add its row.
//!
//! First comes the name that Kea uses or IANA's in its form, then other common ones. What a key of
//! the network says is not set here as well: router advertisements say the same from that key.

use super::option_kind::Kind::{
    Domain, Domains, Elsewhere, Hex, Ipv6Addresses, Text, Texts, Vendor,
};
use super::option_names::{Known, row};

/// All of them, in the order of their codes; RFC 9915, unless another RFC is named.
pub(super) const ROWS: &[Known] = &[
    row(1, Elsewhere("leave it out: the client's own comes back"), &["clientid", "client-id"]),
    row(
        2,
        Elsewhere("write \"name\" in [deployment]: the server's DUID is made from it"),
        &["serverid", "server-id", "server-identifier"],
    ),
    row(
        3,
        Elsewhere("write \"ranges\" in [ipv6], or \"ipv6\" in [[vm]]"),
        &["ia-na", "identity-association"],
    ),
    row(4, Elsewhere("leave it out: RFC 9915 has no temporary addresses"), &["ia-ta"]),
    row(
        5,
        Elsewhere("write \"ranges\" in [ipv6], or \"ipv6\" in [[vm]]"),
        &["iaaddr", "ia-addr", "ia-address"],
    ),
    row(6, Elsewhere("leave it out: clients send it, servers do not"), &["oro", "option-request"]),
    row(7, Elsewhere("write \"server-preference\" in [ipv6]"), &["preference"]),
    row(8, Elsewhere("leave it out: clients send it, servers do not"), &["elapsed-time"]),
    row(9, Elsewhere("leave it out: relays send it, and none is here"), &["relay-msg"]),
    row(11, Elsewhere("leave it out: messages are not authenticated"), &["auth"]),
    row(12, Elsewhere("leave it out: RFC 9915 has retired it"), &["unicast"]),
    row(13, Elsewhere("leave it out: every exchange has its own"), &["status-code"]),
    row(14, Elsewhere("write \"rapid-commit\" in [ipv6]"), &["rapid-commit"]),
    row(15, Elsewhere("leave it out: clients send it, servers do not"), &["user-class"]),
    row(
        16,
        Elsewhere("write \"url\" in a [[boot.rule]], which sends it to who boots by HTTP"),
        &["vendor-class"],
    ),
    row(17, Vendor, &["vendor-opts"]),
    row(18, Elsewhere("leave it out: relays send it, and none is here"), &["interface-id"]),
    row(19, Elsewhere("leave it out: guests are not reconfigured"), &["reconf-msg"]),
    row(20, Elsewhere("leave it out: guests are not reconfigured"), &["reconf-accept"]),
    // RFC 3319.
    row(21, Domains, &["sip-server-dns", "sip-server-domain"]),
    row(22, Ipv6Addresses, &["sip-server-addr", "sip-server"]),
    row(
        23,
        Elsewhere("write \"dns\" above the first section, or in [[vm]]"),
        &["dns-servers", "dns-server", "domain-name-servers"],
    ),
    row(
        24,
        Elsewhere("write \"search\" above the first section, or in [[vm]]"),
        &["domain-search", "domain-search-list"],
    ),
    row(25, Elsewhere("write \"delegate\" in [ipv6]"), &["ia-pd"]),
    row(26, Elsewhere("write \"delegate\" in [ipv6]"), &["iaprefix", "ia-prefix"]),
    // RFC 3898.
    row(27, Ipv6Addresses, &["nis-servers", "nis-server"]),
    row(28, Ipv6Addresses, &["nisp-servers", "nisp-server"]),
    row(29, Domain, &["nis-domain-name", "nis-domain"]),
    row(30, Domain, &["nisp-domain-name", "nisp-domain"]),
    row(
        31,
        Elsewhere("write \"ntp\" above the first section, or in [[vm]]"),
        &["sntp-servers", "sntp-server"],
    ),
    row(
        32,
        Elsewhere("write \"information-refresh-time\" in [ipv6]"),
        &["information-refresh-time"],
    ),
    // RFC 4280.
    row(33, Domains, &["bcmcs-server-dns", "bcms-controller-names"]),
    row(34, Ipv6Addresses, &["bcmcs-server-addr", "bcms-controller-address"]),
    // RFC 4776.
    row(36, Hex, &["geoconf-civic"]),
    row(37, Elsewhere("leave it out: relays send it, and none is here"), &["remote-id"]),
    row(38, Elsewhere("leave it out: relays send it, and none is here"), &["subscriber-id"]),
    row(39, Elsewhere("write \"hostname\" and \"domain\""), &["client-fqdn", "fqdn"]),
    // RFC 5192.
    row(40, Ipv6Addresses, &["pana-agent"]),
    // RFC 4833.
    row(41, Text, &["new-posix-timezone", "tz-posix"]),
    row(42, Text, &["new-tzdb-timezone", "tz-database"]),
    row(43, Elsewhere("leave it out: relays send it, and none is here"), &["ero"]),
    // RFC 5223.
    row(51, Domain, &["v6-lost"]),
    // RFC 5417.
    row(52, Ipv6Addresses, &["capwap-ac-v6"]),
    // RFC 5678.
    row(54, Hex, &["ipv6-address-mos"]),
    row(55, Hex, &["ipv6-fqdn-mos"]),
    row(
        56,
        Elsewhere("write \"ntp\" above the first section, or in [[vm]]; for a name, its code"),
        &["ntp-servers", "ntp-server"],
    ),
    // RFC 5986.
    row(57, Domain, &["v6-access-domain"]),
    // RFC 6011.
    row(58, Domains, &["sip-ua-cs-list", "sip-ua-cs-domains"]),
    // RFC 5970.
    row(59, Text, &["bootfile-url", "bootfile-name"]),
    row(60, Texts, &["bootfile-param"]),
    row(61, Elsewhere("leave it out: clients send it, servers do not"), &["client-arch-type"]),
    row(62, Elsewhere("leave it out: clients send it, servers do not"), &["nii"]),
    // RFC 6225.
    row(63, Hex, &["geolocation"]),
    // RFC 6334.
    row(64, Domain, &["aftr-name"]),
    // RFC 6440.
    row(65, Domain, &["erp-local-domain-name"]),
    row(66, Elsewhere("leave it out: relays send it, and none is here"), &["rsoo"]),
    row(
        67,
        Elsewhere("leave it out: it stands in a delegated prefix, of which nothing is excluded"),
        &["pd-exclude"],
    ),
    // RFC 6731.
    row(74, Hex, &["rdnss-selection"]),
    // RFC 6784.
    row(75, Elsewhere("leave it out: clients send it, servers do not"), &["krb-principal-name"]),
    row(76, Text, &["krb-realm-name"]),
    row(77, Text, &["krb-default-realm-name"]),
    row(78, Hex, &["krb-kdc"]),
    row(
        79,
        Elsewhere("leave it out: relays send it, and none is here"),
        &["client-linklayer-addr"],
    ),
    row(82, Elsewhere("write \"sol-max-rt\" in [ipv6]"), &["solmax-rt", "sol-max-rt"]),
    row(83, Elsewhere("write \"inf-max-rt\" in [ipv6]"), &["inf-max-rt"]),
    // RFC 7078.
    row(84, Hex, &["addrsel"]),
    // RFC 7291.
    row(86, Ipv6Addresses, &["v6-pcp-server"]),
    // RFC 7341.
    row(88, Ipv6Addresses, &["dhcp4o6-server-addr", "dhcpv4-o-dhcpv6-server"]),
    // RFC 7598: what stands in these three is written as bytes.
    row(94, Hex, &["s46-cont-mape"]),
    row(95, Hex, &["s46-cont-mapt"]),
    row(96, Hex, &["s46-cont-lw"]),
    // RFC 7600.
    row(97, Hex, &["4rd"]),
    row(
        103,
        Elsewhere("write \"captive-portal\" above the first section, or in [[vm]]"),
        &["v6-captive-portal", "captive-portal"],
    ),
    row(112, Elsewhere("leave it out: clients send it, servers do not"), &["mud-url"]),
    // RFC 8115.
    row(113, Hex, &["v6-prefix64"]),
    // RFC 8572.
    row(136, Texts, &["v6-sztp-redirect"]),
    // RFC 8973.
    row(141, Domain, &["v6-dots-ri"]),
    row(142, Ipv6Addresses, &["v6-dots-address"]),
    // RFC 6153.
    row(143, Ipv6Addresses, &["ipv6-address-andsf"]),
    row(144, Elsewhere("write \"dnr\" above the first section, or in [[vm]]"), &["v6-dnr", "dnr"]),
    row(
        148,
        Elsewhere("leave it out: guests that ask are told that registrations are taken"),
        &["addr-reg-enable"],
    ),
];
