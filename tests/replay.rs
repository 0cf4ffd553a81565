//! `leasehold replay`: captures that the tests write, answered with the templates of
//! `packet-fixtures/`, and compared with what is recorded there.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{fixtures, inputs, parse_hex, stderr, stdout};
use leasehold::config;
use leasehold::lease::{Lease, LeaseKey};
use leasehold::replay::{CaptureTime, CaptureWriter};
use leasehold::store::{self, Change};
use tempfile::TempDir;

const ETHERNET: u16 = 1;
const SLL: u16 = 113;
const SLL2: u16 = 276;

#[test]
fn every_kind_of_capture_of_one_exchange_is_answered_alike() {
    let lab = Lab::new();
    let frames = exchange();
    let files = [
        lab.write("a.pcap", &pcap(ETHERNET, &frames)),
        lab.write("a.pcapng", &pcapng(&frames)),
        lab.write("sll.pcap", &pcap(SLL, &cooked(&frames, SLL))),
        lab.write("sll2.pcap", &pcap(SLL2, &cooked(&frames, SLL2))),
    ];
    let expected = "\
demo/web-1 default on network dual-stack: 10.20.0.10, 2001:db8:20::10
  1  0.000  52:54:00:12:34:56  dhcpv4 discover > offer 10.20.0.10
  2  0.012  0a:58:0a:14:00:01  dhcpv4 offer 10.20.0.10 < to the guest, not answered
  3  0.024  52:54:00:12:34:56  dhcpv4 > drop bad-option: an option runs past its field, stands \
twice, or has a wrong length
  4  0.036  52:54:00:12:34:56  dhcpv6 solicit > advertise 2001:db8:20::10
  5  0.048  52:54:00:12:34:56  nd router-solicitation > router-advertisement
  6  0.060  52:54:00:12:34:56  dhcpv4 release > note released: the guest gave its address back; \
the lease stays with the VM

6 frames in 0.060 s: 3 answered (advertise 1, offer 1, router-advertisement 1), 1 noted \
(released 1), 1 dropped (bad-option 1), 1 to the guest
";
    for file in files {
        let output = lab.replay(&file, &[]);
        assert_eq!(stderr(&output), "", "{}", file.display());
        assert_eq!(stdout(&output), expected, "{}", file.display());
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn replies_are_written_with_the_times_of_the_requests() {
    let lab = Lab::new();
    let file = lab.write("a.pcap", &pcap(ETHERNET, &exchange()));
    let out = lab.path("out.pcap");
    let output = lab.replay(&file, &["--out", out.to_str().unwrap()]);
    let wrote = format!("wrote 3 replies to {}\n", out.display());
    assert!(stdout(&output).ends_with(&wrote), "{}", stdout(&output));
    let mut expected = Vec::new();
    let mut writer = CaptureWriter::new(&mut expected).unwrap();
    for (place, case) in [(0, "dhcpv4/discover"), (3, "dhcpv6/solicit"), (4, "nd/rs-stateful")] {
        writer.write(time(place), &recorded_reply(case)).unwrap();
    }
    writer.finish().unwrap();
    assert_eq!(fs::read(out).unwrap(), expected);
}

#[test]
fn json_is_one_object_a_frame() {
    let lab = Lab::new();
    let file = lab.write("a.pcap", &pcap(ETHERNET, &exchange()[..3]));
    let output = lab.replay(&file, &["--json"]);
    let expected = "\
{\"number\":1,\"time\":\"1795571589.000000000\",\"source\":\"52:54:00:12:34:56\",\"vlan\":null,\
\"protocol\":\"dhcpv4\",\"message\":\"discover\",\"verdict\":\"replied\",\"reply\":\"offer\",\
\"note\":null,\"reason\":null,\"address\":\"10.20.0.10\",\"explanation\":null}
{\"number\":2,\"time\":\"1795571589.012000000\",\"source\":\"0a:58:0a:14:00:01\",\"vlan\":null,\
\"protocol\":\"dhcpv4\",\"message\":\"offer\",\"verdict\":\"to-guest\",\"reply\":null,\
\"note\":null,\"reason\":null,\"address\":\"10.20.0.10\",\"explanation\":null}
{\"number\":3,\"time\":\"1795571589.024000000\",\"source\":\"52:54:00:12:34:56\",\"vlan\":null,\
\"protocol\":\"dhcpv4\",\"message\":\"unknown\",\"verdict\":\"dropped\",\"reply\":null,\
\"note\":null,\"reason\":\"bad-option\",\"address\":null,\"explanation\":\"an option runs past its \
field, stands twice, or has a wrong length\"}
";
    assert_eq!(stdout(&output), expected);
}

/// The recorded cases are the layout's own witnesses: out of their frames the same files come.
#[test]
fn a_fixture_has_the_files_of_the_case_that_it_was_captured_from() {
    let lab = Lab::new();
    for case in ["dhcpv4/exchange", "dhcpv6/exchange"] {
        let folder = lab.fixture(&fixtures().join("leasehold.toml"), case, &[]);
        assert_eq!(steps(&folder), steps(&fixtures().join(case)), "{case}");
        let template = fs::read(fixtures().join("networks/dual-stack.toml")).unwrap();
        assert_eq!(fs::read(folder.join("dual-stack.toml")).unwrap(), template);
    }
    let folder = lab.fixture(&lab.trunk(), "dhcpv4/discover-trunk", &["--trunk"]);
    assert_eq!(steps(&folder), steps(&fixtures().join("dhcpv4/discover-trunk")));
    let expected = "\
# Made by `leasehold replay` from dhcpv4-discover-trunk.pcap. Say what it shows, and which clauses
# or RFC sections it witnesses.
about = \"What demo/web-1 sent in dhcpv4-discover-trunk.pcap.\"
clauses = [\"E1\"]
network = \"dual-stack\"
deployment = \"fixtures\"
vm = \"demo/web-1\"
trunk-vlan = 100
";
    assert_eq!(fs::read_to_string(folder.join("case.toml")).unwrap(), expected);
}

#[test]
fn a_checksum_that_the_guest_left_to_its_nic_is_marked_and_answered() {
    let lab = Lab::new();
    let mut discover = recorded("dhcpv4/discover");
    // 0.0.0.0 to 255.255.255.255, UDP of 0x134 bytes: the sum of the pseudo-header alone.
    discover[40..42].copy_from_slice(&[0x01, 0x45]);
    let file = lab.write("a.pcap", &pcap(ETHERNET, &[discover.clone()]));
    let folder = lab.path("case");
    lab.replay(&file, &["--fixture", folder.to_str().unwrap()]);
    let input = fs::read_to_string(folder.join("01-in.hex")).unwrap();
    assert_eq!(input.lines().next(), Some("#! checksum-pending"));
    assert_eq!(parse_hex(&input), discover);
    let answer = |folder: &Path| fs::read_to_string(folder.join("01-out.txt")).unwrap();
    assert_eq!(answer(&folder), answer(&fixtures().join("dhcpv4/discover")));
    // Any other wrong checksum is one.
    discover[41] ^= 1;
    let file = lab.write("b.pcap", &pcap(ETHERNET, &[discover]));
    let text = stdout(&lab.replay(&file, &[]));
    assert!(text.contains("dhcpv4 > drop bad-checksum: "), "{text}");
}

#[test]
fn a_tag_is_dropped_on_an_access_port_and_answered_on_a_trunk() {
    let lab = Lab::new();
    let discover = tagged(&fixtures().join("dhcpv4/discover-trunk/01-in.hex"));
    let file = lab.write("a.pcap", &pcap(ETHERNET, &[discover]));
    let access = stdout(&replay(&lab.trunk(), &file, &["--vm", "demo/web-1"]));
    let dropped = "  1  0.000  52:54:00:12:34:56  other (VLAN 100) > drop vlan: the frame has a VLAN \
                   tag that the port does not take, or lacks its own\n";
    assert!(access.contains(dropped), "{access}");
    let trunk = stdout(&replay(&lab.trunk(), &file, &["--vm", "demo/web-1", "--trunk"]));
    let answered = "  1  0.000  52:54:00:12:34:56  dhcpv4 discover (VLAN 100) > offer 10.20.0.10\n";
    assert!(trunk.contains(answered), "{trunk}");
}

#[test]
fn a_frame_of_which_a_part_was_captured_and_one_of_another_mac_are_dropped() {
    let lab = Lab::new();
    let mut bytes = pcap(ETHERNET, &[recorded("dhcpv4/discover")]);
    let length = u32::try_from(bytes.len() - 40 + 8).unwrap();
    bytes[36..40].copy_from_slice(&length.to_le_bytes());
    let file = lab.write("part.pcap", &bytes);
    let part = stdout(&lab.replay(&file, &[]));
    assert!(part.contains("> drop too-long: the frame is longer"), "{part}");
    let file = lab.write("a.pcap", &pcap(ETHERNET, &[recorded("dhcpv4/discover")]));
    let other = stdout(&lab.replay(&file, &["--mac", "52:54:00:00:00:01"]));
    assert!(other.contains("  dhcpv4 > drop source-mac: the sender's MAC"), "{other}");
}

#[test]
fn the_stored_lease_is_served_and_goes_into_the_fixture() {
    let lab = Lab::new();
    let config = lab.embedded();
    let loaded = config::load(&config).unwrap();
    let mut store = store::open(&loaded.store, "node-a").unwrap();
    store.load().unwrap();
    store.write(&[Change::Put(lease("demo/guest-1", "eth0", [10, 20, 1, 77]))]).unwrap();
    drop(store);
    let file = lab.write("a.pcap", &pcap(ETHERNET, &[recorded("dhcpv4/discover")]));
    let folder = lab.path("case");
    let arguments = [
        "--vm",
        "demo/guest-1",
        "--network",
        "dual-stack",
        "--store",
        "--fixture",
        folder.to_str().unwrap(),
    ];
    let output = replay(&config, &file, &arguments);
    let text = stdout(&output);
    let offer = "52:54:00:12:34:56  dhcpv4 discover > offer 10.20.1.77\n";
    assert!(text.contains(offer), "{text}{}", stderr(&output));
    assert!(text.starts_with("demo/guest-1 eth0 on network dual-stack: 10.20.1.77, "), "{text}");
    let case = fs::read_to_string(folder.join("case.toml")).unwrap();
    assert!(
        case.contains("\nvm = \"demo/guest-1\"\nnic = \"eth0\"\nipv4 = \"10.20.1.77\"\n"),
        "{case}"
    );
}

#[test]
fn a_wrong_argument_is_one_line_and_exit_64() {
    let lab = Lab::new();
    let good = lab.write("good.pcap", &pcap(ETHERNET, &exchange()));
    let raw = lab.write("raw.pcap", &pcap(101, &[]));
    let text = lab.write("text.pcap", b"no capture\n");
    let empty = lab.write("empty.pcap", b"");
    let missing = lab.path("missing.pcap");
    let full = lab.write("full/something", b"");
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let cases = [
        (
            &missing,
            vec!["--network", "dual-stack"],
            "reading the capture MISSING: there is no such \
          file; name a file that this user may read"
                .replace("MISSING", &path(&missing)),
        ),
        (
            &text,
            vec!["--network", "dual-stack"],
            format!(
                "reading the capture {}: it is neither \
          pcap nor pcapng; `tcpdump -w` writes one",
                text.display()
            ),
        ),
        (
            &empty,
            vec!["--network", "dual-stack"],
            format!(
                "reading the capture {}: it is neither \
          pcap nor pcapng; `tcpdump -w` writes one",
                empty.display()
            ),
        ),
        (
            &raw,
            vec!["--network", "dual-stack"],
            format!(
                "reading the capture {}: link type 101 has \
          no Ethernet header; capture on the VM's port: `tcpdump -i PORT`",
                raw.display()
            ),
        ),
        (
            &good,
            vec![],
            "more than one network has an entry for demo/web-1; name one with \
          --network: boot-ipv6, boot, delegation-stateless, delegation, dual-stack, everything, \
          full, host-mask, ipv6-only, migration-router, migration, options, reserved, router, \
          slaac, stateless"
                .to_owned(),
        ),
        (
            &good,
            vec!["--network", "slaac", "--trunk"],
            "--trunk: network slaac has no [match] vlan, \
          so no tag is served on a trunk"
                .to_owned(),
        ),
    ];
    for (file, mut arguments, expected) in cases {
        arguments.extend(["--vm", "demo/web-1"]);
        let output = replay(&fixtures().join("leasehold.toml"), file, &arguments);
        assert_eq!(stderr(&output).replace('\n', ""), expected);
        assert_eq!(output.status.code(), Some(64), "{expected}");
    }
    let before = fs::read(&good).unwrap();
    let output = lab.replay(&good, &["--out", &path(&good)]);
    let expected = format!("--out {}: it is the capture itself; name another file\n", path(&good));
    assert_eq!((stderr(&output), output.status.code()), (expected, Some(64)));
    assert_eq!(fs::read(&good).unwrap(), before);
    let folder = path(full.parent().unwrap());
    let output = lab.replay(&good, &["--fixture", &folder]);
    let expected = format!("--fixture {folder}: it is not empty; name a new folder\n");
    assert_eq!((stderr(&output), output.status.code()), (expected, Some(64)));
}

#[test]
fn what_stands_before_a_cut_or_damage_is_answered() {
    let lab = Lab::new();
    let mut bytes = pcap(ETHERNET, &exchange());
    bytes.truncate(bytes.len() - 1);
    let file = lab.write("cut.pcap", &bytes);
    let output = lab.replay(&file, &[]);
    let note = format!("reading the capture {}: it is cut behind frame 5\n", file.display());
    assert_eq!((stderr(&output), output.status.code()), (note, Some(0)));
    assert!(stdout(&output).contains("\n5 frames in 0.048 s: 3 answered ("), "{}", stdout(&output));

    let mut bytes = pcapng(&exchange()[..1]);
    bytes.extend([6, 0, 0, 0, 4, 0, 0, 0].repeat(8));
    let file = lab.write("damaged.pcapng", &bytes);
    let output = lab.replay(&file, &[]);
    let error =
        format!("reading the capture {}: what follows frame 1 is damaged\n", file.display());
    assert_eq!((stderr(&output), output.status.code()), (error, Some(64)));
    assert!(stdout(&output).contains("\n1 frame in 0.000 s: 1 answered ("), "{}", stdout(&output));
}

/// A boot with an answer of the network's, a malformed frame, and a farewell.
fn exchange() -> Vec<Vec<u8>> {
    vec![
        recorded("dhcpv4/discover"),
        recorded_reply("dhcpv4/discover"),
        recorded("hostile/dhcpv4-option-past-end"),
        recorded("dhcpv6/solicit"),
        recorded("nd/rs-stateful"),
        recorded("dhcpv4/release"),
    ]
}

/// Every frame and answer of a case, by the names of their files.
fn steps(folder: &Path) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending != "toml"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    steps.sort();
    steps
}

fn recorded(case: &str) -> Vec<u8> {
    let file = fixtures().join(case).join("01-in.hex");
    parse_hex(&fs::read_to_string(file).unwrap())
}

fn recorded_reply(case: &str) -> Vec<u8> {
    let file = fixtures().join(case).join("01-out.txt");
    parse_hex(&fs::read_to_string(file).unwrap())
}

/// Reads a recorded frame, and puts the tag that the kernel took out back, as libpcap does.
fn tagged(file: &Path) -> Vec<u8> {
    let text = fs::read_to_string(file).unwrap();
    let mut bytes = parse_hex(&text);
    let tag = text.lines().find_map(|line| line.strip_prefix("#! vlan="));
    if let Some(tci) = tag.map(|tci| tci.parse::<u16>().unwrap()) {
        let [high, low] = tci.to_be_bytes();
        bytes.splice(12..12, [0x81, 0, high, low]);
    }
    bytes
}

/// The frames are 12 ms apart.
fn time(place: usize) -> CaptureTime {
    CaptureTime(1_795_571_589_000_000_000 + u64::try_from(place).unwrap() * 12_000_000)
}

/// Writes a pcap file with times in microseconds.
fn pcap(link_type: u16, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes: Vec<u8> = [0xa1b2_c3d4, 0x0004_0002, 0, 0, 65_535, u32::from(link_type)]
        .iter()
        .flat_map(|word: &u32| word.to_le_bytes())
        .collect();
    for (place, frame) in frames.iter().enumerate() {
        let micros = time(place).0 / 1_000;
        let length = u32::try_from(frame.len()).unwrap();
        for word in [micros / 1_000_000, micros % 1_000_000] {
            bytes.extend(u32::try_from(word).unwrap().to_le_bytes());
        }
        bytes.extend([length.to_le_bytes(), length.to_le_bytes()].concat());
        bytes.extend(frame);
    }
    bytes
}

/// Writes a pcapng file with times in nanoseconds.
fn pcapng(frames: &[Vec<u8>]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let padded = body.len().next_multiple_of(4);
        let length = (u32::try_from(padded).unwrap() + 12).to_le_bytes();
        let mut block = [kind.to_le_bytes(), length].concat();
        block.extend(body);
        block.resize(8 + padded, 0);
        block.extend(length);
        block
    };
    let magic = 0x1a2b_3c4d_u32.to_le_bytes();
    let mut bytes = block(0x0a0d_0d0a, &[&magic[..], &[1, 0, 0, 0], &[0xff; 8]].concat());
    // Ethernet, no snapshot length; if_tsresol 9.
    bytes.extend(block(1, &[1, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0]));
    for (place, frame) in frames.iter().enumerate() {
        let nanos = time(place).0;
        let length = u32::try_from(frame.len()).unwrap().to_le_bytes();
        let high = u32::try_from(nanos >> 32).unwrap().to_le_bytes();
        let low = u32::try_from(nanos & 0xffff_ffff).unwrap().to_le_bytes();
        bytes.extend(block(6, &[&[0; 4][..], &high, &low, &length, &length, frame].concat()));
    }
    bytes
}

/// Puts a cooked header in the place of the Ethernet one.
fn cooked(frames: &[Vec<u8>], link_type: u16) -> Vec<Vec<u8>> {
    let cook = |frame: &Vec<u8>| {
        let (source, kind, payload) = (&frame[6..12], &frame[12..14], &frame[14..]);
        let packet_type = match frame[0] {
            0xff => 1,
            group if group & 1 == 1 => 2,
            _ => 0,
        };
        match link_type {
            SLL => [&[0, packet_type, 0, 1, 0, 6], source, &[0, 0], kind, payload].concat(),
            _ => {
                let interface = [0, 0, 0, 7];
                let head = [0, 1, packet_type, 6];
                [kind, &[0, 0], &interface, &head, source, &[0, 0], payload].concat()
            }
        }
    };
    frames.iter().map(cook).collect()
}

struct Lab {
    directory: TempDir,
}

impl Lab {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Replays for `demo/web-1` on the network `dual-stack`.
    fn replay(&self, file: &Path, arguments: &[&str]) -> Output {
        let all = [&["--vm", "demo/web-1", "--network", "dual-stack"], arguments].concat();
        replay(&fixtures().join("leasehold.toml"), file, &all)
    }

    /// Captures the frames of a recorded case and makes a case of the capture.
    fn fixture(&self, config: &Path, case: &str, options: &[&str]) -> PathBuf {
        let name = case.replace('/', "-");
        let recorded = inputs(&fixtures().join(case));
        let frames: Vec<Vec<u8>> = recorded.iter().map(|(_, file)| tagged(file)).collect();
        let file = self.write(&format!("{name}.pcap"), &pcap(ETHERNET, &frames));
        let folder = self.path(&name);
        let fixed = [
            "--vm",
            "demo/web-1",
            "--network",
            "dual-stack",
            "--fixture",
            folder.to_str().unwrap(),
        ];
        let output = replay(config, &file, &[&fixed, options].concat());
        assert_eq!((stderr(&output).as_str(), output.status.code()), ("", Some(0)));
        folder
    }

    /// Writes a configuration whose only network is `dual-stack` with VLAN 100.
    fn trunk(&self) -> PathBuf {
        let template = fs::read_to_string(fixtures().join("networks/dual-stack.toml")).unwrap();
        let template = template.replace("[match]\n", "[match]\nvlan = 100\n");
        self.write("networks/dual-stack.toml", template.as_bytes());
        let text = "networks-dir = \"networks\"\n[deployment]\nname = \"fixtures\"\n";
        self.write("trunk.toml", text.as_bytes())
    }

    /// Writes a configuration with the same networks and a store that lasts.
    fn embedded(&self) -> PathBuf {
        let text = format!(
            "networks-dir = {:?}\n[store]\npath = {:?}\n[control]\nsocket = {:?}\n",
            fixtures().join("networks"),
            self.path("store"),
            self.path("control.sock")
        );
        self.write("leasehold.toml", text.as_bytes())
    }
}

fn replay(config: &Path, file: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_leasehold"))
        .arg("replay")
        .arg(file)
        .arg("--config")
        .arg(config)
        .args(arguments)
        .output()
        .unwrap()
}

fn lease(vm: &str, nic: &str, ipv4: [u8; 4]) -> Lease {
    let key = LeaseKey {
        network: "dual-stack".parse().unwrap(),
        vm: vm.parse().unwrap(),
        nic: nic.parse().unwrap(),
    };
    Lease { ipv4: Some(ipv4.into()), ..common::lease(key) }
}
