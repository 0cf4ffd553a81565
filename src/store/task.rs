//! The store's own thread: writes that wait in its queue share one commit.
//!
//! A backend blocks, so it never runs on the runtime's threads. The queue is bounded: who writes
//! faster than the disk waits for room. A failed batch is reported to every writer in it; whether
//! and when to try again is the writer's business, the thread keeps nothing.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::{Change, LeaseStore, StoreError};
use crate::clock;
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
    /// Makes `changes` durable, all or none. Resolves after the commit.
    ///
    /// # Errors
    /// [`StoreError`] if they are not durable; the caller keeps them and tries again.
    pub async fn write(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        let closed = || StoreError("writing leases: the store is closed".to_owned());
        self.queue.send(Request::Write { changes, answer }).await.map_err(|_| closed())?;
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
    Write { changes: Vec<Change>, answer: oneshot::Sender<Result<(), StoreError>> },
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
