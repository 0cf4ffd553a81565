//! The rows that ports are made of, and how an update changes them.
//!
//! Values are written as RFC 7047 section 5.1 says; what the three kinds of notification mean is
//! in ovsdb-server(7). Columns that nobody asked for do not come.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use uuid::Uuid;

use crate::discovery::ExternalIds;

/// A table that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Bridge,
    Port,
    Interface,
}

impl Table {
    pub(super) const ALL: [Self; 3] = [Self::Bridge, Self::Port, Self::Interface];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "Bridge",
            Self::Port => "Port",
            Self::Interface => "Interface",
        }
    }

    /// The columns without which nothing can be said.
    pub(super) const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Bridge => &["name", "ports"],
            Self::Port => &["name", "interfaces", "tag", "trunks", "external_ids"],
            Self::Interface => &["name", "type", "external_ids"],
        }
    }

    /// The columns that are read where the schema has them.
    pub(super) const fn optional_columns(self) -> &'static [&'static str] {
        match self {
            Self::Bridge => &["datapath_type", "fail_mode", "controller", "external_ids"],
            Self::Port => &["vlan_mode", "other_config"],
            Self::Interface => &["other_config", "error", "ofport"],
        }
    }
}

/// What an update says of one row.
#[derive(Debug)]
pub(super) enum RowUpdate<'a> {
    /// All of its columns; those that are left out have their default.
    Whole(&'a Value),
    /// Columns that changed: sets and maps as differences, the rest as new values.
    Difference(&'a Value),
    /// It is gone.
    Gone,
}

impl<'a> RowUpdate<'a> {
    /// Reads a row update of `update` (RFC 7047 section 4.1.6), or of `update2` and `update3`.
    pub(super) fn read(update: &'a Value) -> Result<Self, BadRow> {
        let update = update.as_object().ok_or(BadRow("a row update is not an object"))?;
        let whole = ["new", "initial", "insert"].iter().find_map(|kind| update.get(*kind));
        if let Some(row) = whole {
            Ok(Self::Whole(row))
        } else if let Some(row) = update.get("modify") {
            Ok(Self::Difference(row))
        } else if update.contains_key("delete") || update.contains_key("old") {
            Ok(Self::Gone)
        } else {
            Err(BadRow("a row update has no kind"))
        }
    }
}

/// A row is not what the schema says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server sent rows that cannot be read: {0}")]
pub(super) struct BadRow(pub(super) &'static str);

/// A row that can be built from what the server says of it.
pub(super) trait Row: Default + Clone + PartialEq {
    /// Sets one column; sets and maps are changed by `edit`.
    fn set(&mut self, column: &str, value: &Value, edit: Edit) -> Result<(), BadRow>;
}

/// How the value of a set or map column is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edit {
    /// It is the value.
    Replace,
    /// It is the difference to the value so far.
    Difference,
}

/// Returns the row after an update; `None`: it is gone.
pub(super) fn updated<R: Row>(
    before: Option<&R>,
    update: &RowUpdate<'_>,
) -> Result<Option<R>, BadRow> {
    let (mut row, columns, edit) = match (update, before) {
        (RowUpdate::Gone, _) => return Ok(None),
        (RowUpdate::Whole(columns), _) => (R::default(), columns, Edit::Replace),
        (RowUpdate::Difference(columns), Some(row)) => (row.clone(), columns, Edit::Difference),
        (RowUpdate::Difference(_), None) => {
            return Err(BadRow("a row was changed that was never sent"));
        }
    };
    for (column, value) in columns.as_object().ok_or(BadRow("a row is not an object"))? {
        row.set(column, value, edit)?;
    }
    Ok(Some(row))
}

/// A row of the Bridge table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BridgeRow {
    pub(super) name: String,
    pub(super) ports: BTreeSet<Uuid>,
    pub(super) datapath_type: String,
    pub(super) fail_mode: Option<String>,
    pub(super) controller: BTreeSet<Uuid>,
    pub(super) external_ids: ExternalIds,
}

impl Row for BridgeRow {
    fn set(&mut self, column: &str, value: &Value, edit: Edit) -> Result<(), BadRow> {
        match column {
            "name" => self.name = text(value)?,
            "ports" => edit_set(&mut self.ports, set(value, reference)?, edit),
            "datapath_type" => self.datapath_type = text(value)?,
            "fail_mode" => self.fail_mode = set(value, text)?.pop(),
            "controller" => edit_set(&mut self.controller, set(value, reference)?, edit),
            "external_ids" => edit_ids(&mut self.external_ids, map(value)?, edit),
            _ => {}
        }
        Ok(())
    }
}

/// A row of the Port table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PortRow {
    pub(super) name: String,
    /// In order, each once; nearly always one.
    pub(super) interfaces: Box<[Uuid]>,
    pub(super) tag: Option<u16>,
    pub(super) trunks: BTreeSet<u16>,
    pub(super) vlan_mode: Option<String>,
    pub(super) external_ids: ExternalIds,
    pub(super) other_config: BTreeMap<String, String>,
}

impl Row for PortRow {
    fn set(&mut self, column: &str, value: &Value, edit: Edit) -> Result<(), BadRow> {
        match column {
            "name" => self.name = text(value)?,
            "interfaces" => {
                let mut interfaces = self.interfaces.iter().copied().collect();
                edit_set(&mut interfaces, set(value, reference)?, edit);
                self.interfaces = interfaces.into_iter().collect();
            }
            // A set of at most one comes whole in a difference too.
            "tag" => self.tag = set(value, vlan)?.pop(),
            "trunks" => edit_set(&mut self.trunks, set(value, vlan)?, edit),
            "vlan_mode" => self.vlan_mode = set(value, text)?.pop(),
            "external_ids" => {
                edit_ids(&mut self.external_ids, map(value)?, edit);
            }
            "other_config" => edit_map(&mut self.other_config, map(value)?, edit),
            _ => {}
        }
        Ok(())
    }
}

/// A row of the Interface table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct InterfaceRow {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) error: Option<String>,
    pub(super) ofport: Option<u16>,
    pub(super) external_ids: ExternalIds,
    pub(super) other_config: BTreeMap<String, String>,
}

impl Row for InterfaceRow {
    fn set(&mut self, column: &str, value: &Value, edit: Edit) -> Result<(), BadRow> {
        match column {
            "name" => self.name = text(value)?,
            "type" => self.kind = text(value)?,
            "error" => self.error = set(value, text)?.pop(),
            "ofport" => self.ofport = set(value, number)?.pop().flatten(),
            "external_ids" => {
                edit_ids(&mut self.external_ids, map(value)?, edit);
            }
            "other_config" => edit_map(&mut self.other_config, map(value)?, edit),
            _ => {}
        }
        Ok(())
    }
}

/// Applies a set: what is in exactly one of value and difference stays.
fn edit_set<T: Ord>(set: &mut BTreeSet<T>, items: Vec<T>, edit: Edit) {
    match edit {
        Edit::Replace => *set = items.into_iter().collect(),
        Edit::Difference => {
            for item in items {
                if !set.remove(&item) {
                    set.insert(item);
                }
            }
        }
    }
}

/// Applies a map: in a difference a pair that is there already goes, any other is put in.
fn edit_map(map: &mut BTreeMap<String, String>, pairs: Vec<(String, String)>, edit: Edit) {
    match edit {
        Edit::Replace => *map = pairs.into_iter().collect(),
        Edit::Difference => {
            for (key, value) in pairs {
                if map.get(&key) == Some(&value) {
                    map.remove(&key);
                } else {
                    map.insert(key, value);
                }
            }
        }
    }
}

fn edit_ids(ids: &mut ExternalIds, pairs: Vec<(String, String)>, edit: Edit) {
    let mut map = ids.to_map();
    edit_map(&mut map, pairs, edit);
    *ids = map.into();
}

/// Reads a set: `["set", [...]]`, or a lone atom for a set of one.
fn set<T>(value: &Value, atom: fn(&Value) -> Result<T, BadRow>) -> Result<Vec<T>, BadRow> {
    match tagged(value) {
        Some(("set", items)) => {
            items.as_array().ok_or(BadRow("a set is not a list"))?.iter().map(atom).collect()
        }
        Some(_) | None => Ok(vec![atom(value)?]),
    }
}

/// Reads a map of texts: `["map", [[key, value], ...]]`.
fn map(value: &Value) -> Result<Vec<(String, String)>, BadRow> {
    let Some(("map", pairs)) = tagged(value) else { return Err(BadRow("a map is not a map")) };
    let pairs = pairs.as_array().ok_or(BadRow("a map is not a list"))?;
    let pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([key, value]) => Ok((text(key)?, text(value)?)),
        Some(_) | None => Err(BadRow("a map has something that is not a pair")),
    };
    pairs.iter().map(pair).collect()
}

/// Reads `["tag", value]`.
fn tagged(value: &Value) -> Option<(&str, &Value)> {
    let [tag, value] = value.as_array()?.as_slice() else { return None };
    Some((tag.as_str()?, value))
}

fn text(value: &Value) -> Result<String, BadRow> {
    value.as_str().map(str::to_owned).ok_or(BadRow("a text is not a text"))
}

fn vlan(value: &Value) -> Result<u16, BadRow> {
    let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
    number.filter(|number| *number < 4096).ok_or(BadRow("a VLAN id is not a number below 4096"))
}

/// Reads an OpenFlow port number; `None` for -1, which says that there is none.
fn number(value: &Value) -> Result<Option<u16>, BadRow> {
    let number = value.as_i64().ok_or(BadRow("a port number is not a number"))?;
    Ok(u16::try_from(number).ok())
}

fn reference(value: &Value) -> Result<Uuid, BadRow> {
    let Some(("uuid", uuid)) = tagged(value) else { return Err(BadRow("a UUID is not a UUID")) };
    self::uuid(uuid.as_str().unwrap_or_default())
}

/// Reads the UUID that a row is known by.
pub(super) fn uuid(text: &str) -> Result<Uuid, BadRow> {
    Uuid::parse_str(text).map_err(|_| BadRow("a UUID cannot be read"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> ExternalIds {
        pairs.iter().copied().collect()
    }

    fn apply<R: Row>(before: Option<&R>, update: &Value) -> Result<Option<R>, BadRow> {
        updated(before, &RowUpdate::read(update)?)
    }

    fn port() -> PortRow {
        let whole = json!({"initial": {
            "name": "vnet0",
            "interfaces": ["uuid", "75258e3c-f4f9-4c3b-ae40-c7ba7bc4e184"],
            "tag": 5,
            "trunks": ["set", [1, 2]],
            "external_ids": ["map", [["a", "1"], ["b", "2"]]]
        }});
        apply(None, &whole).unwrap().unwrap()
    }

    #[test]
    fn a_whole_row_is_read_and_what_it_leaves_out_is_default() {
        let expected = PortRow {
            name: "vnet0".into(),
            interfaces: [uuid("75258e3c-f4f9-4c3b-ae40-c7ba7bc4e184").unwrap()].into(),
            tag: Some(5),
            trunks: [1, 2].into(),
            external_ids: pairs(&[("a", "1"), ("b", "2")]),
            ..PortRow::default()
        };
        assert_eq!(port(), expected);
        // The same from `update`, which leaves nothing out, and replaces.
        let new = json!({"old": {"tag": 5}, "new": {"name": "vnet0", "tag": ["set", []]}});
        let expected = PortRow { name: "vnet0".into(), ..PortRow::default() };
        assert_eq!(apply(Some(&port()), &new), Ok(Some(expected)));
    }

    #[test]
    fn a_difference_toggles_members_of_sets() {
        // As ovsdb-server 3.1 writes 1,2 to 2,3; and a set that loses one of its two members.
        let row = apply(Some(&port()), &json!({"modify": {"trunks": ["set", [1, 3]]}}));
        assert_eq!(row, Ok(Some(PortRow { trunks: [2, 3].into(), ..port() })));
        let row = apply(Some(&port()), &json!({"modify": {"trunks": 2}}));
        assert_eq!(row, Ok(Some(PortRow { trunks: [1].into(), ..port() })));
        let other = "03390b5b-7acb-4024-a422-6934c1b1a06a";
        let move_on = json!({"modify": {"interfaces": ["set", [
            ["uuid", other], ["uuid", "75258e3c-f4f9-4c3b-ae40-c7ba7bc4e184"]
        ]]}});
        let expected = PortRow { interfaces: [uuid(other).unwrap()].into(), ..port() };
        assert_eq!(apply(Some(&port()), &move_on), Ok(Some(expected)));
    }

    #[test]
    fn a_difference_removes_changes_and_adds_pairs_of_maps() {
        // b had 2 and goes, a gets a new value, c is new.
        let update =
            json!({"modify": {"external_ids": ["map", [["a", "9"], ["b", "2"], ["c", ""]]]}});
        let expected = PortRow { external_ids: pairs(&[("a", "9"), ("c", "")]), ..port() };
        assert_eq!(apply(Some(&port()), &update), Ok(Some(expected)));
    }

    #[test]
    fn a_difference_gives_scalars_and_optional_columns_as_they_are() {
        let tag = apply(Some(&port()), &json!({"modify": {"tag": 7, "vlan_mode": "access"}}));
        let mode = Some("access".to_owned());
        assert_eq!(tag, Ok(Some(PortRow { tag: Some(7), vlan_mode: mode, ..port() })));
        let none = apply(Some(&port()), &json!({"modify": {"tag": ["set", []]}}));
        assert_eq!(none, Ok(Some(PortRow { tag: None, ..port() })));
        let interface = InterfaceRow { name: "vnet0".into(), ..InterfaceRow::default() };
        let kind = apply(Some(&interface), &json!({"modify": {"type": "internal"}}));
        assert_eq!(kind, Ok(Some(InterfaceRow { kind: "internal".into(), ..interface })));
    }

    #[test]
    fn both_ways_to_say_gone_are_understood() {
        assert_eq!(apply(Some(&port()), &json!({"delete": null})), Ok(None));
        assert_eq!(apply(Some(&port()), &json!({"old": {"name": "vnet0"}})), Ok(None));
    }

    #[test]
    fn what_the_schema_does_not_allow_is_an_error() {
        for bad in [
            json!([]),
            json!({}),
            json!({"new": 1}),
            json!({"new": {"name": 1}}),
            json!({"new": {"tag": "5"}}),
            json!({"new": {"tag": 4096}}),
            json!({"new": {"interfaces": ["uuid", "x"]}}),
            json!({"new": {"interfaces": ["set", 1]}}),
            json!({"new": {"external_ids": ["set", []]}}),
            json!({"new": {"external_ids": ["map", [["a"]]]}}),
        ] {
            assert!(apply::<PortRow>(Some(&port()), &bad).is_err(), "{bad}");
        }
        let unknown = json!({"modify": {"tag": 1}});
        assert!(apply::<PortRow>(None, &unknown).is_err());
    }
}
