//! What `explain` says of a port.

use serde::{Deserialize, Serialize};

use super::{LeaseRow, PortRow};

/// Everything that is known of one port, and why it is so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Explanation {
    /// As `ports` lists it.
    pub port: PortRow,
    /// How the VM was named.
    pub identity: Identified,
    /// What the kernel says of the interface, in words.
    pub link: Option<String>,
    /// How the guest's requests are taken away from the switch, if they are to be.
    #[serde(default)]
    pub consume: Option<String>,
    /// The network that the source itself names; then no `[match]` is asked.
    pub source_network: Option<String>,
    /// Every network, and why it fits or does not.
    pub networks: Vec<NetworkFit>,
    /// Where each address comes from.
    pub addresses: Vec<AddressOrigin>,
    /// The lease, if the NIC has one.
    pub lease: Option<LeaseRow>,
    /// What a guest that asks for everything would get now.
    pub messages: Vec<Probed>,
    /// The last exchanges, the latest last.
    pub exchanges: Vec<Past>,
}

/// How a VM was named, or why it was not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Identified {
    /// The source whose word counts: kind and place.
    pub source: Option<String>,
    /// The rule that named the VM.
    pub rule: Option<String>,
    /// The values that the rule saw.
    pub saw: Vec<SeenValue>,
    /// Why no rule named one.
    pub reason: Option<String>,
    /// What further sources say of the same interface.
    pub others: Vec<Claim>,
}

/// One value that a rule saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SeenValue {
    /// Where it stands.
    pub key: String,
    /// What stands there.
    pub value: String,
}

/// What a further source says of an interface; it does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Claim {
    /// The source: kind and place.
    pub source: String,
    /// The VM that it names, or why it names none.
    pub says: String,
}

/// Whether one network is for a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct NetworkFit {
    /// The network.
    pub network: String,
    /// Whether it serves the port.
    pub chosen: bool,
    /// Whether every condition holds.
    pub fits: bool,
    /// The conditions of its `[match]`; none: it fits every port.
    pub conditions: Vec<Condition>,
}

/// One key of a `[match]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Condition {
    /// The key.
    pub key: String,
    /// What the network wants.
    pub wants: String,
    /// What the port has.
    pub has: String,
    /// Whether it holds.
    pub holds: bool,
}

/// Where an address comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AddressOrigin {
    /// `ipv4`, `ipv6` or, for a delegated prefix, `prefix`.
    pub family: String,
    /// The address or prefix, if there is one.
    pub address: Option<String>,
    /// Where it comes from, or why there is none.
    pub origin: String,
}

/// One request and what the port would answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Probed {
    /// The protocol.
    pub protocol: String,
    /// What would be asked.
    pub request: String,
    /// `reply`, `note` or `drop`.
    pub verdict: String,
    /// The reply's type, a note, or a drop reason.
    pub outcome: String,
    /// The outcome in words, where it is not a plain reply.
    pub explanation: Option<String>,
    /// The reply, field by field.
    pub reply: Option<Decoded>,
}

/// A message, read for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Decoded {
    /// The IP source.
    pub source: String,
    /// The IP destination.
    pub destination: String,
    /// Fields and options, in the order in which they stand.
    pub fields: Vec<Field>,
}

/// A field or an option of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Field {
    /// The option's code; none for a field of the header.
    pub code: Option<u16>,
    /// Its name.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// What became of frames, equal ones counted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Past {
    /// When the first was, as RFC 3339.
    pub first: String,
    /// When the last was, as RFC 3339.
    pub last: String,
    /// How many there were.
    pub count: u64,
    /// The protocol.
    pub protocol: String,
    /// What the guest sent.
    pub message: String,
    /// `reply`, `note` or `drop`.
    pub verdict: String,
    /// The reply's type, a note, or a drop reason.
    pub outcome: String,
    /// What was learnt beside, if something was.
    pub note: Option<String>,
    /// Whether it showed that the VM has come to the port.
    #[serde(default)]
    pub arrived: bool,
    /// The outcome in words, where it is not a plain reply.
    pub explanation: Option<String>,
}
