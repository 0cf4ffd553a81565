//! What admins change in the table: addresses held in advance, released, moved to another VM.
//!
//! All edits of one request happen, or none: an import that has a fault changes nothing.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::table::{may_hold_ipv4, may_hold_ipv6};
use super::{Lease, LeaseKey, LeaseTable, NetworkName, Occasion};
use crate::network::Network;

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "kebab-case")]
pub enum Edit {
    /// The NIC holds these addresses from now on; a family without one stays as it is.
    Hold {
        /// Whose they are to be.
        key: LeaseKey,
        /// At most one of each family.
        addresses: Vec<IpAddr>,
        /// The host name, if one is known; the template's goes before it once the VM is served.
        hostname: Option<String>,
    },
    /// The NIC holds nothing any more.
    Release {
        /// Whose lease goes.
        key: LeaseKey,
    },
    /// The address goes from whoever holds it to this NIC.
    Move {
        /// Whose it is to be.
        key: LeaseKey,
        /// The address.
        address: IpAddr,
    },
}

/// Why an edit cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// No template of that name.
    #[error("there is no network {0}; `leasehold check` names what is configured")]
    NoNetwork(NetworkName),
    /// The network can never give this address.
    #[error("network {network} cannot give {address}: it is outside its subnets, or its own")]
    NotOfNetwork {
        /// The network.
        network: NetworkName,
        /// The address.
        address: IpAddr,
    },
    /// Somebody else has it.
    #[error("{address} is held by {} {}, wanted for {} {}; `leasehold leases move` moves it", holder.vm, holder.nic, wanted.vm, wanted.nic)]
    Held {
        /// The address.
        address: IpAddr,
        /// Who holds it.
        holder: Box<LeaseKey>,
        /// Who was to have it.
        wanted: Box<LeaseKey>,
    },
    /// A row of the store that cannot be trusted names it.
    #[error("{address} is kept for {holder} of the store; release it there first")]
    Withheld {
        /// The address.
        address: IpAddr,
        /// Whom it is kept for.
        holder: String,
    },
    /// The files say whose it is.
    #[error("{address} is reserved for {vm} in the network's file; change it there")]
    Reserved {
        /// The address.
        address: IpAddr,
        /// Whose reservation it is.
        vm: String,
    },
    /// Nothing there to release.
    #[error("{} {} holds no lease in network {}", .0.vm, .0.nic, .0.network)]
    NoLease(Box<LeaseKey>),
    /// Nobody holds what is to be moved.
    #[error(
        "nobody holds {address} in network {network}; `leasehold leases reserve` gives it away"
    )]
    NotHeld {
        /// The network.
        network: NetworkName,
        /// The address.
        address: IpAddr,
    },
}

impl LeaseTable {
    /// Makes all of `edits`, or none. Returns the keys whose lease changed or went.
    ///
    /// # Errors
    /// Every [`EditError`] there is; the table is as it was then.
    pub fn edit(
        &mut self,
        networks: &[Arc<Network>],
        edits: &[Edit],
        occasion: Occasion<'_>,
    ) -> Result<Vec<LeaseKey>, Vec<EditError>> {
        // The leases as they were, in the order in which they were touched.
        let mut before: Vec<(LeaseKey, Option<Lease>)> = Vec::new();
        let mut errors = Vec::new();
        for edit in edits {
            if let Err(error) = self.edit_one(networks, edit, occasion, &mut before) {
                errors.push(error);
            }
        }
        if errors.is_empty() {
            before.sort_by(|(a, _), (b, _)| a.cmp(b));
            before.dedup_by(|(a, _), (b, _)| a == b);
            return Ok(before.into_iter().map(|(key, _)| key).collect());
        }
        // Each goes back to what it was before its first edit; only all of these fit together.
        for (key, _) in &before {
            self.take_out(key);
        }
        let mut seen = HashSet::new();
        for (key, lease) in &before {
            if let (true, Some(lease)) = (seen.insert(key), lease) {
                self.replace(lease.clone());
            }
        }
        Err(errors)
    }

    fn edit_one(
        &mut self,
        networks: &[Arc<Network>],
        edit: &Edit,
        occasion: Occasion<'_>,
        before: &mut Vec<(LeaseKey, Option<Lease>)>,
    ) -> Result<(), EditError> {
        match edit {
            Edit::Release { key } => {
                let lease =
                    self.remove(key).ok_or_else(|| EditError::NoLease(Box::new(key.clone())))?;
                before.push((key.clone(), Some(lease)));
                Ok(())
            }
            Edit::Hold { key, addresses, hostname } => {
                for address in addresses {
                    may_have(networks, key, *address)?;
                    if let Some(holder) = self.holder(&key.network, *address)
                        && holder != key
                    {
                        let (holder, wanted) = (Box::new(holder.clone()), Box::new(key.clone()));
                        return Err(EditError::Held { address: *address, holder, wanted });
                    }
                    if let Some(holder) = self.withheld_from(key, *address) {
                        return Err(EditError::Withheld { address: *address, holder });
                    }
                }
                before.push((key.clone(), self.get(key).cloned()));
                let mut lease = self.get(key).cloned().unwrap_or_else(|| new(key, occasion));
                for address in addresses {
                    set(&mut lease, *address);
                }
                if hostname.is_some() {
                    lease.hostname.clone_from(hostname);
                }
                self.replace(lease);
                Ok(())
            }
            Edit::Move { key, address } => {
                may_have(networks, key, *address)?;
                let network = || key.network.clone();
                let holder = self
                    .holder(&key.network, *address)
                    .cloned()
                    .ok_or_else(|| EditError::NotHeld { network: network(), address: *address })?;
                if holder == *key {
                    return Ok(());
                }
                if let Some(mut lease) = self.take_out(&holder) {
                    before.push((holder, Some(lease.clone())));
                    match address {
                        IpAddr::V4(_) => lease.ipv4 = None,
                        IpAddr::V6(_) => lease.ipv6 = None,
                    }
                    if lease.ipv4.is_some() || lease.ipv6.is_some() || lease.prefix.is_some() {
                        self.replace(lease);
                    }
                }
                before.push((key.clone(), self.get(key).cloned()));
                let mut lease = self.get(key).cloned().unwrap_or_else(|| new(key, occasion));
                set(&mut lease, *address);
                self.replace(lease);
                Ok(())
            }
        }
    }
}

/// Whether the network can give the address, and the files do not say that it is somebody else's.
fn may_have(networks: &[Arc<Network>], key: &LeaseKey, address: IpAddr) -> Result<(), EditError> {
    let network = networks
        .iter()
        .find(|network| network.name == key.network)
        .ok_or_else(|| EditError::NoNetwork(key.network.clone()))?;
    let fits = match address {
        IpAddr::V4(address) => {
            network.ipv4.as_ref().is_some_and(|ipv4| may_hold_ipv4(ipv4, address))
        }
        IpAddr::V6(address) => {
            network.ipv6.as_ref().is_some_and(|ipv6| may_hold_ipv6(ipv6, address))
        }
    };
    if !fits {
        return Err(EditError::NotOfNetwork { network: key.network.clone(), address });
    }
    let reserved = network.vms.iter().find(|entry| match address {
        IpAddr::V4(address) => entry.ipv4.contains(&address),
        IpAddr::V6(address) => entry.ipv6.contains(&address),
    });
    match reserved {
        Some(entry) if entry.id != key.vm => {
            Err(EditError::Reserved { address, vm: entry.id.to_string() })
        }
        Some(_) | None => Ok(()),
    }
}

fn new(key: &LeaseKey, occasion: Occasion<'_>) -> Lease {
    Lease {
        key: key.clone(),
        ipv4: None,
        ipv6: None,
        prefix: None,
        hostname: None,
        created: occasion.wall,
        node: occasion.node.to_owned(),
        arrived: None,
        last_seen: None,
        conflict: false,
    }
}

fn set(lease: &mut Lease, address: IpAddr) {
    match address {
        IpAddr::V4(address) => lease.ipv4 = Some(address),
        IpAddr::V6(address) => lease.ipv6 = Some(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::tests::network;
    use crate::time::Wall;

    const OCCASION: Occasion<'static> = Occasion { node: "node-a", wall: Wall(1_000) };

    fn key(vm: &str) -> LeaseKey {
        LeaseKey {
            network: "blue".parse().unwrap(),
            vm: vm.parse().unwrap(),
            nic: "default".parse().unwrap(),
        }
    }

    fn hold(vm: &str, address: &str) -> Edit {
        let addresses = vec![address.parse().unwrap()];
        Edit::Hold { key: key(vm), addresses, hostname: None }
    }

    fn edited(table: &mut LeaseTable, edits: &[Edit]) -> Result<Vec<LeaseKey>, Vec<EditError>> {
        table.edit(&[Arc::new(network("blue"))], edits, OCCASION)
    }

    fn holder(table: &LeaseTable, address: &str) -> Option<String> {
        let network = "blue".parse().unwrap();
        table.holder(&network, address.parse().unwrap()).map(|key| key.vm.to_string())
    }

    #[test]
    fn two_vms_exchange_their_addresses_by_way_of_a_third() {
        let mut table = LeaseTable::default();
        edited(&mut table, &[hold("a", "10.0.0.5"), hold("b", "10.0.0.6")]).unwrap();
        let to = |vm: &str, address: &str| Edit::Move {
            key: key(vm),
            address: address.parse().unwrap(),
        };
        let edits = [hold("a", "10.0.0.7"), to("a", "10.0.0.6"), hold("b", "10.0.0.5")];
        assert_eq!(edited(&mut table, &edits).unwrap(), [key("a"), key("b")]);
        assert_eq!(holder(&table, "10.0.0.5").as_deref(), Some("b"));
        assert_eq!(holder(&table, "10.0.0.6").as_deref(), Some("a"));
        assert_eq!(holder(&table, "10.0.0.7"), None);
    }

    #[test]
    fn one_edit_that_cannot_be_undoes_all_of_them() {
        let mut table = LeaseTable::default();
        edited(&mut table, &[hold("a", "10.0.0.5"), hold("b", "10.0.0.6")]).unwrap();
        let before: Vec<Lease> = table.iter().cloned().collect();
        let edits = [
            Edit::Release { key: key("a") },
            hold("b", "10.0.0.5"),
            hold("a", "10.0.0.6"),
            hold("c", "10.0.0.6"),
            hold("c", "10.0.0.1"),
            Edit::Release { key: key("d") },
        ];
        let errors = edited(&mut table, &edits).unwrap_err();
        let address = |text: &str| -> IpAddr { text.parse().unwrap() };
        assert_eq!(
            errors,
            [
                EditError::Held {
                    address: address("10.0.0.6"),
                    holder: Box::new(key("a")),
                    wanted: Box::new(key("c")),
                },
                EditError::NotOfNetwork {
                    network: "blue".parse().unwrap(),
                    address: address("10.0.0.1"),
                },
                EditError::NoLease(Box::new(key("d"))),
            ]
        );
        assert_eq!(table.iter().cloned().collect::<Vec<_>>(), before);
        assert_eq!(holder(&table, "10.0.0.5").as_deref(), Some("a"));
        assert_eq!(holder(&table, "10.0.0.6").as_deref(), Some("b"));
    }

    #[test]
    fn what_the_files_reserve_for_another_vm_is_not_given_away() {
        let mut template = network("blue");
        let mut entry = crate::network::tests::entry("prod/db", None);
        entry.ipv4 = vec!["10.0.0.9".parse().unwrap()];
        template.vms = vec![entry].into();
        let networks = [Arc::new(template)];
        let mut table = LeaseTable::default();
        let error = table.edit(&networks, &[hold("a", "10.0.0.9")], OCCASION).unwrap_err();
        let reserved =
            EditError::Reserved { address: "10.0.0.9".parse().unwrap(), vm: "prod/db".to_owned() };
        assert_eq!(error, [reserved]);
        assert!(table.edit(&networks, &[hold("prod/db", "10.0.0.9")], OCCASION).is_ok());
    }
}
