//! Decode, decide and encode: time and heap allocations for one frame, as a port's task does it.
//!
//! The frames are recorded cases of `packet-fixtures/`. The allocator counts; the criterion figures
//! say what a turn costs. `make bench`.
#![allow(unsafe_code, reason = "a counting allocator cannot be written without")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Templates, fixtures, parse_hex};
use criterion::{Criterion, criterion_group, criterion_main};
use leasehold::binding::PortFacts;
use leasehold::outcome::Verdict;
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

criterion_group!(benches, turns);
criterion_main!(benches);
