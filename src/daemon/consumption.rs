//! Requests taken away from the switch: which rules are wanted, and which are in force.
//!
//! A task has everything that is wanted put into force whenever that changes, and looks again every
//! few seconds: a firewall that is loaded anew flushes our table, a switch that restarts has lost
//! its flows. What is not in force is said of the port, which is served all the same.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::plan::Service;
use super::supervisor::Supervisor;
use crate::broker::{DeviceName, Rule, RuleChannel};
use crate::discovery::{Datapath, Port};
use crate::network::Consume;
use crate::telemetry::ConsumeCount;

/// The ports whose requests are to be taken away, and the task that has it done.
pub(super) struct Consumption {
    ports: BTreeMap<String, Consumed>,
    wanted: watch::Sender<Wanted>,
    task: JoinHandle<()>,
}

/// What the task is to put into force.
#[derive(Debug, Default)]
struct Wanted {
    /// Whether all ports that there were at the start are known. Before that the rules that an
    /// earlier process left do no harm, and taking them away does.
    is_whole: bool,
    /// By the port's interface.
    rules: Arc<BTreeMap<String, Rule>>,
}

/// What became of the rules.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Applied {
    /// Those that were wanted.
    rules: Arc<BTreeMap<String, Rule>>,
    /// Why some are not in force, by interface.
    failed: BTreeMap<String, String>,
}

/// One port whose requests are to be taken away.
#[derive(Debug)]
struct Consumed {
    terms: Terms,
    state: State,
}

/// How a port's requests are to be taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    network: String,
    way: Consume,
    rule: Result<Option<Rule>, String>,
}

/// Whether they are.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// The rule is on its way.
    Waiting,
    /// They are.
    Installed,
    /// They are not, and why.
    Failed(String),
}

impl Consumption {
    /// Starts the task, which says what became of rules to `reports`.
    pub(super) fn start(channel: RuleChannel, reports: mpsc::Sender<Applied>) -> Self {
        let (wanted, given) = watch::channel(Wanted::default());
        let task = tokio::spawn(keep_in_force(channel, given, reports));
        Self { ports: BTreeMap::new(), wanted, task }
    }

    /// Takes note that all ports that there were at the start are known.
    pub(super) fn begin(&self) {
        self.wanted.send_modify(|wanted| wanted.is_whole = true);
    }

    /// Wants a port's requests to be taken away; `None`: no longer.
    pub(super) fn set(&mut self, interface: &str, terms: Option<Terms>) {
        if self.ports.get(interface).map(|consumed| &consumed.terms) == terms.as_ref() {
            return;
        }
        let rule = terms.as_ref().and_then(|terms| terms.rule.clone().ok().flatten());
        match terms {
            None => {
                self.ports.remove(interface);
            }
            Some(terms) => {
                let old = self.ports.get(interface);
                let was_installed = old.is_some_and(|old| {
                    old.terms.rule == terms.rule && old.state == State::Installed
                });
                let state = match &terms.rule {
                    Err(reason) => State::Failed(reason.clone()),
                    Ok(_) if was_installed => State::Installed,
                    Ok(_) => State::Waiting,
                };
                if let State::Failed(reason) = &state {
                    warn(interface, terms.way, reason);
                }
                self.ports.insert(interface.to_owned(), Consumed { terms, state });
            }
        }
        self.wanted.send_if_modified(|wanted| {
            if wanted.rules.get(interface) == rule.as_ref() {
                return false;
            }
            let rules = Arc::make_mut(&mut wanted.rules);
            match rule {
                Some(rule) => rules.insert(interface.to_owned(), rule),
                None => rules.remove(interface),
            };
            true
        });
    }

    /// Takes what became of the rules.
    pub(super) fn settle(&mut self, Applied { rules, mut failed }: Applied) {
        for (interface, rule) in rules.iter() {
            let Some(port) = self.ports.get_mut(interface) else { continue };
            if port.terms.rule.as_ref() != Ok(&Some(rule.clone())) {
                continue;
            }
            let state = failed.remove(interface).map_or(State::Installed, State::Failed);
            if state == port.state {
                continue;
            }
            let way = port.terms.way;
            match (&state, &port.state) {
                (State::Failed(reason), _) => warn(interface, way, reason),
                (State::Installed, State::Failed(_)) => tracing::info!(
                    interface,
                    "requests are taken away from the switch by {}",
                    way.as_str()
                ),
                (State::Installed | State::Waiting, _) => {}
            }
            port.state = state;
        }
    }

    /// Says why a port's requests are not taken away.
    pub(super) fn trouble(&self, interface: &str) -> Option<String> {
        let Consumed { terms, state } = self.ports.get(interface)?;
        match state {
            State::Failed(reason) => {
                Some(format!("consume = \"{}\" is not in force: {reason}", terms.way.as_str()))
            }
            State::Waiting | State::Installed => None,
        }
    }

    /// Says how a port's requests are taken away, if they are to be.
    pub(super) fn told(&self, interface: &str) -> Option<String> {
        let Consumed { terms, state } = self.ports.get(interface)?;
        let way = terms.way.as_str();
        Some(match state {
            State::Waiting => format!("by {way}, not yet in force"),
            State::Installed => format!("by {way}, in force"),
            State::Failed(reason) => format!("by {way}, not in force: {reason}"),
        })
    }

    /// Says from how many ports requests are taken away, and why not from others; a line each.
    pub(super) fn summary(&self) -> Vec<String> {
        let mut lines: BTreeMap<String, u64> = BTreeMap::new();
        for Consumed { terms, state } in self.ports.values() {
            let way = terms.way.as_str();
            let line = match state {
                State::Waiting => format!("by {way}, not yet in force"),
                State::Installed => format!("by {way}"),
                State::Failed(reason) => format!("not by {way}: {reason}"),
            };
            let count = lines.entry(line).or_default();
            *count = count.saturating_add(1);
        }
        let line = |(line, count): (String, u64)| {
            let ports = if count == 1 { "port" } else { "ports" };
            format!("{count} {ports} {line}")
        };
        lines.into_iter().take(SUMMARY_MAX).map(line).collect()
    }

    /// Counts ports by network and by whether their requests are taken away.
    pub(super) fn counts(&self) -> Vec<ConsumeCount> {
        let mut counts: BTreeMap<(&str, &'static str), u64> = BTreeMap::new();
        for Consumed { terms, state } in self.ports.values() {
            for one in ["installed", "waiting", "failed"] {
                let count = counts.entry((&terms.network, one)).or_default();
                *count = count.saturating_add(u64::from(one == state.as_str()));
            }
        }
        let count = |((network, state), count): ((&str, &'static str), u64)| ConsumeCount {
            network: network.to_owned(),
            state,
            count,
        };
        counts.into_iter().map(count).collect()
    }

    /// Takes every rule away and ends the task.
    pub(super) async fn stop(self) {
        drop(self.wanted);
        let _ = self.task.await;
    }
}

impl State {
    /// Returns the word of the label `state`.
    const fn as_str(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Installed => "installed",
            Self::Failed(_) => "failed",
        }
    }
}

impl Supervisor {
    /// Brings a port's rule to what is served on it now.
    pub(super) fn consume(&mut self, interface: &str) {
        let service = self.ports.service(interface);
        // Another source than the port's own may know where it is on the switch.
        let mut claims = self.claims.claims(interface).map(|(_, port)| port);
        let port = claims.find(|port| port.switch.is_some());
        let port = port.or_else(|| self.claims.port(interface));
        let terms = service.zip(port).and_then(|(service, port)| {
            let way = service.network.consume;
            let rule = rule(way, service, port)?;
            Some(Terms { network: service.network.name.to_string(), way, rule })
        });
        self.consumption.set(interface, terms);
    }
}

/// Returns the rule that takes a port's requests away, or why there can be none; the inner `None`:
/// not before the switch has taken the port in. `None`: they stay.
fn rule(way: Consume, service: &Service, port: &Port) -> Option<Result<Option<Rule>, String>> {
    if way != Consume::Off && port.is_trunk {
        return Some(Err(TRUNK.to_owned()));
    }
    let no_name = |name: &str| {
        format!("the name {name:?} has other characters than letters, digits, \"_\", \"-\", \".\"")
    };
    match way {
        Consume::Off => None,
        Consume::Nft => {
            let switch = port.switch.as_ref();
            if switch.is_some_and(|switch| switch.datapath == Datapath::Userspace) {
                return Some(Err(USERSPACE.to_owned()));
            }
            if service.facts.is_macvtap {
                return Some(Err(MACVTAP.to_owned()));
            }
            let name = &port.interface;
            let ifindex = service.ifindex;
            let interface = DeviceName::new(name).ok_or_else(|| no_name(name));
            Some(interface.map(|interface| Some(Rule::Nft { interface, ifindex })))
        }
        Consume::OpenFlow => Some(match (&port.switch, &port.bridge) {
            (Some(switch), Some(name)) => match (&switch.flow_owner, switch.ofport) {
                (Some(owner), _) => Err(format!("{owner}, and its flows are left alone")),
                (None, None) => Ok(None),
                (None, Some(ofport)) => DeviceName::new(name)
                    .ok_or_else(|| no_name(name))
                    .map(|bridge| Some(Rule::OpenFlow { bridge, ofport })),
            },
            (None, _) | (_, None) => Err(NO_SWITCH.to_owned()),
        }),
    }
}

/// Has what is wanted put into force, until the sender is gone; then nothing is.
async fn keep_in_force(
    mut channel: RuleChannel,
    mut given: watch::Receiver<Wanted>,
    reports: mpsc::Sender<Applied>,
) {
    // A source that never answers is not waited for.
    let _ = timeout(START_LIMIT, given.wait_for(|wanted| wanted.is_whole)).await;
    let mut told = None;
    let mut is_idle;
    loop {
        let rules = Arc::clone(&given.borrow_and_update().rules);
        let applied = apply(&mut channel, rules).await;
        is_idle = applied.rules.is_empty();
        if told.as_ref() != Some(&applied) {
            // Nobody listens any more: the sender is gone too.
            let _ = reports.send(applied.clone()).await;
            told = Some(applied);
        }
        let changed = if is_idle {
            given.changed().await
        } else {
            timeout(CHECK_INTERVAL, given.changed()).await.unwrap_or(Ok(()))
        };
        if changed.is_err() {
            break;
        }
        // Ports that come together share one run of the program.
        sleep(GATHERING).await;
    }
    if !is_idle {
        let _ = channel.apply(&[]).await;
    }
}

async fn apply(channel: &mut RuleChannel, rules: Arc<BTreeMap<String, Rule>>) -> Applied {
    let list: Vec<Rule> = rules.values().cloned().collect();
    let failed = match channel.apply(&list).await {
        Ok(failed) => {
            let why = |(at, interface): (usize, &String)| {
                failed.get(&at).map(|why| (interface.clone(), why.clone()))
            };
            rules.keys().enumerate().filter_map(why).collect()
        }
        Err(error) => {
            let text = format!(
                "the process that installs rules has ended ({error}); restart leasehold to have \
                 it again"
            );
            rules.keys().map(|interface| (interface.clone(), text.clone())).collect()
        }
    };
    Applied { rules, failed }
}

fn warn(interface: &str, way: Consume, reason: &str) {
    tracing::warn!(interface, %reason, "requests are not taken away by {}", way.as_str());
}

const TRUNK: &str = "the port is a trunk: requests of its other VLANs would be taken away too";
const MACVTAP: &str =
    "a macvtap's requests leave through the port: no rule on what comes in there sees them";

const USERSPACE: &str = "the bridge's datapath_type is netdev, and Open vSwitch's userspace \
                         datapath takes frames before nft could; write \"openflow\"";
const NO_SWITCH: &str = "only ports of a source with kind \"ovsdb\" have flows; write \"nft\"";

/// How long rules that an earlier process left are kept while sources have not all answered.
const START_LIMIT: Duration = Duration::from_secs(10);

/// How often it is looked whether rules are still in force.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// How long further changes are waited for.
const GATHERING: Duration = Duration::from_millis(10);

/// How many lines a summary has at most.
const SUMMARY_MAX: usize = 8;

#[cfg(test)]
mod tests;
