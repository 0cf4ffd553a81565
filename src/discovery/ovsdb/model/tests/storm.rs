//! Random transactions: what is told of them adds up to what a new connection would be told.

use proptest::prelude::*;

use super::*;

/// The database's rows, by small numbers.
#[derive(Debug, Clone, Default)]
struct Rows {
    /// Name, and which ports it has.
    bridges: BTreeMap<usize, (usize, BTreeSet<usize>)>,
    /// Tag, and which interfaces it has.
    ports: BTreeMap<usize, (u16, BTreeSet<usize>)>,
    /// Name, type and VM.
    interfaces: BTreeMap<usize, (usize, &'static str, usize)>,
}

#[derive(Debug, Clone, Copy)]
enum Edit {
    Bridge(usize, usize),
    BridgeGone(usize),
    Port(usize, u16),
    PortGone(usize),
    PortTo(usize, usize),
    Interface(usize, usize, &'static str, usize),
    InterfaceGone(usize),
    InterfaceTo(usize, usize),
}

impl Rows {
    fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Bridge(bridge, name) => {
                if !self.bridges.values().any(|(other, _)| *other == name) {
                    self.bridges.entry(bridge).or_default().0 = name;
                }
            }
            Edit::BridgeGone(bridge) => {
                self.bridges.remove(&bridge);
            }
            Edit::Port(port, tag) => self.ports.entry(port).or_default().0 = tag,
            Edit::PortGone(port) => {
                self.ports.remove(&port);
                self.bridges.values_mut().for_each(|(_, ports)| {
                    ports.remove(&port);
                });
            }
            Edit::PortTo(port, bridge) => {
                if self.ports.contains_key(&port) && self.bridges.contains_key(&bridge) {
                    self.bridges.values_mut().for_each(|(_, ports)| {
                        ports.remove(&port);
                    });
                    self.bridges.get_mut(&bridge).unwrap().1.insert(port);
                }
            }
            Edit::Interface(interface, name, kind, vm) => {
                let is_taken = |(other, row): (&usize, &(usize, &str, usize))| {
                    *other != interface && row.0 == name
                };
                if !self.interfaces.iter().any(is_taken) {
                    self.interfaces.insert(interface, (name, kind, vm));
                }
            }
            Edit::InterfaceGone(interface) => {
                self.interfaces.remove(&interface);
                self.ports.values_mut().for_each(|(_, of)| {
                    of.remove(&interface);
                });
            }
            Edit::InterfaceTo(interface, port) => {
                if self.interfaces.contains_key(&interface) && self.ports.contains_key(&port) {
                    self.ports.values_mut().for_each(|(_, of)| {
                        of.remove(&interface);
                    });
                    self.ports.get_mut(&port).unwrap().1.insert(interface);
                }
            }
        }
    }

    /// Writes every row, by table and UUID.
    fn written(&self) -> BTreeMap<(&'static str, String), Value> {
        let references = |table: usize, rows: &BTreeSet<usize>| {
            let references = rows.iter().map(|row| json!(["uuid", uuid(table, *row)]));
            json!(["set", references.collect::<Vec<_>>()])
        };
        let mut written = BTreeMap::new();
        for (row, (name, ports)) in &self.bridges {
            let columns = json!({"name": format!("br{name}"), "ports": references(1, ports)});
            written.insert(("Bridge", uuid(0, *row)), columns);
        }
        for (row, (tag, interfaces)) in &self.ports {
            let columns = json!({"name": "p", "tag": tag, "interfaces": references(2, interfaces)});
            written.insert(("Port", uuid(1, *row)), columns);
        }
        for (row, (name, kind, vm)) in &self.interfaces {
            let ids = if *vm == 0 { json!([]) } else { json!([["vm-id", format!("vm-{vm}")]]) };
            let name = format!("tap{name}");
            let columns = json!({"name": name, "type": kind, "external_ids": ["map", ids]});
            written.insert(("Interface", uuid(2, *row)), columns);
        }
        written
    }

    /// Writes what one transaction changed, as `update` (RFC 7047 section 4.1.6) does.
    fn since(&self, before: &Self) -> Value {
        let (old, new) = (before.written(), self.written());
        let mut tables = json!({});
        for (key @ (table, uuid), row) in &new {
            if old.get(key) != Some(row) {
                tables[*table][uuid] = json!({"new": row});
            }
        }
        for (table, uuid) in old.keys().filter(|key| !new.contains_key(*key)) {
            tables[*table][uuid] = json!({"old": {}});
        }
        tables
    }
}

fn uuid(table: usize, row: usize) -> String {
    format!("{table:08}-0000-4000-8000-{row:012}")
}

fn edit() -> impl Strategy<Value = Edit> {
    let row = 0..4_usize;
    let kind = prop_oneof![Just(""), Just("internal"), Just("patch"), Just("dpdkvhostuserclient")];
    prop_oneof![
        1 => (0..2_usize, 0..3_usize).prop_map(|(row, name)| Edit::Bridge(row, name)),
        1 => (0..2_usize).prop_map(Edit::BridgeGone),
        1 => (row.clone(), 1..3_u16).prop_map(|(row, tag)| Edit::Port(row, tag)),
        1 => row.clone().prop_map(Edit::PortGone),
        3 => (row.clone(), 0..2_usize).prop_map(|(row, bridge)| Edit::PortTo(row, bridge)),
        2 => (row.clone(), 0..4_usize, kind, 0..3_usize)
            .prop_map(|(row, name, kind, vm)| Edit::Interface(row, name, kind, vm)),
        1 => row.clone().prop_map(Edit::InterfaceGone),
        3 => (row.clone(), row).prop_map(|(row, port)| Edit::InterfaceTo(row, port)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 100,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(6640),
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_told_of_changes_adds_up_to_a_new_snapshot(
        transactions in proptest::collection::vec(proptest::collection::vec(edit(), 1..6), 1..40),
    ) {
        let selection = Selection { bridges: vec!["br0".into(), "br1".into()], ..selection() };
        let mut rows = Rows::default();
        let mut model = Model::new(&selection);
        prop_assert_eq!(model.first(&json!({})), Ok(SourceEvent::Snapshot(vec![])));
        let mut told = BTreeMap::new();
        for transaction in transactions {
            let before = rows.clone();
            transaction.into_iter().for_each(|edit| rows.edit(edit));
            for event in model.then(&rows.since(&before)).unwrap() {
                match event {
                    SourceEvent::Changed(port) => {
                        let name = port.interface.clone();
                        prop_assert_ne!(told.insert(name, port.clone()), Some(port));
                    }
                    SourceEvent::Removed(name) => prop_assert!(told.remove(&name).is_some()),
                    SourceEvent::Snapshot(_) | SourceEvent::Down(_) => prop_assert!(false),
                }
            }
            let fresh = ports(&selection, &rows.since(&Rows::default()));
            prop_assert_eq!(told.values().map(|port| Port::clone(port)).collect::<Vec<_>>(), fresh);
        }
    }
}
