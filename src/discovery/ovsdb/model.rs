//! The watched rows joined to ports, and what an update changes in them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::mem;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use uuid::Uuid;

use super::rows::{self, BadRow, BridgeRow, InterfaceRow, PortRow, Row, RowUpdate, Table};
use crate::discovery::{
    Datapath, Evidence, ExternalIds, IdentityRule, Port, PortStatus, Preset, SourceEvent,
    SwitchPort, identify,
};
use crate::wire::Mac;

/// What the file says about which rows are ports, and whose.
#[derive(Debug, Clone)]
pub(super) struct Selection {
    /// The bridges whose ports are taken; empty: all.
    pub(super) bridges: Vec<String>,
    /// `[[identity]]`, in file order.
    pub(super) rules: Arc<[IdentityRule]>,
    /// The presets, in the order in which they are tried.
    pub(super) presets: Vec<Preset>,
}

/// The rows, and the ports that were made of them last.
#[derive(Debug)]
pub(super) struct Model<'a> {
    selection: &'a Selection,
    bridges: HashMap<Uuid, BridgeRow>,
    ports: HashMap<Uuid, PortRow>,
    interfaces: HashMap<Uuid, InterfaceRow>,
    /// Which bridge has a port, and which port an interface: the references, turned round.
    bridge_of: HashMap<Uuid, Uuid>,
    port_of: HashMap<Uuid, Uuid>,
    /// Interfaces whose own row or one above it was touched since the last look.
    touched: BTreeSet<Uuid>,
    /// The name that each interface's row was told under.
    told_names: HashMap<Uuid, String>,
    /// What was told last, by the interface's name.
    told: BTreeMap<String, Arc<Port>>,
}

impl<'a> Model<'a> {
    /// Makes a model without rows.
    pub(super) fn new(selection: &'a Selection) -> Self {
        Self {
            selection,
            bridges: HashMap::new(),
            ports: HashMap::new(),
            interfaces: HashMap::new(),
            bridge_of: HashMap::new(),
            port_of: HashMap::new(),
            touched: BTreeSet::new(),
            told_names: HashMap::new(),
            told: BTreeMap::new(),
        }
    }

    /// Returns what takes in the table updates of one transaction, row by row as they are read: a
    /// text of thousands of rows is several times as large once it is taken apart.
    pub(super) fn rows(&mut self) -> Rows<'_, 'a> {
        Rows(self)
    }

    /// Returns the snapshot once all rows are in: every port, in the order of names.
    pub(super) fn snapshot(&mut self) -> SourceEvent {
        self.differences();
        SourceEvent::Snapshot(self.told.values().cloned().collect())
    }

    fn update(&mut self, table: Table, uuid: &str, update: &Value) -> Result<(), BadRow> {
        let (uuid, update) = (rows::uuid(uuid)?, RowUpdate::read(update)?);
        match table {
            Table::Bridge => self.update_bridge(uuid, &update)?,
            Table::Port => self.update_port(uuid, &update)?,
            Table::Interface => {
                replace(&mut self.interfaces, uuid, &update)?;
                self.touched.insert(uuid);
            }
        }
        Ok(())
    }

    fn update_bridge(&mut self, uuid: Uuid, update: &RowUpdate<'_>) -> Result<(), BadRow> {
        let (before, after) = replace(&mut self.bridges, uuid, update)?;
        relink(&mut self.bridge_of, uuid, &before.ports, &after.ports);
        // Only ports that came or went: a switch of 4,096 ports gets them one by one.
        let facts = |row: &BridgeRow| (row.name.clone(), datapath(row), flow_owner(row));
        let moved: Vec<Uuid> = if facts(&before) == facts(&after) {
            before.ports.symmetric_difference(&after.ports).copied().collect()
        } else {
            before.ports.union(&after.ports).copied().collect()
        };
        for row in moved.iter().filter_map(|port| self.ports.get(port)) {
            self.touched.extend(&row.interfaces);
        }
        Ok(())
    }

    fn update_port(&mut self, uuid: Uuid, update: &RowUpdate<'_>) -> Result<(), BadRow> {
        let (before, after) = replace(&mut self.ports, uuid, update)?;
        let set = |row: &PortRow| row.interfaces.iter().copied().collect::<BTreeSet<Uuid>>();
        let (before, after) = (set(&before), set(&after));
        relink(&mut self.port_of, uuid, &before, &after);
        self.touched.extend(before.union(&after));
        Ok(())
    }

    /// Makes the touched ports anew, and returns how they differ from what was told.
    pub(super) fn differences(&mut self) -> Vec<SourceEvent> {
        let touched = mem::take(&mut self.touched);
        // By name: a row that goes while another comes under its name is one port that changed.
        let gone: BTreeSet<String> =
            touched.iter().filter_map(|uuid| self.told_names.remove(uuid)).collect();
        let mut made = BTreeMap::new();
        for uuid in touched {
            if let Some(port) = self.port(uuid) {
                self.told_names.insert(uuid, port.interface.clone());
                made.insert(port.interface.clone(), port);
            }
        }
        let mut events = Vec::new();
        for name in gone {
            if !made.contains_key(&name) && self.told.remove(&name).is_some() {
                events.push(SourceEvent::Removed(name));
            }
        }
        for (name, port) in made {
            if self.told.get(&name).is_none_or(|told| **told != port) {
                let port = Arc::new(port);
                self.told.insert(name, Arc::clone(&port));
                events.push(SourceEvent::Changed(port));
            }
        }
        events
    }

    /// Makes the port of an interface's row; `None` if the row is none.
    fn port(&self, interface: Uuid) -> Option<Port> {
        let row = self.interfaces.get(&interface)?;
        let port_uuid = self.port_of.get(&interface)?;
        let port = self.ports.get(port_uuid)?;
        let bridge_row = self.bridges.get(self.bridge_of.get(port_uuid)?)?;
        let bridge = &bridge_row.name;
        let Selection { bridges, rules, presets } = self.selection;
        if !bridges.is_empty() && !bridges.contains(bridge) {
            return None;
        }

        let evidence = evidence(row, port, bridge);
        let identity = identify(&evidence, rules, presets);
        if identity.is_err() && is_infrastructure(row, bridge) {
            return None;
        }
        let Vlans { tag, trunks, is_trunk } = Vlans::of(port);
        let external_ids = if port.external_ids.is_empty() {
            row.external_ids.clone()
        } else {
            let mut both = evidence.port_external_ids;
            both.extend(evidence.interface_external_ids);
            both.into()
        };
        let bound_by_ovn = external_ids.contains_key("ovn-installed").then(|| OVN_OWNS.to_owned());
        let switch = SwitchPort {
            datapath: datapath(bridge_row),
            flow_owner: flow_owner(bridge_row).or(bound_by_ovn),
            ofport: row.ofport,
        };
        Some(Port {
            interface: printable(&row.name),
            identity,
            mac: attached_mac(&external_ids),
            network: None,
            bridge: Some(bridge.clone()),
            tag,
            trunks,
            is_trunk,
            status: status(row, &external_ids),
            fault: row.error.as_deref().map(fault),
            switch: Some(switch),
            external_ids,
        })
    }
}

/// Takes table updates in: an object of tables, each an object of row updates by UUID.
#[derive(Debug)]
pub(super) struct Rows<'m, 'a>(&'m mut Model<'a>);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = Result<(), BadRow>;

    fn deserialize<D: Deserializer<'de>>(self, updates: D) -> Result<Self::Value, D::Error> {
        updates.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = Result<(), BadRow>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tables")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut tables: A) -> Result<Self::Value, A::Error> {
        let mut taken = Ok(());
        while let Some(name) = tables.next_key::<String>()? {
            match Table::ALL.into_iter().find(|table| table.name() == name) {
                Some(table) if taken.is_ok() => {
                    taken = tables.next_value_seed(TableRows { model: &mut *self.0, table })?;
                }
                Some(_) | None => {
                    tables.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(taken)
    }
}

/// Takes the row updates of one table in.
struct TableRows<'m, 'a> {
    model: &'m mut Model<'a>,
    table: Table,
}

impl<'de> DeserializeSeed<'de> for TableRows<'_, '_> {
    type Value = Result<(), BadRow>;

    fn deserialize<D: Deserializer<'de>>(self, rows: D) -> Result<Self::Value, D::Error> {
        rows.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for TableRows<'_, '_> {
    type Value = Result<(), BadRow>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of rows")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut rows: A) -> Result<Self::Value, A::Error> {
        let mut taken = Ok(());
        while let Some((uuid, update)) = rows.next_entry::<String, Value>()? {
            // What comes behind a row that cannot be read is still to be passed over.
            taken = taken.and_then(|()| self.model.update(self.table, &uuid, &update));
        }
        Ok(taken)
    }
}

/// Puts the updated row in the place of the one before, and returns both; an absent one is empty.
fn replace<R: Row>(
    rows: &mut HashMap<Uuid, R>,
    uuid: Uuid,
    update: &RowUpdate<'_>,
) -> Result<(R, R), BadRow> {
    let after = rows::updated(rows.get(&uuid), update)?;
    let before = match &after {
        Some(row) => rows.insert(uuid, row.clone()),
        None => rows.remove(&uuid),
    };
    Ok((before.unwrap_or_default(), after.unwrap_or_default()))
}

/// Turns the references of `parent` round.
fn relink(
    parents: &mut HashMap<Uuid, Uuid>,
    parent: Uuid,
    before: &BTreeSet<Uuid>,
    after: &BTreeSet<Uuid>,
) {
    for child in before.difference(after) {
        // Its new parent may have been seen first.
        if parents.get(child) == Some(&parent) {
            parents.remove(child);
        }
    }
    parents.extend(after.difference(before).map(|child| (*child, parent)));
}

fn evidence(row: &InterfaceRow, port: &PortRow, bridge: &str) -> Evidence {
    let mut other_config = row.other_config.clone();
    other_config.extend(port.other_config.clone());
    Evidence {
        interface: row.name.clone(),
        bridge: Some(bridge.to_owned()),
        interface_external_ids: row.external_ids.to_map(),
        port_external_ids: port.external_ids.to_map(),
        other_config,
    }
}

/// Tells whether a row is part of the network itself: its VMs are elsewhere, if anywhere.
fn is_infrastructure(row: &InterfaceRow, bridge: &str) -> bool {
    let own_port = row.kind == "internal" && row.name == bridge;
    own_port || row.kind == "patch" || TUNNELS.contains(&row.kind.as_str())
}

fn datapath(bridge: &BridgeRow) -> Datapath {
    if bridge.datapath_type == "netdev" { Datapath::Userspace } else { Datapath::Kernel }
}

/// Says why the flows of a bridge are somebody's own (ovs-vswitchd.conf.db(5), ovn-controller(8)).
///
/// OVN names no controller: it comes to the bridge by itself, sets `fail_mode`, and keeps its
/// connection tracking zones in the bridge's row.
fn flow_owner(bridge: &BridgeRow) -> Option<String> {
    let is_ovns = |(key, _): (&str, &str)| key.starts_with("ct-zone-") || key.starts_with("ovn-");
    if !bridge.controller.is_empty() {
        Some("the bridge has a controller".to_owned())
    } else if bridge.external_ids.iter().any(is_ovns) {
        Some(OVN_OWNS.to_owned())
    } else if bridge.fail_mode.as_deref() == Some("secure") {
        Some("the bridge's fail_mode is secure: a controller makes its flows".to_owned())
    } else {
        None
    }
}

/// Which of its VLAN columns a port obeys.
struct Vlans {
    tag: Option<u16>,
    trunks: Vec<u16>,
    is_trunk: bool,
}

impl Vlans {
    /// Reads `vlan_mode`, `tag` and `trunks` as ovs-vswitchd.conf.db(5) explains them.
    ///
    /// There is one difference: without any of them Open vSwitch carries every VLAN, but what a
    /// VM sends there is meant to be untagged.
    fn of(port: &PortRow) -> Self {
        let trunks = || port.trunks.iter().copied().collect();
        match (port.vlan_mode.as_deref(), port.tag) {
            (Some("trunk"), _) => Self { tag: None, trunks: trunks(), is_trunk: true },
            (Some("native-tagged" | "native-untagged"), tag) => {
                Self { tag, trunks: trunks(), is_trunk: true }
            }
            (None, None) if !port.trunks.is_empty() => {
                Self { tag: None, trunks: trunks(), is_trunk: true }
            }
            (_, tag) => Self { tag, trunks: Vec::new(), is_trunk: false },
        }
    }
}

/// Returns the guest's MAC; a text that is no station's address counts as absent.
fn attached_mac(external_ids: &ExternalIds) -> Option<Mac> {
    // OVN-Kubernetes writes it with an underscore.
    let macs = ["attached-mac", "attached_mac"].iter().filter_map(|key| external_ids.get(key));
    macs.filter_map(|text| text.parse().ok()).find(|mac: &Mac| mac.is_unicast())
}

/// Returns a name that no listing or log line has to think of: rows may hold any text.
///
/// What a network device can be called passes as it is.
fn printable(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

/// Returns an error text as a listing may show it.
fn fault(error: &str) -> String {
    error.chars().take(128).flat_map(char::escape_debug).collect()
}

/// Tells whether Linux would give a device this name.
fn is_device_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_graphic() && !b"/\\\"'".contains(&byte);
    !name.is_empty() && name.len() < IFNAMSIZ && name.bytes().all(allowed)
}

fn status(row: &InterfaceRow, external_ids: &ExternalIds) -> PortStatus {
    match row.kind.as_str() {
        "" | "system" | "internal" | "tap" if !is_device_name(&row.name) => {
            PortStatus::NoDevice("no network device can have such a name".into())
        }
        "" | "system" | "internal" | "tap" => {
            if external_ids.get("iface-status") == Some("inactive") {
                PortStatus::Inactive
            } else {
                PortStatus::Active
            }
        }
        "afxdp" | "afxdp-nonpmd" => {
            PortStatus::NoDevice("AF_XDP takes its frames before a packet socket sees them".into())
        }
        kind => {
            let kind: String = kind.chars().take(32).collect();
            PortStatus::NoDevice(format!("interface type {kind:?} has no network device"))
        }
    }
}

const OVN_OWNS: &str = "the bridge is OVN's";

/// The longest name of a network device, with its final zero (linux/if.h).
const IFNAMSIZ: usize = 16;

/// Interface types of ovs-vswitchd.conf.db(5) that lead to another node.
const TUNNELS: [&str; 11] = [
    "bareudp",
    "erspan",
    "geneve",
    "gre",
    "gtpu",
    "ip6erspan",
    "ip6gre",
    "lisp",
    "srv6",
    "stt",
    "vxlan",
];

#[cfg(test)]
mod tests;
