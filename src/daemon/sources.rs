//! The running sources of ports.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::claims::Claims;
use crate::config::{Config, Source};
use crate::discovery::{self, Connector, SourceEvent, SourceId, Surroundings};

/// The sources' tasks, and how each source is.
pub(super) struct Sources {
    running: Vec<Running>,
    connector: Connector,
    events: mpsc::Sender<(SourceId, SourceEvent)>,
}

/// One source, as `status` shows it.
pub(super) struct Running {
    /// Its kind and place.
    pub(super) name: String,
    /// How it is.
    pub(super) health: Health,
    /// Whether it has given a snapshot since it was started.
    has_spoken: bool,
    task: JoinHandle<()>,
}

/// How a source is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Health {
    /// It has not said anything yet.
    Starting,
    /// What it says is current.
    Up,
    /// It is not connected, and why.
    Down(String),
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
    pub(super) fn name(&self, source: SourceId) -> &str {
        self.running.get(source.0).map_or("", |running| &running.name)
    }

    /// Notes how a source is. Tells whether that is news.
    pub(super) fn note(&mut self, source: SourceId, health: Health) -> bool {
        let Some(running) = self.running.get_mut(source.0) else {
            return false;
        };
        let is_news = running.health != health;
        running.has_spoken |= health == Health::Up;
        running.health = health;
        is_news
    }

    /// Notes that a source's ports are known from memory: the node is as ready as it can be.
    pub(super) fn note_recalled(&mut self, source: SourceId) {
        if let Some(running) = self.running.get_mut(source.0) {
            running.has_spoken = true;
        }
    }

    /// Tells whether every source has given its first snapshot.
    pub(super) fn have_all_spoken(&self) -> bool {
        self.running.iter().all(|running| running.has_spoken)
    }

    /// Returns every source, in file order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SourceId, &Running)> {
        self.running.iter().enumerate().map(|(place, running)| (SourceId(place), running))
    }

    /// Starts those sources anew that a reload has changed. What an old one named stays claimed
    /// until the new one gives its snapshot; what no source is left for is let go.
    pub(super) async fn replace(
        &mut self,
        old: &Config,
        new: &Config,
        claims: &mut Claims,
    ) -> BTreeSet<String> {
        let same_rules = old.identity == new.identity;
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
        claims.forget_from(SourceId(new.sources.len()))
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
        Running { name: source.to_string(), health: Health::Starting, has_spoken: false, task }
    }
}

async fn end(running: Running) {
    running.task.abort();
    // Once it has ended, nothing of it is on its way any more that a later event could overtake.
    let _ = running.task.await;
}
