//! Decode, decide and encode: time and heap allocations for one frame, as a port's task does it.
//!
//! The frames are recorded cases of `packet-fixtures/`. The allocator counts; the criterion figures
//! say what a turn costs. Then the worst frame that a guest can make is looked for, among the
//! recorded ones, some of which are made to cost as much as they can (`hostile/*-costly`), and
//! [`SEARCHED`] mutations of them, in every template. `make bench`.
#![allow(unsafe_code, reason = "a counting allocator cannot be written without")]
#![allow(clippy::disallowed_methods, reason = "it measures real time: that is what it is for")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Random, Templates, fixtures, mutated, parse_hex, recorded_frames};
use criterion::{Criterion, criterion_group, criterion_main};
use leasehold::binding::PortFacts;
use leasehold::outcome::{Outcome, Protocol, Verdict};
use leasehold::responder::{PortResponder, RateLimit};
use leasehold::time::Mono;
use leasehold::wire::{Frame, Outbox};

/// The system's allocator, counted.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s promises, and they are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s promises, and they are the same.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Name, template and recorded case.
const TURNS: &[(&str, &str, &str)] = &[
    ("DISCOVER to OFFER", "dual-stack", "dhcpv4/discover"),
    ("REQUEST to ACK", "dual-stack", "dhcpv4/request-selecting"),
    ("Solicit to Advertise", "dual-stack", "dhcpv6/solicit"),
    ("Request to Reply", "dual-stack", "dhcpv6/request"),
    ("RS to RA", "dual-stack", "nd/rs-stateful"),
];

fn turns(criterion: &mut Criterion) {
    let templates = Templates::load();
    for (name, network, case) in TURNS {
        let text = fs::read_to_string(fixtures().join(case).join("01-in.hex"))
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        let bytes = parse_hex(&text);
        let frame = Frame { bytes: &bytes, vlan: None, checksum_pending: false, truncated: false };
        let facts = PortFacts { mac: None, trunk_vlan: None, mtu: 1_500, is_macvtap: false };
        let binding = templates.binding(network, "demo/web-1", &facts);
        let limit = RateLimit { frames_per_second: 0, burst: 0 };
        let mut responder = PortResponder::new(binding, limit, Mono::default(), 1);
        let mut outbox = Outbox::new(1);
        let outcome = turn_of(&mut responder, &bytes, &mut outbox);
        assert!(matches!(outcome.verdict, Verdict::Replied(_)), "{case}: {outcome:?}");
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        let took = least(50, || time_of(&mut responder, &bytes, &mut outbox, 1_000));
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        println!("{name}: {} ns, {allocations} allocations", took.as_nanos());
        assert_eq!(allocations, 0, "{name} allocates");
        let mut turn = || {
            outbox.clear();
            responder.handle_frame(Mono::default(), black_box(&frame), &mut outbox)
        };
        criterion.bench_function(name, |bencher| bencher.iter(|| black_box(turn())));
    }
}

/// A frame and a port that took long over it.
struct Slow {
    took: Duration,
    frame: Vec<u8>,
    port: usize,
    network: String,
}

fn worst_frames(_: &mut Criterion) {
    let mut ports = Templates::load().responders();
    let mut outbox = Outbox::new(1);
    let mut frames = recorded_frames();
    let mut random = Random(0x0bad_f00d);
    let recorded = frames.clone();
    frames.extend((0..SEARCHED).map(|_| mutated(&recorded, &mut random)));
    for protocol in [Protocol::Dhcpv4, Protocol::Dhcpv6, Protocol::Nd, Protocol::Arp] {
        // A short look at every frame, and a long one at those that took longest.
        let mut slowest: Vec<Slow> = Vec::new();
        for frame in &frames {
            for (port, responder) in ports.iter_mut().enumerate() {
                if turn_of(responder, frame, &mut outbox).protocol != protocol {
                    continue;
                }
                let took = least(3, || time_of(responder, frame, &mut outbox, 8));
                if slowest.len() < CANDIDATES || slowest.iter().any(|slow| slow.took < took) {
                    let network = responder.binding().key.network.to_string();
                    slowest.push(Slow { took, frame: frame.clone(), port, network });
                    slowest.sort_by_key(|slow| std::cmp::Reverse(slow.took));
                    slowest.truncate(CANDIDATES);
                }
            }
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for slow in &mut slowest {
            let responder = &mut ports[slow.port];
            slow.took = least(50, || time_of(responder, &slow.frame, &mut outbox, 200));
        }
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        let worst = slowest.iter().max_by_key(|slow| slow.took).expect("frames of every protocol");
        let outcome = turn_of(&mut ports[worst.port], &worst.frame, &mut outbox);
        println!(
            "worst frame of {}: {} ns, {allocations} allocations; {} bytes, {} {:?}, network {}",
            protocol.as_str(),
            worst.took.as_nanos(),
            worst.frame.len(),
            outcome.message.as_str(),
            outcome.verdict,
            worst.network,
        );
        assert_eq!(allocations, 0, "one of the worst frames of {} allocates", protocol.as_str());
    }
}

fn turn_of(responder: &mut PortResponder, bytes: &[u8], outbox: &mut Outbox) -> Outcome {
    let frame = Frame { bytes, vlan: None, checksum_pending: false, truncated: false };
    outbox.clear();
    responder.handle_frame(Mono::default(), &frame, outbox).outcome
}

/// The shortest of so many measurements: what is beyond it is the machine's doing.
fn least(times: u32, mut measure: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| measure()).min().unwrap_or_default()
}

/// What one of `turns` equal turns took.
fn time_of(
    responder: &mut PortResponder,
    bytes: &[u8],
    outbox: &mut Outbox,
    turns: u32,
) -> Duration {
    let frame = Frame { bytes, vlan: None, checksum_pending: false, truncated: false };
    let start = Instant::now();
    for _ in 0..turns {
        outbox.clear();
        black_box(responder.handle_frame(Mono::default(), black_box(&frame), outbox));
    }
    start.elapsed() / turns
}

/// How many mutated frames are tried.
const SEARCHED: usize = 5_000;

/// How many frames of a protocol get the long look.
const CANDIDATES: usize = 20;

criterion_group!(benches, turns, worst_frames);
criterion_main!(benches);
