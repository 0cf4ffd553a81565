//! Capture files: pcap and pcapng are read, pcap is written.
//!
//! A file is read block by block, so that its size does not matter. What the file says of itself is
//! believed only as far as its bytes go.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use pcap_parser::traits::PcapReaderIterator;
use pcap_parser::{Block, PcapBlockOwned, PcapError, create_reader};

use super::link::{Ethernet, LinkType, Unreadable};
use crate::wire::Mac;

/// A capture file that is being read, from its first frame to its last.
pub struct Capture {
    reader: Box<dyn PcapReaderIterator + Send>,
    /// The size of the reader's buffer.
    room: usize,
    name: String,
    gateway: Mac,
    /// The interfaces of the section; a pcap file has one.
    interfaces: Vec<Interface>,
    frames: u64,
    last: CaptureTime,
    is_over: bool,
}

/// One captured frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Its place in the file, from 1.
    pub number: u64,
    /// When it was captured.
    pub time: CaptureTime,
    /// The frame, or why there is none.
    pub frame: Result<Ethernet, Unreadable>,
}

/// A frame's time: nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct CaptureTime(pub u64);

/// A capture file that cannot be read, or not to its end.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// It cannot be opened.
    #[error("reading the capture {name}: {}; name a file that this user may read", reason(.error))]
    Open {
        /// The file.
        name: String,
        /// Why.
        error: io::Error,
    },
    /// The system failed while reading it.
    #[error("reading the capture {0}: the system cannot read it; name a file")]
    Read(String),
    /// It is neither pcap nor pcapng.
    #[error("reading the capture {0}: it is neither pcap nor pcapng; `tcpdump -w` writes one")]
    NotACapture(String),
    /// All its frames are of a link type without an Ethernet header.
    #[error(
        "reading the capture {name}: {unreadable}; capture on the VM's port: `tcpdump -i PORT`"
    )]
    LinkType {
        /// The file.
        name: String,
        /// Which link type.
        unreadable: Unreadable,
    },
    /// It ends in the middle of a frame.
    #[error("reading the capture {name}: it is cut behind frame {frames}")]
    Cut {
        /// The file.
        name: String,
        /// How many frames were whole.
        frames: u64,
    },
    /// What stands in it is no frame.
    #[error("reading the capture {name}: what follows frame {frames} is damaged")]
    Damaged {
        /// The file.
        name: String,
        /// How many frames were whole.
        frames: u64,
    },
}

impl Capture {
    /// Opens a file; `gateway` is whom a cooked frame to a single station is taken to go to.
    ///
    /// # Errors
    /// [`CaptureError`] if it cannot be opened or is no capture.
    pub fn open(path: &Path, gateway: Mac) -> Result<Self, CaptureError> {
        let name = path.display().to_string();
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) => return Err(CaptureError::Open { name, error }),
        };
        let reader = match create_reader(BUFFER, file) {
            Ok(reader) => reader,
            Err(PcapError::ReadError) => return Err(CaptureError::Read(name)),
            Err(_) => return Err(CaptureError::NotACapture(name)),
        };
        Ok(Self {
            reader,
            room: BUFFER,
            name,
            gateway,
            interfaces: Vec::new(),
            frames: 0,
            last: CaptureTime::default(),
            is_over: false,
        })
    }

    /// Reads on to the next frame; `Ok(None)` at the end.
    fn advance(&mut self) -> Result<Option<Captured>, CaptureError> {
        loop {
            let trouble = match self.reader.next() {
                Ok((length, block)) => {
                    let read = Read::of(&block);
                    self.reader.consume(length);
                    match self.take(read)? {
                        Some(captured) => return Ok(Some(captured)),
                        None => continue,
                    }
                }
                Err(error) => Trouble::of(&error),
            };
            match trouble {
                Trouble::End => return Ok(None),
                Trouble::MoreBytes => self.refill()?,
                Trouble::MoreRoom => {
                    self.room = self.room.saturating_mul(2);
                    if self.room > LONGEST_BLOCK || !self.reader.grow(self.room) {
                        return Err(self.damaged());
                    }
                    self.refill()?;
                }
                Trouble::Cut => {
                    return Err(CaptureError::Cut { name: self.name.clone(), frames: self.frames });
                }
                Trouble::Unreadable => return Err(CaptureError::Read(self.name.clone())),
                Trouble::Damaged => return Err(self.damaged()),
            }
        }
    }

    fn refill(&mut self) -> Result<(), CaptureError> {
        let refilled = self.reader.refill().is_ok();
        if refilled { Ok(()) } else { Err(CaptureError::Read(self.name.clone())) }
    }

    /// Keeps what a block says of those behind it, or makes a frame of it.
    fn take(&mut self, read: Read) -> Result<Option<Captured>, CaptureError> {
        match read {
            Read::Other => Ok(None),
            Read::Section => {
                self.interfaces.clear();
                Ok(None)
            }
            Read::OnlyInterface(interface) => {
                let link_type = interface.link_type.map_err(|unreadable| {
                    CaptureError::LinkType { name: self.name.clone(), unreadable }
                })?;
                self.interfaces = vec![Interface { link_type: Ok(link_type), ..interface }];
                Ok(None)
            }
            Read::Interface(interface) => {
                self.interfaces.push(interface);
                Ok(None)
            }
            Read::Frame(raw) => self.frame(raw).map(Some),
            Read::Damaged => Err(self.damaged()),
        }
    }

    fn frame(&mut self, raw: Raw) -> Result<Captured, CaptureError> {
        let interface = usize::try_from(raw.interface).ok();
        let interface = interface.and_then(|index| self.interfaces.get(index).copied());
        let interface = interface.ok_or_else(|| self.damaged())?;
        // A Simple Packet Block has no time of its own, and is cut at the interface's length.
        let mut data = raw.data;
        let time = match (raw.stamp, interface.snap_length) {
            (Stamp::None, longest) => {
                if longest > 0 {
                    data.truncate(usize::try_from(longest).unwrap_or(usize::MAX));
                }
                self.last
            }
            (Stamp::Ticks(ticks), _) => interface.time(ticks),
            (Stamp::Parts { seconds, fraction }, _) => interface
                .time(u64::from(seconds).saturating_mul(interface.ticks))
                .after(interface.time(fraction.into())),
        };
        let captured = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let frame = interface.link_type.and_then(|link_type| {
            let ethernet = link_type.ethernet(&data, self.gateway)?;
            Ok(Ethernet { truncated: captured < raw.length, ..ethernet })
        });
        self.frames = self.frames.saturating_add(1);
        self.last = time;
        Ok(Captured { number: self.frames, time, frame })
    }

    fn damaged(&self) -> CaptureError {
        CaptureError::Damaged { name: self.name.clone(), frames: self.frames }
    }
}

impl Iterator for Capture {
    type Item = Result<Captured, CaptureError>;

    /// Returns the next frame, or the error that ends the file before its time.
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.advance();
        self.is_over = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("name", &self.name).field("frames", &self.frames).finish()
    }
}

impl CaptureTime {
    /// Returns the point as much later as `other` is after 1970; saturates.
    fn after(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Returns seconds since `earlier`, to the millisecond: `0.012`, `-3.100`.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> String {
        let sign = if self < earlier { "-" } else { "" };
        let millis = self.0.abs_diff(earlier.0) / 1_000_000;
        format!("{sign}{}.{:03}", millis / 1_000, millis % 1_000)
    }
}

/// Seconds since 1970 with nine decimals.
impl fmt::Display for CaptureTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.0 / NANOS, self.0 % NANOS)
    }
}

/// Writes Ethernet frames to a pcap file, with times in nanoseconds.
#[derive(Debug)]
pub struct CaptureWriter<W: Write> {
    sink: W,
}

impl<W: Write> CaptureWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    /// Whatever the sink says.
    pub fn new(mut sink: W) -> io::Result<Self> {
        let words: [u32; 6] = [PCAP_NANOS, VERSION_2_4, 0, 0, SNAP_LENGTH, 1];
        for word in words {
            sink.write_all(&word.to_le_bytes())?;
        }
        Ok(Self { sink })
    }

    /// Appends one frame, from its destination MAC on.
    ///
    /// # Errors
    /// Whatever the sink says.
    pub fn write(&mut self, time: CaptureTime, frame: &[u8]) -> io::Result<()> {
        let seconds = u32::try_from(time.0 / NANOS).unwrap_or(u32::MAX);
        let nanos = u32::try_from(time.0 % NANOS).unwrap_or_default();
        let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
        for word in [seconds, nanos, length, length] {
            self.sink.write_all(&word.to_le_bytes())?;
        }
        self.sink.write_all(frame)
    }

    /// Hands everything so far to the system: the file can be read.
    ///
    /// # Errors
    /// Whatever the sink says.
    pub fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    /// Ends the file: everything is handed to the system.
    ///
    /// # Errors
    /// Whatever the sink says.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()
    }
}

/// What one block was, in owned form: the reader's buffer is given back before it is used.
enum Read {
    /// Nothing that frames depend on.
    Other,
    Section,
    /// A pcap file's header.
    OnlyInterface(Interface),
    Interface(Interface),
    Frame(Raw),
    Damaged,
}

/// What frames of one interface have in common.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link_type: Result<LinkType, Unreadable>,
    snap_length: u32,
    /// Of which a second has this many.
    ticks: u64,
    /// Seconds to be added.
    offset: i64,
}

/// A frame as it stands in the file.
struct Raw {
    interface: u32,
    stamp: Stamp,
    /// How long the frame was when it was captured.
    length: u32,
    data: Vec<u8>,
}

/// A frame's time as it stands in the file.
#[derive(Debug, Clone, Copy)]
enum Stamp {
    /// The block has none.
    None,
    /// Ticks of the interface's clock.
    Ticks(u64),
    /// Seconds, and ticks of the interface's clock.
    Parts { seconds: u32, fraction: u32 },
}

/// Why the reader gives no block, in owned form.
enum Trouble {
    End,
    MoreBytes,
    MoreRoom,
    Cut,
    Unreadable,
    Damaged,
}

impl Trouble {
    fn of(error: &PcapError<&[u8]>) -> Self {
        match error {
            PcapError::Eof => Self::End,
            PcapError::Incomplete(_) => Self::MoreBytes,
            PcapError::BufferTooSmall => Self::MoreRoom,
            PcapError::UnexpectedEof => Self::Cut,
            PcapError::ReadError => Self::Unreadable,
            PcapError::HeaderNotRecognized
            | PcapError::NomError(..)
            | PcapError::OwnedNomError(..) => Self::Damaged,
        }
    }
}

impl Interface {
    fn time(&self, ticks: u64) -> CaptureTime {
        let nanos = u128::from(ticks).saturating_mul(NANOS.into()).checked_div(self.ticks.into());
        let nanos = nanos.and_then(|nanos| i128::try_from(nanos).ok()).unwrap_or(i128::MAX);
        let offset = i128::from(self.offset).saturating_mul(NANOS.into());
        let nanos = nanos.saturating_add(offset).max(0);
        CaptureTime(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Returns an interface's ticks a second (pcapng, option if_tsresol): a negative power of 10, or of
/// 2 if the highest bit is set.
fn resolution(exponent: u8) -> u64 {
    let power = u32::from(exponent & 0x7f);
    let ticks =
        if exponent & 0x80 == 0 { 10_u64.checked_pow(power) } else { 1_u64.checked_shl(power) };
    ticks.unwrap_or(u64::MAX)
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

impl Read {
    fn of(block: &PcapBlockOwned<'_>) -> Self {
        match block {
            PcapBlockOwned::LegacyHeader(header) => Self::OnlyInterface(Interface {
                // The upper half tells of a frame check sequence.
                link_type: LinkType::new(header.network.0 & 0xffff),
                snap_length: header.snaplen,
                ticks: if header.is_nanosecond_precision() { NANOS } else { MICROS },
                offset: 0,
            }),
            PcapBlockOwned::Legacy(frame) => Self::Frame(Raw {
                interface: 0,
                stamp: Stamp::Parts { seconds: frame.ts_sec, fraction: frame.ts_usec },
                length: frame.origlen,
                data: frame.data.to_vec(),
            }),
            PcapBlockOwned::NG(Block::SectionHeader(_)) => Self::Section,
            PcapBlockOwned::NG(Block::InterfaceDescription(description)) => {
                Self::Interface(Interface {
                    link_type: LinkType::new(description.linktype.0),
                    snap_length: description.snaplen,
                    ticks: resolution(description.if_tsresol),
                    offset: description.if_tsoffset,
                })
            }
            PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
                let length = usize::try_from(packet.caplen).ok();
                match length.and_then(|length| packet.data.get(..length)) {
                    Some(data) => Self::Frame(Raw {
                        interface: packet.if_id,
                        stamp: Stamp::Ticks(
                            u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low),
                        ),
                        length: packet.origlen,
                        data: data.to_vec(),
                    }),
                    None => Self::Damaged,
                }
            }
            PcapBlockOwned::NG(Block::SimplePacket(packet)) => {
                // What follows the frame is padding.
                let length = usize::try_from(packet.origlen).unwrap_or(usize::MAX);
                let data = packet.data.get(..length).unwrap_or(packet.data).to_vec();
                Self::Frame(Raw { interface: 0, stamp: Stamp::None, length: packet.origlen, data })
            }
            PcapBlockOwned::NG(_) => Self::Other,
        }
    }
}

/// Nanoseconds in a second.
const NANOS: u64 = 1_000_000_000;
/// Microseconds in a second.
const MICROS: u64 = 1_000_000;
/// The reader's buffer, at first.
const BUFFER: usize = 1 << 16;
/// A block that claims more is not one: libpcap captures at most 256 KiB of a frame.
const LONGEST_BLOCK: usize = 1 << 24;
/// The magic number of a pcap file with times in nanoseconds.
const PCAP_NANOS: u32 = 0xa1b2_3c4d;
/// Major version 2, minor version 4, as one little-endian word.
const VERSION_2_4: u32 = 0x0004_0002;
/// libpcap's own limit.
const SNAP_LENGTH: u32 = 262_144;

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a file of these bytes.
    fn read(bytes: &[u8]) -> Vec<Result<Captured, String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let name = file.path().display().to_string();
        match Capture::open(file.path(), Mac::default()) {
            Ok(capture) => capture
                .map(|next| next.map_err(|error| error.to_string().replace(&name, "FILE")))
                .collect(),
            Err(error) => vec![Err(error.to_string().replace(&name, "FILE"))],
        }
    }

    /// Makes one pcapng block, big-endian or little-endian.
    fn block(big: bool, kind: u32, body: &[u8]) -> Vec<u8> {
        let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let padded = body.len().next_multiple_of(4);
        let length = u32::try_from(padded).unwrap() + 12;
        let mut block = [word(kind), word(length)].concat();
        block.extend(body);
        block.resize(8 + padded, 0);
        block.extend(word(length));
        block
    }

    fn section(big: bool) -> Vec<u8> {
        let magic = 0x1a2b_3c4d_u32;
        let mut body =
            if big { magic.to_be_bytes().to_vec() } else { magic.to_le_bytes().to_vec() };
        body.extend(if big { [0, 1, 0, 0] } else { [1, 0, 0, 0] });
        body.extend([0xff; 8]);
        block(big, 0x0a0d_0d0a, &body)
    }

    fn frame(number: u64, nanos: u64, bytes: &[u8], truncated: bool) -> Result<Captured, String> {
        let frame = Ok(Ethernet { bytes: bytes.to_vec(), vlan: None, truncated });
        Ok(Captured { number, time: CaptureTime(nanos), frame })
    }

    #[test]
    fn what_is_written_is_read_again_to_the_nanosecond() {
        let mut bytes = Vec::new();
        let mut writer = CaptureWriter::new(&mut bytes).unwrap();
        writer.write(CaptureTime(1_795_571_589_123_456_789), &[7; 60]).unwrap();
        writer.write(CaptureTime(2_000_000_000), &[8; 14]).unwrap();
        writer.finish().unwrap();
        let expected = [
            frame(1, 1_795_571_589_123_456_789, &[7; 60], false),
            frame(2, 2_000_000_000, &[8; 14], false),
        ];
        assert_eq!(read(&bytes), expected);
        bytes.pop();
        let cut = Err("reading the capture FILE: it is cut behind frame 1".to_owned());
        assert_eq!(read(&bytes), [expected[0].clone(), cut]);
    }

    #[test]
    fn a_pcap_of_either_byte_order_has_microseconds_and_the_captured_part() {
        for big in [false, true] {
            let word = |value: u32| if big { value.to_be_bytes() } else { value.to_le_bytes() };
            // The version's halves stand in the file's order as well.
            let version = if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
            let mut bytes = [word(0xa1b2_c3d4), version, word(0), word(0), word(96)].concat();
            bytes.extend([word(1), word(5), word(250_000), word(20), word(342)].concat());
            bytes.extend([9; 20]);
            assert_eq!(read(&bytes), [frame(1, 5_250_000_000, &[9; 20], true)]);
        }
    }

    #[test]
    fn no_changed_byte_makes_the_reader_panic_or_read_for_ever() {
        let mut bytes = section(true);
        bytes.extend(block(true, 1, &[0, 1, 0, 0, 0, 0, 0, 16, 0, 9, 0, 1, 6, 0, 0, 0]));
        let packet = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 14, 0, 0, 0, 14];
        bytes.extend(block(true, 6, &[&packet[..], &[1; 14]].concat()));
        bytes.extend(block(true, 3, &[&[0, 0, 0, 30][..], &[2; 16]].concat()));
        assert_eq!(read(&bytes).len(), 2);
        for place in 0..bytes.len() {
            for value in [0, 1, 13, 0x7f, 0xff] {
                let mut changed = bytes.clone();
                changed[place] = value;
                // Two frames, one more made of padding at most, and the fault.
                assert!(read(&changed).len() <= 4, "{place} {value}");
            }
        }
    }

    #[test]
    fn sections_have_their_own_byte_order_interfaces_and_clocks() {
        let mut bytes = section(true);
        // Link type 1, snapshot length 16, if_tsresol 2^-1.
        bytes.extend(block(true, 1, &[0, 1, 0, 0, 0, 0, 0, 16, 0, 9, 0, 1, 0x81, 0, 0, 0]));
        let packet = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 14, 0, 0, 0, 14];
        bytes.extend(block(true, 6, &[&packet[..], &[1; 14]].concat()));
        // A Simple Packet Block of 30 bytes, cut at 16.
        bytes.extend(block(true, 3, &[&[0, 0, 0, 30][..], &[2; 16]].concat()));
        bytes.extend(section(false));
        // Link type 101, then Ethernet with if_tsoffset 1.
        bytes.extend(block(false, 1, &[101, 0, 0, 0, 0, 0, 0, 0]));
        let offset = [14, 0, 8, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(block(false, 1, &[&[1, 0, 0, 0, 0, 0, 0, 0][..], &offset].concat()));
        let packet =
            |interface| [interface, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0];
        bytes.extend(block(false, 6, &[&packet(0)[..], &[3; 4]].concat()));
        bytes.extend(block(false, 6, &[&packet(1)[..], &[4; 4]].concat()));
        bytes.extend(block(false, 6, &[&packet(2)[..], &[5; 4]].concat()));
        let raw =
            Captured { number: 3, time: CaptureTime(7_000), frame: Err(Unreadable::LinkType(101)) };
        let expected = [
            frame(1, 2_500_000_000, &[1; 14], false),
            frame(2, 2_500_000_000, &[2; 16], true),
            Ok(raw),
            frame(4, 1_000_007_000, &[4; 4], false),
            Err("reading the capture FILE: what follows frame 4 is damaged".to_owned()),
        ];
        assert_eq!(read(&bytes), expected);
    }

    #[test]
    fn a_frame_longer_than_the_buffer_is_read_and_an_impossible_one_is_damage() {
        let mut bytes = Vec::new();
        let mut writer = CaptureWriter::new(&mut bytes).unwrap();
        let long = vec![6; BUFFER * 3];
        writer.write(CaptureTime(1), &long).unwrap();
        writer.finish().unwrap();
        assert_eq!(read(&bytes), [frame(1, 1, &long, false)]);
        bytes.extend([0xff; 16]);
        bytes.extend(vec![0; LONGEST_BLOCK + 1]);
        let damage = "reading the capture FILE: what follows frame 1 is damaged".to_owned();
        assert_eq!(read(&bytes), [frame(1, 1, &long, false), Err(damage)]);
    }

    #[test]
    fn a_time_before_the_first_is_negative() {
        let first = CaptureTime(10 * NANOS);
        assert_eq!(CaptureTime(22 * NANOS + 12_999_999).seconds_since(first), "12.012");
        assert_eq!(CaptureTime(9 * NANOS + 1).seconds_since(first), "-0.999");
    }
}
