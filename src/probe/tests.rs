use std::net::IpAddr;

use super::*;
use crate::binding::PortFacts;
use crate::lease::{Lease, LeaseKey};
use crate::network::tests::{advertisement, ipv6, network};
use crate::network::{
    AddressMode, Ipv4Route, Ipv6Network, Network, RouterAdvertisement, RouterPreference,
};
use crate::time::Wall;

const GUEST: Mac = Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56]);

/// A network with both families and something in every option that the readers know.
fn both_families(mode: AddressMode) -> Network {
    let mut blue = network("blue");
    let dns: Vec<IpAddr> = vec!["10.0.0.53".parse().unwrap(), "2001:db8::53".parse().unwrap()];
    blue.common.dns = dns;
    blue.common.domain = Some("blue.example".parse().unwrap());
    blue.common.mtu = Some(1_450);
    if let Some(ipv4) = &mut blue.ipv4 {
        ipv4.routes = vec![Ipv4Route {
            to: "10.1.0.0/16".parse().unwrap(),
            via: "10.0.0.254".parse().unwrap(),
        }];
    }
    blue.ipv6 = Some(Ipv6Network {
        gateway: Some("fe80::1".parse().unwrap()),
        mode,
        ra: RouterAdvertisement { preference: RouterPreference::High, ..advertisement() },
        ..ipv6(None)
    });
    blue
}

fn probed(network: &Network, trunk_vlan: Option<u16>) -> Vec<Probed> {
    let lease = Lease {
        key: LeaseKey {
            network: network.name.clone(),
            vm: "demo/web-1".parse().unwrap(),
            nic: "default".parse().unwrap(),
        },
        ipv4: Some("10.0.0.10".parse().unwrap()),
        ipv6: Some("2001:db8::10".parse().unwrap()),
        prefix: None,
        hostname: None,
        created: Wall(0),
        node: "node-a".to_owned(),
        arrived: None,
        last_seen: None,
        conflict: false,
    };
    let facts = PortFacts { mac: None, trunk_vlan, mtu: 1_500, is_macvtap: false };
    let parameters = network.parameters(&lease, [7; 18]);
    probe(&Arc::new(Binding::new(lease.key, &facts, &parameters)), GUEST)
}

/// Returns what came of each request.
fn outcomes(probed: &[Probed]) -> Vec<String> {
    let said = |one: &Probed| format!("{} {} > {}", one.protocol, one.request, one.outcome);
    probed.iter().map(said).collect()
}

/// Returns a field of the reply to the request in this place.
fn field(probed: &[Probed], place: usize, code: Option<u16>, name: &str) -> String {
    let reply = probed[place].reply.as_ref().unwrap_or_else(|| panic!("{:?}", probed[place]));
    let is_it = |field: &&Field| field.code == code && field.name == name;
    let field = reply.fields.iter().find(is_it);
    field.unwrap_or_else(|| panic!("no {name} in {reply:?}")).value.clone()
}

#[test]
fn a_guest_that_asks_for_everything_is_shown_everything() {
    let probed = probed(&both_families(AddressMode::Stateful), None);
    assert_eq!(
        outcomes(&probed),
        [
            "dhcpv4 discover > offer",
            "dhcpv4 request > ack",
            "dhcpv6 solicit > advertise",
            "dhcpv6 request > reply",
            "dhcpv6 information-request > reply",
            "nd router-solicitation > router-advertisement",
        ]
    );
    for place in [0, 1] {
        let said = |code, name| field(&probed, place, Some(code), name);
        assert_eq!(field(&probed, place, None, "your address"), "10.0.0.10");
        assert_eq!(said(1, "subnet-mask"), "255.255.255.0");
        assert_eq!(said(6, "domain-name-servers"), "10.0.0.53");
        assert_eq!(said(26, "interface-mtu"), "1450");
        assert_eq!(said(51, "dhcp-lease-time"), "3600 s (1h)");
        assert_eq!(said(54, "dhcp-server-identifier"), "10.0.0.1");
        assert_eq!(said(81, "fqdn"), "web-1.blue.example (no DNS update)");
        assert_eq!(said(119, "domain-search"), "blue.example");
        assert_eq!(
            said(121, "classless-static-route"),
            "0.0.0.0/0 via 10.0.0.1, 10.1.0.0/16 via 10.0.0.254"
        );
    }
    assert_eq!(field(&probed, 0, Some(53), "dhcp-message-type"), "OFFER");
    assert_eq!(field(&probed, 1, Some(53), "dhcp-message-type"), "ACK");
    for place in [2, 3] {
        let association = field(&probed, place, Some(3), "ia-na");
        let expected = "IAID 1, T1 1800 s (30m), T2 2880 s (48m); 2001:db8::10 preferred \
                        3600 s (1h), valid 7200 s (2h)";
        assert_eq!(association, expected);
        assert_eq!(field(&probed, place, Some(23), "dns-servers"), "2001:db8::53");
        assert_eq!(field(&probed, place, Some(24), "domain-list"), "blue.example");
    }
    let said = |code, name| field(&probed, 5, code, name);
    assert_eq!(said(None, "managed (M)"), "yes");
    assert_eq!(said(None, "preference"), "high");
    assert_eq!(said(Some(5), "mtu"), "1450");
    assert_eq!(said(Some(25), "dns-servers"), "2001:db8::53 for 1800 s (30m)");
    assert_eq!(said(Some(31), "search-list"), "blue.example for 1800 s (30m)");
    assert!(said(Some(3), "prefix").starts_with("2001:db8::/64 on link, no SLAAC"));
}

#[test]
fn a_network_without_dhcpv6_says_why_it_is_silent() {
    let probed = probed(&both_families(AddressMode::Slaac), None);
    assert_eq!(
        outcomes(&probed)[2..],
        ["dhcpv6 solicit > no-family", "nd router-solicitation > router-advertisement",]
    );
    assert!(probed[2].explanation.is_some() && probed[2].reply.is_none());
}

#[test]
fn a_port_that_serves_a_tag_is_asked_with_it_and_read_without() {
    let plain = probed(&both_families(AddressMode::Stateful), None);
    assert_eq!(probed(&both_families(AddressMode::Stateful), Some(100)), plain);
}

#[test]
fn every_cut_of_a_message_is_read_or_refused_without_a_panic() {
    let lengths = |bytes: &[u8]| 0..=bytes.len();
    let mut blue = both_families(AddressMode::Stateful);
    blue.common.search = vec!["blue.example".parse().unwrap(), "example".parse().unwrap()];
    let binding = {
        let key = LeaseKey {
            network: blue.name.clone(),
            vm: "demo/web-1".parse().unwrap(),
            nic: "default".parse().unwrap(),
        };
        let occasion = crate::lease::Occasion { node: "node-a", wall: Wall(0) };
        let lease = crate::lease::LeaseTable::default().assign(&blue, &key, occasion).lease;
        let facts = PortFacts { mac: None, trunk_vlan: None, mtu: 1_500, is_macvtap: false };
        Arc::new(Binding::new(key, &facts, &blue.parameters(&lease, [7; 18])))
    };
    let mut prober = Prober::new(&binding, GUEST);
    let requests = [request::information(GUEST), request::router_solicitation(GUEST)];
    for request in requests {
        let reply = prober.ask(Message::Unknown, request.as_deref(), &mut Vec::new()).unwrap();
        for length in lengths(&reply) {
            let _ = decode(&reply[..length]);
            if length > 70 {
                let _ = dhcpv6::fields(&reply[62..length]);
                let _ = dhcpv4::fields(&reply[62..length]);
                let _ = nd::fields(&reply[58..length]);
            }
        }
    }
}
