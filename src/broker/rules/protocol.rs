//! How the rules that are wanted are told, and what became of them. Pure.
//!
//! ```text
//! request   count (4)   count times: kind (1)  name (16, zero padded)  number (4)
//! answer    length (4)  JSON: [[place of the rule, why it is not in force], ...]
//! ```

use super::{DeviceName, Rule};

/// A rule that is not in force: its place in the request, and why.
pub(super) type Failure = (u32, String);

/// Writes a request; rules beyond [`RULES_MAX`] are left out.
pub(super) fn encode(rules: &[Rule]) -> Vec<u8> {
    let rules = rules.get(..RULES_MAX).unwrap_or(rules);
    let mut bytes = Vec::with_capacity(COUNT + rules.len() * RULE);
    bytes.extend(u32::try_from(rules.len()).unwrap_or(0).to_be_bytes());
    for rule in rules {
        let (kind, name, number) = match rule {
            Rule::Nft { interface, ifindex } => (NFT, interface, *ifindex),
            Rule::OpenFlow { bridge, ofport } => (OPENFLOW, bridge, u32::from(*ofport)),
        };
        bytes.push(kind);
        let mut padded = name.as_str().as_bytes().to_vec();
        padded.resize(NAME, 0);
        bytes.extend(padded);
        bytes.extend(number.to_be_bytes());
    }
    bytes
}

/// Reads how many rules follow; `None`: more than anybody may ask for.
pub(super) fn count(bytes: [u8; COUNT]) -> Option<usize> {
    usize::try_from(u32::from_be_bytes(bytes)).ok().filter(|count| *count <= RULES_MAX)
}

/// Reads one rule; `None` if it is none of ours.
pub(super) fn decode(bytes: &[u8; RULE]) -> Option<Rule> {
    let (kind, rest) = bytes.split_first()?;
    let (name, number) = rest.split_first_chunk::<NAME>()?;
    let number = u32::from_be_bytes(number.try_into().ok()?);
    let name = std::str::from_utf8(name).ok()?.trim_end_matches('\0');
    let name = DeviceName::new(name)?;
    match *kind {
        NFT => Some(Rule::Nft { interface: name, ifindex: number }),
        OPENFLOW => Some(Rule::OpenFlow { bridge: name, ofport: u16::try_from(number).ok()? }),
        _ => None,
    }
}

/// How many rules may be wanted at once.
pub(super) const RULES_MAX: usize = 65_536;

/// The longest answer, in bytes.
pub(super) const ANSWER_MAX: usize = 32 << 20;

/// The longest text of a failure, in characters.
pub(super) const TEXT_MAX: usize = 200;

/// Bytes of a count or length, and of a rule.
pub(super) const COUNT: usize = 4;
pub(super) const RULE: usize = 1 + NAME + 4;

const NAME: usize = 16;
const NFT: u8 = 1;
const OPENFLOW: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn name(name: &str) -> DeviceName {
        DeviceName::new(name).unwrap()
    }

    #[test]
    fn rules_go_both_ways() {
        let rules = [
            Rule::Nft { interface: name("tap0123456789ab"), ifindex: u32::MAX },
            Rule::OpenFlow { bridge: name("br0"), ofport: 65_279 },
        ];
        let bytes = encode(&rules);
        let (head, rest) = bytes.split_first_chunk::<COUNT>().unwrap();
        assert_eq!(count(*head), Some(2));
        let (decoded, left) = rest.as_chunks::<RULE>();
        assert!(left.is_empty());
        assert_eq!(decoded.iter().map(decode).collect::<Vec<_>>(), rules.map(Some));
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        let good = encode(&[Rule::OpenFlow { bridge: name("br0"), ofport: 1 }]);
        let good: [u8; RULE] = good[COUNT..].try_into().unwrap();
        for (place, value) in [(0, 9), (1, b'"'), (1, 0), (2, 0xff), (RULE - 3, 1)] {
            let mut bad = good;
            bad[place] = value;
            assert_eq!(decode(&bad), None, "byte {place}");
        }
        assert_eq!(count(u32::MAX.to_be_bytes()), None);
    }
}
