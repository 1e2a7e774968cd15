//! The trail against a list of what was told, through restarts at every point; and against whoever cuts it, puts an older
//! one back, replaces it, or mixes two.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::BTreeMap;
use std::sync::Arc;

use privacy::audit::{Actor, Outcome, Source, leaf_hash};
use privacy::{Grade, SectionKey, SigningKey};
use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use storage::anchor_dir::AnchorDir;
use storage::backend::{Dir, Memory, StorageBackend};

use super::*;
use crate::entropy::Entropy;

const SCOPE: Scope = Scope { database: [1; 16], environment: [2; 16] };

struct Seeded(Mutex<StdRng>);

impl Entropy for Seeded {
    fn fill(&self, out: &mut [u8]) -> std::io::Result<()> {
        self.0.lock().fill_bytes(out);
        Ok(())
    }
}

/// An environment's audit log and its anchor store, each on a disk of its own.
#[derive(Default)]
struct World {
    audit: Memory,
    anchors: Memory,
    opened: u64,
}

type Files = BTreeMap<String, Vec<u8>>;

fn files(disk: &Memory) -> Files {
    disk.list("").unwrap().into_iter().map(|name| (name.clone(), disk.read(&name).unwrap())).collect()
}

fn disk_of(files: &Files) -> Memory {
    let (disk, dir) = (Memory::new(), |disk: &Memory| Dir::root(Arc::new(disk.clone())));
    files.iter().for_each(|(name, bytes)| dir(&disk).write_new(name, bytes).unwrap());
    disk
}

impl World {
    fn home(&self, entropy: u64) -> Home {
        let anchors = Dir::root(Arc::new(self.anchors.clone()));
        Home {
            dir: Dir::root(Arc::new(self.audit.clone())),
            scope: SCOPE,
            origin: Origin::of(SCOPE),
            key: Arc::new(SectionKey::from_bytes([3; 32])),
            signing: Arc::new(SigningKey::from_bytes([4; 32])),
            anchors: vec![Arc::new(AnchorDir::new(anchors, Grade::OtherVolume))],
            entropy: Arc::new(Seeded(Mutex::new(StdRng::seed_from_u64(entropy)))),
        }
    }

    fn open(&mut self) -> Trail {
        self.opened += 1;
        Trail::open(self.home(self.opened)).unwrap()
    }

    fn refused(&self) -> String {
        let error = Trail::open(self.home(99)).err().unwrap_or_else(|| panic!("a log that was tampered with opened"));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        error.to_string()
    }

    fn with(&self, audit: &Files) -> Self {
        Self { audit: disk_of(audit), anchors: disk_of(&files(&self.anchors)), opened: self.opened }
    }
}

fn entry(number: u64) -> Entry {
    let (actor, source, outcome) = (Actor::Host, Source::Library, Outcome::Done);
    let act = Act::Opened { epoch: number };
    Entry { time_ms: number, actor, source, outcome, request: None, act, detail: None }
}

fn told(trail: &Trail) -> Vec<u64> {
    let mut read = Vec::new();
    while let Some(next) = Some(trail.read(read.len() as u64).unwrap()).filter(|next| !next.is_empty()) {
        read.extend(next);
    }
    let epoch = |told: crate::trail::verify::Told| {
        let event = told.event.unwrap();
        assert_eq!((event.sequence, event.encode()), (told.sequence, told.bytes));
        let Act::Opened { epoch } = event.entry.act else { panic!("nobody told this") };
        epoch
    };
    read.into_iter().map(epoch).collect()
}

/// A log of `events`, closed, and the files that it had halfway.
fn written(events: u64) -> (World, Files) {
    let mut world = World::default();
    let trail = world.open();
    (0..events / 2).for_each(|number| drop(trail.tell(vec![entry(number)]).unwrap()));
    trail.checkpoint().unwrap();
    let halfway = files(&world.audit);
    (events / 2..events).for_each(|number| drop(trail.tell(vec![entry(number)]).unwrap()));
    trail.close().unwrap();
    assert_eq!(trail.tell(vec![entry(0)]).unwrap_err().kind(), ErrorKind::Closed);
    (world, halfway)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// What was told is there, in its order, provable, and verified, whatever is done in between.
    #[test]
    fn it_holds_what_was_told(steps in prop::collection::vec((0..4_u8, 1..700_usize), 1..14)) {
        let mut world = World::default();
        let (mut trail, mut expected, mut signed) = (world.open(), Vec::new(), 0);
        for (kind, count) in steps {
            match kind {
                0 => {
                    let entries = (0..count as u64).map(|n| entry(expected.len() as u64 + n)).collect();
                    let places = trail.tell(entries).unwrap();
                    prop_assert!(places.iter().copied().eq(expected.len() as u64..(expected.len() + count) as u64));
                    expected.extend(places);
                }
                1 => {
                    trail.checkpoint().unwrap();
                    signed = expected.len() as u64;
                }
                2 => trail = world.open(),
                _ => drop(trail.verify(count % 2 == 0).unwrap()),
            }
            prop_assert_eq!(trail.size(), expected.len() as u64);
        }
        trail = world.open();
        prop_assert_eq!(told(&trail), expected.clone());
        let checked = trail.verify(true).unwrap();
        prop_assert_eq!((checked.from, checked.through), (0, expected.len() as u64));
        for place in expected.iter().copied().step_by(97) {
            let Some(proven) = trail.prove(place).unwrap() else {
                prop_assert!(place >= signed);
                continue;
            };
            let checkpoint = open_note(&proven.note, &trail.home.origin, &trail.verifying_key()).unwrap();
            prop_assert_eq!((proven.proof.index, proven.proof.size), (place, checkpoint.size));
            prop_assert!(proven.proof.verify(&leaf_hash(&proven.event), &checkpoint.root).is_ok());
        }
    }
}

#[test]
fn an_untouched_log_opens_and_none_has_no_events() {
    let (mut world, _) = written(1500);
    assert_eq!(told(&world.open()), (0..1500).collect::<Vec<_>>());
    assert_eq!(World::default().open().size(), 0);
}

#[test]
fn a_log_that_lost_its_end_is_refused() {
    let (world, _) = written(1500);
    let whole = files(&world.audit);
    let of = |prefix: &str| whole.keys().filter(|name| name.starts_with(prefix)).cloned().collect::<Vec<_>>();
    assert_eq!((of("events-").len(), of("mark-").len()), (2, 1));
    for file in of("events-") {
        let mut cut = whole.clone();
        cut.remove(&file);
        assert!(world.with(&cut).refused().contains("cut"), "{file} is missing");
        if file.starts_with("events-000000000001") {
            for keep in [32, 40, 3000] {
                let mut cut = whole.clone();
                cut.get_mut(&file).unwrap().truncate(keep);
                assert!(world.with(&cut).refused().contains("cut"), "{file} has {keep} bytes");
            }
        }
    }
    // Without the mark, what the anchor store keeps tells; without anything of the log as well.
    let mut unmarked = whole.clone();
    unmarked.retain(|name, _| !name.starts_with("mark-"));
    assert!(world.with(&unmarked).refused().contains("cut"));
    assert!(world.with(&Files::new()).refused().contains("more events"));
}

#[test]
fn an_older_log_put_back_is_refused() {
    for events in [20, 1500, 2048, 4000] {
        let (world, halfway) = written(events);
        assert!(world.with(&halfway).refused().contains("more events"), "{events}");
        // Who has the anchor store put back too is not found out: that is why it lies elsewhere.
        let mut alone = world.with(&halfway);
        alone.anchors = Memory::new();
        assert_eq!(alone.open().size(), events / 2);
    }
}

#[test]
fn a_log_written_anew_is_refused() {
    for events in [20, 1500, 2048] {
        let (world, _) = written(events);
        let mut forger = World::default();
        let trail = forger.open();
        (0..events + 3).for_each(|number| drop(trail.tell(vec![entry(number + 1)]).unwrap()));
        trail.close().unwrap();
        assert!(world.with(&files(&forger.audit)).refused().contains("replaced"), "{events}");
    }
}

#[test]
fn blocks_of_two_logs_do_not_mix() {
    let (world, _) = written(3000);
    let (mut other, whole) = (World::default(), files(&world.audit));
    let trail = other.open();
    (0..3000).for_each(|number| drop(trail.tell(vec![entry(number + 7)]).unwrap()));
    trail.close().unwrap();
    let theirs = files(&other.audit);
    for name in whole.keys().filter(|name| name.starts_with("events-")) {
        let mut mixed = whole.clone();
        mixed.insert(name.clone(), theirs[name].clone());
        let mut world = world.with(&mixed);
        if name.starts_with("events-000000000002") {
            world.refused();
            continue;
        }
        // A closed block is read when it is asked for, and then it is not what was signed.
        let trail = world.open();
        assert_eq!(trail.verify(true).unwrap_err().kind(), ErrorKind::Corrupt, "{name}");
        assert_eq!((0..3000).find_map(|at| trail.read(at).err()).unwrap().kind(), ErrorKind::Corrupt, "{name}");
        assert!(trail.verify(false).is_ok(), "{name} is not looked at again");
    }
    // Nor do two blocks of one log, since each is sealed for its place.
    let names: Vec<&String> = whole.keys().filter(|name| name.starts_with("events-")).collect();
    let mut swapped = whole.clone();
    swapped.insert(names[0].clone(), whole[names[1]].clone());
    swapped.insert(names[1].clone(), whole[names[0]].clone());
    assert!(world.with(&swapped).open().verify(true).is_err());
}

/// A byte of the open block or the mark: found when the log opens. One of a closed block: found when it is verified.
#[test]
fn every_changed_byte_is_found() {
    let (world, _) = written(1030);
    let whole = files(&world.audit);
    for (name, bytes) in &whole {
        let stride = (bytes.len() / 97).max(1);
        for at in (0..bytes.len()).step_by(stride) {
            let mut changed = whole.clone();
            changed.get_mut(name).unwrap()[at] ^= 1;
            let world = world.with(&changed);
            let found = Trail::open(world.home(5)).and_then(|trail| trail.verify(true));
            // The frames of this log are all signed for, so none passes for a torn end.
            assert_eq!(found.unwrap_err().kind(), ErrorKind::Corrupt, "{name} at {at}");
        }
    }
}

#[test]
fn a_checkpoint_of_somebody_else_is_refused() {
    let (world, _) = written(10);
    let name = files(&world.anchors).into_keys().next().unwrap();
    for note in ["", "nonsense\n"] {
        let mut world = world.with(&files(&world.audit));
        world.anchors = disk_of(&Files::from([(name.clone(), note.as_bytes().to_vec())]));
        world.refused();
    }
}

/// What a crash leaves of the next generation of a block is no harm: it holds all that the older one holds, or nothing.
#[test]
fn a_generation_that_was_not_finished_changes_nothing() {
    let (world, _) = written(100);
    let whole = files(&world.audit);
    let mut next = world.with(&whole);
    drop(next.open().tell(vec![entry(100)]).unwrap());
    let after = files(&next.audit);
    let (name, bytes) = after.iter().find(|(name, _)| name.ends_with("-00000001.log")).unwrap();
    assert!(!after.keys().any(|name| name.ends_with("-00000000.log")));
    for keep in [0, 20, 32, 50, 200, bytes.len() - 1, bytes.len()] {
        let mut torn = whole.clone();
        torn.insert(name.clone(), bytes[..keep].to_vec());
        let mut world = world.with(&torn);
        let trail = world.open();
        let expected = if keep == bytes.len() { 101 } else { 100 };
        assert_eq!(trail.size(), expected, "{keep} bytes");
        trail.tell(vec![entry(expected)]).unwrap();
        drop(trail);
        assert_eq!(world.open().size(), expected + 1);
        assert_eq!(files(&world.audit).keys().filter(|name| name.starts_with("events-")).count(), 1);
    }
}
