//! The whole daemon against the raw-socket limit, on one veth pair.
//!
//! Two servers answer the same DISCOVER and REQUEST frames with answers of the same sizes: leasehold
//! as it is installed, and an echo that reads and writes the socket in the same batches and decides
//! nothing. What is compared is exchanges (DISCOVER, OFFER, REQUEST, ACK) for each CPU-second of the
//! server, since the load generator shares the machine. Further figures: latency with one guest,
//! resident memory and CPU of an idle daemon with ten ports, and the time from start to the first
//! answer with 10,000 leases in the store.
//!
//! It needs root, and works in a network namespace of its own: `make bench`.
#![allow(clippy::disallowed_methods, reason = "a bench measures time")]

mod echo;
mod guest;
mod node;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use guest::{Guest, Load};
use node::Node;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, interface] = arguments.as_slice()
        && word == "echo"
    {
        echo::run(interface);
    }
    if std::env::var_os(INSIDE).is_none() {
        return enter_namespace();
    }
    compare(1);
    compare(1_000);
    idle();
    start();
    ExitCode::SUCCESS
}

/// Runs this program again in a network namespace that goes with it.
fn enter_namespace() -> ExitCode {
    let this = std::env::current_exe().expect("this program has a path");
    let error = Command::new("unshare").arg("--net").arg(this).env(INSIDE, "1").exec();
    eprintln!("exchange: running unshare: {error}; it needs root and util-linux");
    ExitCode::FAILURE
}

fn compare(guests: usize) {
    let node = Node::new(1);
    let measure = |server: &node::Server| {
        let mut guest = Guest::new(&node.guest_side(0), guests);
        guest.run(Load { in_flight: IN_FLIGHT, duration: WARM_UP });
        let before = server.cpu();
        let busy = guest.run(Load { in_flight: IN_FLIGHT, duration: BUSY });
        let cpu = server.cpu() - before;
        let before = server.cpu();
        let alone = guest.run(Load { in_flight: 1, duration: BUSY });
        let alone_cpu = server.cpu() - before;
        let rate = busy.exchanges as f64 / cpu.as_secs_f64();
        println!(
            "{:<10} {guests:>5} MACs  {:>8.0} exchanges/s  {rate:>8.0} exchanges/CPU-s  \
             one guest: p50 {:>5.1} us  p99 {:>6.1} us  {:>5.1} us CPU an exchange",
            server.name,
            busy.exchanges as f64 / BUSY.as_secs_f64(),
            micros(alone.percentile(50)),
            micros(alone.percentile(99)),
            micros(alone_cpu) / alone.exchanges.max(1) as f64,
        );
        rate
    };
    let limit = measure(&node.start_echo());
    let ours = measure(&node.start_leasehold(0));
    println!(
        "leasehold does {:.0} % of the echo's exchanges per CPU-second\n",
        100.0 * ours / limit
    );
}

fn idle() {
    let node = Node::new(10);
    let server = node.start_leasehold(0);
    for port in 0..10 {
        Guest::new(&node.guest_side(port), 1).run(Load { in_flight: 1, duration: BRIEF });
    }
    std::thread::sleep(SETTLED);
    let before = server.cpu();
    std::thread::sleep(IDLE);
    let cpu = server.cpu() - before;
    println!(
        "idle with 10 ports: {:.3} ms CPU in {} s, {:.1} MiB resident, broker {:.1} MiB",
        cpu.as_secs_f64() * 1e3,
        IDLE.as_secs(),
        server.resident_mib(),
        server.broker_resident_mib(),
    );
}

fn start() {
    let node = Node::new(1);
    let taken: Vec<Duration> = (0..5).map(|_| node.time_to_first_answer(10_000)).collect();
    let millis: Vec<String> =
        taken.iter().map(|time| format!("{:.0}", time.as_secs_f64() * 1e3)).collect();
    println!("start to first answer with 10,000 leases: {} ms", millis.join(", "));
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// Set inside the namespace.
const INSIDE: &str = "LEASEHOLD_BENCH_INSIDE";

/// Exchanges under way at once: enough that the server finds several frames at a wake.
const IN_FLIGHT: usize = 32;

const WARM_UP: Duration = Duration::from_secs(1);
const BUSY: Duration = Duration::from_secs(5);
const BRIEF: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_secs(10);
/// After which what followed from the exchanges is over, and the first router advertisements are.
const SETTLED: Duration = Duration::from_secs(50);
