//! What admins change in the table: addresses held in advance, released, moved to another VM.
//!
//! All edits of one request happen, or none: an import that has a fault changes nothing.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::Ipv6Net;
use serde::{Deserialize, Serialize};

use super::table::{may_hold_ipv4, may_hold_ipv6};
use super::{Holding, Lease, LeaseKey, LeaseTable, NetworkName, Occasion};
use crate::network::{Network, VmEntry, overlap};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "edit", rename_all = "kebab-case")]
pub enum Edit {
    /// The NIC holds these addresses and prefix from now on; a kind without one stays as it is. With
    /// [`NicName::any`](super::NicName::any) it is the VM's only one, else the first that asks.
    Hold {
        /// Whose they are to be.
        key: LeaseKey,
        /// At most one of each kind.
        holdings: Vec<Holding>,
        /// The host name, if one is known; the template's goes before it once the VM is served.
        hostname: Option<String>,
    },
    /// The NIC holds nothing any more.
    Release {
        /// Whose lease goes.
        key: LeaseKey,
    },
    /// The address or prefix goes from whoever holds it to this NIC.
    Move {
        /// Whose it is to be.
        key: LeaseKey,
        /// What goes there.
        holding: Holding,
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
    /// The network delegates nothing.
    #[error("network {network} cannot delegate {prefix}: it has no `delegate` pool")]
    NoDelegation {
        /// The network.
        network: NetworkName,
        /// The prefix.
        prefix: Ipv6Net,
    },
    /// The network can never delegate this prefix.
    #[error(
        "network {network} cannot delegate {prefix}: it delegates prefixes of length {length} of \
         {pool}, but for its own"
    )]
    NotOfPool {
        /// The network.
        network: NetworkName,
        /// The prefix.
        prefix: Ipv6Net,
        /// What the network delegates of.
        pool: Ipv6Net,
        /// How long its prefixes are.
        length: u8,
    },
    /// Somebody else has it.
    #[error("{holding} is held by {} {}, wanted for {} {}; `leasehold leases move` moves it", holder.vm, holder.nic, wanted.vm, wanted.nic)]
    Held {
        /// What is held, or a part of it.
        holding: Holding,
        /// Who holds it.
        holder: Box<LeaseKey>,
        /// Who was to have it.
        wanted: Box<LeaseKey>,
    },
    /// A row of the store that cannot be trusted names it.
    #[error("{holding} is kept for {holder} of the store; release it there first")]
    Withheld {
        /// What is kept.
        holding: Holding,
        /// Whom it is kept for.
        holder: String,
    },
    /// The files say whose it is.
    #[error("{holding} is reserved for {vm} in the network's file; change it there")]
    Reserved {
        /// What is reserved, or a part of it.
        holding: Holding,
        /// Whose reservation it is.
        vm: String,
    },
    /// It is not said which NIC is meant, and there are several.
    #[error("{} has several NICs on network {}: {nics}; name one by --nic", .key.vm, .key.network)]
    SeveralNics {
        /// The VM and its network.
        key: Box<LeaseKey>,
        /// The NICs.
        nics: String,
    },
    /// Nothing there to release.
    #[error("{} {} holds no lease in network {}", .0.vm, .0.nic, .0.network)]
    NoLease(Box<LeaseKey>),
    /// Nobody holds what is to be moved.
    #[error(
        "nobody holds {holding} in network {network}; `leasehold leases reserve` gives it away"
    )]
    NotHeld {
        /// The network.
        network: NetworkName,
        /// What was to be moved.
        holding: Holding,
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
            Edit::Hold { key, holdings, hostname } => {
                let key = &self.nic_meant(key)?;
                for holding in holdings {
                    may_have(networks, key, *holding)?;
                    self.is_free_for(key, *holding)?;
                }
                before.push((key.clone(), self.get(key).cloned()));
                let mut lease = self.get(key).cloned().unwrap_or_else(|| new(key, occasion));
                for holding in holdings {
                    holding.put_into(&mut lease);
                }
                if hostname.is_some() {
                    lease.hostname.clone_from(hostname);
                }
                self.replace(lease);
                Ok(())
            }
            Edit::Move { key, holding } => {
                let key = &self.nic_meant(key)?;
                may_have(networks, key, *holding)?;
                if self.get(key).is_some_and(|lease| Holding::of(lease).any(|own| own == *holding))
                {
                    return Ok(());
                }
                let holder = self.holder_of(&key.network, *holding).cloned().ok_or_else(|| {
                    EditError::NotHeld { network: key.network.clone(), holding: *holding }
                })?;
                if let Some(mut lease) = self.take_out(&holder) {
                    before.push((holder, Some(lease.clone())));
                    holding.take_from(&mut lease);
                    if Holding::of(&lease).next().is_some() {
                        self.replace(lease);
                    }
                }
                before.push((key.clone(), self.get(key).cloned()));
                let mut lease = self.get(key).cloned().unwrap_or_else(|| new(key, occasion));
                holding.put_into(&mut lease);
                self.replace(lease);
                Ok(())
            }
        }
    }

    /// Returns which NIC is meant by whichever: the one that holds something on the network already,
    /// else the first that asks for something.
    fn nic_meant(&self, key: &LeaseKey) -> Result<LeaseKey, EditError> {
        if !key.nic.is_any() {
            return Ok(key.clone());
        }
        let nics: Vec<&LeaseKey> = self.nics_of(key).collect();
        match nics.as_slice() {
            [] => Ok(key.clone()),
            [only] => Ok((*only).clone()),
            several => {
                let nics: Vec<&str> = several.iter().map(|key| key.nic.as_str()).collect();
                Err(EditError::SeveralNics { key: Box::new(key.clone()), nics: nics.join(", ") })
            }
        }
    }

    /// Returns whose lease holds exactly this.
    #[must_use]
    pub fn holder_of(&self, network: &NetworkName, holding: Holding) -> Option<&LeaseKey> {
        match holding {
            Holding::Address(address) => self.holder(network, address),
            Holding::Prefix(prefix) => self.prefix_holder(network, prefix),
        }
    }

    /// Says who stands against it that the NIC is given this.
    fn is_free_for(&self, key: &LeaseKey, holding: Holding) -> Result<(), EditError> {
        if let Some(holder) = self.other_holder(key, holding) {
            let (holder, wanted) = (Box::new(holder.clone()), Box::new(key.clone()));
            return Err(EditError::Held { holding, holder, wanted });
        }
        match self.withheld_from(key, holding) {
            Some(holder) => Err(EditError::Withheld { holding, holder }),
            None => Ok(()),
        }
    }
}

/// Whether the network can give it, and the files do not say that it is somebody else's.
fn may_have(networks: &[Arc<Network>], key: &LeaseKey, holding: Holding) -> Result<(), EditError> {
    let network = networks
        .iter()
        .find(|network| network.name == key.network)
        .ok_or_else(|| EditError::NoNetwork(key.network.clone()))?;
    let not_of_network =
        |address| EditError::NotOfNetwork { network: key.network.clone(), address };
    let ipv6 = network.ipv6.as_ref();
    match holding {
        Holding::Address(IpAddr::V4(address)) => network
            .ipv4
            .as_ref()
            .filter(|ipv4| may_hold_ipv4(ipv4, address))
            .map(|_| ())
            .ok_or_else(|| not_of_network(address.into()))?,
        Holding::Address(IpAddr::V6(address)) => ipv6
            .filter(|ipv6| may_hold_ipv6(ipv6, address))
            .map(|_| ())
            .ok_or_else(|| not_of_network(address.into()))?,
        Holding::Prefix(prefix) => {
            let network = key.network.clone();
            let Some(delegation) = ipv6.and_then(|ipv6| ipv6.delegation.as_ref()) else {
                return Err(EditError::NoDelegation { network, prefix });
            };
            if !delegation.may_hold(prefix) {
                let (pool, length) = (delegation.pool, delegation.length);
                return Err(EditError::NotOfPool { network, prefix, pool, length });
            }
        }
    }
    let is_reserved = |entry: &&VmEntry| match holding {
        Holding::Address(IpAddr::V4(address)) => entry.ipv4.contains(&address),
        Holding::Address(IpAddr::V6(address)) => entry.ipv6.contains(&address),
        Holding::Prefix(prefix) => entry.prefix.is_some_and(|other| overlap(other, prefix)),
    };
    match network.vms.iter().find(is_reserved) {
        Some(entry) if entry.id != key.vm => {
            Err(EditError::Reserved { holding, vm: entry.id.to_string() })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{LeaseChange, Withheld};
    use crate::network::Delegation;
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
        let holdings = vec![address.parse().unwrap()];
        Edit::Hold { key: key(vm), holdings, hostname: None }
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
            holding: address.parse().unwrap(),
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
                    holding: address("10.0.0.6").into(),
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
            EditError::Reserved { holding: "10.0.0.9".parse().unwrap(), vm: "prod/db".to_owned() };
        assert_eq!(error, [reserved]);
        assert!(table.edit(&networks, &[hold("prod/db", "10.0.0.9")], OCCASION).is_ok());
    }

    fn any(vm: &str) -> LeaseKey {
        key(vm).for_any_nic()
    }

    fn hold_for_any(vm: &str, address: &str) -> Edit {
        Edit::Hold { key: any(vm), holdings: vec![address.parse().unwrap()], hostname: None }
    }

    fn nic(vm: &str, nic: &str) -> LeaseKey {
        LeaseKey { nic: nic.parse().unwrap(), ..key(vm) }
    }

    #[test]
    fn what_is_held_for_whichever_nic_goes_to_the_first_that_asks_and_stays_there() {
        let blue = network("blue");
        let mut table = LeaseTable::default();
        edited(&mut table, &[hold_for_any("a", "10.0.0.5")]).unwrap();
        // Nobody else's meanwhile, over a restart too.
        let leases = table.iter().cloned().collect();
        (table, _) = LeaseTable::load(leases);
        let refused = edited(&mut table, &[hold("b", "10.0.0.5")]).unwrap_err();
        assert!(refused[0].to_string().starts_with("10.0.0.5 is held by a *"), "{refused:?}");
        let given = table.assign(&blue, &nic("a", "eth7"), OCCASION);
        assert_eq!(given.lease.ipv4, Some([10, 0, 0, 5].into()));
        assert_eq!((given.change, given.took), (LeaseChange::Addresses, Some(any("a"))));
        assert_eq!(table.get(&any("a")), None);
        // What a NIC has already stays for another one.
        edited(&mut table, &[hold_for_any("b", "10.0.0.6")]).unwrap();
        let own = Edit::Hold {
            key: nic("b", "eth0"),
            holdings: vec!["10.0.0.7".parse().unwrap()],
            hostname: None,
        };
        edited(&mut table, &[own]).unwrap();
        let of = |table: &mut LeaseTable, name: &str| {
            table.assign(&blue, &nic("b", name), OCCASION).lease.ipv4
        };
        assert_eq!(of(&mut table, "eth0"), Some([10, 0, 0, 7].into()));
        assert_eq!(of(&mut table, "eth1"), Some([10, 0, 0, 6].into()));
        // A further NIC has no part in it, and the first keeps it.
        assert_eq!(table.assign(&blue, &nic("a", "eth0"), OCCASION).lease.ipv4, None);
        let again = table.assign(&blue, &nic("a", "eth7"), OCCASION);
        assert_eq!((again.lease.ipv4, again.took), (given.lease.ipv4, None));
        assert_eq!(again.change, LeaseChange::None);
    }

    #[test]
    fn whichever_nic_is_the_only_one_that_is_known_and_never_one_of_several() {
        let mut table = LeaseTable::default();
        let of = |nic: LeaseKey, address: &str| Edit::Hold {
            key: nic,
            holdings: vec![address.parse().unwrap()],
            hostname: None,
        };
        // Neighbours in the order of keys are other VMs' NICs.
        let others = [of(nic("a", "eth9"), "10.0.0.7"), of(nic("c", "eth0"), "10.0.0.8")];
        edited(&mut table, &others).unwrap();
        edited(&mut table, &[of(nic("b", "eth0"), "10.0.0.5")]).unwrap();
        let changed = edited(&mut table, &[hold_for_any("b", "10.0.0.6")]).unwrap();
        assert_eq!(changed, [nic("b", "eth0")]);
        assert_eq!(holder(&table, "10.0.0.5"), None);
        edited(&mut table, &[of(nic("b", "eth1"), "10.0.0.5")]).unwrap();
        let edit = Edit::Move { key: any("b"), holding: "10.0.0.7".parse().unwrap() };
        let errors = edited(&mut table, &[edit]).unwrap_err();
        assert_eq!(
            errors[0].to_string(),
            "b has several NICs on network blue: eth0, eth1; name one by --nic"
        );
        assert_eq!(holder(&table, "10.0.0.7").as_deref(), Some("a"));
    }

    /// A network whose pool has four prefixes, of which its subnet takes the first and a
    /// reservation of `prod/db` the last.
    fn delegating() -> [Arc<Network>; 1] {
        let mut template = network("blue");
        let net = |text: &str| text.parse().unwrap();
        template.ipv6 = Some(crate::network::tests::ipv6(Some(Delegation {
            pool: net("2001:db8::/60"),
            length: 62,
            own: vec![net("2001:db8::/64")],
            reserved: vec![net("2001:db8:0:c::/62")],
        })));
        let mut entry = crate::network::tests::entry("prod/db", None);
        entry.prefix = Some(net("2001:db8:0:c::/62"));
        template.vms = vec![entry].into();
        [Arc::new(template)]
    }

    #[test]
    fn a_prefix_is_held_moved_and_then_served() {
        let (networks, mut table) = (delegating(), LeaseTable::default());
        let to =
            |vm: &str| Edit::Move { key: key(vm), holding: "2001:db8:0:4::/62".parse().unwrap() };
        let not_held = table.edit(&networks, &[to("b")], OCCASION).unwrap_err();
        assert_eq!(
            not_held[0].to_string(),
            "nobody holds 2001:db8:0:4::/62 in network blue; `leasehold leases reserve` gives it \
             away"
        );
        table.edit(&networks, &[hold("a", "2001:db8:0:4::/62")], OCCASION).unwrap();
        let changed = table.edit(&networks, &[to("b")], OCCASION).unwrap();
        assert_eq!(changed, [key("a"), key("b")]);
        assert_eq!(table.get(&key("a")), None);
        assert_eq!(table.edit(&networks, &[to("b")], OCCASION).unwrap(), []);
        let prefix = table.assign(&networks[0], &key("b"), OCCASION).lease.prefix;
        assert_eq!(prefix, Some("2001:db8:0:4::/62".parse().unwrap()));
    }

    #[test]
    fn a_prefix_that_cannot_be_given_is_refused_with_the_reason() {
        let (networks, mut table) = (delegating(), LeaseTable::default());
        table.edit(&networks, &[hold("a", "2001:db8:0:4::/62")], OCCASION).unwrap();
        let withheld = Some("2001:db8:0:8::/63".parse().unwrap());
        let network = "blue".parse().unwrap();
        let owner = Some(key("d"));
        table.withhold(&Withheld { network, owner, ipv4: None, ipv6: None, prefix: withheld });
        let mut refused = |vm: &str, prefix: &str| {
            let errors = table.edit(&networks, &[hold(vm, prefix)], OCCASION).unwrap_err();
            errors[0].to_string()
        };
        let of_pool = "it delegates prefixes of length 62 of 2001:db8::/60, but for its own";
        for prefix in ["2001:db8::/62", "2001:db8:0:4::/64", "2001:db8:1::/62"] {
            let expected = format!("network blue cannot delegate {prefix}: {of_pool}");
            assert_eq!(refused("b", prefix), expected);
        }
        assert_eq!(
            refused("b", "2001:db8:0:4::/62"),
            "2001:db8:0:4::/62 is held by a default, wanted for b default; `leasehold leases move` \
             moves it"
        );
        assert_eq!(
            refused("b", "2001:db8:0:c::/62"),
            "2001:db8:0:c::/62 is reserved for prod/db in the network's file; change it there"
        );
        assert_eq!(
            refused("b", "2001:db8:0:8::/62"),
            "2001:db8:0:8::/62 is kept for d default by a damaged row of the store; release it \
             there first"
        );
        let plain = [Arc::new(crate::network::tests::network("blue"))];
        let error = table.edit(&plain, &[hold("b", "2001:db8:0:4::/62")], OCCASION).unwrap_err();
        assert_eq!(
            error[0].to_string(),
            "network blue cannot delegate 2001:db8:0:4::/62: it has no `delegate` pool"
        );
    }
}
