//! Client, pool and server together; the server runs on a thread, which has its own capabilities.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::poll;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use socket2::SockRef;

use super::protocol::{Refusal, Request, encode_answer};
use super::{BrokerClient, SocketPool, server};
use crate::net::Filter;
use crate::sandbox;

#[tokio::test]
async fn a_broker_without_cap_net_raw_says_what_would_help() {
    let (client, broker) = start(Vec::new(), || sandbox::drop_capabilities().unwrap());
    let error = client.sockets(Filter::Configuration, 1).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("CAP_NET_RAW is missing"), "{error}");
    drop(client);
    broker.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_named_unix_socket_is_connected_without_blocking() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let (client, _broker) = start(vec!["/nowhere".into(), path.clone()], || {});
    let mut stream =
        tokio::net::UnixStream::from_std(client.connect_unix(&path).await.unwrap()).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    io::Write::write_all(&mut accepted, b"hello").unwrap();
    let mut bytes = [0; 5];
    soon(tokio::io::AsyncReadExt::read_exact(&mut stream, &mut bytes)).await.unwrap();
    assert_eq!(&bytes, b"hello");
}

#[tokio::test]
async fn a_unix_socket_that_was_not_named_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.sock");
    let _listener = UnixListener::bind(&path).unwrap();
    let (client, _broker) = start(vec![folder.path().join("db.sock")], || {});
    let error = client.connect_unix(&path).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert!(error.to_string().contains("not started with this path"), "{error}");
}

#[tokio::test]
async fn a_failed_connect_keeps_its_kind_and_names_the_path() {
    let path = PathBuf::from("/nowhere/db.sock");
    let (client, _broker) = start(vec![path.clone()], || {});
    let error = client.connect_unix(&path).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().starts_with("connecting to /nowhere/db.sock: "), "{error}");
}

#[tokio::test]
async fn a_broker_that_has_ended_is_told() {
    let (client, theirs) = pair(Vec::new());
    drop(theirs);
    for _ in 0..2 {
        let error = client.sockets(Filter::Configuration, 1).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(error.to_string().contains("it has ended"), "{error}");
    }
}

#[tokio::test]
async fn a_broker_that_ends_before_it_answers_is_told() {
    let (client, theirs) = pair(Vec::new());
    let mut asking = Box::pin(client.sockets(Filter::Configuration, 1));
    while !arrived(&theirs) {
        assert!(poll!(asking.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    drop(theirs);
    assert_eq!(soon(asking).await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn the_answer_to_a_request_that_was_given_up_is_skipped() {
    let path = PathBuf::from("/nowhere/db.sock");
    let (client, theirs) = pair(vec![path.clone()]);
    let mut given_up = Box::pin(client.sockets(Filter::Configuration, 1));
    while !arrived(&theirs) {
        assert!(poll!(given_up.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    drop(given_up);
    let stale = Refusal { errno: 0, text: "for the one that gave up".to_owned() };
    let stale = encode_answer(1, Some(&stale));
    send(theirs.as_raw_fd(), &stale, MsgFlags::empty()).unwrap();
    let _broker = serve(theirs, vec![path.clone()], || {});
    let error = soon(client.connect_unix(&path)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_message_that_is_no_request_is_not_answered() {
    let (ours, theirs) = sockets();
    let broker = serve(theirs, Vec::new(), || sandbox::drop_capabilities().unwrap());
    for bytes in [&[7][..], &[0xff; 10], &[1; 64]] {
        send(ours.as_raw_fd(), bytes, MsgFlags::empty()).unwrap();
    }
    send(
        ours.as_raw_fd(),
        &Request::OpenSockets(Filter::Configuration, 1).encode(9),
        MsgFlags::empty(),
    )
    .unwrap();
    let mut answer = [0; 600];
    let length = recv(ours.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
    assert!(length > 12);
    assert_eq!(answer[..8], 9_u64.to_be_bytes());
    drop(ours);
    broker.join().unwrap().unwrap();
}

#[test]
fn the_pool_asks_in_batches_for_the_filter_that_is_wanted() {
    with_capabilities(
        "broker::tests::the_pool_asks_in_batches_for_the_filter_that_is_wanted",
        async {
            let (client, _broker) = start(Vec::new(), || {});
            let pool = SocketPool::new(client);
            pool.take(Filter::Configuration).await.unwrap();
            assert_eq!(pool.take_all().len(), 7);

            pool.prepare(Filter::Configuration, 100).await.unwrap();
            assert_eq!(pool.take_all().len(), 100);

            // A socket goes to nobody who wants another filter.
            pool.prepare(Filter::Configuration, 3).await.unwrap();
            let echo = pool.take(Filter::ConfigurationAndEcho).await.unwrap();
            assert_eq!(echo.filter(), Filter::ConfigurationAndEcho);
            assert_eq!(pool.take_all().len(), 3 + 7);
        },
    );
}

/// Runs the server on a thread of its own, after `prepare`.
fn serve(
    channel: OwnedFd,
    unix_sockets: Vec<PathBuf>,
    prepare: fn(),
) -> JoinHandle<io::Result<()>> {
    std::thread::spawn(move || {
        prepare();
        server::serve(channel.as_fd(), &unix_sockets)
    })
}

fn start(unix_sockets: Vec<PathBuf>, prepare: fn()) -> (BrokerClient, JoinHandle<io::Result<()>>) {
    let (client, theirs) = pair(unix_sockets.clone());
    (client, serve(theirs, unix_sockets, prepare))
}

fn pair(unix_sockets: Vec<PathBuf>) -> (BrokerClient, OwnedFd) {
    let (ours, theirs) = sockets();
    SockRef::from(&ours).set_nonblocking(true).unwrap();
    (BrokerClient::new(ours, unix_sockets), theirs)
}

fn sockets() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap()
}

/// Tells whether a request has come, and takes it.
fn arrived(theirs: &OwnedFd) -> bool {
    recv(theirs.as_raw_fd(), &mut [0; 32], MsgFlags::MSG_DONTWAIT).is_ok()
}

async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("nothing happened")
}

/// Runs the test once more in a network namespace, where it may open packet sockets.
fn with_capabilities(test: &str, body: impl Future<Output = ()>) {
    const INSIDE: &str = "LEASEHOLD_TEST_INSIDE_NAMESPACE";
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(body);
    }
    let mut command = Command::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command.arg("--net").arg("--").arg(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test]).env(INSIDE, "1").output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}
