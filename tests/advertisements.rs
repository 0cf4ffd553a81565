//! Router advertisements over a port's life: what the guest is told, and when, as the network's
//! file changes. Time is stepped, and every frame is read back from its bytes.

use std::fs;
use std::net::Ipv6Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leasehold::binding::{Binding, PortFacts};
use leasehold::config;
use leasehold::lease::{LeaseKey, LeaseTable, NicName, Occasion};
use leasehold::responder::{PortResponder, RateLimit};
use leasehold::time::{Mono, Wall};
use leasehold::wire::{Frame, Mac, Outbox};

const START: Mono = Mono::from_millis(1_000_000);
const GUEST: Mac = Mac([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
const GATEWAY: Mac = Mac([0x0a, 0x58, 0x0a, 0x14, 0x00, 0x01]);

/// One advertisement, as it stood on the wire.
#[derive(Debug, PartialEq, Eq)]
struct Advertised {
    from: Ipv6Addr,
    router_lifetime: u16,
    /// Flags, valid and preferred lifetime, and network of each prefix.
    prefixes: Vec<(u8, u32, u32, Ipv6Addr)>,
}

/// A port whose network's file changes.
struct Port {
    responder: PortResponder,
    outbox: Outbox,
    now: Mono,
}

impl Port {
    fn new(network: &str) -> Self {
        Self::with_mac(network, Some(GUEST))
    }

    fn with_mac(network: &str, mac: Option<Mac>) -> Self {
        let mut responder = PortResponder::new(binding(network, mac), unlimited(), START, 7);
        // What a guest that has just come is told beside is another matter.
        responder.settle_guest(START);
        Self { responder, outbox: Outbox::new(4), now: START }
    }

    fn reload(&mut self, network: &str) {
        self.responder.rebind(self.now, binding(network, Some(GUEST)), unlimited());
    }

    /// Has the link come up and the guest speak behind it, of whose arrival nobody is told here.
    fn come_up(&mut self) {
        self.responder.link_up(self.now);
        self.responder.settle_guest(self.now);
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now.after(Duration::from_secs(seconds));
        self
    }

    /// Sends all that is due within `seconds`; returns when, from `now` on, and what.
    fn due_within(&mut self, seconds: u64) -> Vec<(u64, Advertised)> {
        let (start, end) = (self.now, self.now.after(Duration::from_secs(seconds)));
        let mut sent = Vec::new();
        while let Some(next) = self.responder.next_deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.outbox.clear();
            if self.responder.handle_deadline(self.now, &mut self.outbox) {
                let frames: Vec<&[u8]> = self.outbox.frames().collect();
                let [frame] = frames[..] else { panic!("{} frames", frames.len()) };
                sent.push((self.now.since(start).as_secs(), read(frame)));
            }
        }
        self.now = end;
        sent
    }

    /// Has the guest ask; `None`: it is not answered.
    fn solicit(&mut self) -> Option<Advertised> {
        let bytes = solicitation();
        let frame = Frame { bytes: &bytes, vlan: None, checksum_pending: true, truncated: false };
        self.outbox.clear();
        self.responder.handle_frame(self.now, &frame, &mut self.outbox);
        self.outbox.frames().next().map(read)
    }
}

fn unlimited() -> RateLimit {
    RateLimit { frames_per_second: 0, burst: 0 }
}

/// Makes the binding of the network's only VM, as a daemon that read this file would.
fn binding(network: &str, mac: Option<Mac>) -> Arc<Binding> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    write(
        "networks.d/blue.toml",
        &format!(
            "name = \"blue\"\n[gateway]\nmac = \"{GATEWAY}\"\n\
             [ipv4]\nsubnet = \"10.20.0.0/16\"\ngateway = \"10.20.0.1\"\n\
             [[vm]]\nid = \"demo/web-1\"\nipv4 = \"10.20.0.10\"\n{network}"
        ),
    );
    let file = write("leasehold.toml", "[deployment]\nname = \"test\"\n");
    let config = config::load(&file)
        .unwrap_or_else(|errors| panic!("{}", errors.render(config::Colors::Off)));
    let network = &config.networks[0];
    let key = LeaseKey {
        network: network.name.clone(),
        vm: "demo/web-1".parse().unwrap(),
        nic: NicName::default(),
    };
    let (mut table, _) = LeaseTable::load(Vec::new());
    let lease = table.assign(network, &key, Occasion { node: "node-a", wall: Wall(0) }).lease;
    let parameters = network.parameters(&lease, config.server_duid);
    Arc::new(Binding::new(
        key,
        &PortFacts { mac, trunk_vlan: None, mtu: 1_500, is_macvtap: false },
        &parameters,
    ))
}

/// A Router Solicitation from fe80::5, without options.
fn solicitation() -> Vec<u8> {
    let source: Ipv6Addr = "fe80::5".parse().unwrap();
    let destination: Ipv6Addr = "ff02::2".parse().unwrap();
    [
        &[0x33, 0x33, 0, 0, 0, 2][..],
        &GUEST.0,
        &[0x86, 0xdd, 0x60, 0, 0, 0, 0, 8, 58, 255],
        &source.octets(),
        &destination.octets(),
        &[133, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat()
}

fn read(frame: &[u8]) -> Advertised {
    assert_eq!((&frame[..6], &frame[6..12]), (&GUEST.0[..], &GATEWAY.0[..]));
    assert_eq!((&frame[12..14], frame[20], frame[21]), (&[0x86, 0xdd][..], 58, 255));
    let address = |bytes: &[u8]| Ipv6Addr::from(<[u8; 16]>::try_from(bytes).unwrap());
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let message = &frame[54..];
    assert_eq!(message[..2], [134, 0]);
    let mut prefixes = Vec::new();
    let mut rest = &message[16..];
    while !rest.is_empty() {
        let (option, tail) = rest.split_at(usize::from(rest[1]) * 8);
        if option[0] == 3 {
            let (valid, preferred) = (number(&option[4..8]), number(&option[8..12]));
            prefixes.push((option[3], valid, preferred, address(&option[16..32])));
        }
        rest = tail;
    }
    Advertised {
        from: address(&frame[22..38]),
        router_lifetime: u16::from_be_bytes([message[6], message[7]]),
        prefixes,
    }
}

fn ipv6(subnet: &str, gateway: &str, more: &str) -> String {
    format!("[ipv6]\nsubnet = \"{subnet}\"\ngateway = \"{gateway}\"\n{more}")
}

fn address(text: &str) -> Ipv6Addr {
    text.parse().unwrap()
}

/// What is said of a prefix that guests make addresses from, and of one that they are to forget.
fn current(prefix: &str) -> (u8, u32, u32, Ipv6Addr) {
    (0xc0, 7_200, 3_600, address(prefix))
}

fn forgotten(prefix: &str) -> (u8, u32, u32, Ipv6Addr) {
    (0xc0, 0, 0, address(prefix))
}

const ONE: &str = "2001:db8:1::/64";
const TWO: &str = "2001:db8:2::/64";

#[test]
fn a_new_port_gets_three_16_s_apart_and_then_one_an_interval() {
    let mut port = Port::new(&ipv6(ONE, "fe80::1", ""));
    let sent = port.due_within(10 * 600);
    let times: Vec<u64> = sent.iter().map(|(time, _)| *time).collect();
    assert_eq!(times[..3], [0, 16, 32]);
    let gaps: Vec<u64> = times[2..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() >= 9 && gaps.iter().all(|gap| (199..=600).contains(gap)), "{gaps:?}");
    let expected = Advertised {
        from: address("fe80::1"),
        router_lifetime: 1_800,
        prefixes: vec![current("2001:db8:1::")],
    };
    assert!(sent.iter().all(|(_, advertised)| *advertised == expected), "{sent:?}");
}

#[test]
fn a_changed_prefix_is_advertised_with_lifetimes_0_until_no_guest_can_hold_it() {
    let mut port = Port::new(&ipv6(ONE, "fe80::1", ""));
    port.due_within(3_600);
    port.reload(&ipv6(TWO, "fe80::1", ""));
    let both = vec![current("2001:db8:2::"), forgotten("2001:db8:1::")];
    // Told at once, three times, to a guest that asks, and from then on.
    let sent = port.due_within(7_199);
    assert_eq!(sent.iter().take(3).map(|(time, _)| *time).collect::<Vec<_>>(), [0, 16, 32]);
    assert!(sent.len() > 10);
    assert!(sent.iter().all(|(_, advertised)| advertised.prefixes == both), "{sent:?}");
    assert_eq!(port.solicit().unwrap().prefixes, both);
    // After the old valid lifetime it is over.
    assert_eq!(port.after(1).solicit().unwrap().prefixes, both[..1]);
    let later = port.due_within(1_200);
    assert!(!later.is_empty());
    assert!(later.iter().all(|(_, advertised)| advertised.prefixes == both[..1]), "{later:?}");
}

#[test]
fn from_slaac_to_dhcpv6_the_prefix_stays_and_the_guests_own_addresses_end() {
    let mut port = Port::new(&ipv6(ONE, "fe80::1", ""));
    port.reload(&ipv6(ONE, "fe80::1", "mode = \"stateful\"\n"));
    let on_link = (0x80, 7_200, 3_600, address("2001:db8:1::"));
    let no_longer_autonomous = (0x40, 0, 0, address("2001:db8:1::"));
    assert_eq!(port.solicit().unwrap().prefixes, [on_link, no_longer_autonomous]);
}

#[test]
fn a_prefix_that_comes_back_is_no_longer_withdrawn() {
    let mut port = Port::new(&ipv6(ONE, "fe80::1", ""));
    port.reload(&ipv6(TWO, "fe80::1", ""));
    port.reload(&ipv6(ONE, "fe80::1", ""));
    let expected = [current("2001:db8:1::"), forgotten("2001:db8:2::")];
    assert_eq!(port.solicit().unwrap().prefixes, expected);
}

#[test]
fn another_gateway_makes_the_old_one_withdraw_itself_three_times() {
    let mut port = Port::new(&ipv6(ONE, "fe80::1", ""));
    port.due_within(3_600);
    port.reload(&ipv6(ONE, "fe80::2", ""));
    let sent = port.due_within(199);
    let old: Vec<_> = sent.iter().filter(|(_, one)| one.from == address("fe80::1")).collect();
    let last = Advertised { from: address("fe80::1"), router_lifetime: 0, prefixes: Vec::new() };
    assert_eq!(old.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [0, 16, 32]);
    assert!(old.iter().all(|(_, advertised)| *advertised == last), "{old:?}");
    let new: Vec<_> = sent.iter().filter(|(_, one)| one.from == address("fe80::2")).collect();
    assert_eq!(new.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [0, 16, 32]);
    assert!(new.iter().all(|(_, advertised)| advertised.router_lifetime == 1_800), "{new:?}");
}

#[test]
fn the_old_router_is_not_withdrawn_before_the_new_one_may_be_advertised() {
    let mut port = Port::new(&ipv6(ONE, "fe80::1", ""));
    assert_eq!(port.due_within(1).len(), 1);
    port.reload(&ipv6(ONE, "fe80::2", ""));
    let sent = port.due_within(10);
    let sent: Vec<_> = sent.iter().map(|(time, one)| (*time, one.from)).collect();
    assert_eq!(sent, [(2, address("fe80::2")), (2, address("fe80::1"))]);
}

#[test]
fn without_ipv6_router_and_prefixes_are_withdrawn_and_then_there_is_silence() {
    let mut port = Port::new(&ipv6(ONE, "fe80::1", ""));
    port.due_within(3_600);
    port.reload("");
    let last = || Advertised {
        from: address("fe80::1"),
        router_lifetime: 0,
        prefixes: vec![forgotten("2001:db8:1::")],
    };
    assert_eq!(port.due_within(86_400), [(0, last()), (16, last()), (32, last())]);
    assert_eq!(port.solicit(), None);
    assert_eq!(port.responder.next_deadline(), None);
}

#[test]
fn a_router_lifetime_of_0_is_told_by_the_router_itself() {
    let mut port = Port::new(&ipv6(ONE, "fe80::1", ""));
    port.due_within(3_600);
    port.reload(&ipv6(ONE, "fe80::1", "[ipv6.ra]\nrouter-lifetime = \"0s\"\n"));
    let sent = port.due_within(100);
    assert_eq!(sent.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [0, 16, 32]);
    assert!(sent.iter().all(|(_, one)| one.router_lifetime == 0), "{sent:?}");
    assert!(sent.iter().all(|(_, one)| one.from == address("fe80::1")), "{sent:?}");
}

#[test]
fn a_reload_that_changes_nothing_for_the_guest_says_nothing() {
    let mut port = Port::new(&ipv6(ONE, "fe80::1", ""));
    port.due_within(40);
    let next = port.responder.next_deadline();
    port.reload(&ipv6(ONE, "fe80::1", "rapid-commit = true\n"));
    assert_eq!(port.responder.next_deadline(), next);
}

#[test]
fn two_of_one_router_are_never_within_3_s_whatever_happens() {
    let mut port = Port::new(&ipv6(ONE, "fe80::1", ""));
    let mut times = Vec::new();
    for round in 0..40_u64 {
        // Link up and changes of the template, closer together than three seconds.
        if round % 2 == 0 {
            port.come_up();
        } else {
            let subnet = if round % 4 == 1 { TWO } else { ONE };
            port.reload(&ipv6(subnet, "fe80::1", ""));
        }
        let offset = port.now.since(START).as_secs();
        times.extend(port.due_within(1 + round % 3).iter().map(|(time, _)| offset + time));
    }
    assert!(times.len() > 10, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 3), "{times:?}");
}

#[test]
fn a_guest_that_is_elsewhere_hears_of_a_change_when_it_is_back() {
    let mut port = Port::new(&ipv6(ONE, "fe80::1", ""));
    port.due_within(3_600);
    port.responder.guest_left();
    port.reload(&ipv6(TWO, "fe80::2", ""));
    assert_eq!(port.due_within(3_600), []);
    port.responder.settle_guest(port.now);
    let both = vec![current("2001:db8:2::"), forgotten("2001:db8:1::")];
    let sent = port.due_within(40);
    let new: Vec<_> = sent.iter().filter(|(_, one)| one.from == address("fe80::2")).collect();
    assert_eq!(new.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [0, 16, 32]);
    assert!(new.iter().all(|(_, one)| one.prefixes == both && one.router_lifetime == 1_800));
    let old: Vec<_> = sent.iter().filter(|(_, one)| one.from == address("fe80::1")).collect();
    assert_eq!(old.iter().map(|(time, _)| *time).collect::<Vec<_>>(), [0, 16, 32]);
    assert!(old.iter().all(|(_, one)| one.router_lifetime == 0));
    // The new router first: the guest always has one.
    assert_eq!((sent[0].1.from, sent[1].1.from), (address("fe80::2"), address("fe80::1")));
}

#[test]
fn without_a_known_mac_the_last_one_that_spoke_is_told_and_nobody_before_that() {
    let mut port = Port::with_mac(&ipv6(ONE, "fe80::1", ""), None);
    assert_eq!(port.due_within(3_600), []);
    assert!(port.solicit().is_some());
    let sent = port.due_within(1_200);
    assert!(!sent.is_empty() && sent.iter().all(|(_, one)| one.from == address("fe80::1")));
}
