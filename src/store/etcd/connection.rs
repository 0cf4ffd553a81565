//! The connection to one etcd member at a time, and calls that move on to the next when it fails.
//!
//! Every call has a limit, and HTTP/2 pings find a path that has died without a word. Whatever goes
//! wrong, the connection is made anew: that also logs in anew, which is what an expired token and a
//! changed set of users ask for.

use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Error, Identity, TlsOptions};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::config;
use crate::store::StoreError;

/// Calls etcd; shared by whoever needs it.
#[derive(Debug)]
pub(super) struct Connection {
    config: config::Etcd,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    client: Option<Client>,
    /// Counts connections: a call that failed on an older one says nothing of this one.
    generation: u64,
    /// Which endpoint is next, modulo their number.
    endpoint: usize,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("generation", &self.generation).finish_non_exhaustive()
    }
}

impl Connection {
    /// Takes the configuration; connects at the first call, first to the endpoint that `node`'s
    /// name picks, so that nodes spread over the members.
    pub(super) fn new(config: config::Etcd, node: &str) -> Self {
        let endpoint = usize::try_from(crc32fast::hash(node.as_bytes())).unwrap_or(0);
        Self { config, state: Mutex::new(State { endpoint, ..State::default() }) }
    }

    /// Makes one call, which must not matter when it is made twice: at a member that fails it is
    /// tried again with the next one, each of them once and the first once more.
    ///
    /// # Errors
    /// [`StoreError`] if no member answered.
    pub(super) async fn call<T, F>(
        &self,
        doing: &str,
        ask: impl Fn(Client) -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut fault = String::new();
        for _ in 0..=self.config.endpoints.len() {
            let (client, generation) = match self.client().await {
                Ok(connected) => connected,
                Err(error) => {
                    fault = error;
                    continue;
                }
            };
            match timeout(CALL, ask(client)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => fault = words(&error),
                Err(_) => fault = format!("no answer within {} s", CALL.as_secs()),
            }
            self.drop_client(generation).await;
        }
        let endpoints = self.config.endpoints.join(", ");
        Err(StoreError(format!("{doing} in etcd at {endpoints}: {fault}")))
    }

    /// Tells whether a member accepts connections: a handshake of TCP, which costs etcd nothing.
    pub(super) async fn is_reachable(&self) -> bool {
        let places: Option<Vec<String>> = self
            .config
            .endpoints
            .iter()
            .map(|endpoint| place(endpoint).map(str::to_owned))
            .collect();
        // Without a port only the client knows where it is.
        let Some(places) = places else { return true };
        let tries = places.into_iter().map(|place| async move {
            matches!(timeout(PROBE, TcpStream::connect(place)).await, Ok(Ok(_)))
        });
        let mut tries: FuturesUnordered<_> = tries.collect();
        while let Some(is_reachable) = tries.next().await {
            if is_reachable {
                return true;
            }
        }
        false
    }

    async fn client(&self) -> Result<(Client, u64), String> {
        let mut state = self.state.lock().await;
        if let Some(client) = &state.client {
            return Ok((client.clone(), state.generation));
        }
        let count = self.config.endpoints.len().max(1);
        let index = state.endpoint.checked_rem(count).unwrap_or(0);
        let endpoint = self.config.endpoints.get(index).ok_or("no endpoint is configured")?;
        let options = options(&self.config)?;
        let connected = timeout(CALL, Client::connect([endpoint], Some(options))).await;
        match connected {
            Ok(Ok(client)) => {
                state.client = Some(client.clone());
                state.generation = state.generation.wrapping_add(1);
                Ok((client, state.generation))
            }
            Ok(Err(error)) => {
                state.endpoint = state.endpoint.wrapping_add(1);
                Err(words(&error))
            }
            Err(_) => {
                state.endpoint = state.endpoint.wrapping_add(1);
                Err(format!("no connection within {} s", CALL.as_secs()))
            }
        }
    }

    async fn drop_client(&self, generation: u64) {
        let mut state = self.state.lock().await;
        if state.generation == generation && state.client.take().is_some() {
            state.endpoint = state.endpoint.wrapping_add(1);
        }
    }
}

/// Returns the host and port of an endpoint; `None`: it names no port.
fn place(endpoint: &str) -> Option<&str> {
    let (_, rest) = endpoint.split_once("://")?;
    let place = rest.split('/').next()?;
    let (_, port) = place.rsplit_once(':')?;
    port.parse::<u16>().is_ok().then_some(place)
}

/// Reads the files anew at every connection: a renewed certificate or password needs no restart.
fn options(config: &config::Etcd) -> Result<ConnectOptions, String> {
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| format!("reading {}: {error}", path.display()))
    };
    let mut options = ConnectOptions::new()
        .with_connect_timeout(CONNECT)
        .with_keep_alive(PING_EVERY, PING_LIMIT)
        .with_keep_alive_while_idle(true)
        // A member that is cut off from the others says so, where it would wait.
        .with_require_leader(true);
    let secured = config.endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
    if secured {
        let mut tls = TlsOptions::new().with_enabled_roots();
        if let Some(path) = &config.ca_file {
            tls = TlsOptions::new().ca_certificate(Certificate::from_pem(read(path)?));
        }
        if let (Some(certificate), Some(key)) = (&config.cert_file, &config.key_file) {
            tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        options = options.with_tls(tls);
    }
    if let (Some(user), Some(path)) = (&config.username, &config.password_file) {
        let password = String::from_utf8(read(path)?)
            .map_err(|_| format!("reading {}: it is not UTF-8 text", path.display()))?;
        options = options.with_user(user, password.trim_end_matches(['\r', '\n']));
    }
    Ok(options)
}

/// Says in one line what went wrong; a transport error keeps its cause to itself otherwise.
pub(super) fn words(error: &Error) -> String {
    use std::error::Error as _;
    // etcd's error names no source; what it holds does.
    let (mut text, mut source) = match error {
        Error::GRpcStatus(status) => (status.message().to_owned(), status.source()),
        Error::TransportError(error) => (error.to_string(), error.source()),
        other => (other.to_string(), None),
    };
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) && !more.contains("status:") && more != "transport error" {
            text = format!("{text}: {more}");
        }
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How long one call may take. A healthy etcd takes milliseconds.
const CALL: Duration = Duration::from_secs(2);

/// How long a TCP and TLS connection may take.
const CONNECT: Duration = Duration::from_secs(1);

/// How long a handshake of TCP may take when a member is only looked for.
const PROBE: Duration = Duration::from_millis(400);

/// How often a quiet connection is tried.
const PING_EVERY: Duration = Duration::from_secs(10);

/// How long the answer to that may take.
const PING_LIMIT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_does_not_run_is_said_to_refuse_the_connection() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(async {
            let mut client = Client::connect([endpoint], None).await?;
            client.get("key", None).await.map(|_| ())
        });
        let text = words(&error.unwrap_err());
        assert!(text.contains("onnection refused") && !text.contains('\n'), "{text}");
        assert!(!text.contains("transport error"), "{text}");
    }

    #[test]
    fn an_endpoint_is_looked_for_at_its_host_and_port() {
        for (endpoint, expected) in [
            ("https://192.0.2.1:2379", Some("192.0.2.1:2379")),
            ("http://[2001:db8::1]:2379/", Some("[2001:db8::1]:2379")),
            ("http://etcd.example:2379/path", Some("etcd.example:2379")),
            ("http://etcd.example", None),
            ("http://[2001:db8::1]", None),
            ("etcd.example:2379", None),
        ] {
            assert_eq!(place(endpoint), expected, "{endpoint}");
        }
    }
}
