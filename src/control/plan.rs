//! What `plan` says.

use serde::{Deserialize, Serialize};

/// What reading the files anew would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PlanOutcome {
    /// Every diagnostic, if the files cannot be used; then nothing else is said.
    pub errors: Vec<String>,
    /// The ports of which something would change, in the order of their interfaces.
    pub ports: Vec<PortChange>,
    /// What would change beside, or what the plan cannot see; one line each.
    pub notes: Vec<String>,
    /// Whether anything would change.
    pub changes: bool,
}

/// What would change for one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PortChange {
    /// The interface.
    pub interface: String,
    /// The VM behind it: as now, or as then if there is none now.
    pub vm: Option<String>,
    /// Which of its interfaces.
    pub nic: Option<String>,
    /// The values that differ.
    pub values: Vec<ValueChange>,
}

/// One value that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ValueChange {
    /// What it is called, as the files have it.
    pub name: String,
    /// What is served now; none: nothing.
    pub now: Option<String>,
    /// What would be served; none: nothing.
    pub then: Option<String>,
}
