//! Cuts a byte stream into JSON objects; what is in them is for others to read.
//!
//! RFC 7047 section 4 puts one JSON object behind the other with nothing between them, so the end
//! of an object is found by counting braces outside of strings. Each byte is looked at once,
//! however the stream was cut into reads.

use std::mem;

/// Collects bytes and gives the texts of whole objects.
#[derive(Debug, Default)]
pub(super) struct Framer {
    buffer: Vec<u8>,
    /// Where the object that is being collected starts.
    start: usize,
    /// How far the bytes were looked at.
    scanned: usize,
    /// Braces that are open at `scanned`.
    depth: usize,
    place: Place,
}

/// Why a stream cannot be cut into objects.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("the server sent something that is not a JSON object")]
    NotAnObject,
    #[error("the server sent a message longer than {} MiB", MAX_MESSAGE >> 20)]
    TooLong,
}

impl Framer {
    /// Returns the buffer, to append to what the stream gave.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        self.buffer.drain(..self.start);
        self.scanned -= self.start;
        self.start = 0;
        // One large snapshot must not hold its memory for the life of the connection.
        if self.buffer.is_empty() && self.buffer.capacity() > KEPT_CAPACITY {
            self.buffer = Vec::new();
        }
        self.buffer.reserve(READ_SIZE);
        &mut self.buffer
    }

    /// Returns the text of the next whole object, or `None` if more bytes are needed first.
    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        while let Some(&byte) = self.buffer.get(self.scanned) {
            self.scanned += 1;
            match self.place {
                Place::Text => match byte {
                    b'"' => self.place = Place::Structure,
                    b'\\' => self.place = Place::Escape,
                    _ => {}
                },
                Place::Escape => self.place = Place::Text,
                Place::Structure => match byte {
                    b'{' => self.depth += 1,
                    _ if self.depth == 0 && byte.is_ascii_whitespace() => self.start += 1,
                    _ if self.depth == 0 => return Err(FrameError::NotAnObject),
                    b'"' => self.place = Place::Text,
                    b'}' => {
                        self.depth -= 1;
                        if self.depth == 0 {
                            return Ok(Some(self.take()));
                        }
                    }
                    _ => {}
                },
            }
        }
        if self.scanned - self.start > MAX_MESSAGE {
            return Err(FrameError::TooLong);
        }
        Ok(None)
    }
}

impl Framer {
    /// Takes out what was looked at. A large snapshot comes alone, and is not copied.
    fn take(&mut self) -> Vec<u8> {
        if self.start == 0 && self.scanned == self.buffer.len() {
            self.scanned = 0;
            return mem::take(&mut self.buffer);
        }
        let object = self.buffer.get(self.start..self.scanned).unwrap_or_default().to_vec();
        self.start = self.scanned;
        object
    }
}

/// What the next byte belongs to.
#[derive(Debug, Clone, Copy, Default)]
enum Place {
    #[default]
    Structure,
    Text,
    Escape,
}

/// The longest message that is collected: a snapshot of 100,000 ports is about 50 MiB.
const MAX_MESSAGE: usize = 64 << 20;

/// How much is read at once at least.
const READ_SIZE: usize = 64 << 10;

/// The buffer that is kept once it is empty.
const KEPT_CAPACITY: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const STREAM: &[u8] = br#"{"a":"}{","b":"\"}\\"}{"id":null,"p":[{"x":{}}]}
 {}{"u":"\u007b\\"}"#;

    fn objects() -> Vec<Value> {
        vec![
            json!({"a": "}{", "b": "\"}\\"}),
            json!({"id": null, "p": [{"x": {}}]}),
            json!({}),
            json!({"u": "{\\"}),
        ]
    }

    fn feed(framer: &mut Framer, bytes: &[u8], out: &mut Vec<Value>) {
        framer.buffer().extend_from_slice(bytes);
        while let Some(object) = framer.next().unwrap() {
            out.push(serde_json::from_slice(&object).unwrap());
        }
    }

    #[test]
    fn a_stream_split_at_any_byte_gives_the_same_objects() {
        for cut in 0..=STREAM.len() {
            let (mut framer, mut out) = (Framer::default(), Vec::new());
            feed(&mut framer, &STREAM[..cut], &mut out);
            feed(&mut framer, &STREAM[cut..], &mut out);
            assert_eq!(out, objects(), "cut at {cut}");
        }
    }

    #[test]
    fn a_stream_that_comes_byte_by_byte_gives_the_same_objects() {
        let (mut framer, mut out) = (Framer::default(), Vec::new());
        for byte in STREAM {
            feed(&mut framer, &[*byte], &mut out);
        }
        assert_eq!(out, objects());
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for bad in [&b"["[..], b"1", b"}", b"{}x", b"\"{\""] {
            let mut framer = Framer::default();
            framer.buffer().extend_from_slice(bad);
            let mut result = framer.next();
            if let Ok(Some(_)) = result {
                result = framer.next();
            }
            assert!(matches!(result, Err(FrameError::NotAnObject)), "{bad:?}: {result:?}");
        }
    }

    #[test]
    fn a_message_without_end_is_refused_at_the_limit() {
        let mut framer = Framer::default();
        framer.buffer().extend_from_slice(b"{\"a\":\"");
        framer.buffer().resize(MAX_MESSAGE, b'x');
        assert!(matches!(framer.next(), Ok(None)));
        framer.buffer().push(b'x');
        let error = framer.next().unwrap_err();
        assert_eq!(error.to_string(), "the server sent a message longer than 64 MiB");
    }

    #[test]
    fn the_buffer_of_a_large_message_is_given_back() {
        let mut framer = Framer::default();
        let large = [b"{\"a\":\"", &b"x".repeat(2 << 20)[..], b"\"}"].concat();
        framer.buffer().extend_from_slice(&large);
        assert!(matches!(framer.next(), Ok(Some(_))));
        assert!(framer.buffer().capacity() <= KEPT_CAPACITY);
    }
}
