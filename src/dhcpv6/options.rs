//! The options that configure a guest: one row an option.
//!
//! To add one, add its code and its row. A row's body is made once, when a port gets its binding;
//! the packet path copies it.

use std::net::{IpAddr, Ipv6Addr};

use crate::network::{EncryptedResolver, Parameters, RawOption};

/// One option of a profile, ready to be copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Encoded {
    pub(super) code: u16,
    pub(super) within: Within,
    pub(super) sent: Sent,
    pub(super) form: Form,
    pub(super) body: Box<[u8]>,
}

impl Encoded {
    /// Returns how many bytes the option takes in a message.
    pub(super) fn length(&self) -> usize {
        let head = match self.form {
            Form::Plain => 4,
            Form::ClientFqdn => 5,
        };
        self.body.len().saturating_add(head)
    }
}

/// Which answers an option may stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Within {
    /// All that configure: to Solicit, Request, Renew, Rebind and Information-request.
    Configuration,
    /// Advertise only.
    Advertise,
    /// The Reply to an Information-request only.
    Information,
}

/// Whether the client must have asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is sent to every client.
    Always,
    /// Only if the Option Request option names it (RFC 9915, section 21.7).
    Requested,
}

/// What is written before the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing.
    Plain,
    /// A byte of flags that depends on the client's.
    ClientFqdn,
}

/// Encodes every row that `parameters` have a value for, the most needed first; an option that the
/// admin set by its code takes the place of its row.
pub(super) fn encode(parameters: &Parameters, raw: &[RawOption]) -> Box<[Encoded]> {
    let mut encoded = Vec::new();
    for row in ROWS {
        let mut replaced = raw.iter().filter(|option| option.code == row.code).peekable();
        if replaced.peek().is_some() {
            encoded.extend(replaced.map(|option| row.replaced_by(option)));
        } else {
            encoded.extend(row.make.bodies(parameters).into_iter().map(|body| row.encoded(body)));
        }
    }
    let listed = |option: &RawOption| ROWS.iter().any(|row| row.code == option.code);
    let others = raw.iter().filter(|option| !listed(option) && !OURS.contains(&option.code));
    encoded.extend(others.map(|option| Encoded {
        code: option.code,
        within: Within::Configuration,
        sent: if option.always { Sent::Always } else { Sent::Requested },
        form: Form::Plain,
        body: option.body.clone(),
    }));
    encoded.into_boxed_slice()
}

/// Option codes (RFC 9915, section 21, unless another RFC is named).
pub(super) mod code {
    pub(in crate::dhcpv6) const CLIENT_ID: u16 = 1;
    pub(in crate::dhcpv6) const SERVER_ID: u16 = 2;
    pub(in crate::dhcpv6) const IA_NA: u16 = 3;
    pub(in crate::dhcpv6) const IA_TA: u16 = 4;
    pub(in crate::dhcpv6) const IA_ADDR: u16 = 5;
    /// Option Request.
    pub(in crate::dhcpv6) const ORO: u16 = 6;
    pub(in crate::dhcpv6) const PREFERENCE: u16 = 7;
    pub(in crate::dhcpv6) const ELAPSED_TIME: u16 = 8;
    pub(in crate::dhcpv6) const RELAY_MESSAGE: u16 = 9;
    pub(in crate::dhcpv6) const STATUS_CODE: u16 = 13;
    pub(in crate::dhcpv6) const RAPID_COMMIT: u16 = 14;
    pub(in crate::dhcpv6) const USER_CLASS: u16 = 15;
    pub(in crate::dhcpv6) const VENDOR_CLASS: u16 = 16;
    pub(in crate::dhcpv6) const RECONF_MESSAGE: u16 = 19;
    pub(in crate::dhcpv6) const RECONF_ACCEPT: u16 = 20;
    /// RFC 3646, section 3.
    pub(in crate::dhcpv6) const DNS_SERVERS: u16 = 23;
    /// RFC 3646, section 4.
    pub(in crate::dhcpv6) const DOMAIN_LIST: u16 = 24;
    pub(in crate::dhcpv6) const IA_PD: u16 = 25;
    pub(in crate::dhcpv6) const IA_PREFIX: u16 = 26;
    /// RFC 4075.
    pub(in crate::dhcpv6) const SNTP_SERVERS: u16 = 31;
    pub(in crate::dhcpv6) const INFORMATION_REFRESH_TIME: u16 = 32;
    /// RFC 4704.
    pub(in crate::dhcpv6) const CLIENT_FQDN: u16 = 39;
    /// RFC 5908.
    pub(in crate::dhcpv6) const NTP_SERVER: u16 = 56;
    /// RFC 5970.
    pub(in crate::dhcpv6) const BOOT_URL: u16 = 59;
    /// RFC 5970.
    pub(in crate::dhcpv6) const BOOT_PARAMS: u16 = 60;
    /// RFC 5970.
    pub(in crate::dhcpv6) const CLIENT_ARCHITECTURE: u16 = 61;
    pub(in crate::dhcpv6) const SOL_MAX_RT: u16 = 82;
    pub(in crate::dhcpv6) const INF_MAX_RT: u16 = 83;
    /// RFC 8910.
    pub(in crate::dhcpv6) const CAPTIVE_PORTAL: u16 = 103;
    /// RFC 9463.
    pub(in crate::dhcpv6) const ENCRYPTED_RESOLVER: u16 = 144;
    /// RFC 9686.
    pub(in crate::dhcpv6) const ADDR_REG_ENABLE: u16 = 148;
}

/// One option that we know how to make.
struct Row {
    code: u16,
    within: Within,
    sent: Sent,
    form: Form,
    make: Make,
}

/// Makes the bodies of a row.
enum Make {
    /// One option; `None`: there is nothing to say.
    One(fn(&Parameters) -> Option<Vec<u8>>),
    /// One option for each of several values.
    Each(fn(&Parameters) -> Vec<Vec<u8>>),
}

impl Make {
    fn bodies(&self, parameters: &Parameters) -> Vec<Vec<u8>> {
        match self {
            Self::One(make) => make(parameters).into_iter().collect(),
            Self::Each(make) => make(parameters),
        }
    }
}

impl Row {
    fn encoded(&self, body: Vec<u8>) -> Encoded {
        Encoded {
            code: self.code,
            within: self.within,
            sent: self.sent,
            form: self.form,
            body: body.into_boxed_slice(),
        }
    }

    fn replaced_by(&self, option: &RawOption) -> Encoded {
        Encoded {
            code: self.code,
            within: self.within,
            sent: if option.always { Sent::Always } else { self.sent },
            form: Form::Plain,
            body: option.body.clone(),
        }
    }
}

/// All rows, the most needed first: what does not fit is left out from the end.
const ROWS: &[Row] = &[
    Row {
        code: code::PREFERENCE,
        within: Within::Advertise,
        sent: Sent::Always,
        form: Form::Plain,
        make: Make::One(|parameters| Some(vec![parameters.ipv6.as_ref()?.server_preference?])),
    },
    Row {
        code: code::DNS_SERVERS,
        within: Within::Configuration,
        sent: Sent::Requested,
        form: Form::Plain,
        make: Make::One(|parameters| addresses(&parameters.dns)),
    },
    Row {
        code: code::INFORMATION_REFRESH_TIME,
        within: Within::Information,
        sent: Sent::Requested,
        form: Form::Plain,
        make: Make::One(|parameters| {
            let seconds = parameters.ipv6.as_ref()?.information_refresh_time?;
            Some(seconds.to_be_bytes().to_vec())
        }),
    },
    Row {
        code: code::SOL_MAX_RT,
        within: Within::Configuration,
        sent: Sent::Requested,
        form: Form::Plain,
        make: Make::One(|parameters| {
            Some(parameters.ipv6.as_ref()?.solicit_max_retry?.to_be_bytes().to_vec())
        }),
    },
    Row {
        code: code::INF_MAX_RT,
        within: Within::Configuration,
        sent: Sent::Requested,
        form: Form::Plain,
        make: Make::One(|parameters| {
            Some(parameters.ipv6.as_ref()?.information_max_retry?.to_be_bytes().to_vec())
        }),
    },
    Row {
        code: code::DOMAIN_LIST,
        within: Within::Configuration,
        sent: Sent::Requested,
        form: Form::Plain,
        make: Make::One(domain_list),
    },
    // RFC 9686, section 4.1: it has no body, and says that registrations are taken.
    Row {
        code: code::ADDR_REG_ENABLE,
        within: Within::Configuration,
        sent: Sent::Requested,
        form: Form::Plain,
        make: Make::One(|_| Some(Vec::new())),
    },
    // RFC 4704, section 6, allows it only if the client sent the option as well. Guests that ask for
    // their name and have none to offer, dhclient among them, are told it all the same.
    Row {
        code: code::CLIENT_FQDN,
        within: Within::Configuration,
        sent: Sent::Requested,
        form: Form::ClientFqdn,
        make: Make::One(client_fqdn),
    },
    Row {
        code: code::NTP_SERVER,
        within: Within::Configuration,
        sent: Sent::Requested,
        form: Form::Plain,
        make: Make::One(ntp_servers),
    },
    // RFC 5908 replaces it; older guests ask for it still.
    Row {
        code: code::SNTP_SERVERS,
        within: Within::Configuration,
        sent: Sent::Requested,
        form: Form::Plain,
        make: Make::One(|parameters| addresses(&parameters.ntp)),
    },
    Row {
        code: code::CAPTIVE_PORTAL,
        within: Within::Configuration,
        sent: Sent::Requested,
        form: Form::Plain,
        make: Make::One(|parameters| Some(parameters.captive_portal.as_ref()?.as_str().into())),
    },
    // RFC 9463, section 4.1: an option for each resolver.
    Row {
        code: code::ENCRYPTED_RESOLVER,
        within: Within::Configuration,
        sent: Sent::Requested,
        form: Form::Plain,
        make: Make::Each(|parameters| parameters.resolvers.iter().filter_map(resolver).collect()),
    },
];

/// Codes that the protocol itself puts into a message, or that only a client or relay may send: no
/// admin's value can stand in for them.
const OURS: [u16; 14] = [
    code::CLIENT_ID,
    code::SERVER_ID,
    code::IA_NA,
    code::IA_TA,
    code::IA_ADDR,
    code::ORO,
    code::ELAPSED_TIME,
    code::RELAY_MESSAGE,
    code::STATUS_CODE,
    code::RAPID_COMMIT,
    code::RECONF_MESSAGE,
    code::RECONF_ACCEPT,
    code::IA_PD,
    code::IA_PREFIX,
];

/// NTP_SUBOPTION_SRV_ADDR (RFC 5908, section 4.1).
const NTP_SERVER_ADDRESS: u16 = 1;

/// The longest name, lengths and the root's zero included (RFC 1035, section 2.3.4).
const MAX_NAME: usize = 255;

/// Returns the IPv6 addresses of a list that serves both families.
fn ipv6_of(list: &[IpAddr]) -> impl Iterator<Item = Ipv6Addr> {
    list.iter().filter_map(|address| match address {
        IpAddr::V6(address) => Some(*address),
        IpAddr::V4(_) => None,
    })
}

/// Makes a list of addresses; `None` if there is none: no server sends an empty list.
fn addresses(list: &[IpAddr]) -> Option<Vec<u8>> {
    let body: Vec<u8> = ipv6_of(list).flat_map(|address| address.octets()).collect();
    (!body.is_empty()).then_some(body)
}

/// Makes one suboption for each server.
fn ntp_servers(parameters: &Parameters) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for address in ipv6_of(&parameters.ntp) {
        body.extend(NTP_SERVER_ADDRESS.to_be_bytes());
        body.extend(16_u16.to_be_bytes());
        body.extend(address.octets());
    }
    (!body.is_empty()).then_some(body)
}

/// Makes the search list; names stand one after another, uncompressed (RFC 9915, section 10).
fn domain_list(parameters: &Parameters) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    for name in &parameters.search {
        name.encode(&mut body);
    }
    (!body.is_empty()).then_some(body)
}

/// Makes one resolver; `None` if it has addresses, but none of IPv6 (RFC 9463, section 4.1).
fn resolver(resolver: &EncryptedResolver) -> Option<Vec<u8>> {
    let name = resolver.encoded_name();
    let mut body = resolver.priority.to_be_bytes().to_vec();
    body.extend(u16::try_from(name.len()).ok()?.to_be_bytes());
    body.extend(name);
    // Section 3.1.6: a resolver without addresses has no further field.
    if !resolver.addresses.is_empty() {
        let addresses = resolver.encoded_ipv6_addresses()?;
        body.extend(u16::try_from(addresses.len()).ok()?.to_be_bytes());
        body.extend(addresses);
        body.extend(resolver.params.bytes());
    }
    Some(body)
}

/// Makes the guest's name: complete with a domain, else one label without the root's zero, which
/// says that the name is partial (RFC 4704, section 4.2).
fn client_fqdn(parameters: &Parameters) -> Option<Vec<u8>> {
    let label = parameters.hostname.as_ref()?.as_str();
    let mut partial = vec![u8::try_from(label.len()).ok()?];
    partial.extend(label.as_bytes());
    let Some(domain) = &parameters.domain else { return Some(partial) };
    let mut complete = partial.clone();
    domain.encode(&mut complete);
    Some(if complete.len() <= MAX_NAME { complete } else { partial })
}
