//! The journal's native protocol: one datagram an entry, one field after another.
//!
//! <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>. Every value is written in the form with a length
//! before it, which no byte in the value can break out of. The socket is written by the log's own
//! thread, since a journal that does not read lets a writer wait.

use std::io;
use std::os::unix::net::UnixDatagram;

use tracing::Level;

use super::logging::{Fields, Style};

/// Connects to the journal of this system.
pub(super) fn connect() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(SOCKET)?;
    Ok(socket)
}

/// Writes one entry. The fields stand in `MESSAGE`, for who reads, and each as `LEASEHOLD_NAME`,
/// for who filters.
pub(super) fn encode(level: Level, target: &str, fields: &Fields) -> Vec<u8> {
    let mut message = String::new();
    fields.write(&mut message, Style::PLAIN);
    let mut entry = Vec::new();
    put(&mut entry, "MESSAGE", &message);
    put(&mut entry, "PRIORITY", priority(level));
    put(&mut entry, "SYSLOG_IDENTIFIER", "leasehold");
    put(&mut entry, "TARGET", target);
    for (name, value) in &fields.rest {
        put(&mut entry, &field_name(name), value);
    }
    entry
}

fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend_from_slice(name.as_bytes());
    entry.push(b'\n');
    entry.extend_from_slice(&u64::try_from(value.len()).unwrap_or(0).to_le_bytes());
    entry.extend_from_slice(value.as_bytes());
    entry.push(b'\n');
}

/// Makes a name that the journal takes: capital letters, digits and underscores, at most 64.
fn field_name(name: &str) -> String {
    let upper = name.chars().map(|c| c.to_ascii_uppercase());
    let allowed = upper.map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    "LEASEHOLD_".chars().chain(allowed).take(64).collect()
}

/// Returns the level as syslog(3) numbers it.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

const SOCKET: &str = "/run/systemd/journal/socket";

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads an entry back, by the protocol's rule for values with a length.
    fn fields(mut entry: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while !entry.is_empty() {
            let end = entry.iter().position(|byte| *byte == b'\n').unwrap();
            let name = String::from_utf8(entry[..end].to_vec()).unwrap();
            entry = &entry[end + 1..];
            let (length, rest) = entry.split_at(8);
            let length = u64::from_le_bytes(length.try_into().unwrap());
            let (value, rest) = rest.split_at(usize::try_from(length).unwrap());
            fields.push((name, String::from_utf8(value.to_vec()).unwrap()));
            entry = rest.strip_prefix(b"\n").unwrap();
        }
        fields
    }

    #[test]
    fn an_entry_has_the_line_as_message_and_each_field_by_name() {
        let logged = Fields {
            message: "port lost".to_owned(),
            rest: vec![("interface", "tap0".to_owned()), ("last-seen", "a\nMESSAGE=b".to_owned())],
        };
        let entry = encode(Level::WARN, "leasehold::daemon", &logged);
        let expected = [
            ("MESSAGE", "port lost interface=tap0 last-seen=\"a\nMESSAGE=b\""),
            ("PRIORITY", "4"),
            ("SYSLOG_IDENTIFIER", "leasehold"),
            ("TARGET", "leasehold::daemon"),
            ("LEASEHOLD_INTERFACE", "tap0"),
            ("LEASEHOLD_LAST_SEEN", "a\nMESSAGE=b"),
        ];
        assert_eq!(fields(&entry), expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }
}
