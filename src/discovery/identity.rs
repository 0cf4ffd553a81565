//! Rules that name the VM behind a port: the admin's own, then the presets.
//!
//! What they look at was written by others than the admin (rule A28): it is bounded before a
//! pattern sees it, and escaped and cut before a reason quotes it.

mod presets;

pub use presets::Preset;

use std::collections::BTreeMap;
use std::fmt;

use regex_lite::{Captures, Regex};

use super::{Identity, IdentityTrace, Seen, Unidentified};
use crate::lease::{NameError, NicName};

/// What is known of a port before it has a name: the texts that a rule may look at.
#[derive(Debug, Clone, Default)]
pub struct Evidence {
    /// The interface's name.
    pub interface: String,
    /// The bridge's name.
    pub bridge: Option<String>,
    /// External ids of the Interface row.
    pub interface_external_ids: BTreeMap<String, String>,
    /// External ids of the Port row.
    pub port_external_ids: BTreeMap<String, String>,
    /// `other_config` of the Port row, then of the Interface row.
    pub other_config: BTreeMap<String, String>,
}

impl Evidence {
    /// Returns the external id `key` of the Interface row, else of the Port row.
    #[must_use]
    pub fn external_id(&self, key: &str) -> Option<&str> {
        let id = self.interface_external_ids.get(key);
        id.or_else(|| self.port_external_ids.get(key)).map(String::as_str)
    }

    fn text(&self, field: &Field) -> Option<&str> {
        match field {
            Field::Interface => Some(&self.interface),
            Field::Bridge => self.bridge.as_deref(),
            Field::ExternalId(key) => self.external_id(key),
            Field::OtherConfig(key) => self.other_config.get(key).map(String::as_str),
        }
    }
}

/// One `[[identity]]` entry, checked: the pattern compiles, the templates name its captures.
#[derive(Debug, Clone)]
pub struct IdentityRule {
    /// The text that is looked at.
    pub from: Field,
    /// What it must match.
    pub pattern: Regex,
    /// The VM identity, with `{capture}` placeholders.
    pub vm: String,
    /// The NIC, with `{capture}` placeholders.
    pub nic: String,
}

impl PartialEq for IdentityRule {
    fn eq(&self, other: &Self) -> bool {
        let Self { from, pattern, vm, nic } = self;
        (from, pattern.as_str(), vm, nic)
            == (&other.from, other.pattern.as_str(), &other.vm, &other.nic)
    }
}

/// The text that an [`IdentityRule`] looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// `interface`.
    Interface,
    /// `bridge`.
    Bridge,
    /// `external-ids:KEY`, of the Interface row, else of the Port row.
    ExternalId(String),
    /// `other-config:KEY`.
    OtherConfig(String),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interface => f.write_str("interface"),
            Self::Bridge => f.write_str("bridge"),
            Self::ExternalId(key) => write!(f, "external-ids:{key}"),
            Self::OtherConfig(key) => write!(f, "other-config:{key}"),
        }
    }
}

/// How far one rule got.
enum Attempt {
    /// It has nothing to say of such a port.
    Silent,
    /// It knows the port's writer, but the row does not tell the VM, and why. Another rule may.
    Recognized(String),
    /// It is the rule that decides.
    Decided(Result<Identity, Unidentified>),
}

/// Names the VM behind a port: own rules in file order, then the presets in theirs.
///
/// The first rule that fits decides, even if what it makes is not a name: a port must not become
/// another VM's because the admin's rule for it gave nothing usable.
///
/// # Errors
/// [`Unidentified`] with the reason in words, for `ports` and `explain`.
pub fn identify(
    evidence: &Evidence,
    rules: &[IdentityRule],
    presets: &[Preset],
) -> Result<Identity, Unidentified> {
    for (place, rule) in rules.iter().enumerate() {
        let text = evidence.text(&rule.from).filter(|text| text.len() <= MAX_TEXT);
        if let Some(captures) = text.and_then(|text| rule.pattern.captures(text)) {
            let name = format!("[[identity]] {}", place.saturating_add(1));
            let saw = text.map(|text| seen(rule.from.to_string(), text)).into_iter().collect();
            let trace = IdentityTrace { rule: name, saw };
            return named(&expand(&rule.vm, &captures), &expand(&rule.nic, &captures), trace);
        }
    }
    let mut recognized = Vec::new();
    for preset in presets {
        match preset.attempt(evidence) {
            Attempt::Silent => {}
            Attempt::Recognized(reason) => recognized.push(reason),
            Attempt::Decided(identity) => return identity,
        }
    }
    if recognized.is_empty() {
        return Err(Unidentified(nothing_fits(rules, presets)));
    }
    Err(Unidentified(recognized.join("; ")))
}

/// Puts captures in the place of `{capture}`; a group that took no part in the match is empty.
fn expand(template: &str, captures: &Captures<'_>) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((name, after)) = after.split_once('}') else { break };
        out.push_str(before);
        out.push_str(captures.name(name).map_or("", |capture| capture.as_str()));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn named(vm: &str, nic: &str, trace: IdentityTrace) -> Result<Identity, Unidentified> {
    // The error quotes the text, escaped and cut.
    let refused = |error: NameError| Unidentified(format!("{}: {error}", trace.rule));
    let vm = vm.parse().map_err(refused)?;
    let nic: NicName = nic.parse().map_err(refused)?;
    Ok(Identity { vm, nic, trace })
}

/// Makes an identity of a source's own template, filled in.
pub(super) fn templated(vm: &str, trace: IdentityTrace) -> Result<Identity, Unidentified> {
    named(vm, "default", trace)
}

pub(super) fn seen(key: String, value: &str) -> Seen {
    let cut = value.chars().take(MAX_SEEN).flat_map(char::escape_debug).collect();
    Seen { key, value: cut }
}

fn nothing_fits(rules: &[IdentityRule], presets: &[Preset]) -> String {
    let mut keys: Vec<&str> = Vec::new();
    for key in presets.iter().map(|preset| preset.key()) {
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    match (keys.is_empty(), rules.is_empty()) {
        (true, true) => "no identity preset is on and there is no [[identity]] rule".into(),
        (true, false) => "no [[identity]] rule matches".into(),
        (false, true) => format!("no {} in external_ids", keys.join(", ")),
        (false, false) => {
            format!("no {} in external_ids, no [[identity]] rule matches", keys.join(", "))
        }
    }
}

/// The longest text that a pattern is tried on, in bytes: no name that could be made of more is
/// usable, and a pattern must not spend seconds on one row.
const MAX_TEXT: usize = 4096;

/// How much of a value is kept for `explain`, in characters: any name fits.
const MAX_SEEN: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Preset; 2] = [Preset::Libvirt, Preset::OpenStack];

    fn ids(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
    }

    fn rule(from: Field, pattern: &str, vm: &str, nic: &str) -> IdentityRule {
        let pattern = Regex::new(pattern).unwrap();
        IdentityRule { from, pattern, vm: vm.into(), nic: nic.into() }
    }

    /// VM, NIC and rule, or the reason.
    type Named = Result<(String, String, String), String>;

    fn identify(evidence: &Evidence, rules: &[IdentityRule], presets: &[Preset]) -> Named {
        match super::identify(evidence, rules, presets) {
            Ok(Identity { vm, nic, trace }) => Ok((vm.into(), nic.into(), trace.rule)),
            Err(Unidentified(reason)) => Err(reason),
        }
    }

    fn identity(vm: &str, nic: &str, rule: &str) -> Named {
        Ok((vm.into(), nic.into(), rule.into()))
    }

    fn unidentified(reason: &str) -> Named {
        Err(reason.into())
    }

    /// What libvirt writes for `<virtualport type='openvswitch'>`.
    fn libvirt() -> Evidence {
        Evidence {
            interface: "vnet0".into(),
            bridge: Some("br0".into()),
            interface_external_ids: ids(&[
                ("attached-mac", "52:54:00:aa:bb:cc"),
                ("iface-id", "6c6f8f0a-31c6-4a0a-a6a8-7a2b5bd53a0e"),
                ("iface-status", "active"),
                ("vm-id", "f1a2c1c9-2f5c-4e55-8f37-4fdc2b9a77b1"),
            ]),
            ..Evidence::default()
        }
    }

    /// What OVN-Kubernetes writes for a virt-launcher pod.
    fn ovn_kubernetes() -> Evidence {
        Evidence {
            interface: "3a8c5b7bb3f6f2d".into(),
            bridge: Some("br-int".into()),
            interface_external_ids: ids(&[
                ("attached_mac", "0a:58:0a:80:00:05"),
                ("iface-id", "prod_virt-launcher-db-1-x7k2p"),
                ("iface-id-ver", "e31f6b9c-50f7-4a3e-9f6d-4a3c9c1f0a11"),
                ("pod-if-name", "eth0"),
            ]),
            other_config: ids(&[("transient", "true")]),
            ..Evidence::default()
        }
    }

    #[test]
    fn libvirt_rows_are_named_by_vm_id_and_iface_id() {
        assert_eq!(
            identify(&libvirt(), &[], &BOTH),
            identity(
                "f1a2c1c9-2f5c-4e55-8f37-4fdc2b9a77b1",
                "6c6f8f0a-31c6-4a0a-a6a8-7a2b5bd53a0e",
                "preset libvirt"
            )
        );
    }

    #[test]
    fn openstack_rows_are_named_by_vm_uuid_and_iface_id() {
        let evidence = Evidence {
            interface_external_ids: ids(&[
                ("attached-mac", "fa:16:3e:01:02:03"),
                ("iface-id", "0b8dbd3e-6b60-4a3f-8a55-5ac1d8a5b9a7"),
                ("iface-status", "active"),
                ("vm-uuid", "7d0f4b4e-0f0f-4d3e-8d5c-22d9a7a5c001"),
            ]),
            ..Evidence::default()
        };
        assert_eq!(
            identify(&evidence, &[], &BOTH),
            identity(
                "7d0f4b4e-0f0f-4d3e-8d5c-22d9a7a5c001",
                "0b8dbd3e-6b60-4a3f-8a55-5ac1d8a5b9a7",
                "preset openstack"
            )
        );
        assert_eq!(
            identify(&evidence, &[], &[Preset::Libvirt]),
            unidentified("no vm-id in external_ids")
        );
    }

    #[test]
    fn presets_are_tried_in_their_order() {
        let evidence = Evidence {
            interface_external_ids: ids(&[("vm-id", "a"), ("vm-uuid", "b")]),
            ..Evidence::default()
        };
        assert_eq!(
            identify(&evidence, &[], &[Preset::OpenStack, Preset::Libvirt]),
            identity("b", "default", "preset openstack")
        );
    }

    #[test]
    fn ids_of_the_port_row_count_where_the_interface_row_has_none() {
        let evidence = Evidence {
            interface_external_ids: ids(&[("iface-id", "nic")]),
            port_external_ids: ids(&[("iface-id", "other"), ("vm-id", "a")]),
            ..Evidence::default()
        };
        assert_eq!(identify(&evidence, &[], &BOTH), identity("a", "nic", "preset libvirt"));
    }

    #[test]
    fn own_rules_come_before_presets_and_in_file_order() {
        let rules = [
            rule(Field::Bridge, "^elsewhere$", "x", "default"),
            rule(Field::Interface, "^vnet(?<n>[0-9]+)$", "lab/vm-{n}", "if{n}"),
            rule(Field::Interface, "^vnet", "late", "default"),
        ];
        assert_eq!(
            identify(&libvirt(), &rules, &BOTH),
            identity("lab/vm-0", "if0", "[[identity]] 2")
        );
    }

    #[test]
    fn a_pod_keyed_iface_id_gives_namespace_and_name() {
        let pattern = "^(?<namespace>[^_]+)_virt-launcher-(?<name>.+)-[a-z0-9]{5}$";
        let from = Field::ExternalId("iface-id".into());
        let rules = [rule(from, pattern, "{namespace}/{name}", "default")];
        assert_eq!(
            identify(&ovn_kubernetes(), &rules, &BOTH),
            identity("prod/db-1", "default", "[[identity]] 1")
        );
    }

    #[test]
    fn other_config_and_bridge_can_be_looked_at() {
        let by_config = rule(Field::OtherConfig("transient".into()), "true", "t", "default");
        assert_eq!(
            identify(&ovn_kubernetes(), &[by_config], &[]),
            identity("t", "default", "[[identity]] 1")
        );
        let by_bridge = rule(Field::Bridge, "^br-(?<b>.*)$", "{b}", "default");
        assert_eq!(
            identify(&ovn_kubernetes(), &[by_bridge], &[]),
            identity("int", "default", "[[identity]] 1")
        );
    }

    #[test]
    fn a_rule_that_gives_no_usable_name_does_not_fall_through_to_another_vm() {
        let rules = [rule(Field::Interface, "^(?<x>q)?vnet", "{x}", "default")];
        assert_eq!(
            identify(&libvirt(), &rules, &BOTH),
            unidentified("[[identity]] 1: VM identity \"\" is empty")
        );
    }

    #[test]
    fn an_id_that_is_no_name_is_quoted_escaped_and_cut() {
        let mut evidence = libvirt();
        let hostile = format!("\u{1b}[2J{}", "x".repeat(5000));
        evidence.interface_external_ids.insert("vm-id".into(), hostile);
        let Err(reason) = identify(&evidence, &[], &BOTH) else { panic!("it was named") };
        assert!(reason.starts_with("preset libvirt: VM identity \"\\u{1b}[2Jxxx"), "{reason}");
        assert!(reason.len() < 200, "{reason}");
    }

    #[test]
    fn a_text_too_long_for_any_name_is_not_matched() {
        let evidence = Evidence { interface: "v".repeat(4097), ..Evidence::default() };
        let rules = [rule(Field::Interface, "^v", "x", "default")];
        assert_eq!(
            identify(&evidence, &rules, &BOTH),
            unidentified("no vm-id, vm-uuid in external_ids, no [[identity]] rule matches")
        );
    }

    #[test]
    fn reasons_name_only_what_was_tried() {
        let nothing = Evidence::default();
        let rules = [rule(Field::Interface, "^v", "x", "default")];
        assert_eq!(identify(&nothing, &rules, &[]), unidentified("no [[identity]] rule matches"));
        assert_eq!(
            identify(&nothing, &[], &[]),
            unidentified("no identity preset is on and there is no [[identity]] rule")
        );
    }
}
