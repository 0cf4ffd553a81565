//! The local control socket, for those who may open it: one request, one answer, or the lines of a
//! watch.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::watch::Watcher;
use crate::control::{Answer, Request};

/// A request and where what is said to it goes.
pub(super) type Asked = (Request, oneshot::Sender<Said>);

/// What is said to a request.
#[derive(Debug)]
pub(super) enum Said {
    /// One answer.
    Answer(Answer),
    /// One line after the other.
    Watch(Watcher),
}

/// Why the socket could not be had.
#[derive(Debug)]
pub(super) enum ListenError {
    /// Another daemon answers there.
    InUse,
    /// The system refused.
    Io(io::Error),
}

/// The listening socket; its file goes when this is dropped.
#[derive(Debug)]
pub(super) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ControlSocket {
    /// Listens at `path`, for the daemon's own user and root only. A file that a daemon left behind
    /// is taken over; one at which a daemon answers is not.
    pub(super) async fn listen(path: &Path) -> Result<Self, ListenError> {
        if is_in_use(path).await {
            return Err(ListenError::InUse);
        }
        let listen = || {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            let listener = UnixListener::bind(path)?;
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        };
        let listener = listen().map_err(ListenError::Io)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves clients until the task is aborted, a bounded number at once.
    pub(super) async fn serve(self, requests: mpsc::Sender<Asked>) {
        let places = Arc::new(Semaphore::new(CLIENTS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "accepting a control connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let requests = requests.clone();
            tokio::spawn(async move {
                // A client that goes away or never asks is its own affair.
                let served = tokio::time::timeout(CLIENT_LIMIT, client(stream, requests)).await;
                // A watcher stays, and takes nobody's place.
                drop(place);
                if let Ok(Ok(Some((watcher, reader, writer)))) = served {
                    watcher.tell(reader, writer).await;
                }
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Tells whether a daemon answers at `path`. One that was killed a moment ago may still hold the
/// socket while the kernel closes its others: it is given time to be gone.
async fn is_in_use(path: &Path) -> bool {
    let wait = async {
        loop {
            match ask(path).await {
                Asking::Answered => return true,
                Asking::NobodyThere => return false,
                Asking::NoAnswer => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    // Nothing said at all for so long: somebody is there, and hangs.
    tokio::time::timeout(DYING, wait).await.unwrap_or(true)
}

/// What became of one question to whoever has the socket.
enum Asking {
    Answered,
    NoAnswer,
    NobodyThere,
}

async fn ask(path: &Path) -> Asking {
    let Ok(mut stream) = UnixStream::connect(path).await else {
        return Asking::NobodyThere;
    };
    let mut line = serde_json::to_vec(&Request::Status).unwrap_or_default();
    line.push(b'\n');
    let exchange = async {
        stream.write_all(&line).await?;
        stream.read_u8().await
    };
    match exchange.await {
        Ok(_) => Asking::Answered,
        Err(_) => Asking::NoAnswer,
    }
}

/// Serves one client; returns what it watches, if it does.
async fn client(
    stream: UnixStream,
    requests: mpsc::Sender<Asked>,
) -> io::Result<Option<(Watcher, OwnedReadHalf, OwnedWriteHalf)>> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(REQUEST_MAX));
    reader.read_line(&mut line).await?;
    let answer = match serde_json::from_str(&line) {
        Ok(request) => {
            let (answer, answered) = oneshot::channel();
            if requests.send((request, answer)).await.is_err() {
                return Ok(None);
            }
            match answered.await {
                Ok(Said::Answer(answer)) => answer,
                Ok(Said::Watch(watcher)) => {
                    return Ok(Some((watcher, reader.into_inner().into_inner(), writer)));
                }
                Err(_) => Answer::Error("the daemon is ending".to_owned()),
            }
        }
        Err(_) if !line.ends_with('\n') && line.len() as u64 >= REQUEST_MAX => Answer::Error(
            format!("the request is longer than {} MiB; ask for less at once", REQUEST_MAX >> 20),
        ),
        Err(error) => Answer::Error(format!("reading the request: {error}")),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    Ok(None)
}

/// Clients at once; further ones wait to be accepted.
const CLIENTS: usize = 16;

/// The longest request, in bytes: an import of 100,000 leases is about 20 MiB.
const REQUEST_MAX: u64 = 32 << 20;

/// How long a client may take.
const CLIENT_LIMIT: Duration = Duration::from_secs(30);

/// How long to wait after a failed accept, or a socket whose daemon is going.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a killed daemon may take to be gone: thousands of packet sockets close one by one.
const DYING: Duration = Duration::from_secs(10);
