//! Retention: what is past its window goes, live and from every backup, and nothing else does; not by a clock that jumped,
//! not where somebody is held, and whole or not at all, wherever a crash or a fault strikes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::{
    Archive, Builder, Clock, Collection, Database, Environment, ErrorKind, Record, RecordId, RetentionRun, Settings,
    Step, Window,
};
use lethedb_tests::autopsy::autopsy;
use lethedb_tests::case::tell;
use lethedb_tests::world::{over, small_settings};
use privacy::{Reading, Trusted, Watch};
use proptest::prelude::*;
use proptest::sample::select;
use storage::backend::faulty::{Crash, Fault, FaultKind, Medium};
use storage::backend::{Faulty, Memory, StorageBackend};

const HOUR: u64 = 60 * 60 * 1000;
/// No beginning of an hour.
const START: u64 = 1_700_000_000_000;

/// A clock that the test moves.
#[derive(Default)]
struct Hands {
    wall: AtomicU64,
    steady: AtomicU64,
}

impl Hands {
    fn at(wall: u64) -> Arc<Self> {
        Arc::new(Self { wall: AtomicU64::new(wall), steady: AtomicU64::new(0) })
    }

    fn pass(&self, ms: u64) {
        self.wall.fetch_add(ms, Ordering::Relaxed);
        self.steady.fetch_add(ms, Ordering::Relaxed);
    }

    fn set(&self, wall: u64) {
        self.wall.store(wall, Ordering::Relaxed);
    }

    fn reading(&self) -> Reading {
        Reading { wall_ms: self.now_ms(), steady_ms: self.steady_ms() }
    }
}

impl Clock for Hands {
    fn now_ms(&self) -> u64 {
        self.wall.load(Ordering::Relaxed)
    }

    fn steady_ms(&self) -> u64 {
        self.steady.load(Ordering::Relaxed)
    }
}

fn builder(backend: Arc<dyn StorageBackend>, seed: u64, clock: &Arc<Hands>) -> Builder {
    over(backend, seed).clock(Arc::clone(clock) as Arc<dyn Clock>)
}

fn window(ms: u64) -> Option<Window> {
    Some(Window::from_ms(ms).unwrap())
}

/// Every third record is nobody's.
fn owner(id: u64) -> Option<u64> {
    (!id.is_multiple_of(3)).then_some(id % 4)
}

fn name(owner: u64) -> String {
    format!("person-{owner}")
}

fn record(id: u64) -> Record {
    let record = Record::new(id, vec![id as f32 + 0.5, 1.0]);
    owner(id).map_or(record.clone(), |owner| record.entity(name(owner)))
}

fn collection(env: &Environment, name: &str) -> Collection {
    env.collection(name).dimension(2).open_or_create().unwrap()
}

/// The ids that a collection shows, which every way of reading must agree on.
fn ids(collection: &Collection) -> BTreeSet<u64> {
    let page = collection.scroll().limit(1000).run().unwrap();
    assert!(!page.partial, "a part cannot be read");
    let id = |id: RecordId| match id {
        RecordId::Num(id) => id,
        RecordId::Uuid(_) => panic!("ids are numbers here"),
    };
    let found: BTreeSet<u64> = page.records.iter().map(|record| id(record.id())).collect();
    assert_eq!(collection.count().run().unwrap().count, found.len() as u64);
    let hits = collection.search(&[1.0, 1.0]).limit(1000).exact(true).run().unwrap();
    assert_eq!(hits.iter().map(|hit| id(hit.id)).collect::<BTreeSet<u64>>(), found);
    found
}

#[derive(Clone, Debug)]
enum Act {
    Put(u64, u64),
    Delete(u64, u64),
    Flush,
    Compact,
    Erase(u64),
    Hold(u64),
    Release(u64),
    /// Both clocks go on by so many minutes.
    Pass(u64),
    /// The wall clock alone is moved by so many minutes.
    Jump(i64),
    Confirm,
    SetWindow(Option<u64>),
    Run,
    Step,
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let windows = vec![None, Some(HOUR), Some(40 * HOUR), Some(40 * HOUR), Some(400 * HOUR)];
    prop_oneof![
        8 => (0..18_u64, 1..6_u64).prop_map(|(first, count)| Act::Put(first, count)),
        1 => (0..18_u64, 1..4_u64).prop_map(|(first, count)| Act::Delete(first, count)),
        3 => Just(Act::Flush),
        1 => Just(Act::Compact),
        1 => (0..4_u64).prop_map(Act::Erase),
        1 => (0..4_u64).prop_map(Act::Hold),
        1 => (0..4_u64).prop_map(Act::Release),
        5 => (0..20 * 60_u64).prop_map(Act::Pass),
        2 => select(vec![-600, -30, -1, 10, 30, 600, 2000, 9000]).prop_map(Act::Jump),
        1 => Just(Act::Confirm),
        2 => select(windows).prop_map(Act::SetWindow),
        5 => Just(Act::Run),
        1 => Just(Act::Step),
        2 => Just(Act::Reopen),
    ]
}

/// What a collection must hold, by the arithmetic of periods alone.
struct Model {
    clock: Arc<Hands>,
    watch: Watch,
    /// The latest time believed that a crash leaves.
    written: Option<u64>,
    /// Window, and since when there is one.
    window: Option<(Window, u64)>,
    /// Records in no segment, with when they were written.
    memtable: BTreeMap<u64, u64>,
    /// Records in segments, with the end of their period.
    sealed: BTreeMap<u64, Option<u64>>,
    held: BTreeSet<u64>,
}

impl Model {
    fn new(clock: &Arc<Hands>) -> Self {
        Self {
            clock: Arc::clone(clock),
            watch: Watch::resume(None),
            written: None,
            window: None,
            memtable: BTreeMap::new(),
            sealed: BTreeMap::new(),
            held: BTreeSet::new(),
        }
    }

    fn now(&self) -> u64 {
        self.clock.now_ms().max(self.watch.trusted_ms().unwrap_or_default())
    }

    fn judged(&mut self) -> Option<Trusted> {
        let now = self.watch.observe(self.clock.reading(), self.window.map(|(window, _)| window)).ok()?;
        self.written = self.watch.trusted_ms();
        Some(now)
    }

    fn ids(&self) -> BTreeSet<u64> {
        self.memtable.keys().chain(self.sealed.keys()).copied().collect()
    }

    fn put(&mut self, ids: std::ops::Range<u64>) {
        let written = self.now();
        for id in ids {
            self.sealed.remove(&id);
            self.memtable.insert(id, written);
        }
    }

    fn remove(&mut self, goes: impl Fn(u64) -> bool) {
        self.memtable.retain(|id, _| !goes(*id));
        self.sealed.retain(|id, _| !goes(*id));
    }

    fn flush(&mut self) {
        let window = self.window.map(|(window, _)| window);
        let sealed = std::mem::take(&mut self.memtable).into_iter();
        self.sealed.extend(sealed.map(|(id, written)| (id, window.map(|window| window.until(written).as_ms()))));
    }

    fn run(&mut self, now: Trusted) -> u64 {
        let Some((window, since)) = self.window else { return 0 };
        if self.memtable.values().any(|written| window.is_past(window.until(*written).as_ms(), now)) {
            self.flush();
        }
        let before = self.sealed.len();
        let held = &self.held;
        let is_held = |id: u64| owner(id).is_some_and(|owner| held.contains(&owner));
        self.sealed.retain(|id, until| is_held(*id) || !window.is_past(until.unwrap_or(since), now));
        (before - self.sealed.len()) as u64
    }

    fn set_window(&mut self, wanted: Option<Window>) -> bool {
        if wanted.is_some() && self.judged().is_none() {
            return false;
        }
        let now = self.now();
        let since = self.window.map_or(now, |(_, since)| since);
        self.window = wanted.map(|window| (window, since));
        true
    }

    fn reopen(&mut self) {
        self.watch = Watch::resume(self.written.filter(|_| self.window.is_some()));
    }
}

/// What upkeep does once is what a run does, whenever it comes to it.
fn quiet() -> Settings {
    Settings { retention_check_minutes: 0, scrub_days: 0, kek_rotation_days: 0, ..small_settings() }
}

fn play(acts: Vec<Act>) {
    let (memory, clock) = (Memory::new(), Hands::at(START));
    let open = |seed| builder(Arc::new(memory.clone()), seed, &clock).settings(quiet()).open().unwrap();
    let mut model = Model::new(&clock);
    let mut db = open(0);
    for (seed, act) in (1..).zip(acts) {
        let env = db.environment("acme").unwrap();
        let docs = collection(&env, "docs");
        match act {
            Act::Put(first, count) => {
                docs.upsert((first..first + count).map(record)).unwrap();
                model.put(first..first + count);
            }
            Act::Delete(first, count) => {
                docs.delete(first..first + count).unwrap();
                model.remove(|id| (first..first + count).contains(&id));
            }
            Act::Flush => env.flush().map(|()| model.flush()).unwrap(),
            Act::Compact => env.compact().map(|()| model.flush()).unwrap(),
            Act::Erase(whose) => match env.erase(name(whose)).run() {
                Ok(_) => model.remove(|id| owner(id) == Some(whose)),
                Err(error) => assert!(error.kind() == ErrorKind::Held && model.held.contains(&whose), "{error}"),
            },
            Act::Hold(owner) => assert_eq!(env.hold(name(owner), "case").unwrap(), model.held.insert(owner)),
            Act::Release(owner) => assert_eq!(env.release_hold(name(owner)).unwrap(), model.held.remove(&owner)),
            Act::Pass(minutes) => clock.pass(minutes * 60_000),
            Act::Jump(minutes) => clock.set(clock.now_ms().saturating_add_signed(minutes * 60_000)),
            Act::Confirm => {
                model.watch.confirm(clock.reading());
                model.written = model.watch.trusted_ms();
                assert_eq!(env.retain().confirm_clock().unwrap(), clock.now_ms());
            }
            Act::SetWindow(ms) => {
                let wanted = ms.and_then(window);
                assert_eq!(docs.set_retention(wanted).is_ok(), model.set_window(wanted));
                let found = docs.info().retention.map(|kept| (kept.window_ms, kept.since_ms));
                assert_eq!(found, model.window.map(|(window, since)| (window.as_ms(), since)));
            }
            Act::Run => run(&env, &mut model),
            // Rebuilds what erasures left; nothing that anybody sees.
            Act::Step => assert!(env.step().unwrap() != Step::Expired, "upkeep was told not to look"),
            Act::Reopen => {
                drop((docs, env));
                db.close().unwrap();
                db = open(seed);
                model.reopen();
                continue;
            }
        }
        assert_eq!(ids(&docs), model.ids());
    }
    let env = db.environment("acme").unwrap();
    assert_eq!(env.verify_deep().unwrap().problems, vec![]);
}

fn run(env: &Environment, model: &mut Model) {
    if model.window.is_none() {
        assert_eq!(env.retain().run().unwrap(), RetentionRun::default());
        return;
    }
    let (plan, before) = (env.retain().dry_run(), model.ids());
    let Some(now) = model.judged() else {
        for error in [plan.map(drop).unwrap_err(), env.retain().run().map(drop).unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        }
        return;
    };
    let ran = env.retain().run().unwrap();
    assert_eq!(ran.records_removed, model.run(now));
    assert_eq!(ran.records_removed, before.len() as u64 - model.ids().len() as u64);
    if model.held.is_empty() {
        assert_eq!(plan.unwrap().records, ran.records_removed);
    }
    assert!(ran.hidden_at <= ran.shredded_at && ran.shredded_at <= ran.purged_at);
    let again = env.retain().run().unwrap();
    assert_eq!(again, RetentionRun { entities_held: again.entities_held, ..RetentionRun::default() });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_collection_holds_what_the_windows_leave(acts in prop::collection::vec(act(), 1..50)) {
        play(acts);
    }
}

const GONE: std::ops::Range<u64> = 0..14;
const LEFT: std::ops::Range<u64> = 14..30;
const NOTES: std::ops::Range<u64> = 100..106;
/// When everything in `GONE` is past its window, and nothing else.
const RUN_AT: u64 = START + 4 * HOUR;

/// A store of which a part is past its window at [`RUN_AT`], in segments and in the log, everything durable.
fn furnished() -> Medium {
    let (disk, clock) = (Faulty::new(), Hands::at(START));
    let db = builder(Arc::new(disk.clone()), 1, &clock).open().unwrap();
    let env = db.environment("acme").unwrap();
    let (docs, notes) = (collection(&env, "docs"), collection(&env, "notes"));
    docs.set_retention(window(2 * HOUR)).unwrap();
    docs.upsert((0..10).map(record)).unwrap();
    notes.upsert(NOTES.map(record)).unwrap();
    env.flush().unwrap();
    clock.pass(3 * HOUR);
    docs.upsert((14..20).map(record)).unwrap();
    env.flush().unwrap();
    // One segment with rows of both, and some that are in no segment.
    env.compact().unwrap();
    clock.set(START);
    docs.upsert((10..14).map(record)).unwrap();
    clock.set(START + 3 * HOUR);
    docs.upsert((20..30).map(record)).unwrap();
    drop((docs, notes, env));
    db.close().unwrap();
    disk.medium().crashed(Crash::KeepAll)
}

fn opened(disk: &Faulty, seed: u64) -> Result<(Database, Environment), String> {
    let db = builder(Arc::new(disk.clone()), seed, &Hands::at(RUN_AT)).open().map_err(|error| format!("{error:?}"))?;
    let env = db.open_environment("acme").map_err(|error| format!("it does not open: {error:?}"))?;
    Ok((db, env))
}

/// Whether what is past is gone; it is all there or all gone, and everything else is there.
fn is_gone(env: &Environment) -> Result<bool, String> {
    let (docs, notes) = (ids(&collection(env, "docs")), ids(&collection(env, "notes")));
    if notes != NOTES.collect() {
        return Err(format!("a collection that keeps everything holds {notes:?}"));
    }
    match docs {
        found if found == LEFT.collect() => Ok(true),
        found if found == (0..30).collect() => Ok(false),
        other => Err(format!("it holds {other:?}")),
    }
}

/// Opens what is left, judges it, runs once more, and looks for what should be gone with every key that survives.
fn judge(image: &Medium, must_be_gone: bool, seed: u64) -> Result<(), String> {
    let disk = Faulty::on(image.clone());
    let (db, env) = opened(&disk, seed)?;
    if !is_gone(&env)? && must_be_gone {
        return Err("what was hidden is back".into());
    }
    env.retain().run().map_err(|error| format!("it does not go on: {error:?}"))?;
    if !is_gone(&env)? || !env.verify().map_err(|error| format!("{error:?}"))?.problems.is_empty() {
        return Err("a run does not end it".into());
    }
    drop(env);
    db.close().map_err(|error| format!("{error:?}"))?;
    let found = autopsy(&disk.medium())?;
    if let Some(id) = found.ids.iter().find(|id| GONE.contains(id)) {
        return Err(format!("a key that survives opens record {id}"));
    }
    found.strays.first().map_or(Ok(()), |stray| Err(format!("{stray} is left")))
}

#[test]
fn a_run_survives_a_crash_at_every_operation() {
    let medium = furnished();
    let disk = Faulty::on(medium).recording();
    let (db, env) = opened(&disk, 7).unwrap();
    let ran = env.retain().run().unwrap();
    assert_eq!((ran.records_removed, ran.collections.len()), (GONE.count() as u64, 1), "{ran:?}");
    assert!(is_gone(&env).unwrap());
    let ended = disk.operations();
    drop(env);
    db.close().unwrap();
    let (mut seen, mut images, mut went_on) = (HashSet::new(), 0, 0);
    for (at, (operations, medium)) in (0..).zip(disk.history()) {
        for crash in [Crash::Process, Crash::DropAll, Crash::KeepAll, Crash::Subset(at), Crash::Torn(at)] {
            let image = medium.crashed(crash);
            // A job that is there hid them, or did not come to it before anybody could see.
            let has_job = image.paths().any(|path| path.ends_with(".progress"));
            if seen.insert(image.fingerprint()) {
                let judged = judge(&image, has_job || operations >= ended, 1000 + at);
                judged.unwrap_or_else(|what| panic!("change {at}, {crash:?}: {what}"));
                (images, went_on) = (images + 1, went_on + u64::from(has_job));
            }
        }
    }
    tell(&format!("{images} images of a run, {went_on} of which went on by themselves"));
    assert!(images > 100 && went_on > 20, "{images} {went_on}");
}

#[test]
fn a_run_is_whole_or_not_at_all_whatever_operation_fails() {
    let medium = furnished();
    let all = {
        let disk = Faulty::on(medium.clone());
        let (_db, env) = opened(&disk, 7).unwrap();
        env.retain().run().unwrap();
        disk.operations()
    };
    let mut failed = 0;
    for at in 0..all {
        for (kind, sticky) in [(FaultKind::Io, false), (FaultKind::Full, true)] {
            let disk = Faulty::on(medium.clone());
            disk.fail(Some(Fault { at, kind, sticky }));
            let mut must_be_gone = false;
            if let Ok((_db, env)) = opened(&disk, 7) {
                match env.retain().run() {
                    Ok(_) => must_be_gone = true,
                    Err(_) => failed += 1,
                }
                disk.fail(None);
                // A segment that could not be read is left out until the next opening.
                let is_whole = env.collections().iter().all(|info| info.damaged.is_empty());
                let seen = is_whole.then(|| is_gone(&env).unwrap_or_else(|what| panic!("{at}, {kind:?}: {what}")));
                assert!(seen != Some(false) || !must_be_gone, "operation {at}, {kind:?}: it was answered");
                must_be_gone |= seen == Some(true);
            }
            disk.fail(None);
            let judged = judge(&disk.medium().crashed(Crash::Process), must_be_gone, 2000 + at);
            judged.unwrap_or_else(|what| panic!("operation {at}, {kind:?}: {what}"));
        }
    }
    assert!(failed > 20, "{failed} of {all}");
}

#[test]
fn an_old_backup_gives_back_what_is_kept_and_nothing_that_is_past() {
    let (memory, clock) = (Memory::new(), Hands::at(START));
    let archive = Archive::on(Arc::new(Memory::new()));
    let db = builder(Arc::new(memory.clone()), 1, &clock).open().unwrap();
    let env = db.environment("acme").unwrap();
    let (docs, notes) = (collection(&env, "docs"), collection(&env, "notes"));
    docs.set_retention(window(32 * HOUR)).unwrap();
    docs.upsert(GONE.map(record)).unwrap();
    notes.upsert(NOTES.map(record)).unwrap();
    clock.pass(20 * HOUR);
    docs.upsert(LEFT.map(record)).unwrap();
    let number = env.backup(&archive).unrecoverable(true).run().unwrap().backup.number;
    env.hold(name(1), "case").unwrap();
    // What is set later holds for the backup, too.
    docs.set_retention(window(33 * HOUR)).unwrap();
    clock.pass(20 * HOUR);
    let ran = env.retain().run().unwrap();
    let is_held = |id: &u64| owner(*id) == Some(1);
    let left: BTreeSet<u64> = LEFT.chain(GONE.filter(is_held)).collect();
    assert_eq!((ran.entities_held, ids(&docs)), (1, left.clone()));
    drop((docs, notes, env));
    db.close().unwrap();
    let db = builder(Arc::new(memory), 2, &clock).open().unwrap();
    let (env, report) = db.restore("acme", &archive).number(number).run().unwrap();
    assert_eq!(ids(&collection(&env, "docs")), left);
    assert_eq!(ids(&collection(&env, "notes")), NOTES.collect());
    assert_eq!(collection(&env, "docs").retention().unwrap().window_ms, 33 * HOUR);
    assert_eq!(report.rows.erased, ran.records_removed);
    assert_eq!(env.verify_deep().unwrap().problems, vec![]);
}

#[test]
fn a_doubt_is_told_once_and_confirmed_by_a_call() {
    let (memory, clock) = (Memory::new(), Hands::at(START));
    let db = builder(Arc::new(memory), 1, &clock).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = collection(&env, "docs");
    docs.set_retention(window(2 * HOUR)).unwrap();
    docs.upsert(GONE.map(record)).unwrap();
    let actions = |action: &str| env.audit().action(action).run().unwrap().events.len();
    clock.set(START + 1000 * HOUR);
    for _ in 0..3 {
        let error = env.retain().run().unwrap_err();
        assert!(error.kind() == ErrorKind::Conflict && format!("{error:?}").contains("leapt"), "{error:?}");
        // Upkeep goes on without it.
        assert!(!matches!(env.step(), Err(_) | Ok(Step::Expired)));
    }
    assert_eq!(ids(&docs), GONE.collect());
    assert_eq!((actions("clock.doubted"), actions("retention.ran")), (1, 0));
    // The clock was right after all, and is put right.
    clock.set(START);
    assert_eq!(env.retain().run().unwrap(), RetentionRun::default());
    clock.set(START + 1000 * HOUR);
    env.retain().run().unwrap_err();
    assert_eq!(actions("clock.doubted"), 2);
    env.retain().confirm_clock().unwrap();
    assert_eq!(env.retain().run().unwrap().records_removed, GONE.count() as u64);
    let told = [actions("clock.confirmed"), actions("retention.ran"), actions("retention.set")];
    assert_eq!(told, [1, 1, 1]);
}

#[test]
fn upkeep_removes_by_itself_what_is_past() {
    let clock = Hands::at(START);
    let db = builder(Arc::new(Memory::new()), 1, &clock).open().unwrap();
    let env = db.environment("acme").unwrap();
    let docs = collection(&env, "docs");
    docs.set_retention(window(2 * HOUR)).unwrap();
    docs.upsert(GONE.map(record)).unwrap();
    let steps = || std::iter::repeat_with(|| env.step().unwrap()).take_while(|step| *step != Step::Idle);
    assert!(steps().all(|step| step != Step::Expired));
    clock.pass(2 * HOUR - 1);
    assert!(steps().all(|step| step != Step::Expired), "not before the window is over");
    assert_eq!(ids(&docs), GONE.collect());
    clock.pass(HOUR + 1);
    assert_eq!(steps().filter(|step| *step == Step::Expired).count(), 1);
    assert_eq!(ids(&docs), BTreeSet::new());
}
