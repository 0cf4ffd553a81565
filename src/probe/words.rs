//! Values in words: durations, bytes, names, resolvers.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config;
use crate::wire::bytes::Reader;

/// Writes a lifetime: `3600 s (1h)`, `infinite`.
pub(super) fn seconds(seconds: u32) -> String {
    if seconds == u32::MAX {
        return "infinite".to_owned();
    }
    let parts = [(seconds / 86_400, "d"), (seconds / 3_600 % 24, "h"), (seconds / 60 % 60, "m")];
    let text: String = parts
        .iter()
        .chain([&(seconds % 60, "s")])
        .filter(|(number, _)| *number > 0)
        .map(|(number, unit)| format!("{number}{unit}"))
        .collect();
    if seconds < 60 { format!("{seconds} s") } else { format!("{seconds} s ({text})") }
}

/// Writes bytes in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes text that is fit for a terminal, else its bytes.
pub(super) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        Ok(_) | Err(_) => hex(bytes),
    }
}

/// Writes domain names, else their bytes.
pub(super) fn domains(bytes: &[u8]) -> String {
    config::domains(bytes).unwrap_or_else(|| hex(bytes))
}

/// Writes IPv6 addresses with commas, else their bytes.
pub(super) fn addresses6(bytes: &[u8]) -> String {
    let mut reader = Reader::new(bytes);
    let mut texts = Vec::new();
    while let Some(octets) = reader.array::<16>() {
        texts.push(Ipv6Addr::from(octets).to_string());
    }
    if reader.is_empty() { texts.join(", ") } else { hex(bytes) }
}

/// Writes IPv4 addresses with commas, else their bytes.
pub(super) fn addresses4(bytes: &[u8]) -> String {
    let mut reader = Reader::new(bytes);
    let mut texts = Vec::new();
    while let Some(octets) = reader.array::<4>() {
        texts.push(Ipv4Addr::from(octets).to_string());
    }
    if reader.is_empty() { texts.join(", ") } else { hex(bytes) }
}

/// Writes SvcParams (RFC 9460, section 2.2) by key and value.
pub(super) fn service_parameters(bytes: &[u8]) -> String {
    let read = || {
        let mut reader = Reader::new(bytes);
        let mut texts = Vec::new();
        while !reader.is_empty() {
            let key = reader.u16()?;
            let length = reader.u16()?;
            let value = reader.take(length.into())?;
            texts.push(match key {
                ALPN => format!("alpn={}", protocols(value)?),
                PORT => format!("port={}", u16::from_be_bytes(value.try_into().ok()?)),
                DOHPATH => format!("dohpath={}", text(value)),
                other => format!("key{other}={}", hex(value)),
            });
        }
        Some(texts.join(" "))
    };
    read().unwrap_or_else(|| hex(bytes))
}

/// Reads the protocol names of `alpn` (RFC 9460, section 7.1.1).
fn protocols(value: &[u8]) -> Option<String> {
    let mut reader = Reader::new(value);
    let mut names = Vec::new();
    while let Some(length) = reader.u8() {
        names.push(text(reader.take(length.into())?));
    }
    Some(names.join(","))
}

/// RFC 9460, section 14.3.2, and RFC 9461, section 5.
const ALPN: u16 = 1;
const PORT: u16 = 3;
const DOHPATH: u16 = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_written_for_people() {
        assert_eq!(seconds(0), "0 s");
        assert_eq!(seconds(59), "59 s");
        assert_eq!(seconds(3_600), "3600 s (1h)");
        assert_eq!(seconds(93_784), "93784 s (1d2h3m4s)");
        assert_eq!(seconds(u32::MAX), "infinite");
    }

    #[test]
    fn bytes_that_are_no_text_are_written_in_hexadecimal() {
        assert_eq!(text(b"ipxe.efi"), "ipxe.efi");
        assert_eq!(text(b"\x1b[2J"), "1b5b324a");
        assert_eq!(addresses6(&[1, 2]), "0102");
    }

    #[test]
    fn service_parameters_are_named() {
        let bytes = b"\0\x01\0\x07\x03dot\x02h2\0\x03\0\x02\x03\x55";
        assert_eq!(service_parameters(bytes), "alpn=dot,h2 port=853");
    }
}
