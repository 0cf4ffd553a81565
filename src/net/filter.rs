//! The filters in front of the ports' sockets: constant classic BPF programs.
//!
//! They are the same whatever a port's MTU or template, so they can be locked before the socket is
//! bound. They only keep the VM's other traffic away; what passes is checked again, and counted, by
//! the responder.
//!
//! There are two, of one text: a port whose network has `answer-ping` takes echo requests too, and
//! no other port does. A filter knows no gateway, so it passes whatever the guest pings: each of
//! these frames wakes the port's task, is counted, and costs the port's bucket, which is the
//! guest's own. Only who asks for pings to be answered pays for that. A filter cannot change behind
//! its lock: a reload that changes `answer-ping` has the port served anew, on another socket. Offsets are those of a frame from the destination MAC on: the kernel takes a VLAN
//! tag out before the filter runs, so a second tag shows as the EtherType and is refused.
//!
//! RFC 826, 903, 791, 768, 8200, 4861, 2131, 9915.

use socket2::SockFilter;

/// The longest frame that passes, in bytes: a guest with segmentation offload can send 64 KiB.
pub(super) const FRAME_MAX: u32 = 2_048;

/// What passes a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// DHCPv4, DHCPv6, Neighbor Discovery, ARP and RARP.
    Configuration,
    /// The same, and echo requests of both families.
    ConfigurationAndEcho,
}

impl Filter {
    /// Returns the program as the kernel wants it.
    #[must_use]
    pub fn program(self) -> Vec<SockFilter> {
        let socket_filter =
            |step: &Instruction| SockFilter::new(step.code, step.yes, step.no, step.value);
        self.instructions().iter().map(socket_filter).collect()
    }

    const fn instructions(self) -> &'static [Instruction; LENGTH] {
        match self {
            Self::Configuration => &CONFIGURATION,
            Self::ConfigurationAndEcho => &CONFIGURATION_AND_ECHO,
        }
    }
}

/// One instruction; `yes` and `no` are how many instructions a test skips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u16,
    yes: u8,
    no: u8,
    value: u32,
}

/// Takes the whole length of the frame.
const fn load_length() -> Instruction {
    plain(LD_LENGTH, 0)
}

/// Takes the byte at `offset`; past the end of the frame the program ends and refuses.
const fn load_byte(offset: u32) -> Instruction {
    plain(LD_BYTE, offset)
}

/// Takes the 16-bit number at `offset`.
const fn load_half(offset: u32) -> Instruction {
    plain(LD_HALF, offset)
}

/// Takes the 16-bit number at `offset` plus the length of the IPv4 header.
const fn load_half_after_header(offset: u32) -> Instruction {
    plain(LD_HALF_INDEXED, offset)
}

/// Takes the byte at `offset` plus the length of the IPv4 header.
const fn load_byte_after_header(offset: u32) -> Instruction {
    plain(LD_BYTE_INDEXED, offset)
}

/// Keeps four times the low half of the byte at `offset`: the length of the IPv4 header.
const fn keep_header_length(offset: u32) -> Instruction {
    plain(LDX_HEADER_LENGTH, offset)
}

/// Ends the program with `verdict`.
const fn end(verdict: u32) -> Instruction {
    plain(RET, verdict)
}

const fn plain(code: u16, value: u32) -> Instruction {
    Instruction { code, yes: 0, no: 0, value }
}

/// Goes on at one of two places of [`steps`], until [`assemble`] makes distances of them.
const fn test(code: u16, value: u32, yes: u8, no: u8) -> Instruction {
    Instruction { code, yes, no, value }
}

/// Turns the targets of all tests into distances; a jump backwards does not compile.
const fn assemble(mut steps: [Instruction; LENGTH]) -> [Instruction; LENGTH] {
    let mut index = 0;
    let mut next = 1_u8;
    while index < LENGTH {
        if steps[index].code & CLASS == JMP {
            steps[index].yes -= next;
            steps[index].no -= next;
        }
        index += 1;
        next += 1;
    }
    steps
}

const CONFIGURATION: [Instruction; LENGTH] = assemble(steps(REFUSE));
const CONFIGURATION_AND_ECHO: [Instruction; LENGTH] = assemble(steps(ACCEPT));

/// Returns the program, with the place of each instruction as target of the tests before it; echo
/// requests go on at `echo`.
const fn steps(echo: u8) -> [Instruction; LENGTH] {
    [
        load_length(),
        test(GREATER, FRAME_MAX, REFUSE, 2),
        load_half(ETHERTYPE_AT),
        test(EQUAL, ETHERTYPE_ARP, ACCEPT, 4),
        test(EQUAL, ETHERTYPE_RARP, ACCEPT, 5),
        test(EQUAL, ETHERTYPE_IPV4, IPV4, 6),
        test(EQUAL, ETHERTYPE_IPV6, IPV6, REFUSE),
        // 7, IPv4. A first fragment passes, to be counted; later ones carry no ports.
        load_byte(IPV4_PROTOCOL_AT),
        test(EQUAL, UDP, 9, 15),
        load_half(IPV4_FRAGMENT_AT),
        test(ANY_BIT, IPV4_FRAGMENT_OFFSET, REFUSE, 11),
        keep_header_length(IPV4_AT),
        load_half_after_header(IPV4_AT + UDP_DESTINATION),
        test(EQUAL, DHCPV4_SERVER, ACCEPT, 14),
        test(EQUAL, DHCPV4_CLIENT, ACCEPT, REFUSE),
        // 15, ICMP.
        test(EQUAL, ICMP, 16, REFUSE),
        load_half(IPV4_FRAGMENT_AT),
        test(ANY_BIT, IPV4_FRAGMENT_OFFSET, REFUSE, 18),
        keep_header_length(IPV4_AT),
        load_byte_after_header(IPV4_AT),
        test(EQUAL, ECHO_REQUEST_IPV4, echo, REFUSE),
        // 21, IPv6. No extension header: neither DHCPv6 nor Neighbor Discovery has one.
        load_byte(IPV6_NEXT_HEADER_AT),
        test(EQUAL, UDP, 24, 23),
        test(EQUAL, ICMPV6, 27, REFUSE),
        load_half(IPV6_PAYLOAD_AT + UDP_DESTINATION),
        test(EQUAL, DHCPV6_SERVER, ACCEPT, 26),
        test(EQUAL, DHCPV6_CLIENT, ACCEPT, REFUSE),
        // 27, ICMPv6: the first and the last of the four Neighbor Discovery types.
        load_byte(IPV6_PAYLOAD_AT),
        test(AT_LEAST, ROUTER_SOLICITATION, 29, 30),
        test(GREATER, NEIGHBOR_ADVERTISEMENT, REFUSE, ACCEPT),
        test(EQUAL, ECHO_REQUEST_IPV6, echo, REFUSE),
        end(WHOLE_FRAME),
        end(NOTHING),
    ]
}

const LENGTH: usize = 33;
const IPV4: u8 = 7;
const IPV6: u8 = 21;
const ACCEPT: u8 = 31;
const REFUSE: u8 = 32;

/// How much of the frame the socket gets.
const WHOLE_FRAME: u32 = u32::MAX;
const NOTHING: u32 = 0;

const ETHERTYPE_AT: u32 = 12;
const IPV4_AT: u32 = 14;
const IPV4_FRAGMENT_AT: u32 = IPV4_AT + 6;
const IPV4_PROTOCOL_AT: u32 = IPV4_AT + 9;
const IPV4_FRAGMENT_OFFSET: u32 = 0x1fff;
const IPV6_NEXT_HEADER_AT: u32 = 14 + 6;
const IPV6_PAYLOAD_AT: u32 = 14 + 40;
const UDP_DESTINATION: u32 = 2;

const ETHERTYPE_IPV4: u32 = 0x0800;
const ETHERTYPE_ARP: u32 = 0x0806;
const ETHERTYPE_RARP: u32 = 0x8035;
const ETHERTYPE_IPV6: u32 = 0x86dd;
const UDP: u32 = 17;
const ICMP: u32 = 1;
const ICMPV6: u32 = 58;
const DHCPV4_SERVER: u32 = 67;
const DHCPV4_CLIENT: u32 = 68;
const DHCPV6_CLIENT: u32 = 546;
const DHCPV6_SERVER: u32 = 547;
const ROUTER_SOLICITATION: u32 = 133;
const NEIGHBOR_ADVERTISEMENT: u32 = 136;
const ECHO_REQUEST_IPV4: u32 = 8;
const ECHO_REQUEST_IPV6: u32 = 128;

// Instruction codes of linux/bpf_common.h: class, size and mode, or operation, in one number.
const CLASS: u16 = 0x07;
const JMP: u16 = 0x05;
const LD_LENGTH: u16 = 0x80;
const LD_BYTE: u16 = 0x30;
const LD_HALF: u16 = 0x28;
const LD_BYTE_INDEXED: u16 = 0x50;
const LD_HALF_INDEXED: u16 = 0x48;
const LDX_HEADER_LENGTH: u16 = 0xb1;
const EQUAL: u16 = 0x15;
const GREATER: u16 = 0x25;
const AT_LEAST: u16 = 0x35;
const ANY_BIT: u16 = 0x45;
const RET: u16 = 0x06;

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERS: [Filter; 2] = [Filter::Configuration, Filter::ConfigurationAndEcho];

    /// Runs both programs over a frame that they must agree about.
    fn passes(frame: &[u8]) -> bool {
        let [passes, other] = FILTERS.map(|filter| passes_one(filter, frame));
        assert_eq!(passes, other);
        passes
    }

    fn passes_one(filter: Filter, frame: &[u8]) -> bool {
        run(filter, frame, u32::try_from(frame.len()).unwrap()) == WHOLE_FRAME
    }

    /// Runs a program over a frame as the kernel does.
    fn run(filter: Filter, frame: &[u8], length: u32) -> u32 {
        let byte = |at: u32| frame.get(at as usize).copied().map(u32::from);
        let half = |at: u32| Some(byte(at)? << 8 | byte(at + 1)?);
        let (mut accumulator, mut index, mut at) = (0_u32, 0_u32, 0_usize);
        loop {
            let Instruction { code, yes, no, value } = filter.instructions()[at];
            at += 1;
            let loaded = match code {
                RET => return value,
                LD_LENGTH => Some(length),
                LD_BYTE => byte(value),
                LD_HALF => half(value),
                LD_BYTE_INDEXED => byte(value + index),
                LD_HALF_INDEXED => half(value + index),
                LDX_HEADER_LENGTH => match byte(value) {
                    Some(first) => {
                        index = 4 * (first & 0xf);
                        Some(accumulator)
                    }
                    None => None,
                },
                EQUAL | GREATER | AT_LEAST | ANY_BIT => {
                    let holds = match code {
                        EQUAL => accumulator == value,
                        GREATER => accumulator > value,
                        AT_LEAST => accumulator >= value,
                        _ => accumulator & value != 0,
                    };
                    at += usize::from(if holds { yes } else { no });
                    Some(accumulator)
                }
                other => panic!("unknown instruction {other:#x}"),
            };
            match loaded {
                Some(loaded) => accumulator = loaded,
                None => return NOTHING,
            }
        }
    }

    fn ethernet(ethertype: u16, body: &[u8]) -> Vec<u8> {
        [&[0xff; 6][..], &[2, 0, 0, 0, 0, 1], &ethertype.to_be_bytes(), body].concat()
    }

    fn ports(source: u16, destination: u16) -> Vec<u8> {
        [&source.to_be_bytes()[..], &destination.to_be_bytes(), &[0, 8, 0, 0]].concat()
    }

    /// An IPv4 header with `words` 32-bit words, then `body`.
    fn ipv4(words: u8, fragment: u16, protocol: u8, body: &[u8]) -> Vec<u8> {
        let mut header = vec![0; usize::from(words) * 4];
        header[0] = 0x40 | words;
        header[6..8].copy_from_slice(&fragment.to_be_bytes());
        header[9] = protocol;
        ethernet(0x0800, &[&header, body].concat())
    }

    fn ipv6(next_header: u8, body: &[u8]) -> Vec<u8> {
        let mut header = [0; 40];
        header[0] = 0x60;
        header[6] = next_header;
        ethernet(0x86dd, &[&header[..], body].concat())
    }

    #[test]
    fn every_jump_stays_inside_the_program() {
        for filter in FILTERS {
            let steps = filter.instructions().iter().enumerate();
            for (at, step) in steps.filter(|(_, step)| step.code & CLASS == JMP) {
                assert!(at + 1 + usize::from(step.yes.max(step.no)) < LENGTH, "{at}");
            }
        }
    }

    #[test]
    fn dhcpv4_to_a_server_and_to_a_client_passes() {
        assert!(passes(&ipv4(5, 0, 17, &ports(68, 67))));
        assert!(passes(&ipv4(5, 0, 17, &ports(67, 67))));
        assert!(passes(&ipv4(5, 0, 17, &ports(67, 68))));
        // Clients do not look at a server's source port.
        assert!(passes(&ipv4(5, 0, 17, &ports(1067, 68))));
        assert!(!passes(&ipv4(5, 0, 17, &ports(67, 53))));
        assert!(!passes(&ipv4(5, 0, 6, &ports(68, 67))));
    }

    #[test]
    fn ports_are_found_behind_ipv4_options() {
        assert!(passes(&ipv4(15, 0, 17, &ports(68, 67))));
        assert!(!passes(&ipv4(6, 0, 17, &ports(67, 0))));
    }

    #[test]
    fn only_the_first_ipv4_fragment_passes() {
        let (dont, more) = (0x4000, 0x2000);
        assert!(passes(&ipv4(5, dont, 17, &ports(68, 67))));
        assert!(passes(&ipv4(5, more, 17, &ports(68, 67))));
        assert!(!passes(&ipv4(5, 1, 17, &ports(68, 67))));
        assert!(!passes(&ipv4(5, more | 0x1fff, 17, &ports(68, 67))));
    }

    #[test]
    fn dhcpv6_to_a_server_and_to_a_client_passes() {
        assert!(passes(&ipv6(17, &ports(546, 547))));
        assert!(passes(&ipv6(17, &ports(1, 547))));
        assert!(passes(&ipv6(17, &ports(547, 546))));
        assert!(passes(&ipv6(17, &ports(1547, 546))));
        assert!(!passes(&ipv6(17, &ports(547, 53))));
        assert!(!passes(&ipv6(6, &ports(546, 547))));
    }

    #[test]
    fn the_four_neighbor_discovery_types_pass() {
        for kind in 0..=u8::MAX {
            let frame = ipv6(58, &[kind]);
            let neighbor_discovery = (133..=136).contains(&kind);
            assert_eq!(passes_one(Filter::Configuration, &frame), neighbor_discovery, "{kind}");
            let passes = passes_one(Filter::ConfigurationAndEcho, &frame);
            assert_eq!(passes, neighbor_discovery || kind == 128, "{kind}");
        }
    }

    #[test]
    fn echo_requests_pass_where_they_are_wanted() {
        for kind in 0..=u8::MAX {
            for words in [5, 15] {
                let frame = ipv4(words, 0x2000, 1, &[kind, 0]);
                assert!(!passes_one(Filter::Configuration, &frame), "{kind}");
                assert_eq!(passes_one(Filter::ConfigurationAndEcho, &frame), kind == 8, "{kind}");
            }
        }
        assert!(!passes(&ipv4(5, 1, 1, &[8, 0])));
        assert!(!passes(&ipv4(5, 0, 1, &[])));
        assert!(!passes(&ipv4(5, 0, 2, &[8, 0])));
    }

    #[test]
    fn extension_headers_do_not_pass() {
        for next_header in [0, 43, 44, 50, 51, 60] {
            assert!(!passes(&ipv6(next_header, &ports(546, 547))), "{next_header}");
        }
    }

    #[test]
    fn arp_and_rarp_pass_and_other_ethertypes_do_not() {
        assert!(passes(&ethernet(0x0806, &[])));
        assert!(passes(&ethernet(0x8035, &[])));
        for ethertype in [0x8100, 0x88a8, 0x88cc, 0x0060] {
            assert!(!passes(&ethernet(ethertype, &[0; 60])), "{ethertype:#x}");
        }
    }

    #[test]
    fn the_longest_frame_passes_and_one_byte_more_does_not() {
        let frame = ipv4(5, 0, 17, &ports(68, 67));
        for filter in FILTERS {
            assert_eq!(run(filter, &frame, FRAME_MAX), WHOLE_FRAME);
            assert_eq!(run(filter, &frame, FRAME_MAX + 1), NOTHING);
        }
    }

    #[test]
    fn a_frame_that_ends_too_early_does_not_pass() {
        for frame in [ipv4(5, 0, 17, &ports(68, 67)), ipv6(17, &ports(546, 547))] {
            let ports_end = frame.len() - 4;
            for length in 0..ports_end {
                assert!(!passes(&frame[..length]), "{length}");
            }
            assert!(passes(&frame[..ports_end]));
        }
    }
}
