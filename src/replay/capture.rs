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
    #[error("reading the capture {0}: the system cannot read on; is it a file, and its disk well?")]
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

    /// Ends the file: everything is handed to the system.
    ///
    /// # Errors
    /// Whatever the sink says.
    pub fn finish(mut self) -> io::Result<()> {
        self.sink.flush()
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
        let nanos = u128::from(ticks).saturating_mul(NANOS.into()) / u128::from(self.ticks.max(1));
        let nanos = i128::try_from(nanos).unwrap_or(i128::MAX);
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
