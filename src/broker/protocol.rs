//! What the responder may ask of the broker, and how the answer looks. Pure.
//!
//! A `SOCK_SEQPACKET` pair carries one message a datagram. A request is ten bytes whatever it is
//! about, so the privileged side has next to nothing to parse:
//!
//! ```text
//! request   id (8)   kind (1)   argument (1)
//! answer    id (8)   errno (4)  text (0 to 500)    with the descriptors as SCM_RIGHTS
//! ```
//!
//! The id is echoed: a caller that gave up leaves an answer behind, which the next one skips.

use crate::net::Filter;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// This many packet sockets behind this filter, 1 to [`SOCKETS_MAX`].
    OpenSockets(Filter, u8),
    /// A stream connected to the path with this place in the list that the broker was started with.
    ConnectUnix(u8),
}

impl Request {
    pub(super) const LENGTH: usize = 10;

    pub(super) fn encode(self, id: u64) -> [u8; Self::LENGTH] {
        let (kind, argument) = match self {
            Self::OpenSockets(Filter::Configuration, count) => (OPEN_SOCKETS, count),
            Self::OpenSockets(Filter::ConfigurationAndEcho, count) => (OPEN_ECHO_SOCKETS, count),
            Self::ConnectUnix(place) => (CONNECT_UNIX, place),
        };
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&id.to_be_bytes());
        bytes[8] = kind;
        bytes[9] = argument;
        bytes
    }

    /// Reads one request; `None` if it is none of ours.
    pub(super) fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        let (id, [kind, argument]) = bytes.split_first_chunk::<8>()? else {
            return None;
        };
        let in_bounds = (1..=SOCKETS_MAX).contains(argument);
        let request = match *kind {
            OPEN_SOCKETS if in_bounds => Self::OpenSockets(Filter::Configuration, *argument),
            OPEN_ECHO_SOCKETS if in_bounds => {
                Self::OpenSockets(Filter::ConfigurationAndEcho, *argument)
            }
            CONNECT_UNIX => Self::ConnectUnix(*argument),
            _ => return None,
        };
        Some((u64::from_be_bytes(*id), request))
    }
}

/// What went wrong on the privileged side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The kernel's error number, 0 if it was not the kernel that refused.
    pub(super) errno: i32,
    /// What to tell the admin.
    pub(super) text: String,
}

/// Writes the head of an answer; the descriptors go beside it.
pub(super) fn encode_answer(id: u64, refusal: Option<&Refusal>) -> Vec<u8> {
    let mut bytes = id.to_be_bytes().to_vec();
    bytes.extend(refusal.map_or(0, |refusal| refusal.errno).to_be_bytes());
    bytes.extend(refusal.map_or("", |refusal| &refusal.text).bytes().take(TEXT_MAX));
    bytes
}

/// Reads the head of an answer; `None` if it is too short to be one. A refusal always has a text.
pub(super) fn decode_answer(bytes: &[u8]) -> Option<(u64, Option<Refusal>)> {
    let (id, rest) = bytes.split_first_chunk()?;
    let (errno, text) = rest.split_first_chunk()?;
    let refusal = (!text.is_empty()).then(|| Refusal {
        errno: i32::from_be_bytes(*errno),
        text: String::from_utf8_lossy(text).into_owned(),
    });
    Some((u64::from_be_bytes(*id), refusal))
}

/// How many sockets one request gives at most; the kernel passes up to 253 descriptors at once.
pub(super) const SOCKETS_MAX: u8 = 64;

/// The longest answer, in bytes.
pub(super) const ANSWER_MAX: usize = 12 + TEXT_MAX;

const TEXT_MAX: usize = 500;
const OPEN_SOCKETS: u8 = 1;
const CONNECT_UNIX: u8 = 2;
const OPEN_ECHO_SOCKETS: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn open(count: u8) -> Request {
        Request::OpenSockets(Filter::Configuration, count)
    }

    fn open_echo(count: u8) -> Request {
        Request::OpenSockets(Filter::ConfigurationAndEcho, count)
    }

    #[test]
    fn requests_go_both_ways() {
        for request in [open(1), open(64), open_echo(1), open_echo(64), Request::ConnectUnix(255)] {
            assert_eq!(Request::decode(&request.encode(u64::MAX)), Some((u64::MAX, request)));
        }
    }

    #[test]
    fn a_request_out_of_bounds_is_refused() {
        let good = open(64).encode(1);
        let mut kind = good;
        kind[8] = 9;
        for bad in [
            &good[..9],
            &[&good[..], &[0]].concat(),
            &kind,
            &open(0).encode(1),
            &open(65).encode(1),
            &open_echo(0).encode(1),
            &open_echo(65).encode(1),
            &[],
        ] {
            assert_eq!(Request::decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn answers_go_both_ways_and_a_long_text_is_cut() {
        assert_eq!(decode_answer(&encode_answer(3, None)), Some((3, None)));
        let refusal = Refusal { errno: 13, text: "é".repeat(400) };
        let bytes = encode_answer(4, Some(&refusal));
        assert_eq!(bytes.len(), ANSWER_MAX);
        let cut = Refusal { errno: 13, text: "é".repeat(250) };
        assert_eq!(decode_answer(&bytes), Some((4, Some(cut))));
        assert_eq!(decode_answer(&bytes[..11]), None);
    }
}
