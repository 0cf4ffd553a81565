//! The client's side of the control socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ExitStatus, Failure};
use crate::config;
use crate::control::{Answer, Request};

/// Finds the control socket. Files that are broken elsewhere do not hide the daemon: its answer is
/// what the admin wants then.
pub(super) fn socket(path: &Path) -> Result<PathBuf, Failure> {
    if let Some(socket) = config::control_socket_of(path) {
        return Ok(socket);
    }
    match config::load(path) {
        Ok(config) => Ok(config.control_socket),
        Err(_) if path.is_file() => Ok(PathBuf::from(config::CONTROL_SOCKET)),
        Err(errors) => Err(Failure::new(ExitStatus::Config, errors.to_string())),
    }
}

/// Asks the daemon one thing.
pub(super) fn ask(socket: &Path, request: &Request) -> Result<Answer, Failure> {
    let stream = UnixStream::connect(socket).map_err(|error| unreachable_daemon(socket, &error))?;
    exchange(stream, request).map_err(|error| {
        let text = format!("asking the daemon at {}: {error}", socket.display());
        Failure::new(ExitStatus::Unavailable, text)
    })
}

/// Says that an answer is not of the kind that was asked for.
pub(super) fn unexpected(answer: Answer) -> Failure {
    match answer {
        Answer::Error(text) => Failure::new(ExitStatus::Software, text),
        other => Failure::new(
            ExitStatus::Software,
            format!("the daemon answered something else than was asked: {other:?}"),
        ),
    }
}

fn exchange(mut stream: UnixStream, request: &Request) -> io::Result<Answer> {
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    match stream.write_all(line.as_bytes()) {
        // It has said why it reads no further.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::other("it closed the connection without an answer"));
    }
    Ok(serde_json::from_str(&answer)?)
}

/// Says that nobody answers at the socket.
pub(super) fn unreachable_daemon(socket: &Path, error: &io::Error) -> Failure {
    let socket = socket.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::new(
            ExitStatus::Unavailable,
            format!(
                "no daemon answers at {socket}; start it with `leasehold run` or `systemctl start \
                 leasehold`"
            ),
        ),
        io::ErrorKind::PermissionDenied => Failure::new(
            ExitStatus::NoPermission,
            format!(
                "connecting to {socket}: permission denied; ask as root or as the daemon's user"
            ),
        ),
        _ => Failure::new(ExitStatus::Unavailable, format!("connecting to {socket}: {error}")),
    }
}

/// A reload reads files and waits for nothing else; half a minute is a daemon that hangs.
const LIMIT: Duration = Duration::from_secs(30);
