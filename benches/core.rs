//! Decode, decide and encode: time and heap allocations for one frame, as a port's task does it.
//!
//! The frames are recorded cases of `packet-fixtures/`. The allocator counts; the criterion figures
//! say what a turn costs. Then the worst frame that a guest can make is looked for, among the
//! recorded ones and [`SEARCHED`] mutations of them, in every template. `make bench`.
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
        let facts = PortFacts { mac: None, trunk_vlan: None, mtu: 1_500 };
        let binding = templates.binding(network, "demo/web-1", &facts);
        let limit = RateLimit { frames_per_second: 0, burst: 0 };
        let mut responder = PortResponder::new(binding, limit, Mono::default(), 1);
        let mut outbox = Outbox::new(1);
        let mut turn = || {
            outbox.clear();
            responder.handle_frame(Mono::default(), black_box(&frame), &mut outbox)
        };
        let outcome = turn().outcome;
        assert!(matches!(outcome.verdict, Verdict::Replied(_)), "{case}: {outcome:?}");
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..1_000 {
            black_box(turn());
        }
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        println!("{name}: {allocations} allocations in 1,000 turns");
        assert_eq!(allocations, 0, "{name} allocates");
        criterion.bench_function(name, |bencher| bencher.iter(|| black_box(turn())));
    }
}

/// A frame and a port that took long over it.
struct Slow {
    took: Duration,
    frame: Vec<u8>,
    port: usize,
}

fn worst_frames(_: &mut Criterion) {
    let mut ports = Templates::load().responders();
    let mut frames = recorded_frames();
    let mut random = Random(0x0bad_f00d);
    let recorded = frames.clone();
    frames.extend((0..SEARCHED).map(|_| mutated(&recorded, &mut random)));
    for protocol in [Protocol::Dhcpv4, Protocol::Dhcpv6, Protocol::Nd, Protocol::Arp] {
        // A short look at every frame, and a long one at those that took longest.
        let mut slowest: Vec<Slow> = Vec::new();
        for frame in &frames {
            for (port, responder) in ports.iter_mut().enumerate() {
                if turn_of(responder, frame).protocol != protocol {
                    continue;
                }
                let took = (0..3).map(|_| time_of(responder, frame, 8)).min().unwrap_or_default();
                if slowest.len() < CANDIDATES || slowest.iter().any(|slow| slow.took < took) {
                    slowest.push(Slow { took, frame: frame.clone(), port });
                    slowest.sort_by_key(|slow| std::cmp::Reverse(slow.took));
                    slowest.truncate(CANDIDATES);
                }
            }
        }
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for slow in &mut slowest {
            let responder = &mut ports[slow.port];
            slow.took =
                (0..50).map(|_| time_of(responder, &slow.frame, 200)).min().unwrap_or_default();
        }
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        let worst = slowest.iter().max_by_key(|slow| slow.took).expect("frames of every protocol");
        let outcome = turn_of(&mut ports[worst.port], &worst.frame);
        println!(
            "worst frame of {}: {:.2} us, {} bytes, {} {:?}",
            protocol.as_str(),
            worst.took.as_secs_f64() * 1e6,
            worst.frame.len(),
            outcome.message.as_str(),
            outcome.verdict,
        );
        // The outboxes are made outside the turns; nothing else may allocate.
        let outboxes = u64::try_from(slowest.len() * 50).expect("a small number") * OUTBOX;
        assert!(allocations <= outboxes, "{allocations} allocations beside {outboxes}");
    }
}

fn turn_of(responder: &mut PortResponder, bytes: &[u8]) -> Outcome {
    let frame = Frame { bytes, vlan: None, checksum_pending: false, truncated: false };
    responder.handle_frame(Mono::default(), &frame, &mut Outbox::new(1)).outcome
}

/// What one of `turns` equal turns took.
fn time_of(responder: &mut PortResponder, bytes: &[u8], turns: u32) -> Duration {
    let frame = Frame { bytes, vlan: None, checksum_pending: false, truncated: false };
    let mut outbox = Outbox::new(1);
    let start = Instant::now();
    for _ in 0..turns {
        outbox.clear();
        black_box(responder.handle_frame(Mono::default(), black_box(&frame), &mut outbox));
    }
    start.elapsed() / turns
}

/// How many mutated frames are tried.
const SEARCHED: usize = 5_000;

/// How many frames of a protocol get the long look.
const CANDIDATES: usize = 20;

/// At most so many allocations make an outbox.
const OUTBOX: u64 = 4;

criterion_group!(benches, turns, worst_frames);
criterion_main!(benches);
