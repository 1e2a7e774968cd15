//! Damage: every file of a small store is flipped, cut, zeroed, lengthened and exchanged, and its reader must refuse it
//! or read exactly what was there.
//!
//! The oracle knows three right outcomes. *Refused*: a typed error, or the parts that are damaged do not open while the
//! others are right. *Right*: the very value of the undamaged file; but a flipped bit must be noticed, so there it is
//! right only for the two files that hold plain text. *Torn*: for logs, an intact beginning, and only where no later
//! frame header is left that says a lost frame was synced.
//!
//! What no reader can notice, and what the design does not promise: a log cut between frames, and a directory put back
//! whole. An older keyring put back alone does not open, because its anchor is destroyed.

use std::ops::Range;

use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{RngExt, SeedableRng};

use crate::case::{Counts, Outcome, Violation};
use crate::furnished::{ENVIRONMENT, Furnished, OTHER, Tree, World};
use crate::guard::{guarded, limit};
use crate::reading::{Kind, Parts, ROOT_KEY_FILE, Reader, root_key_text};
use crate::reopening::{Reopened, reopened};

/// Files up to this size have every bit flipped, longer ones every bit of both ends and a sample between.
const SMALL: usize = 2560;
/// Bytes of a longer file's ends: header in front; table, directory and footer behind.
const ENDS: (usize, usize) = (128, 2048);
/// What is lost at once on a disk.
const SECTOR: usize = 512;

/// One way to damage a file.
#[derive(Clone, Debug)]
pub enum Damage {
    /// One bit is flipped.
    Flip(usize),
    /// Everything from this byte on is gone.
    Cut(usize),
    /// This sector reads as zeros.
    Zero(usize),
    /// Bytes follow that nobody wrote.
    Append(Vec<u8>),
    /// The bytes of another file stand in its place.
    Exchange(Vec<u8>),
    /// It is not there.
    Remove,
}

impl Damage {
    /// The damaged bytes of a file; none if it is gone.
    #[must_use]
    pub fn apply(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = bytes.to_vec();
        match self {
            Self::Flip(bit) => bytes[bit / 8] ^= 1 << (bit % 8),
            Self::Cut(length) => bytes.truncate(*length),
            Self::Zero(sector) => bytes.iter_mut().skip(sector * SECTOR).take(SECTOR).for_each(|byte| *byte = 0),
            Self::Append(more) => bytes.extend(more),
            Self::Exchange(other) => bytes.clone_from(other),
            Self::Remove => return None,
        }
        Some(bytes)
    }
}

/// What a reader did with a damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It said no, to the whole or to the damaged parts.
    Refused,
    /// It read what was there before.
    Right,
    /// It read the beginning of a log.
    Torn,
}

/// Judges what a reader of `kind` made of `damaged`.
///
/// # Errors
/// Why that breaks the promise.
pub fn judge(
    kind: Kind,
    (before, damaged): (&[u8], &[u8]),
    truth: &Parts,
    found: Result<Parts, String>,
) -> Result<Verdict, String> {
    let Ok(parts) = found else {
        return Ok(Verdict::Refused);
    };
    if parts.iter().zip(truth).any(|(part, true_part)| part.is_some() && part != true_part) {
        return Err("it read something else".into());
    }
    if parts.len() < truth.len() && kind.is_log() && may_be_torn(before, damaged, parts.len()) {
        return Ok(Verdict::Torn);
    }
    if parts.len() != truth.len() {
        return Err(format!("it read {} parts of {} and called them all", parts.len(), truth.len()));
    }
    if parts != *truth {
        return Ok(Verdict::Refused);
    }
    let in_place = before.len() == damaged.len() && before != damaged;
    // The file of the root key is plain text, where two letters can mean the same digit.
    if in_place && kind != Kind::RootKeyFile {
        return Err("it did not notice bytes that changed".into());
    }
    Ok(Verdict::Right)
}

/// Whether a log may be read as its first `kept` frames: none of the later frames' headers is left to say that more was
/// synced. Every frame of these logs was synced by itself, so each later header does say it. A log whose own header was
/// never whole has no frames.
fn may_be_torn(before: &[u8], damaged: &[u8], kept: usize) -> bool {
    let intact = |header: &Range<usize>| damaged.get(header.clone()) == before.get(header.clone());
    let headers = frame_headers(before);
    let own_header = damaged.len() <= 32 || damaged.get(..32) == before.get(..32);
    own_header && !headers.iter().skip(kept + 1).any(intact)
}

/// Where the headers of a log's frames lie, read from the lengths in them.
fn frame_headers(log: &[u8]) -> Vec<Range<usize>> {
    let (mut headers, mut at) = (Vec::new(), 32);
    while let Some(length) = log.get(at + 4..at + 8).and_then(|bytes| bytes.first_chunk()) {
        headers.push(at..at + 32);
        at += 32 + u32::from_le_bytes(*length) as usize;
    }
    headers
}

/// A store and its readers, ready to be damaged.
pub struct Bench {
    seed: u64,
    furnished: Furnished,
    reader: Reader,
}

impl Bench {
    /// The store of `seed`; odd seeds were left in the middle of an erasure.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let furnished = Furnished::new(seed, seed % 2 == 1);
        let reader = Reader::new(&furnished.files);
        Self { seed, furnished, reader }
    }

    /// The files of `kind`.
    fn files(&self, kind: Kind) -> Vec<(String, Vec<u8>)> {
        if kind == Kind::RootKeyFile {
            return vec![(ROOT_KEY_FILE.into(), root_key_text())];
        }
        files_of(&self.furnished.files, kind)
    }

    /// Every damage to the files of `kind`: the first of them in full, the others in samples.
    #[must_use]
    pub fn damages(&self, kind: Kind) -> Vec<(String, Damage)> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let files = self.files(kind);
        let mut all = Vec::new();
        for (number, (path, bytes)) in files.iter().enumerate() {
            let mut here = in_place(bytes, &mut rng);
            if number > 0 {
                here = here.into_iter().sample(&mut rng, 400);
            }
            here.extend(self.exchanges(kind, path, bytes, &files).into_iter().map(Damage::Exchange));
            here.push(Damage::Remove);
            all.extend(here.into_iter().map(|damage| (path.clone(), damage)));
        }
        all
    }

    /// Other files in place of this one: its like, its like of another environment, and older ones.
    fn exchanges(&self, kind: Kind, path: &str, bytes: &[u8], files: &[(String, Vec<u8>)]) -> Vec<Vec<u8>> {
        let foreign = self.furnished.files.get(&path.replace(ENVIRONMENT, OTHER));
        let of_other =
            self.furnished.files.iter().filter(|(other, _)| Kind::of(&other.replace(OTHER, ENVIRONMENT)) == Some(kind));
        let older = self.furnished.older.iter().flat_map(|tree| files_of(tree, kind));
        let mut all: Vec<Vec<u8>> = foreign.into_iter().chain(of_other.map(|(_, bytes)| bytes)).cloned().collect();
        all.extend(files.iter().cloned().chain(older).map(|(_, bytes)| bytes));
        all.sort_unstable();
        all.dedup();
        all.retain(|other| other != bytes);
        all
    }

    /// Damages one file and has its own reader read it.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn read(&self, kind: Kind, path: &str, damage: &Damage) -> Result<Option<Verdict>, String> {
        let before = if kind == Kind::RootKeyFile { root_key_text() } else { self.furnished.files[path].clone() };
        let Some(damaged) = damage.apply(&before).filter(|damaged| *damaged != before) else {
            return Ok(None);
        };
        let truth = self.reader.read(path, &before)?;
        let found = guarded(limit(damaged.len()), || self.reader.read(path, &damaged))?;
        judge(kind, (&before, &damaged), &truth, found).map(Some)
    }

    /// Damages one file and opens the whole store.
    ///
    /// # Errors
    /// The promise that was broken.
    pub fn open(&self, kind: Kind, path: &str, damage: &Damage) -> Result<Reopened, String> {
        let mut tree = self.furnished.files.clone();
        match damage.apply(&tree[path]) {
            Some(damaged) => _ = tree.insert(path.to_owned(), damaged),
            None => _ = tree.remove(path),
        }
        let size = tree.values().map(Vec::len).sum();
        guarded(limit(size), || reopened(&tree, &self.worlds(kind)))?
    }

    /// What the records may be. The live log may lose its end. A log of new keys that lost its last frame lacks the key
    /// of the erasure that was cut off, which nobody was told had begun; so does a store without the file of that job.
    fn worlds(&self, kind: Kind) -> Vec<&World> {
        let Furnished { worlds, erased, .. } = &self.furnished;
        let entries = if kind == Kind::Log { 0 } else { worlds.len() - 1 };
        let forgotten = if matches!(kind, Kind::NewKeys | Kind::Job) { &worlds[entries..] } else { &[] };
        erased[entries..].iter().chain(forgotten).collect()
    }
}

fn files_of(tree: &Tree, kind: Kind) -> Vec<(String, Vec<u8>)> {
    let of_kind = tree.iter().filter(|(path, _)| Kind::of(path) == Some(kind));
    of_kind.map(|(path, bytes)| (path.clone(), bytes.clone())).collect()
}

/// Flips, cuts, zeroed sectors and bytes at the end.
pub(crate) fn in_place(bytes: &[u8], rng: &mut StdRng) -> Vec<Damage> {
    let length = bytes.len();
    let at_ends = |byte: &usize| length <= SMALL || *byte < ENDS.0 || *byte + ENDS.1 >= length;
    let mut all: Vec<Damage> =
        (0..length).filter(at_ends).flat_map(|byte| (0..8).map(move |bit| Damage::Flip(8 * byte + bit))).collect();
    if length > SMALL {
        all.extend((0..1000).map(|_| Damage::Flip(rng.random_range(0..8 * length))));
    }
    all.extend((0..length).map(Damage::Cut));
    all.extend((0..length.div_ceil(SECTOR)).map(Damage::Zero));
    let noise = (0..SECTOR).map(|_| rng.random()).collect();
    let tail = bytes[length.saturating_sub(64)..].to_vec();
    all.extend(
        [vec![0], vec![0; 32], vec![0; 4 * SECTOR], vec![0xff], noise, tail, bytes.to_vec()].map(Damage::Append),
    );
    all
}

/// Names under which the cases of a kind are counted: refused, right, torn.
fn names(kind: Kind) -> [&'static str; 3] {
    match kind {
        Kind::Identity => ["identity refused", "identity right", ""],
        Kind::Manifest => ["manifest refused", "manifest right", ""],
        Kind::Log => ["log refused", "log right", "log torn"],
        Kind::Rows => ["rows refused", "rows right", ""],
        Kind::Index => ["index refused", "index right", ""],
        Kind::Tombstones => ["tombstones refused", "tombstones right", ""],
        Kind::RootPage => ["root page refused", "root page right", ""],
        Kind::Buckets => ["buckets refused", "buckets right", ""],
        Kind::NewKeys => ["new keys refused", "new keys right", "new keys torn"],
        Kind::Anchor => ["anchor refused", "anchor right", ""],
        Kind::Job => ["job refused", "job right", ""],
        Kind::Progress => ["progress refused", "progress right", ""],
        Kind::Events => ["events refused", "events right", "events torn"],
        Kind::Mark => ["mark refused", "mark right", ""],
        Kind::Receipt => ["receipt refused", "receipt right", ""],
        Kind::RootKeyFile => ["root key file refused", "root key file right", ""],
    }
}

/// Runs the damages `chosen` of `kind` through its own reader.
///
/// # Errors
/// The first broken promise.
pub fn read_all(bench: &Bench, kind: Kind, chosen: impl Fn(usize) -> bool) -> Outcome {
    let mut counts = Counts::new();
    let damages = bench.damages(kind);
    for (number, (path, damage)) in damages.iter().enumerate().filter(|(number, _)| chosen(*number)) {
        let verdict = bench.read(kind, path, damage).map_err(|what| violation(bench, kind, number, path, &what))?;
        if let Some(verdict) = verdict {
            *counts.entry(names(kind)[verdict as usize]).or_default() += 1;
            *counts.entry("cases").or_default() += 1;
        }
    }
    Ok(counts)
}

/// Opens the whole store with each of the damages `chosen` of `kind`.
///
/// # Errors
/// The first broken promise.
pub fn open_all(bench: &Bench, kind: Kind, chosen: impl Fn(usize) -> bool) -> Outcome {
    let mut counts = Counts::new();
    let damages = bench.damages(kind);
    for (number, (path, damage)) in damages.iter().enumerate().filter(|(number, _)| chosen(*number)) {
        let outcome = bench.open(kind, path, damage).map_err(|what| violation(bench, kind, number, path, &what))?;
        let name = match outcome {
            Reopened::Refused => "opening refused",
            Reopened::Right => "opened, all answers right",
            Reopened::Partly => "opened, some answers refused",
        };
        *counts.entry(name).or_default() += 1;
        *counts.entry("cases").or_default() += 1;
    }
    Ok(counts)
}

fn violation(bench: &Bench, kind: Kind, number: usize, path: &str, what: &str) -> Violation {
    let replay = format!("damage/{kind:?}/{}/{number}", bench.seed);
    Violation { suite: "damage", what: format!("{path}: {what}"), replay }
}

/// Whether the reader of a kind is tried alone: the identity has none of its own.
#[must_use]
pub fn has_reader(kind: Kind) -> bool {
    kind != Kind::Identity
}

/// Whether a kind is a file of the store.
#[must_use]
pub fn is_stored(kind: Kind) -> bool {
    kind != Kind::RootKeyFile
}

/// A store of its own, some thousand damages read alone and some tens opened.
///
/// # Errors
/// The first broken promise.
pub fn case(seed: u64) -> Outcome {
    let bench = Bench::new(seed);
    let mut counts = Counts::new();
    let mut rng = StdRng::seed_from_u64(seed);
    for kind in Kind::ALL {
        let total = bench.damages(kind).len();
        let few = (0..total).sample(&mut rng, 400);
        if has_reader(kind) {
            crate::case::add(&mut counts, &read_all(&bench, kind, |number| few.contains(&number))?);
        }
        if is_stored(kind) {
            crate::case::add(&mut counts, &open_all(&bench, kind, |number| few[..few.len().min(8)].contains(&number))?);
        }
    }
    Ok(counts)
}

/// Runs the one case that `damage/<kind>/<seed>/<case>` names, through the reader and through a whole open.
///
/// # Errors
/// The broken promise, also where the words name no case.
pub fn replay(words: &str) -> Outcome {
    let parts: Vec<&str> = words.split('/').collect();
    let parsed = || {
        let [_, kind, seed, number] = parts[..] else { return None };
        let kind = Kind::ALL.into_iter().find(|other| format!("{other:?}") == kind)?;
        Some((kind, seed.parse::<u64>().ok()?, number.parse::<usize>().ok()?))
    };
    let unknown = || Violation { suite: "damage", what: "no such case".into(), replay: words.into() };
    let (kind, seed, number) = parsed().ok_or_else(unknown)?;
    let bench = Bench::new(seed);
    let mut counts = Counts::new();
    if has_reader(kind) {
        crate::case::add(&mut counts, &read_all(&bench, kind, |other| other == number)?);
    }
    if is_stored(kind) {
        crate::case::add(&mut counts, &open_all(&bench, kind, |other| other == number)?);
    }
    Ok(counts)
}
