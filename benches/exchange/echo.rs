//! The limit: a server that decides nothing. It reads and writes the socket in leasehold's own
//! batches, and copies the few bytes into a canned answer that make it the guest's.

use leasehold::net::{Filter, PacketSocket, RecvBatch, Way, interface_index};
use leasehold::wire::Outbox;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::os::fd::AsFd;

/// Answers until it is killed.
pub(crate) fn run(interface: &str) -> ! {
    let socket =
        PacketSocket::open(Filter::Configuration).expect("opening a packet socket needs root");
    socket
        .bind(interface_index(interface).expect("it is there"), Way::In)
        .expect("it can be bound");
    let mut recv = RecvBatch::new();
    let mut outbox = Outbox::new(RecvBatch::SLOTS);
    let canned = canned();
    loop {
        let received = socket.recv_batch(&mut recv).unwrap_or(0);
        outbox.clear();
        for frame in recv.frames() {
            let bytes = frame.frame.bytes;
            let Some(slot) = outbox.slot().filter(|_| bytes.len() >= 300) else {
                continue;
            };
            slot[..canned.len()].copy_from_slice(&canned);
            slot[0..6].copy_from_slice(&bytes[6..12]);
            slot[46..50].copy_from_slice(&bytes[46..50]);
            slot[70..76].copy_from_slice(&bytes[70..76]);
            // DISCOVER to OFFER, REQUEST to ACK.
            slot[284] = if bytes[284] == 1 { 2 } else { 5 };
            outbox.commit(canned.len());
        }
        if !outbox.is_empty() {
            let _ = socket.send_batch(outbox.frames());
        }
        if received < RecvBatch::SLOTS {
            let mut ready = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut ready, PollTimeout::NONE);
        }
    }
}

/// As long as leasehold's own OFFER in this bench: 342 bytes of frame, 300 of BOOTP.
fn canned() -> Vec<u8> {
    let mut bootp = vec![2, 1, 6, 0];
    bootp.extend_from_slice(&[0; 232]);
    bootp.extend_from_slice(&[99, 130, 83, 99, 53, 1, 2, 255]);
    bootp.resize(300, 0);
    bootp[16..20].copy_from_slice(&[10, 20, 0, 9]);
    let builder = etherparse::PacketBuilder::ethernet2([2; 6], [0xff; 6])
        .ipv4([10, 20, 0, 1], [255, 255, 255, 255], 64)
        .udp(67, 68);
    let mut frame = Vec::new();
    builder.write(&mut frame, &bootp).expect("a vector takes it");
    frame
}
