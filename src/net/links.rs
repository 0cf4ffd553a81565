//! The links of this node, as the kernel's rtnetlink tells them. No privilege is needed.
//!
//! A message about a change is only a hint: what the link is now is asked anew, and told if it
//! differs from what was told before. So stale, doubled and foreign messages (a bridge tells of its
//! ports in the same way) do no harm, and after an overrun one new dump makes everything right.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily as SocketFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send,
    setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};
use rtnetlink::packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoMacVtap, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo,
    LinkMessage, MacVtapMode,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{Handle, LinkGetRequest, MulticastGroup, new_multicast_connection};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::wire::Mac;

/// One network device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name now; a rename keeps the index.
    pub name: String,
    /// Its index, unique in the network namespace while it exists.
    pub ifindex: u32,
    /// Its Ethernet address, if it has one.
    pub mac: Option<Mac>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is set up and operational (`IFF_RUNNING`, RFC 2863): frames sent earlier are lost.
    pub up: bool,
    /// What it is, as far as that matters here.
    pub kind: LinkKind,
    /// The index of the bridge or bond that it is a port of.
    pub master: Option<u32>,
}

/// What a network device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkKind {
    /// A Linux bridge.
    Bridge,
    /// A macvtap in bridge mode: what its guest sends leaves through it as if the node had sent it,
    /// and what is sent there to its own MAC reaches the guest.
    MacVtap,
    /// A macvtap in another mode, or an ipvtap: only what comes in from the wire reaches the guest.
    WireTap,
    /// Anything else.
    Other,
}

/// What happened to the node's links.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LinkEvent {
    /// All links, at the start and whenever changes may have been missed.
    Snapshot(Vec<Link>),
    /// A link is new, or differs from what was told before.
    Changed(Link),
    /// A link is gone.
    Removed {
        /// The index that it had.
        ifindex: u32,
        /// The name that it had.
        name: String,
    },
}

/// Tells a snapshot of all links, then every change.
pub struct LinkWatcher {
    handle: Handle,
    state: State,
    /// What was told, by index.
    told: BTreeMap<u32, Link>,
}

impl LinkWatcher {
    /// Starts to listen. Must be called inside the runtime.
    ///
    /// # Errors
    /// If no netlink socket can be had.
    pub fn new() -> io::Result<Self> {
        let (handle, messages) = connect()?;
        Ok(Self { handle, state: State::Stale(messages), told: BTreeMap::new() })
    }

    /// Waits for the next event. Can be cancelled and called again: nothing is lost.
    ///
    /// # Errors
    /// If the netlink connection is lost; the next call opens a new one and tells a snapshot.
    pub async fn next(&mut self) -> io::Result<LinkEvent> {
        loop {
            match &mut self.state {
                State::Lost => {
                    let (handle, messages) = connect()?;
                    self.handle = handle;
                    self.state = State::Stale(messages);
                }
                State::Stale(_) => {
                    let links = answered(async {
                        spawn_blocking(all_links).await.unwrap_or_else(|ended| Err(ended.into()))
                    });
                    let links = links.await;
                    let links = links.map_err(|error| self.lost(&error))?;
                    self.told = links.iter().map(|link| (link.ifindex, link.clone())).collect();
                    self.state.settle();
                    return Ok(LinkEvent::Snapshot(links));
                }
                State::Asking(_, ifindex) => {
                    let ifindex = *ifindex;
                    let link = answered(one_link(&self.handle, ifindex)).await;
                    let link = link.map_err(|error| self.lost(&error))?;
                    self.state.settle();
                    if let Some(event) = note(&mut self.told, ifindex, link) {
                        return Ok(event);
                    }
                }
                State::Listening(messages) => match messages.next().await {
                    Some(message) => self.state.hear(&message),
                    None => return Err(self.lost(&io::ErrorKind::ConnectionAborted.into())),
                },
            }
        }
    }

    fn lost(&mut self, error: &io::Error) -> io::Error {
        self.state = State::Lost;
        io::Error::new(error.kind(), format!("watching the node's links: {error}"))
    }
}

impl std::fmt::Debug for LinkWatcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkWatcher").field("told", &self.told).finish_non_exhaustive()
    }
}

/// How far the watcher is.
enum State {
    /// There is no connection.
    Lost,
    /// All links are to be asked.
    Stale(Messages),
    /// One link is to be asked.
    Asking(Messages, u32),
    /// Everything is told.
    Listening(Messages),
}

type Messages = Box<dyn Stream<Item = NetlinkMessage<RouteNetlinkMessage>> + Send + Sync + Unpin>;

impl State {
    /// Goes on to listen, after a question was answered.
    fn settle(&mut self) {
        *self = match std::mem::replace(self, Self::Lost) {
            Self::Lost => Self::Lost,
            Self::Stale(messages) | Self::Asking(messages, _) | Self::Listening(messages) => {
                Self::Listening(messages)
            }
        };
    }

    /// Decides what a message that came in while listening makes to be asked.
    fn hear(&mut self, message: &NetlinkMessage<RouteNetlinkMessage>) {
        *self = match std::mem::replace(self, Self::Lost) {
            Self::Listening(messages) => match &message.payload {
                NetlinkPayload::Overrun(_) => Self::Stale(messages),
                NetlinkPayload::InnerMessage(
                    RouteNetlinkMessage::NewLink(link) | RouteNetlinkMessage::DelLink(link),
                ) => Self::Asking(messages, link.header.index),
                _ => Self::Listening(messages),
            },
            other @ (Self::Lost | Self::Stale(_) | Self::Asking(..)) => other,
        };
    }
}

/// Keeps what a link is now; returns the event if that is news.
fn note(told: &mut BTreeMap<u32, Link>, ifindex: u32, link: Option<Link>) -> Option<LinkEvent> {
    match link {
        None => told.remove(&ifindex).map(|link| LinkEvent::Removed { ifindex, name: link.name }),
        Some(link) if told.get(&ifindex) == Some(&link) => None,
        Some(link) => {
            told.insert(ifindex, link.clone());
            Some(LinkEvent::Changed(link))
        }
    }
}

/// Waits for an answer, but not for ever: in an overrun the kernel throws answers away too.
async fn answered<T>(question: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(ANSWER_LIMIT, question).await {
        Ok(answer) => answer,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the kernel does not answer")),
    }
}

/// Returns every link. It is asked on a socket of its own, which gives some at a time: what the
/// kernel says of thousands is many times as large as what is kept of it.
fn all_links() -> io::Result<Vec<Link>> {
    let (family, flags) = (SocketFamily::Netlink, SockFlag::SOCK_CLOEXEC);
    let socket = socket(family, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(ANSWER_SECONDS))?;
    send(socket.as_raw_fd(), &dump_request(), MsgFlags::empty())?;
    let mut links = Vec::new();
    let mut buffer = vec![0; DUMP_BUFFER];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while !rest.is_empty() {
            let message = NetlinkMessage::<RouteNetlinkMessage>::deserialize(rest);
            let message = message.map_err(|error| io::Error::other(error.to_string()))?;
            match message.payload {
                NetlinkPayload::Done(_) => return Ok(links),
                NetlinkPayload::Error(error) => return Err(error.to_io()),
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)) => {
                    links.extend(link(&message));
                }
                _ => {}
            }
            // Each message starts at a multiple of 4 bytes (netlink(7), NLMSG_ALIGN).
            let length = usize::try_from(message.header.length).unwrap_or(usize::MAX);
            rest = rest.get(length.max(1).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// Writes the request for every link.
fn dump_request() -> Vec<u8> {
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::ExtMask(EVERYTHING_BUT_COUNTERS.to_vec()));
    let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetLink(message));
    request.header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    bytes
}

/// Returns the link with this index, `None` if there is none.
async fn one_link(handle: &Handle, ifindex: u32) -> io::Result<Option<Link>> {
    let mut answers = pin!(request(handle).match_index(ifindex).execute());
    match answers.next().await {
        Some(Ok(message)) => Ok(link(&message)),
        Some(Err(error)) => match told_error(&error) {
            error if error.raw_os_error() == Some(nix::libc::ENODEV) => Ok(None),
            error => Err(error),
        },
        None => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}

fn request(handle: &Handle) -> LinkGetRequest {
    handle.link().get().set_filter_mask(AddressFamily::Unspec, EVERYTHING_BUT_COUNTERS.to_vec())
}

fn connect() -> io::Result<(Handle, Messages)> {
    let (connection, handle, messages) = new_multicast_connection(&[MulticastGroup::Link])?;
    // Ends by itself when the handle is gone.
    tokio::spawn(connection);
    Ok((handle, Box::new(messages.map(|(message, _)| message))))
}

fn link(message: &LinkMessage) -> Option<Link> {
    let flags = message.header.flags;
    let mut name = None;
    let mut link = Link {
        name: String::new(),
        ifindex: message.header.index,
        mac: None,
        mtu: 0,
        // Not LOWER_UP: it is set while the queue behind the carrier still drops everything.
        up: flags.contains(LinkFlags::Up | LinkFlags::Running),
        kind: LinkKind::Other,
        master: None,
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Address(octets) => link.mac = octets.as_slice().try_into().ok().map(Mac),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            // 0: of no bridge any more.
            LinkAttribute::Controller(master) => link.master = Some(*master).filter(|m| *m != 0),
            LinkAttribute::LinkInfo(infos) => link.kind = kind(infos),
            _ => {}
        }
    }
    name.map(|name| Link { name, ..link })
}

fn kind(infos: &[LinkInfo]) -> LinkKind {
    let kind = |info: &LinkInfo| match info {
        LinkInfo::Kind(InfoKind::Bridge) => Some(LinkKind::Bridge),
        LinkInfo::Kind(InfoKind::MacVtap | InfoKind::IpVtap) => Some(LinkKind::WireTap),
        _ => None,
    };
    let is_bridging = infos.iter().any(|info| {
        matches!(info, LinkInfo::Data(InfoData::MacVtap(data))
            if data.contains(&InfoMacVtap::Mode(MacVtapMode::Bridge)))
    });
    match infos.iter().find_map(kind) {
        Some(LinkKind::WireTap) if is_bridging => LinkKind::MacVtap,
        kind => kind.unwrap_or(LinkKind::Other),
    }
}

fn told_error(error: &rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => io::Error::other(other.to_string()),
    }
}

/// How long the kernel may take to answer a question.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// The same in seconds, for one piece of an answer.
const ANSWER_SECONDS: i64 = 3;

/// What is asked of a link.
const EVERYTHING_BUT_COUNTERS: [LinkExtentMask; 1] = [LinkExtentMask::SkipStats];

/// How much the kernel may say at once, in bytes: it makes pieces of 32 KiB at most.
const DUMP_BUFFER: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn a_link(name: &str, mtu: u32) -> Link {
        let (name, kind) = (name.to_owned(), LinkKind::Other);
        Link { name, ifindex: 5, mac: None, mtu, up: true, kind, master: None }
    }

    #[test]
    fn only_news_is_told() {
        let mut told = BTreeMap::new();
        let first = a_link("tap0", 1500);
        let renamed = a_link("tap1", 1500);
        assert_eq!(
            note(&mut told, 5, Some(first.clone())),
            Some(LinkEvent::Changed(first.clone()))
        );
        assert_eq!(note(&mut told, 5, Some(first)), None);
        assert_eq!(note(&mut told, 5, Some(renamed.clone())), Some(LinkEvent::Changed(renamed)));
        let removed = LinkEvent::Removed { ifindex: 5, name: "tap1".to_owned() };
        assert_eq!(note(&mut told, 5, None), Some(removed));
        assert_eq!(note(&mut told, 5, None), None);
    }
}
