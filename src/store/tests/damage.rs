//! Pages of a lease file are damaged at random: what stood elsewhere is saved, and nothing that is
//! no longer so is served.
//!
//! `LEASEHOLD_DAMAGES` says how often, `LEASEHOLD_CHAOS_SEED` with which random numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::env;

use super::super::pages::{Pages, columns};
use super::super::row;
use super::*;

#[test]
fn whatever_pages_are_damaged_the_rest_is_saved_and_nothing_old_is_served() {
    let number = |name: &str| env::var(name).ok().map(|text| text.parse().expect("a number"));
    let rounds: u64 = number("LEASEHOLD_DAMAGES").unwrap_or(DAMAGES);
    let seed: u64 = number("LEASEHOLD_CHAOS_SEED").unwrap_or(SEED);
    let (bytes, log, leases) = worn();
    let whole = Layout::read(&bytes, &log);
    let all: BTreeSet<_> = whole.rows.values().flatten().cloned().collect();
    assert_eq!(all, leases.keys().cloned().collect(), "every row is found in the whole file");
    assert!(whole.free.len() > 10 && whole.interior.len() > 1, "{whole:?}");
    let mut random = Random(seed);
    let mut told = Told::default();
    for round in 0..rounds {
        let damage = Damaged::choose(&mut random, whole.last);
        let what = format!("round {round}, seed {seed}: {damage:?}");
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("leases.sqlite"), damage.apply(&bytes, &mut random))
            .unwrap();
        let config = config::Store::Embedded { path: directory.path().to_owned() };
        let recovered = recover(&config, &mut |_, _| {}).unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut store = EmbeddedStore::open(directory.path()).unwrap();
        let Loaded { leases: served, damaged, withheld } = store.load().unwrap();
        assert_eq!(damaged, Vec::<String>::new(), "{what}: what is set aside stays there");
        for lease in &served {
            assert_eq!(leases.get(&lease.key), Some(lease), "{what}: it is served");
        }
        let served: BTreeSet<LeaseKey> = served.into_iter().map(|lease| lease.key).collect();
        let named: BTreeSet<LeaseKey> = withheld.into_iter().filter_map(|row| row.owner).collect();
        let lost_at_most: usize = damage.pages.iter().map(|page| whole.rows_of(*page)).sum();
        for (page, keys) in &whole.rows {
            if damage.pages.contains(page) {
                continue;
            }
            for key in keys.iter().filter(|key| !whole.long.contains(key)) {
                let is_served = served.contains(key);
                assert!(is_served || named.contains(key), "{what}: {key:?} is lost");
                // Without the list of free pages nothing tells an old page from one in use.
                let is_list_whole =
                    !damage.pages.contains(&1) && damage.pages.is_disjoint(&whole.free);
                let is_certain = is_list_whole || damage.pages.is_disjoint(&whole.interior);
                assert!(is_served || !is_certain, "{what}: {key:?} is not served");
            }
        }
        match recovered {
            Recovered::Whole { aside } => {
                assert_eq!(served.len() + aside.len(), leases.len(), "{what}");
                told.whole += 1;
            }
            Recovered::Saved { saved, lost, aside, .. } => {
                assert_eq!(usize::try_from(saved), Ok(served.len()), "{what}");
                if let Some(lost) = lost {
                    assert_eq!(usize::try_from(saved + lost), Ok(leases.len()), "{what}");
                    assert!(lost == 0 || lost_at_most > 0 || !aside.is_empty(), "{what}");
                    told.counted += 1;
                }
                told.saved += saved;
                told.set_aside += aside.len();
                told.recovered += 1;
            }
        }
    }
    println!("report: damaged pages: {rounds} rounds, seed {seed}, {} leases: {told:?}", all.len());
    assert!(told.recovered > rounds / 2, "{told:?}");
}

#[derive(Debug, Default)]
struct Told {
    whole: u64,
    recovered: u64,
    counted: u64,
    saved: u64,
    set_aside: usize,
}

/// Makes a store with a past: leases were released and their addresses given to others, so that
/// pages which are no longer in use hold rows whose checksums hold.
fn worn() -> (Vec<u8>, Vec<u8>, BTreeMap<LeaseKey, Lease>) {
    let directory = tempfile::tempdir().unwrap();
    let mut store = EmbeddedStore::open(directory.path()).unwrap();
    let numbered = |vm: u16, address: u16| Lease {
        ipv4: Some((0x0a14_0000 + u32::from(address)).into()),
        ..lease(&format!("demo/{vm:05}"), 0)
    };
    let mut leases = BTreeMap::new();
    let mut write = |changes: Vec<Change>| {
        for change in &changes {
            match change {
                Change::Put(lease) => drop(leases.insert(lease.key.clone(), lease.clone())),
                Change::Delete(key) => drop(leases.remove(key)),
            }
        }
        store.write(&changes).unwrap();
    };
    write((0..LEASES).map(|vm| Change::Put(numbered(vm, vm))).collect());
    write((0..8).map(|long| Change::Put(longest(long))).collect());
    write((1_000..1_700).map(|vm| Change::Delete(numbered(vm, vm).key)).collect());
    // Fewer newcomers than were released, each with an address that was another's.
    let newcomers = (1_000..1_200).map(|vm| Change::Put(numbered(vm + 20_000, vm)));
    write(newcomers.collect());
    write((2_000..2_400).map(|vm| Change::Put(numbered(vm, vm - 800))).collect());
    drop(store);
    let file = directory.path().join("leases.sqlite");
    (fs::read(file).unwrap(), Vec::new(), leases)
}

fn longest(number: u8) -> Lease {
    let longest = longest_lease();
    let nic = format!("{}{number}", "'".repeat(252)).parse().unwrap();
    Lease { key: LeaseKey { nic, ..longest.key.clone() }, ..longest }
}

/// Where everything stands in the whole file.
#[derive(Debug)]
struct Layout {
    last: u32,
    free: BTreeSet<u32>,
    interior: BTreeSet<u32>,
    rows: BTreeMap<u32, Vec<LeaseKey>>,
    /// Whose rows need more than one page.
    long: BTreeSet<LeaseKey>,
}

impl Layout {
    fn read(bytes: &[u8], log: &[u8]) -> Self {
        let pages = Pages::new(bytes.to_vec(), log.to_vec());
        let free: BTreeSet<u32> = pages.free().unwrap().into_iter().collect();
        let mut layout = Self {
            last: pages.last(),
            interior: BTreeSet::new(),
            rows: BTreeMap::new(),
            long: (0..8).map(|long| longest(long).key).collect(),
            free,
        };
        for number in (1..=layout.last).filter(|number| !layout.free.contains(number)) {
            let Some(node) = pages.node(number) else { continue };
            if !node.children.is_empty() {
                layout.interior.insert(number);
            }
            let rows = node.rows.iter().map(|row| {
                let row = columns(row.as_ref().unwrap()).unwrap();
                row::decode(&row).unwrap().key
            });
            layout.rows.insert(number, rows.collect());
        }
        layout
    }

    fn rows_of(&self, page: u32) -> usize {
        self.rows.get(&page).map_or(0, Vec::len) + self.long.len()
    }
}

#[derive(Debug)]
struct Damaged {
    pages: BTreeSet<u32>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Noise,
    Zeros,
    /// The page is written half.
    Torn,
    /// One bit of every page.
    Flip,
}

impl Damaged {
    fn choose(random: &mut Random, last: u32) -> Self {
        let kind = [Kind::Noise, Kind::Zeros, Kind::Torn, Kind::Flip][random.below(4)];
        // One bit of the first page may make it another program's file, which is left alone.
        let first = if matches!(kind, Kind::Flip | Kind::Torn) { 2 } else { 1 };
        let mut pages = BTreeSet::new();
        for _ in 0..=random.below(12) {
            let choice = random.below(usize::try_from(last).unwrap());
            pages.insert(u32::try_from(choice).unwrap() + 1);
        }
        // The head and the root of the tree are worth more than one try in hundreds.
        for page in [1, 2] {
            if random.below(6) == 0 {
                pages.insert(page);
            }
        }
        Self { pages: pages.split_off(&first), kind }
    }

    fn apply(&self, whole: &[u8], random: &mut Random) -> Vec<u8> {
        let mut bytes = whole.to_vec();
        for number in &self.pages {
            let start = (usize::try_from(*number).unwrap() - 1) * 4_096;
            let page = &mut bytes[start..start + 4_096];
            match self.kind {
                Kind::Noise => page.fill_with(|| u8::try_from(random.below(256)).unwrap()),
                Kind::Zeros => page.fill(0),
                Kind::Torn => page[2_048..].fill(0),
                Kind::Flip => page[random.below(4_096)] ^= 1 << random.below(8),
            }
        }
        bytes
    }
}

/// SplitMix64: the same numbers for the same seed, on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

/// How often pages are damaged unless `LEASEHOLD_DAMAGES` says otherwise.
const DAMAGES: u64 = 24;

const SEED: u64 = 20_261_125;

const LEASES: u16 = 4_000;
