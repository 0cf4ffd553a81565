//! Which rule a port has, and how the state of rules is told.

use super::*;
use crate::binding::PortFacts;
use crate::discovery::{Identity, IdentityTrace, SwitchPort};
use crate::lease::LeaseKey;
use crate::network::Network;
use crate::network::tests::network;

fn port(interface: &str, switch: Option<SwitchPort>) -> Port {
    let identity = Identity {
        vm: "demo/web-1".parse().unwrap(),
        nic: "default".parse().unwrap(),
        trace: IdentityTrace::of("static".to_owned()),
    };
    let bridge = switch.as_ref().map(|_| "br0".to_owned());
    Port { switch, bridge, ..Port::new(interface.to_owned(), Ok(identity)) }
}

fn rule_of(way: Consume, port: &Port) -> Option<Result<Option<Rule>, String>> {
    let network = Arc::new(Network { consume: way, ..network("blue") });
    let key = LeaseKey {
        network: network.name.clone(),
        vm: "demo/web-1".parse().unwrap(),
        nic: "default".parse().unwrap(),
    };
    let facts = PortFacts { mac: None, trunk_vlan: None, mtu: 1500, is_macvtap: false };
    rule(way, &Service { key, network, ifindex: 7, facts }, port)
}

fn reason(way: Consume, port: &Port) -> String {
    rule_of(way, port).unwrap().unwrap_err()
}

fn nft(interface: &str) -> Rule {
    Rule::Nft { interface: DeviceName::new(interface).unwrap(), ifindex: 7 }
}

fn on_switch() -> SwitchPort {
    SwitchPort { ofport: Some(3), ..SwitchPort::default() }
}

fn userspace() -> SwitchPort {
    SwitchPort { datapath: Datapath::Userspace, ..on_switch() }
}

#[test]
fn a_network_that_does_not_ask_for_it_has_no_rule() {
    assert_eq!(rule_of(Consume::Off, &port("tap0", None)), None);
    let trunk = Port { is_trunk: true, ..port("tap0", None) };
    assert_eq!(rule_of(Consume::Off, &trunk), None);
}

#[test]
fn nft_takes_a_plain_device_and_one_of_the_kernels_datapath() {
    for switch in [None, Some(on_switch())] {
        assert_eq!(rule_of(Consume::Nft, &port("tap0", switch)), Some(Ok(Some(nft("tap0")))));
    }
}

#[test]
fn nft_is_refused_where_it_does_nothing() {
    let text = reason(Consume::Nft, &port("tap0", Some(userspace())));
    assert!(text.contains("datapath_type is netdev"), "{text}");
}

#[test]
fn openflow_takes_a_numbered_port_whatever_the_datapath() {
    let bridge = DeviceName::new("br0").unwrap();
    let expected = Rule::OpenFlow { bridge, ofport: 3 };
    for switch in [on_switch(), userspace()] {
        let port = port("tap0", Some(switch));
        assert_eq!(rule_of(Consume::OpenFlow, &port), Some(Ok(Some(expected.clone()))));
    }
}

#[test]
fn openflow_waits_for_the_ports_number() {
    let port = port("tap0", Some(SwitchPort::default()));
    assert_eq!(rule_of(Consume::OpenFlow, &port), Some(Ok(None)));
}

#[test]
fn openflow_is_refused_where_the_flows_are_anothers_or_there_are_none() {
    let owner = Some("the bridge has a controller".to_owned());
    let owned = port("tap0", Some(SwitchPort { flow_owner: owner, ..on_switch() }));
    let text = "the bridge has a controller, and its flows are left alone";
    assert_eq!(reason(Consume::OpenFlow, &owned), text);
    assert_eq!(reason(Consume::OpenFlow, &port("tap0", None)), NO_SWITCH);
}

#[test]
fn a_trunk_and_a_name_that_cannot_be_written_are_refused() {
    for way in [Consume::Nft, Consume::OpenFlow] {
        let trunk = Port { is_trunk: true, ..port("tap0", Some(on_switch())) };
        assert_eq!(reason(way, &trunk), TRUNK);
    }
    let text = reason(Consume::Nft, &port("tap:0", None));
    assert!(text.starts_with("the name \"tap:0\" has"), "{text}");
}

fn terms(rule: Result<Option<Rule>, String>) -> Option<Terms> {
    Some(Terms { network: "blue".to_owned(), way: Consume::Nft, rule })
}

fn applied(interfaces: &[&str], failed: &[(&str, &str)]) -> Applied {
    let rules: BTreeMap<_, _> =
        interfaces.iter().map(|name| ((*name).to_owned(), nft(name))).collect();
    let failed = failed.iter().map(|(name, why)| ((*name).to_owned(), (*why).to_owned()));
    Applied { rules: Arc::new(rules), failed: failed.collect() }
}

fn consumption() -> (Consumption, watch::Receiver<Wanted>) {
    let (wanted, given) = watch::channel(Wanted::default());
    (Consumption { ports: BTreeMap::new(), wanted, task: tokio::spawn(async {}) }, given)
}

#[tokio::test]
async fn a_rule_is_waited_for_and_then_in_force_or_told() {
    let (mut consumption, given) = consumption();
    consumption.set("tap0", terms(Ok(Some(nft("tap0")))));
    consumption.set("tap1", terms(Ok(Some(nft("tap1")))));
    consumption.set("tap2", terms(Err("refused".to_owned())));
    assert_eq!(given.borrow().rules.len(), 2);
    assert_eq!(consumption.told("tap0").as_deref(), Some("by nft, not yet in force"));

    consumption.settle(applied(&["tap0", "tap1"], &[("tap1", "no such device")]));
    assert_eq!(consumption.trouble("tap0"), None);
    let trouble = "consume = \"nft\" is not in force: no such device";
    assert_eq!(consumption.trouble("tap1").as_deref(), Some(trouble));
    assert_eq!(
        consumption.summary(),
        ["1 port by nft", "1 port not by nft: no such device", "1 port not by nft: refused"]
    );
    let counts = consumption.counts();
    let counts: Vec<_> = counts.iter().map(|count| (count.state, count.count)).collect();
    assert_eq!(counts, [("failed", 2), ("installed", 1), ("waiting", 0)]);

    consumption.settle(applied(&["tap0", "tap1"], &[]));
    assert_eq!(consumption.told("tap1").as_deref(), Some("by nft, in force"));
}

#[tokio::test]
async fn what_became_of_an_earlier_rule_is_not_taken_for_the_new_one() {
    let (mut consumption, given) = consumption();
    consumption.set("tap0", terms(Ok(Some(nft("other")))));
    consumption.settle(applied(&["tap0"], &[]));
    assert_eq!(consumption.told("tap0").as_deref(), Some("by nft, not yet in force"));
    consumption.set("tap0", None);
    assert!(given.borrow().rules.is_empty());
    assert_eq!(consumption.told("tap0"), None);
}
