//! The store's own thread: writes that wait in its queue share one commit.
//!
//! A backend blocks, so it never runs on the runtime's threads. The queue is bounded: who writes
//! faster than the disk waits for room. A failed batch is reported to every writer in it; whether
//! and when to try again is the writer's business, the thread keeps nothing.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::{Change, LeaseStore, Refused, StoreError, Wanted};
use crate::clock;
use crate::lease::Lease;
use crate::telemetry::{StoreMetrics, StoreOperation};

/// Writes to the store from any task; cloned freely.
#[derive(Debug, Clone)]
pub struct StoreHandle {
    queue: mpsc::Sender<Request>,
}

/// The running thread; [`StoreThread::stop`] ends it in good order.
#[derive(Debug)]
pub struct StoreThread {
    queue: mpsc::Sender<Request>,
    thread: JoinHandle<()>,
}

/// Moves `store`, already loaded, to a thread of its own.
///
/// # Errors
/// The system gives no thread.
pub fn spawn(
    store: Box<dyn LeaseStore>,
    metrics: StoreMetrics,
) -> io::Result<(StoreHandle, StoreThread)> {
    let (queue, requests) = mpsc::channel(QUEUE);
    let thread = thread::Builder::new()
        .name("store".to_owned())
        .spawn(move || run(store, requests, &metrics))?;
    Ok((StoreHandle { queue: queue.clone() }, StoreThread { queue, thread }))
}

impl StoreHandle {
    /// Makes `changes` durable, all or none, but for those that are refused because another node
    /// was ahead; of other writers' changes too. Resolves after the commit; dropped earlier, they
    /// may still be committed.
    ///
    /// # Errors
    /// [`StoreError`] if they are not durable; the caller keeps them and tries again.
    pub async fn write(&self, changes: Vec<Change>) -> Result<Vec<Refused>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let closed = || StoreError("writing leases: the store is closed".to_owned());
        self.queue.send(Request::Write { changes, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }

    /// Reads leases of other nodes, as [`LeaseStore::find`] does.
    ///
    /// # Errors
    /// [`StoreError`] if the store does not answer.
    pub async fn find(&self, wanted: Vec<Wanted>) -> Result<Vec<Lease>, StoreError> {
        let (answer, answered) = oneshot::channel();
        let closed = || StoreError("reading leases: the store is closed".to_owned());
        self.queue.send(Request::Find { wanted, answer }).await.map_err(|_| closed())?;
        answered.await.map_err(|_| closed())?
    }
}

impl StoreThread {
    /// Commits what is queued, closes the store and ends the thread; later writes fail.
    pub async fn stop(self) {
        // An error means that the thread has ended already.
        let _ = self.queue.send(Request::Stop).await;
        drop(self.queue);
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }
}

#[derive(Debug)]
enum Request {
    Write { changes: Vec<Change>, answer: oneshot::Sender<Result<Vec<Refused>, StoreError>> },
    Find { wanted: Vec<Wanted>, answer: oneshot::Sender<Result<Vec<Lease>, StoreError>> },
    Stop,
}

fn run(
    mut store: Box<dyn LeaseStore>,
    mut requests: mpsc::Receiver<Request>,
    metrics: &StoreMetrics,
) {
    let mut taken = Vec::new();
    let mut batch = Vec::new();
    let mut answers = Vec::new();
    while requests.blocking_recv_many(&mut taken, MAX_GROUP) > 0 {
        for request in taken.drain(..) {
            match request {
                Request::Write { changes, answer } => {
                    batch.extend(changes);
                    answers.push(answer);
                }
                Request::Find { wanted, answer } => {
                    // Who no longer waits does not care.
                    let _ = answer.send(store.find(&wanted));
                }
                // What is queued already is still taken and committed.
                Request::Stop => requests.close(),
            }
        }
        if answers.is_empty() {
            continue;
        }
        let start = clock::mono();
        let result = store.write(&batch);
        metrics.record(StoreOperation::Write, clock::mono().since(start), &result);
        batch.clear();
        for answer in answers.drain(..) {
            // A writer that no longer waits does not care.
            let _ = answer.send(result.clone());
        }
    }
}

/// Requests that may wait; further writers wait for room.
const QUEUE: usize = 1_024;

/// Requests that share one commit at most, so that the first of them is not kept waiting.
const MAX_GROUP: usize = 256;

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::mpsc as blocking;
    use std::task::Poll;

    use super::*;
    use crate::lease::LeaseKey;
    use crate::store::Loaded;
    use crate::telemetry::Metrics;

    /// Tells the test of every commit and waits for its result.
    struct Scripted {
        commits: mpsc::UnboundedSender<Vec<Change>>,
        results: blocking::Receiver<Result<Vec<Refused>, StoreError>>,
    }

    impl LeaseStore for Scripted {
        fn load(&mut self) -> Result<Loaded, StoreError> {
            Ok(Loaded::default())
        }

        fn write(&mut self, changes: &[Change]) -> Result<Vec<Refused>, StoreError> {
            self.commits.send(changes.to_vec()).unwrap();
            self.results.recv().unwrap()
        }
    }

    struct Bench {
        handle: StoreHandle,
        thread: StoreThread,
        metrics: Metrics,
        commits: mpsc::UnboundedReceiver<Vec<Change>>,
        results: blocking::Sender<Result<Vec<Refused>, StoreError>>,
    }

    fn bench() -> Bench {
        let (committed, commits) = mpsc::unbounded_channel();
        let (results, scripted) = blocking::channel();
        let metrics = Metrics::new().unwrap();
        let store = Scripted { commits: committed, results: scripted };
        let (handle, thread) = spawn(Box::new(store), metrics.store("memory")).unwrap();
        Bench { handle, thread, metrics, commits, results }
    }

    fn change(vm: &str) -> Change {
        Change::Delete(LeaseKey {
            network: "blue".parse().unwrap(),
            vm: vm.parse().unwrap(),
            nic: "default".parse().unwrap(),
        })
    }

    type Write<'a> = Pin<Box<dyn Future<Output = Result<Vec<Refused>, StoreError>> + 'a>>;

    /// Starts a write as far as the queue.
    async fn queue<'a>(handle: &'a StoreHandle, vm: &str) -> Write<'a> {
        let mut write: Write<'a> = Box::pin(handle.write(vec![change(vm)]));
        let poll = std::future::poll_fn(|context| Poll::Ready(write.as_mut().poll(context))).await;
        assert!(poll.is_pending());
        write
    }

    #[tokio::test]
    async fn writes_that_queue_behind_a_commit_share_the_next_one() {
        let mut bench = bench();
        let first = queue(&bench.handle, "a").await;
        assert_eq!(bench.commits.recv().await, Some(vec![change("a")]));
        let second = queue(&bench.handle, "b").await;
        let third = queue(&bench.handle, "c").await;
        bench.results.send(Ok(Vec::new())).unwrap();
        assert_eq!(first.await, Ok(Vec::new()));
        assert_eq!(bench.commits.recv().await, Some(vec![change("b"), change("c")]));
        bench.results.send(Ok(Vec::new())).unwrap();
        assert_eq!((second.await, third.await), (Ok(Vec::new()), Ok(Vec::new())));
    }

    #[tokio::test]
    async fn a_failed_commit_is_told_to_every_writer_and_forgotten() {
        let mut bench = bench();
        let first = queue(&bench.handle, "a").await;
        bench.commits.recv().await.unwrap();
        let second = queue(&bench.handle, "b").await;
        let third = queue(&bench.handle, "c").await;
        bench.results.send(Ok(Vec::new())).unwrap();
        first.await.unwrap();
        let failure = Err(StoreError("no space".to_owned()));
        bench.results.send(failure.clone()).unwrap();
        assert_eq!((second.await, third.await), (failure.clone(), failure));
        assert!(bench.metrics.render().contains("leasehold_store_up{backend=\"memory\"} 0\n"));

        bench.commits.recv().await.unwrap();
        let again = queue(&bench.handle, "b").await;
        bench.results.send(Ok(Vec::new())).unwrap();
        assert_eq!(again.await, Ok(Vec::new()));
        assert_eq!(bench.commits.recv().await, Some(vec![change("b")]));
        assert!(bench.metrics.render().contains("leasehold_store_up{backend=\"memory\"} 1\n"));
    }

    #[tokio::test]
    async fn stop_commits_what_is_queued_and_refuses_what_comes_later() {
        let mut bench = bench();
        let first = queue(&bench.handle, "a").await;
        bench.commits.recv().await.unwrap();
        let second = queue(&bench.handle, "b").await;
        bench.results.send(Ok(Vec::new())).unwrap();
        bench.results.send(Ok(Vec::new())).unwrap();
        bench.thread.stop().await;
        assert_eq!((first.await, second.await), (Ok(Vec::new()), Ok(Vec::new())));
        assert_eq!(bench.commits.recv().await, Some(vec![change("b")]));
        let error = bench.handle.write(vec![change("c")]).await.unwrap_err();
        assert!(error.0.contains("closed"), "{error}");
    }

    #[tokio::test]
    async fn the_thread_ends_when_every_handle_is_gone() {
        let Bench { handle, thread, mut commits, .. } = bench();
        drop(handle);
        let StoreThread { queue, thread } = thread;
        drop(queue);
        // The store is dropped with the thread, and the test's channel with the store.
        assert_eq!(commits.recv().await, None);
        thread.join().unwrap();
    }
}
