//! `[boot]`: which clients boot from the network, and what they are given for it.
//!
//! RFC 4578 and RFC 5970 (architectures), RFC 3004 (user classes), RFC 2132 sections 9.4 and 9.5,
//! RFC 5859 (TFTP servers), RFC 5071 (path prefix).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::DomainName;

/// One `[[boot.rule]]`: all conditions that are given must hold; the first rule that fits counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootRule {
    /// The client's architecture is one of these (options 93 and 61); empty: any.
    pub architectures: Vec<Architecture>,
    /// Its vendor class (option 60) begins as one of these globs says; empty: any.
    pub vendor_classes: Vec<String>,
    /// One of its user classes (option 77) is as one of these globs says; empty: any.
    pub user_classes: Vec<String>,
    /// Whether it sends iPXE's own option, 175; `None`: either.
    pub ipxe: Option<bool>,
    /// `siaddr`.
    pub next_server: Option<Ipv4Addr>,
    /// The field `sname`: at most 63 bytes.
    pub server_name: Option<String>,
    /// Option 66.
    pub tftp_server: Option<String>,
    /// Option 150.
    pub tftp_addresses: Vec<Ipv4Addr>,
    /// The field `file` and option 67: at most 255 bytes.
    pub file: Option<String>,
    /// Option 210: at most 255 bytes.
    pub path_prefix: Option<String>,
    /// Option 59 of DHCPv6. In DHCPv4 it stands for `file` where that is not given and the client
    /// takes a URL.
    pub url: Option<BootUrl>,
    /// Option 60 of DHCPv6: what the booted file is given; less than `MAX_PARAMS` bytes in all.
    pub params: Vec<String>,
}

impl BootRule {
    /// Tells whether every client fits.
    #[must_use]
    pub fn fits_all(&self) -> bool {
        self.architectures.is_empty()
            && self.vendor_classes.is_empty()
            && self.user_classes.is_empty()
            && self.ipxe.is_none()
    }

    /// Tells whether a client that fits is given nothing.
    #[must_use]
    pub fn gives_nothing(&self) -> bool {
        self.next_server.is_none()
            && self.server_name.is_none()
            && self.tftp_server.is_none()
            && self.tftp_addresses.is_empty()
            && self.file.is_none()
            && self.path_prefix.is_none()
            && self.url.is_none()
    }
}

/// A processor architecture type, by its number in IANA's registry (RFC 5970, section 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Architecture(pub u16);

impl Architecture {
    /// Returns the numbers that go by this name: firmware for x86-64 uses two.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static [Self]> {
        ARCHITECTURES.iter().find(|(known, _)| *known == name).map(|(_, numbers)| *numbers)
    }

    /// Returns every name, in the order of the numbers.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ARCHITECTURES.iter().map(|(name, _)| *name)
    }
}

/// Where a boot file is: a URL whose scheme, host and path are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootUrl {
    text: String,
    host: UrlHost,
}

/// The families that can reach a URL's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UrlHost {
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address, in brackets.
    Ipv6,
    /// A name, which may have addresses of both.
    Name,
}

/// What is wrong with a text that is no [`BootUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootUrlError {
    /// The scheme is none that firmware knows.
    Scheme,
    /// The host is neither a name nor an address.
    Host,
    /// What follows the host's colon is no port.
    Port,
    /// There is no path to a file.
    Path,
    /// A character may not stand in a URL.
    Character,
    /// It is longer than option 67 can be.
    Length,
}

impl BootUrl {
    /// Returns the URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Tells whether a client that has IPv4 alone may reach the host.
    #[must_use]
    pub fn may_be_reached_over_ipv4(&self) -> bool {
        match self.host {
            UrlHost::Ipv4 | UrlHost::Name => true,
            UrlHost::Ipv6 => false,
        }
    }

    /// Tells whether a client that has IPv6 alone may reach the host.
    #[must_use]
    pub fn may_be_reached_over_ipv6(&self) -> bool {
        match self.host {
            UrlHost::Ipv6 | UrlHost::Name => true,
            UrlHost::Ipv4 => false,
        }
    }
}

impl FromStr for BootUrl {
    type Err = BootUrlError;

    fn from_str(text: &str) -> Result<Self, BootUrlError> {
        if text.len() > MAX_TEXT {
            return Err(BootUrlError::Length);
        }
        // RFC 3986, section 2: printable ASCII without the delimiters of other formats.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte)) {
            return Err(BootUrlError::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BootUrlError::Scheme)?;
        if !SCHEMES.contains(&scheme) {
            return Err(BootUrlError::Scheme);
        }
        let (authority, file) = rest.split_once('/').ok_or(BootUrlError::Path)?;
        if file.is_empty() {
            return Err(BootUrlError::Path);
        }
        let host = host(authority)?;
        Ok(Self { text: text.to_owned(), host })
    }
}

/// Checks a host with an optional port (RFC 3986, section 3.2).
fn host(authority: &str) -> Result<UrlHost, BootUrlError> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => {
            let (address, port) = bracketed.split_once(']').ok_or(BootUrlError::Host)?;
            address.parse::<Ipv6Addr>().map_err(|_| BootUrlError::Host)?;
            (UrlHost::Ipv6, port)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (name, port) = authority.split_at_checked(end).ok_or(BootUrlError::Host)?;
            let is_address = name.parse::<Ipv4Addr>().is_ok();
            if !is_address && !is_host_name(name) {
                return Err(BootUrlError::Host);
            }
            (if is_address { UrlHost::Ipv4 } else { UrlHost::Name }, port)
        }
    };
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(host),
        Some(number) if number.parse::<u16>().is_ok_and(|number| number != 0) => Ok(host),
        None | Some(_) => Err(BootUrlError::Port),
    }
}

/// Tells whether `text` can be a host's name: a mistyped address, which ends in digits, is none.
#[must_use]
pub fn is_host_name(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or_default();
    text.parse::<DomainName>().is_ok() && !last.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for BootUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Display for BootUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scheme => "it does not begin with http, https, tftp, ftp or nfs and \"://\"",
            Self::Host => "its host is neither a name nor an address",
            Self::Port => "its port is no number from 1 to 65535",
            Self::Path => "it names no file behind the host",
            Self::Character => "it has a character that must be written as %XX",
            Self::Length => "it is longer than 255 bytes",
        })
    }
}

/// The most that fits into one option, unsplit, and into a boot file's name.
pub const MAX_TEXT: usize = 255;
/// The most that fits into the field `sname`, with its final 0 (RFC 2131, section 2).
pub const MAX_SERVER_NAME: usize = 63;
/// The most that the parameters of a boot file may take, each with its length of two bytes.
pub const MAX_PARAMS: usize = 512;
/// How many rules a network or a VM may have; every request may be compared with all.
pub const MAX_RULES: usize = 64;

/// The schemes that UEFI or iPXE fetch a file by.
const SCHEMES: &[&str] = &["http", "https", "tftp", "ftp", "nfs"];

/// IANA's processor architecture types that are not withdrawn, by names of our own.
const ARCHITECTURES: &[(&str, &[Architecture])] = &[
    ("x86-bios", &[Architecture(0)]),
    ("itanium-efi", &[Architecture(2)]),
    ("x86-uefi", &[Architecture(6)]),
    // RFC 4578 and its erratum 4624 disagree about which is x86-64; firmware sends either.
    ("x86-64-uefi", &[Architecture(7), Architecture(9)]),
    ("arm32-uefi", &[Architecture(10)]),
    ("arm64-uefi", &[Architecture(11)]),
    ("powerpc-open-firmware", &[Architecture(12)]),
    ("powerpc-epapr", &[Architecture(13)]),
    ("power-opal", &[Architecture(14)]),
    ("x86-uefi-http", &[Architecture(15)]),
    ("x86-64-uefi-http", &[Architecture(16)]),
    ("ebc-http", &[Architecture(17)]),
    ("arm32-uefi-http", &[Architecture(18)]),
    ("arm64-uefi-http", &[Architecture(19)]),
    ("x86-bios-http", &[Architecture(20)]),
    ("arm32-u-boot", &[Architecture(21)]),
    ("arm64-u-boot", &[Architecture(22)]),
    ("arm32-u-boot-http", &[Architecture(23)]),
    ("arm64-u-boot-http", &[Architecture(24)]),
    ("riscv32-uefi", &[Architecture(25)]),
    ("riscv32-uefi-http", &[Architecture(26)]),
    ("riscv64-uefi", &[Architecture(27)]),
    ("riscv64-uefi-http", &[Architecture(28)]),
    ("riscv128-uefi", &[Architecture(29)]),
    ("riscv128-uefi-http", &[Architecture(30)]),
    ("s390-basic", &[Architecture(31)]),
    ("s390-extended", &[Architecture(32)]),
    ("mips32-uefi", &[Architecture(33)]),
    ("mips64-uefi", &[Architecture(34)]),
    ("sunway32-uefi", &[Architecture(35)]),
    ("sunway64-uefi", &[Architecture(36)]),
    ("loongarch32-uefi", &[Architecture(37)]),
    ("loongarch32-uefi-http", &[Architecture(38)]),
    ("loongarch64-uefi", &[Architecture(39)]),
    ("loongarch64-uefi-http", &[Architecture(40)]),
    ("arm-rpiboot", &[Architecture(41)]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_number_and_no_name_is_in_the_table_twice() {
        let mut names: Vec<&str> = Architecture::names().collect();
        let mut numbers: Vec<u16> =
            ARCHITECTURES.iter().flat_map(|(_, numbers)| *numbers).map(|a| a.0).collect();
        let before = (names.len(), numbers.len());
        names.sort_unstable();
        names.dedup();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!((names.len(), numbers.len()), before);
    }

    #[test]
    fn x86_64_firmware_goes_by_two_numbers() {
        assert_eq!(
            Architecture::named("x86-64-uefi"),
            Some(&[Architecture(7), Architecture(9)][..])
        );
        assert_eq!(Architecture::named("x86-64-uefi-http"), Some(&[Architecture(16)][..]));
        assert_eq!(Architecture::named("X86-UEFI"), None);
    }

    #[test]
    fn urls_name_their_host_and_a_file() {
        for (text, over_ipv4) in [
            ("http://10.20.0.5/ipxe.efi", true),
            ("https://boot.example:8443/a/b?mac=x", true),
            ("tftp://boot/ipxe.efi", true),
            ("tftp://[2001:db8:20::5]/ipxe.efi", false),
            ("http://[2001:db8:20::5]:8080/x", false),
        ] {
            let url: BootUrl = text.parse().unwrap();
            assert_eq!((url.as_str(), url.may_be_reached_over_ipv4()), (text, over_ipv4));
        }
    }

    #[test]
    fn what_is_no_url_says_which_part_is_wrong() {
        let long = format!("http://boot.example/{}", "x".repeat(255));
        for (text, error) in [
            ("", BootUrlError::Scheme),
            ("ipxe.efi", BootUrlError::Scheme),
            ("htp://boot.example/x", BootUrlError::Scheme),
            ("http:/boot.example/x", BootUrlError::Scheme),
            ("http:///x", BootUrlError::Host),
            ("http://2001:db8::5/x", BootUrlError::Host),
            ("http://10.20.0.256/x", BootUrlError::Host),
            ("http://[10.20.0.5]/x", BootUrlError::Host),
            ("http://[2001:db8::5/x", BootUrlError::Host),
            ("http://user@boot.example/x", BootUrlError::Host),
            ("http://boot.example:/x", BootUrlError::Port),
            ("http://boot.example:65536/x", BootUrlError::Port),
            ("http://[2001:db8::5]8/x", BootUrlError::Port),
            ("http://boot.example", BootUrlError::Path),
            ("http://boot.example/", BootUrlError::Path),
            ("http://boot.example/a b", BootUrlError::Character),
            ("http://boot.example/ü", BootUrlError::Character),
            (&long, BootUrlError::Length),
        ] {
            assert_eq!(text.parse::<BootUrl>(), Err(error), "{text}");
        }
    }
}
