//! Networks and parameters that tests of all rooms start from, changing what they are about.

use super::*;
use crate::wire::Mac;

/// Makes a network with IPv4 10.0.0.0/24 and nothing else.
pub(crate) fn network(name: &str) -> Network {
    let gateway: Ipv4Addr = "10.0.0.1".parse().unwrap();
    Network {
        name: name.parse().unwrap(),
        matcher: Match::default(),
        hostname: HostnameTemplate::default(),
        common: Common::default(),
        gateway: silent_gateway(),
        ipv4: Some(Ipv4Network {
            subnet: "10.0.0.0/24".parse().unwrap(),
            gateway: Some(gateway),
            server_id: gateway,
            pool: Pool::default(),
            lease_time: Lifetime(3600),
            renew_time: Some(1800),
            rebind_time: Some(3150),
            mask: Mask::Subnet,
            routes: Vec::new(),
            rapid_commit: false,
            ipv6_only_wait: None,
            auto_configure: None,
            options: Vec::new(),
        }),
        ipv6: None,
        boot: Arc::default(),
        on_decline: OnDecline::Keep,
        consume: Consume::Off,
        reclaim_after: None,
        vms: VmEntries::default(),
    }
}

/// Makes IPv6 with DHCPv6 for addresses, of which there are none.
pub(crate) fn ipv6(delegation: Option<Delegation>) -> Ipv6Network {
    Ipv6Network {
        subnet: "2001:db8::/64".parse().unwrap(),
        gateway: None,
        pool: Pool::default(),
        delegation,
        mode: AddressMode::Stateful,
        preferred_lifetime: Lifetime(3_600),
        valid_lifetime: Lifetime(7_200),
        renew_time: Lifetime(1_800),
        rebind_time: Lifetime(2_880),
        rapid_commit: false,
        server_preference: None,
        information_refresh_time: None,
        solicit_max_retry: None,
        information_max_retry: None,
        prefixes: Vec::new(),
        routes: Vec::new(),
        ra: RouterAdvertisement { router_lifetime: 0, ..advertisement() },
        options: Vec::new(),
    }
}

/// Makes a `[[vm]]` entry that overrides nothing.
pub(crate) fn entry(vm: &str, nic: Option<&str>) -> VmEntry {
    VmEntry {
        id: vm.parse().unwrap(),
        nic: nic.map(|nic| nic.parse().unwrap()),
        ipv4: Vec::new(),
        ipv6: Vec::new(),
        prefix: None,
        hostname: None,
        domain: None,
        search: None,
        dns: None,
        ntp: None,
        mtu: None,
        captive_portal: None,
        resolvers: None,
        routes: None,
        boot: None,
        ipv4_options: Vec::new(),
        ipv6_options: Vec::new(),
    }
}

/// Makes what a NIC is given by a network that has neither family and says nothing else.
pub(crate) fn parameters() -> Parameters {
    Parameters {
        hostname: None,
        domain: None,
        search: Vec::new(),
        dns: Vec::new(),
        ntp: Vec::new(),
        mtu: None,
        captive_portal: None,
        resolvers: Vec::new(),
        boot: Arc::default(),
        gateway: silent_gateway(),
        ipv4: None,
        ipv6: None,
        server_duid: [0; 18],
    }
}

/// Makes what DHCPv4 says to a NIC of 10.20.0.0/16, whose gateway is 10.20.0.1.
pub(crate) fn ipv4_parameters(address: Ipv4Addr) -> Ipv4Parameters {
    let gateway = Ipv4Addr::new(10, 20, 0, 1);
    Ipv4Parameters {
        subnet: "10.20.0.0/16".parse().unwrap(),
        gateway: Some(gateway),
        server_id: gateway,
        address: Some(address),
        lease_time: Lifetime(3_600),
        renew_time: None,
        rebind_time: None,
        mask: Mask::Subnet,
        routes: Vec::new(),
        rapid_commit: false,
        ipv6_only_wait: None,
        auto_configure: None,
        options: Vec::new(),
    }
}

/// Makes what a NIC of 2001:db8:20::/64 is told, whose gateway is fe80::1: DHCPv6 for addresses.
pub(crate) fn ipv6_parameters(address: &str) -> Ipv6Parameters {
    let gateway: Ipv6Addr = "fe80::1".parse().unwrap();
    Ipv6Parameters {
        subnet: "2001:db8:20::/64".parse().unwrap(),
        gateway: Some(gateway),
        link_local: gateway,
        address: Some(address.parse().unwrap()),
        delegated: None,
        mode: AddressMode::Stateful,
        preferred_lifetime: Lifetime(3_600),
        valid_lifetime: Lifetime(7_200),
        renew_time: Lifetime(1_800),
        rebind_time: Lifetime(2_880),
        rapid_commit: false,
        server_preference: None,
        information_refresh_time: None,
        solicit_max_retry: None,
        information_max_retry: None,
        prefixes: Vec::new(),
        routes: Vec::new(),
        ra: advertisement(),
        options: Vec::new(),
    }
}

/// Makes a default router's advertisement that is sent only when it is asked for.
pub(crate) fn advertisement() -> RouterAdvertisement {
    RouterAdvertisement {
        router_lifetime: 1_800,
        hop_limit: 64,
        preference: RouterPreference::Medium,
        interval: None,
        dns_lifetime: Lifetime(1_800),
        pref64: None,
    }
}

/// Makes a gateway that we do not stand in for.
fn silent_gateway() -> Gateway {
    Gateway {
        source_mac: Mac([2, 0, 0, 0, 0, 1]),
        mac_given: false,
        answer: false,
        answer_ping: false,
        announce: false,
        retire: Vec::new(),
    }
}
