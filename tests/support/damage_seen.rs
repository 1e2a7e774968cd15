//! Damaged segment files against a naive model: whatever is flipped, cut or removed, every answer is the model
//! without the damaged segment and says so, nothing is missing silently, writes and erasures go on where they can,
//! and the segment is served again, with all that happened since, once its files are put back.
//!
//! Invariant: only what an answer itself calls damaged is forgiven in it.

use std::collections::{BTreeMap, BTreeSet};

use engine::{Collection, Database, Environment, ErrorKind, Metric, Step};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::backend::{Memory, StorageBackend};

use crate::case::{Counts, Outcome, Violation, add};
use crate::model::{Entry, Model, record};
use crate::partial::{Checked, Partial, ensure};
use crate::world::in_memory;

const SUITE: &str = "damage_seen";
const DIMENSION: usize = 4;
const IDS: u64 = 90;
const OWNERS: u64 = 5;
const SEGMENTS: &str = "env/acme/seg";

/// What is done to a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    FlipRows,
    CutRows,
    RemoveRows,
    FlipIndex,
    RemoveIndex,
    FlipTombstones,
    RemoveTombstones,
    FlipRowsAndIndex,
}

const DAMAGES: [Damage; 8] = [
    Damage::FlipRows,
    Damage::CutRows,
    Damage::RemoveRows,
    Damage::FlipIndex,
    Damage::RemoveIndex,
    Damage::FlipTombstones,
    Damage::RemoveTombstones,
    Damage::FlipRowsAndIndex,
];

impl Damage {
    fn spares_rows(self) -> bool {
        matches!(self, Self::FlipIndex | Self::RemoveIndex)
    }

    fn is_of_tombstones(self) -> bool {
        matches!(self, Self::FlipTombstones | Self::RemoveTombstones)
    }
}

struct World {
    memory: Memory,
    rng: StdRng,
    seed: u64,
    db: Option<Database>,
    model: Model,
    /// Live records by segment; those in no segment are not here.
    home: BTreeMap<u64, String>,
    damage: Damage,
    /// Path of the damaged segment as answers name it.
    victim: String,
    /// What the damaged files held.
    originals: BTreeMap<String, Vec<u8>>,
    /// Whether an answer since the last open named the victim.
    is_seen: bool,
    /// Whether the victim's index says which ids are in it.
    ids_known: bool,
    counts: Counts,
}

/// One store, one damaged segment, and a life with it.
///
/// # Errors
/// The first promise that did not hold.
pub fn case(seed: u64) -> Outcome {
    let violation = |what| Violation { suite: SUITE, what, replay: format!("{SUITE} --seed {seed}") };
    let mut world = World::furnish(seed).map_err(violation)?;
    let damage = world.damage;
    live(&mut world).map_err(|what| violation(format!("{damage:?}: {what}")))?;
    *world.counts.entry("cases").or_default() += 1;
    Ok(world.counts)
}

fn live(world: &mut World) -> Checked {
    world.break_files()?;
    world.reopen()?;
    world.check().map_err(|e| format!("at first: {e}"))?;
    if world.damage.is_of_tombstones() || world.damage == Damage::RemoveRows {
        ensure(world.is_seen, || "a segment that cannot be served was not called damaged".into())?;
    }
    world.write()?;
    world.check().map_err(|e| format!("after writes: {e}"))?;
    let env = world.env()?;
    match world.rng.random_range(0..3) {
        0 => env.flush().map_err(|e| format!("flush: {e}"))?,
        1 => env.compact().map_err(|e| format!("compact: {e}"))?,
        _ => settle(&env)?,
    }
    drop(env);
    world.check().map_err(|e| format!("after upkeep: {e}"))?;
    if world.rng.random_bool(0.5) {
        world.erase()?;
        world.check().map_err(|e| format!("after an erasure: {e}"))?;
    }
    world.reopen()?;
    world.check().map_err(|e| format!("opened again: {e}"))?;
    settle(&world.env()?)?;
    world.check().map_err(|e| format!("settled: {e}"))?;
    if world.rng.random_bool(0.5) {
        world.restore()?;
    } else {
        world.salvage()?;
    }
    world.check().map_err(|e| format!("put back or salvaged: {e}"))?;
    ensure(!world.is_seen, || "a segment that was put back or salvaged is not served".into())?;
    world.write()?;
    world.check().map_err(|e| format!("written to again: {e}"))?;
    let report = world.env()?.verify_deep().map_err(|e| format!("verify: {e}"))?;
    ensure(report.problems.is_empty(), || format!("verify after all was put back: {:?}", report.problems))
}

fn owner(number: u64) -> String {
    format!("owner-{number}")
}

/// Steps until nothing is left to do.
fn settle(env: &Environment) -> Checked {
    for _ in 0..50 {
        if env.step().map_err(|e| format!("step: {e}"))? == Step::Idle {
            return Ok(());
        }
    }
    Err("upkeep does not come to rest".into())
}

impl World {
    /// Some segments that replace and delete rows of each other, and perhaps writes in the log.
    fn furnish(seed: u64) -> Checked<Self> {
        let mut rng = StdRng::seed_from_u64(seed);
        let damage = DAMAGES[rng.random_range(0..DAMAGES.len())];
        let mut world = Self {
            memory: Memory::new(),
            rng,
            seed,
            db: None,
            model: Model::default(),
            home: BTreeMap::new(),
            damage,
            victim: String::new(),
            originals: BTreeMap::new(),
            is_seen: false,
            ids_known: true,
            counts: Counts::new(),
        };
        world.reopen()?;
        for _ in 0..world.rng.random_range(2..5) {
            world.put()?;
            world.delete()?;
            let before = world.list()?;
            world.env()?.flush().map_err(|e| format!("flush: {e}"))?;
            let after = world.list()?;
            let made = after.iter().find(|name| !before.contains(*name) && name.ends_with(".rec"));
            let segment = made.and_then(|name| name.strip_suffix(".rec")).ok_or("a flush made no segment")?;
            let segment = format!("seg/{segment}");
            for id in world.model.records.keys() {
                world.home.entry(*id).or_insert_with(|| segment.clone());
            }
        }
        if world.rng.random_bool(0.5) {
            world.put()?;
            world.delete()?;
        }
        Ok(world)
    }

    fn env(&self) -> Checked<Environment> {
        let db = self.db.as_ref().ok_or("no database")?;
        db.environment("acme").map_err(|e| format!("open: {e}"))
    }

    fn docs(&self) -> Checked<Collection> {
        let builder = self.env()?.collection("docs").dimension(DIMENSION).metric(Metric::L2);
        builder.open_or_create().map_err(|e| format!("collection: {e}"))
    }

    fn list(&self) -> Checked<Vec<String>> {
        self.memory.list(SEGMENTS).map_err(|e| format!("list: {e}"))
    }

    fn close(&mut self) -> Checked {
        self.db.take().map_or(Ok(()), |db| db.close().map_err(|e| format!("close: {e}")))
    }

    fn reopen(&mut self) -> Checked {
        self.close()?;
        self.seed = self.seed.wrapping_add(1);
        self.db = Some(in_memory(&self.memory, self.seed).open().map_err(|e| format!("open: {e}"))?);
        self.is_seen = false;
        self.env().map(drop)
    }

    /// Asks everything there is to ask, beginning anywhere.
    fn check(&mut self) -> Checked {
        let docs = self.docs()?;
        let mut partial = Partial {
            docs: &docs,
            model: &self.model,
            home: &self.home,
            may_miss: (!self.damage.spares_rows()).then_some(self.victim.as_str()),
            ids_known: self.ids_known && self.damage != Damage::FlipRowsAndIndex,
            deletions_known: !self.damage.is_of_tombstones(),
            is_seen: self.is_seen,
            counts: Counts::new(),
        };
        partial.ask_all(self.rng.random_range(0..8), IDS)?;
        self.is_seen = partial.is_seen;
        add(&mut self.counts, &partial.counts);
        Ok(())
    }

    fn put(&mut self) -> Checked<bool> {
        let count = self.rng.random_range(5..40);
        let batch: Vec<(u64, Entry)> = (0..count).map(|_| (self.rng.random_range(0..IDS), self.entry())).collect();
        let stored = self.docs()?.upsert(batch.iter().map(|(id, entry)| record(*id, entry)));
        if !self.is_allowed(stored.map(drop))? {
            return Ok(false);
        }
        for (id, entry) in batch {
            self.home.remove(&id);
            self.model.upsert(id, entry);
        }
        Ok(true)
    }

    fn entry(&mut self) -> Entry {
        let vector = (0..DIMENSION).map(|_| self.rng.random_range(-9.0f32..9.0)).collect();
        let entity = self.rng.random_bool(0.8).then(|| owner(self.rng.random_range(0..OWNERS)));
        Entry { vector, entity, tag: self.rng.random() }
    }

    fn delete(&mut self) -> Checked<bool> {
        let ids: BTreeSet<u64> = (0..12).map(|_| self.rng.random_range(0..IDS)).collect();
        let deleted = self.docs()?.delete(ids.iter().copied());
        let count = deleted.as_ref().map_or(0, |deleted| deleted.count);
        if !self.is_allowed(deleted.map(drop))? {
            return Ok(false);
        }
        let expected = ids.iter().filter(|id| self.model.delete(**id)).count() as u64;
        ids.iter().for_each(|id| drop(self.home.remove(id)));
        // Without tombstones a deleted row counts as being there.
        ensure(count == expected || self.damage.is_of_tombstones() && count > expected, || {
            format!("{count} records deleted, not {expected}")
        })?;
        Ok(true)
    }

    /// Whether a write was taken. It may be refused only where nobody knows what it would replace.
    fn is_allowed(&mut self, written: engine::Result<()>) -> Checked<bool> {
        let Err(error) = written else { return Ok(true) };
        let is_lost = self.damage == Damage::FlipRowsAndIndex || !self.ids_known;
        let names_it = !self.victim.is_empty() && error.to_string().contains(&self.victim);
        ensure(error.kind() == ErrorKind::Corrupt && is_lost && names_it, || format!("a write was refused: {error}"))?;
        self.is_seen = true;
        *self.counts.entry("writes refused").or_default() += 1;
        Ok(false)
    }

    fn write(&mut self) -> Checked {
        let taken = self.put()? & self.delete()?;
        ensure(!taken || self.damage != Damage::FlipRowsAndIndex, || {
            "a write was taken though nobody knows what it replaces".into()
        })
    }

    fn erase(&mut self) -> Checked {
        let name = owner(self.rng.random_range(0..OWNERS));
        let of_victim = |(id, entry): (&u64, &Entry)| {
            entry.entity.as_ref() == Some(&name) && self.home.get(id) == Some(&self.victim)
        };
        let is_hit = self.is_seen && self.model.records.iter().any(of_victim);
        let erasure = self.env()?.erase(&name).run().map_err(|e| format!("erase: {e}"))?;
        self.model.erase(&name);
        ensure(!is_hit || erasure.segments_quarantined == 1, || "an erasure hides a damaged segment".into())?;
        // The key of its index is gone: when it is opened again, only its rows could say what is in it.
        self.ids_known &= erasure.segments_quarantined == 0;
        *self.counts.entry("erasures").or_default() += 1;
        Ok(())
    }

    fn break_files(&mut self) -> Checked {
        self.close()?;
        let names = self.list()?;
        let kind = if self.damage.is_of_tombstones() { ".del" } else { ".rec" };
        let of_kind: Vec<&String> = names.iter().filter(|name| name.ends_with(kind)).collect();
        if of_kind.is_empty() {
            // Nothing was deleted in this life.
            self.damage = Damage::FlipRows;
            return self.break_files();
        }
        let name = of_kind[self.rng.random_range(0..of_kind.len())].clone();
        let stem = name.split(['-', '.']).next().unwrap_or_default();
        self.victim = format!("seg/{stem}");
        let (rows, index) = (format!("{SEGMENTS}/{stem}.rec"), format!("{SEGMENTS}/{stem}.idx"));
        let tombstones = format!("{SEGMENTS}/{name}");
        match self.damage {
            Damage::FlipRows | Damage::CutRows => self.alter(&rows),
            Damage::RemoveRows => self.remove(&rows),
            Damage::FlipIndex => self.alter(&index),
            Damage::RemoveIndex => self.remove(&index),
            Damage::FlipTombstones => self.alter(&tombstones),
            Damage::RemoveTombstones => self.remove(&tombstones),
            Damage::FlipRowsAndIndex => self.alter(&rows).and_then(|()| self.alter(&index)),
        }
    }

    fn remove(&mut self, path: &str) -> Checked {
        let bytes = self.memory.read(path).map_err(|e| format!("read: {e}"))?;
        self.originals.insert(path.to_owned(), bytes);
        self.memory.remove(path).map_err(|e| format!("remove: {e}"))
    }

    /// Flips a bit of a file, or cuts it short.
    fn alter(&mut self, path: &str) -> Checked {
        self.remove(path)?;
        let mut bytes = self.originals[path].clone();
        let at = self.rng.random_range(0..bytes.len());
        if self.damage == Damage::CutRows {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << self.rng.random_range(0..8);
        }
        self.place(path, &bytes)
    }

    fn place(&self, path: &str, bytes: &[u8]) -> Checked {
        let mut file = self.memory.create(path).map_err(|e| format!("create: {e}"))?;
        file.append(bytes).map_err(|e| format!("append: {e}"))
    }

    /// Goes on with what is left, which must be what was announced.
    fn salvage(&mut self) -> Checked {
        self.close()?;
        self.seed = self.seed.wrapping_add(1);
        let db = in_memory(&self.memory, self.seed).open().map_err(|e| format!("open: {e}"))?;
        let before = self.files()?;
        let announced = db.survey("acme").map_err(|e| format!("survey: {e}"))?;
        ensure(before == self.files()?, || "a survey changed something".into())?;
        let (_, salvage) = db.salvage("acme").map_err(|e| format!("salvage: {e}"))?;
        ensure(salvage == announced, || format!("{announced:?} announced, not {salvage:?}"))?;
        self.db = Some(db);
        let docs = self.docs()?;
        let found: BTreeSet<u64> = (0..IDS).filter(|id| docs.get(*id).is_ok_and(|found| found.is_some())).collect();
        let missing: Vec<u64> = self.model.records.keys().filter(|id| !found.contains(id)).copied().collect();
        let is_of_victim = missing.iter().all(|id| self.home.get(id) == Some(&self.victim));
        let lost: u64 = salvage.segments.iter().map(|segment| segment.rows_lost).sum();
        ensure(is_of_victim && missing.len() as u64 <= lost, || "a salvage lost more than it says".into())?;
        for id in &missing {
            self.model.delete(*id);
        }
        let back: Vec<u64> = found.into_iter().filter(|id| !self.model.records.contains_key(id)).collect();
        let may_be_back = salvage.segments.iter().any(|segment| segment.deletes_lost);
        ensure(back.is_empty() || may_be_back, || "a salvage brought deleted records back and does not say so".into())?;
        docs.delete(back.iter().copied()).map_err(|e| format!("delete: {e}"))?;
        *self.counts.entry("records lost in salvage").or_default() += missing.len() as u64;
        *self.counts.entry("deletes lost in salvage").or_default() += back.len() as u64;
        self.mended();
        Ok(())
    }

    fn files(&self) -> Checked<BTreeMap<String, Vec<u8>>> {
        let mut files = BTreeMap::new();
        for dir in ["env/acme", "env/acme/seg", "env/acme/wal", "env/acme/keyring", "anchors/acme"] {
            for name in self.memory.list(dir).map_err(|e| format!("list: {e}"))? {
                let path = format!("{dir}/{name}");
                files.extend(self.memory.read(&path).ok().map(|bytes| (path, bytes)));
            }
        }
        Ok(files)
    }

    /// From here on nothing is damaged.
    fn mended(&mut self) {
        (self.ids_known, self.is_seen, self.damage) = (true, false, Damage::FlipIndex);
    }

    /// Puts the files back as they were.
    fn restore(&mut self) -> Checked {
        self.close()?;
        for (path, bytes) in &self.originals {
            // It may be gone, or never have come back.
            drop(self.memory.remove(path));
            self.place(path, bytes)?;
        }
        self.mended();
        self.reopen()
    }
}
