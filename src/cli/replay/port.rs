//! Whose port a capture is answered for: its network, its NIC and its lease.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Options, usage};
use crate::binding::{Binding, PortFacts};
use crate::cli::{Failure, leases};
use crate::clock;
use crate::config::Config;
use crate::lease::{Assignment, Lease, LeaseKey, LeaseTable, NicName, Occasion};
use crate::network::Network;

/// The port that is answered: a network, a lease and what was said of the port.
pub(super) struct Port {
    network: Arc<Network>,
    /// The network's file.
    pub(super) template: PathBuf,
    pub(super) assignment: Assignment,
    /// Whether an empty lease table would have given the same addresses.
    pub(super) is_fresh: bool,
    pub(super) binding: Arc<Binding>,
}

impl Port {
    /// Finds it by what was named on the command line.
    pub(super) fn find(path: &Path, config: &Config, options: &Options) -> Result<Self, Failure> {
        let (network, template) = choose_network(config, options)?;
        let leases = if options.store { leases::stored(leases::rows(path)?) } else { Vec::new() };
        let key = LeaseKey {
            network: network.name.clone(),
            vm: options.vm.clone(),
            nic: choose_nic(&leases, &network, options)?,
        };
        let occasion = Occasion { node: &config.node, wall: clock::wall() };
        let fresh = LeaseTable::default().assign(&network, &key, occasion).lease;
        let (mut table, _) = LeaseTable::load(leases);
        let assignment = table.assign(&network, &key, occasion);
        let trunk_vlan = match (options.trunk, network.matcher.vlan) {
            (false, _) => None,
            (true, Some(vlan)) => Some(vlan),
            (true, None) => {
                let name = &network.name;
                return Err(usage(format!(
                    "--trunk: network {name} has no [match] vlan, so no tag is served on a trunk"
                )));
            }
        };
        let facts = PortFacts { mac: options.mac, trunk_vlan, mtu: MTU, is_macvtap: false };
        let parameters = network.parameters(&assignment.lease, config.server_duid);
        let lease = &assignment.lease;
        Ok(Self {
            is_fresh: (fresh.ipv4, fresh.ipv6, fresh.prefix)
                == (lease.ipv4, lease.ipv6, lease.prefix),
            binding: Arc::new(Binding::new(key, &facts, &parameters)),
            network,
            template,
            assignment,
        })
    }

    /// Says for whom the capture is answered, and with which addresses.
    pub(super) fn headline(&self) -> String {
        let Assignment { lease, no_ipv4, no_ipv6, no_prefix, .. } = &self.assignment;
        let LeaseKey { network, vm, nic } = &lease.key;
        let ipv4 = self.network.ipv4.as_ref().and(lease.ipv4).map(|address| address.to_string());
        let ipv6 = self.network.ipv6.as_ref().and(lease.ipv6).map(|address| address.to_string());
        let delegation = self.network.ipv6.as_ref().and_then(|ipv6| ipv6.delegation.as_ref());
        let prefix = delegation.and(lease.prefix).map(|prefix| prefix.to_string());
        let addresses: Vec<String> = [ipv4, ipv6, prefix].into_iter().flatten().collect();
        let addresses =
            if addresses.is_empty() { "no address".to_owned() } else { addresses.join(", ") };
        let mut text = format!("{vm} {nic} on network {network}: {addresses}\n");
        for reason in [no_ipv4, no_ipv6, no_prefix].into_iter().flatten() {
            let _ = writeln!(text, "  {reason}");
        }
        text
    }
}

/// Finds the network by its name, by the VM's entry, or because there is no other.
fn choose_network(config: &Config, options: &Options) -> Result<(Arc<Network>, PathBuf), Failure> {
    let all = || config.networks.iter().zip(&config.network_files);
    let names = |of: &[(&Arc<Network>, &PathBuf)]| {
        of.iter().map(|(network, _)| network.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    let vm = &options.vm;
    let candidates: Vec<_> = match &options.network {
        Some(name) => all().filter(|(network, _)| network.name.as_str() == name).collect(),
        None => all().filter(|(network, _)| has_entry(network, options)).collect(),
    };
    let every: Vec<_> = all().collect();
    let chosen = match (candidates.as_slice(), every.as_slice(), &options.network) {
        ([one], _, _) | ([], [one], None) => one,
        (_, [], _) => {
            let dir = config.networks_dir.display();
            return Err(usage(format!("no network is configured; add a file to {dir}")));
        }
        (_, _, Some(name)) => {
            let names = names(&every);
            return Err(usage(format!("no network is named {name:?}; the networks are {names}")));
        }
        ([], _, None) => {
            let names = names(&every);
            return Err(usage(format!(
                "no network has an entry for {vm}; name one with --network: {names}"
            )));
        }
        (several, _, None) => {
            let names = names(several);
            return Err(usage(format!(
                "more than one network has an entry for {vm}; name one with --network: {names}"
            )));
        }
    };
    Ok((Arc::clone(chosen.0), chosen.1.clone()))
}

fn has_entry(network: &Network, options: &Options) -> bool {
    match &options.nic {
        Some(nic) => network.vm_entry(&options.vm, nic).is_some(),
        None => network.vms.iter().any(|entry| entry.id == options.vm),
    }
}

/// Takes the NIC that was named, or the only one that has an entry or holds a lease.
fn choose_nic(leases: &[Lease], network: &Network, options: &Options) -> Result<NicName, Failure> {
    let (vm, name) = (&options.vm, &network.name);
    let leased = leases
        .iter()
        .filter(|lease| lease.key.vm == *vm && lease.key.network == *name)
        .map(|lease| &lease.key.nic)
        .filter(|nic| !nic.is_any());
    let entries = network.vms.iter().filter(|entry| entry.id == *vm);
    let nics: BTreeSet<&NicName> =
        leased.chain(entries.filter_map(|entry| entry.nic.as_ref())).collect();
    match (&options.nic, nics.into_iter().collect::<Vec<_>>().as_slice()) {
        (Some(nic), _) => Ok(nic.clone()),
        (None, [nic]) => Ok((*nic).clone()),
        (None, []) => Ok(NicName::default()),
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|nic| nic.as_str()).collect();
            Err(usage(format!(
                "{vm} has several NICs on network {name}; name one with --nic: {}",
                names.join(", ")
            )))
        }
    }
}

/// What a VM's port has where nobody sets another one.
const MTU: u16 = 1_500;
