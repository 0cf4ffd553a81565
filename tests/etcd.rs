//! The lease store that nodes share, with a real etcd: whoever comes first has an address, on
//! whichever node, whatever happens to the members.
//!
//! Each test runs itself once more in a world of its own (`lab/world.sh`), so that etcd's ports are
//! nobody else's, and what a killed test leaves behind vanishes.

#![cfg(feature = "etcd")]
#![allow(clippy::disallowed_methods, reason = "it waits for real programs")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use leasehold::config::{self, Etcd, Store};
use leasehold::lease::{Edit, Holding, Lease, LeaseChange, LeaseKey, LeaseTable, Occasion};
use leasehold::network::Network;
use leasehold::store::{self, Change, LeaseStore, Loaded, News, StoreError, Wanted};
use leasehold::time::Wall;
use tokio::runtime::Runtime;

/// Declares a test that runs its body in a world of its own.
macro_rules! in_a_world {
    ($(fn $name:ident() $body:block)*) => {
        $(
            #[test]
            fn $name() {
                if std::env::var_os("LAB").is_some() {
                    $body
                } else {
                    again(stringify!($name));
                }
            }
        )*
    };
}

in_a_world! {
    fn three_nodes_that_race_for_a_small_range_never_give_an_address_twice() {
        let cluster = Cluster::start(1, &[]);
        let mut nodes: Vec<Node> = NODES.map(|name| Node::new(name, cluster.config())).into();
        // 60 VMs for the 60 addresses of the range, all at once.
        thread::scope(|scope| {
            for (number, node) in nodes.iter_mut().enumerate() {
                scope.spawn(move || {
                    for vm in 0..20 {
                        let lease = node.serve(&format!("demo/{number}-{vm}"));
                        assert!(lease.is_some_and(|lease| lease.ipv4.is_some()), "{number} {vm}");
                    }
                });
            }
        });
        let leases = every_lease(&cluster);
        assert_eq!(leases.len(), 60);
        let addresses: BTreeSet<_> = leases.iter().filter_map(|lease| lease.ipv4).collect();
        assert_eq!(addresses.len(), 60);
        // What each node serves is what all can read.
        for node in &nodes {
            for lease in node.table.iter() {
                assert!(leases.contains(lease), "{lease:?}");
            }
        }
        // The range is full, and whoever comes to another node keeps what it has.
        assert_eq!(nodes[0].serve("demo/late"), None);
        let moved = nodes[2].serve("demo/0-7").expect("it has a lease");
        let before = leases.iter().find(|lease| lease.key.vm.as_str() == "demo/0-7").unwrap();
        assert_eq!((moved.ipv4, moved.created), (before.ipv4, before.created));
        assert_eq!(moved.node, "node-c");
        // A VM that goes makes room for the one that waits.
        nodes[1].write(vec![Change::Delete(key("demo/1-3"))]).unwrap();
        nodes[0].table.forget_occupied();
        let late = nodes[0].serve("demo/late").expect("one address is free");
        let freed = leases.iter().find(|lease| lease.key.vm.as_str() == "demo/1-3").unwrap();
        assert_eq!(late.ipv4, freed.ipv4);
    }

    fn nodes_that_want_the_same_vm_at_once_agree_on_one_lease() {
        let cluster = Cluster::start(1, &[]);
        let mut nodes: Vec<Node> = NODES.map(|name| Node::new(name, cluster.config())).into();
        let served: Vec<Lease> = thread::scope(|scope| {
            let tasks: Vec<_> = nodes
                .iter_mut()
                .map(|node| scope.spawn(|| node.serve("demo/migrates").unwrap()))
                .collect();
            tasks.into_iter().map(|task| task.join().unwrap()).collect()
        });
        assert_eq!(every_lease(&cluster).len(), 1);
        let addresses: BTreeSet<_> = served.iter().map(|lease| lease.ipv4).collect();
        assert_eq!(addresses.len(), 1, "{served:?}");
    }

    fn a_node_hears_what_others_do_to_its_leases_and_to_no_others() {
        let cluster = Cluster::start(1, &[]);
        let mut here = Node::new("node-a", cluster.config());
        let mut there = Node::new("node-b", cluster.config());
        let first = here.serve("demo/web-1").unwrap();
        let mut news = here.store.watch().unwrap();
        let hears = |wanted: &dyn Fn(&News) -> bool, news: &mut tokio::sync::mpsc::Receiver<News>| {
            here.runtime.block_on(async {
                loop {
                    let said = tokio::time::timeout(PATIENCE, news.recv()).await;
                    let said = said.expect("nothing was heard").expect("it goes on");
                    assert!(!format!("{said:?}").contains("demo/other"), "{said:?}");
                    if wanted(&said) {
                        return;
                    }
                }
            });
        };
        hears(&|said| *said == News::Up, &mut news);
        there.serve("demo/other").unwrap();
        let moved = there.serve("demo/web-1").unwrap();
        assert_eq!(moved.ipv4, first.ipv4);
        let is_moved =
            |said: &News| *said == News::Lease(key("demo/web-1"), Some(Box::new(moved.clone())));
        hears(&is_moved, &mut news);
        // It may not have listened then: asked once more, it is told once more, and reads nothing new.
        assert_eq!(here.store.find(&[Wanted::Again(key("demo/web-1"))]), Ok(Vec::new()));
        hears(&is_moved, &mut news);
        // History that is compacted away, and a stream that breaks, make no difference.
        cluster.etcdctl(&["put", "/filler", "1"]);
        let revision = cluster.etcdctl(&["get", "/filler", "-w", "json"]);
        let revision: serde_json::Value = serde_json::from_str(&revision).unwrap();
        cluster.etcdctl(&["compact", &revision["header"]["revision"].to_string()]);
        there.write(vec![Change::Delete(key("demo/web-1"))]).unwrap();
        hears(&|said| *said == News::Lease(key("demo/web-1"), None), &mut news);
    }

    fn a_node_changes_leases_that_only_etcd_knows() {
        let cluster = Cluster::start(1, &[]);
        let mut here = Node::new("node-a", cluster.config());
        let mut there = Node::new("node-b", cluster.config());
        let address = |lease: &Lease| Holding::Address(lease.ipv4.unwrap().into());
        let first = there.serve("demo/moves").unwrap();
        let second = there.serve("demo/goes").unwrap();
        let third = there.serve("demo/stays").unwrap();
        assert!(here.table.is_empty());
        // Whose it is, is found by the address or by the name alike.
        let blue = || first.key.network.clone();
        here.find(&[
            Wanted::Holder(blue(), address(&first)),
            Wanted::Lease(second.key.clone()),
            Wanted::Holder(blue(), address(&third)),
            Wanted::Lease(key("demo/nobody")),
            Wanted::Holder(blue(), "10.20.0.99".parse().unwrap()),
        ]);
        assert_eq!(here.table.len(), 3);
        let edits = [
            Edit::Move { key: key("demo/new"), holding: address(&first) },
            Edit::Release { key: second.key.clone() },
        ];
        here.edit(&edits).unwrap();
        let held: Vec<_> =
            every_lease(&cluster).into_iter().map(|lease| (lease.key, lease.ipv4)).collect();
        assert_eq!(held, [(key("demo/new"), first.ipv4), (third.key.clone(), third.ipv4)]);
        // What another node has changed since is not overwritten.
        let edit = Edit::Move { key: key("demo/late"), holding: address(&third) };
        there.write(vec![Change::Delete(third.key.clone())]).unwrap();
        there.serve("demo/stays").unwrap();
        there.table.arrived(&third.key, Occasion { node: "node-b", wall: Wall(2_000) }, 0);
        let heard = there.table.get(&third.key).unwrap().clone();
        there.write(vec![Change::Put(heard.clone())]).unwrap();
        assert_eq!(here.edit(&[edit]), Err("refused".to_owned()));
        assert!(every_lease(&cluster).contains(&heard));
    }

    fn what_one_node_holds_for_whichever_nic_is_served_by_another() {
        let cluster = Cluster::start(1, &[]);
        let mut here = Node::new("node-a", cluster.config());
        let mut there = Node::new("node-b", cluster.config());
        let any = key("demo/any").for_any_nic();
        let held: Holding = "10.20.0.7".parse().unwrap();
        let hold = |held| Edit::Hold { key: any.clone(), holdings: vec![held], hostname: None };
        here.edit(&[hold(held)]).unwrap();
        // The other node knows nothing of it, nor does this one after a restart.
        let mut here = here.restart();
        let served = there.serve("demo/any").unwrap();
        assert_eq!(served.ipv4, Some([10, 20, 0, 7].into()));
        assert_eq!(every_lease(&cluster), std::slice::from_ref(&served));
        let names = |names: &str| {
            cluster.etcdctl(&["get", "--prefix", "/leasehold/v1/", "--keys-only"]).contains(names)
        };
        assert!(names("/addresses/blue/10.20.0.7\n") && !names("demo%2Fany/*"));
        // It has a NIC by now, and that is the one that is meant.
        here.find(&[Wanted::Vm(any.clone())]);
        here.edit(&[hold("10.20.0.8".parse().unwrap())]).unwrap();
        let leases = every_lease(&cluster);
        assert_eq!(leases.len(), 1);
        assert_eq!((&leases[0].key, leases[0].ipv4), (&served.key, Some([10, 20, 0, 8].into())));
        assert!(names("/addresses/blue/10.20.0.8\n") && !names("10.20.0.7"));
    }

    fn a_vm_that_waits_is_served_soon_after_a_long_outage() {
        let mut cluster = Cluster::start(1, &[]);
        let mut node = Node::new("node-a", cluster.config());
        node.serve("demo/web-1").unwrap();
        let mut news = node.store.watch().unwrap();
        cluster.kill(0);
        assert!(node.try_serve("demo/web-2").is_err());
        // Long enough that a node with no VM waiting looks for etcd every few seconds only.
        thread::sleep(Duration::from_secs(8));
        while news.try_recv().is_ok() {}
        cluster.run(0);
        let returned = Instant::now();
        node.runtime.block_on(async {
            while news.recv().await.expect("it goes on") != News::Up {}
        });
        let took = returned.elapsed();
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert!(node.serve("demo/web-2").is_some());
        println!("heard of {took:?} after etcd's return");
    }

    fn without_etcd_a_node_knows_its_leases_over_a_restart() {
        let mut cluster = Cluster::start(1, &[]);
        let mut node = Node::new("node-a", cluster.config());
        let first = node.serve("demo/web-1").unwrap();
        cluster.kill(0);
        let mut node = node.restart();
        // What is known needs no write at all.
        assert_eq!(node.serve("demo/web-1"), Some(first.clone()));
        let error = node.try_serve("demo/web-2").unwrap_err();
        assert!(error.0.contains("127.0.0.1:2379"), "{error}");
        cluster.run(0);
        let second = node.serve("demo/web-2").expect("etcd is back");
        assert_ne!(second.ipv4, first.ipv4);
        // Loaded again, the node has both, and what another node took over is not its own.
        let mut other = Node::new("node-b", cluster.config());
        other.serve("demo/web-2").unwrap();
        let node = node.restart();
        let vms: Vec<&str> = node.table.iter().map(|lease| lease.key.vm.as_str()).collect();
        assert_eq!(vms, ["demo/web-1"]);
    }

    fn an_emptied_etcd_is_given_what_the_nodes_know() {
        let cluster = Cluster::start(1, &[]);
        let mut node = Node::new("node-a", cluster.config());
        let leases: Vec<Lease> =
            ["demo/a", "demo/b"].iter().map(|vm| node.serve(vm).unwrap()).collect();
        cluster.etcdctl(&["del", "--prefix", "/"]);
        let node = node.restart();
        assert_eq!(node.table.iter().cloned().collect::<Vec<_>>(), leases);
        assert_eq!(every_lease(&cluster), leases);
    }

    fn a_lease_is_durable_only_once_the_copy_has_it_too() {
        let mut cluster = Cluster::start(1, &[]);
        let mut node = Node::new("node-a", cluster.config());
        node.serve("demo/web-1").unwrap();
        let [file, aside] = ["leases.sqlite", "aside"].map(|name| node.path.join(name));
        fs::rename(&file, &aside).unwrap();
        let error = node.try_serve("demo/web-2").unwrap_err();
        assert!(error.0.contains("leases.sqlite"), "{error}");
        // etcd has it, and the copy not: it must not be served yet, however often it is asked for.
        let leases = every_lease(&cluster);
        let second = leases.iter().find(|lease| lease.key == key("demo/web-2")).unwrap();
        let put = || vec![Change::Put(second.clone())];
        assert!(node.write(put()).is_err());
        // A change of it since then is no other node's.
        let changed = Lease { hostname: Some("web-2".to_owned()), ..second.clone() };
        assert!(node.write(vec![Change::Put(changed.clone())]).is_err());
        fs::rename(&aside, &file).unwrap();
        assert_eq!(node.write(vec![Change::Put(changed.clone())]), Ok(true));
        cluster.kill(0);
        let node = node.restart();
        assert_eq!(node.table.get(&changed.key), Some(&changed));
    }

    fn what_was_given_up_is_not_served_again_although_etcd_never_confirmed_it() {
        let mut cluster = Cluster::start(1, &[]);
        let line = Line::start(port(0));
        let etcd = Etcd { endpoints: vec![line.endpoint.clone()], ..cluster.config() };
        let mut node = Node::new("node-a", etcd);
        let released = node.serve("demo/released").unwrap();
        let moved = node.serve("demo/moved").unwrap();
        let stays = node.serve("demo/stays").unwrap();
        line.is_deaf.store(true, Ordering::Relaxed);
        assert!(node.write(vec![Change::Delete(released.key.clone())]).is_err());
        let elsewhere = Lease { ipv4: Some([10, 20, 0, 9].into()), ..moved.clone() };
        assert!(node.write(vec![Change::Put(elsewhere.clone())]).is_err());
        // etcd did both, so their addresses are anybody's.
        let mut there = Node::new("node-b", cluster.config());
        let taken = [("demo/other-1", &released), ("demo/other-2", &moved)];
        let taken = taken.map(|(vm, lease)| Change::Put(Lease { key: key(vm), ..lease.clone() }));
        assert_eq!(there.write(taken.into()), Ok(true));
        cluster.kill(0);
        let mut node = node.restart();
        assert_eq!(node.table.iter().collect::<Vec<_>>(), [&stays]);
        // Once etcd is heard again, each has what it has there.
        line.is_deaf.store(false, Ordering::Relaxed);
        cluster.run(0);
        assert_eq!(node.serve("demo/moved").map(|lease| lease.ipv4), Some(elsewhere.ipv4));
        assert_ne!(node.serve("demo/released").and_then(|lease| lease.ipv4), released.ipv4);
    }

    fn what_was_given_up_in_vain_is_copied_again() {
        let mut cluster = Cluster::start(1, &[]);
        let mut node = Node::new("node-a", cluster.config());
        let first = node.serve("demo/web-1").unwrap();
        cluster.kill(0);
        let other = Lease { ipv4: Some([10, 20, 0, 9].into()), ..first.clone() };
        assert!(node.write(vec![Change::Put(other)]).is_err());
        cluster.run(0);
        // The admin has thought better of it.
        assert_eq!(node.write(vec![Change::Put(first.clone())]), Ok(true));
        cluster.kill(0);
        let node = node.restart();
        assert_eq!(node.table.iter().collect::<Vec<_>>(), [&first]);
    }

    fn a_lease_that_went_elsewhere_is_written_again_where_its_vm_is() {
        let cluster = Cluster::start(1, &[]);
        let mut here = Node::new("node-a", cluster.config());
        let mut there = Node::new("node-b", cluster.config());
        let lease = here.serve("demo/web-1").unwrap();
        let mut news = here.store.watch().unwrap();
        there.find(&[Wanted::Lease(lease.key.clone())]);
        there.write(vec![Change::Delete(lease.key.clone())]).unwrap();
        here.runtime.block_on(async {
            loop {
                let said = tokio::time::timeout(PATIENCE, news.recv()).await;
                if said.unwrap() == Some(News::Lease(lease.key.clone(), None)) {
                    return;
                }
            }
        });
        assert_eq!(every_lease(&cluster), []);
        assert_eq!(here.write(vec![Change::Put(lease.clone())]), Ok(true));
        assert_eq!(every_lease(&cluster), [lease]);
    }

    fn a_lease_that_another_node_serves_is_not_deleted_by_one_that_missed_it() {
        let mut cluster = Cluster::start(1, &[]);
        let mut here = Node::new("node-a", cluster.config());
        here.serve("demo/web-1").unwrap();
        cluster.kill(0);
        let mut here = here.restart();
        cluster.run(0);
        let mut there = Node::new("node-b", cluster.config());
        let served = there.serve("demo/web-1").unwrap();
        assert_eq!(here.write(vec![Change::Delete(key("demo/web-1"))]), Ok(false));
        assert_eq!(every_lease(&cluster), std::slice::from_ref(&served));
        // Now it knows, and what it wants it gets.
        assert_eq!(here.table.get(&served.key), Some(&served));
        assert_eq!(here.write(vec![Change::Delete(key("demo/web-1"))]), Ok(true));
        assert_eq!(every_lease(&cluster), []);
    }

    fn a_refusal_is_not_forgotten_when_another_lease_of_the_batch_fails() {
        let cluster = Cluster::start(1, &[]);
        let mut here = Node::new("node-a", cluster.config());
        let mut there = Node::new("node-b", cluster.config());
        let served = there.serve("demo/web-1").unwrap();
        // A value that is no lease; nobody knows what it was to be.
        let broken = "/leasehold/v1/leases/blue/demo%2Fweb-2/default";
        cluster.etcdctl(&["put", broken, "?"]);
        let wanted = |vm: &str, last| {
            let ipv4 = Some([10, 20, 0, last].into());
            Change::Put(Lease { key: key(vm), ipv4, node: "node-a".to_owned(), ..served.clone() })
        };
        let batch = || vec![wanted("demo/web-1", 8), wanted("demo/web-2", 9)];
        for _ in 0..5 {
            let error = here.write(batch()).unwrap_err();
            assert!(error.0.contains(broken), "{error}");
        }
        cluster.etcdctl(&["del", broken]);
        assert_eq!(here.write(batch()), Ok(false), "another node serves the first");
        assert!(every_lease(&cluster).contains(&served));
    }

    fn nothing_is_held_for_whichever_nic_once_another_node_serves_one() {
        let cluster = Cluster::start(1, &[]);
        let mut here = Node::new("node-a", cluster.config());
        let mut there = Node::new("node-b", cluster.config());
        // The other node is ahead, and this one has not heard of it.
        let served = there.serve("demo/web-1").unwrap();
        let other = there.serve("demo/web-2").unwrap();
        let any = key("demo/web-1").for_any_nic();
        let held: Holding = "10.20.0.7".parse().unwrap();
        let hold = Edit::Hold { key: any.clone(), holdings: vec![held], hostname: None };
        assert_eq!(here.edit(std::slice::from_ref(&hold)), Err("refused".to_owned()));
        // Together with another lease, in one transaction, it is the same.
        let holding = Holding::Address(other.ipv4.unwrap().into());
        here.find(&[Wanted::Holder(other.key.network.clone(), holding)]);
        let moved = Edit::Move { key: any.clone(), holding };
        assert_eq!(here.edit(&[moved]), Err("refused".to_owned()));
        assert_eq!(every_lease(&cluster), [served.clone(), other]);
        here.find(&[Wanted::Vm(any)]);
        assert_eq!(here.edit(&[hold]), Ok(()));
        let leases = every_lease(&cluster);
        assert_eq!((&leases[0].key, leases[0].ipv4), (&served.key, Some([10, 20, 0, 7].into())));
    }

    fn leases_with_the_longest_names_are_listed() {
        let cluster = Cluster::start(1, &[]);
        let mut node = Node::new("node-a", cluster.config());
        let occasion = Occasion { node: "node-a", wall: Wall(1_000) };
        let first = node.table.assign(&node.network, &key("demo/web-1"), occasion).lease;
        let lease = |number: u32| {
            // Each slash is three characters of the key.
            let name = format!("{number:/>253}");
            let key = LeaseKey { nic: name.parse().unwrap(), ..key(&name) };
            Lease { key, ipv4: None, hostname: Some("h".repeat(253)), ..first.clone() }
        };
        let leases: Vec<Lease> = (0..2_000).map(lease).collect();
        assert_eq!(node.write(leases.iter().cloned().map(Change::Put).collect()), Ok(true));
        assert_eq!(every_lease(&cluster).len(), leases.len());
    }

    fn of_three_members_one_may_be_killed_and_one_be_cut_off_and_healed() {
        let mut cluster = Cluster::start(3, &[]);
        let mut nodes: Vec<Node> = NODES.map(|name| Node::new(name, cluster.config())).into();
        for node in &mut nodes {
            let vm = format!("demo/{}-0", node.name);
            assert!(node.serve(&vm).is_some());
        }
        cluster.kill(0);
        for node in &mut nodes {
            let vm = format!("demo/{}-1", node.name);
            assert!(node.serve(&vm).is_some(), "with two members of three");
        }
        // A member that stands still answers nothing and closes nothing: no quorum is left.
        cluster.signal(1, "STOP");
        let error = nodes[0].try_serve("demo/waits").unwrap_err();
        assert!(!error.0.is_empty());
        let known = nodes[0].serve("demo/node-a-1").expect("it is known");
        cluster.signal(1, "CONT");
        assert!(nodes[0].serve("demo/waits").is_some());
        assert_eq!(nodes[0].serve("demo/node-a-1"), Some(known));
        let leases = every_lease(&cluster);
        assert_eq!(leases.len(), 7);
        let addresses: BTreeSet<_> = leases.iter().filter_map(|lease| lease.ipv4).collect();
        assert_eq!(addresses.len(), 7);
    }

    fn certificates_and_a_password_are_used_and_a_token_that_expires_is_renewed() {
        let folder = scratch("tls");
        certificates(&folder);
        let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
        let cluster = Cluster::start(
            1,
            &[
                &format!("--cert-file={}", file("server.pem")),
                &format!("--key-file={}", file("server.key")),
                &format!("--trusted-ca-file={}", file("ca.pem")),
                "--auth-token-ttl=1",
            ],
        );
        fs::write(folder.join("password"), "secret\n").unwrap();
        cluster.etcdctl(&["user", "add", "root:secret"]);
        cluster.etcdctl(&["user", "grant-role", "root", "root"]);
        cluster.etcdctl(&["auth", "enable"]);
        let etcd = Etcd {
            username: Some("root".to_owned()),
            password_file: Some(folder.join("password")),
            ..cluster.config()
        };
        let mut node = Node::new("node-a", etcd.clone());
        assert!(node.serve("demo/a").is_some());
        // Users that change make every token stale; time does, too.
        cluster.etcdctl(&["--user=root:secret", "user", "add", "other:secret"]);
        assert!(node.serve("demo/b").is_some());
        thread::sleep(Duration::from_millis(2_500));
        assert!(node.serve("demo/c").is_some());
        fs::write(folder.join("password"), "wrong\n").unwrap();
        let mut stranger = Node::new("node-b", etcd);
        let error = stranger.try_serve("demo/d").unwrap_err();
        assert!(error.0.contains("authentication failed"), "{error}");
        // A node without a user is let into the stream and not told anything: that is not up.
        let mut nameless = Node::new("node-c", cluster.config());
        let mut news = nameless.store.watch().unwrap();
        nameless.runtime.block_on(async {
            for _ in 0..3 {
                let said = tokio::time::timeout(PATIENCE, news.recv()).await;
                let said = said.expect("nothing was heard").expect("it goes on");
                let News::Down(reason) = said else { panic!("{said:?}") };
                assert!(reason.contains("user name is empty"), "{reason}");
            }
        });
    }
}

/// Runs one test of this program in a world of its own.
fn again(test: &str) {
    for program in ["etcd", "etcdctl", "openssl"] {
        if !Path::new("/usr/bin").join(program).exists() {
            println!("SKIPPED: {program} is not installed");
            return;
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(root.join("lab/world.sh"))
        .arg(root.join("lab/inside.sh"))
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("LAB_LIMIT", "120")
        .stdin(Stdio::null())
        .output()
        .expect("lab/world.sh should start");
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success(), "{test}: {}\n{}", output.status, text.concat());
}

/// One node: a lease table and its store, driven as the daemon drives them.
struct Node {
    name: &'static str,
    etcd: Etcd,
    path: PathBuf,
    network: Network,
    table: LeaseTable,
    runtime: Runtime,
    store: Box<dyn LeaseStore>,
}

impl Node {
    fn new(name: &'static str, etcd: Etcd) -> Self {
        Self::open(name, etcd, scratch(name))
    }

    fn open(name: &'static str, etcd: Etcd, path: PathBuf) -> Self {
        let runtime = Runtime::new().unwrap();
        let config = Store::Etcd { path: path.clone(), etcd: etcd.clone() };
        let mut store = {
            let _inside = runtime.enter();
            store::open(&config, name).unwrap()
        };
        let Loaded { leases, damaged, .. } = store.load().unwrap();
        assert_eq!(damaged, Vec::<String>::new());
        let (table, refused) = LeaseTable::load(leases);
        assert_eq!(refused, Vec::<String>::new());
        Self { name, etcd, path, network: network(), table, runtime, store }
    }

    fn restart(self) -> Self {
        let Self { name, etcd, path, store, .. } = self;
        drop(store);
        Self::open(name, etcd, path)
    }

    fn write(&mut self, changes: Vec<Change>) -> Result<bool, StoreError> {
        let refused = self.store.write(&changes)?;
        let is_done = refused.is_empty();
        for refused in refused {
            match refused.now {
                Some(now) => drop(self.table.adopt(*now)),
                None => drop(self.table.remove(&refused.key)),
            }
            for taken in refused.taken {
                let Holding::Address(address) = taken.what else { panic!("{taken:?}") };
                self.table.occupy(&taken.holder, address);
            }
        }
        Ok(is_done)
    }

    /// Takes over what etcd has, as the daemon does before an edit.
    fn find(&mut self, wanted: &[Wanted]) {
        for lease in self.store.find(wanted).unwrap() {
            self.table.adopt(lease);
        }
    }

    fn edit(&mut self, edits: &[Edit]) -> Result<(), String> {
        let networks = [Arc::new(self.network.clone())];
        let occasion = Occasion { node: self.name, wall: Wall(1_000) };
        let keys =
            self.table.edit(&networks, edits, occasion).map_err(|errors| format!("{errors:?}"))?;
        let change = |key: &LeaseKey| match self.table.get(key) {
            Some(lease) => Change::Put(lease.clone()),
            None => Change::Delete(key.clone()),
        };
        let changes = keys.iter().map(change).collect();
        match self.write(changes).map_err(|error| error.to_string())? {
            true => Ok(()),
            false => Err("refused".to_owned()),
        }
    }

    /// Gives a VM its lease; `None`: there is no address left.
    fn try_serve(&mut self, vm: &str) -> Result<Option<Lease>, StoreError> {
        loop {
            let occasion = Occasion { node: self.name, wall: Wall(1_000) };
            let given = self.table.assign(&self.network, &key(vm), occasion);
            if given.change == LeaseChange::None {
                if given.lease.ipv4.is_none() {
                    return Ok(None);
                }
                if given.lease.node == self.name {
                    return Ok(Some(given.lease));
                }
                // The guest is heard on this node.
                let _ = self.table.arrived(&key(vm), occasion, 0);
            }
            let lease = self.table.get(&key(vm)).expect("it was assigned").clone();
            let took = given.took.map(Change::Delete);
            let written =
                self.write(took.into_iter().chain([Change::Put(lease.clone())]).collect());
            if written.is_err() {
                self.table.remove(&key(vm));
            }
            if written? {
                return Ok(Some(lease));
            }
        }
    }

    /// The same, over a short outage.
    fn serve(&mut self, vm: &str) -> Option<Lease> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.try_serve(vm) {
                Ok(lease) => return lease,
                Err(error) => assert!(Instant::now() < end, "{error}"),
            }
        }
    }
}

/// Members of etcd on loopback: the first at port 2379, the next at 3379.
struct Cluster {
    members: Vec<Vec<String>>,
    running: BTreeMap<usize, Child>,
    scheme: &'static str,
    /// Where certificates are; one serves members and clients alike.
    tls: Option<PathBuf>,
}

impl Cluster {
    fn start(count: usize, options: &[&str]) -> Self {
        let ca = options.iter().find_map(|option| option.strip_prefix("--trusted-ca-file="));
        let scheme = if ca.is_some() { "https" } else { "http" };
        let peers: Vec<String> =
            (0..count).map(|n| format!("m{n}=http://127.0.0.1:{}", port(n) + 1)).collect();
        let member = |n: usize| {
            let client = format!("{scheme}://127.0.0.1:{}", port(n));
            let peer = format!("http://127.0.0.1:{}", port(n) + 1);
            let mut arguments = vec![
                format!("--name=m{n}"),
                format!("--data-dir={}", scratch(&format!("etcd-{n}")).display()),
                format!("--listen-client-urls={client}"),
                format!("--advertise-client-urls={client}"),
                format!("--listen-peer-urls={peer}"),
                format!("--initial-advertise-peer-urls={peer}"),
                format!("--initial-cluster={}", peers.join(",")),
                "--log-level=error".to_owned(),
            ];
            arguments.extend(options.iter().map(|option| (*option).to_owned()));
            arguments
        };
        let mut cluster = Self {
            members: (0..count).map(member).collect(),
            running: BTreeMap::new(),
            scheme,
            tls: ca.map(|ca| Path::new(ca).parent().unwrap().to_owned()),
        };
        for n in 0..count {
            cluster.spawn(n);
        }
        cluster.wait();
        cluster
    }

    fn config(&self) -> Etcd {
        Etcd {
            endpoints: (0..self.members.len())
                .map(|n| format!("{}://127.0.0.1:{}", self.scheme, port(n)))
                .collect(),
            prefix: "/leasehold".to_owned(),
            ca_file: self.tls.as_ref().map(|folder| folder.join("ca.pem")),
            cert_file: self.tls.as_ref().map(|folder| folder.join("server.pem")),
            key_file: self.tls.as_ref().map(|folder| folder.join("server.key")),
            username: None,
            password_file: None,
        }
    }

    fn spawn(&mut self, n: usize) {
        let mut command = Command::new("etcd");
        command.args(&self.members[n]).stdin(Stdio::null()).stdout(Stdio::null());
        self.running.insert(n, command.spawn().expect("etcd should start"));
    }

    fn run(&mut self, n: usize) {
        self.spawn(n);
        self.wait();
    }

    /// Waits until a write goes through.
    fn wait(&self) {
        let end = Instant::now() + PATIENCE;
        for n in self.running.keys() {
            while TcpStream::connect(("127.0.0.1", port(*n))).is_err() {
                assert!(Instant::now() < end, "member {n} does not listen");
                thread::sleep(Duration::from_millis(20));
            }
        }
        loop {
            let (is_up, text) = self.ask(&["put", "/up", "1"]);
            if is_up {
                return;
            }
            assert!(Instant::now() < end, "etcd does not come up: {text}");
        }
    }

    fn kill(&mut self, n: usize) {
        let mut member = self.running.remove(&n).unwrap();
        member.kill().unwrap();
        member.wait().unwrap();
    }

    fn signal(&self, n: usize, signal: &str) {
        let id = self.running[&n].id().to_string();
        assert!(
            Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success()
        );
    }

    fn etcdctl(&self, arguments: &[&str]) -> String {
        let (is_done, text) = self.ask(arguments);
        assert!(is_done, "etcdctl {arguments:?}: {text}");
        text
    }

    fn ask(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new("etcdctl");
        let endpoints = format!("--endpoints={}", self.config().endpoints.join(","));
        command.env("ETCDCTL_API", "3").arg(endpoints).args(["--command-timeout=2s"]);
        if let Some(folder) = &self.tls {
            let option = |name: &str, file: &str| format!("--{name}={}/{file}", folder.display());
            command.arg(option("cacert", "ca.pem"));
            command.args([option("cert", "server.pem"), option("key", "server.key")]);
        }
        let output = command.args(arguments).output().expect("etcdctl should start");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text + &String::from_utf8_lossy(&output.stderr))
    }
}

/// A line to a member, on which its answers can be lost while it hears everything.
struct Line {
    endpoint: String,
    is_deaf: Arc<AtomicBool>,
}

impl Line {
    fn start(member: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let is_deaf = Arc::new(AtomicBool::new(false));
        let deaf = Arc::clone(&is_deaf);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                let Ok(member) = TcpStream::connect(("127.0.0.1", member)) else { continue };
                let (from, to) = (client.try_clone().unwrap(), member.try_clone().unwrap());
                thread::spawn(move || carry(from, to, &AtomicBool::new(false)));
                let deaf = Arc::clone(&deaf);
                thread::spawn(move || carry(member, client, &deaf));
            }
        });
        Self { endpoint, is_deaf }
    }
}

/// Carries bytes one way until either end is closed, or drops them.
fn carry(mut from: TcpStream, mut to: TcpStream, is_deaf: &AtomicBool) {
    let mut bytes = [0; 4_096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if !is_deaf.load(Ordering::Relaxed) && to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn port(member: usize) -> u16 {
    2_379 + 1_000 * u16::try_from(member).unwrap()
}

/// Makes a directory in the world's own memory.
fn scratch(name: &str) -> PathBuf {
    let path = Path::new("/dev/shm").join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

/// Makes an authority and a certificate for 127.0.0.1, as short-lived as they are secret.
fn certificates(folder: &Path) {
    fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    let script = "set -e
        openssl ecparam -genkey -name prime256v1 -noout -out ca.key
        openssl req -x509 -new -key ca.key -subj /CN=test-ca -days 1 -out ca.pem \
            -addext basicConstraints=critical,CA:TRUE
        openssl ecparam -genkey -name prime256v1 -noout -out server.key
        openssl req -new -key server.key -subj /CN=etcd -out server.csr
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 \
            -extfile names -out server.pem";
    let output = Command::new("sh").args(["-c", script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn every_lease(cluster: &Cluster) -> Vec<Lease> {
    let config = Store::Etcd { path: scratch("none"), etcd: cluster.config() };
    store::read_shared(&config).unwrap().unwrap()
}

fn key(vm: &str) -> LeaseKey {
    LeaseKey {
        network: "blue".parse().unwrap(),
        vm: vm.parse().unwrap(),
        nic: "default".parse().unwrap(),
    }
}

/// A network with 60 addresses to give.
fn network() -> Network {
    let folder = scratch("config");
    let networks = folder.join("networks.d");
    fs::create_dir_all(&networks).unwrap();
    fs::write(folder.join("leasehold.toml"), "[[source]]\nkind = \"ovsdb\"\n").unwrap();
    let blue = "name = \"blue\"\n[ipv4]\nsubnet = \"10.20.0.0/24\"\n\
                gateway = \"10.20.0.1\"\nranges = [\"10.20.0.101-10.20.0.160\"]\n";
    fs::write(networks.join("blue.toml"), blue).unwrap();
    let config = config::load(&folder.join("leasehold.toml")).unwrap();
    Network::clone(&config.networks[0])
}

const NODES: [&str; 3] = ["node-a", "node-b", "node-c"];

/// Far more than anything here takes, for a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(30);
