//! Over a restart: what was written, what is recalled, and what is not.

use super::*;
use crate::discovery::{SourceEvent, Unidentified};
use crate::net::{LinkEvent, LinkKind};
use crate::wire::Mac;

const SOURCE: SourceId = SourceId(0);

fn files(daemon: &str) -> (tempfile::TempDir, Config) {
    let dir = tempfile::TempDir::new().unwrap();
    let file = dir.path().join("leasehold.toml");
    fs::create_dir(dir.path().join("networks.d")).unwrap();
    let store = format!("[store]\npath = {:?}\n", dir.path());
    fs::write(&file, store + daemon).unwrap();
    let config = crate::config::load(&file).unwrap();
    (dir, config)
}

const OVSDB: &str = "[[source]]\nkind = \"ovsdb\"\n";

fn link(name: &str, ifindex: u32, last: u8) -> Link {
    let (name, kind) = (name.to_owned(), LinkKind::Other);
    let mac = Some(Mac([0xfe, 0x54, 0, 0, 0, last]));
    Link { name, ifindex, mac, mtu: 1500, up: true, kind, master: None }
}

fn port(interface: &str) -> Port {
    let saw = vec![Seen { key: "external-ids:vm-id".into(), value: "demo/web-1".into() }];
    let trace = IdentityTrace { rule: "preset libvirt".into(), saw };
    let (vm, nic) = ("demo/web-1".parse().unwrap(), "eth0".parse().unwrap());
    Port {
        mac: Some(Mac([0x52, 0x54, 0, 0x12, 0x34, 0x56])),
        bridge: Some("br-int".into()),
        tag: Some(7),
        trunks: vec![8, 9],
        is_trunk: true,
        external_ids: [("vm-id", "demo/web-1")].into_iter().collect(),
        status: PortStatus::Inactive,
        switch: Some(SwitchPort { ofport: Some(3), ..SwitchPort::default() }),
        ..Port::new(interface.into(), Ok(Identity { vm, nic, trace }))
    }
}

/// Writes down `ports` with `links`, as a process does before it ends.
async fn left_behind(config: &Config, ports: Vec<Port>, links: Vec<Link>) {
    let mut remembered = Remembered::open(config);
    let (mut claims, mut known) = (Claims::default(), Links::default());
    let ports = ports.into_iter().map(Arc::new).collect();
    claims.apply(SOURCE, SourceEvent::Snapshot(ports));
    known.apply(LinkEvent::Snapshot(links));
    remembered.heard(SOURCE, config);
    remembered.changed();
    assert!(remembered.due().is_some());
    remembered.write(config, &claims, &known);
    assert_eq!(remembered.due(), None);
    remembered.close().await;
}

#[tokio::test]
async fn ports_are_recalled_as_they_were_and_once() {
    let (_dir, config) = files(OVSDB);
    left_behind(&config, vec![port("vnet0")], vec![link("vnet0", 7, 1)]).await;
    let mut next = Remembered::open(&config);
    assert_eq!(next.recall(SOURCE, &config), Some(vec![port("vnet0").into()]));
    assert_eq!(next.recall(SOURCE, &config), None);
    assert_eq!(next.count(SOURCE), 1);
    next.heard(SOURCE, &config);
    assert_eq!(next.count(SOURCE), 0);
}

#[tokio::test]
async fn a_port_is_doubted_if_its_device_is_another() {
    let (_dir, config) = files(OVSDB);
    left_behind(&config, vec![port("vnet0")], vec![link("vnet0", 7, 1)]).await;
    let mut next = Remembered::open(&config);
    next.recall(SOURCE, &config).unwrap();
    assert_eq!(next.doubt(SOURCE, "vnet0", None), None);
    assert_eq!(next.doubt(SOURCE, "vnet0", Some(&link("vnet0", 7, 1))), None);
    for other in [link("vnet0", 8, 1), link("vnet0", 7, 2)] {
        assert_eq!(next.doubt(SOURCE, "vnet0", Some(&other)), Some(ANOTHER_DEVICE));
    }
    // What another source says needs no memory.
    assert_eq!(next.doubt(SourceId(1), "vnet0", Some(&link("vnet0", 8, 1))), None);
    next.heard(SOURCE, &config);
    assert_eq!(next.doubt(SOURCE, "vnet0", Some(&link("vnet0", 8, 1))), None);
}

#[tokio::test]
async fn what_cannot_be_checked_or_served_is_not_kept() {
    let (_dir, config) = files(OVSDB);
    let unidentified = Port::new("a".into(), Err(Unidentified("nobody".into())));
    let no_device = Port { status: PortStatus::NoDevice("vhost-user".into()), ..port("b") };
    let ports = vec![unidentified, no_device, port("c")];
    left_behind(&config, ports, vec![link("a", 1, 1), link("b", 2, 2)]).await;
    assert_eq!(Remembered::open(&config).recall(SOURCE, &config), None);
}

#[tokio::test]
async fn other_rules_another_boot_and_a_damaged_file_recall_nothing() {
    let (dir, config) = files(OVSDB);
    left_behind(&config, vec![port("vnet0")], vec![link("vnet0", 7, 1)]).await;
    let mut other = config.clone();
    let [Source::Ovsdb { bridges, .. }] = other.sources.as_mut_slice() else { panic!("no source") };
    bridges.push("br-int".into());
    assert_eq!(Remembered::open(&other).recall(SOURCE, &other), None);

    let file = dir.path().join(FILE_NAME);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace(&boot(), "another")).unwrap();
    assert_eq!(Remembered::open(&config).recall(SOURCE, &config), None);
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    assert_eq!(Remembered::open(&config).recall(SOURCE, &config), None);
    fs::write(&file, text).unwrap();
    assert!(Remembered::open(&config).recall(SOURCE, &config).is_some());
}

#[tokio::test]
async fn a_second_restart_without_the_database_still_knows_the_ports() {
    let (_dir, config) = files(OVSDB);
    left_behind(&config, vec![port("vnet0")], vec![link("vnet0", 7, 1)]).await;
    // One process recalls them but never sees the device; the next never even hears of the source.
    let mut claims = Claims::default();
    for recalls in [true, false, true] {
        let mut next = Remembered::open(&config);
        if recalls {
            let ports = next.recall(SOURCE, &config).unwrap();
            claims.apply(SOURCE, SourceEvent::Snapshot(ports));
        }
        next.write(&config, &claims, &Links::default());
        next.close().await;
    }
    let mut last = Remembered::open(&config);
    assert_eq!(last.recall(SOURCE, &config), Some(vec![port("vnet0").into()]));
    assert_eq!(last.doubt(SOURCE, "vnet0", Some(&link("vnet0", 7, 1))), None);
}

#[tokio::test]
async fn a_store_that_keeps_nothing_keeps_no_ports() {
    let (dir, mut config) = files(OVSDB);
    config.store = Store::Memory;
    let mut remembered = Remembered::open(&config);
    remembered.changed();
    assert_eq!(remembered.due(), None);
    remembered.close().await;
    assert!(!dir.path().join(FILE_NAME).exists());
}

#[tokio::test]
async fn what_the_file_says_already_is_not_written_again() {
    let (dir, _) = files(OVSDB);
    let path = dir.path().join(FILE_NAME);
    let Writer { states, task } = Writer::start(path.clone());
    let state = || Arc::new(State { boot: "one".to_owned(), sources: Vec::new() });
    states.send(state()).unwrap();
    while fs::read(&path).is_err() {
        tokio::task::yield_now().await;
    }
    fs::remove_file(&path).unwrap();
    states.send(state()).unwrap();
    drop(states);
    task.await.unwrap();
    assert!(!path.exists());
}
