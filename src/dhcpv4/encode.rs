//! Option data that need more than a copy: lists of names, routes and resolvers.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;

use crate::network::{DomainName, EncryptedResolver};

/// Encodes names with the compression of RFC 1035, section 4.1.4; pointers count from the front of
/// the option's data, all its parts joined (RFC 3397, section 2).
#[must_use]
pub fn search_list(names: &[DomainName]) -> Vec<u8> {
    let mut body = Vec::new();
    let mut known: Vec<(&str, u16)> = Vec::new();
    for name in names {
        let mut rest = Some(name.as_str());
        while let Some(suffix) = rest {
            if let Some((_, offset)) = known.iter().find(|(text, _)| *text == suffix) {
                body.extend((POINTER | offset).to_be_bytes());
                break;
            }
            // A pointer has 14 bits.
            if let Some(offset) = u16::try_from(body.len()).ok().filter(|at| *at < POINTER_LIMIT) {
                known.push((suffix, offset));
            }
            let (label, after) = match suffix.split_once('.') {
                Some((label, after)) => (label, Some(after)),
                None => (suffix, None),
            };
            // `DomainName` bounds a label to 63 bytes.
            body.push(u8::try_from(label.len()).unwrap_or(0));
            body.extend(label.as_bytes());
            if after.is_none() {
                body.push(0);
            }
            rest = after;
        }
    }
    body
}

/// Appends one route of RFC 3442: only as many octets of the destination as its prefix covers.
pub fn push_route(body: &mut Vec<u8>, to: Ipv4Net, via: Ipv4Addr) {
    let length = to.prefix_len();
    body.push(length);
    body.extend(to.network().octets().iter().take(usize::from(length).div_ceil(8)));
    body.extend(via.octets());
}

/// Encodes those resolvers that IPv4 reaches, one instance each (RFC 9463, section 5.1).
#[must_use]
pub fn encrypted_resolvers(resolvers: &[EncryptedResolver]) -> Vec<u8> {
    resolvers.iter().filter_map(resolver).flatten().collect()
}

/// Encodes one instance with its length; `None` if it has addresses, but none of IPv4.
fn resolver(resolver: &EncryptedResolver) -> Option<Vec<u8>> {
    let name = resolver.encoded_name();
    let mut instance = resolver.priority.to_be_bytes().to_vec();
    instance.push(u8::try_from(name.len()).ok()?);
    instance.extend(name);
    // Section 3.1.6: a resolver without addresses has no further field.
    if !resolver.addresses.is_empty() {
        let addresses = ipv4_of(&resolver.addresses);
        instance.push(u8::try_from(addresses.len()).ok().filter(|length| *length > 0)?);
        instance.extend(addresses);
        instance.extend(resolver.params.bytes());
    }
    let length = u16::try_from(instance.len()).ok()?;
    Some([&length.to_be_bytes()[..], &instance].concat())
}

/// Returns the IPv4 addresses of a list of both families, one behind the other.
pub(super) fn ipv4_of(list: &[IpAddr]) -> Vec<u8> {
    let mut body = Vec::new();
    for address in list {
        match address {
            IpAddr::V4(address) => body.extend(address.octets()),
            IpAddr::V6(_) => {}
        }
    }
    body
}

const POINTER: u16 = 0xc000;
const POINTER_LIMIT: u16 = 0x4000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_have_the_fields_that_rfc_9463_gives_them() {
        let resolver = |name: &str, addresses: &[&str], params: &str| EncryptedResolver {
            name: name.parse().unwrap(),
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            priority: 0x0102,
            params: params.parse().unwrap(),
        };
        let body = encrypted_resolvers(&[
            resolver("a.b", &["10.0.0.1", "2001:db8::1", "10.0.0.2"], "alpn=dot"),
            resolver("six", &["2001:db8::1"], "alpn=dot"),
            resolver("c", &[], ""),
        ]);
        let expected: &[&[u8]] = &[
            &[0, 25, 1, 2, 5],
            b"\x01a\x01b\0",
            &[8, 10, 0, 0, 1, 10, 0, 0, 2],
            b"\0\x01\0\x04\x03dot",
            &[0, 6, 1, 2, 3],
            b"\x01c\0",
        ];
        assert_eq!(body, expected.concat());
    }
}
