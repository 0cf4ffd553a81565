//! The names that a lease is keyed by, checked once where they come in.
//!
//! They come from Open vSwitch rows and configuration files, which others than the admin may
//! write (rule A28): length and characters are bounded here, so that no listing, log line, path
//! or key has to think of them again.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A name that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {text:?} {fault}")]
pub struct NameError {
    what: &'static str,
    text: String,
    fault: &'static str,
}

/// Declares one kind of name: shared text, so that a clone costs no allocation.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check(text, $what, $max, $allowed)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

name! {
    /// The lasting name of a VM: `namespace/name` or a UUID. At most 253 characters.
    VmId, "VM identity", 253, |byte| byte.is_ascii_graphic()
}

name! {
    /// Which of a VM's interfaces; `default` where nothing names it. At most 253 characters.
    NicName, "NIC name", 253, |byte| byte.is_ascii_graphic()
}

name! {
    /// The name of a network template; it becomes a metric label. At most 63 characters.
    NetworkName, "network name", 63,
    |byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

impl VmId {
    /// Splits `namespace/name` at its last `/`; the namespace is empty without one.
    #[must_use]
    pub fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').unwrap_or(("", &self.0))
    }
}

impl NicName {
    /// Returns the name under which something is held for whichever NIC of a VM asks first.
    #[must_use]
    pub fn any() -> Self {
        Self(ANY.into())
    }

    /// Returns the name that sorts before all others.
    pub(super) fn first() -> Self {
        Self("".into())
    }

    /// Tells whether it stands for whichever NIC asks first.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.as_str() == ANY
    }
}

impl Default for NicName {
    fn default() -> Self {
        Self("default".into())
    }
}

fn check(
    text: &str,
    what: &'static str,
    max: usize,
    allowed: impl Fn(u8) -> bool,
) -> Result<(), NameError> {
    let fault = if text.is_empty() {
        "is empty"
    } else if text.len() > max {
        "is too long"
    } else if !text.bytes().all(allowed) {
        "has a character that is not allowed in it"
    } else {
        return Ok(());
    };
    // What is quoted is bounded as well: the text may be anything.
    let text = text.chars().take(64).collect();
    Err(NameError { what, text, fault })
}

/// What no rule names a NIC.
const ANY: &str = "*";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vm_identity_splits_at_its_last_slash() {
        assert_eq!("prod/eu/db-1".parse::<VmId>().unwrap().split(), ("prod/eu", "db-1"));
        assert_eq!("db-1".parse::<VmId>().unwrap().split(), ("", "db-1"));
    }

    #[test]
    fn names_that_would_spoil_a_line_are_refused() {
        for bad in ["", "a b", "a\nb", "a\u{1b}[31m", "ü"] {
            assert!(bad.parse::<VmId>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(254).parse::<VmId>().is_err());
        assert!("blue/1".parse::<NetworkName>().is_err());
    }
}
