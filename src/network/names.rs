//! Host and domain names as types that cannot be wrong.

use std::fmt;
use std::str::FromStr;

use crate::lease::{NicName, VmId};

/// One label of letters, digits and hyphens (RFC 1123, section 2.1): at most 63 characters, lower
/// case, no hyphen at either end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hostname(String);

impl Hostname {
    /// Makes a host name out of any text: lower-cased, every character outside `[a-z0-9-]` turned
    /// into `-`, ends trimmed, cut to 63 characters. `None` if nothing is left (rule R5).
    #[must_use]
    pub fn sanitize(text: &str) -> Option<Self> {
        let mapped: String = text
            .chars()
            .map(|c| c.to_ascii_lowercase())
            .map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' })
            .collect();
        let trimmed = mapped.trim_matches('-');
        let cut: String = trimmed.chars().take(MAX_LABEL).collect();
        let cut = cut.trim_end_matches('-');
        if cut.is_empty() { None } else { Some(Self(cut.to_owned())) }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How a network names its VMs: text with `{vm}`, `{namespace}`, `{name}` and `{nic}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostnameTemplate(String);

impl HostnameTemplate {
    /// Checks that every `{...}` is one of the four placeholders.
    ///
    /// # Errors
    /// The first placeholder that is none of them, or an unclosed brace.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let tail = rest.get(open..).unwrap_or_default();
            let Some(close) = tail.find('}') else {
                return Err(tail.to_owned());
            };
            let placeholder = tail.get(..=close).unwrap_or_default();
            if !["{vm}", "{namespace}", "{name}", "{nic}"].contains(&placeholder) {
                return Err(placeholder.to_owned());
            }
            rest = tail.get(close.saturating_add(1)..).unwrap_or_default();
        }
        Ok(Self(text.to_owned()))
    }

    /// Returns the text as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes the host name of one NIC; `None` if nothing is left after the sanitiser.
    #[must_use]
    pub fn render(&self, vm: &VmId, nic: &NicName) -> Option<Hostname> {
        let (namespace, name) = vm.split();
        let name = if is_uuid(name) {
            format!("vm-{}", name.get(..8).unwrap_or_default())
        } else {
            name.to_owned()
        };
        // `{vm}` last: what was put in may look like a placeholder itself, and is not one.
        let mut text = String::new();
        let mut rest = self.0.as_str();
        while let Some(open) = rest.find('{') {
            text.push_str(rest.get(..open).unwrap_or_default());
            let tail = rest.get(open..).unwrap_or_default();
            let close = tail.find('}').unwrap_or(tail.len().saturating_sub(1));
            text.push_str(match tail.get(..=close).unwrap_or_default() {
                "{vm}" => vm.as_str(),
                "{namespace}" => namespace,
                "{name}" => &name,
                "{nic}" => nic.as_str(),
                other => other,
            });
            rest = tail.get(close.saturating_add(1)..).unwrap_or_default();
        }
        text.push_str(rest);
        Hostname::sanitize(&text)
    }
}

impl Default for HostnameTemplate {
    fn default() -> Self {
        Self("{name}".to_owned())
    }
}

/// A fully qualified domain name, without the root's dot: labels of 1 to 63 letters, digits,
/// hyphens and underscores, at most 253 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DomainName(String);

/// The text is not a domain name, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DomainNameError(&'static str);

impl DomainName {
    /// Returns the text, without the root's dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the labels, the leftmost first.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// Appends the name in the form of RFC 1035, section 3.1: labels with their lengths, and the
    /// root's zero; no compression.
    pub fn encode(&self, out: &mut Vec<u8>) {
        for label in self.labels() {
            // `from_str` bounds a label to 63 bytes.
            out.push(u8::try_from(label.len()).unwrap_or(0));
            out.extend_from_slice(label.as_bytes());
        }
        out.push(0);
    }
}

impl FromStr for DomainName {
    type Err = DomainNameError;

    fn from_str(text: &str) -> Result<Self, DomainNameError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainNameError("it is empty"));
        }
        if text.len() > 253 {
            return Err(DomainNameError("it has more than 253 characters"));
        }
        for label in text.split('.') {
            if label.is_empty() {
                return Err(DomainNameError("it has an empty label"));
            }
            if label.len() > MAX_LABEL {
                return Err(DomainNameError("it has a label of more than 63 characters"));
            }
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
            if !label.bytes().all(allowed) {
                return Err(DomainNameError(
                    "a label may hold letters, digits, hyphens and underscores only",
                ));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(DomainNameError("a label begins or ends with a hyphen"));
            }
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Tells whether `text` has the form 8-4-4-4-12 of hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// RFC 1035, section 2.3.4.
const MAX_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    fn render(template: &str, vm: &str) -> Option<String> {
        let template = HostnameTemplate::new(template).unwrap();
        let name = template.render(&vm.parse().unwrap(), &NicName::default());
        name.map(|name| name.as_str().to_owned())
    }

    #[test]
    fn host_names_come_from_the_identity() {
        assert_eq!(render("{name}", "demo/Web_1"), Some("web-1".to_owned()));
        assert_eq!(
            render("{name}", "3f2b8c1e-0000-4000-8000-000000000001"),
            Some("vm-3f2b8c1e".to_owned())
        );
        assert_eq!(render("{namespace}-{name}-{nic}", "a/b"), Some("a-b-default".to_owned()));
        assert_eq!(render("{name}", "___"), None);
        assert_eq!(render("{name}", &"x".repeat(80)), Some("x".repeat(63)));
    }

    #[test]
    fn a_placeholder_inside_a_vm_name_stays_text() {
        assert_eq!(render("{vm}", "{nic}"), Some("nic".to_owned()));
    }

    #[test]
    fn unknown_placeholders_are_refused() {
        assert_eq!(HostnameTemplate::new("{pod}-x"), Err("{pod}".to_owned()));
        assert_eq!(HostnameTemplate::new("x{name"), Err("{name".to_owned()));
    }

    #[test]
    fn domain_names_are_checked_and_encoded() {
        let mut bytes = Vec::new();
        "Blue.example.".parse::<DomainName>().unwrap().encode(&mut bytes);
        assert_eq!(bytes, b"\x04blue\x07example\x00");
        for bad in ["", ".", "a b", "a..b", "-a.b", &"x".repeat(64)] {
            assert!(bad.parse::<DomainName>().is_err(), "{bad:?}");
        }
    }
}
