//! What became of one frame: the closed sets that metrics, `watch` and `explain` speak in.
//!
//! Every frame that the socket filter lets through ends in exactly one [`Outcome`] (clause E1). Not
//! answering is not an error: it is a [`DropReason`], and it is counted. All sets here are closed,
//! so nothing that a guest sends can make a label.

/// The protocol that a frame was found to carry; the label `protocol`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// DHCPv4 (RFC 2131).
    Dhcpv4,
    /// DHCPv6 (RFC 9915).
    Dhcpv6,
    /// IPv6 Neighbor Discovery (RFC 4861).
    Nd,
    /// ARP (RFC 826) and RARP (RFC 903).
    Arp,
    /// Anything else, or a frame refused before its protocol was known.
    Other,
}

/// The type of a message, received or sent; the label `message`.
///
/// A name may serve two protocols (`request`, `release`): the label `protocol` tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message {
    /// DHCPDISCOVER.
    Discover,
    /// DHCPOFFER.
    Offer,
    /// DHCPREQUEST, or a DHCPv6 Request.
    Request,
    /// DHCPDECLINE, or a DHCPv6 Decline.
    Decline,
    /// DHCPACK.
    Ack,
    /// DHCPNAK.
    Nak,
    /// DHCPRELEASE, or a DHCPv6 Release.
    Release,
    /// DHCPINFORM.
    Inform,
    /// A BOOTP request without a DHCP message type (RFC 951).
    Bootp,
    /// DHCPv6 Solicit.
    Solicit,
    /// DHCPv6 Advertise.
    Advertise,
    /// DHCPv6 Confirm.
    Confirm,
    /// DHCPv6 Renew.
    Renew,
    /// DHCPv6 Rebind.
    Rebind,
    /// DHCPv6 Reply, or an ARP reply.
    Reply,
    /// DHCPv6 Information-request.
    InformationRequest,
    /// DHCPv6 ADDR-REG-INFORM (RFC 9686).
    AddressRegistration,
    /// DHCPv6 ADDR-REG-REPLY.
    AddressRegistered,
    /// Router Solicitation.
    RouterSolicitation,
    /// Router Advertisement.
    RouterAdvertisement,
    /// Neighbor Solicitation.
    NeighborSolicitation,
    /// Neighbor Advertisement.
    NeighborAdvertisement,
    /// ARP request, gratuitous ARP included.
    ArpRequest,
    /// RARP request, as a hypervisor sends it after a live migration.
    Rarp,
    /// ICMP or ICMPv6 echo request.
    EchoRequest,
    /// ICMP or ICMPv6 echo reply.
    EchoReply,
    /// A message whose type could not be read, or is none of the above.
    Unknown,
}

/// Why a frame got no answer; the label `reason`. Each has a fixture in `packet-fixtures/hostile/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Longer than the port's MTU allows, or cut by the receive buffer.
    TooLong,
    /// Shorter than its headers say, or than the protocol's fixed part.
    TooShort,
    /// A VLAN tag on a port that takes none, or another tag than the port's network names.
    Vlan,
    /// A protocol or message that is not for us: the filter is coarser than the decoder.
    NotForUs,
    /// A length or version field that contradicts the frame.
    BadHeader,
    /// An IP fragment, or IPv4 options, or an IPv6 extension header (RFC 6980, RFC 7112).
    Fragment,
    /// A wrong IPv4, UDP or ICMPv6 checksum.
    BadChecksum,
    /// A source MAC or `chaddr` other than the port's or the frame's.
    SourceMac,
    /// A source address that the sender cannot have: not its own, not link-local, not unspecified.
    SourceAddress,
    /// A destination address at which nobody serves this message.
    Destination,
    /// More frames than the port's token bucket allows, or than its queue holds.
    RateLimited,
    /// DHCPv4: `giaddr` or `hops` set, a relay's agent option trusted by nobody (RFC 3046).
    Relayed,
    /// DHCPv4: `op`, `htype`, `hlen` or the magic cookie is wrong.
    BadBootpHeader,
    /// A DHCP option that runs past its field, or has an impossible length, or stands twice.
    BadOption,
    /// More options, identity associations or nesting than a client can need.
    TooManyOptions,
    /// Plain BOOTP, which is not served.
    Bootp,
    /// A message type that a server does not take from a client.
    UnknownMessage,
    /// DHCPv4: a REQUEST that names another server (RFC 2131, section 4.3.2).
    OtherServer,
    /// DHCPv6: the Server Identifier is missing, foreign, or present where it must not be.
    ServerId,
    /// DHCPv6: the Client Identifier is missing, or its length is impossible.
    ClientId,
    /// The message's fields or options contradict each other: DHCPv4 (RFC 2131, table 5), DHCPv6
    /// (RFC 9915, section 16, where nothing above says it better).
    Invalid,
    /// The port's network has no section for this address family.
    NoFamily,
    /// The NIC holds no address of this family.
    NoAddress,
    /// Neighbor Discovery: hop limit, code, length or option rules of RFC 4861 are broken.
    BadNeighborDiscovery,
    /// A question about an address that is not the gateway's or the server's.
    NotOurAddress,
    /// The reply did not fit in the frame that the client or the port takes.
    ReplyTooLong,
    /// The outbox or the socket was full; the client asks again.
    SendFailed,
    /// A panic while reading the frame; it cost this frame only.
    Panicked,
}

/// What was noted of a frame that wants no answer, or of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Note {
    /// DHCPv4 RELEASE: the lease stays with the VM.
    Released,
    /// DHCPv4 DECLINE: the guest found the address in use.
    Declined,
    /// A frame that shows the VM has come to this port: RARP, gratuitous ARP, unsolicited NA.
    Arrived,
    /// The same, from a VM that is known to be there already.
    Announced,
    /// A server's or router's message, sent by a VM.
    ForeignServer,
    /// A reply was sent without some of its options: there was no room for them (clauses A8, C2).
    OptionsLeftOut,
    /// A VM sent a relay's option 82, and was answered as if it had not (clause A10).
    RelayInformation,
    /// A guest registered an address that it made for itself (RFC 9686).
    Registered,
}

/// What was decided about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// One reply of this type is in the outbox.
    Replied(Message),
    /// Nothing to say, but something was learnt.
    Noted(Note),
    /// Nothing was said, for this reason.
    Dropped(DropReason),
}

/// What became of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Outcome {
    /// What the frame carried.
    pub protocol: Protocol,
    /// The received message's type; [`Message::Unknown`] if it was not read that far.
    pub message: Message,
    /// What was decided.
    pub verdict: Verdict,
}

impl Outcome {
    /// Makes the outcome of a frame that gets no answer.
    #[must_use]
    pub const fn dropped(protocol: Protocol, message: Message, reason: DropReason) -> Self {
        Self { protocol, message, verdict: Verdict::Dropped(reason) }
    }
}

impl Verdict {
    /// Returns the word for what kind of a decision it is.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Replied(_) => "reply",
            Self::Noted(_) => "note",
            Self::Dropped(_) => "drop",
        }
    }

    /// Returns the label text: the reply's type, the note, or the reason.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Replied(message) => message.as_str(),
            Self::Noted(note) => note.as_str(),
            Self::Dropped(reason) => reason.as_str(),
        }
    }

    /// Says in one plain clause why it was decided; `None` for a plain reply.
    #[must_use]
    pub const fn explain(self) -> Option<&'static str> {
        match self {
            Self::Replied(_) => None,
            Self::Noted(note) => Some(note.explain()),
            Self::Dropped(reason) => Some(reason.explain()),
        }
    }
}

impl DropReason {
    /// Says in one plain clause what was wrong, to follow the label after a colon.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::TooLong => "the frame is longer than the port's MTU allows, or was cut",
            Self::TooShort => "the frame ends before its headers or its message do",
            Self::Vlan => "the frame has a VLAN tag that the port does not take, or lacks its own",
            Self::NotForUs => "it is neither DHCP nor a question about the network",
            Self::BadHeader => "a header's length or version contradicts the frame",
            Self::Fragment => "it is an IP fragment, or has IP options or extension headers",
            Self::BadChecksum => "the IPv4, UDP or ICMPv6 checksum is wrong",
            Self::SourceMac => "the sender's MAC is not the port's, or the message names another",
            Self::SourceAddress => "the sender cannot have that source address",
            Self::Destination => "nobody serves this message at that destination address",
            Self::RateLimited => "the port sent more frames than its rate limit allows",
            Self::Relayed => "it claims to come through a relay, and none stands before a VM",
            Self::BadBootpHeader => "its BOOTP header is not an Ethernet client's request",
            Self::BadOption => "an option runs past its field, stands twice, or has a wrong length",
            Self::TooManyOptions => "it has more options or nesting than a client can need",
            Self::Bootp => "it is plain BOOTP, without a DHCP message type",
            Self::UnknownMessage => "a server takes no message of this type from a client",
            Self::OtherServer => "it is addressed to another DHCP server",
            Self::ServerId => "its Server Identifier is missing, not ours, or not allowed there",
            Self::ClientId => "its Client Identifier is missing, or has an impossible length",
            Self::Invalid => "its fields or options contradict each other",
            Self::NoFamily => "the network does not have this address family",
            Self::NoAddress => "the VM holds no address of this family",
            Self::BadNeighborDiscovery => "it breaks a rule of Neighbor Discovery (RFC 4861)",
            Self::NotOurAddress => "it asks for an address that is not the gateway's or ours",
            Self::ReplyTooLong => "the reply does not fit in a frame that the client takes",
            Self::SendFailed => "there was no room to send the reply; the client asks again",
            Self::Panicked => "reading it failed inside leasehold; please report the frame",
        }
    }
}

impl Note {
    /// Says in one plain clause what was learnt, to follow the word after a colon.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Released => "the guest gave its address back; the lease stays with the VM",
            Self::Declined => "the guest found its address in use by somebody else",
            Self::Arrived => "the VM has come to this port",
            Self::Announced => "the VM announced itself where it is known to be",
            Self::ForeignServer => "the VM acts as a server or router, and is not answered",
            Self::OptionsLeftOut => "some options found no room in the reply",
            Self::Registered => "the guest registered an address of its own making",
            Self::RelayInformation => "the VM sent a relay's option 82, which was ignored",
        }
    }
}

/// Writes a closed enum's label text and its list of all variants.
macro_rules! labels {
    ($name:ident, $doc:literal, { $($variant:ident => $text:literal,)* }) => {
        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            #[doc = $doc]
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Returns the variant's place in [`Self::ALL`].
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }
        }
    };
}

labels!(Protocol, "Returns the label text.", {
    Dhcpv4 => "dhcpv4",
    Dhcpv6 => "dhcpv6",
    Nd => "nd",
    Arp => "arp",
    Other => "other",
});

labels!(Message, "Returns the label text.", {
    Discover => "discover",
    Offer => "offer",
    Request => "request",
    Decline => "decline",
    Ack => "ack",
    Nak => "nak",
    Release => "release",
    Inform => "inform",
    Bootp => "bootp",
    Solicit => "solicit",
    Advertise => "advertise",
    Confirm => "confirm",
    Renew => "renew",
    Rebind => "rebind",
    Reply => "reply",
    InformationRequest => "information-request",
    AddressRegistration => "addr-reg-inform",
    AddressRegistered => "addr-reg-reply",
    RouterSolicitation => "router-solicitation",
    RouterAdvertisement => "router-advertisement",
    NeighborSolicitation => "neighbor-solicitation",
    NeighborAdvertisement => "neighbor-advertisement",
    ArpRequest => "arp-request",
    Rarp => "rarp",
    EchoRequest => "echo-request",
    EchoReply => "echo-reply",
    Unknown => "unknown",
});

labels!(DropReason, "Returns the label text.", {
    TooLong => "too-long",
    TooShort => "too-short",
    Vlan => "vlan",
    NotForUs => "not-for-us",
    BadHeader => "bad-header",
    Fragment => "fragment",
    BadChecksum => "bad-checksum",
    SourceMac => "source-mac",
    SourceAddress => "source-address",
    Destination => "destination",
    RateLimited => "rate-limited",
    Relayed => "relayed",
    BadBootpHeader => "bad-bootp-header",
    BadOption => "bad-option",
    TooManyOptions => "too-many-options",
    Bootp => "bootp",
    UnknownMessage => "unknown-message",
    OtherServer => "other-server",
    ServerId => "server-id",
    ClientId => "client-id",
    Invalid => "invalid",
    NoFamily => "no-family",
    NoAddress => "no-address",
    BadNeighborDiscovery => "bad-neighbor-discovery",
    NotOurAddress => "not-our-address",
    ReplyTooLong => "reply-too-long",
    SendFailed => "send-failed",
    Panicked => "panicked",
});

labels!(Note, "Returns the word that listings use.", {
    Released => "released",
    Declined => "declined",
    Arrived => "arrived",
    Announced => "announced",
    ForeignServer => "foreign-server",
    OptionsLeftOut => "options-left-out",
    RelayInformation => "relay-information",
    Registered => "registered",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_place_in_all() {
        for (place, message) in Message::ALL.iter().enumerate() {
            assert_eq!(message.index(), place);
        }
        for (place, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), place);
        }
        for (place, protocol) in Protocol::ALL.iter().enumerate() {
            assert_eq!(protocol.index(), place);
        }
    }
}
