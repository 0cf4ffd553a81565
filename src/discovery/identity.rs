//! Rules that name the VM behind a port: the admin's own, then the presets.

use std::collections::BTreeMap;

use regex_lite::Regex;

use super::{Identity, Unidentified};

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

/// Built-in rules for what today's systems write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// vm-id, iface-id.
    Libvirt,
    /// vm-uuid, iface-id.
    OpenStack,
}

/// Names the VM behind a port: own rules in file order, then the presets in theirs.
///
/// # Errors
/// [`Unidentified`] with the reason in words, for `ports` and `explain`.
pub fn identify(
    evidence: &Evidence,
    rules: &[IdentityRule],
    presets: &[Preset],
) -> Result<Identity, Unidentified> {
    let _ = (evidence, rules, presets);
    Err(Unidentified(String::new()))
}
