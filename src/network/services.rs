//! Services of the network that DHCPv4, DHCPv6 and router advertisements name alike: the captive
//! portal's API (RFC 8910) and encrypted resolvers (RFC 9463).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use super::DomainName;

/// The URI of a captive portal's API: https, or the URN that says there is no portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptivePortal(String);

/// One encrypted resolver: options 162 and 144, Encrypted DNS in the RA (RFC 9463, section 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptedResolver {
    /// Its authentication domain name.
    pub name: DomainName,
    /// Where it is, both families in one list; empty: guests look its name up ("ADN-only mode").
    pub addresses: Vec<IpAddr>,
    /// How it ranks beside the others, the lowest first; at least 1.
    pub priority: u16,
    /// How it is spoken to; empty if `addresses` are.
    pub params: ServiceParameters,
}

/// SvcParams (RFC 9460, section 2.2), as written and as sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServiceParameters {
    text: String,
    bytes: Box<[u8]>,
}

/// The text is not such a value: what is wrong, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ServiceError(String);

impl CaptivePortal {
    /// Returns the URI.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CaptivePortal {
    type Err = ServiceError;

    fn from_str(text: &str) -> Result<Self, ServiceError> {
        let fault = |what: &str| Err(ServiceError(what.to_owned()));
        // RFC 8910, section 2: longer URIs do not fit into a DHCPv4 option.
        if text.len() > MAX_URI {
            return fault("it has more than 255 bytes; shorten it");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"') {
            return fault("it has characters that no URI has; write them as %XX");
        }
        if text == UNRESTRICTED {
            return Ok(Self(text.to_owned()));
        }
        let host =
            text.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#', ':']).next());
        match host {
            // RFC 8908, section 4: the API is spoken to by https.
            None => fault("it does not begin with https://; the portal's API is reached by https"),
            Some("") => fault("it names no host; write one behind https://"),
            Some(_) => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for CaptivePortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl EncryptedResolver {
    /// Returns the authentication domain name in labels (RFC 9915, section 10).
    #[must_use]
    pub fn encoded_name(&self) -> Vec<u8> {
        let mut name = Vec::new();
        self.name.encode(&mut name);
        name
    }

    /// Returns the IPv6 addresses, one behind the other; `None` if there is none.
    #[must_use]
    pub fn encoded_ipv6_addresses(&self) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        for address in &self.addresses {
            match address {
                IpAddr::V6(address) => bytes.extend(address.octets()),
                IpAddr::V4(_) => {}
            }
        }
        Some(bytes).filter(|bytes| !bytes.is_empty())
    }
}

impl ServiceParameters {
    /// Returns the parameters as they are sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Tells whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl FromStr for ServiceParameters {
    type Err = ServiceError;

    /// Reads parameters as a zone file has them: `alpn=h2,h3 dohpath=/q{?dns} port=8443`.
    fn from_str(text: &str) -> Result<Self, ServiceError> {
        let mut given: Vec<(Key, &str)> = Vec::new();
        for word in text.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let key = Key::named(name)?;
            if given.iter().any(|(other, _)| *other == key) {
                return Err(ServiceError(format!("{name} is given twice; keep one")));
            }
            let unquoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            given.push((key, unquoted.unwrap_or(value)));
        }
        // RFC 9460, section 2.2: in ascending order of their numbers.
        given.sort_by_key(|(key, _)| key.number());
        check_together(&given)?;
        let mut bytes = Vec::new();
        for (key, value) in &given {
            let value = key.encode(value, &given)?;
            bytes.extend(key.number().to_be_bytes());
            bytes.extend(length(&value)?.to_be_bytes());
            bytes.extend(value);
        }
        Ok(Self { text: text.to_owned(), bytes: bytes.into_boxed_slice() })
    }
}

impl fmt::Display for ServiceParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// The parameters that a resolver has a use for (RFC 9460, section 14.3; RFC 9461, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Mandatory,
    Alpn,
    NoDefaultAlpn,
    Port,
    DohPath,
}

impl Key {
    const ALL: [(&'static str, Self); 5] = [
        ("mandatory", Self::Mandatory),
        ("alpn", Self::Alpn),
        ("no-default-alpn", Self::NoDefaultAlpn),
        ("port", Self::Port),
        ("dohpath", Self::DohPath),
    ];

    fn named(name: &str) -> Result<Self, ServiceError> {
        if let Some((_, key)) = Self::ALL.iter().find(|(known, _)| *known == name) {
            return Ok(*key);
        }
        Err(ServiceError(match name {
            // RFC 9463, section 3.1.8: the option has a field of its own for them.
            "ipv4hint" | "ipv6hint" => format!("{name} may not be in it; write \"addresses\""),
            _ => {
                let known: Vec<&str> = Self::ALL.iter().map(|(known, _)| *known).collect();
                format!("{name:?} is unknown; the parameters are {}", known.join(", "))
            }
        }))
    }

    const fn number(self) -> u16 {
        match self {
            Self::Mandatory => 0,
            Self::Alpn => 1,
            Self::NoDefaultAlpn => 2,
            Self::Port => 3,
            Self::DohPath => 7,
        }
    }

    /// Encodes the value; `given` are all parameters.
    fn encode(self, value: &str, given: &[(Self, &str)]) -> Result<Vec<u8>, ServiceError> {
        match self {
            Self::Mandatory => mandatory(value, given),
            Self::Alpn => alpn(value),
            Self::NoDefaultAlpn if value.is_empty() => Ok(Vec::new()),
            Self::NoDefaultAlpn => {
                Err(ServiceError("no-default-alpn has a value; write it alone".to_owned()))
            }
            Self::Port => match value.parse::<u16>() {
                Ok(port) if port != 0 => Ok(port.to_be_bytes().to_vec()),
                Ok(_) | Err(_) => {
                    Err(ServiceError(format!("port {value:?} is none; write one like port=853")))
                }
            },
            Self::DohPath if value.starts_with('/') && has_dns_variable(value) => {
                Ok(value.as_bytes().to_vec())
            }
            Self::DohPath => Err(ServiceError(format!(
                "dohpath {value:?} is no template with dns; write one like dohpath=/dns-query{{?dns}}"
            ))),
        }
    }
}

/// Checks what one parameter says about another.
fn check_together(given: &[(Key, &str)]) -> Result<(), ServiceError> {
    let value = |wanted| given.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
    let Some(alpn) = value(Key::Alpn) else {
        // RFC 9463, section 3.1.8.
        return match given {
            [] => Ok(()),
            _ => Err(ServiceError("alpn is missing; write one like alpn=dot".to_owned())),
        };
    };
    // RFC 9461, section 5.
    let by_http = alpn.split(',').any(|id| matches!(id, "h2" | "h3"));
    if by_http && value(Key::DohPath).is_none() {
        return Err(ServiceError(
            "alpn h2 and h3 need dohpath; add one like dohpath=/dns-query{?dns}".to_owned(),
        ));
    }
    Ok(())
}

/// Encodes a list of keys, which must all be there (RFC 9460, section 8).
fn mandatory(value: &str, given: &[(Key, &str)]) -> Result<Vec<u8>, ServiceError> {
    let mut numbers = Vec::new();
    for name in value.split(',') {
        let key = Key::named(name)?;
        let there = given.iter().any(|(other, _)| *other == key);
        if key == Key::Mandatory || !there || numbers.contains(&key.number()) {
            return Err(ServiceError(format!(
                "mandatory has {name}; name each of the other parameters once at most"
            )));
        }
        numbers.push(key.number());
    }
    numbers.sort_unstable();
    Ok(numbers.into_iter().flat_map(u16::to_be_bytes).collect())
}

/// Encodes protocol ids, each with its length (RFC 9460, section 7.1.1).
fn alpn(value: &str) -> Result<Vec<u8>, ServiceError> {
    let mut bytes = Vec::new();
    for id in value.split(',') {
        match u8::try_from(id.len()) {
            Ok(length) if length > 0 => bytes.push(length),
            Ok(_) | Err(_) => {
                return Err(ServiceError(format!(
                    "alpn {value:?} is no list of protocols; write one like alpn=dot"
                )));
            }
        }
        bytes.extend(id.as_bytes());
    }
    Ok(bytes)
}

/// Tells whether a URI template expands the variable `dns` (RFC 6570; RFC 8484, section 4.1).
fn has_dns_variable(template: &str) -> bool {
    let expressions = template.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    expressions.into_iter().any(|(expression, _)| {
        let variables = expression.trim_start_matches(['?', '&', '/', '+', '#', ';', '.']);
        variables.split(',').any(|variable| variable == "dns")
    })
}

fn length(value: &[u8]) -> Result<u16, ServiceError> {
    u16::try_from(value.len()).map_err(|_| ServiceError("a value is too long".to_owned()))
}

/// The longest URI (RFC 8910, section 2).
const MAX_URI: usize = 255;
/// There is no captive portal (RFC 8910, section 2).
const UNRESTRICTED: &str = "urn:ietf:params:capport:unrestricted";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portals_are_https_uris_or_the_urn_for_none() {
        for good in ["https://portal.example/api", "https://p:8443?x=1", UNRESTRICTED] {
            assert_eq!(good.parse::<CaptivePortal>().unwrap().as_str(), good);
        }
        let long = format!("https://portal.example/{}", "x".repeat(233));
        for bad in ["http://portal.example", "https:///api", "https://a b", "", "portal", &long] {
            assert!(bad.parse::<CaptivePortal>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn parameters_are_sent_in_the_order_of_their_numbers() {
        let params: ServiceParameters =
            r#"port=853 mandatory=port,alpn alpn="dot,doq""#.parse().unwrap();
        let expected: &[&[u8]] =
            &[&[0, 0, 0, 4, 0, 1, 0, 3], &[0, 1, 0, 8, 3], b"dot\x03doq", &[0, 3, 0, 2, 3, 85]];
        assert_eq!(params.bytes(), expected.concat());
        let params: ServiceParameters = "alpn=h2 no-default-alpn dohpath=/q{?dns}".parse().unwrap();
        let expected: &[&[u8]] =
            &[&[0, 1, 0, 3, 2], b"h2", &[0, 2, 0, 0], &[0, 7, 0, 8], b"/q{?dns}"];
        assert_eq!(params.bytes(), expected.concat());
        assert!("".parse::<ServiceParameters>().unwrap().is_empty());
    }

    #[test]
    fn wrong_parameters_are_refused_in_words() {
        for (text, fault) in [
            (
                "alpm=dot",
                r#""alpm" is unknown; the parameters are mandatory, alpn, no-default-alpn, port, dohpath"#,
            ),
            ("port=853", "alpn is missing; write one like alpn=dot"),
            ("alpn=dot alpn=doq", "alpn is given twice; keep one"),
            ("alpn=", r#"alpn "" is no list of protocols; write one like alpn=dot"#),
            ("alpn=dot port=0", r#"port "0" is none; write one like port=853"#),
            ("alpn=dot port=65536", r#"port "65536" is none; write one like port=853"#),
            ("alpn=h2", "alpn h2 and h3 need dohpath; add one like dohpath=/dns-query{?dns}"),
            (
                "alpn=h3 dohpath=/q",
                r#"dohpath "/q" is no template with dns; write one like dohpath=/dns-query{?dns}"#,
            ),
            ("alpn=dot ipv4hint=10.0.0.1", "ipv4hint may not be in it; write \"addresses\""),
            ("alpn=dot no-default-alpn=1", "no-default-alpn has a value; write it alone"),
            (
                "alpn=dot mandatory=port",
                "mandatory has port; name each of the other parameters once at most",
            ),
            (
                "alpn=dot mandatory=mandatory",
                "mandatory has mandatory; name each of the other parameters once at most",
            ),
        ] {
            assert_eq!(text.parse::<ServiceParameters>(), Err(ServiceError(fault.to_owned())));
        }
    }
}
