//! nftables: a table of our own, and in it one ingress chain a port.
//!
//! Packet sockets have their copy of a frame before the ingress hook sees it, and a bridge or the
//! kernel's Open vSwitch takes it after (`__netif_receive_skb_core`). A chain's name holds index
//! and name of its device: one that is made anew or renamed has another chain.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::mem;

use serde_json::Value;

use super::DeviceName;
use super::program;

/// The chains that are wanted, by name, each with its device and the place of its rule.
pub(super) type Chains<'a> = BTreeMap<String, (&'a DeviceName, u32)>;

/// Returns the name of a port's chain.
pub(super) fn chain(interface: &DeviceName, ifindex: u32) -> String {
    format!("port-{ifindex}-{interface}")
}

/// Has these chains and no others in the table. Returns what failed, by the place of the rule.
///
/// The first time, which `is_first` tells until it is over, everything is made anew, in one
/// transaction: an earlier version may have left other rules.
pub(super) fn apply(wanted: &Chains<'_>, is_first: &mut bool) -> Vec<(u32, String)> {
    let failed = |error: &str| wanted.values().map(|(_, at)| (*at, error.to_owned())).collect();
    let mut present = match nft(&["-j", "list", "chains", "netdev"], "") {
        Ok(listed) => present(&listed),
        Err(error) => return failed(&explained(error)),
    };
    let is_first = mem::take(is_first);
    if wanted.is_empty() {
        // What cannot be taken away is tried again with the next change.
        if !present.is_empty() {
            let _ = nft(SCRIPT, &format!("{ADD_TABLE}{DELETE_TABLE}"));
        }
        return Vec::new();
    }
    let Some(script) = script(wanted, &present, is_first) else { return Vec::new() };
    if nft(SCRIPT, &script).is_ok() {
        return Vec::new();
    }
    if is_first && nft(SCRIPT, &format!("{ADD_TABLE}{DELETE_TABLE}")).is_ok() {
        present.clear();
    }
    one_by_one(wanted, &present)
}

/// Adds and deletes each chain by itself: a device that went meanwhile takes no other's rule along.
fn one_by_one(wanted: &Chains<'_>, present: &BTreeSet<String>) -> Vec<(u32, String)> {
    for stale in present.iter().filter(|name| !wanted.contains_key(*name)) {
        // On some kernels it went with its device.
        let _ = nft(SCRIPT, &delete(stale));
    }
    let mut failures = Vec::new();
    let mut is_any_added = false;
    for (name, (interface, at)) in wanted.iter().filter(|(name, _)| !present.contains(*name)) {
        let fails_always = !is_any_added && failures.len() >= FAILURES_MAX;
        let last = failures.last().map(|(_, error): &(u32, String)| error.clone());
        if let (true, Some(last)) = (fails_always, last) {
            failures.push((*at, last));
            continue;
        }
        match nft(SCRIPT, &format!("{ADD_TABLE}{}", add(name, interface))) {
            Ok(_) => is_any_added = true,
            Err(error) => failures.push((*at, explained(error))),
        }
    }
    failures
}

/// Writes the transaction that leads from the chains that are there to those that are wanted;
/// `None`: there is nothing to do.
fn script(wanted: &Chains<'_>, present: &BTreeSet<String>, is_first: bool) -> Option<String> {
    let mut script = ADD_TABLE.to_owned();
    let is_there = |name: &String| present.contains(name) && !is_first;
    if is_first {
        script.push_str(DELETE_TABLE);
        script.push_str(ADD_TABLE);
    } else {
        let stale = present.iter().filter(|name| !wanted.contains_key(*name));
        script.extend(stale.map(|name| delete(name)));
    }
    let missing = wanted.iter().filter(|(name, _)| !is_there(name));
    script.extend(missing.map(|(name, (interface, _))| add(name, interface)));
    (script != ADD_TABLE).then_some(script)
}

fn add(chain: &str, interface: &DeviceName) -> String {
    let mut text = format!(
        "add chain netdev {TABLE} {chain} {{ type filter hook ingress device \"{interface}\" \
         priority -500; policy accept; }}\n"
    );
    for rule in RULES {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "add rule netdev {TABLE} {chain} {rule} counter drop");
    }
    text
}

fn delete(chain: &str) -> String {
    format!("flush chain netdev {TABLE} {chain}\ndelete chain netdev {TABLE} {chain}\n")
}

/// Reads which chains our table has, from `nft -j list chains`.
fn present(json: &str) -> BTreeSet<String> {
    let listed: Value = serde_json::from_str(json).unwrap_or_default();
    let objects = listed.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let chains = objects.filter_map(|object| object.get("chain"));
    let ours = chains.filter(|chain| chain.get("table").and_then(Value::as_str) == Some(TABLE));
    ours.filter_map(|chain| Some(chain.get("name")?.as_str()?.to_owned())).collect()
}

fn nft(arguments: &[&str], script: &str) -> Result<String, String> {
    program::run(&PROGRAM, arguments, script)
}

/// Says what would help.
fn explained(error: String) -> String {
    if error.contains("Operation not permitted") {
        format!("{error}; leasehold needs CAP_NET_ADMIN for it")
    } else {
        error
    }
}

const TABLE: &str = "leasehold";
const ADD_TABLE: &str = "add table netdev leasehold\n";
const DELETE_TABLE: &str = "delete table netdev leasehold\n";

/// What a guest sends to a DHCP server, and as one (RFC 2131 section 4.1, RFC 9915 section 7.2);
/// Router Solicitation, Router Advertisement and Redirect (RFC 4861 section 4). Then what would
/// carry the same past these:
/// - fragments on the link, whose first need not show what they carry (RFC 7113 section 2.2);
/// - a priority tag within a tag: the kernel has taken out the outer one, and guests take any
///   number of priority tags for none;
/// - IP and tags behind LLC and SNAP (RFC 1042), which some guests take for IP: 0x0004 is what the
///   kernel calls a frame with a length for an EtherType.
const RULES: [&str; 7] = [
    "meta protocol ip udp dport { 67, 68 }",
    "meta protocol ip6 udp dport { 546, 547 }",
    "meta protocol ip6 icmpv6 type { 133, 134, 137 }",
    "meta protocol ip6 ip6 saddr fe80::/10 exthdr frag exists",
    "meta protocol ip6 ip6 daddr { fe80::/10, ff02::/16 } exthdr frag exists",
    "meta protocol { 0x8100, 0x88a8 } @nh,4,12 0",
    "meta protocol 0x0004 @nh,0,48 0xaaaa03000000 @nh,48,16 { 0x0800, 0x86dd, 0x8100, 0x88a8 }",
];

const PROGRAM: [&str; 3] = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"];
const SCRIPT: &[&str] = &["-f", "-"];

/// After so many chains that cannot be added by themselves, and none that could, the others are not
/// tried.
const FAILURES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_script_deletes_what_is_stale_and_adds_what_is_missing() {
        let (web, db) = (DeviceName::new("vnet0").unwrap(), DeviceName::new("vnet1").unwrap());
        let wanted = Chains::from([(chain(&web, 7), (&web, 0)), (chain(&db, 8), (&db, 1))]);
        let script = script(&wanted, &names(&["port-7-vnet0", "port-6-vnet0"]), false).unwrap();
        let expected = "\
add table netdev leasehold
flush chain netdev leasehold port-6-vnet0
delete chain netdev leasehold port-6-vnet0
add chain netdev leasehold port-8-vnet1 { type filter hook ingress device \"vnet1\" priority -500; policy accept; }
add rule netdev leasehold port-8-vnet1 meta protocol ip udp dport { 67, 68 } counter drop
add rule netdev leasehold port-8-vnet1 meta protocol ip6 udp dport { 546, 547 } counter drop
add rule netdev leasehold port-8-vnet1 meta protocol ip6 icmpv6 type { 133, 134, 137 } counter drop
add rule netdev leasehold port-8-vnet1 meta protocol ip6 ip6 saddr fe80::/10 exthdr frag exists counter drop
add rule netdev leasehold port-8-vnet1 meta protocol ip6 ip6 daddr { fe80::/10, ff02::/16 } exthdr frag exists counter drop
add rule netdev leasehold port-8-vnet1 meta protocol { 0x8100, 0x88a8 } @nh,4,12 0 counter drop
add rule netdev leasehold port-8-vnet1 meta protocol 0x0004 @nh,0,48 0xaaaa03000000 @nh,48,16 { 0x0800, 0x86dd, 0x8100, 0x88a8 } counter drop
";
        assert_eq!(script, expected);
    }

    #[test]
    fn the_first_script_makes_everything_anew() {
        let web = DeviceName::new("vnet0").unwrap();
        let wanted = Chains::from([(chain(&web, 7), (&web, 0))]);
        let present = names(&["port-7-vnet0", "port-6-vnet0"]);
        let first = script(&wanted, &present, true).unwrap();
        assert!(first.starts_with(&format!("{ADD_TABLE}{DELETE_TABLE}{ADD_TABLE}add chain")));
        assert!(!first.contains("port-6-"), "{first}");
        assert!(first.contains("port-7-"), "{first}");
    }

    #[test]
    fn there_is_no_script_while_everything_is_as_wanted() {
        let web = DeviceName::new("vnet0").unwrap();
        let wanted = Chains::from([(chain(&web, 7), (&web, 0))]);
        assert_eq!(script(&wanted, &names(&["port-7-vnet0"]), false), None);
    }

    #[test]
    fn only_the_chains_of_our_table_are_read() {
        let json = r#"{"nftables": [{"metainfo": {"json_schema_version": 1}},
            {"chain": {"family": "netdev", "table": "leasehold", "name": "port-7-vnet0"}},
            {"chain": {"family": "netdev", "table": "other", "name": "port-8-vnet1"}}]}"#;
        assert_eq!(present(json), names(&["port-7-vnet0"]));
        assert_eq!(present(""), names(&[]));
    }
}
