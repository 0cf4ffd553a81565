//! What a VM finds that has moved to another node: the same server, and a port that tells it so.

mod common;

use std::fs;
use std::time::Duration;

use common::{Templates, fixtures, parse_hex};
use leasehold::arrival::Subject;
use leasehold::binding::{Binding, PortFacts};
use leasehold::config;
use leasehold::lease::{LeaseChange, LeaseKey, LeaseTable, NicName, Occasion};
use leasehold::outcome::{Note, Verdict};
use leasehold::responder::{PortResponder, RateLimit, Turn};
use leasehold::time::{Mono, Wall};
use leasehold::wire::{Frame, Mac, Outbox};
use tempfile::TempDir;

const GUEST: Mac = Mac([0x52, 0x54, 0x00, 0x12, 0x34, 0x56]);
const SILENCE: [u64; 0] = [];
const START: Mono = Mono::from_millis(1_000_000);

struct Port {
    responder: PortResponder,
    outbox: Outbox,
}

impl Port {
    fn new(mac: Option<Mac>) -> Self {
        let facts = PortFacts { mac, trunk_vlan: None, mtu: 1_500, is_macvtap: false };
        let binding = Templates::load().binding("migration", "demo/web-1", &facts);
        let limit = RateLimit { frames_per_second: 0, burst: 0 };
        let responder = PortResponder::new(binding, limit, START, 1);
        Self { responder, outbox: Outbox::new(16) }
    }

    /// Gives the port the first frame of a recorded case.
    fn hear(&mut self, now: Mono, case: &str) -> Turn {
        let file = fixtures().join(case).join("01-in.hex");
        let bytes = parse_hex(&fs::read_to_string(file).unwrap());
        let frame = Frame { bytes: &bytes, vlan: None, checksum_pending: false, truncated: false };
        self.outbox.clear();
        self.responder.handle_frame(now, &frame, &mut self.outbox)
    }

    /// Returns the seconds in which a router advertisement goes out unasked, be it an arrival's or
    /// the schedule's, up to `end`, as the port's task has it.
    fn advertised(&mut self, (start, end): (u64, u64)) -> Vec<u64> {
        let mut times = Vec::new();
        while let Some(next) = self.responder.next_deadline().filter(|next| *next <= seconds(end)) {
            let now = next.max(seconds(start));
            self.outbox.clear();
            self.responder.handle_arrival(now, &mut self.outbox);
            self.responder.handle_deadline(now, &mut self.outbox);
            // ICMPv6, router advertisement, from the router that is not retired.
            let is_ours = |frame: &&[u8]| {
                frame[12..14] == [0x86, 0xdd]
                    && (frame[20], frame[54]) == (58, 134)
                    && frame[37] == 1
            };
            let ours = self.outbox.frames().filter(is_ours).count();
            assert!(self.outbox.frames().all(|frame| frame[..6] == GUEST.0));
            times.extend((0..ours).map(|_| now.since(START).as_secs()));
        }
        times
    }

    /// Returns how many announcements are sent by `now`; all go to the guest's MAC.
    fn told(&mut self, now: Mono) -> usize {
        self.outbox.clear();
        let told = self.responder.handle_arrival(now, &mut self.outbox);
        assert_eq!(told, self.outbox.len());
        assert!(self.outbox.frames().all(|frame| frame[..6] == GUEST.0));
        told
    }
}

fn seconds(seconds: u64) -> Mono {
    START.after(Duration::from_secs(seconds))
}

#[test]
fn announcements_go_to_the_guests_mac_where_the_port_knows_none_clause_d4() {
    let mut port = Port::new(None);
    assert_eq!(port.told(START), 0);
    assert!(port.hear(START, "dhcpv4/discover").arrived);
    assert_eq!(port.told(START), 8);
    assert_eq!(port.told(START), 0);
}

#[test]
fn a_reply_stands_alone_in_its_outbox_and_the_announcements_follow_clause_e1() {
    let mut port = Port::new(Some(GUEST));
    let turn = port.hear(START, "nd/rs-stateful");
    assert!(turn.arrived && matches!(turn.outcome.verdict, Verdict::Replied(_)));
    assert_eq!(port.outbox.len(), 1);
    assert_eq!(port.responder.arrival_due(START), Some(Subject::Announcements));
}

#[test]
fn a_guest_that_leaves_is_told_nothing_more_and_arrives_when_it_is_back_clause_d3() {
    let mut port = Port::new(Some(GUEST));
    port.hear(START, "arp/rarp");
    assert_eq!(port.told(START), 8);
    port.responder.guest_left();
    assert_eq!(port.told(seconds(1)), 0);
    assert_eq!(port.told(seconds(7)), 0);
    // The migration is aborted: the guest speaks here again.
    assert!(port.hear(seconds(8), "dhcpv4/request-renewing").arrived);
    assert_eq!(port.told(seconds(8)), 8);
}

#[test]
fn a_guest_behind_a_link_that_came_up_arrives_clause_d3() {
    let mut port = Port::new(Some(GUEST));
    assert!(port.hear(START, "dhcpv4/discover").arrived);
    assert!(!port.hear(seconds(60), "dhcpv4/discover").arrived);
    port.responder.link_up(seconds(61));
    assert!(port.hear(seconds(62), "dhcpv4/discover").arrived);
}

#[test]
fn after_a_restart_a_known_guest_arrives_by_an_announcement_alone_clause_d3() {
    let mut port = Port::new(Some(GUEST));
    port.responder.settle_guest(START);
    assert!(!port.hear(START, "dhcpv4/discover").arrived);
    assert_eq!(port.responder.handle_arrival(START, &mut Outbox::new(16)), 0);
    let turn = port.hear(seconds(1), "arp/rarp");
    assert!(turn.arrived);
    assert_eq!(turn.outcome.verdict, Verdict::Noted(Note::Arrived));
}

#[test]
fn a_port_whose_guest_is_not_there_gets_no_router_advertisement_clause_c3() {
    let mut port = Port::new(Some(GUEST));
    assert_eq!(port.advertised((0, 3_600)), SILENCE);
    // The hypervisor opens the port: its link comes up, and the guest is still elsewhere.
    port.responder.link_up(seconds(3_600));
    assert_eq!(port.advertised((3_600, 7_200)), SILENCE);
}

#[test]
fn a_guest_that_came_is_advertised_to_by_its_arrival_and_then_once_an_interval_clause_d4() {
    let mut port = Port::new(Some(GUEST));
    assert!(port.hear(START, "arp/rarp").arrived);
    let times = port.advertised((0, 2_000));
    assert_eq!(times[..4], [0, 1, 3, 7]);
    let gaps: Vec<u64> = times[3..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.len() >= 3 && gaps.iter().all(|gap| (199..=600).contains(gap)), "{gaps:?}");
}

#[test]
fn the_port_that_a_guest_left_gets_no_router_advertisement_until_it_is_back_clause_c3() {
    let mut port = Port::new(Some(GUEST));
    port.hear(START, "arp/rarp");
    assert_eq!(port.advertised((0, 100)), [0, 1, 3, 7]);
    port.responder.guest_left();
    port.responder.link_up(seconds(101));
    assert_eq!(port.advertised((100, 10_000)), SILENCE);
    // It asks there all the same: then it is there.
    assert!(port.hear(seconds(10_000), "nd/rs-stateful").arrived);
    assert_eq!(port.advertised((10_000, 10_100)), [10_000, 10_001, 10_003, 10_007]);
}

#[test]
fn a_guest_that_moves_more_often_than_it_may_arrive_is_advertised_to_all_the_same_clause_c3() {
    let mut port = Port::new(Some(GUEST));
    let mut times = Vec::new();
    for at in 0..20 {
        port.responder.guest_left();
        let arrived = port.hear(seconds(at), "dhcpv4/discover").arrived;
        assert_eq!(arrived, at < 3);
        times.extend(port.advertised((at, at)));
    }
    assert_eq!(times, [0, 1, 2, 5, 8, 11, 14, 17]);
    // It stays. Nothing of its says so any more, and it goes on.
    assert_eq!(port.advertised((20, 60)), [20, 36, 52]);
}

#[test]
fn a_guest_that_was_there_before_a_restart_is_advertised_to_at_once_clause_c3() {
    let mut port = Port::new(Some(GUEST));
    port.responder.settle_guest(START);
    assert_eq!(port.advertised((0, 40)), [0, 16, 32]);
    port.responder.guest_left();
    assert_eq!(port.advertised((40, 4_000)), SILENCE);
}

#[test]
fn a_guest_that_may_be_there_already_is_asked_three_times_clause_d3() {
    let mut port = Port::new(Some(GUEST));
    port.responder.await_guest(START);
    let mut asked = Vec::new();
    for at in 0..60 {
        port.outbox.clear();
        port.responder.handle_arrival(seconds(at), &mut port.outbox);
        assert!(port.outbox.frames().all(|frame| frame[..6] == GUEST.0));
        asked.extend(port.outbox.frames().map(|frame| (at, frame[12..14].to_vec())));
        assert!(!port.responder.handle_deadline(seconds(at), &mut port.outbox));
    }
    let round = |at| [[8, 6], [0x86, 0xdd], [0x86, 0xdd]].map(|kind| (at, kind.to_vec()));
    assert_eq!(asked, [0, 1, 3].map(round).concat());
    assert_eq!(port.responder.next_deadline(), None);
}

#[test]
fn the_answer_of_a_guest_that_was_there_already_is_its_arrival_clause_d3() {
    let mut port = Port::new(Some(GUEST));
    port.responder.await_guest(START);
    assert_eq!(port.told(START), 3);
    let question = port.outbox.frames().next().unwrap().to_vec();
    // The guest's kernel answers an ARP request to the one that asked.
    let mut answer = question.clone();
    answer[..6].copy_from_slice(&question[6..12]);
    answer[6..12].copy_from_slice(&GUEST.0);
    answer[21] = 2;
    answer[22..28].copy_from_slice(&GUEST.0);
    answer[28..32].copy_from_slice(&question[38..42]);
    answer[32..42].copy_from_slice(&question[22..32]);
    let frame = Frame { bytes: &answer, vlan: None, checksum_pending: false, truncated: false };
    port.outbox.clear();
    let turn = port.responder.handle_frame(START, &frame, &mut port.outbox);
    assert!(turn.arrived);
    assert_eq!(port.outbox.len(), 0);
    assert_eq!(port.told(START), 8);
    assert_eq!(port.advertised((0, 100)), [1, 3, 7]);
}

#[test]
fn a_guest_that_is_known_to_be_there_or_whose_mac_is_not_known_is_not_asked() {
    let mut port = Port::new(Some(GUEST));
    port.responder.settle_guest(START);
    port.responder.await_guest(START);
    assert_eq!(port.told(seconds(1)), 0);
    let mut port = Port::new(None);
    port.responder.await_guest(START);
    assert_eq!((port.told(START), port.told(seconds(3))), (0, 0));
    // Who spoke before the link came up may be another.
    port.hear(seconds(4), "nd/rs-stateful");
    port.responder.link_up(seconds(60));
    assert_eq!(port.told(seconds(60)), 0);
}

#[test]
fn a_flood_of_announcements_is_told_once_clause_d3() {
    let mut port = Port::new(Some(GUEST));
    let mut told = 0;
    for at in 0..10_000 {
        let now = START.after(Duration::from_millis(at * 10));
        let turn = port.hear(now, "arp/gratuitous");
        assert_eq!(turn.arrived, at == 0);
        told += port.told(now);
    }
    assert_eq!(told, 4 * 8);
}

/// Reads the recorded networks as another node does, and makes the binding of `demo/web-1` there.
fn binding_on(node: &str) -> Binding {
    let folder = TempDir::new().unwrap();
    let networks = fixtures().join("networks");
    let text = fs::read_to_string(fixtures().join("leasehold.toml")).unwrap();
    let text = text
        .replace("\"networks\"", &format!("{:?}", networks.display().to_string()))
        .replace("\"node-a\"", &format!("{node:?}"));
    let path = folder.path().join("leasehold.toml");
    fs::write(&path, text).unwrap();
    let config = config::load(&path).unwrap_or_else(|_| panic!("the files can be read"));
    assert_eq!(config.node, node);
    let network = config.networks.iter().find(|network| network.name.as_str() == "migration");
    let network = network.unwrap();
    let key = LeaseKey {
        network: network.name.clone(),
        vm: "demo/web-1".parse().unwrap(),
        nic: NicName::default(),
    };
    let occasion = Occasion { node, wall: Wall(1_000) };
    let lease = LeaseTable::default().assign(network, &key, occasion).lease;
    let facts = PortFacts { mac: Some(GUEST), trunk_vlan: None, mtu: 1_500, is_macvtap: false };
    Binding::new(key, &facts, &network.parameters(&lease, config.server_duid))
}

#[test]
fn two_nodes_with_the_same_files_say_the_same_clause_d5() {
    // Gateway address and MAC, link-local address, server id, DUID, and all that is made of them.
    let [one, other] = ["node-a", "node-b"].map(|node| format!("{:#?}", binding_on(node)));
    assert_eq!(one, other);
    assert!(one.contains("fe80::1") && one.contains("10.20.0.2"));
}

#[test]
fn a_lease_names_the_node_where_the_vm_was_heard_clause_d6() {
    let config = config::load(&fixtures().join("leasehold.toml"));
    let config = config.unwrap_or_else(|_| panic!("the files can be read"));
    let network = &config.networks[0];
    let key = LeaseKey {
        network: network.name.clone(),
        vm: "demo/web-1".parse().unwrap(),
        nic: NicName::default(),
    };
    let mut table = LeaseTable::default();
    let on = |node, at| Occasion { node, wall: Wall(at) };
    let first = table.assign(network, &key, on("node-a", 1_000)).lease;
    table.arrived(&key, on("node-a", 1_001), 60);
    // The target's port is there before the VM is.
    assert_eq!(table.assign(network, &key, on("node-b", 1_002)).lease.node, "node-a");
    let moved = Some(("node-a".to_owned(), LeaseChange::Details));
    assert_eq!(table.arrived(&key, on("node-b", 1_003), 60), moved);
    let lease = table.get(&key).unwrap();
    assert_eq!((lease.node.as_str(), lease.last_seen), ("node-b", Some(Wall(1_003))));
    assert_eq!(lease.arrived, Some(Wall(1_003)));
    assert_eq!((lease.ipv4, lease.ipv6), (first.ipv4, first.ipv6));
    // A guest that cannot be found makes no lease.
    let stranger = LeaseKey { vm: "demo/stranger".parse().unwrap(), ..key };
    assert_eq!(table.arrived(&stranger, on("node-b", 1_004), 60), None);
}

#[test]
fn arrivals_where_the_vm_is_cost_no_more_writes_than_its_speaking() {
    let config = config::load(&fixtures().join("leasehold.toml"));
    let config = config.unwrap_or_else(|_| panic!("the files can be read"));
    let network = &config.networks[0];
    let key = LeaseKey {
        network: network.name.clone(),
        vm: "demo/web-1".parse().unwrap(),
        nic: NicName::default(),
    };
    let mut table = LeaseTable::default();
    let at = |wall| Occasion { node: "node-a", wall: Wall(wall) };
    table.assign(network, &key, at(1_000));
    // A guest that forges its hypervisor's announcements arrives twice a minute for ten minutes.
    let arrivals = (0..20).filter_map(|turn| table.arrived(&key, at(1_001 + turn * 30), 60));
    let written = arrivals.filter(|(_, change)| *change != LeaseChange::None).count();
    assert_eq!(written, 10);
    // That it was heard then is written with it.
    assert!(!table.seen(&key, Wall(1_001 + 540), 60));
}
