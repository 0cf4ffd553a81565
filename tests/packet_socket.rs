//! Packet sockets and the link watcher on real veth pairs, each test in a network namespace of its
//! own: the test runs itself again under `unshare`, and the namespace ends with that process.
//!
//! Without root a user namespace gives the capabilities.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::time::Duration;

use leasehold::net::{
    AsyncPacketSocket, Filter, Link, LinkEvent, LinkWatcher, PacketSocket, RecvBatch, Way,
    close_side_by_side, is_link_down,
};
use leasehold::sandbox;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{SockFilter, SockRef};

#[test]
fn the_filter_of_an_opened_socket_is_locked() {
    in_a_namespace("the_filter_of_an_opened_socket_is_locked", || {
        let socket = PacketSocket::open(Filter::Configuration).unwrap();
        let pass_everything = [SockFilter::new(0x06, 0, 0, u32::MAX)];
        let replaced = SockRef::from(&socket).attach_filter(&pass_everything).unwrap_err();
        let removed = SockRef::from(&socket).detach_filter().unwrap_err();
        assert_eq!(replaced.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(removed.kind(), io::ErrorKind::PermissionDenied);
    });
}

#[test]
fn a_frame_that_the_filter_refuses_is_not_received() {
    in_a_namespace("a_frame_that_the_filter_refuses_is_not_received", || {
        let (port, guest) = veth("port0", "guest0");
        let (socket, sender) = (bound(&port), bound(&guest));
        send(&sender, &udp(68, 53, 20));
        send(&sender, &discover(20));
        assert_eq!(receive(&socket), [seen(&port, &discover(20))]);
    });
}

#[test]
fn an_echo_request_is_received_only_where_it_is_wanted() {
    in_a_namespace("an_echo_request_is_received_only_where_it_is_wanted", || {
        let (port, guest) = veth("port0", "guest0");
        let (socket, sender) = (bound(&port), bound(&guest));
        let wanting = PacketSocket::open(Filter::ConfigurationAndEcho).unwrap();
        wanting.bind(port.ifindex, Way::In).unwrap();
        let mut ping = udp(0, 0, 20);
        // Protocol ICMP, type 8.
        ping[23] = 1;
        ping[34] = 8;
        send(&sender, &ping);
        send(&sender, &discover(20));
        assert_eq!(receive(&socket), [seen(&port, &discover(20))]);
        assert_eq!(receive(&wanting), [seen(&port, &ping), seen(&port, &discover(20))]);
    });
}

#[test]
fn a_vlan_tag_is_told_beside_the_frame() {
    in_a_namespace("a_vlan_tag_is_told_beside_the_frame", || {
        let (port, guest) = veth("port0", "guest0");
        let (socket, sender) = (bound(&port), bound(&guest));
        for tci in [0x6005, 0] {
            send(&sender, &tagged(tci, &discover(20)));
            let expected = Seen { vlan: Some(tci), ..seen(&port, &discover(20)) };
            assert_eq!(receive(&socket), [expected]);
        }
        send(&sender, &discover(20));
        assert_eq!(receive(&socket), [seen(&port, &discover(20))]);
    });
}

#[test]
fn a_frame_with_two_vlan_tags_is_not_received() {
    in_a_namespace("a_frame_with_two_vlan_tags_is_not_received", || {
        let (port, guest) = veth("port0", "guest0");
        let (socket, sender) = (bound(&port), bound(&guest));
        send(&sender, &tagged(7, &tagged(5, &discover(20))));
        send(&sender, &discover(20));
        assert_eq!(receive(&socket), [seen(&port, &discover(20))]);
    });
}

#[test]
fn a_segmentation_offload_frame_of_60_kb_is_not_received() {
    in_a_namespace("a_segmentation_offload_frame_of_60_kb_is_not_received", || {
        let (port, guest) = veth("port0", "guest0");
        ip("addr add 192.0.2.2/24 dev guest0");
        ip("neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev guest0");
        let socket = bound(&port);
        let udp = std::net::UdpSocket::bind("192.0.2.2:68").unwrap();
        let (packets, bytes) = (counter("rx_packets"), counter("rx_bytes"));

        setsockopt(&udp, sockopt::UdpGsoSegment, &1_400).unwrap();
        udp.send_to(&[7; 60_000], "192.0.2.1:67").unwrap();
        assert_eq!(counter("rx_packets") - packets, 1, "the guest's kernel cut the frame itself");
        assert!(counter("rx_bytes") - bytes > 60_000);

        udp.send_to(&[7; 300], "192.0.2.1:67").unwrap();
        let received = receive(&socket);
        assert_eq!(received.len(), 1);
        assert_eq!(received[0].bytes.len(), 42 + 300);
        assert!(received[0].checksum_pending, "veth leaves the checksum to nobody");
        assert_eq!(guest.mtu, 1_500);
    });
}

#[test]
fn what_goes_to_the_guest_is_not_received() {
    in_a_namespace("what_goes_to_the_guest_is_not_received", || {
        let (port, guest) = veth("port0", "guest0");
        let (socket, switch, witness) = (bound(&port), bound(&port), bound(&guest));
        for sender in [&socket, &switch] {
            send(sender, &udp(67, 68, 20));
            assert_eq!(receive(&witness), [seen(&guest, &udp(67, 68, 20))]);
        }
        assert_eq!(receive_now(&socket).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    });
}

#[test]
fn a_batch_sends_32_frames_and_receives_16() {
    in_a_namespace("a_batch_sends_32_frames_and_receives_16", || {
        let (port, guest) = veth("port0", "guest0");
        let (socket, sender) = (bound(&port), bound(&guest));
        let frames: Vec<_> = (0..40).map(discover).collect();
        let sent = sender.send_batch(frames.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(sent, PacketSocket::SEND_MAX);
        assert_eq!(sender.send_batch(frames.iter().skip(sent).map(Vec::as_slice)).unwrap(), 8);
        assert_eq!(sender.send_batch([].into_iter()).unwrap(), 0);

        let mut received = Vec::new();
        while received.len() < frames.len() {
            let some = receive(&socket);
            assert!(some.len() <= RecvBatch::SLOTS);
            received.extend(some);
        }
        let expected: Vec<_> = frames.iter().map(|frame| seen(&port, frame)).collect();
        assert_eq!(received, expected);
    });
}

#[test]
fn a_frame_longer_than_the_mtu_is_refused_and_those_before_it_go() {
    in_a_namespace("a_frame_longer_than_the_mtu_is_refused_and_those_before_it_go", || {
        let (port, guest) = veth("port0", "guest0");
        let (socket, witness) = (bound(&port), bound(&guest));
        let frames = [udp(67, 68, 20), udp(67, 68, 1_600)];
        assert_eq!(socket.send_batch(frames.iter().map(Vec::as_slice)).unwrap(), 1);
        let error = socket.send_batch(frames[1..].iter().map(Vec::as_slice)).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::EMSGSIZE));
        assert_eq!(receive(&witness), [seen(&guest, &frames[0])]);
    });
}

#[test]
fn after_a_rebind_each_frame_tells_its_link() {
    in_a_namespace("after_a_rebind_each_frame_tells_its_link", || {
        let (port, guest) = veth("port0", "guest0");
        let (other_port, other_guest) = veth("port1", "guest1");
        let (socket, witness) = (bound(&port), bound(&port));
        send(&bound(&guest), &discover(1));
        wait(&socket);
        socket.bind(other_port.ifindex, Way::In).unwrap();

        receive(&witness);
        send(&bound(&guest), &discover(2));
        receive(&witness);
        send(&bound(&other_guest), &discover(3));
        let mut received = receive(&socket);
        while received.len() < 2 {
            received.extend(receive(&socket));
        }
        assert_eq!(received, [seen(&port, &discover(1)), seen(&other_port, &discover(3))]);
    });
}

#[test]
fn a_deleted_link_is_reported_once_and_bind_revives_the_socket() {
    in_a_namespace("a_deleted_link_is_reported_once_and_bind_revives_the_socket", || {
        let (port, _) = veth("port0", "guest0");
        let socket = bound(&port);
        ip("link del port0");
        assert!(is_link_down(&receive_now(&socket).unwrap_err()));
        assert_eq!(receive_now(&socket).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(is_link_down(&socket.bind(port.ifindex, Way::In).unwrap_err()));

        let (port, guest) = veth("port0", "guest0");
        let (sender, witness) = (bound(&guest), bound(&port));
        send(&sender, &discover(1));
        receive(&witness);
        assert_eq!(receive_now(&socket).unwrap_err().kind(), io::ErrorKind::WouldBlock);

        socket.bind(port.ifindex, Way::In).unwrap();
        send(&sender, &udp(68, 53, 20));
        send(&sender, &discover(2));
        assert_eq!(receive(&socket), [seen(&port, &discover(2))]);
    });
}

#[test]
fn a_link_that_is_down_is_reported_once_and_works_when_it_is_up() {
    in_a_namespace("a_link_that_is_down_is_reported_once_and_works_when_it_is_up", || {
        let (port, guest) = veth("port0", "guest0");
        ip("link set port0 down");
        let socket = PacketSocket::open(Filter::Configuration).unwrap();
        socket.bind(port.ifindex, Way::In).unwrap();
        assert!(is_link_down(&receive_now(&socket).unwrap_err()));
        let error = socket.send_batch([discover(1).as_slice()].into_iter()).unwrap_err();
        assert!(is_link_down(&error));
        ip("link set port0 up");
        assert_eq!([once_up("port0"), once_up("guest0")], [port.clone(), guest.clone()]);
        send(&bound(&guest), &discover(2));
        assert_eq!(receive(&socket), [seen(&port, &discover(2))]);
    });
}

#[test]
fn an_opened_socket_serves_a_thread_without_capabilities() {
    in_a_namespace("an_opened_socket_serves_a_thread_without_capabilities", || {
        let (port, guest) = veth("port0", "guest0");
        let witness = bound(&guest);
        let opened = OwnedFd::from(PacketSocket::open(Filter::Configuration).unwrap());
        // From here on this thread has none; those that it makes have none either.
        sandbox::drop_capabilities().unwrap();
        let refused = PacketSocket::open(Filter::Configuration).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert!(refused.to_string().contains("AmbientCapabilities=CAP_NET_RAW"), "{refused}");

        let socket = PacketSocket::from_fd(opened, Filter::Configuration);
        socket.bind(port.ifindex, Way::In).unwrap();
        send(&witness, &discover(1));
        assert_eq!(receive(&socket), [seen(&port, &discover(1))]);
        send(&socket, &udp(67, 68, 20));
        assert_eq!(receive(&witness), [seen(&guest, &udp(67, 68, 20))]);
    });
}

#[test]
fn a_full_queue_is_counted() {
    in_a_namespace("a_full_queue_is_counted", || {
        let (port, guest) = veth("port0", "guest0");
        let (socket, sender) = (bound(&port), bound(&guest));
        for _ in 0..1_000 {
            send(&sender, &discover(20));
        }
        let dropped = usize::try_from(socket.queue_drops().unwrap()).unwrap();
        assert!(dropped > 0);
        let mut queued = 0;
        while let Ok(frames) = receive_now(&socket) {
            queued += frames.len();
        }
        assert_eq!(queued + dropped, 1_000);
        assert_eq!(socket.queue_drops().unwrap(), 0);
    });
}

#[test]
fn many_sockets_close_side_by_side() {
    in_a_namespace("many_sockets_close_side_by_side", || {
        let sockets: Vec<_> =
            (0..200).map(|_| PacketSocket::open(Filter::Configuration).unwrap()).collect();
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        close_side_by_side(sockets);
        assert_eq!(open(), before - 200);
        close_side_by_side(Vec::new());
    });
}

#[test]
fn the_runtime_wakes_for_frames_and_for_a_deleted_link() {
    in_a_namespace("the_runtime_wakes_for_frames_and_for_a_deleted_link", || {
        let (port, guest) = veth("port0", "guest0");
        let sender = bound(&guest);
        run(async {
            let socket = AsyncPacketSocket::new(bound(&port)).unwrap();
            let mut batch = RecvBatch::new();
            for first in [0, 20] {
                let frames: Vec<_> = (first..first + 20).map(discover).collect();
                assert_eq!(sender.send_batch(frames.iter().map(Vec::as_slice)).unwrap(), 20);
                let mut received = 0;
                while received < 20 {
                    let mut wake = soon(socket.readable()).await.unwrap();
                    received += wake.recv_batch(&mut batch).unwrap();
                    assert_eq!(batch.frames().count().min(1), usize::from(received > 0));
                }
                assert_eq!(received, 20);
            }
            ip("link del port0");
            let error = loop {
                let mut wake = soon(socket.readable()).await.unwrap();
                if let Err(error) = wake.recv_batch(&mut batch) {
                    break error;
                }
            };
            assert!(is_link_down(&error));
            assert_eq!(batch.frames().count(), 0);

            let (port, guest) = veth("port0", "guest0");
            socket.socket().bind(port.ifindex, Way::In).unwrap();
            send(&bound(&guest), &discover(1));
            let received = loop {
                let mut wake = soon(socket.readable()).await.unwrap();
                if wake.recv_batch(&mut batch).unwrap() > 0 {
                    break contents(&batch);
                }
            };
            assert_eq!(received, [seen(&port, &discover(1))]);
        });
    });
}

#[test]
fn the_link_watcher_tells_a_snapshot_then_changes() {
    in_a_namespace("the_link_watcher_tells_a_snapshot_then_changes", || {
        run(async {
            let mut watcher = LinkWatcher::new().unwrap();
            let LinkEvent::Snapshot(links) = soon(watcher.next()).await.unwrap() else {
                panic!("no snapshot");
            };
            let names: Vec<_> = links.iter().map(|link| link.name.as_str()).collect();
            assert!(names.contains(&"lo"), "{names:?}");

            let (port, _) = veth("port0", "guest0");
            assert_eq!(port.mac.map(|mac| mac.to_string()).as_deref(), Some(PORT_MAC));
            until(&mut watcher, &LinkEvent::Changed(port.clone())).await;

            ip("link set port0 down");
            until(&mut watcher, &LinkEvent::Changed(Link { up: false, ..port.clone() })).await;
            ip("link set port0 name tap7 mtu 1400 up");
            let renamed = Link { name: "tap7".to_owned(), mtu: 1_400, ..port.clone() };
            until(&mut watcher, &LinkEvent::Changed(renamed)).await;

            ip("link del tap7");
            let removed = LinkEvent::Removed { ifindex: port.ifindex, name: "tap7".to_owned() };
            until(&mut watcher, &removed).await;
        });
    });
}

#[test]
fn a_port_that_leaves_its_bridge_is_not_removed() {
    in_a_namespace("a_port_that_leaves_its_bridge_is_not_removed", || {
        let (port, _) = veth("port0", "guest0");
        ip("link add br0 type bridge");
        ip("link set port0 master br0");
        run(async {
            let mut watcher = LinkWatcher::new().unwrap();
            soon(watcher.next()).await.unwrap();
            ip("link set port0 nomaster");
            ip("link set port0 mtu 1300");
            loop {
                match soon(watcher.next()).await.unwrap() {
                    LinkEvent::Changed(link) if link.ifindex == port.ifindex => {
                        assert_eq!(link.name, "port0");
                        if link.mtu == 1_300 {
                            break;
                        }
                    }
                    event @ LinkEvent::Removed { .. } => panic!("{event:?}"),
                    LinkEvent::Changed(_) | LinkEvent::Snapshot(_) => {}
                }
            }
        });
    });
}

#[test]
fn after_missed_messages_the_watcher_tells_a_snapshot() {
    in_a_namespace("after_missed_messages_the_watcher_tells_a_snapshot", || {
        run(async {
            let mut watcher = LinkWatcher::new().unwrap();
            soon(watcher.next()).await.unwrap();
            // The runtime has one thread, which does not read netlink while this goes on.
            let (port, _) = veth("port0", "guest0");
            let script: String =
                (0..1_000).map(|n| format!("link set guest0 mtu {}\n", 1_280 + n % 2)).collect();
            ip_batch(&script);
            loop {
                if let LinkEvent::Snapshot(links) = soon(watcher.next()).await.unwrap() {
                    let mut indexes = links.iter().map(|link| link.ifindex);
                    assert!(indexes.any(|index| index == port.ifindex));
                    break;
                }
            }
        });
    });
}

/// What a test compares of a received frame.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    ifindex: u32,
    bytes: Vec<u8>,
    vlan: Option<u16>,
    checksum_pending: bool,
    truncated: bool,
}

/// An untagged, whole frame on `link`.
fn seen(link: &Link, bytes: &[u8]) -> Seen {
    let bytes = bytes.to_vec();
    let ifindex = link.ifindex;
    Seen { ifindex, bytes, vlan: None, checksum_pending: false, truncated: false }
}

fn contents(batch: &RecvBatch) -> Vec<Seen> {
    let frames = batch.frames().map(|received| Seen {
        ifindex: received.ifindex,
        bytes: received.frame.bytes.to_vec(),
        vlan: received.frame.vlan,
        checksum_pending: received.frame.checksum_pending,
        truncated: received.frame.truncated,
    });
    frames.collect()
}

fn receive_now(socket: &PacketSocket) -> io::Result<Vec<Seen>> {
    let mut batch = RecvBatch::new();
    let count = socket.recv_batch(&mut batch)?;
    let received = contents(&batch);
    assert_eq!(received.len(), count);
    Ok(received)
}

fn receive(socket: &PacketSocket) -> Vec<Seen> {
    wait(socket);
    receive_now(socket).unwrap()
}

/// Waits until the socket has something queued.
fn wait(socket: &PacketSocket) {
    let mut fds = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, PollTimeout::try_from(PATIENCE).unwrap()).unwrap(), 1, "silence");
}

fn send(socket: &PacketSocket, frame: &[u8]) {
    assert_eq!(socket.send_batch([frame].into_iter()).unwrap(), 1);
}

fn bound(link: &Link) -> PacketSocket {
    let socket = PacketSocket::open(Filter::Configuration).unwrap();
    socket.bind(link.ifindex, Way::In).unwrap();
    socket
}

/// A frame with `fill` bytes of UDP payload.
fn udp(source: u16, destination: u16, fill: usize) -> Vec<u8> {
    let udp_length = u16::try_from(8 + fill).unwrap();
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9, 0x08, 0x00, 0x45, 0]);
    frame.extend((20 + udp_length).to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
    frame.extend([source, destination, udp_length, 0].map(u16::to_be_bytes).concat());
    frame.resize(frame.len() + fill, 0);
    frame
}

/// A frame that the filter lets pass; `fill` tells it from others.
fn discover(fill: usize) -> Vec<u8> {
    udp(68, 67, fill)
}

fn tagged(tci: u16, frame: &[u8]) -> Vec<u8> {
    let (addresses, rest) = frame.split_at(12);
    [addresses, &[0x81, 0x00], &tci.to_be_bytes(), rest].concat()
}

/// Makes a pair of links with both ends up; the first is the port.
fn veth(port: &str, guest: &str) -> (Link, Link) {
    let mac = if port == "port0" { PORT_MAC } else { "02:00:00:00:00:02" };
    // Duplicate address detection and router solicitations would come in between.
    for name in ["all", "default"] {
        std::fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1").unwrap();
    }
    ip(&format!("link add {port} address {mac} type veth peer name {guest}"));
    ip(&format!("link set {guest} up"));
    ip(&format!("link set {port} up"));
    (once_up(port), once_up(guest))
}

/// Returns the link when frames sent on it are no longer lost.
fn once_up(name: &str) -> Link {
    run(soon(async {
        let mut watcher = LinkWatcher::new().unwrap();
        loop {
            let links = match watcher.next().await.unwrap() {
                LinkEvent::Snapshot(links) => links,
                LinkEvent::Changed(link) => vec![link],
                LinkEvent::Removed { .. } => Vec::new(),
            };
            if let Some(link) = links.into_iter().find(|link| link.name == name && link.up) {
                return link;
            }
        }
    }))
}

fn counter(name: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/sys/class/net/port0/statistics/{name}"));
    text.unwrap().trim().parse().unwrap()
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {arguments}: {output:?}");
}

fn ip_batch(script: &str) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let output = Command::new("ip").arg("-batch").arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Waits for one event, past others that the kernel tells on the way.
async fn until(watcher: &mut LinkWatcher, wanted: &LinkEvent) {
    while soon(watcher.next()).await.unwrap() != *wanted {}
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("nothing happened")
}

/// Runs a future on a runtime of its own, on another thread if there is one here already.
fn run<T: Send>(future: impl Future<Output = T> + Send) -> T {
    let block_on = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(future)
    };
    std::thread::scope(|scope| scope.spawn(block_on).join().unwrap())
}

/// Runs `body` in a new network namespace, where this test is started once more.
fn in_a_namespace(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    // A mount namespace with its own /sys shows the links of the network namespace.
    let script = "mount -t sysfs none /sys && exec \"$0\" --exact \"$1\" --nocapture";
    command.args(["--net", "--mount", "--", "sh", "-c", script]);
    command.arg(std::env::current_exe().unwrap()).arg(test).env(INSIDE, "1");
    let output = command.output().expect("unshare of util-linux is needed");
    let told = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}

const INSIDE: &str = "LEASEHOLD_TEST_INSIDE_NAMESPACE";
const PORT_MAC: &str = "02:00:00:00:00:01";
/// How long a test waits for what must come before it fails.
const PATIENCE: Duration = Duration::from_secs(10);
