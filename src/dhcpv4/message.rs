//! The bytes of a guest to a [`Request`], strictly; no state and no decision.
//!
//! There is one walker and one rule for all options (RFC 3396): the parts of a code are joined in
//! the order in which they stand, over the options field, then `file`, then `sname` if option 52
//! says so. Nothing is allocated: an option that is not split stays a slice of the datagram.
//!
//! ```text
//!  0 op  1 htype  2 hlen  3 hops  4 xid  8 secs  10 flags  12 ciaddr  16 yiaddr  20 siaddr
//! 24 giaddr  28 chaddr (16)  44 sname (64)  108 file (128)  236 magic cookie  240 options
//! ```

use std::net::Ipv4Addr;

use super::options::code;
use crate::outcome::{DropReason, Message};
use crate::wire::bytes::Reader;
use crate::wire::{Datagram, Mac};

/// What a client asks for, every field and option checked for itself.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// Option 53.
    pub(super) kind: Kind,
    /// The transaction id, `xid`.
    pub(super) transaction_id: u32,
    /// `flags`, as sent.
    pub(super) flags: u16,
    /// `ciaddr`; `None` if it is 0.0.0.0.
    pub(super) client_address: Option<Ipv4Addr>,
    /// `chaddr`; it is the frame's source as well.
    pub(super) client_mac: Mac,
    /// Option 50.
    pub(super) requested_address: Option<Ipv4Addr>,
    /// Option 54.
    pub(super) server_id: Option<Ipv4Addr>,
    /// Option 57: the longest IP datagram that the client takes.
    pub(super) max_message_size: Option<u16>,
    /// Whether option 80 was sent.
    pub(super) rapid_commit: bool,
    /// Whether option 116 was sent (RFC 2563, section 2).
    pub(super) auto_configure: bool,
    /// Whether option 82 was sent, which only a relay may send (RFC 3046, section 2.1).
    pub(super) relay_information: bool,
    /// Option 55.
    pub(super) parameter_list: Value<'a, 255>,
    /// The flags of option 81 (RFC 4702, section 2.1).
    pub(super) fqdn_flags: Option<u8>,
    /// Option 61: 2 to 255 bytes.
    pub(super) client_id: Value<'a, 255>,
    /// Option 93; of what is split, as many parts as fit.
    pub(super) architectures: Value<'a, 64>,
    /// Option 60, in the same way.
    pub(super) vendor_class: Value<'a, 255>,
    /// Option 77, in the same way.
    pub(super) user_class: Value<'a, 255>,
    /// Option 97, in the same way.
    pub(super) machine_id: Value<'a, 17>,
    /// Whether option 175 was sent.
    pub(super) ipxe_options: bool,
}

/// The message types that a server takes from a client (RFC 2132, section 9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// DHCPDISCOVER.
    Discover,
    /// DHCPREQUEST.
    Request,
    /// DHCPDECLINE.
    Decline,
    /// DHCPRELEASE.
    Release,
    /// DHCPINFORM.
    Inform,
}

/// Why a datagram is not a [`Request`], and how far it had been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused {
    /// The message type, if it was known by then.
    pub(super) message: Message,
    /// What is wrong.
    pub(super) reason: DropReason,
}

/// The value of one option, its parts joined (RFC 3396); at most `N` bytes if it was split.
#[derive(Debug)]
pub(super) enum Value<'a, const N: usize> {
    /// The option was not sent.
    Absent,
    /// The option stands in one piece.
    Whole(&'a [u8]),
    /// The option was split: its bytes, and how many of them count.
    Joined([u8; N], usize),
}

impl<'a> Request<'a> {
    /// Reads the UDP payload of `datagram`.
    ///
    /// # Errors
    /// [`Refused`] with what is wrong: fixed part, relay fields, `chaddr`, options, message type.
    pub(super) fn parse(datagram: &Datagram<'a, Ipv4Addr>) -> Result<Self, Refused> {
        let unread = |reason| Refused { message: Message::Unknown, reason };
        let (fixed, options) = datagram
            .payload
            .split_first_chunk::<FIXED>()
            .ok_or(unread(DropReason::TooShort))
            .map(|(fixed, options)| (Fixed::new(fixed), options))?;
        fixed.check(datagram.link.source).map_err(unread)?;
        let options = Options::collect(options, &fixed).map_err(unread)?;

        let kind = match options.message_type.bytes() {
            None => return Err(Refused { message: Message::Bootp, reason: DropReason::Bootp }),
            Some([number]) => Kind::from_wire(*number)?,
            Some(_) => return Err(unread(DropReason::BadOption)),
        };
        let bad = Refused { message: kind.message(), reason: DropReason::BadOption };
        // RFC 2132, section 9.14: at least two bytes.
        if options.client_id.bytes().is_some_and(|id| id.len() < 2) {
            return Err(bad);
        }
        Ok(Self {
            kind,
            transaction_id: fixed.transaction_id,
            flags: fixed.flags,
            client_address: Some(fixed.ciaddr).filter(|address| !address.is_unspecified()),
            client_mac: datagram.link.source,
            requested_address: options.requested_address.array().ok_or(bad)?.map(Ipv4Addr::from),
            server_id: options.server_id.array().ok_or(bad)?.map(Ipv4Addr::from),
            max_message_size: options.max_message_size.array().ok_or(bad)?.map(u16::from_be_bytes),
            // RFC 4039, section 4: it has no data.
            rapid_commit: options.rapid_commit.array::<0>().ok_or(bad)?.is_some(),
            auto_configure: options.auto_configure,
            relay_information: options.relay_information,
            parameter_list: options.parameter_list,
            fqdn_flags: options.fqdn_flags,
            client_id: options.client_id,
            architectures: options.architectures,
            vendor_class: options.vendor_class,
            user_class: options.user_class,
            machine_id: options.machine_id,
            ipxe_options: options.ipxe_options,
        })
    }

    /// Tells whether the client cannot take unicast yet (RFC 2131, section 2, figure 2).
    pub(super) const fn wants_broadcast(&self) -> bool {
        self.flags & BROADCAST != 0
    }
}

impl Kind {
    /// Returns the word that metrics use.
    pub(super) const fn message(self) -> Message {
        match self {
            Self::Discover => Message::Discover,
            Self::Request => Message::Request,
            Self::Decline => Message::Decline,
            Self::Release => Message::Release,
            Self::Inform => Message::Inform,
        }
    }

    fn from_wire(number: u8) -> Result<Self, Refused> {
        let message = match number {
            1 => return Ok(Self::Discover),
            3 => return Ok(Self::Request),
            4 => return Ok(Self::Decline),
            7 => return Ok(Self::Release),
            8 => return Ok(Self::Inform),
            2 => Message::Offer,
            5 => Message::Ack,
            6 => Message::Nak,
            _ => Message::Unknown,
        };
        Err(Refused { message, reason: DropReason::UnknownMessage })
    }
}

impl<'a, const N: usize> Value<'a, N> {
    /// Returns the joined bytes, or `None` if the option was not sent.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Absent => None,
            Self::Whole(bytes) => Some(bytes),
            Self::Joined(bytes, length) => bytes.get(..*length),
        }
    }

    /// Returns the value as exactly `M` bytes: `Some(None)` if the option was not sent, `None` if
    /// it has another length.
    fn array<const M: usize>(&self) -> Option<Option<[u8; M]>> {
        match self.bytes() {
            None => Some(None),
            Some(bytes) => bytes.try_into().ok().map(Some),
        }
    }

    /// Appends one part.
    fn join(&mut self, part: &'a [u8]) -> Result<(), DropReason> {
        match self {
            Self::Absent => {
                *self = Self::Whole(part);
                Ok(())
            }
            Self::Whole(before) => {
                let mut joined = [0; N];
                let length = append(&mut joined, 0, before)?;
                let length = append(&mut joined, length, part)?;
                *self = Self::Joined(joined, length);
                Ok(())
            }
            // In place: a hostile guest sends dozens of parts.
            Self::Joined(joined, length) => {
                *length = append(joined, *length, part)?;
                Ok(())
            }
        }
    }

    /// Appends one part if there is room: what only chooses a boot file is worth no dropped frame.
    fn join_what_fits(&mut self, part: &'a [u8]) -> Result<(), DropReason> {
        self.join(part).or(Ok(()))
    }
}

/// Copies `part` to `bytes` from `start` on; returns where it ends.
fn append(bytes: &mut [u8], start: usize, part: &[u8]) -> Result<usize, DropReason> {
    let end = start.checked_add(part.len()).ok_or(DropReason::BadOption)?;
    bytes.get_mut(start..end).ok_or(DropReason::BadOption)?.copy_from_slice(part);
    Ok(end)
}

/// The fixed part of a BOOTP message, up to and with the magic cookie.
struct Fixed<'a> {
    op: u8,
    htype: u8,
    hlen: u8,
    hops: u8,
    transaction_id: u32,
    flags: u16,
    ciaddr: Ipv4Addr,
    giaddr: Ipv4Addr,
    chaddr: Mac,
    sname: &'a [u8],
    file: &'a [u8],
    cookie: [u8; 4],
}

impl<'a> Fixed<'a> {
    fn new(bytes: &'a [u8; FIXED]) -> Self {
        let mut reader = Reader::new(bytes);
        // The array is as long as all the fields together: no default is ever used.
        let mut fixed = Self {
            op: reader.u8().unwrap_or_default(),
            htype: reader.u8().unwrap_or_default(),
            hlen: reader.u8().unwrap_or_default(),
            hops: reader.u8().unwrap_or_default(),
            transaction_id: reader.u32().unwrap_or_default(),
            flags: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            chaddr: Mac::default(),
            sname: &[],
            file: &[],
            cookie: [0; 4],
        };
        let _secs = reader.u16();
        fixed.flags = reader.u16().unwrap_or_default();
        fixed.ciaddr = reader.array::<4>().unwrap_or_default().into();
        let _yiaddr_and_siaddr = reader.take(8);
        fixed.giaddr = reader.array::<4>().unwrap_or_default().into();
        fixed.chaddr = Mac(reader.array().unwrap_or_default());
        let _chaddr_padding = reader.take(10);
        fixed.sname = reader.take(SNAME).unwrap_or_default();
        fixed.file = reader.take(FILE).unwrap_or_default();
        fixed.cookie = reader.array().unwrap_or_default();
        fixed
    }

    fn check(&self, source: Mac) -> Result<(), DropReason> {
        if (self.op, self.htype, self.hlen) != (BOOTREQUEST, ETHERNET, 6) || self.cookie != COOKIE {
            return Err(DropReason::BadBootpHeader);
        }
        // Clause E3: no relay stands between a VM and its own port.
        if self.hops != 0 || !self.giaddr.is_unspecified() {
            return Err(DropReason::Relayed);
        }
        if self.chaddr != source {
            return Err(DropReason::SourceMac);
        }
        Ok(())
    }
}

/// The options that are read, each with its parts joined.
///
/// What is not listed here is walked over. Of option 82, which a VM may not speak of, only its
/// presence is known.
struct Options<'a> {
    instances: usize,
    overload: Value<'a, 1>,
    message_type: Value<'a, 1>,
    requested_address: Value<'a, 4>,
    server_id: Value<'a, 4>,
    max_message_size: Value<'a, 2>,
    rapid_commit: Value<'a, 0>,
    auto_configure: bool,
    relay_information: bool,
    parameter_list: Value<'a, 255>,
    fqdn_flags: Option<u8>,
    client_id: Value<'a, 255>,
    architectures: Value<'a, 64>,
    vendor_class: Value<'a, 255>,
    user_class: Value<'a, 255>,
    machine_id: Value<'a, 17>,
    ipxe_options: bool,
}

impl<'a> Options<'a> {
    /// Walks the options field, then `file` and `sname` as far as option 52 gives them away.
    fn collect(options: &'a [u8], fixed: &Fixed<'a>) -> Result<Self, DropReason> {
        let mut collected = Self {
            instances: 0,
            overload: Value::Absent,
            message_type: Value::Absent,
            requested_address: Value::Absent,
            server_id: Value::Absent,
            max_message_size: Value::Absent,
            rapid_commit: Value::Absent,
            auto_configure: false,
            relay_information: false,
            parameter_list: Value::Absent,
            fqdn_flags: None,
            client_id: Value::Absent,
            architectures: Value::Absent,
            vendor_class: Value::Absent,
            user_class: Value::Absent,
            machine_id: Value::Absent,
            ipxe_options: false,
        };
        walk(options, |code, part| match code {
            code::OVERLOAD => collected.overload.join(part).and_then(|()| collected.count()),
            _ => collected.add(code, part),
        })?;
        // RFC 2132, section 9.3.
        let (in_file, in_sname) = match collected.overload.array().ok_or(DropReason::BadOption)? {
            None => (false, false),
            Some([1]) => (true, false),
            Some([2]) => (false, true),
            Some([3]) => (true, true),
            Some(_) => return Err(DropReason::BadOption),
        };
        for (overloaded, field) in [(in_file, fixed.file), (in_sname, fixed.sname)] {
            if overloaded {
                walk(field, |code, part| match code {
                    // RFC 3396, section 5: never from inside an overloaded field.
                    code::OVERLOAD => Err(DropReason::BadOption),
                    _ => collected.add(code, part),
                })?;
            }
        }
        Ok(collected)
    }

    fn add(&mut self, code: u8, part: &'a [u8]) -> Result<(), DropReason> {
        self.count()?;
        match code {
            code::REQUESTED_ADDRESS => self.requested_address.join(part),
            code::MESSAGE_TYPE => self.message_type.join(part),
            code::SERVER_ID => self.server_id.join(part),
            code::PARAMETER_LIST => self.parameter_list.join(part),
            code::MAX_MESSAGE_SIZE => self.max_message_size.join(part),
            code::CLIENT_ID => self.client_id.join(part),
            code::RAPID_COMMIT => self.rapid_commit.join(part),
            code::AUTO_CONFIGURE => {
                self.auto_configure = true;
                Ok(())
            }
            code::AGENT_INFORMATION => {
                self.relay_information = true;
                Ok(())
            }
            code::CLIENT_FQDN => {
                // The first part begins with the flags; an option without its fixed part is none.
                if let (None, [flags, _, _, ..]) = (self.fqdn_flags, part) {
                    self.fqdn_flags = Some(*flags);
                }
                Ok(())
            }
            code::ARCHITECTURES => self.architectures.join_what_fits(part),
            code::VENDOR_CLASS => self.vendor_class.join_what_fits(part),
            code::USER_CLASS => self.user_class.join_what_fits(part),
            code::MACHINE_ID => self.machine_id.join_what_fits(part),
            code::IPXE_OPTIONS => {
                self.ipxe_options = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self) -> Result<(), DropReason> {
        self.instances = self.instances.saturating_add(1);
        if self.instances > MAX_INSTANCES { Err(DropReason::TooManyOptions) } else { Ok(()) }
    }
}

/// Calls `each` with code and data of every option in `field`, up to End or the field's end.
///
/// # Errors
/// [`DropReason::BadOption`] if an option runs past the field; what `each` returns otherwise.
fn walk<'a>(
    field: &'a [u8],
    mut each: impl FnMut(u8, &'a [u8]) -> Result<(), DropReason>,
) -> Result<(), DropReason> {
    let mut reader = Reader::new(field);
    while let Some(code) = reader.u8() {
        match code {
            // RFC 2132, sections 3.1 and 3.2: these two alone have no length.
            code::PAD => {}
            code::END => break,
            _ => {
                let length = reader.u8().ok_or(DropReason::BadOption)?;
                let part = reader.take(usize::from(length)).ok_or(DropReason::BadOption)?;
                each(code, part)?;
            }
        }
    }
    Ok(())
}

/// The length of the fixed part, magic cookie included.
pub(super) const FIXED: usize = 240;
/// The length of `sname`.
pub(super) const SNAME: usize = 64;
/// The length of `file`.
pub(super) const FILE: usize = 128;
/// RFC 2131, section 3.
pub(super) const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// RFC 1700: `htype` of Ethernet.
pub(super) const ETHERNET: u8 = 1;
const BOOTREQUEST: u8 = 1;
const BROADCAST: u16 = 0x8000;
/// More options than any client sends; clients send about ten.
const MAX_INSTANCES: usize = 64;
