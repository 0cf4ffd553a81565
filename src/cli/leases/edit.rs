//! `leases reserve`, `release` and `move`: by the daemon where one runs, else in its store.

use std::io::{self, BufRead, IsTerminal};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use super::super::{ExitStatus, Failure, check, client, counted, print};
use crate::clock;
use crate::config::{Config, Store};
use crate::control::{Answer, LeaseRow, Request};
use crate::lease::{Edit, Holding, LeaseKey, LeaseTable, NetworkName, NicName, Occasion, VmId};
use crate::network::Network;
use crate::store::{self, Change};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Reserve {
    /// The VM's identity
    vm: VmId,
    /// An IPv4 address, an IPv6 address and a prefix to delegate, or some of them
    #[arg(required = true, num_args = 1..=3, value_name = "ADDRESS")]
    holdings: Vec<Holding>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Release {
    /// The VM's identity
    vm: VmId,
    #[command(flatten)]
    place: Place,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Also if a port serves the lease: the guest gets another one
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Move {
    /// The address, or the delegated prefix
    #[arg(value_name = "ADDRESS")]
    holding: Holding,
    /// The identity of the VM that gets it
    vm: VmId,
    #[command(flatten)]
    place: Place,
    /// Also if a port serves it: that guest gets another one
    #[arg(long)]
    force: bool,
}

/// Which of a VM's leases.
#[derive(Debug, clap::Args)]
pub(super) struct Place {
    /// The network; may be left out if only one can be meant
    #[arg(long)]
    network: Option<NetworkName>,
    /// Which of the VM's interfaces, as `leasehold ports` names it [default: its only one, else the
    /// first that asks]
    #[arg(long)]
    nic: Option<NicName>,
}

impl Place {
    /// Makes the key of a lease on the network that is named, or of which `holding` is.
    fn key(&self, config: &Config, vm: &VmId, holding: Holding) -> Result<LeaseKey, Failure> {
        let network = match &self.network {
            Some(network) => network.clone(),
            None => network_of(&config.networks, holding)
                .map_err(|text| Failure::new(ExitStatus::Usage, text))?,
        };
        Ok(LeaseKey { network, vm: vm.clone(), nic: self.nic.clone().unwrap_or_else(NicName::any) })
    }
}

/// Returns the one network whose subnet holds the address, or whose pool the prefix.
///
/// # Errors
/// Why none can be chosen, and what would help.
pub(super) fn network_of(
    networks: &[Arc<Network>],
    holding: Holding,
) -> Result<NetworkName, String> {
    let holds = |network: &&Arc<Network>| match holding {
        Holding::Address(IpAddr::V4(address)) => {
            network.ipv4.as_ref().is_some_and(|ipv4| ipv4.subnet.contains(&address))
        }
        Holding::Address(IpAddr::V6(address)) => {
            network.ipv6.as_ref().is_some_and(|ipv6| ipv6.subnet.contains(&address))
        }
        Holding::Prefix(prefix) => {
            let delegation = network.ipv6.as_ref().and_then(|ipv6| ipv6.delegation.as_ref());
            delegation.is_some_and(|delegation| delegation.pool.contains(&prefix))
        }
    };
    let place = match holding {
        Holding::Address(_) => "subnet",
        Holding::Prefix(_) => "`delegate` pool",
    };
    let names: Vec<&NetworkName> =
        networks.iter().filter(holds).map(|network| &network.name).collect();
    match names.as_slice() {
        [name] => Ok((*name).clone()),
        [] => Err(format!("{holding} lies in no network's {place}; name the network by --network")),
        several => {
            let names: Vec<&str> = several.iter().map(|name| name.as_str()).collect();
            Err(format!("{holding} lies in networks {}; name one by --network", names.join(", ")))
        }
    }
}

pub(super) fn reserve(path: &Path, options: &Reserve) -> Result<(), Failure> {
    let config = check::load(path)?;
    let holdings = &options.holdings;
    let [first, ..] = holdings.as_slice() else {
        return Ok(());
    };
    let has_before = |(place, holding): (usize, &Holding)| {
        holdings.iter().take(place).any(|before| before.excludes(*holding))
    };
    if holdings.iter().enumerate().any(has_before) {
        let text =
            "a NIC holds one IPv4 address, one IPv6 address and one prefix; name one of each";
        return Err(Failure::new(ExitStatus::Usage, text));
    }
    let key = options.place.key(&config, &options.vm, *first)?;
    let edit = Edit::Hold { key: key.clone(), holdings: holdings.clone(), hostname: None };
    apply(&config, path, vec![edit], Force::No)?;
    let words: Vec<String> = holdings.iter().map(ToString::to_string).collect();
    print(&format!("{} holds {} in {}\n", named(&key), words.join(" and "), key.network))
}

pub(super) fn release(path: &Path, options: &Release) -> Result<(), Failure> {
    let config = check::load(path)?;
    let is_meant = |row: &LeaseRow| {
        row.vm == options.vm.as_str()
            && options.place.network.as_ref().is_none_or(|name| name.as_str() == row.network)
            && options.place.nic.as_ref().is_none_or(|nic| nic.as_str() == row.nic)
    };
    let found: Vec<LeaseRow> = super::rows(path)?.into_iter().filter(is_meant).collect();
    if found.is_empty() {
        let text = format!("{} holds no such lease; `leasehold leases list` shows all", options.vm);
        return Err(Failure::new(ExitStatus::Unavailable, text));
    }
    let release = |row: &LeaseRow| -> Option<Edit> {
        let network = row.network.parse().ok()?;
        let nic = row.nic.parse().ok()?;
        Some(Edit::Release { key: LeaseKey { network, vm: options.vm.clone(), nic } })
    };
    let edits: Vec<Edit> = found.iter().filter_map(release).collect();
    print(&super::listing(&found))?;
    if !options.yes {
        ask(found.len())?;
    }
    let force = if options.force { Force::Yes } else { Force::No };
    let changed = apply(&config, path, edits, force)?;
    print(&format!("released {}\n", counted(changed, "lease")))
}

/// Asks on a terminal; elsewhere nobody could answer.
fn ask(leases: usize) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        let text = "releasing asks first, and nobody is there to answer; add --yes";
        return Err(Failure::new(ExitStatus::Usage, text));
    }
    eprint!("release {}? The addresses may go to other VMs. [y/N] ", counted(leases, "lease"));
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new(ExitStatus::Usage, "nothing was released"))
    }
}

pub(super) fn move_address(path: &Path, options: &Move) -> Result<(), Failure> {
    let config = check::load(path)?;
    let key = options.place.key(&config, &options.vm, options.holding)?;
    let edit = Edit::Move { key: key.clone(), holding: options.holding };
    let force = if options.force { Force::Yes } else { Force::No };
    apply(&config, path, vec![edit], force)?;
    print(&format!("{} holds {} in {}\n", named(&key), options.holding, key.network))
}

/// Names whose lease it is: the NIC only if one is meant.
pub(super) fn named(key: &LeaseKey) -> String {
    if key.nic.is_any() { key.vm.to_string() } else { format!("{} {}", key.vm, key.nic) }
}

/// Whether a lease that a port serves may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    No,
    Yes,
}

/// Makes the edits, all or none; returns how many leases changed.
pub(super) fn apply(
    config: &Config,
    path: &Path,
    edits: Vec<Edit>,
    force: Force,
) -> Result<usize, Failure> {
    let refused = |lines: &[String]| Failure::new(ExitStatus::Config, lines.join("\n"));
    let request = Request::Edit { edits, force: force == Force::Yes };
    match client::ask(&client::socket(path)?, &request) {
        Ok(Answer::Edited(Ok(changed))) => Ok(changed),
        Ok(Answer::Edited(Err(lines))) => Err(refused(&lines)),
        Ok(Answer::StoreFailed(text)) => Err(Failure::new(ExitStatus::OsError, text)),
        Ok(other) => Err(client::unexpected(other)),
        Err(unreachable) if unreachable.code == ExitStatus::Unavailable => {
            let Request::Edit { edits, .. } = request else { return Err(unreachable) };
            in_store(config, &edits).unwrap_or(Err(unreachable))?.map_err(|lines| refused(&lines))
        }
        Err(other) => Err(other),
    }
}

/// What the table said to the edits.
type Edited = Result<usize, Vec<String>>;

/// Changes the store that a daemon left behind; `None` if there is none that outlives it.
fn in_store(config: &Config, edits: &[Edit]) -> Option<Result<Edited, Failure>> {
    // What nodes share is changed by a node that is up: it can tell the others apart from its own.
    if matches!(config.store, Store::Etcd { .. }) {
        return None;
    }
    let failed = |error: String| Failure::new(ExitStatus::OsError, error);
    if let Err(error) = store::read(&config.store)? {
        return Some(Err(super::store_failure(&error)));
    }
    let work = || {
        let mut store =
            store::open(&config.store, &config.node).map_err(|error| failed(error.to_string()))?;
        let loaded = store.load().map_err(|error| failed(error.to_string()))?;
        let (mut table, _) = LeaseTable::load(loaded.leases);
        for withheld in &loaded.withheld {
            table.withhold(withheld);
        }
        let occasion = Occasion { node: &config.node, wall: clock::wall() };
        let keys = match table.edit(&config.networks, edits, occasion) {
            Ok(keys) => keys,
            Err(errors) => return Ok(Err(errors.iter().map(ToString::to_string).collect())),
        };
        let change = |key: &LeaseKey| match table.get(key) {
            Some(lease) => Change::Put(lease.clone()),
            None => Change::Delete(key.clone()),
        };
        let changes: Vec<Change> = keys.iter().map(change).collect();
        store.write(&changes).map_err(|error| failed(error.to_string()))?;
        Ok(Ok(keys.len()))
    };
    Some(work())
}
