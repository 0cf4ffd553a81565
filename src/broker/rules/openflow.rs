//! Open vSwitch: flows on a port of a bridge, known by their cookie.
//!
//! The cookie holds who we are, which version of the flows it is, and the port: what an earlier
//! process or version left, and what the switch has lost, is seen from cookies alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use super::program;

/// The ports of each bridge whose flows are wanted, each with the place of its rule.
pub(super) type Bridges = BTreeMap<String, BTreeMap<u16, u32>>;

/// What is known of the switch.
#[derive(Debug)]
pub(super) struct Switch {
    /// Where bridges have their management sockets.
    folders: Vec<PathBuf>,
    /// Bridges that may have flows of ours.
    touched: BTreeSet<String>,
}

impl Switch {
    /// Takes where bridges have their management sockets. Every bridge there may have flows that an
    /// earlier process left.
    pub(super) fn new(folders: Vec<PathBuf>) -> Self {
        let entries = folders.iter().filter_map(|folder| folder.read_dir().ok()).flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let bridges = names.filter_map(|name| Some(name.strip_suffix(SOCKET)?.to_owned()));
        Self { touched: bridges.collect(), folders }
    }

    /// Has the flows of these ports and no others of ours. Returns what failed, by the place of the
    /// rule.
    pub(super) fn apply(&mut self, wanted: &Bridges) -> Vec<(u32, String)> {
        let none = BTreeMap::new();
        let mut failures = Vec::new();
        for name in wanted.keys().chain(&self.touched).cloned().collect::<BTreeSet<_>>() {
            let ports = wanted.get(&name).unwrap_or(&none);
            if let Err(error) = self.apply_to(&name, ports) {
                failures.extend(ports.values().map(|at| (*at, error.clone())));
            }
        }
        // One that is gone has no flows; one that is away comes back without them.
        self.touched = wanted.keys().cloned().collect();
        failures
    }

    fn apply_to(&self, bridge: &str, ports: &BTreeMap<u16, u32>) -> Result<(), String> {
        let sockets = self.folders.iter().map(|folder| folder.join(format!("{bridge}{SOCKET}")));
        let Some(socket) = sockets.into_iter().find(|socket| socket.exists()) else {
            return Err(format!("bridge {bridge} has no socket; {ADVICE}"));
        };
        let target = format!("unix:{}", socket.display());
        let ours = format!("cookie={OURS:#x}/{OUR_BITS:#x}");
        let listed = ofctl(&["--no-stats", "dump-flows", &target, &ours], "");
        let listed = listed.map_err(|error| format!("{error}; {ADVICE}"))?;
        match script(&present(&listed), ports) {
            Some(script) => ofctl(&["add-flows", &target, "-"], &script).map(|_| ()),
            None => Ok(()),
        }
    }
}

/// Counts the flows of each cookie, from `ovs-ofctl dump-flows`.
fn present(listed: &str) -> BTreeMap<u64, usize> {
    let mut flows = BTreeMap::new();
    for line in listed.lines() {
        let cookie = line.trim_start().strip_prefix("cookie=0x");
        let cookie = cookie.and_then(|rest| rest.split(',').next());
        if let Some(cookie) = cookie.and_then(|hex| u64::from_str_radix(hex, 16).ok()) {
            let count: &mut usize = flows.entry(cookie).or_default();
            *count = count.saturating_add(1);
        }
    }
    flows
}

/// Writes the changes that lead from the flows that are there to those that are wanted; `None`:
/// there is nothing to do.
fn script(present: &BTreeMap<u64, usize>, ports: &BTreeMap<u16, u32>) -> Option<String> {
    let mut script = String::new();
    let wanted: BTreeMap<u64, u16> = ports.keys().map(|port| (cookie(*port), *port)).collect();
    // Writing to a String cannot fail.
    for stale in present.keys().filter(|cookie| !wanted.contains_key(cookie)) {
        let _ = writeln!(script, "delete cookie={stale:#x}/-1");
    }
    for (cookie, port) in &wanted {
        if present.get(cookie) == Some(&FLOWS.len()) {
            continue;
        }
        for flow in FLOWS {
            let _ = writeln!(
                script,
                "add cookie={cookie:#x},priority={PRIORITY},in_port={port},{flow},actions=drop"
            );
        }
    }
    (!script.is_empty()).then_some(script)
}

fn cookie(port: u16) -> u64 {
    OURS | VERSION | u64::from(port)
}

fn ofctl(command: &[&str], script: &str) -> Result<String, String> {
    let arguments: Vec<&str> = OPTIONS.iter().chain(command).copied().collect();
    program::run(&PROGRAM, &arguments, script)
}

/// What a guest sends to a DHCP server, and as one (RFC 2131 section 4.1, RFC 9915 section 7.2);
/// Router Solicitation, Router Advertisement and Redirect (RFC 4861 section 4). Then what would
/// carry the same past these:
/// - fragments on the link, whose first need not show what they carry (RFC 7113 section 2.2);
/// - a tag within a priority tag, which the switch takes away: it does not look behind a second
///   tag, and guests take any number of priority tags for none.
///
/// IP behind LLC and SNAP is IP to the switch.
const FLOWS: [&str; 12] = [
    "udp,tp_dst=67",
    "udp,tp_dst=68",
    "udp6,tp_dst=546",
    "udp6,tp_dst=547",
    "icmp6,icmp_type=133",
    "icmp6,icmp_type=134",
    "icmp6,icmp_type=137",
    "ipv6,ipv6_src=fe80::/10,nw_frag=yes",
    "ipv6,ipv6_dst=fe80::/10,nw_frag=yes",
    "ipv6,ipv6_dst=ff02::/16,nw_frag=yes",
    "dl_vlan=0,dl_type=0x8100",
    "dl_vlan=0,dl_type=0x88a8",
];

/// The upper half of a cookie of ours, and its bits.
const OURS: u64 = 0x1ea5_e401 << 32;
const OUR_BITS: u64 = 0xffff_ffff << 32;

const ADVICE: &str = "is ovs-vswitchd running?";

/// To be raised with every change of [`FLOWS`].
const VERSION: u64 = 2 << 16;

/// Above what admins write, as a rule.
const PRIORITY: u16 = 65_000;

/// What a bridge's management socket is called after its name.
const SOCKET: &str = ".mgmt";

const PROGRAM: [&str; 3] =
    ["/usr/bin/ovs-ofctl", "/usr/local/bin/ovs-ofctl", "/usr/sbin/ovs-ofctl"];

/// A switch that does not answer within five seconds is away. A bridge may be set to one version of
/// the protocol.
const OPTIONS: [&str; 4] = [
    "--timeout=5",
    "-O",
    "OpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14,OpenFlow15",
    "-vconsole:off",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_counted_by_their_cookie() {
        let listed = " cookie=0x1ea5e40100010003, priority=65000,udp,in_port=3,tp_dst=67 \
                      actions=drop\n cookie=0x1ea5e40100010003, priority=65000,udp,in_port=3,\
                      tp_dst=68 actions=drop\n cookie=0x1ea5e40100000004, actions=drop\nNXST_FLOW";
        let counted = [(0x1ea5_e401_0001_0003, 2), (0x1ea5_e401_0000_0004, 1)];
        assert_eq!(present(listed), counted.into());
    }

    #[test]
    fn a_script_deletes_what_is_stale_and_adds_what_is_missing_or_not_whole() {
        let present = [(cookie(3), FLOWS.len()), (cookie(4), 2), (cookie(5), FLOWS.len())].into();
        let script = script(&present, &[(3, 0), (4, 1)].into()).unwrap();
        let lines: Vec<&str> = script.lines().collect();
        assert_eq!(lines.len(), 1 + FLOWS.len());
        assert_eq!(lines[0], "delete cookie=0x1ea5e40100020005/-1");
        assert_eq!(
            lines[1],
            "add cookie=0x1ea5e40100020004,priority=65000,in_port=4,udp,tp_dst=67,actions=drop"
        );
    }

    #[test]
    fn flows_of_another_version_are_made_anew() {
        let old = OURS | 3;
        let script = script(&[(old, FLOWS.len())].into(), &[(3, 0)].into()).unwrap();
        assert!(script.starts_with("delete cookie=0x1ea5e40100000003/-1\nadd "), "{script}");
    }

    #[test]
    fn there_is_no_script_while_everything_is_as_wanted() {
        assert_eq!(script(&[(cookie(3), FLOWS.len())].into(), &[(3, 0)].into()), None);
        assert_eq!(script(&BTreeMap::new(), &BTreeMap::new()), None);
    }

    #[test]
    fn a_bridge_without_a_socket_is_told_for_each_of_its_ports() {
        let folder = tempfile::tempdir().unwrap();
        let mut switch = Switch::new(vec![folder.path().to_owned()]);
        let wanted = Bridges::from([("br0".to_owned(), [(3, 0), (4, 1)].into())]);
        let text = "bridge br0 has no socket; is ovs-vswitchd running?".to_owned();
        assert_eq!(switch.apply(&wanted), [(0, text.clone()), (1, text)]);
    }
}
