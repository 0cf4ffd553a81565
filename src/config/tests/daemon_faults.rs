//! Faults of `leasehold.toml`.

use super::{OVSDB, assert_daemon_faults};

#[test]
fn faults_of_the_daemon_file_are_named() {
    assert_daemon_faults(&[
        (
            OVSDB,
            r#"[[identity]]
from = "interface"
pattern = "x"
vm = """{a
b}"""
"#,
            &[
                r#"6:6: "vm" uses {a\nb}, which the pattern does not capture; name it in the pattern: (?<a\nb>...)"#,
            ],
        ),
        (
            "",
            r#"[[sources]]
kind = "ovsdb""#,
            &[r#"1:3: unknown key "sources"; the nearest known key is "source""#],
        ),
        (
            "",
            r#"[[source]]
socket = "/x""#,
            &[
                r#"1:1: "kind" in [[source]] is missing; give a kind of source like "ovsdb", "netdev" or "static""#,
            ],
        ),
        (
            "",
            r#"[[source]]
kind = "ovs""#,
            &[r#"2:8: kind "ovs" is unknown; write "ovsdb", "netdev" or "static""#],
        ),
        (
            "",
            r#"[[source]]
kind = "netdev"
match = ["vm-*"]
vm = "lab/{name}"
socket = "/x""#,
            &[
                r#"4:6: "vm" may use {interface} alone; an [[identity]] rule can take a name apart"#,
                r#"5:10: "socket" belongs to a source of kind "ovsdb"; leave it out"#,
            ],
        ),
        (
            "",
            r#"[[source]]
kind = "netdev"
match = ["vm-*"]
vm = "lab/one""#,
            &[r#"4:6: "vm" gives every interface the same VM; write one like "lab/{interface}""#],
        ),
        (
            "",
            r#"[[source]]
kind = "netdev"
match = []"#,
            &[r#"3:9: "match" names no interface; write one like "vm-*""#],
        ),
        (
            OVSDB,
            r#"identity = ["libvirt", "kube-ovn", "lxd"]"#,
            &[
                r#"3:36: identity "lxd" is unknown; write "libvirt", "openstack", "kube-ovn", "ovn-kubernetes" or "ovs-cni""#,
            ],
        ),
        (
            "",
            r#"[[source]]
kind = "static"
socket = "/x"
[[source.port]]
interface = "tap0"
vm = "a"
mac = "x""#,
            &[
                r#"3:10: "socket" belongs to a source of kind "ovsdb"; leave it out"#,
                r#"7:7: "mac" has "x", which is not a MAC address; write one like "52:54:00:12:34:56""#,
            ],
        ),
        (
            "",
            r#"[[source]]
kind = "static"
[[source.port]]
interface = "tap0"
vm = "demo/a"
[[source.port]]
interface = "tap0"
vm = "demo/b""#,
            &[r#"7:13: interface "tap0" is named twice, first in line 4; keep one of them"#],
        ),
        (
            "",
            r#"[[source]]
kind = "static"
[[source.port]]
interface = "tap0"
vm = "demo/a"
network = "red""#,
            &[r#"6:11: network "red" is not configured; the networks are blue"#],
        ),
        (
            "",
            r#"[[source]]
kind = "static"
[[source.port]]
interface = "a-name-that-is-too-long"
vm = "demo/a""#,
            &[
                r#"4:13: "interface" has "a-name-that-is-too-long", which is not an interface's name; write one like "tap0""#,
            ],
        ),
        (
            "",
            r#"[[source]]
kind = "static"
[[source.port]]
interface = "tap0""#,
            &[
                r#"3:1: "vm" in [[source.port]] is missing; give a VM identity like "demo/web-1" or a UUID"#,
            ],
        ),
        (
            OVSDB,
            r#"[[identity]]
from = "iface"
pattern = "^(?<name>.+)$"
vm = "{name}""#,
            &[
                r#"4:8: "from" has "iface", which is not a field of a port; write one like "external-ids:iface-id", "other-config:KEY", "interface" or "bridge""#,
            ],
        ),
        (
            OVSDB,
            r#"[[identity]]
from = "interface"
pattern = "^(?<name>.+$"
vm = "{name}""#,
            &[
                r#"5:11: pattern "^(?<name>.+$" does not compile: found open group without closing ')'; write one like '^(?<name>.+)-eth0$'"#,
            ],
        ),
        (
            OVSDB,
            r#"[[identity]]
from = "interface"
pattern = "^(?<name>.+)$"
vm = "{nam}""#,
            &[r#"6:6: "vm" uses {nam}, which the pattern does not capture; it captures name"#],
        ),
        (
            OVSDB,
            r#"[[identity]]
from = "interface"
pattern = "^(?<name>.+)$"
vm = "{name""#,
            &[r#"6:6: "vm" has a brace that is not closed; write {name}"#],
        ),
        (
            OVSDB,
            r#"[metrics]
listen = "9768""#,
            &[
                r#"4:10: "listen" has "9768", which is not an address with a port; write one like "127.0.0.1:9768" or """#,
            ],
        ),
        (
            OVSDB,
            r#"[limits]
max-ports = 0
burst = "x""#,
            &[
                r#"4:13: "max-ports" is 0, which is out of range; write a number from 1 to 65536"#,
                r#"5:9: "burst" is a string; write a number from 1 to 1000000"#,
            ],
        ),
        (
            OVSDB,
            r#"[deployment]
name = """#,
            &[
                r#"4:8: "name" has "", which is not a deployment's name; write one like "leasehold""#,
            ],
        ),
        (
            OVSDB,
            r#"[node]
name = "a b""#,
            &[r#"4:8: "name" has "a b", which is not a node's name; write one like "node-a""#],
        ),
        (
            OVSDB,
            r#"[control]
socket = 5"#,
            &[r#"4:10: "socket" is an integer; write a path like "/run/leasehold/control.sock""#],
        ),
    ]);
}
