//! The running sources of ports.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::claims::Claims;
use crate::config::{Config, Source};
use crate::discovery::{self, Connector, SourceEvent, SourceId, Surroundings};

/// The sources' tasks and how each is.
pub(super) struct Sources {
    running: Vec<Running>,
    connector: Connector,
    events: mpsc::Sender<(SourceId, SourceEvent)>,
}

struct Running {
    name: String,
    task: JoinHandle<()>,
    /// Whether it has given a snapshot since it was started.
    said: bool,
    up: bool,
    error: Option<String>,
}

impl Sources {
    /// Starts every source of `config`.
    pub(super) fn start(
        config: &Config,
        connector: Connector,
        events: mpsc::Sender<(SourceId, SourceEvent)>,
    ) -> Self {
        let mut sources = Self { running: Vec::new(), connector, events };
        for (place, source) in config.sources.iter().enumerate() {
            let running = sources.spawn(config, source, place);
            sources.running.push(running);
        }
        sources
    }

    /// Returns a source's kind and place.
    pub(super) fn name(&self, source: SourceId) -> String {
        self.running.get(source.0).map_or_else(String::new, |running| running.name.clone())
    }

    /// Notes that a source is connected. Tells whether that is news.
    pub(super) fn up(&mut self, source: SourceId) -> bool {
        let Some(running) = self.running.get_mut(source.0) else {
            return false;
        };
        let news = !running.up;
        (running.said, running.up, running.error) = (true, true, None);
        news
    }

    /// Notes that a source is not connected. Tells whether that is news.
    pub(super) fn down(&mut self, source: SourceId, reason: String) -> bool {
        let Some(running) = self.running.get_mut(source.0) else {
            return false;
        };
        let news = running.error.as_ref() != Some(&reason);
        running.up = false;
        running.error = Some(reason);
        news
    }

    /// Tells whether every source has given its first snapshot.
    pub(super) fn all_said(&self) -> bool {
        self.running.iter().all(|running| running.said)
    }

    /// Returns name, state and fault of each source, in file order.
    pub(super) fn states(&self) -> impl Iterator<Item = (&str, bool, Option<&str>)> {
        self.running
            .iter()
            .map(|running| (running.name.as_str(), running.up, running.error.as_deref()))
    }

    /// Starts those sources anew that a reload has changed. What an old one named stays claimed
    /// until the new one gives its snapshot; what no source is left for is let go.
    pub(super) async fn replace(
        &mut self,
        old: &Config,
        new: &Config,
        claims: &mut Claims,
    ) -> BTreeSet<String> {
        let rules = |config: &Config| format!("{:?}", config.identity);
        let same_rules = rules(old) == rules(new);
        let same = |place: usize| old.sources.get(place) == new.sources.get(place) && same_rules;
        for running in self.running.drain(new.sources.len().min(self.running.len())..) {
            end(running).await;
        }
        for (place, source) in new.sources.iter().enumerate() {
            if place < self.running.len() && same(place) {
                continue;
            }
            let fresh = self.spawn(new, source, place);
            if let Some(running) = self.running.get_mut(place) {
                end(std::mem::replace(running, fresh)).await;
            } else {
                self.running.push(fresh);
            }
        }
        claims.forget_from(new.sources.len())
    }

    /// Ends every source.
    pub(super) fn stop(&mut self) {
        for running in &self.running {
            running.task.abort();
        }
    }

    fn spawn(&self, config: &Config, source: &Source, place: usize) -> Running {
        let surroundings = Surroundings {
            rules: Arc::from(config.identity.as_slice()),
            connector: self.connector.clone(),
            events: self.events.clone(),
        };
        let task = discovery::spawn(SourceId(place), source, surroundings);
        Running { name: name(source), task, said: false, up: false, error: None }
    }
}

async fn end(running: Running) {
    running.task.abort();
    // Once it has ended, nothing of it is on its way any more that a later event could overtake.
    let _ = running.task.await;
}

fn name(source: &Source) -> String {
    match source {
        Source::Ovsdb { socket, .. } => format!("ovsdb {}", socket.display()),
        Source::Static { .. } => "static".to_owned(),
    }
}
