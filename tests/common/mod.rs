//! What several test programs share: a port made from the templates of `packet-fixtures/`.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use leasehold::binding::{Binding, PortFacts};
use leasehold::config;
use leasehold::lease::{LeaseKey, LeaseTable, NicName, Occasion};
use leasehold::network::Network;
use leasehold::time::Wall;

/// The folder of the recorded cases.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("packet-fixtures")
}

/// The templates of `packet-fixtures/networks`, and the server's DUID.
pub struct Templates {
    networks: Vec<Arc<Network>>,
    server_duid: [u8; 18],
}

impl Templates {
    pub fn load() -> Self {
        let path = fixtures().join("leasehold.toml");
        let config =
            config::load(&path).unwrap_or_else(|errors| panic!("{}", errors.render(false)));
        Self { networks: config.networks, server_duid: config.server_duid }
    }

    /// Makes the binding of one VM's port, as the daemon would.
    pub fn binding(&self, network: &str, vm: &str, facts: &PortFacts) -> Arc<Binding> {
        let network = self
            .networks
            .iter()
            .find(|candidate| candidate.name.as_str() == network)
            .unwrap_or_else(|| panic!("no template {network} in packet-fixtures/networks"));
        let key = LeaseKey {
            network: network.name.clone(),
            vm: vm.parse().expect("a case names a legal VM"),
            nic: NicName::default(),
        };
        let occasion = Occasion { node: "node-a", wall: Wall(1_795_571_589) };
        let lease = LeaseTable::default().assign(network, &key, occasion).lease;
        let parameters = network.parameters(&lease, self.server_duid);
        Arc::new(Binding::new(key, facts, &parameters))
    }
}

/// Reads hexadecimal bytes; `#` begins a comment.
pub fn parse_hex(text: &str) -> Vec<u8> {
    let digits: String = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect();
    assert!(digits.len() % 2 == 0, "an odd number of hexadecimal digits");
    (0..digits.len())
        .step_by(2)
        .map(|place| u8::from_str_radix(&digits[place..place + 2], 16).expect("hexadecimal"))
        .collect()
}

/// Writes bytes in lines of sixteen.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes
        .chunks(16)
        .map(|line| {
            let octets: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            octets.join(" ") + "\n"
        })
        .collect()
}
