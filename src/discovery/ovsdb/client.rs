//! A JSON-RPC 1.0 client for one connection (RFC 7047 section 4).
//!
//! It knows requests, notifications and the echo that shows that the other side lives; it does
//! not know tables.

use std::io;
use std::marker::PhantomData;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::framing::{FrameError, Framer};
use super::place::{At, Place};

/// One connection to a database server.
#[derive(Debug)]
pub(super) struct Client {
    stream: UnixStream,
    framer: Framer,
    /// How long the server may be silent before it is asked, and after.
    probe: Duration,
    last_id: u64,
}

/// A message as it came: its parts are read where they are wanted, so that a large one is never
/// in memory but as text.
#[derive(Debug)]
pub(super) struct Message {
    text: Vec<u8>,
    head: Head,
}

/// Why a connection is of no more use, or a request was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("reading from the server: {0}")]
    Read(io::Error),
    #[error("writing to the server: {0}")]
    Write(io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server did not answer for {} s", .0.as_secs_f32())]
    Silent(Duration),
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the server sent a message that is not JSON-RPC: {0}")]
    NotRpc(serde_json::Error),
    /// The connection is still good.
    #[error("the server refused {method}: {reason}")]
    Refused { method: &'static str, reason: Refusal },
}

/// What a server answers in place of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("it does not know the method")]
    UnknownMethod,
    #[error("it has no such database")]
    UnknownDatabase,
    #[error("it did not like the request")]
    Other,
}

impl Client {
    pub(super) fn new(stream: UnixStream, probe: Duration) -> Self {
        Self { stream, framer: Framer::default(), probe, last_id: 0 }
    }

    /// Sends a request and waits for its result.
    ///
    /// Notifications that come first are dropped: nothing is watched before the answer to the
    /// request that starts it, and what is watched is sent after that answer.
    pub(super) async fn request(
        &mut self,
        method: &'static str,
        params: &Value,
    ) -> Result<Message, ClientError> {
        self.last_id += 1;
        let id = json!(self.last_id);
        self.send(&json!({"id": id, "method": method, "params": params})).await?;
        loop {
            let message = self.receive().await?;
            if message.head.method.is_none() && message.head.id == id {
                return match &message.head.error {
                    Value::Null => Ok(message),
                    error => Err(ClientError::Refused { method, reason: refusal(error) }),
                };
            }
        }
    }

    /// Waits for the next notification.
    pub(super) async fn notification(&mut self) -> Result<Message, ClientError> {
        loop {
            let message = self.receive().await?;
            if message.head.method.is_some() {
                return Ok(message);
            }
        }
    }

    /// Returns the next message that is not about the connection itself.
    async fn receive(&mut self) -> Result<Message, ClientError> {
        let mut asked = false;
        loop {
            while let Some(text) = self.framer.next()? {
                let head: Head = serde_json::from_slice(&text).map_err(ClientError::NotRpc)?;
                let message = Message { text, head };
                match message.method() {
                    // RFC 7047 section 4.1.11: the parameters go back as they came.
                    Some("echo") => {
                        let params = message.value(Place::field("params"))?;
                        let id = &message.head.id;
                        self.send(&json!({"id": id, "result": params, "error": null})).await?;
                    }
                    None if message.head.id == PROBE_ID => {}
                    Some(_) | None => return Ok(message),
                }
            }
            match timeout(self.probe, self.stream.read_buf(self.framer.buffer())).await {
                Ok(Ok(0)) => return Err(ClientError::Closed),
                Ok(Ok(_)) => asked = false,
                Ok(Err(error)) => return Err(ClientError::Read(error)),
                Err(_) if asked => return Err(ClientError::Silent(self.probe * 2)),
                Err(_) => {
                    asked = true;
                    self.send(&json!({"id": PROBE_ID, "method": "echo", "params": []})).await?;
                }
            }
        }
    }

    async fn send(&mut self, message: &Value) -> Result<(), ClientError> {
        let text = message.to_string();
        match timeout(self.probe, self.stream.write_all(text.as_bytes())).await {
            Ok(written) => written.map_err(ClientError::Write),
            Err(_) => Err(ClientError::Silent(self.probe)),
        }
    }
}

impl Message {
    /// Returns the method of a request or a notification.
    pub(super) fn method(&self) -> Option<&str> {
        self.head.method.as_deref()
    }

    /// Reads what stands in a place of the message; `None`: nothing does.
    pub(super) fn read<S: for<'de> DeserializeSeed<'de, Value = T>, T>(
        &self,
        place: Place,
        seed: S,
    ) -> Result<Option<T>, ClientError> {
        let mut text = serde_json::Deserializer::from_slice(&self.text);
        At { place, seed }.deserialize(&mut text).map_err(ClientError::NotRpc)
    }

    /// Reads a value that is known to be small; null if it is not there.
    pub(super) fn value(&self, place: Place) -> Result<Value, ClientError> {
        Ok(self.read(place, PhantomData::<Value>)?.unwrap_or_default())
    }
}

/// What tells a request, a notification and a response apart, and whose it is.
#[derive(Debug, Deserialize)]
struct Head {
    #[serde(default)]
    id: Value,
    method: Option<String>,
    #[serde(default)]
    error: Value,
}

/// Reads an error, which is a text or an object with a text in it, by server and method.
fn refusal(error: &Value) -> Refusal {
    let text = error.get("error").unwrap_or(error);
    match text.as_str() {
        Some("unknown method") => Refusal::UnknownMethod,
        Some("unknown database") => Refusal::UnknownDatabase,
        Some(_) | None => Refusal::Other,
    }
}

/// The id of our own echo; requests have numbers.
const PROBE_ID: &str = "echo";

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(250);

    fn connected(probe: Duration) -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Client::new(ours, probe), theirs)
    }

    async fn say(stream: &mut UnixStream, text: &str) {
        stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Returns the next object that the client sent.
    async fn hear(stream: &mut UnixStream) -> Value {
        let mut framer = Framer::default();
        loop {
            stream.read_buf(framer.buffer()).await.unwrap();
            if let Some(object) = framer.next().unwrap() {
                return serde_json::from_slice(&object).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn a_request_gets_its_own_result_and_answers_echoes_meanwhile() {
        let (mut client, mut server) = connected(LONG);
        let serve = async {
            let expected = json!({"id": 1, "method": "get_schema", "params": ["x"]});
            assert_eq!(hear(&mut server).await, expected);
            say(&mut server, r#"{"id":"e","method":"echo","params":[1,"a"]}"#).await;
            let echo = json!({"id": "e", "result": [1, "a"], "error": null});
            assert_eq!(hear(&mut server).await, echo);
            say(&mut server, r#"{"id":null,"method":"locked","params":[]}"#).await;
            say(&mut server, r#"{"id":9,"result":"other","error":null}"#).await;
            say(&mut server, r#"{"id":1,"result":"mine","error":null}"#).await;
        };
        let params = json!(["x"]);
        let (result, ()) = tokio::join!(client.request("get_schema", &params), serve);
        assert_eq!(result.unwrap().value(Place::field("result")).unwrap(), json!("mine"));
    }

    #[tokio::test]
    async fn refusals_are_told_apart() {
        for (error, expected) in [
            (r#""unknown method""#, Refusal::UnknownMethod),
            (r#"{"error":"unknown method"}"#, Refusal::UnknownMethod),
            // As ovsdb-server 3.1 writes it.
            (r#"{"syntax":"[]","error":"unknown database"}"#, Refusal::UnknownDatabase),
            (r#"{"error":"syntax error"}"#, Refusal::Other),
        ] {
            let (mut client, mut server) = connected(LONG);
            // Old servers leave the result out.
            say(&mut server, &format!(r#"{{"id":1,"error":{error}}}"#)).await;
            let result = client.request("monitor", &json!([])).await;
            let Err(ClientError::Refused { method: "monitor", reason }) = result else {
                panic!("{error}: {result:?}")
            };
            assert_eq!(reason, expected, "{error}");
        }
    }

    #[tokio::test]
    async fn notifications_come_in_order_and_skip_late_responses() {
        let (mut client, mut server) = connected(LONG);
        say(&mut server, r#"{"id":null,"method":"update","params":[1]}{"id":5,"result":[]}"#).await;
        say(&mut server, r#"{"id":null,"method":"update2","params":[2]}"#).await;
        for (method, param) in [("update", 1), ("update2", 2)] {
            let notification = client.notification().await.unwrap();
            assert_eq!(notification.method(), Some(method));
            assert_eq!(notification.value(Place::field("params")).unwrap(), json!([param]));
        }
    }

    #[tokio::test]
    async fn a_silent_server_is_asked_and_kept_if_it_answers() {
        let (mut client, mut server) = connected(SHORT);
        let serve = async {
            for _ in 0..2 {
                let echo = json!({"id": "echo", "method": "echo", "params": []});
                assert_eq!(hear(&mut server).await, echo);
                say(&mut server, r#"{"id":"echo","result":[],"error":null}"#).await;
            }
            say(&mut server, r#"{"id":null,"method":"update","params":[]}"#).await;
        };
        let (notification, ()) = tokio::join!(client.notification(), serve);
        assert_eq!(notification.unwrap().method(), Some("update"));
    }

    #[tokio::test]
    async fn a_server_that_stays_silent_is_given_up() {
        let (mut client, _server) = connected(SHORT);
        let error = client.notification().await.unwrap_err();
        assert_eq!(error.to_string(), "the server did not answer for 0.5 s");
    }

    #[tokio::test]
    async fn a_server_that_goes_is_noticed() {
        let (mut client, server) = connected(LONG);
        drop(server);
        assert!(matches!(client.notification().await, Err(ClientError::Closed)));
    }

    #[tokio::test]
    async fn nonsense_ends_the_connection() {
        let (mut client, mut server) = connected(LONG);
        say(&mut server, "HTTP/1.1 400 Bad Request").await;
        let error = client.notification().await.unwrap_err();
        assert!(matches!(error, ClientError::Frame(FrameError::NotAnObject)), "{error}");

        for nonsense in [r#"{"method":5}"#, "{nonsense}"] {
            let (mut client, mut server) = connected(LONG);
            say(&mut server, nonsense).await;
            assert!(matches!(client.notification().await, Err(ClientError::NotRpc(_))));
        }
    }

    #[tokio::test]
    async fn nesting_that_would_use_up_the_stack_is_refused() {
        let (mut client, mut server) = connected(LONG);
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        say(&mut server, &format!(r#"{{"method":"update","params":{open}{close}}}"#)).await;
        let notification = client.notification().await.unwrap();
        let params = notification.value(Place::field("params"));
        assert!(matches!(params, Err(ClientError::NotRpc(_))), "{params:?}");
    }
}
