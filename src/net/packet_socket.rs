//! AF_PACKET sockets: open, bind, receive and send in batches. packet(7), socket(7), recvmmsg(2).
//!
//! A socket is opened by the broker, with filter and options complete and the filter locked, and
//! used by the responder, which needs no capability for that. Binding one to its first port is done
//! at once; binding it to another, and closing it, takes the kernel about 12 ms. So one socket serves
//! one port, and is closed when nobody waits for it.
//!
//! No receive timestamps: one socket that wants them makes the kernel read its clock for every
//! packet of the node.

#![expect(
    unsafe_code,
    reason = "sockaddr_ll, auxdata and batches have no safe form; one call each"
)]

use std::io;
use std::mem::{MaybeUninit, offset_of, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use nix::libc;
use socket2::{Domain, Protocol, Socket, Type};

use super::{Filter, filter};
use crate::wire::Frame;

/// A raw socket for one port, with the filter attached and locked. Never blocks.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
    filter: Filter,
}

impl PacketSocket {
    /// How many frames one call sends at most.
    pub const SEND_MAX: usize = 32;

    /// Opens an unbound socket behind `filter`; it receives nothing until [`Self::bind`].
    ///
    /// # Errors
    /// If `CAP_NET_RAW` is missing, or the kernel lacks an option (`PACKET_IGNORE_OUTGOING` came
    /// with Linux 4.20).
    pub fn open(filter: Filter) -> io::Result<Self> {
        // Protocol 0: no frame can come in before filter and options stand.
        let socket =
            Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), Some(Protocol::from(0)))
                .map_err(|error| no_socket(&error))?;
        socket.attach_filter(&filter.program()).map_err(|error| failed("filter", &error))?;
        let socket = Self { fd: socket.into(), filter };
        socket.set_option(libc::SOL_SOCKET, libc::SO_LOCK_FILTER, 1, "SO_LOCK_FILTER")?;
        for (option, name) in [
            (libc::PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING"),
            (libc::PACKET_AUXDATA, "PACKET_AUXDATA"),
        ] {
            socket.set_option(libc::SOL_PACKET, option, 1, name)?;
        }
        socket.set_option(libc::SOL_SOCKET, libc::SO_RCVBUF, QUEUE_BYTES, "SO_RCVBUF")?;
        Ok(socket)
    }

    /// Takes a socket that the broker opened with [`Self::open`] and the same filter.
    #[must_use]
    pub const fn from_fd(fd: OwnedFd, filter: Filter) -> Self {
        Self { fd, filter }
    }

    /// Returns what passes, for the socket's whole life.
    #[must_use]
    pub const fn filter(&self) -> Filter {
        self.filter
    }

    /// Attaches the socket to a link; also revives it after its link went away.
    ///
    /// A link that is down is no error here: the next receive reports it, and the socket works
    /// once the link is up. Frames of the link before may still be queued: test the ifindex of
    /// every frame.
    ///
    /// With `way` [`Way::Out`] it receives what leaves through the link, own frames aside, beside
    /// what comes in: test the way of every frame, too.
    ///
    /// # Errors
    /// If there is no link with this index (see [`is_link_down`]).
    pub fn bind(&self, ifindex: u32, way: Way) -> io::Result<()> {
        if way == Way::Out {
            let (option, name) = (libc::PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING");
            self.set_option(libc::SOL_PACKET, option, 0, name)?;
        }
        // A socket that is bound to one protocol sees nothing on a port of a bridge or switch.
        self.bind_to(ifindex, EVERY_PROTOCOL)
    }

    /// Receives up to [`RecvBatch::SLOTS`] frames in one call; returns how many.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if none is queued; once that the link went down or away (see
    /// [`is_link_down`]). The batch is empty then.
    pub fn recv_batch(&self, batch: &mut RecvBatch) -> io::Result<usize> {
        batch.used = 0;
        let mut vectors = batch.slots.each_mut().map(|slot| libc::iovec {
            iov_base: slot.bytes.as_mut_ptr().cast(),
            iov_len: slot.bytes.len(),
        });
        let mut messages = [empty_message(); RecvBatch::SLOTS];
        for ((message, vector), slot) in
            messages.iter_mut().zip(&mut vectors).zip(batch.slots.iter_mut())
        {
            message.msg_hdr.msg_name = (&raw mut slot.address).cast();
            message.msg_hdr.msg_namelen = ADDRESS_LENGTH;
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = slot.control.0.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = slot.control.0.len();
        }
        // SAFETY: every header points to one vector, address and control buffer of its own slot,
        // with their true lengths; all outlive the call, and nothing else touches them meanwhile.
        // The timeout may be null.
        let count = unsafe {
            libc::recvmmsg(
                self.fd.as_raw_fd(),
                messages.as_mut_ptr(),
                RECV_MESSAGES,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        for (slot, message) in batch.slots.iter_mut().zip(&messages).take(count) {
            slot.length = (message.msg_len as usize).min(slot.bytes.len());
            slot.truncated = message.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            slot.control_length = message.msg_hdr.msg_controllen.min(slot.control.0.len());
        }
        batch.used = count;
        Ok(count)
    }

    /// Sends the first [`Self::SEND_MAX`] of `frames` at most, in one call; returns how many the
    /// kernel took. The caller goes on with `frames.skip(sent)`.
    ///
    /// # Errors
    /// What is wrong with the first frame, if not even that went: [`io::ErrorKind::WouldBlock`],
    /// link down (see [`is_link_down`]), or `EMSGSIZE` if it is longer than the link's MTU.
    pub fn send_batch<'a>(&self, frames: impl Iterator<Item = &'a [u8]>) -> io::Result<usize> {
        let mut vectors = [EMPTY_VECTOR; Self::SEND_MAX];
        let mut messages = [empty_message(); Self::SEND_MAX];
        let mut count: libc::c_uint = 0;
        for ((message, vector), frame) in messages.iter_mut().zip(&mut vectors).zip(frames) {
            vector.iov_base = frame.as_ptr().cast_mut().cast();
            vector.iov_len = frame.len();
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            count += 1;
        }
        if count == 0 {
            return Ok(0);
        }
        // SAFETY: the first `count` headers point to one vector each, which points to a frame that
        // is borrowed for the whole call; the kernel only reads what the vectors point to.
        let sent = unsafe {
            libc::sendmmsg(
                self.fd.as_raw_fd(),
                messages.as_mut_ptr(),
                count,
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Returns how many frames the kernel dropped since the last call because the queue was full.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn queue_drops(&self) -> io::Result<u32> {
        let mut counts = libc::tpacket_stats { tp_packets: 0, tp_drops: 0 };
        let mut length = length_of::<libc::tpacket_stats>();
        // SAFETY: the kernel writes at most `length` bytes into `counts`, which has as many.
        let result = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_PACKET,
                libc::PACKET_STATISTICS,
                (&raw mut counts).cast(),
                &raw mut length,
            )
        };
        check(result).map(|()| counts.tp_drops)
    }

    fn bind_to(&self, ifindex: u32, protocol: u16) -> io::Result<()> {
        let address = libc::sockaddr_ll {
            sll_family: PACKET_FAMILY,
            sll_protocol: protocol.to_be(),
            sll_ifindex: i32::try_from(ifindex).map_err(|_| io::Error::from(nix::Error::ENODEV))?,
            ..EMPTY_ADDRESS
        };
        // SAFETY: bind reads `ADDRESS_LENGTH` bytes of `address`, which has as many.
        let result =
            unsafe { libc::bind(self.fd.as_raw_fd(), (&raw const address).cast(), ADDRESS_LENGTH) };
        check(result)
    }

    fn set_option(&self, level: i32, option: i32, value: i32, name: &str) -> io::Result<()> {
        // SAFETY: setsockopt reads the four bytes of `value`.
        let result = unsafe {
            libc::setsockopt(
                self.fd.as_raw_fd(),
                level,
                option,
                (&raw const value).cast(),
                length_of::<i32>(),
            )
        };
        check(result).map_err(|error| failed(name, &error))
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

impl From<PacketSocket> for OwnedFd {
    fn from(socket: PacketSocket) -> Self {
        socket.fd
    }
}

/// Which way a frame passes a link, as the node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// It comes in: what a guest sends, on nearly every kind of link.
    In,
    /// It goes out: what a guest sends behind a macvtap.
    Out,
}

/// One frame out of a [`RecvBatch`].
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The link that it came in on; after a rebind it may be the old one.
    pub ifindex: u32,
    /// Which way it passed there.
    pub way: Way,
    /// The frame. It counts as truncated also when the kernel told nothing of its VLAN tag.
    pub frame: Frame<'a>,
}

/// Receive buffers of one worker thread, used again and again for all its sockets.
#[derive(Debug)]
pub struct RecvBatch {
    slots: Box<[Slot; Self::SLOTS]>,
    used: usize,
}

impl RecvBatch {
    /// How many frames one call receives at most.
    pub const SLOTS: usize = 16;

    /// Allocates the buffers.
    #[must_use]
    pub fn new() -> Self {
        Self { slots: Box::new([const { Slot::EMPTY }; Self::SLOTS]), used: 0 }
    }

    /// Returns the frames of the last [`PacketSocket::recv_batch`], oldest first.
    pub fn frames(&self) -> impl Iterator<Item = Received<'_>> {
        self.slots.iter().take(self.used).map(Slot::received)
    }
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self::new()
    }
}

/// Tells whether an error says that the link is down or gone: wait for netlink, do not retry.
#[must_use]
pub fn is_link_down(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENETDOWN | libc::ENODEV | libc::ENXIO))
}

/// Closes many sockets on up to 256 threads, because each close waits about 12 ms for the kernel:
/// 1,000 take 75 ms so, and 260 ms on 64 threads.
pub fn close_side_by_side(sockets: Vec<PacketSocket>) {
    let share = sockets.len().div_ceil(CLOSING_THREADS_MAX).max(1);
    let mut sockets = sockets.into_iter().peekable();
    std::thread::scope(|scope| {
        while sockets.peek().is_some() {
            let some: Vec<_> = sockets.by_ref().take(share).collect();
            // A thread that cannot be made gives its closure back as dropped: closed all the same.
            let _ = std::thread::Builder::new().spawn_scoped(scope, || drop(some));
        }
    });
}

#[derive(Debug)]
struct Slot {
    bytes: [u8; FRAME_BYTES],
    address: libc::sockaddr_ll,
    control: Control,
    length: usize,
    control_length: usize,
    truncated: bool,
}

impl Slot {
    const EMPTY: Self = Self {
        bytes: [0; FRAME_BYTES],
        address: EMPTY_ADDRESS,
        control: Control([0; CONTROL_BYTES]),
        length: 0,
        control_length: 0,
        truncated: false,
    };

    fn received(&self) -> Received<'_> {
        let auxdata = self.control.0.get(..self.control_length).and_then(Auxdata::read);
        let has = |bit: u32| auxdata.is_some_and(|auxdata| auxdata.status & bit != 0);
        let frame = Frame {
            bytes: self.bytes.get(..self.length).unwrap_or_default(),
            vlan: auxdata.filter(|_| has(libc::TP_STATUS_VLAN_VALID)).map(|auxdata| auxdata.tci),
            checksum_pending: has(libc::TP_STATUS_CSUMNOTREADY),
            // Without auxdata a tagged frame would look untagged.
            truncated: self.truncated || auxdata.is_none(),
        };
        let is_outgoing = self.address.sll_pkttype == libc::PACKET_OUTGOING;
        Received {
            ifindex: u32::try_from(self.address.sll_ifindex).unwrap_or_default(),
            way: if is_outgoing { Way::Out } else { Way::In },
            frame,
        }
    }
}

/// Room for one control message, aligned as the kernel's header is.
#[derive(Debug)]
#[repr(align(8))]
struct Control([u8; CONTROL_BYTES]);

/// What `struct tpacket_auxdata` says of a frame beside its bytes.
#[derive(Debug, Clone, Copy)]
struct Auxdata {
    status: u32,
    tci: u16,
}

impl Auxdata {
    /// Reads the first control message; no other option that makes one is set on our sockets.
    fn read(control: &[u8]) -> Option<Self> {
        let level = i32::from_ne_bytes(field(control, offset_of!(libc::cmsghdr, cmsg_level))?);
        let kind = i32::from_ne_bytes(field(control, offset_of!(libc::cmsghdr, cmsg_type))?);
        if (level, kind) != (libc::SOL_PACKET, libc::PACKET_AUXDATA) {
            return None;
        }
        let (_, data) = control.split_at_checked(size_of::<libc::cmsghdr>())?;
        let status = field(data, offset_of!(libc::tpacket_auxdata, tp_status))?;
        let tci = field(data, offset_of!(libc::tpacket_auxdata, tp_vlan_tci))?;
        Some(Self { status: u32::from_ne_bytes(status), tci: u16::from_ne_bytes(tci) })
    }
}

fn field<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}

fn empty_message() -> libc::mmsghdr {
    // SAFETY: mmsghdr is plain integers and pointers, for which all zeros is a value.
    unsafe { MaybeUninit::zeroed().assume_init() }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn no_socket(error: &io::Error) -> io::Error {
    let text = if error.kind() == io::ErrorKind::PermissionDenied {
        "opening a packet socket: CAP_NET_RAW is missing: run as root, or give it \
         AmbientCapabilities=CAP_NET_RAW as systemd/leasehold.service does"
            .to_owned()
    } else {
        format!("opening a packet socket: {error}")
    };
    io::Error::new(error.kind(), text)
}

fn failed(what: &str, error: &io::Error) -> io::Error {
    let help = match error.raw_os_error() {
        Some(libc::ENOPROTOOPT) => "; Linux 4.20 or later is needed",
        _ => "",
    };
    io::Error::new(error.kind(), format!("opening a packet socket: setting {what}: {error}{help}"))
}

#[expect(clippy::cast_possible_truncation, reason = "the structs of the kernel are small")]
const fn length_of<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

/// One slot holds the longest frame that the filter lets pass.
const FRAME_BYTES: usize = filter::FRAME_MAX as usize;

/// One `tpacket_auxdata` with its header, rounded up.
const CONTROL_BYTES: usize = 64;

/// `SO_RCVBUF`, in bytes; the kernel doubles it. About 150 small frames, a burst that no booting
/// VM makes; 5,000 flooding guests then hold 640 MB at most.
const QUEUE_BYTES: i32 = 65_536;

const CLOSING_THREADS_MAX: usize = 256;

#[expect(clippy::cast_possible_truncation, reason = "the value is 16")]
const RECV_MESSAGES: libc::c_uint = RecvBatch::SLOTS as libc::c_uint;
const ADDRESS_LENGTH: libc::socklen_t = length_of::<libc::sockaddr_ll>();
#[expect(clippy::cast_possible_truncation, reason = "the value is 17")]
const PACKET_FAMILY: u16 = libc::AF_PACKET as u16;
#[expect(clippy::cast_possible_truncation, reason = "the value is 3")]
const EVERY_PROTOCOL: u16 = libc::ETH_P_ALL as u16;

const EMPTY_VECTOR: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
const EMPTY_ADDRESS: libc::sockaddr_ll = libc::sockaddr_ll {
    sll_family: 0,
    sll_protocol: 0,
    sll_ifindex: 0,
    sll_hatype: 0,
    sll_pkttype: 0,
    sll_halen: 0,
    sll_addr: [0; 8],
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A control message as the kernel writes it: length, level, type, then `tpacket_auxdata`.
    fn control(kind: i32, status: u32, tci: u16) -> Vec<u8> {
        let mut bytes = 36_usize.to_ne_bytes().to_vec();
        bytes.extend(libc::SOL_PACKET.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend([status, 60, 60].map(u32::to_ne_bytes).concat());
        bytes.extend([0, 14, tci, 0x8100].map(u16::to_ne_bytes).concat());
        bytes
    }

    fn slot(control: &[u8]) -> Slot {
        let mut slot = Slot { length: 3, control_length: control.len(), ..Slot::EMPTY };
        slot.control.0[..control.len()].copy_from_slice(control);
        slot.address.sll_ifindex = 7;
        slot
    }

    #[test]
    fn a_priority_tag_is_a_tag_with_tci_0() {
        let status = libc::TP_STATUS_USER | libc::TP_STATUS_VLAN_VALID;
        let slot = slot(&control(libc::PACKET_AUXDATA, status, 0));
        let received = slot.received();
        assert_eq!(received.ifindex, 7);
        assert_eq!(received.frame.bytes, [0; 3]);
        assert_eq!(received.frame.vlan, Some(0));
        assert!(!received.frame.checksum_pending);
        assert!(!received.frame.truncated);
    }

    #[test]
    fn without_the_status_bit_a_tci_is_no_tag() {
        let slot = slot(&control(libc::PACKET_AUXDATA, libc::TP_STATUS_CSUMNOTREADY, 5));
        let frame = slot.received().frame;
        assert_eq!(frame.vlan, None);
        assert!(frame.checksum_pending);
    }

    #[test]
    fn a_frame_without_auxdata_counts_as_truncated() {
        let other = control(libc::PACKET_AUXDATA + 1, libc::TP_STATUS_USER, 0);
        let whole = control(libc::PACKET_AUXDATA, libc::TP_STATUS_USER, 0);
        for control in [&other[..], &[], whole.get(..20).unwrap()] {
            assert!(slot(control).received().frame.truncated);
        }
    }

    #[test]
    fn a_batch_can_go_to_another_thread() {
        const fn is_send<T: Send>() {}
        is_send::<RecvBatch>();
        is_send::<PacketSocket>();
    }
}
