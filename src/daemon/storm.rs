//! Random storms of what can happen to ports, against a simple model of what is true.
//!
//! The kernel's and the sources' news come in order each, but late, mixed, doubled and with gaps
//! that a snapshot mends. In between nothing may be served that nobody said; at rest everything
//! must be served as it is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;

use super::claims::Claims;
use super::links::Links;
use super::plan::{Plan, Service, plan};
use crate::discovery::{Identity, IdentityTrace, Port, PortStatus, SourceEvent, SourceId};
use crate::net::{Link, LinkEvent, LinkKind};
use crate::network::tests::network;
use crate::network::{Match, Network};

/// One thing that happens; the numbers choose to what.
#[derive(Debug, Clone, Copy)]
enum Happening {
    DeviceMade {
        name: usize,
        ifindex: u32,
    },
    DeviceDeleted {
        name: usize,
    },
    DeviceRenamed {
        from: usize,
        to: usize,
    },
    DeviceChanged {
        name: usize,
        mtu: u32,
        up: bool,
    },
    RowWritten {
        source: usize,
        name: usize,
        row: Row,
    },
    RowDeleted {
        source: usize,
        name: usize,
    },
    /// News of the kernel are lost; it says so, and is asked for everything.
    Overrun,
    /// A source loses its connection, or gets it back.
    Lost {
        source: usize,
    },
    Found {
        source: usize,
    },
    /// The supervisor gets this many of the news that wait.
    Heard {
        links: usize,
        sources: [usize; SOURCES],
    },
}

/// What a source says of one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    vm: usize,
    bridge: usize,
    inactive: bool,
}

#[derive(Debug, Clone)]
struct Device {
    name: usize,
    mtu: u32,
    up: bool,
}

/// What is so, and the news of it that are on their way.
#[derive(Debug, Default)]
struct Truth {
    devices: BTreeMap<u32, Device>,
    rows: [BTreeMap<usize, Row>; SOURCES],
    /// Devices that the kernel has said something about; `None`: ask for all.
    link_news: VecDeque<Option<u32>>,
    source_news: [VecDeque<SourceEvent>; SOURCES],
    connected: [bool; SOURCES],
}

/// What the supervisor makes of it.
#[derive(Default)]
struct Node {
    claims: Claims,
    links: Links,
    networks: Vec<Arc<Network>>,
    served: BTreeMap<String, Service>,
}

impl Truth {
    fn index_of(&self, name: usize) -> Option<u32> {
        self.devices.iter().find(|(_, device)| device.name == name).map(|(ifindex, _)| *ifindex)
    }

    fn link(&self, ifindex: u32) -> Option<Link> {
        let Device { name, mtu, up } = self.devices.get(&ifindex)?.clone();
        let (mac, kind, master) = (None, LinkKind::Other, None);
        Some(Link { name: interface(name), ifindex, mac, mtu, up, kind, master })
    }

    fn touch(&mut self, ifindex: u32) {
        self.link_news.push_back(Some(ifindex));
    }

    fn tell(&mut self, source: usize, event: SourceEvent) {
        if self.connected[source] {
            self.source_news[source].push_back(event);
        }
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::DeviceMade { name, ifindex } => {
                if self.index_of(name).is_none() && !self.devices.contains_key(&ifindex) {
                    self.devices.insert(ifindex, Device { name, mtu: 1500, up: false });
                    self.touch(ifindex);
                }
            }
            Happening::DeviceDeleted { name } => {
                if let Some(ifindex) = self.index_of(name) {
                    self.devices.remove(&ifindex);
                    self.touch(ifindex);
                }
            }
            Happening::DeviceRenamed { from, to } => {
                if let (Some(ifindex), None) = (self.index_of(from), self.index_of(to)) {
                    self.devices.get_mut(&ifindex).unwrap().name = to;
                    self.touch(ifindex);
                }
            }
            Happening::DeviceChanged { name, mtu, up } => {
                if let Some(ifindex) = self.index_of(name) {
                    self.devices.insert(ifindex, Device { name, mtu, up });
                    self.touch(ifindex);
                    // A bridge tells of its ports in the same way.
                    self.touch(ifindex);
                }
            }
            Happening::RowWritten { source, name, row } => {
                self.rows[source].insert(name, row);
                self.tell(source, SourceEvent::Changed(port(name, row).into()));
            }
            Happening::RowDeleted { source, name } => {
                if self.rows[source].remove(&name).is_some() {
                    self.tell(source, SourceEvent::Removed(interface(name)));
                }
            }
            Happening::Overrun => {
                self.link_news.clear();
                self.link_news.push_back(None);
            }
            Happening::Lost { source } => {
                self.tell(source, SourceEvent::Down("gone".to_owned()));
                self.connected[source] = false;
            }
            Happening::Found { source } => {
                self.connected[source] = true;
                let ports = self.rows[source].iter().map(|(name, row)| port(*name, *row).into());
                let snapshot = SourceEvent::Snapshot(ports.collect());
                self.tell(source, snapshot);
            }
            Happening::Heard { .. } => {}
        }
    }

    /// Returns the kernel's next news: as the watcher does it, what is so when it is asked.
    fn next_link_event(&mut self) -> Option<LinkEvent> {
        Some(match self.link_news.pop_front()? {
            None => {
                let links = self.devices.keys().filter_map(|ifindex| self.link(*ifindex));
                LinkEvent::Snapshot(links.collect())
            }
            Some(ifindex) => match self.link(ifindex) {
                Some(link) => LinkEvent::Changed(link),
                None => LinkEvent::Removed { ifindex, name: String::new() },
            },
        })
    }

    /// Who is to be served what once everything has been heard: VM, network, device and MTU.
    fn due(&self) -> BTreeMap<String, (String, String, u32, u16)> {
        let mut due = BTreeMap::new();
        for name in 0..NAMES {
            let row = self.rows.iter().find_map(|rows| rows.get(&name));
            let (Some(row), Some(ifindex)) = (row, self.index_of(name)) else { continue };
            if row.inactive || row.bridge >= NETWORKS.len() {
                continue;
            }
            let mtu = u16::try_from(self.devices[&ifindex].mtu).unwrap();
            let network = NETWORKS[row.bridge].to_owned();
            due.insert(interface(name), (vm(row.vm), network, ifindex, mtu));
        }
        due
    }
}

impl Node {
    fn new() -> Self {
        let on_bridge = |(number, name): (usize, &&str)| {
            let matcher = Match { bridge: Some(bridge(number)), ..Match::default() };
            Arc::new(Network { matcher, ..network(name) })
        };
        Self { networks: NETWORKS.iter().enumerate().map(on_bridge).collect(), ..Self::default() }
    }

    fn hear_link(&mut self, event: LinkEvent) {
        let concerned = self.links.apply(event).concerned;
        self.reconcile(concerned);
    }

    fn hear_source(&mut self, source: usize, event: SourceEvent) {
        let concerned = self.claims.apply(SourceId(source), event);
        self.reconcile(concerned);
    }

    fn reconcile(&mut self, concerned: impl IntoIterator<Item = String>) {
        for interface in concerned {
            let plan = self
                .claims
                .port(&interface)
                .map(|port| plan(port, self.links.get(&interface), &self.networks));
            match plan {
                Some(Plan::Serve(service)) => self.served.insert(interface, service),
                Some(Plan::Idle { .. }) | None => self.served.remove(&interface),
            };
        }
    }

    /// Checks that what is served is what was said last: a frame is answered for the VM that the
    /// source names on that interface, from the device that the kernel has under that name.
    fn check(&self) {
        let mut devices = BTreeMap::new();
        for (interface, service) in &self.served {
            let port = self.claims.port(interface).expect("a source names what is served");
            let identity = port.identity.as_ref().expect("its VM is known");
            assert_eq!(service.key.vm, identity.vm, "{interface}");
            let link = self.links.get(interface).expect("the kernel has what is served");
            assert_eq!((service.ifindex, &link.name), (link.ifindex, interface));
            let other = devices.insert(service.ifindex, interface);
            assert_eq!(other, None, "one device is served under two names");
        }
    }

    fn serves(&self) -> BTreeMap<String, (String, String, u32, u16)> {
        let entry = |(interface, service): (&String, &Service)| {
            let Service { key, network, ifindex, facts } = service;
            let served = (key.vm.to_string(), network.name.to_string(), *ifindex, facts.mtu);
            (interface.clone(), served)
        };
        self.served.iter().map(entry).collect()
    }
}

fn port(name: usize, row: Row) -> Port {
    let trace = IdentityTrace::of("test".to_owned());
    let (vm, nic) = (vm(row.vm).parse().unwrap(), "default".parse().unwrap());
    let status = if row.inactive { PortStatus::Inactive } else { PortStatus::Active };
    let identity = Ok(Identity { vm, nic, trace });
    Port { bridge: Some(bridge(row.bridge)), status, ..Port::new(interface(name), identity) }
}

fn interface(name: usize) -> String {
    format!("tap{name}")
}

fn vm(number: usize) -> String {
    format!("demo/vm-{number}")
}

fn bridge(number: usize) -> String {
    format!("br{number}")
}

fn happening() -> impl Strategy<Value = Happening> {
    let name = 0..NAMES;
    let source = 0..SOURCES;
    let row = (0..3_usize, 0..=NETWORKS.len(), any::<bool>())
        .prop_map(|(vm, bridge, inactive)| Row { vm, bridge, inactive });
    prop_oneof![
        // Few indexes: they are used again soon.
        4 => (name.clone(), 1..6_u32)
            .prop_map(|(name, ifindex)| Happening::DeviceMade { name, ifindex }),
        2 => name.clone().prop_map(|name| Happening::DeviceDeleted { name }),
        3 => (name.clone(), name.clone())
            .prop_map(|(from, to)| Happening::DeviceRenamed { from, to }),
        2 => (name.clone(), 1280..1284_u32, any::<bool>())
            .prop_map(|(name, mtu, up)| Happening::DeviceChanged { name, mtu, up }),
        4 => (source.clone(), name.clone(), row)
            .prop_map(|(source, name, row)| Happening::RowWritten { source, name, row }),
        2 => (source.clone(), name)
            .prop_map(|(source, name)| Happening::RowDeleted { source, name }),
        1 => Just(Happening::Overrun),
        1 => source.clone().prop_map(|source| Happening::Lost { source }),
        2 => source.prop_map(|source| Happening::Found { source }),
        6 => (0..4_usize, [0..4_usize, 0..4_usize])
            .prop_map(|(links, sources)| Happening::Heard { links, sources }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        failure_persistence: None,
        rng_seed: proptest::test_runner::RngSeed::Fixed(67),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_to_ports_each_vm_is_served_as_is_right_at_rest(
        happenings in proptest::collection::vec(happening(), 0..80),
    ) {
        let mut truth = Truth { connected: [true; SOURCES], ..Truth::default() };
        let mut node = Node::new();
        for happening in happenings {
            truth.happens(happening);
            let Happening::Heard { links, sources } = happening else { continue };
            for _ in 0..links {
                let Some(event) = truth.next_link_event() else { break };
                node.hear_link(event);
                node.check();
            }
            for (source, count) in sources.into_iter().enumerate() {
                for _ in 0..count {
                    let Some(event) = truth.source_news[source].pop_front() else { break };
                    node.hear_source(source, event);
                    node.check();
                }
            }
        }
        // At rest: who was lost is found again, and all that was said is heard.
        for source in 0..SOURCES {
            if !truth.connected[source] {
                truth.happens(Happening::Found { source });
            }
            while let Some(event) = truth.source_news[source].pop_front() {
                node.hear_source(source, event);
                node.check();
            }
        }
        while let Some(event) = truth.next_link_event() {
            node.hear_link(event);
            node.check();
        }
        prop_assert_eq!(node.serves(), truth.due());
    }
}

const NAMES: usize = 4;
const SOURCES: usize = 2;
const NETWORKS: [&str; 2] = ["blue", "green"];
