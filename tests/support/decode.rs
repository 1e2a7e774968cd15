//! Decoders under the seal: plaintexts that resemble real ones are sealed with the right keys and given to the reader
//! that the engine uses. A plaintext is refused with a typed error or it is a value whose own bytes it is; nothing
//! panics, and memory and work stay in proportion. Some of the files are put into a whole store, which is then opened,
//! asked, written to and erased from: there any answer or error will do.
//!
//! Three encodings are not the only one of their value: a compressed payload, a packed index of payloads, and a bitmap of
//! dead rows. There the value
//! must survive its own encoding. The pages of the keyring have no public encoder: what opens must take every change.

use index::{Allow, Ann, Reach, Scratch};
use privacy::{Anchor, Removal, RootKey, Wanted, open_section};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use storage::backend::Dir;
use storage::frame_log::{LogKind, read_frames};
use storage::manifest::read_newest;
use storage::record::{decode_body, decode_vector, encode_body, encode_vector};
use storage::segment::{EntityMap, FieldMap, IdMap, IndexFile, RowsFile, read_tombstones};
use storage::wal::{Entry, WalWriter, replay as replay_log, wal_name};

use crate::case::{Counts, Outcome, Violation, add};
use crate::forge::{Forge, Target};
use crate::furnished::{COLLECTIONS, Tree, load, reopen};
use crate::guard::{guarded, limit};
use crate::mutation::mutated;
use crate::reading::{dir, hexadecimal, keyring};
use crate::world::ROOT_KEY;

/// Real plaintexts of one target and the store they come from.
pub struct Fuzz<'a> {
    forge: &'a Forge,
    target: Target,
    corpus: Vec<Vec<u8>>,
    seed: u64,
}

impl<'a> Fuzz<'a> {
    /// The fuzz of `target` that `seed` decides.
    #[must_use]
    pub fn new(forge: &'a Forge, target: Target, seed: u64) -> Self {
        Self { forge, target, corpus: forge.corpus(target), seed }
    }

    /// The plaintext of a case. The first ones are the corpus itself; the very first belongs where it is put.
    fn plain(&self, case: u64) -> Vec<u8> {
        let real = usize::try_from(case).ok().and_then(|case| self.corpus.get(case));
        let rng = &mut StdRng::seed_from_u64(self.seed.wrapping_mul(1 << 32).wrapping_add(case));
        real.cloned().unwrap_or_else(|| mutated(&self.corpus, rng))
    }

    /// Decodes the plaintexts of `cases`.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn decode(&self, cases: impl Iterator<Item = u64>) -> Outcome {
        let mut counts = Counts::new();
        for case in cases {
            let plain = self.plain(case);
            let outcome = guarded(limit(plain.len()), || accepted(self.forge, self.target, &plain));
            let is_accepted = outcome.and_then(|outcome| outcome).map_err(|what| self.violation(case, &what))?;
            if !is_accepted && case == 0 {
                return Err(self.violation(case, "it refuses what the engine wrote"));
            }
            *counts.entry(if is_accepted { "accepted" } else { "refused" }).or_default() += 1;
        }
        Ok(counts)
    }

    /// Opens a whole store with each of the plaintexts of `cases` in it that its decoder accepts, and uses it.
    ///
    /// # Errors
    /// The first broken promise.
    pub fn open(&self, cases: impl Iterator<Item = u64>) -> Outcome {
        let mut counts = Counts::new();
        for case in cases {
            let plain = self.plain(case);
            if accepted(self.forge, self.target, &plain) != Ok(true) {
                continue;
            }
            let mut tree = self.forge.files.clone();
            tree.extend(self.forge.forge(self.target, &plain));
            let size = tree.values().map(Vec::len).sum();
            // Ten operations on a whole store, not one read.
            let opened =
                guarded(10 * limit(size), || used(&tree).is_ok()).map_err(|what| self.violation(case, &what))?;
            *counts.entry(if opened { "stores used" } else { "stores refused" }).or_default() += 1;
        }
        Ok(counts)
    }

    fn violation(&self, case: u64, what: &str) -> Violation {
        let replay = format!("decode/{:?}/{}/{case}", self.target, self.seed);
        Violation { suite: "decode", what: format!("{:?}: {what}", self.target), replay }
    }
}

/// Whether the reader accepts `plain` as `target`.
///
/// # Errors
/// What it accepted although it should not have.
pub fn accepted(forge: &Forge, target: Target, plain: &[u8]) -> Result<bool, String> {
    match target {
        Target::Vector => same(decode_vector(plain).ok().map(|vector| encode_vector(&vector)), plain),
        Target::Body => body(plain),
        _ => {
            let files = forge.forge(target, plain);
            let path = forge.path(target);
            sealed(forge, target, plain, (path, &dir(path, &files[path])), &files)
        }
    }
}

fn sealed(forge: &Forge, target: Target, plain: &[u8], at: (&str, &Dir), files: &Tree) -> Result<bool, String> {
    let reader = &forge.reader;
    let table_key = reader.keyring.table_key();
    match target {
        Target::Manifest => {
            let manifest = read_newest(at.1, &table_key, reader.scope).ok().flatten();
            same(manifest.map(|manifest| minicbor::to_vec(&manifest).unwrap_or_default()), plain)
        }
        Target::LogEntry => log_entry(forge, at, plain),
        Target::RowTable => row_table(forge, at),
        Target::Directory | Target::Codes | Target::Graph | Target::Ids | Target::Entities | Target::Fields => {
            index(forge, target, at, plain)
        }
        Target::Tombstones => {
            let (_, segment) = reader.segment(at.0);
            let version = segment.tombstones.unwrap_or_default();
            match read_tombstones(at.1, segment.id, version, segment.rows, &table_key, reader.scope) {
                Ok(dead) if dead.iter().any(|position| u64::from(position) >= segment.rows) => {
                    Err("a row that is not there".into())
                }
                other => Ok(other.is_ok()),
            }
        }
        Target::RootPage | Target::Bucket | Target::NewKeys => Ok(keys(forge, files)),
        // Only opening the whole store reads a job.
        Target::Job => Ok(true),
        Target::Vector | Target::Body => Err("rows are no sections".into()),
    }
}

/// Whether there is a value; if so its own bytes must be `plain`.
///
/// # Errors
/// If they are not.
pub fn same<T: AsRef<[u8]>>(encoded: Option<T>, plain: &[u8]) -> Result<bool, String> {
    match encoded {
        Some(encoded) if encoded.as_ref() != plain => Err("it accepted an encoding that is not the value's own".into()),
        other => Ok(other.is_some()),
    }
}

fn body(plain: &[u8]) -> Result<bool, String> {
    let Ok(body) = decode_body(plain) else {
        return Ok(false);
    };
    let record = body.with_vector(Vec::new());
    let again = decode_body(&encode_body(&record)).map_err(|error| format!("its own encoding is refused: {error}"))?;
    if again.with_vector(Vec::new()) == record { Ok(true) } else { Err("it does not survive its own encoding".into()) }
}

/// Writes an entry that was read to a log anew and compares the plaintexts.
fn log_entry(forge: &Forge, (path, at): (&str, &Dir), plain: &[u8]) -> Result<bool, String> {
    let (number, scope) = (hexadecimal(path), forge.reader.scope);
    let key = forge.reader.keyring.log_key(number).ok_or("the log has no key")?;
    let entries = replay_log(at, number, &key, scope).map(|log| log.entries).unwrap_or_default();
    let Some((sequence, entry)) = entries.into_iter().next() else {
        return Ok(false);
    };
    let again = at.sub("again");
    let write = || -> std::io::Result<Vec<u8>> {
        again.make()?;
        let writer = WalWriter::create(&again, number, key.clone(), scope, sequence, 0)?;
        let (sequence, _) =
            writer.append(|_| Entry::clone(&entry), &mut StdRng::seed_from_u64(0)).map_err(std::io::Error::other)?;
        writer.commit(sequence).map_err(std::io::Error::other)?;
        again.read(&wal_name(number))
    };
    let bytes = write().map_err(|error| format!("the entry cannot be written again: {error}"))?;
    let frames = read_frames(&bytes, LogKind::Wal, number).map_err(|error| error.to_string())?.payloads;
    let frame = frames.first().cloned().and_then(|frame| bytes.get(frame)).ok_or("no frame was written")?;
    let context = privacy::SectionContext { scope, kind: privacy::SectionKind::WalFrame, file: number, place: 0 };
    same(open_section(&key, &context, frame).ok(), plain)
}

/// The rows of a table that was accepted must lie in the file one after the other.
fn row_table(forge: &Forge, (path, at): (&str, &Dir)) -> Result<bool, String> {
    let reader = &forge.reader;
    let Ok(rows) = RowsFile::open(at, reader.segment(path).1.id, &reader.keyring.table_key(), reader.scope) else {
        return Ok(false);
    };
    for position in 0..rows.len() {
        rows.sealed_row(position).map_err(|error| format!("a row of an accepted table: {error}"))?;
    }
    if rows.sealed_row(rows.len()).is_ok() { Err("a row behind the last".into()) } else { Ok(true) }
}

/// Decodes the five sections as the engine does, and searches what comes of them.
fn index(forge: &Forge, target: Target, (path, at): (&str, &Dir), plain: &[u8]) -> Result<bool, String> {
    let reader = &forge.reader;
    let (collection, segment) = reader.segment(path);
    let key = reader.keyring.index_key(segment.id.0).ok_or("the index has no key")?;
    let Ok(file) = IndexFile::open(at, segment.id, key, reader.scope) else {
        return if target == Target::Directory { Ok(false) } else { Err("the file itself was in order".into()) };
    };
    let section = |code| file.section(code).ok().flatten();
    let (Some(codes), Some(graph), Some(ids), Some(entities)) = (section(1), section(2), section(3), section(4)) else {
        return Ok(false);
    };
    let space = reader.space(collection);
    match target {
        Target::Ids => same(IdMap::decode(&ids).ok().map(|map| map.encode()), plain),
        Target::Entities => same(EntityMap::decode(&entities).ok().map(|map| map.encode()), plain),
        Target::Fields => fields(plain, segment.rows),
        _ => {
            let Ok(ann) = Ann::decode(&space, &codes, &graph) else {
                return Ok(false);
            };
            let query = space.query(&vec![0.5; space.dimension()]);
            let found = ann.search(&query, Reach { limit: 20, ef: 20 }, Allow::All, &mut Scratch::new());
            if found.len() < 20.min(ann.codes().len()) {
                return Err("a search finds too little".into());
            }
            if ann.resident_bytes() > (1 << 20) + 64 * plain.len() {
                return Err("it holds more memory than its bytes justify".into());
            }
            let own = if target == Target::Codes { ann.encode_codes() } else { ann.encode_graph() };
            if target == Target::Directory { Ok(true) } else { same(Some(own), plain) }
        }
    }
}

/// An index of payloads must survive its own encoding, which may be packed otherwise.
fn fields(plain: &[u8], rows: u64) -> Result<bool, String> {
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    let Ok(map) = FieldMap::decode(plain, rows) else {
        return Ok(false);
    };
    let own = map.encode();
    let again = FieldMap::decode(&own, rows).map_err(|error| format!("its own encoding is refused: {error}"))?;
    same(Some(again.encode()), &own)
}

/// Whether a keyring opens from forged pages. If so it takes an extension and an epoch that removes everything.
fn keys(forge: &Forge, forged: &Tree) -> bool {
    let mut files = forge.reader.keys.clone();
    files.extend(forged.clone());
    let Ok(mut keyring) = keyring(forge.reader.scope, &files, usize::MAX) else {
        return false;
    };
    let rng = &mut StdRng::seed_from_u64(0);
    let owner = privacy::Tag::COLLECTION;
    let extension = keyring.extend(&[Wanted::Log(99), Wanted::Dek { owner, collection: [9; 16], until: None }], rng);
    _ = keyring.apply(extension);
    let removal = Removal { entities: vec![owner], ..Removal::default() };
    let epoch = keyring.epoch(&removal, &RootKey::from_bytes(ROOT_KEY), &Anchor::from_bytes([1; 32]), rng);
    epoch.next.entity_count() <= keyring.entity_count()
}

/// Opens a store, asks it, writes to it, tidies it up and erases from it.
fn used(tree: &Tree) -> engine::Result<()> {
    let (db, env) = reopen(&load(tree))?;
    for (name, dimension, _) in COLLECTIONS {
        let docs = env.open_collection(name)?;
        let query = vec![0.5; dimension];
        // Each answer may fail by itself: the others are still asked.
        drop(docs.search(&query).exact(true).run());
        drop(docs.search(&query).run());
        drop(docs.scroll().with_vector(true).run());
        drop(docs.get(12));
        drop(docs.upsert([engine::Record::new(12, query)]));
    }
    drop((env.flush(), env.verify(), env.compact(), env.erase("person-2").run(), env.step()));
    db.close()
}

/// Some thousand plaintexts of every target for a store of its own, and some tens of whole stores.
///
/// # Errors
/// The first broken promise.
pub fn case(seed: u64) -> Outcome {
    let mut counts = Counts::new();
    // A store for every few seeds: the plaintexts are what matters.
    let forge = Forge::new(seed % 16);
    let first = StdRng::seed_from_u64(seed).random_range(0..1 << 31);
    for target in Target::ALL {
        let fuzz = Fuzz::new(&forge, target, seed);
        add(&mut counts, &fuzz.decode(first..first + 1000)?);
        add(&mut counts, &fuzz.open(first..first + 5)?);
    }
    Ok(counts)
}

/// Runs the one case that `decode/<target>/<seed>/<case>` names, alone and in a whole store.
///
/// # Errors
/// The broken promise, also where the words name no case.
pub fn replay(words: &str) -> Outcome {
    let parts: Vec<&str> = words.split('/').collect();
    let parsed = || {
        let [_, target, seed, case] = parts[..] else { return None };
        let target = Target::ALL.into_iter().find(|other| format!("{other:?}") == target)?;
        Some((target, seed.parse::<u64>().ok()?, case.parse::<u64>().ok()?))
    };
    let unknown = || Violation { suite: "decode", what: "no such case".into(), replay: words.into() };
    let (target, seed, case) = parsed().ok_or_else(unknown)?;
    let forge = Forge::new(seed % 16);
    let fuzz = Fuzz::new(&forge, target, seed);
    let mut counts = fuzz.decode(case..case + 1)?;
    add(&mut counts, &fuzz.open(case..case + 1)?);
    Ok(counts)
}
