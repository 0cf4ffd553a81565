//! Rows as their writers write them, and what is told about them.

mod storm;

use serde_json::json;

use super::*;
use crate::discovery::{ExternalIds, Field, Identity, IdentityTrace, Seen, Unidentified};

const BRIDGE: &str = "7c94c3a5-7663-4502-aa9a-485c3541226d";
const PORT: &str = "03390b5b-7acb-4024-a422-6934c1b1a06a";
const INTERFACE: &str = "75258e3c-f4f9-4c3b-ae40-c7ba7bc4e184";
const OTHER_BRIDGE: &str = "11111111-7663-4502-aa9a-485c3541226d";
const OTHER_INTERFACE: &str = "22222222-f4f9-4c3b-ae40-c7ba7bc4e184";

fn selection() -> Selection {
    Selection {
        bridges: Vec::new(),
        rules: Arc::from([]),
        presets: vec![Preset::Libvirt, Preset::OpenStack],
    }
}

/// One bridge with one port with one interface; `port` and `interface` are further columns.
fn rows(bridge: &str, port: &Value, interface: &Value) -> Value {
    let (mut port, mut interface) = (port.clone(), interface.clone());
    port["interfaces"] = json!(["uuid", INTERFACE]);
    port["name"] = interface["name"].clone();
    interface["type"] = interface.get("type").cloned().unwrap_or_else(|| "".into());
    json!({
        "Bridge": {BRIDGE: {"initial": {"name": bridge, "ports": ["uuid", PORT]}}},
        "Port": {PORT: {"initial": port}},
        "Interface": {INTERFACE: {"initial": interface}},
    })
}

impl Model<'_> {
    /// Takes the rows of a text in, and returns the snapshot.
    fn first(&mut self, rows: &Value) -> Result<SourceEvent, BadRow> {
        self.rows().deserialize(rows).unwrap()?;
        Ok(self.snapshot())
    }

    /// Takes the updates of a text in, and returns what they change.
    fn then(&mut self, updates: &Value) -> Result<Vec<SourceEvent>, BadRow> {
        self.rows().deserialize(updates).unwrap()?;
        Ok(self.differences())
    }
}

/// Returns the ports of a snapshot.
fn ports(selection: &Selection, rows: &Value) -> Vec<Port> {
    let SourceEvent::Snapshot(ports) = Model::new(selection).first(rows).unwrap() else {
        panic!("it is no snapshot")
    };
    ports.into_iter().map(Arc::unwrap_or_clone).collect()
}

/// Returns the one port of a snapshot.
fn port(selection: &Selection, rows: &Value) -> Port {
    let mut ports = ports(selection, rows);
    assert_eq!(ports.len(), 1, "{ports:?}");
    ports.pop().unwrap()
}

fn libvirt_rows() -> Value {
    let interface = json!({"name": "vnet0", "external_ids": ["map", [
        ["attached-mac", "52:54:00:aa:bb:cc"],
        ["iface-id", "nic-0"],
        ["iface-status", "active"],
        ["vm-id", "vm-0"],
    ]]});
    rows("br0", &json!({"tag": 5}), &interface)
}

fn libvirt_port() -> Port {
    let ids = [
        ("attached-mac", "52:54:00:aa:bb:cc"),
        ("iface-id", "nic-0"),
        ("iface-status", "active"),
        ("vm-id", "vm-0"),
    ];
    Port {
        interface: "vnet0".into(),
        identity: Ok(Identity {
            vm: "vm-0".parse().unwrap(),
            nic: "nic-0".parse().unwrap(),
            trace: IdentityTrace {
                rule: "preset libvirt".into(),
                saw: [("external-ids:vm-id", "vm-0"), ("external-ids:iface-id", "nic-0")]
                    .map(|(key, value)| Seen { key: key.into(), value: value.into() })
                    .into(),
            },
        }),
        mac: Some("52:54:00:aa:bb:cc".parse().unwrap()),
        network: None,
        bridge: Some("br0".into()),
        tag: Some(5),
        trunks: Vec::new(),
        is_trunk: false,
        external_ids: ids.into_iter().collect(),
        status: PortStatus::Active,
        fault: None,
        switch: Some(SwitchPort::default()),
    }
}

/// A model that has told of `libvirt_rows`.
fn told(selection: &Selection) -> Model<'_> {
    let mut model = Model::new(selection);
    let snapshot = model.first(&libvirt_rows()).unwrap();
    assert_eq!(snapshot, SourceEvent::Snapshot(vec![libvirt_port().into()]));
    model
}

#[test]
fn a_libvirt_row_becomes_a_port() {
    assert_eq!(port(&selection(), &libvirt_rows()), libvirt_port());
}

#[test]
fn an_os_vif_row_becomes_a_port() {
    let interface = json!({"name": "tap0b8dbd3e-6b", "external_ids": ["map", [
        ["attached-mac", "fa:16:3e:01:02:03"], ["iface-id", "0b8dbd3e"],
        ["iface-status", "active"], ["vm-uuid", "7d0f4b4e"],
    ]]});
    let port = port(&selection(), &rows("br-int", &json!({}), &interface));
    assert_eq!(port.identity.unwrap().trace.rule, "preset openstack");
    assert_eq!(port.mac, Some("fa:16:3e:01:02:03".parse().unwrap()));
    assert_eq!((port.tag, port.is_trunk), (None, false));
}

#[test]
fn an_ovn_kubernetes_row_is_named_by_an_own_rule_and_has_its_mac() {
    let interface = json!({"name": "3a8c5b7bb3f6f2d", "external_ids": ["map", [
        ["attached_mac", "0a:58:0a:80:00:05"],
        ["iface-id", "prod_virt-launcher-db-1-x7k2p"],
    ]]});
    let other_config = json!({"other_config": ["map", [["transient", "true"]]]});
    let rows = rows("br-int", &other_config, &interface);
    let pattern = "^(?<ns>[^_]+)_virt-launcher-(?<name>.+)-[a-z0-9]{5}$";
    let rule = IdentityRule {
        from: Field::ExternalId("iface-id".into()),
        pattern: regex_lite::Regex::new(pattern).unwrap(),
        vm: "{ns}/{name}".into(),
        nic: "default".into(),
    };
    let selection = Selection { rules: Arc::from([rule]), ..selection() };
    let port = port(&selection, &rows);
    assert_eq!(port.identity.unwrap().vm.as_str(), "prod/db-1");
    assert_eq!(port.mac, Some("0a:58:0a:80:00:05".parse().unwrap()));
}

#[test]
fn ids_on_the_port_row_count_as_the_interfaces_own() {
    let ids = json!({"external_ids": ["map", [["vm-id", "a"], ["iface-id", "lost"]]]});
    let own = json!({"name": "veth0", "external_ids": ["map", [["iface-id", "won"]]]});
    let port = port(&selection(), &rows("br1", &ids, &own));
    assert_eq!(port.identity.unwrap().nic.as_str(), "won");
    assert_eq!(port.external_ids.get("vm-id"), Some("a"));
    assert_eq!(port.external_ids.get("iface-id"), Some("won"));
}

#[test]
fn an_uplink_is_listed_with_the_reason_why_it_is_not_served() {
    let port = port(&selection(), &rows("br0", &json!({}), &json!({"name": "eth0"})));
    assert_eq!(port.identity, Err(Unidentified("no vm-id, vm-uuid in external_ids".into())));
    assert_eq!(port.status, PortStatus::Active);
}

#[test]
fn infrastructure_is_not_listed_unless_a_vm_is_named_on_it() {
    for kind in ["patch", "vxlan", "geneve", "gre", "stt", "lisp", "erspan"] {
        let rows = rows("br0", &json!({}), &json!({"name": "x", "type": kind}));
        assert_eq!(ports(&selection(), &rows), [], "{kind}");
    }
    let own = rows("br0", &json!({}), &json!({"name": "br0", "type": "internal"}));
    assert_eq!(ports(&selection(), &own), []);
    let named = rows(
        "br0",
        &json!({}),
        &json!({"name": "p", "type": "patch", "external_ids": ["map", [["vm-id", "a"]]]}),
    );
    let reason = "interface type \"patch\" has no network device";
    assert_eq!(port(&selection(), &named).status, PortStatus::NoDevice(reason.into()));
}

#[test]
fn an_internal_port_with_an_identity_is_served() {
    let ids = json!(["map", [["vm-id", "a"]]]);
    let row = json!({"name": "vif1", "type": "internal", "external_ids": ids});
    let port = port(&selection(), &rows("br0", &json!({}), &row));
    assert!(port.identity.is_ok());
    assert_eq!(port.status, PortStatus::Active);
}

#[test]
fn a_port_without_a_device_says_so() {
    for (kind, reason) in [
        ("dpdkvhostuser", "interface type \"dpdkvhostuser\" has no network device"),
        ("dpdkvhostuserclient", "interface type \"dpdkvhostuserclient\" has no network device"),
        ("\u{1b}c", "interface type \"\\u{1b}c\" has no network device"),
        ("afxdp", "AF_XDP takes its frames before a packet socket sees them"),
    ] {
        let port = port(&selection(), &rows("b", &json!({}), &json!({"name": "v", "type": kind})));
        assert_eq!(port.status, PortStatus::NoDevice(reason.into()));
    }
}

#[test]
fn a_name_that_no_device_can_have_is_listed_escaped_and_not_served() {
    for (name, listed) in [
        ("a b", "a b"),
        ("a\u{1b}[2J\n", "a\\u{1b}[2J\\n"),
        ("vnet0123456789ab", "vnet0123456789ab"),
    ] {
        let port = port(&selection(), &rows("b", &json!({}), &json!({"name": name})));
        let reason = "no network device can have such a name";
        assert_eq!(port.interface, listed);
        assert_eq!(port.status, PortStatus::NoDevice(reason.into()));
    }
}

#[test]
fn what_the_switch_says_of_a_port_that_it_could_not_take_is_kept_until_it_could() {
    let error = "could not open network device vnet0 (No such device)";
    let row = json!({"name": "vnet0", "ofport": -1, "error": error});
    let rows = rows("b", &json!({}), &row);
    assert_eq!(port(&selection(), &rows).fault.as_deref(), Some(error));
    let selection = selection();
    let mut model = Model::new(&selection);
    model.first(&rows).unwrap();
    let update = json!({"Interface": {INTERFACE: {"modify": {"error": ["set", []]}}}});
    let events = model.then(&update).unwrap();
    let [SourceEvent::Changed(port)] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(port.fault, None);
}

#[test]
fn a_port_whose_vm_is_on_another_node_is_inactive() {
    let ids = json!(["map", [["vm-id", "a"], ["iface-status", "inactive"]]]);
    let row = json!({"name": "vnet0", "external_ids": ids});
    assert_eq!(port(&selection(), &rows("b", &json!({}), &row)).status, PortStatus::Inactive);
}

#[test]
fn a_mac_that_is_no_stations_counts_as_absent() {
    for mac in ["nonsense", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"] {
        let ids = json!(["map", [["vm-id", "a"], ["attached-mac", mac]]]);
        let row = json!({"name": "vnet0", "external_ids": ids});
        let port = port(&selection(), &rows("b", &json!({}), &row));
        assert_eq!((port.mac, port.identity.is_ok()), (None, true), "{mac}");
    }
}

#[test]
fn vlan_columns_mean_what_the_switch_does_with_them() {
    let trunks = json!(["set", [2, 3]]);
    for (columns, tag, ids, is_trunk) in [
        (json!({}), None, vec![], false),
        (json!({"tag": 5}), Some(5), vec![], false),
        (json!({"trunks": trunks}), None, vec![2, 3], true),
        // A tag without a mode makes an access port; its trunks are ignored.
        (json!({"tag": 5, "trunks": trunks}), Some(5), vec![], false),
        (json!({"tag": 5, "trunks": trunks, "vlan_mode": "access"}), Some(5), vec![], false),
        (json!({"tag": 5, "trunks": trunks, "vlan_mode": "trunk"}), None, vec![2, 3], true),
        (json!({"vlan_mode": "trunk"}), None, vec![], true),
        (json!({"tag": 5, "vlan_mode": "native-untagged"}), Some(5), vec![], true),
        (json!({"tag": 5, "vlan_mode": "native-tagged"}), Some(5), vec![], true),
        (json!({"tag": 5, "vlan_mode": "dot1q-tunnel"}), Some(5), vec![], false),
    ] {
        let port = port(&selection(), &rows("b", &columns, &json!({"name": "vnet0"})));
        assert_eq!((port.tag, port.trunks, port.is_trunk), (tag, ids, is_trunk), "{columns}");
    }
}

#[test]
fn bridges_that_are_not_named_are_left_out() {
    let named = Selection { bridges: vec!["br-int".into()], ..selection() };
    assert_eq!(ports(&named, &libvirt_rows()), []);
    let named = Selection { bridges: vec!["br-int".into(), "br0".into()], ..selection() };
    assert_eq!(ports(&named, &libvirt_rows()), [libvirt_port()]);
}

#[test]
fn each_interface_of_a_bond_is_a_port() {
    let mut rows = libvirt_rows();
    rows["Port"][PORT]["initial"]["interfaces"] =
        json!(["set", [["uuid", INTERFACE], ["uuid", OTHER_INTERFACE]]]);
    rows["Interface"][OTHER_INTERFACE] = json!({"initial": {"name": "eth1", "type": ""}});
    let names: Vec<_> = ports(&selection(), &rows).into_iter().map(|port| port.interface).collect();
    assert_eq!(names, ["eth1", "vnet0"]);
}

#[test]
fn rows_that_no_bridge_leads_to_are_no_ports() {
    for table in ["Bridge", "Port"] {
        let mut rows = libvirt_rows();
        rows.as_object_mut().unwrap().remove(table);
        assert_eq!(ports(&selection(), &rows), [], "without {table}");
    }
}

#[test]
fn a_changed_row_of_any_of_the_three_tables_changes_the_port() {
    let selection = selection();
    let mut model = told(&selection);
    let edit = json!({"Interface": {INTERFACE: {"modify": {"external_ids":
        ["map", [["vm-id", "vm-1"]]]}}}});
    let mut expected = libvirt_port();
    let identity = expected.identity.as_mut().unwrap();
    identity.vm = "vm-1".parse().unwrap();
    identity.trace.saw[0].value = "vm-1".into();
    expected.external_ids = expected.external_ids.iter().chain([("vm-id", "vm-1")]).collect();
    assert_eq!(model.then(&edit), Ok(vec![SourceEvent::Changed(expected.clone().into())]));

    let edit = json!({"Port": {PORT: {"modify": {"tag": 7}}}});
    expected.tag = Some(7);
    assert_eq!(model.then(&edit), Ok(vec![SourceEvent::Changed(expected.clone().into())]));

    let edit = json!({"Bridge": {BRIDGE: {"modify": {"name": "br1"}}}});
    expected.bridge = Some("br1".into());
    assert_eq!(model.then(&edit), Ok(vec![SourceEvent::Changed(expected.into())]));
}

#[test]
fn what_changes_nothing_about_a_port_is_not_told() {
    let selection = selection();
    let mut model = told(&selection);
    // The rows again, as a server does that was asked with `monitor`.
    let text = libvirt_rows().to_string().replace("initial", "new");
    assert_eq!(model.then(&serde_json::from_str(&text).unwrap()), Ok(vec![]));
    // A column that no port shows: vlan_mode access is what a tag alone means.
    let edit = json!({"Port": {PORT: {"modify": {"vlan_mode": "access"}}}});
    assert_eq!(model.then(&edit), Ok(vec![]));
}

#[test]
fn a_bridge_that_gets_an_owner_changes_its_ports_and_what_says_nothing_does_not() {
    let selection = selection();
    let mut model = told(&selection);
    let update = |model: &mut Model<'_>, row: &Value| {
        model.then(&json!({"Bridge": {BRIDGE: {"modify": row}}})).unwrap()
    };
    let owned = |owner: &str, datapath| {
        let flow_owner = Some(owner.to_owned());
        let switch = Some(SwitchPort { datapath, flow_owner, ofport: None });
        vec![SourceEvent::Changed(Port { switch, ..libvirt_port() }.into())]
    };
    let controller = json!({"controller": ["uuid", OTHER_INTERFACE]});
    let told = update(&mut model, &controller);
    assert_eq!(told, owned("the bridge has a controller", Datapath::Kernel));
    // It goes, and what OVN keeps in a bridge's row comes.
    let zone = |name: &str| json!({"external_ids": ["map", [[name, "1"]]]});
    let mut both = zone("ct-zone-a");
    both["controller"] = controller["controller"].clone();
    assert_eq!(update(&mut model, &both), owned("the bridge is OVN's", Datapath::Kernel));
    assert_eq!(update(&mut model, &zone("ct-zone-b")), []);
    update(&mut model, &zone("ct-zone-a"));
    let secure = json!({"fail_mode": "secure", "datapath_type": "netdev",
        "external_ids": ["map", [["ct-zone-b", "1"]]]});
    let told = update(&mut model, &secure);
    let text = "the bridge's fail_mode is secure: a controller makes its flows";
    assert_eq!(told, owned(text, Datapath::Userspace));
}

#[test]
fn a_port_has_its_number_once_the_switch_gives_one() {
    for (ofport, expected) in [(json!(3), Some(3)), (json!(-1), None), (json!(["set", []]), None)] {
        let interface = json!({"name": "vnet0", "ofport": ofport});
        let port = port(&selection(), &rows("br0", &json!({}), &interface));
        assert_eq!(port.switch.unwrap().ofport, expected);
    }
}

#[test]
fn a_port_that_ovn_has_bound_is_on_a_bridge_of_ovn() {
    let ids = json!({"name": "vnet0", "external_ids": ["map", [["ovn-installed", "true"]]]});
    let port = port(&selection(), &rows("br0", &json!({}), &ids));
    assert_eq!(port.switch.unwrap().flow_owner.as_deref(), Some("the bridge is OVN's"));
}

#[test]
fn a_removed_port_is_told_once() {
    let selection = selection();
    let mut model = told(&selection);
    // As ovsdb-server 3.1 writes `del-port`.
    let gone = json!({
        "Bridge": {BRIDGE: {"modify": {"ports": ["uuid", PORT]}}},
        "Interface": {INTERFACE: {"delete": null}},
        "Port": {PORT: {"delete": null}},
    });
    assert_eq!(model.then(&gone), Ok(vec![SourceEvent::Removed("vnet0".into())]));
    let again = json!({"Bridge": {BRIDGE: {"modify": {"name": "br1"}}}});
    assert_eq!(model.then(&again), Ok(vec![]));
}

#[test]
fn a_port_replaced_in_one_transaction_is_one_change() {
    let selection = selection();
    let mut model = told(&selection);
    let there = json!({
        "Port": {PORT: {"modify": {"interfaces": ["set",
            [["uuid", INTERFACE], ["uuid", OTHER_INTERFACE]]]}}},
        "Interface": {
            INTERFACE: {"delete": null},
            OTHER_INTERFACE: {"insert": {"name": "vnet0"}},
        },
    });
    let expected = Port {
        identity: Err(Unidentified("no vm-id, vm-uuid in external_ids".into())),
        mac: None,
        external_ids: ExternalIds::default(),
        ..libvirt_port()
    };
    assert_eq!(model.then(&there), Ok(vec![SourceEvent::Changed(expected.into())]));
    let mut back = libvirt_rows();
    back["Interface"][OTHER_INTERFACE] = json!({"delete": null});
    assert_eq!(model.then(&back), Ok(vec![SourceEvent::Changed(libvirt_port().into())]));
}

#[test]
fn a_port_that_moves_to_another_bridge_is_one_change() {
    // In either order of the two bridges' rows.
    for (from, to) in [(BRIDGE, OTHER_BRIDGE), (OTHER_BRIDGE, BRIDGE)] {
        let selection = selection();
        let mut model = Model::new(&selection);
        let mut before = libvirt_rows();
        before["Bridge"] = json!({
            from: {"initial": {"name": "br0", "ports": ["uuid", PORT]}},
            to: {"initial": {"name": "br1"}},
        });
        model.first(&before).unwrap();
        let moved = json!({"Bridge": {
            from: {"modify": {"ports": ["uuid", PORT]}},
            to: {"modify": {"ports": ["uuid", PORT]}},
        }});
        let expected = Port { bridge: Some("br1".into()), ..libvirt_port() };
        assert_eq!(model.then(&moved), Ok(vec![SourceEvent::Changed(expected.into())]));
    }
}

#[test]
fn rows_that_cannot_be_read_are_an_error() {
    let selection = selection();
    for bad in [
        json!([]),
        json!({"Port": []}),
        json!({"Port": {"x": {"insert": {}}}}),
        json!({"Port": {PORT: {"modify": {"tag": 1}}}}),
    ] {
        let taken = Model::new(&selection).rows().deserialize(&bad);
        assert!(!matches!(taken, Ok(Ok(()))), "{bad}");
    }
}
