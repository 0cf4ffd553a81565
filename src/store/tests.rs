//! What every backend must do, and what the embedded one does with damage.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use proptest::prelude::*;
use rusqlite::Connection;
use tempfile::TempDir;

use super::*;
use crate::time::Wall;

mod damage;

/// A backend under test, and how it is opened anew.
enum Backend {
    Embedded(TempDir, Option<Box<EmbeddedStore>>),
    Memory(MemoryStore),
}

impl Backend {
    fn all() -> [Self; 2] {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(directory.path()).unwrap();
        [Self::Embedded(directory, Some(Box::new(store))), Self::Memory(MemoryStore::default())]
    }

    fn store(&mut self) -> &mut dyn LeaseStore {
        match self {
            Self::Embedded(_, store) => store.as_deref_mut().unwrap(),
            Self::Memory(store) => store,
        }
    }

    /// Loads after a restart, as far as the backend outlives one.
    fn reload(&mut self) -> Vec<Lease> {
        if let Self::Embedded(directory, store) = self {
            drop(store.take());
            *store = Some(Box::new(EmbeddedStore::open(directory.path()).unwrap()));
        }
        let Loaded { mut leases, damaged, withheld } = self.store().load().unwrap();
        assert_eq!(withheld, []);
        assert_eq!(damaged, Vec::<String>::new());
        leases.sort_by(|a, b| a.key.cmp(&b.key));
        leases
    }
}

fn key(vm: &str) -> LeaseKey {
    LeaseKey {
        network: "blue".parse().unwrap(),
        vm: vm.parse().unwrap(),
        nic: "default".parse().unwrap(),
    }
}

fn lease(vm: &str, last_octet: u8) -> Lease {
    Lease {
        key: key(vm),
        ipv4: Some([10, 20, 1, last_octet].into()),
        ipv6: Some(format!("2001:db8:20::1:{last_octet:x}").parse().unwrap()),
        prefix: Some("2001:db8:8000::/64".parse().unwrap()),
        hostname: Some("web-1".to_owned()),
        created: Wall(1_795_571_589),
        node: "node-a".to_owned(),
        arrived: None,
        last_seen: None,
        conflict: false,
    }
}

/// Makes a store that holds `leases` and closes it.
fn filled(leases: &[Lease]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    let changes: Vec<Change> = leases.iter().cloned().map(Change::Put).collect();
    store.write(&changes).unwrap();
    directory
}

fn database(directory: &Path) -> Connection {
    Connection::open(directory.join("leases.sqlite")).unwrap()
}

fn open_error(directory: &Path) -> OpenError {
    EmbeddedStore::open(directory).unwrap_err()
}

#[test]
fn what_is_put_is_loaded_again() {
    for mut backend in Backend::all() {
        assert_eq!(backend.reload(), []);
        let leases = [lease("demo/a", 1), lease("demo/b", 2)];
        backend.store().write(&leases.clone().map(Change::Put)).unwrap();
        assert_eq!(backend.reload(), leases);
        assert_eq!(backend.reload(), leases);
    }
}

#[test]
fn a_second_put_replaces_the_first() {
    for mut backend in Backend::all() {
        let changed = Lease { conflict: true, ipv6: None, ..lease("demo/a", 9) };
        backend.store().write(&[Change::Put(lease("demo/a", 1))]).unwrap();
        backend.store().write(&[Change::Put(changed.clone())]).unwrap();
        assert_eq!(backend.reload(), [changed]);
    }
}

#[test]
fn a_deleted_lease_is_gone_and_its_neighbours_stay() {
    for mut backend in Backend::all() {
        let leases = [lease("demo/a", 1), lease("demo/b", 2), lease("demo/c", 3)];
        backend.store().write(&leases.clone().map(Change::Put)).unwrap();
        backend.store().write(&[Change::Delete(key("demo/b"))]).unwrap();
        backend.store().write(&[Change::Delete(key("demo/never-there"))]).unwrap();
        let [first, _, third] = leases;
        assert_eq!(backend.reload(), [first, third]);
    }
}

#[test]
fn changes_of_one_batch_apply_in_order() {
    for mut backend in Backend::all() {
        let batch = [
            Change::Put(lease("demo/a", 1)),
            Change::Delete(key("demo/a")),
            Change::Put(lease("demo/b", 2)),
            Change::Put(lease("demo/b", 3)),
        ];
        backend.store().write(&batch).unwrap();
        assert_eq!(backend.reload(), [lease("demo/b", 3)]);
    }
}

#[test]
fn a_batch_that_fails_half_way_leaves_nothing() {
    let directory = filled(&[lease("demo/a", 1)]);
    database(directory.path())
        .execute_batch(
            "CREATE TRIGGER refuse BEFORE INSERT ON leases WHEN NEW.vm = 'demo/c'
             BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    let batch = [
        Change::Put(lease("demo/b", 2)),
        Change::Delete(key("demo/a")),
        Change::Put(lease("demo/c", 3)),
    ];
    let error = store.write(&batch).unwrap_err();
    assert!(error.0.contains("leases.sqlite"), "{error}");
    assert_eq!(store.load().unwrap().leases, [lease("demo/a", 1)]);
    // The store still works.
    store.write(&batch[..2]).unwrap();
    assert_eq!(store.load().unwrap().leases, [lease("demo/b", 2)]);
}

#[test]
fn files_are_for_their_owner_only() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("leasehold");
    let mut store = EmbeddedStore::open(&directory).unwrap();
    store.write(&[Change::Put(lease("demo/a", 1))]).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("leases.sqlite")), 0o600);
    assert_eq!(mode(&directory.join("leases.sqlite-wal")), 0o600);
}

#[test]
fn a_store_that_is_open_cannot_be_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let first = EmbeddedStore::open(directory.path()).unwrap();
    assert!(matches!(open_error(directory.path()), OpenError::InUse(_)));
    drop(first);
    EmbeddedStore::open(directory.path()).unwrap();
}

#[test]
fn a_newer_format_is_refused_in_words_and_kept() {
    let directory = filled(&[lease("demo/a", 1)]);
    database(directory.path()).pragma_update(None, "user_version", 3).unwrap();
    let OpenError::Unusable(text) = open_error(directory.path()) else { panic!("wrong kind") };
    assert!(text.contains("format 3") && text.contains("newer leasehold"), "{text}");
    database(directory.path()).pragma_update(None, "user_version", 2).unwrap();
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(store.load().unwrap().leases, [lease("demo/a", 1)]);
}

#[test]
fn another_programs_database_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    database(directory.path()).execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    let before = fs::read(directory.path().join("leases.sqlite")).unwrap();
    let OpenError::Unusable(text) = open_error(directory.path()) else { panic!("wrong kind") };
    assert!(text.contains("another program's"), "{text}");
    assert_eq!(fs::read(directory.path().join("leases.sqlite")).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("leases.sqlite");
    let text = "not a database\n".repeat(1_000);
    fs::write(&file, &text).unwrap();
    let OpenError::Damaged(error) = open_error(directory.path()) else { panic!("wrong kind") };
    assert!(error.contains("leases.sqlite") && error.contains("run --recover"), "{error}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let parent = tempfile::tempdir().unwrap();
    fs::write(parent.path().join("file"), "").unwrap();
    let error = open_error(&parent.path().join("file/store")).to_string();
    assert!(error.contains("file/store/leases.sqlite"), "{error}");
}

#[test]
fn a_damaged_row_is_named_and_set_aside_and_the_others_are_served() {
    for damage in [
        "SET value = replace(value, '10.20.1.2', '10.20.1.3')",
        "SET checksum = checksum + 1",
        "SET version = 7",
        "SET vm = 'demo/bb'",
        "SET vm = 'demo/zz', nic = ''",
        "SET value = ''",
    ] {
        let directory = filled(&[lease("demo/a", 1), lease("demo/b", 2), lease("demo/c", 3)]);
        let plain = database(directory.path());
        plain.execute(&format!("UPDATE leases {damage} WHERE vm = 'demo/b'"), []).unwrap();
        drop(plain);

        let mut store = EmbeddedStore::open(directory.path()).unwrap();
        let loaded = store.load().unwrap();
        assert_eq!(loaded.leases, [lease("demo/a", 1), lease("demo/c", 3)], "{damage}");
        let [line] = loaded.damaged.as_slice() else { panic!("{damage}: {loaded:?}") };
        assert!(line.contains("checksum") && line.contains("demo/"), "{damage}: {line}");

        // It is kept, apart, and a lease can be made in its place.
        store.write(&[Change::Put(lease("demo/b", 9))]).unwrap();
        drop(store);
        let kept: i64 = database(directory.path())
            .query_row("SELECT count(*) FROM damaged WHERE found > 0", [], |row| row.get(0))
            .unwrap();
        assert_eq!(kept, 1, "{damage}");
        let mut store = EmbeddedStore::open(directory.path()).unwrap();
        let loaded = store.load().unwrap();
        assert_eq!(loaded.damaged, Vec::<String>::new(), "{damage}");
        assert_eq!(
            loaded.leases,
            [lease("demo/a", 1), lease("demo/b", 9), lease("demo/c", 3)],
            "{damage}"
        );
    }
}

#[test]
fn one_flipped_bit_anywhere_never_changes_or_hides_a_lease() {
    let leases = [lease("demo/a", 1), lease("demo/b", 2), lease("demo/c", 3)];
    let directory = filled(&leases);
    let file = directory.path().join("leases.sqlite");
    let whole = fs::read(&file).unwrap();
    let mut set_aside = 0;
    for (place, byte) in whole.iter().enumerate().filter(|(_, byte)| **byte != 0) {
        let mut flipped = whole.clone();
        flipped[place] = byte ^ (1 << (place % 8));
        // A log left by an earlier turn would hide the flip.
        let _ = fs::remove_file(directory.path().join("leases.sqlite-wal"));
        fs::write(&file, &flipped).unwrap();
        let Ok(mut store) = EmbeddedStore::open(directory.path()) else { continue };
        let Ok(loaded) = store.load() else { continue };
        assert!(loaded.leases.iter().all(|lease| leases.contains(lease)), "byte {place}");
        if loaded.leases.len() < leases.len() {
            assert!(!loaded.damaged.is_empty(), "byte {place}: {loaded:?}");
            set_aside += 1;
        }
    }
    // Most of what is not zero is in the rows.
    assert!(set_aside > 300, "only {set_aside} flips reached a row");
}

#[test]
fn a_page_that_lost_a_row_unseen_is_refused_and_kept() {
    let directory = filled(&[lease("demo/a", 1), lease("demo/b", 2), lease("demo/c", 3)]);
    let file = directory.path().join("leases.sqlite");
    let mut bytes = fs::read(&file).unwrap();
    // The second page is the leaf of `leases`: its kind, and how many rows it says it has.
    assert_eq!((bytes[4_096], bytes[4_100]), (0x0a, 3));
    bytes[4_100] = 2;
    fs::write(&file, &bytes).unwrap();
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    let StoreError(error) = store.load().unwrap_err();
    assert!(error.contains("leases.sqlite"), "{error}");
    assert!(error.contains("has 3 leases, and has 2"), "{error}");
    assert!(error.contains("run --recover"), "{error}");
    drop(store);
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[test]
fn a_file_that_was_moved_away_takes_nothing_until_it_is_back() {
    let directory = filled(&[lease("demo/a", 1)]);
    let [file, aside] = ["leases.sqlite", "aside"].map(|name| directory.path().join(name));
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    store.write(&[Change::Put(lease("demo/b", 2))]).unwrap();
    fs::rename(&file, &aside).unwrap();
    let StoreError(error) = store.write(&[Change::Put(lease("demo/c", 3))]).unwrap_err();
    assert!(error.contains("leases.sqlite: it is no longer there"), "{error}");
    assert!(!file.exists(), "none is made in its place");
    fs::write(&file, "").unwrap();
    let StoreError(error) = store.write(&[Change::Put(lease("demo/c", 3))]).unwrap_err();
    assert!(error.contains("another file stands in its place"), "{error}");
    fs::rename(&aside, &file).unwrap();
    store.write(&[Change::Put(lease("demo/c", 3))]).unwrap();
    drop(store);
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    let leases = [lease("demo/a", 1), lease("demo/b", 2), lease("demo/c", 3)];
    assert_eq!(store.load().unwrap().leases, leases);
}

#[test]
fn a_log_that_was_deleted_costs_no_lease() {
    let directory = filled(&[]);
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    store.write(&[Change::Put(lease("demo/a", 1))]).unwrap();
    fs::remove_file(directory.path().join("leases.sqlite-wal")).unwrap();
    store.write(&[Change::Put(lease("demo/b", 2))]).unwrap();
    // As after a kill: the file and the log that is there now.
    let copy = tempfile::tempdir().unwrap();
    for name in ["leases.sqlite", "leases.sqlite-wal"] {
        fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
    }
    let mut copied = EmbeddedStore::open(copy.path()).unwrap();
    assert_eq!(copied.load().unwrap().leases, [lease("demo/a", 1), lease("demo/b", 2)]);
}

fn any_lease() -> impl Strategy<Value = Lease> {
    let key =
        ("[a-zA-Z0-9_.-]{1,63}", "[!-~]{1,253}", "[!-~]{1,253}").prop_map(|(network, vm, nic)| {
            LeaseKey {
                network: network.parse().unwrap(),
                vm: vm.parse().unwrap(),
                nic: nic.parse().unwrap(),
            }
        });
    let addresses = (
        any::<Option<std::net::Ipv4Addr>>(),
        any::<Option<std::net::Ipv6Addr>>(),
        proptest::option::of((any::<std::net::Ipv6Addr>(), 0..=128_u8)),
    );
    let rest = (
        any::<Option<String>>(),
        any::<String>(),
        any::<u64>(),
        any::<Option<u64>>(),
        any::<Option<u64>>(),
        any::<bool>(),
    );
    (key, addresses, rest).prop_map(|(key, (ipv4, ipv6, prefix), rest)| {
        let (hostname, node, created, arrived, last_seen, conflict) = rest;
        Lease {
            key,
            ipv4,
            ipv6,
            prefix: prefix.map(|(address, length)| ipnet::Ipv6Net::new(address, length).unwrap()),
            hostname,
            created: Wall(created),
            node,
            arrived: arrived.map(Wall),
            last_seen: last_seen.map(Wall),
            conflict,
        }
    })
}

/// Names of the greatest length that is allowed, so that a row needs overflow pages.
fn longest_lease() -> Lease {
    Lease {
        key: LeaseKey {
            network: "n".repeat(63).parse().unwrap(),
            vm: "v".repeat(253).parse().unwrap(),
            nic: "'".repeat(253).parse().unwrap(),
        },
        hostname: Some("h".repeat(63)),
        node: "ü\n\0\"".repeat(500),
        ..lease("demo/a", 1)
    }
}

#[test]
fn names_of_the_greatest_length_come_back() {
    let directory = filled(&[longest_lease()]);
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(store.load().unwrap().leases, [longest_lease()]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_lease_comes_back_as_it_was(leases in proptest::collection::vec(any_lease(), 1..8)) {
        let directory = filled(&leases);
        let mut store = EmbeddedStore::open(directory.path()).unwrap();
        let Loaded { leases: loaded, damaged, .. } = store.load().unwrap();
        prop_assert_eq!(damaged, Vec::<String>::new());
        // The last of several with one key wins; rows come in the order of their keys.
        let expected: BTreeMap<_, _> =
            leases.into_iter().map(|lease| (lease.key.clone(), lease)).collect();
        let expected: Vec<Lease> = expected.into_values().collect();
        prop_assert_eq!(loaded, expected);
    }
}

#[test]
fn a_store_of_format_1_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    database(directory.path()).execute_batch(FORMAT_1).unwrap();
    let leases = [lease("demo/a", 1), lease("demo/b", 2)];
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!((loaded.leases.as_slice(), loaded.damaged.as_slice()), (&leases[..], &[][..]));
    store.write(&[Change::Put(lease("demo/c", 3)), Change::Delete(key("demo/a"))]).unwrap();
    drop(store);
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(store.load().unwrap().leases, [lease("demo/b", 2), lease("demo/c", 3)]);
}

#[test]
fn what_a_damaged_row_holds_is_withheld_until_its_lease_is_released() {
    let prefix = Some("2001:db8:0:200::/56".parse().unwrap());
    let directory = filled(&[lease("demo/a", 1), Lease { prefix, ..lease("demo/b", 2) }]);
    let flip = "UPDATE leases SET value = replace(value, 'web-1', 'web-3') WHERE vm = 'demo/b'";
    database(directory.path()).execute(flip, []).unwrap();
    let Lease { key, ipv4, ipv6, .. } = lease("demo/b", 2);
    let network = key.network.clone();
    let withheld = Withheld { network, owner: Some(key.clone()), ipv4, ipv6, prefix };
    // At the start that finds it, and at every later one.
    for _ in 0..3 {
        let mut store = EmbeddedStore::open(directory.path()).unwrap();
        assert_eq!(store.load().unwrap().withheld, std::slice::from_ref(&withheld));
    }
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    store.write(&[Change::Delete(key)]).unwrap();
    assert_eq!(store.load().unwrap().withheld, []);
}

#[test]
fn a_look_at_a_store_changes_and_locks_nothing() {
    // A name that a URI has to escape.
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a ?#%&b");
    let config = config::Store::Embedded { path: path.clone() };
    assert!(peek(&config).is_none());
    let leases = [lease("demo/a", 1), lease("demo/b", 2)];
    let mut store = EmbeddedStore::open(&path).unwrap();
    store.load().unwrap();
    store.write(&leases.clone().map(Change::Put)).unwrap();
    let error = peek(&config).unwrap().unwrap_err();
    assert!(error.contains("the daemon has it open"), "{error}");
    drop(store);
    let content = || fs::read(path.join("leases.sqlite")).unwrap();
    let before = content();
    assert_eq!(peek(&config), Some(Ok(leases.into())));
    assert_eq!(content(), before);
    let names: Vec<_> =
        fs::read_dir(&path).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names, ["leases.sqlite"]);
}

#[test]
fn a_damaged_row_that_holds_nothing_but_a_prefix_withholds_it() {
    let prefix = Some("2001:db8:0:200::/56".parse().unwrap());
    let held = Lease { ipv4: None, ipv6: None, prefix, ..lease("demo/b", 2) };
    let directory = filled(&[lease("demo/a", 1), held]);
    let flip = "UPDATE leases SET checksum = checksum + 1 WHERE vm = 'demo/b'";
    database(directory.path()).execute(flip, []).unwrap();
    let owner = Some(key("demo/b"));
    let network = key("demo/b").network;
    let expected = Withheld { network, owner, ipv4: None, ipv6: None, prefix };
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(store.load().unwrap().withheld, [expected]);
}

#[test]
fn recovery_saves_all_but_what_stood_in_the_damaged_place() {
    // Enough for several pages; the longest names need pages of their own.
    let leases: Vec<Lease> = (0..200).map(|vm| lease(&format!("demo/{vm:03}"), vm)).collect();
    let directory = filled(&leases);
    let file = directory.path().join("leases.sqlite");
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes.windows(8).position(|window| window == b"demo/100").unwrap();
    let page = place / 4_096 * 4_096;
    bytes[page] = 0x55;
    fs::write(&file, &bytes).unwrap();
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    assert!(store.load().unwrap_err().0.contains("run --recover"));
    drop(store);
    assert_eq!(fs::read(&file).unwrap(), bytes, "it was left as it was");

    let config = config::Store::Embedded { path: directory.path().to_owned() };
    let mut told = Vec::new();
    let recovered = recover(&config, &mut |read, expected| told.push((read, expected))).unwrap();
    let Recovered::Saved { saved, lost: Some(lost), kept, .. } = recovered else {
        panic!("{recovered:?}");
    };
    assert_eq!(saved + lost, 200);
    assert!((1..60).contains(&lost), "{lost} lost");
    assert_eq!(told.last(), Some(&(saved, Some(200))));
    assert_eq!(fs::read(kept).unwrap(), bytes, "it is kept as it was");
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    let loaded = store.load().unwrap();
    assert_eq!(loaded.damaged, Vec::<String>::new());
    assert_eq!(u64::try_from(loaded.leases.len()).unwrap(), saved);
    assert!(loaded.leases.iter().all(|lease| leases.contains(lease)));
    assert!(loaded.leases.contains(&leases[0]) && loaded.leases.contains(&leases[199]));
    drop(store);
    assert_eq!(recover(&config, &mut |_, _| {}).unwrap(), Recovered::Whole { aside: Vec::new() });
}

#[test]
fn recovery_reads_the_log_of_a_killed_process_too() {
    let directory = filled(&[lease("demo/a", 1)]);
    let file = directory.path().join("leases.sqlite");
    let log = directory.path().join("leases.sqlite-wal");
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    store.write(&[Change::Put(lease("demo/b", 2))]).unwrap();
    let (mut bytes, logged) = (fs::read(&file).unwrap(), fs::read(&log).unwrap());
    drop(store);
    // The third page is that of `damaged`; the log has newer pages of the other tables only.
    bytes[2 * 4_096] = 0x55;
    fs::write(&file, &bytes).unwrap();
    fs::write(&log, &logged).unwrap();
    let config = config::Store::Embedded { path: directory.path().to_owned() };
    let recovered = recover(&config, &mut |_, _| {}).unwrap();
    let Recovered::Saved { saved: 2, lost: Some(0), kept, .. } = recovered else {
        panic!("{recovered:?}");
    };
    assert_eq!(fs::read(&kept).unwrap(), bytes);
    assert_eq!(fs::read(format!("{}-wal", kept.display())).unwrap(), logged);
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(store.load().unwrap().leases, [lease("demo/a", 1), lease("demo/b", 2)]);
}

#[test]
fn recovery_of_a_file_that_is_no_database_keeps_it_and_saves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let text = "not a database\n".repeat(1_000);
    fs::write(directory.path().join("leases.sqlite"), &text).unwrap();
    let config = config::Store::Embedded { path: directory.path().to_owned() };
    let recovered = recover(&config, &mut |_, _| {}).unwrap();
    let Recovered::Saved { saved: 0, lost: None, kept, .. } = recovered else {
        panic!("{recovered:?}");
    };
    assert_eq!(fs::read_to_string(kept).unwrap(), text);
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    assert_eq!(store.load().unwrap().leases, []);
}

#[test]
fn recovery_leaves_alone_what_is_in_use_or_not_ours() {
    let directory = filled(&[lease("demo/a", 1)]);
    let config = config::Store::Embedded { path: directory.path().to_owned() };
    let store = EmbeddedStore::open(directory.path()).unwrap();
    assert!(matches!(recover(&config, &mut |_, _| {}), Err(OpenError::InUse(_))));
    drop(store);
    database(directory.path()).pragma_update(None, "user_version", 3).unwrap();
    assert!(matches!(recover(&config, &mut |_, _| {}), Err(OpenError::Unusable(_))));
    let names = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.collect::<Vec<_>>(), ["leases.sqlite"]);
}

/// What the first version wrote.
const FORMAT_1: &str = r#"
    PRAGMA application_id = 0x6c686c64;
    PRAGMA user_version = 1;
    CREATE TABLE leases (
        network TEXT NOT NULL,
        vm TEXT NOT NULL,
        nic TEXT NOT NULL,
        version INTEGER NOT NULL,
        value TEXT NOT NULL,
        checksum INTEGER NOT NULL,
        PRIMARY KEY (network, vm, nic)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE damaged (
        found INTEGER NOT NULL,
        reason TEXT NOT NULL,
        network ANY, vm ANY, nic ANY, version ANY, value ANY, checksum ANY
    ) STRICT;
    INSERT INTO leases VALUES ('blue', 'demo/a', 'default', 1,
        '{"ipv4":"10.20.1.1","ipv6":"2001:db8:20::1:1",' ||
        '"prefix":"2001:db8:8000::/64","hostname":"web-1","created":1795571589,"node":"node-a","last-seen":null,"conflict":false}',
        808001488);
    INSERT INTO leases VALUES ('blue', 'demo/b', 'default', 1,
        '{"ipv4":"10.20.1.2","ipv6":"2001:db8:20::1:2",' ||
        '"prefix":"2001:db8:8000::/64","hostname":"web-1","created":1795571589,"node":"node-a","last-seen":null,"conflict":false}',
        3330630296);
"#;
