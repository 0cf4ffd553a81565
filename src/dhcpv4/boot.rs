//! Network boot: which rule fits a request, and what a reply then holds.
//!
//! The client is a plain one that asks no further: there is no second, proxy DHCP server, so option
//! 60 is not sent back as `PXEClient`, which would announce one. An HTTP client, however, takes only
//! an offer that says `HTTPClient` (UEFI 2.10, section 24.7).
//!
//! RFC 2131 section 2 (`siaddr`, `sname`, `file`), RFC 2132 sections 9.4 and 9.5, RFC 3004,
//! RFC 4578, RFC 5071, RFC 5859.

use std::net::Ipv4Addr;

use super::message::{FILE, Request, SNAME};
use super::options::{Demand, Entry, Priority, When, code};
use crate::network::{Architecture, BootRule, BootUrl, matches_bytes};
use crate::wire::bytes::Reader;

/// The boot rules of one NIC, encoded.
#[derive(Debug)]
pub(super) struct Boot(Vec<Rule>);

/// What one client is given; by default nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    /// `siaddr`.
    pub(super) next_server: Ipv4Addr,
    /// What stands in `sname`, without the 0 behind it; shorter than the field.
    pub(super) sname: &'a [u8],
    /// What stands in `file`, in the same way.
    pub(super) file: &'a [u8],
    /// Options that go before those of the NIC; each code once.
    pub(super) options: &'a [Entry],
    /// Option 97, which a PXE client wants back.
    pub(super) machine_id: Option<&'a [u8]>,
}

impl Given<'_> {
    /// Nothing: no rule fits, or the reply is a NAK.
    pub(super) const NOTHING: Self = Self {
        next_server: Ipv4Addr::UNSPECIFIED,
        sname: &[],
        file: &[],
        options: &[],
        machine_id: None,
    };
}

impl Boot {
    /// Encodes `rules`.
    pub(super) fn new(rules: &[BootRule]) -> Self {
        Self(rules.iter().map(Rule::new).collect())
    }

    /// Returns what the first rule that fits gives.
    pub(super) fn given<'a>(&'a self, request: &'a Request<'_>) -> Given<'a> {
        match self.0.iter().find(|rule| rule.fits(request)) {
            Some(rule) => rule.given(request),
            None => Given::NOTHING,
        }
    }
}

/// One rule, encoded.
#[derive(Debug)]
struct Rule {
    architectures: Vec<Architecture>,
    /// Globs over the whole class.
    vendor_classes: Vec<Box<[u8]>>,
    user_classes: Vec<Box<[u8]>>,
    ipxe: Option<bool>,
    next_server: Ipv4Addr,
    sname: Box<[u8]>,
    /// Option 67 is the first of them, if there is one, and option 60 the last.
    options: Vec<Entry>,
    named: Named,
}

/// What option 67 of a rule names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    /// Nothing: there is none.
    Nothing,
    /// A file, for every client.
    File,
    /// A URL, for clients that take one.
    Url,
}

/// What kind of client asks, as far as its answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// UEFI's HTTP boot: it takes a URL, and wants option 60 back.
    Http,
    /// iPXE: it takes a URL wherever others take a file.
    Ipxe,
    /// Any other.
    Other,
}

impl Rule {
    fn new(rule: &BootRule) -> Self {
        let BootRule { file, url, .. } = rule;
        let url = url.as_ref().filter(|url| url.may_be_reached_over_ipv4()).map(BootUrl::as_str);
        let (named, name) = match (file, url) {
            (Some(file), _) => (Named::File, Some(file.as_str())),
            (None, Some(url)) => (Named::Url, Some(url)),
            (None, None) => (Named::Nothing, None),
        };
        let addresses: Vec<u8> =
            rule.tftp_addresses.iter().flat_map(|address| address.octets()).collect();
        let option = |code, demand, body: &[u8]| {
            let (when, priority) = (When::Configuration, Priority::Service);
            (!body.is_empty()).then(|| Entry { code, when, demand, priority, body: body.into() })
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default().into_bytes();
        let name = name.unwrap_or_default().as_bytes();
        // The field tells it to those who do not list it.
        let file_demand = if name.len() < FILE { Demand::Listed } else { Demand::Always };
        let http_client: &[u8] = if named == Named::Nothing { &[] } else { HTTP_CLIENT };
        let options = [
            option(code::BOOT_FILE, file_demand, name),
            option(code::TFTP_SERVER_NAME, Demand::ListedOrNoList, &text(&rule.tftp_server)),
            option(code::TFTP_SERVER_ADDRESSES, Demand::ListedOrNoList, &addresses),
            // PXELINUX reads it in the answer to the firmware, which does not know of it.
            option(code::PATH_PREFIX, Demand::Always, &text(&rule.path_prefix)),
            option(code::VENDOR_CLASS, Demand::Always, http_client),
        ];
        Self {
            architectures: rule.architectures.clone(),
            // The beginning is enough: what follows are numbers of versions.
            vendor_classes: globs(&rule.vendor_classes, b"*"),
            user_classes: globs(&rule.user_classes, b""),
            ipxe: rule.ipxe,
            next_server: rule.next_server.unwrap_or(Ipv4Addr::UNSPECIFIED),
            sname: text(&rule.server_name).into(),
            options: options.into_iter().flatten().collect(),
            named,
        }
    }

    /// Tells whether every condition holds.
    fn fits(&self, request: &Request<'_>) -> bool {
        (self.architectures.is_empty() || self.fits_architecture(request))
            && (self.vendor_classes.is_empty()
                || vendor_class(request).is_some_and(|class| any(&self.vendor_classes, class)))
            && (self.user_classes.is_empty()
                || request.user_class.bytes().is_some_and(|classes| {
                    any_user_class(classes, |class| any(&self.user_classes, class))
                }))
            && self.ipxe.is_none_or(|wanted| wanted == request.ipxe_options)
    }

    /// RFC 4578, section 2.1: a client may name several, each of 16 bits.
    fn fits_architecture(&self, request: &Request<'_>) -> bool {
        let (named, _) = request.architectures.bytes().unwrap_or_default().as_chunks();
        named
            .iter()
            .any(|bytes| self.architectures.contains(&Architecture(u16::from_be_bytes(*bytes))))
    }

    /// Returns what this rule gives to a client that it fits.
    fn given<'a>(&'a self, request: &'a Request<'_>) -> Given<'a> {
        let client = Client::of(request);
        let mut options = self.options.as_slice();
        let is_named = match (self.named, client) {
            (Named::File, _) | (Named::Url, Client::Http | Client::Ipxe) => true,
            (Named::Nothing, _) | (Named::Url, Client::Other) => false,
        };
        if !is_named && let [Entry { code: code::BOOT_FILE, .. }, others @ ..] = options {
            options = others;
        }
        if client != Client::Http
            && let [others @ .., Entry { code: code::VENDOR_CLASS, .. }] = options
        {
            options = others;
        }
        let file = match options {
            [Entry { code: code::BOOT_FILE, body, .. }, ..] if body.len() < FILE => body.as_slice(),
            _ => &[],
        };
        Given {
            next_server: self.next_server,
            sname: if self.sname.len() < SNAME { &self.sname } else { &[] },
            file,
            options,
            // RFC 4578, section 2.3: type 0 and a UUID; no other form is known.
            machine_id: request
                .machine_id
                .bytes()
                .filter(|id| id.len() == 17 && id.first() == Some(&0)),
        }
    }
}

impl Client {
    fn of(request: &Request<'_>) -> Self {
        let is_http =
            request.vendor_class.bytes().is_some_and(|class| class.starts_with(HTTP_CLIENT));
        let names_ipxe = |classes| any_user_class(classes, |class| class == b"iPXE");
        if is_http {
            Self::Http
        } else if request.ipxe_options || request.user_class.bytes().is_some_and(names_ipxe) {
            Self::Ipxe
        } else {
            Self::Other
        }
    }
}

/// Returns as much of option 60 as is compared.
fn vendor_class<'a>(request: &'a Request<'_>) -> Option<&'a [u8]> {
    let class = request.vendor_class.bytes()?;
    Some(class.get(..MAX_COMPARED).unwrap_or(class))
}

/// Returns the patterns as bytes, each with `end` behind it.
fn globs(patterns: &[String], end: &[u8]) -> Vec<Box<[u8]>> {
    patterns.iter().map(|pattern| [pattern.as_bytes(), end].concat().into()).collect()
}

fn any(globs: &[Box<[u8]>], class: &[u8]) -> bool {
    globs.iter().any(|glob| matches_bytes(glob, class))
}

/// Tells whether one of the classes in option 77 fits: a list of texts, each behind its length
/// (RFC 3004, section 4), or one text alone, which is what iPXE sends. Of the list the first
/// [`MAX_CLASSES`] are looked at, of a text the first [`MAX_COMPARED`] bytes.
fn any_user_class(option: &[u8], fits: impl Fn(&[u8]) -> bool) -> bool {
    let mut reader = Reader::new(option);
    let (mut any, mut count) = (false, 0_usize);
    while let Some(length) = reader.u8() {
        let Some(class) = reader.take(length.into()).filter(|class| !class.is_empty()) else {
            return fits(option.get(..MAX_COMPARED).unwrap_or(option));
        };
        any = any || (count < MAX_CLASSES && class.len() <= MAX_COMPARED && fits(class));
        count = count.saturating_add(1);
    }
    any
}

/// Firmware and loaders send about 35 bytes: what is longer costs time, and names nothing new.
const MAX_COMPARED: usize = 128;
/// Clients send one or two.
const MAX_CLASSES: usize = 16;

/// What option 60 of an HTTP client begins with.
const HTTP_CLIENT: &[u8] = b"HTTPClient";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Datagram, Link, Mac};

    /// What a rule with a file of its name gives to a client with these options.
    fn file_given(rules: &[BootRule], options: &[(u8, &[u8])]) -> String {
        given(rules, options, |given| String::from_utf8(given.file.to_vec()).unwrap())
    }

    /// Calls `look` with what a DISCOVER with these options is given.
    fn given<T>(
        rules: &[BootRule],
        options: &[(u8, &[u8])],
        look: impl FnOnce(Given<'_>) -> T,
    ) -> T {
        let mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
        let mut payload = vec![0; 240];
        payload[..3].copy_from_slice(&[1, 1, 6]);
        payload[28..34].copy_from_slice(&mac.0);
        payload[236..].copy_from_slice(&[99, 130, 83, 99]);
        payload.extend([53, 1, 1]);
        for (code, value) in options {
            payload.extend([*code, u8::try_from(value.len()).unwrap()]);
            payload.extend(*value);
        }
        payload.push(255);
        let datagram = Datagram {
            link: Link { source: mac, destination: Mac::BROADCAST },
            source: Ipv4Addr::UNSPECIFIED,
            destination: Ipv4Addr::BROADCAST,
            payload: &payload,
        };
        let request = Request::parse(&datagram).unwrap();
        look(Boot::new(rules).given(&request))
    }

    fn codes(given: Given<'_>) -> Vec<u8> {
        given.options.iter().map(|entry| entry.code).collect()
    }

    fn rule(file: &str) -> BootRule {
        BootRule { file: Some(file.to_owned()), ..BootRule::default() }
    }

    fn for_user_class(class: &str) -> BootRule {
        BootRule { user_classes: vec![class.to_owned()], ..rule(class) }
    }

    fn for_url(url: &str) -> BootRule {
        BootRule { url: Some(url.parse().unwrap()), ..BootRule::default() }
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let arm = BootRule { architectures: vec![Architecture(11)], ..rule("arm") };
        let rules = [arm, rule("first"), rule("second")];
        assert_eq!(file_given(&rules, &[]), "first");
        assert_eq!(file_given(&rules, &[(93, &[0, 11])]), "arm");
        assert_eq!(file_given(&[], &[(93, &[0, 11])]), "");
    }

    #[test]
    fn any_of_the_clients_architectures_may_fit() {
        let x86_64 =
            [BootRule { architectures: vec![Architecture(7), Architecture(9)], ..rule("x") }];
        for (sent, fits) in [
            (&[0, 7][..], true),
            (&[0, 9], true),
            (&[0, 6, 0, 7], true),
            (&[0, 6], false),
            (&[7, 0], false),
            // Only whole numbers count.
            (&[7], false),
            (&[0, 7, 0], true),
            (&[], false),
        ] {
            assert_eq!(file_given(&x86_64, &[(93, sent)]) == "x", fits, "{sent:?}");
        }
        assert_eq!(file_given(&x86_64, &[]), "");
    }

    #[test]
    fn a_vendor_class_need_only_begin_as_the_rule_says() {
        let fits = |pattern: &str, class: &[u8]| {
            let rule = BootRule { vendor_classes: vec![pattern.to_owned()], ..rule("x") };
            file_given(&[rule], &[(60, class)]) == "x"
        };
        let pxe = b"PXEClient:Arch:00007:UNDI:003016";
        for pattern in ["PXEClient", "PXEClient*", "*Arch:00007", "PXEClient:Arch:0000?:UNDI"] {
            assert!(fits(pattern, pxe), "{pattern}");
        }
        for pattern in ["HTTPClient", "XEClient", "PXEClient:Arch:00006", "pxeclient"] {
            assert!(!fits(pattern, pxe), "{pattern}");
        }
        let rule = BootRule { vendor_classes: vec!["*".to_owned()], ..rule("x") };
        assert_eq!(file_given(&[rule], &[]), "");
    }

    #[test]
    fn user_classes_are_read_as_a_list_or_as_one_text() {
        let rules = [for_user_class("iPXE"), for_user_class("lab-?*")];
        for (sent, file) in [
            (&b"iPXE"[..], "iPXE"),
            (b"\x04iPXE", "iPXE"),
            (b"\x03abc\x04iPXE", "iPXE"),
            (b"\x05lab-7\x01x", "lab-?*"),
            (b"lab-7", "lab-?*"),
            // A whole class is meant, not a part of one.
            (b"iPXE2", ""),
            (b"\x05iPXE2", ""),
            (b"\x04lab-", ""),
            // The first 16 are looked at.
            (b"\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x04iPXE", "iPXE"),
            (b"\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x01a\x04iPXE", ""),
            // Neither form, or nothing.
            (b"\x04iPXE\0", ""),
            (b"\x04iPX", ""),
            (b"", ""),
        ] {
            assert_eq!(file_given(&rules, &[(77, sent)]), file, "{sent:?}");
        }
    }

    #[test]
    fn ipxe_is_told_by_its_own_option() {
        let rules = [BootRule { ipxe: Some(true), ..rule("script") }, rule("ipxe.efi")];
        assert_eq!(file_given(&rules, &[(175, &[0xb1, 1, 1])]), "script");
        assert_eq!(file_given(&rules, &[(175, &[])]), "script");
        assert_eq!(file_given(&rules, &[]), "ipxe.efi");
        let others = [BootRule { ipxe: Some(false), ..rule("ipxe.efi") }];
        assert_eq!(file_given(&others, &[]), "ipxe.efi");
        assert_eq!(file_given(&others, &[(175, &[])]), "");
    }

    #[test]
    fn every_condition_of_a_rule_must_hold() {
        let rules = [BootRule {
            architectures: vec![Architecture(7)],
            vendor_classes: vec!["PXEClient".to_owned()],
            ..for_user_class("iPXE")
        }];
        let all: [(u8, &[u8]); 3] = [(93, &[0, 7]), (60, b"PXEClient"), (77, b"iPXE")];
        assert_eq!(file_given(&rules, &all), "iPXE");
        for missing in 0..all.len() {
            let mut some = all.to_vec();
            some.remove(missing);
            assert_eq!(file_given(&rules, &some), "", "without {missing}");
        }
    }

    #[test]
    fn classes_that_are_split_are_joined_as_far_as_they_fit() {
        let rules = [BootRule { vendor_classes: vec!["PXEClient".to_owned()], ..rule("x") }];
        assert_eq!(file_given(&rules, &[(60, b"PXE"), (60, b"Client")]), "x");
        let long = [b'x'; 200];
        assert_eq!(file_given(&rules, &[(60, b"PXEClient"), (60, &long), (60, &long)]), "x");
        // More architectures than a client has.
        let rules = [BootRule { architectures: vec![Architecture(7)], ..rule("x") }];
        assert_eq!(file_given(&rules, &[(93, &[0; 64]), (93, &[0, 7])]), "");
        assert_eq!(file_given(&rules, &[(93, &[0; 62]), (93, &[0, 7])]), "x");
    }

    #[test]
    fn an_http_client_is_told_so_and_others_are_not() {
        let rules = [rule("http://10.20.0.5/ipxe.efi")];
        let http: (u8, &[u8]) = (60, b"HTTPClient:Arch:00016:UNDI:003001");
        assert_eq!(given(&rules, &[http], codes), [67, 60]);
        given(&rules, &[http], |given| assert_eq!(*given.options[1].body, *b"HTTPClient"));
        assert_eq!(given(&rules, &[(60, b"PXEClient")], codes), [67]);
        assert_eq!(given(&rules, &[], codes), [67]);
        // Without a file there is nothing that it could boot.
        let rules = [BootRule { path_prefix: Some("/".to_owned()), ..BootRule::default() }];
        assert_eq!(given(&rules, &[http], codes), [210]);
    }

    #[test]
    fn a_url_stands_for_the_file_where_the_client_takes_one() {
        let url = "http://boot.example/ipxe.efi";
        let http: (u8, &[u8]) = (60, b"HTTPClient:Arch:00016:UNDI:003001");
        let rules = [for_url(url)];
        assert_eq!(file_given(&rules, &[http]), url);
        assert_eq!(given(&rules, &[http], codes), [67, 60]);
        assert_eq!(file_given(&rules, &[(77, b"iPXE")]), url);
        assert_eq!(file_given(&rules, &[(175, &[])]), url);
        assert_eq!(given(&rules, &[(175, &[])], codes), [67]);
        assert_eq!(file_given(&rules, &[(60, b"PXEClient")]), "");
        assert!(given(&rules, &[(60, b"PXEClient")], codes).is_empty());
        // An IPv6 address is of no use here, and a file goes before a URL.
        assert!(given(&[for_url("http://[2001:db8::5]/x")], &[http], codes).is_empty());
        let rules = [BootRule { file: Some("own".to_owned()), ..for_url(url) }];
        assert_eq!(file_given(&rules, &[http]), "own");
    }

    #[test]
    fn a_name_that_is_too_long_for_its_field_is_always_in_the_option() {
        for (length, in_field, demand) in
            [(127, 127, Demand::Listed), (128, 0, Demand::Always), (255, 0, Demand::Always)]
        {
            given(&[rule(&"x".repeat(length))], &[], |given| {
                assert_eq!(given.file.len(), in_field);
                assert_eq!((given.options[0].code, given.options[0].demand), (67, demand));
                assert_eq!(given.options[0].body.len(), length);
            });
        }
    }

    #[test]
    fn a_machine_identifier_of_the_known_form_is_given_back() {
        let id = [&[0][..], &[7; 16]].concat();
        let back = |rules: &[BootRule], sent: &[u8]| {
            given(rules, &[(97, sent)], |given| given.machine_id.map(<[u8]>::to_vec))
        };
        assert_eq!(back(&[rule("x")], &id), Some(id.clone()));
        assert_eq!(back(&[], &id), None);
        for other in [&[1; 17][..], &id[..16], &[0; 18], &[]] {
            assert_eq!(back(&[rule("x")], other), None, "{other:?}");
        }
    }
}
