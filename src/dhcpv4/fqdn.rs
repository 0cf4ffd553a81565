//! The Client FQDN option (RFC 4702): a guest that sends its name is told the one that it has here,
//! and that no DNS is updated for it.
//!
//! The guest's own name is never read, only the flags before it.

use crate::network::Parameters;

/// The name of one NIC in both encodings of the option.
#[derive(Debug)]
pub(super) struct Name {
    /// Labels, without the root's zero if the name is partial (section 2.3).
    canonical: Box<[u8]>,
    /// The deprecated text of section 2.3.1, which Windows sends.
    text: Box<[u8]>,
}

/// What stands in the option that answers a guest's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    /// Flags and both RCODEs.
    pub(super) head: [u8; HEAD],
    /// The name, encoded as the guest encodes its own.
    pub(super) name: &'a [u8],
}

impl Name {
    /// Encodes the host name, with the domain if there is one and room for it; `None` without a
    /// host name.
    pub(super) fn new(parameters: &Parameters) -> Option<Self> {
        let label = parameters.hostname.as_ref()?.as_str();
        let mut text = label.to_owned();
        let mut canonical = vec![u8::try_from(label.len()).ok()?];
        canonical.extend(label.as_bytes());
        let fits = |domain: &str| label.len().saturating_add(domain.len()) <= MAX_LETTERS;
        if let Some(domain) = parameters.domain.as_ref().filter(|domain| fits(domain.as_str())) {
            text.push('.');
            text.push_str(domain.as_str());
            domain.encode(&mut canonical);
        }
        Some(Self { canonical: canonical.into(), text: text.into_bytes().into() })
    }

    /// Answers an option with these flags.
    ///
    /// We update no DNS: N is 1, so S is 0; O says that a client which asked for S was overruled
    /// (section 2.1). E is the client's.
    pub(super) fn answer(&self, client: u8) -> Answer<'_> {
        let overruled = if client & FLAG_S == 0 { 0 } else { FLAG_O };
        let encoding = client & FLAG_E;
        let name = if encoding == 0 { &self.text } else { &self.canonical };
        Answer { head: [FLAG_N | overruled | encoding, RCODE, RCODE], name }
    }
}

/// Flags, RCODE1 and RCODE2 (section 2).
pub(super) const HEAD: usize = 3;
/// Section 2.2: what a server puts into the RCODEs.
const RCODE: u8 = 255;
/// Host name and domain together, so that the option stays in one part: 255 bytes less the head,
/// the lengths before both and the root's zero.
const MAX_LETTERS: usize = 249;
const FLAG_S: u8 = 0x01;
const FLAG_O: u8 = 0x02;
const FLAG_E: u8 = 0x04;
const FLAG_N: u8 = 0x08;
