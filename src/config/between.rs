//! What can only be seen with all networks side by side.

use std::collections::{BTreeMap, HashMap};

use super::diagnostics::File;
use super::network_file::{Claim, NetworkFile, number_of};
use super::section::At;
use crate::lease::NetworkName;

/// Notes names that are used twice, and addresses that two networks of one segment give out.
pub(super) fn check(networks: &[(File, Option<NetworkFile>)]) {
    refuse_duplicate_names(networks);
    refuse_shared_addresses(networks);
}

/// Notes static ports that name a network which is not there.
pub(super) fn check_names(
    daemon: &File,
    named: &[At<NetworkName>],
    networks: &[(File, Option<NetworkFile>)],
) {
    // A network with errors of its own may be the one that is named.
    if networks.iter().any(|(_, network)| network.is_none()) {
        return;
    }
    let known: Vec<&str> = checked(networks).map(|(_, n)| n.network.name.as_str()).collect();
    for name in named {
        if !known.contains(&name.get_ref().as_str()) {
            let right = match known.as_slice() {
                [] => "there is none in networks-dir yet".to_owned(),
                known => format!("the networks are {}", known.join(", ")),
            };
            daemon.error(
                name.span(),
                format!("network {:?} is not configured; {right}", name.get_ref().as_str()),
            );
        }
    }
}

/// Warns of networks that can never both serve: whatever fits the one fits the other too.
pub(super) fn warn_of_matches(networks: &[(File, Option<NetworkFile>)]) {
    let all: Vec<(&File, &NetworkFile)> = checked(networks).collect();
    for (place, (file, later)) in all.iter().enumerate() {
        for (_, earlier) in all.iter().take(place) {
            let (a, b) = (&later.network, &earlier.network);
            let (wide, narrow) = if a.matcher.covers(&b.matcher) {
                (a, b)
            } else if b.matcher.covers(&a.matcher) {
                (b, a)
            } else {
                continue;
            };
            file.warn(
                later.name.clone(),
                format!(
                    "every port that fits network {:?} fits {:?} too, and is then served by \
                     neither; narrow [match] of {:?}",
                    narrow.name.as_str(),
                    wide.name.as_str(),
                    wide.name.as_str()
                ),
            );
        }
    }
}

fn checked(
    networks: &[(File, Option<NetworkFile>)],
) -> impl Iterator<Item = (&File, &NetworkFile)> {
    networks.iter().filter_map(|(file, network)| Some((file, network.as_ref()?)))
}

fn refuse_duplicate_names(networks: &[(File, Option<NetworkFile>)]) {
    let mut seen: HashMap<&str, &File> = HashMap::new();
    for (file, network) in checked(networks) {
        let name = network.network.name.as_str();
        if let Some(first) = seen.get(name) {
            file.error(
                network.name.clone(),
                format!(
                    "network name {name:?} is used in {} already; give every network its own",
                    first.name()
                ),
            );
        } else {
            seen.insert(name, file);
        }
    }
}

fn refuse_shared_addresses(networks: &[(File, Option<NetworkFile>)]) {
    let all: Vec<(&File, &NetworkFile)> = checked(networks).collect();
    for (place, (file, later)) in all.iter().enumerate() {
        for (other_file, earlier) in all.iter().take(place) {
            // The same addresses on separate bridges or VLANs are separate tenants'.
            if !later.network.matcher.may_share_segment(&earlier.network.matcher) {
                continue;
            }
            let claims = Claims::new(&earlier.claims);
            for claim in &later.claims {
                if let Some(other) = claims.overlapping(claim) {
                    file.error(
                        claim.span.clone(),
                        format!(
                            "{} overlaps what network {:?} gives out ({}:{}); keep them apart, or \
                             give both a different bridge or vlan in [match]",
                            written(claim),
                            earlier.network.name.as_str(),
                            other_file.name(),
                            other_file.line_of(other.span.start)
                        ),
                    );
                }
            }
        }
    }
}

/// One network's claims, ordered so that thousands of reservations stay cheap to compare.
struct Claims<'a> {
    ranges: Vec<&'a Claim>,
    addresses: BTreeMap<(bool, u128), &'a Claim>,
}

impl<'a> Claims<'a> {
    fn new(claims: &'a [Claim]) -> Self {
        let (addresses, ranges): (Vec<&Claim>, Vec<&Claim>) =
            claims.iter().partition(|claim| claim.first == claim.last);
        let key = |claim: &Claim| (claim.first.is_ipv4(), number_of(claim.first));
        Self { ranges, addresses: addresses.into_iter().map(|claim| (key(claim), claim)).collect() }
    }

    fn overlapping(&self, claim: &Claim) -> Option<&'a Claim> {
        let is_ipv4 = claim.first.is_ipv4();
        let between = (is_ipv4, number_of(claim.first))..=(is_ipv4, number_of(claim.last));
        let address = self.addresses.range(between).map(|(_, claim)| *claim).next();
        address.or_else(|| self.ranges.iter().copied().find(|range| overlap(claim, range)))
    }
}

fn overlap(one: &Claim, other: &Claim) -> bool {
    one.first.is_ipv4() == other.first.is_ipv4()
        && number_of(one.first) <= number_of(other.last)
        && number_of(other.first) <= number_of(one.last)
}

fn written(claim: &Claim) -> String {
    if claim.first == claim.last {
        format!("address {}", claim.first)
    } else {
        format!("range \"{}-{}\"", claim.first, claim.last)
    }
}
