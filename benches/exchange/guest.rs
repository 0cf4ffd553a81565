//! The load: many DHCP clients behind one interface, on one raw socket.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use leasehold::net::{Filter, PacketSocket, RecvBatch, Way, interface_index};
use leasehold::wire::Outbox;

/// What to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Exchanges under way at once.
    pub(crate) in_flight: usize,
    /// For how long.
    pub(crate) duration: Duration,
}

/// What was seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// DISCOVER, OFFER, REQUEST and ACK, all four.
    pub(crate) exchanges: u64,
    /// From sending to receiving, each answer; sorted.
    latencies: Vec<Duration>,
}

impl Seen {
    /// Returns a percentile of the answers' latency.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * percent / 100).copied().unwrap_or_default()
    }
}

/// Many DHCP clients.
pub(crate) struct Guest {
    socket: PacketSocket,
    recv: RecvBatch,
    outbox: Outbox,
    guests: usize,
    next: u32,
    under_way: HashMap<u32, (Instant, Vec<u8>)>,
}

impl Guest {
    /// Opens the guests' side of a veth pair.
    pub(crate) fn new(interface: &str, guests: usize) -> Self {
        let socket =
            PacketSocket::open(Filter::Configuration).expect("opening a packet socket needs root");
        let ifindex = interface_index(interface).expect("the node has made it");
        socket.bind(ifindex, Way::In).expect("the interface is there");
        Self {
            socket,
            recv: RecvBatch::new(),
            outbox: Outbox::new(RecvBatch::SLOTS),
            guests,
            next: 1,
            under_way: HashMap::new(),
        }
    }

    /// Keeps a number of exchanges under way for a while.
    pub(crate) fn run(&mut self, load: Load) -> Seen {
        self.under_way.clear();
        let mut seen = Seen::default();
        let end = Instant::now() + load.duration;
        for _ in 0..load.in_flight {
            self.discover();
        }
        self.flush();
        let mut last_heard = Instant::now();
        while Instant::now() < end {
            let received = self.socket.recv_batch(&mut self.recv).unwrap_or(0);
            if received == 0 {
                if last_heard.elapsed() > RESEND {
                    self.resend();
                    last_heard = Instant::now();
                }
                std::thread::yield_now();
                continue;
            }
            last_heard = Instant::now();
            self.take_answers(&mut seen);
            self.flush();
        }
        seen.latencies.sort_unstable();
        seen
    }

    /// Sends DISCOVER until something is answered.
    pub(crate) fn wait_for_answer(&mut self) {
        loop {
            let seen = self.run(Load { in_flight: 1, duration: Duration::from_millis(2) });
            if !seen.latencies.is_empty() {
                return;
            }
        }
    }

    fn take_answers(&mut self, seen: &mut Seen) {
        let now = Instant::now();
        let mut offers = Vec::new();
        let mut done = 0;
        for received in self.recv.frames() {
            let bytes = received.frame.bytes;
            let (Some(xid), Some(kind)) = (bytes.get(XID..XID + 4), bytes.get(TYPE)) else {
                continue;
            };
            let xid = u32::from_be_bytes(xid.try_into().expect("it is four bytes"));
            let Some((sent, _)) = self.under_way.remove(&xid) else {
                continue;
            };
            seen.latencies.push(now - sent);
            match *kind {
                OFFER => offers.push((xid, bytes[YIADDR..YIADDR + 4].to_vec())),
                _ => done += 1,
            }
        }
        for (xid, address) in offers {
            self.request(xid, &address);
        }
        for _ in 0..done {
            seen.exchanges += 1;
            self.discover();
        }
    }

    fn discover(&mut self) {
        let xid = self.next;
        self.next += 1;
        self.post(xid, frame(xid, self.guests, 1, &[]));
    }

    fn request(&mut self, xid: u32, address: &[u8]) {
        let mut options = vec![54, 4, 10, 20, 0, 1, 50, 4];
        options.extend_from_slice(address);
        self.post(xid, frame(xid, self.guests, 3, &options));
    }

    fn post(&mut self, xid: u32, frame: Vec<u8>) {
        if self.outbox.slot().is_none() {
            self.flush();
        }
        let slot = self.outbox.slot().expect("it was flushed");
        slot[..frame.len()].copy_from_slice(&frame);
        self.outbox.commit(frame.len());
        self.under_way.insert(xid, (Instant::now(), frame));
    }

    fn resend(&mut self) {
        let frames: Vec<(u32, Vec<u8>)> =
            self.under_way.drain().map(|(xid, (_, frame))| (xid, frame)).collect();
        for (xid, frame) in frames {
            self.post(xid, frame);
        }
        self.flush();
    }

    fn flush(&mut self) {
        // What does not go out is sent again after a while.
        let _ = self.socket.send_batch(self.outbox.frames());
        self.outbox.clear();
    }
}

/// Makes a client's frame as dhclient would: its options, and zeros up to 300 bytes of BOOTP.
fn frame(xid: u32, guests: usize, kind: u8, options: &[u8]) -> Vec<u8> {
    let guest = u32::try_from(xid as usize % guests).expect("there are few guests").to_be_bytes();
    let mac = [0x52, 0x54, guest[0], guest[1], guest[2], guest[3]];
    let mut bootp = vec![1, 1, 6, 0];
    bootp.extend_from_slice(&xid.to_be_bytes());
    bootp.extend_from_slice(&[0; 20]);
    bootp.extend_from_slice(&mac);
    bootp.extend_from_slice(&[0; 10 + 64 + 128]);
    bootp.extend_from_slice(&[99, 130, 83, 99, 53, 1, kind]);
    bootp.extend_from_slice(options);
    bootp.extend_from_slice(&[55, 9, 1, 28, 2, 3, 15, 6, 119, 12, 26, 255]);
    bootp.resize(300, 0);
    let builder = etherparse::PacketBuilder::ethernet2(mac, [0xff; 6])
        .ipv4([0, 0, 0, 0], [255, 255, 255, 255], 64)
        .udp(68, 67);
    let mut frame = Vec::new();
    builder.write(&mut frame, &bootp).expect("a vector takes it");
    frame
}

/// Where things stand in a DHCPv4 frame with option 53 first.
const XID: usize = 42 + 4;
const YIADDR: usize = 42 + 16;
const TYPE: usize = 42 + 240 + 2;
const OFFER: u8 = 2;

/// A lost frame is sent again.
const RESEND: Duration = Duration::from_millis(100);
