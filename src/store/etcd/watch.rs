//! Hears what other nodes do to the leases that this node knows.
//!
//! One stream, one watcher a lease: a node is told of its own VMs and of nothing else. Whenever the
//! stream is made anew, for whatever reason (a member that died, a token that expired, history that
//! was compacted away), the leases are read first and watched from the revision after; so nothing
//! is missed, and no revision has to be remembered over an outage.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Client, Error, EventType, WatchOptions, WatchResponse, WatchStream};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::connection::{Connection, words};
use super::keys::Layout;
use super::transaction;
use crate::clock;
use crate::lease::LeaseKey;
use crate::store::StoreError;
use crate::store::shared::News;
use crate::time::Mono;

/// What is watched, and who is told.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) connection: Arc<Connection>,
    pub(super) layout: Layout,
    /// The leases that are watched.
    pub(super) keys: BTreeSet<LeaseKey>,
    /// Leases that are to be watched from now on, and told of once more if they are already.
    pub(super) wanted: mpsc::UnboundedReceiver<LeaseKey>,
    pub(super) news: mpsc::Sender<News>,
    /// Told first of leases that are not there, and of the revision at which they were not.
    pub(super) gone: mpsc::UnboundedSender<(LeaseKey, i64)>,
    /// Whether a VM waits for etcd.
    pub(super) waits: watch::Receiver<bool>,
    /// What sets this node's pauses apart from others'.
    pub(super) salt: u32,
}

impl Watch {
    /// Watches until nobody listens any more.
    pub(super) async fn run(mut self) {
        let mut failures: u32 = 0;
        loop {
            let began = clock::mono();
            let Err(StoreError(reason)) = self.watch().await else { return };
            if clock::mono().since(began) > PAUSE_MAX {
                failures = 0;
            }
            tracing::debug!(%reason, "watching leases; it is begun anew");
            if self.news.send(News::Down(reason)).await.is_err() {
                return;
            }
            failures = failures.saturating_add(1);
            let after = |longest| {
                let pause = pause(failures, longest);
                clock::mono().after(jitter(pause, self.salt, failures))
            };
            // What answers and yet does not work is asked no more often for that.
            let (earliest, end) = (after(PAUSE_WAITED), after(PAUSE_MAX));
            let rested = self.rest(earliest, end).await;
            tracing::debug!(failures, ?rested, "watching leases anew");
        }
    }

    /// Rests until `end` before the stream is made anew. Where a VM waits, the members are looked for
    /// all the while, though not before `earliest`, and the rest ends with the first that is there.
    async fn rest(&mut self, earliest: Mono, end: Mono) -> Rested {
        let mut looks: u32 = 0;
        loop {
            let is_closed = tokio::select! {
                () = clock::sleep_until(Some(end)) => return Rested::Whole,
                waits = self.waits.wait_for(|waits| *waits) => waits.is_err(),
            };
            let look = clock::mono().after(jitter(LOOK, self.salt, looks)).max(earliest);
            // A store that is closed has nobody waiting: the process is about to end.
            if is_closed || look >= end {
                clock::sleep_until(Some(end)).await;
                return Rested::Whole;
            }
            clock::sleep_until(Some(look)).await;
            if self.connection.is_reachable().await {
                return Rested::UntilReachable;
            }
            looks = looks.wrapping_add(1);
        }
    }

    /// Reads and watches; `Ok`: nobody listens any more.
    async fn watch(&mut self) -> Result<(), StoreError> {
        while let Ok(key) = self.wanted.try_recv() {
            self.keys.insert(key);
        }
        let mut stream = self.open().await?;
        let keys: Vec<LeaseKey> = self.keys.iter().cloned().collect();
        for some in keys.chunks(AT_ONCE) {
            if self.begin(&mut stream, some).await?.is_none() {
                return Ok(());
            }
        }
        if keys.is_empty() {
            // A member may take the stream and refuse to be read, of a user that it does not know
            // for example: that is not up.
            self.read_nothing().await?;
        }
        if self.news.send(News::Up).await.is_err() {
            return Ok(());
        }
        loop {
            tokio::select! {
                key = self.wanted.recv() => {
                    let Some(key) = key else { return Ok(()) };
                    let is_new = self.keys.insert(key.clone());
                    let keys = &[key];
                    let told = match is_new {
                        true => self.begin(&mut stream, keys).await?,
                        false => self.tell(keys).await?.map(drop),
                    };
                    if told.is_none() {
                        return Ok(());
                    }
                }
                response = stream.message() => {
                    let response = response.map_err(|error| failed(&error))?;
                    let Some(response) = response else { return Err(ended("it was closed")) };
                    if self.heard(&response).await?.is_none() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Opens the stream; it needs a watcher to begin with, of a key that never is.
    async fn open(&self) -> Result<WatchStream, StoreError> {
        let key = format!("{}-", self.layout.leases());
        let ask = |mut client: Client| {
            let key = key.clone();
            async move { client.watch(key, None).await }
        };
        self.connection.call("watching leases", ask).await
    }

    /// Reads a key that never is: tells whether the store lets itself be read.
    async fn read_nothing(&self) -> Result<(), StoreError> {
        let key = self.layout.leases();
        let ask = |mut client: Client| {
            let key = key.clone();
            async move { client.get(key, None).await }
        };
        self.connection.call("reading leases", ask).await.map(drop)
    }

    /// Reads some leases and tells of them. Returns the revision that they were read at; `None`:
    /// nobody listens.
    async fn tell(&self, keys: &[LeaseKey]) -> Result<Option<i64>, StoreError> {
        let found = transaction::get(&self.connection, &self.layout, keys).await?;
        let revision = found.revision;
        for (key, found) in keys.iter().zip(found.leases) {
            match found {
                Ok(found) => {
                    if found.is_none() {
                        // The store has ended: so will this.
                        let _ = self.gone.send((key.clone(), revision));
                    }
                    let lease = found.map(|known| Box::new(known.lease));
                    if self.news.send(News::Lease(key.clone(), lease)).await.is_err() {
                        return Ok(None);
                    }
                }
                Err(error) => tracing::error!("{error}"),
            }
        }
        Ok(Some(revision))
    }

    /// Tells of some leases as they are, and watches them from then on. `None`: nobody listens.
    async fn begin(
        &self,
        stream: &mut WatchStream,
        keys: &[LeaseKey],
    ) -> Result<Option<()>, StoreError> {
        let Some(revision) = self.tell(keys).await? else { return Ok(None) };
        for key in keys {
            let options = WatchOptions::new().with_start_revision(revision.saturating_add(1));
            let watched = stream.watch(self.layout.lease(key), Some(options)).await;
            watched.map_err(|error| failed(&error))?;
        }
        // Answers are taken before more is asked: a full pipe in both directions stands still.
        let mut begun = 0;
        while begun < keys.len() {
            let response = match timeout(BEGIN, stream.message()).await {
                Ok(response) => response.map_err(|error| failed(&error))?,
                Err(_) => return Err(ended("no answer")),
            };
            let Some(response) = response else { return Err(ended("it was closed")) };
            if response.created() {
                begun = begun.saturating_add(1);
            }
            if self.heard(&response).await?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// Takes what the stream brings. `None`: nobody listens.
    async fn heard(&self, response: &WatchResponse) -> Result<Option<()>, StoreError> {
        if response.compact_revision() != 0 {
            return Err(ended("its history was compacted away"));
        }
        if response.canceled() {
            return Err(ended(response.cancel_reason()));
        }
        for event in response.events() {
            let Some(held) = event.kv() else { continue };
            let Some(key) = self.layout.parse_lease(held.key()) else { continue };
            let lease = match event.event_type() {
                EventType::Put => match transaction::parse(&self.layout, held) {
                    Ok(known) => Some(known.lease),
                    Err(error) => {
                        tracing::error!("{error}");
                        continue;
                    }
                },
                EventType::Delete => {
                    let _ = self.gone.send((key.clone(), held.mod_revision()));
                    None
                }
            };
            if self.news.send(News::Lease(key, lease.map(Box::new))).await.is_err() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

fn failed(error: &Error) -> StoreError {
    ended(&words(error))
}

fn ended(reason: &str) -> StoreError {
    StoreError(format!("watching leases in etcd: {reason}"))
}

/// How many leases are read in one transaction and then watched: requests wait in a queue of this
/// length.
const AT_ONCE: usize = 50;

/// How long watchers may take to begin.
const BEGIN: Duration = Duration::from_secs(5);

/// How a rest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rested {
    /// It was over.
    Whole,
    /// A VM waits, and a member accepts connections.
    UntilReachable,
}

/// Returns how long to wait after so many failures, at most `longest`.
fn pause(failures: u32, longest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(u32::BITS - 1);
    PAUSE_MIN.saturating_mul(1 << doublings).min(longest)
}

/// Takes up to a half off a pause: nodes that lost etcd at once do not all come back at once.
fn jitter(pause: Duration, salt: u32, turn: u32) -> Duration {
    let part = crc32fast::hash(&[salt.to_be_bytes(), turn.to_be_bytes()].concat()) % 512;
    pause.saturating_sub(pause.saturating_mul(part) / 1_024)
}

/// How long to wait before the stream is made anew, at first.
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// How long at most.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// How long at most where a VM waits and a member accepts connections.
const PAUSE_WAITED: Duration = Duration::from_secs(1);

/// How often a member is looked for where a VM waits.
const LOOK: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn pauses_double_to_a_bound() {
        let millis = |failures| pause(failures, PAUSE_MAX).as_millis();
        assert_eq!([1, 2, 3, 6, 7, 1_000].map(millis), [100, 200, 400, 3_200, 5_000, 5_000]);
        assert_eq!(pause(u32::MAX, PAUSE_WAITED), PAUSE_WAITED);
    }

    #[test]
    fn jitter_takes_at_most_a_half_and_sets_nodes_apart() {
        let pauses: BTreeSet<Duration> = (0..100).map(|salt| jitter(LOOK, salt, 3)).collect();
        assert!(pauses.iter().all(|pause| *pause <= LOOK && *pause >= LOOK / 2), "{pauses:?}");
        assert!(pauses.len() > 50, "{pauses:?}");
    }

    fn resting(endpoint: String) -> (Watch, watch::Sender<bool>) {
        let config = config::Etcd {
            endpoints: vec![endpoint],
            prefix: "/leasehold".to_owned(),
            ca_file: None,
            cert_file: None,
            key_file: None,
            username: None,
            password_file: None,
        };
        let (waiting, waits) = watch::channel(false);
        let watch = Watch {
            connection: Arc::new(Connection::new(config, "node-a")),
            layout: Layout::new("/leasehold"),
            keys: BTreeSet::new(),
            wanted: mpsc::unbounded_channel().1,
            news: mpsc::channel(1).0,
            gone: mpsc::unbounded_channel().0,
            waits,
            salt: 7,
        };
        (watch, waiting)
    }

    #[tokio::test]
    async fn a_rest_ends_early_where_a_vm_waits_and_a_member_listens_and_only_then() {
        let member = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", member.local_addr().unwrap());
        let (mut watch, waiting) = resting(endpoint);
        let soon = || clock::mono().after(LOOK.saturating_mul(2));
        let late = || clock::mono().after(Duration::from_secs(86_400));
        let now = clock::mono();
        assert_eq!(watch.rest(now, soon()).await, Rested::Whole, "nobody waits");
        waiting.send_replace(true);
        // Nobody accepts, and yet the handshake is made: `member` listens.
        assert_eq!(watch.rest(now, late()).await, Rested::UntilReachable, "a VM waits");
        let end = soon();
        assert_eq!(watch.rest(end, end).await, Rested::Whole, "it is too early to look");
        drop(member);
        assert_eq!(watch.rest(now, soon()).await, Rested::Whole, "no member is there");
    }
}
