//! The static source: the ports that the file lists.
//!
//! It says once what the file says. The interfaces need not exist yet: the daemon waits for them.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Identity, IdentityTrace, Port, SourceEvent, SourceId};
use crate::config::StaticPort;

/// Gives the snapshot, and ends.
pub(super) async fn run(
    id: SourceId,
    ports: Vec<Arc<Port>>,
    events: mpsc::Sender<(SourceId, SourceEvent)>,
) {
    // A receiver that is gone means that the daemon stops: nobody is left to tell.
    let _ = events.send((id, SourceEvent::Snapshot(ports))).await;
}

/// Makes ports of the file's entries, in file order.
#[must_use]
pub fn snapshot(ports: &[StaticPort]) -> Vec<Arc<Port>> {
    ports.iter().map(|entry| Arc::new(port(entry))).collect()
}

fn port(entry: &StaticPort) -> Port {
    let trace = IdentityTrace::of("static".to_owned());
    let identity = Identity { vm: entry.vm.clone(), nic: entry.nic.clone(), trace };
    Port {
        mac: entry.mac,
        network: entry.network.clone(),
        ..Port::new(entry.interface.clone(), Ok(identity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;
    use crate::discovery::{Connector, ExternalIds, PortStatus, Surroundings, spawn};

    #[tokio::test]
    async fn a_static_source_gives_its_file_entries_and_ends() {
        let source = Source::Static {
            ports: vec![StaticPort {
                interface: "tap0".into(),
                vm: "demo/web-1".parse().unwrap(),
                nic: "default".parse().unwrap(),
                mac: Some("52:54:00:12:34:56".parse().unwrap()),
                network: Some("blue".parse().unwrap()),
            }],
        };
        let (events, mut received) = mpsc::channel(1);
        let connector = Connector::direct();
        let surroundings = Surroundings { rules: Arc::from([]), connector, events };
        spawn(SourceId(3), &source, surroundings).await.unwrap();

        let expected = Port {
            interface: "tap0".into(),
            identity: Ok(Identity {
                vm: "demo/web-1".parse().unwrap(),
                nic: "default".parse().unwrap(),
                trace: IdentityTrace::of("static".into()),
            }),
            mac: Some("52:54:00:12:34:56".parse().unwrap()),
            network: Some("blue".parse().unwrap()),
            bridge: None,
            tag: None,
            trunks: Vec::new(),
            is_trunk: false,
            external_ids: ExternalIds::default(),
            status: PortStatus::Active,
            fault: None,
            switch: None,
        };
        assert_eq!(
            received.recv().await,
            Some((SourceId(3), SourceEvent::Snapshot(vec![expected.into()])))
        );
        assert_eq!(received.recv().await, None);
    }
}
