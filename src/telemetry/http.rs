//! `/metrics`, `/healthz` and `/readyz` over HTTP/1 (RFC 9112).
//!
//! A few connections at once, one request each, a few seconds for it: whoever reaches the address
//! can take no more than that. `/healthz` says that the process runs, `/readyz` that it serves.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time;

use super::Metrics;

/// Whether the daemon serves its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// Every source has spoken, the store is loaded.
    Ready,
    /// Not yet, and why, in one line.
    NotReady(String),
}

/// An address could not be listened on, and what would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BindError(pub String);

/// Opens the metrics address.
///
/// # Errors
/// [`BindError`] that names the address and what would help.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|error| {
        let help = match error.kind() {
            io::ErrorKind::AddrInUse => "another program listens there: choose another port",
            io::ErrorKind::AddrNotAvailable => "no interface of this node has that address",
            io::ErrorKind::PermissionDenied => "choose a port above 1023",
            _ => "choose another address",
        };
        BindError(format!(
            "listening on {address} for metrics: {error}: {help}, or set [metrics] listen = \"\" \
             to go without"
        ))
    })
}

/// Serves until `shutdown` is done; open connections are closed with it.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    readiness: impl Fn() -> Readiness + Send + Sync + 'static,
    shutdown: impl Future<Output = ()>,
) {
    let readiness = Arc::new(readiness);
    let mut shutdown = std::pin::pin!(shutdown);
    // Dropped with this function, it ends what is open.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = &mut shutdown => return,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    let metrics = Arc::clone(&metrics);
                    let readiness = Arc::clone(&readiness);
                    connections.spawn(async move {
                        converse(stream, &metrics, &*readiness).await;
                    });
                }
                // No descriptor or no memory: what is open must end first.
                Err(_) => time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

/// Answers one request and closes the connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    metrics: &Metrics,
    readiness: &(impl Fn() -> Readiness + Sync),
) {
    let service = service_fn(|request: Request<_>| async move {
        Ok::<_, Infallible>(respond(&request, metrics, readiness))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(MAX_BUFFER)
        .serve_connection(TokioIo::new(stream), service);
    // Whatever went wrong is the peer's business: it asks again.
    let _ = time::timeout(TIMEOUT, connection).await;
}

fn respond<B>(
    request: &Request<B>,
    metrics: &Metrics,
    readiness: &impl Fn() -> Readiness,
) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => {
            let mut response = text(StatusCode::OK, metrics.render());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE));
            response
        }
        "/healthz" => text(StatusCode::OK, "ok\n"),
        "/readyz" => match readiness() {
            Readiness::Ready => text(StatusCode::OK, "ready\n"),
            Readiness::NotReady(reason) => {
                text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n"))
            }
        },
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz\n"),
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(TEXT_TYPE));
    response
}

const TEXT_TYPE: &str = "text/plain; charset=utf-8";

/// The text form's own type.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const MAX_CONNECTIONS: usize = 8;

/// The least that hyper takes.
const MAX_BUFFER: usize = 8_192;

const HEADER_TIMEOUT: Duration = Duration::from_secs(2);

/// For the whole of one connection.
const TIMEOUT: Duration = Duration::from_secs(10);

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::oneshot;

    use super::*;

    /// Sends `request` and returns all of the answer.
    async fn ask(request: &str, readiness: Readiness) -> String {
        let metrics = Metrics::new().unwrap();
        let (mut ours, theirs) = tokio::io::duplex(65_536);
        ours.write_all(request.as_bytes()).await.unwrap();
        converse(theirs, &metrics, &|| readiness.clone()).await;
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_come_in_the_text_form() {
        let answer = ask("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", Readiness::Ready).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("\nleasehold_build_info{version="), "{answer}");
    }

    #[tokio::test]
    async fn readyz_says_why_it_is_not_ready_and_healthz_does_not_care() {
        let not_ready = Readiness::NotReady("source ovsdb has not answered".to_owned());
        let answer = ask("GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n", not_ready.clone()).await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(answer.ends_with("\r\n\r\nnot ready: source ovsdb has not answered\n"), "{answer}");
        let answer = ask("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n", not_ready).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let answer = ask("GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n", Readiness::Ready).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    #[tokio::test]
    async fn a_head_request_gets_no_body() {
        let answer = ask("HEAD /healthz HTTP/1.1\r\nhost: x\r\n\r\n", Readiness::Ready).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\n"), "{answer}");
        assert!(answer.contains("content-length: 3\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        let answer = ask("GET / HTTP/1.1\r\nhost: x\r\n\r\n", Readiness::Ready).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
        let answer =
            ask("POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", Readiness::Ready)
                .await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
        assert!(answer.contains("allow: GET, HEAD\r\n"), "{answer}");
    }

    #[tokio::test]
    async fn a_head_that_is_too_large_ends_the_connection() {
        let request = format!("GET /metrics HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(20_000));
        let answer = ask(&request, Readiness::Ready).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }

    #[tokio::test]
    async fn an_address_in_use_is_named_with_what_would_help() {
        let first = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = first.local_addr().unwrap();
        let BindError(text) = bind(address).await.unwrap_err();
        assert!(text.contains(&address.to_string()), "{text}");
        assert!(text.contains("another program") && text.contains("[metrics] listen"), "{text}");
    }

    #[tokio::test]
    async fn a_connection_beyond_the_bound_is_served_when_another_goes_and_all_end_at_shutdown() {
        let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(serve(
            listener,
            Arc::new(Metrics::new().unwrap()),
            || Readiness::Ready,
            async { stopped.await.unwrap_or(()) },
        ));
        let mut idle = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            idle.push(TcpStream::connect(address).await.unwrap());
        }
        // The ninth is served as soon as one of the eight goes.
        let mut ninth = TcpStream::connect(address).await.unwrap();
        ninth.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        drop(idle.pop());
        let mut answer = String::new();
        ninth.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

        stop.send(()).unwrap();
        server.await.unwrap();
        let mut buffer = [0; 1];
        for mut stream in idle {
            assert_eq!(stream.read(&mut buffer).await.unwrap_or(0), 0);
        }
    }
}
