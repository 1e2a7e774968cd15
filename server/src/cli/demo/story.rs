//! The demonstration itself, step by step in the order in which it is told.
//!
//! Invariant: every claim is a check on what the database answered or what the files hold; a failed one ends the story.
#![expect(clippy::disallowed_methods, reason = "the demonstration reports how long its steps took")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use engine::{Collection, Database, Environment, ErrorKind, Filter, Metric, RecordId, RootKey};
use serde::Serialize;

use super::super::failure::Failure;
use super::super::terminal::{Terminal, table};
use super::copy;
use super::scan::{Scanned, Scanner, WORD_BYTES_MIN};
use super::words::{Lexicon, word};
use crate::json::count;

const ENVIRONMENT: &str = "demo";
const COLLECTION: &str = "words";
const BATCH: usize = 2_000;
const PAGE: usize = 1_000;
const K: usize = 10;
const RECALL_MIN: f64 = 0.95;
/// Every so many words one query is made.
const QUERY_STRIDE: usize = 50;
/// Whose neighbours are shown.
const SHOWN: [&str; 4] = ["guitar", "doctor", "berlin", "tomorrow"];

/// What was measured, for programs.
#[derive(Default, Serialize)]
struct Report {
    records: usize,
    import_seconds: f64,
    recall_in_memory: f64,
    recall_in_graph: f64,
    copied_bytes: u64,
    erased_records: u64,
    erase_seconds: f64,
    opened_from_copy: usize,
    scanned_files: u64,
    scanned_bytes: u64,
    scanned_for: usize,
}

/// Runs the demonstration in the empty directory `home`.
pub fn tell(terminal: Terminal, home: &Path) -> Result<(), Failure> {
    let (live, copied, root_key) = (home.join("live"), home.join("copy"), home.join("root.key"));
    let mut story =
        Story { terminal, lexicon: Lexicon::bundled(), live, copied, root_key, step: 0, report: Report::default() };
    copy::write_root_key(&story.root_key).map_err(|error| Failure::Io("the root key cannot be written", error))?;

    let database = story.open(&story.live)?;
    let environment = database.environment(ENVIRONMENT)?;
    story.import(&environment)?;
    story.show_neighbors(&environment)?;
    story.report.recall_in_memory = story.recall(&environment, "the log in memory")?;
    drop(environment);
    database.close()?;

    story.say("Restart: close the database and open it again")?;
    let database = story.open(&story.live)?;
    let environment = database.open_environment(ENVIRONMENT)?;
    story.check_count(&environment, story.lexicon.len())?;
    story.flush(&environment)?;
    story.report.recall_in_graph = story.recall(&environment, "the graph on disk")?;
    story.copy(&environment)?;
    story.erase(&environment)?;
    story.look_for_the_leaver(&environment)?;
    story.open_the_copy()?;
    story.drill(&environment)?;
    // Upkeep would go on replacing files while they are read.
    drop(environment);
    database.close()?;
    story.scan(home)?;
    story.terminal.show(&story.report, format_args!("\n{}", terminal.strong("All checks passed.")))
}

struct Story {
    terminal: Terminal,
    lexicon: Lexicon,
    live: PathBuf,
    copied: PathBuf,
    root_key: PathBuf,
    step: u32,
    report: Report,
}

impl Story {
    fn say(&mut self, title: &str) -> Result<(), Failure> {
        self.step += 1;
        self.terminal.say(self.terminal.strong(format_args!("\n{}. {title}", self.step)))
    }

    fn tell(&self, text: impl std::fmt::Display) -> Result<(), Failure> {
        self.terminal.say(format_args!("   {text}"))
    }

    fn open(&self, path: &Path) -> engine::Result<Database> {
        Database::builder(path).root_key(RootKey::file(&self.root_key)).open()
    }

    /// Positions of the words whose owner leaves.
    fn leavers(&self) -> impl Iterator<Item = usize> {
        (0..self.lexicon.len()).filter(|position| self.lexicon.is_leavers(*position))
    }

    fn is_leavers(&self, id: RecordId) -> bool {
        matches!(id, RecordId::Num(id) if self.lexicon.is_leavers(id as usize))
    }

    fn import(&mut self, environment: &Environment) -> Result<(), Failure> {
        self.say("Import: real words, each with an invented owner")?;
        let collection = environment.collection(COLLECTION).dimension(self.lexicon.dimension()).metric(Metric::Cosine);
        let collection = collection.create()?;
        let total = self.lexicon.len();
        let bar = self.terminal.progress("importing", total as u64);
        let start = Instant::now();
        for first in (0..total).step_by(BATCH) {
            let batch = first..total.min(first + BATCH);
            collection.upsert(batch.map(|position| self.lexicon.record(position)))?;
            bar.set_position(first as u64);
        }
        bar.finish_and_clear();
        let seconds = start.elapsed().as_secs_f64();
        (self.report.records, self.report.import_seconds) = (total, seconds);
        self.tell(format_args!(
            "{total} GloVe words of {} owners, encrypted and synced in {seconds:.2} s",
            self.lexicon.owners().count()
        ))?;
        self.check_count(environment, total)
    }

    fn check_count(&self, environment: &Environment, expected: usize) -> Result<(), Failure> {
        let count = environment.open_collection(COLLECTION)?.count().run()?.count;
        check(count == expected as u64, format!("{expected} records should be there, {count} are"))?;
        self.tell(format_args!("{count} records can be found"))
    }

    fn show_neighbors(&mut self, environment: &Environment) -> Result<(), Failure> {
        self.say("Search: the nearest words of a few")?;
        let collection = environment.open_collection(COLLECTION)?;
        for shown in SHOWN {
            let position = self.lexicon.position(shown);
            let position = position.ok_or_else(|| Failure::Check(format!("the word {shown} should be bundled")))?;
            let hits = collection.search(self.lexicon.vector(position)).limit(8).run()?;
            let words: Vec<_> = hits.iter().filter_map(|hit| word(hit.payload.as_ref())).collect();
            check(words.first() == Some(&shown), format!("{shown} should be its own nearest word"))?;
            self.tell(format_args!("{shown:9} {}", words.get(1..).unwrap_or_default().join(", ")))?;
        }
        Ok(())
    }

    /// Recall@10 of the default search against the exact one, over the sums of pairs of words.
    fn recall(&mut self, environment: &Environment, place: &str) -> Result<f64, Failure> {
        let collection = environment.open_collection(COLLECTION)?;
        let (mut right, mut wanted, mut queries) = (0, 0, 0);
        for position in (QUERY_STRIDE / 2..self.lexicon.len() - QUERY_STRIDE).step_by(QUERY_STRIDE) {
            let pair = self.lexicon.vector(position).iter().zip(self.lexicon.vector(position + QUERY_STRIDE / 2));
            let query: Vec<f32> = pair.map(|(a, b)| a + b).collect();
            let exact = ids(&collection, &query, true)?;
            right += ids(&collection, &query, false)?.intersection(&exact).count();
            wanted += exact.len();
            queries += 1;
        }
        let recall = right as f64 / wanted as f64;
        self.tell(format_args!("recall@{K} against exact search, from {place}: {recall:.4} over {queries} queries"))?;
        check(recall >= RECALL_MIN, format!("recall@{K} should be at least {RECALL_MIN}"))?;
        Ok(recall)
    }

    fn flush(&mut self, environment: &Environment) -> Result<(), Failure> {
        let start = Instant::now();
        environment.flush()?;
        let segments = count(environment.open_collection(COLLECTION)?.info().segments, "encrypted segment");
        let seconds = start.elapsed().as_secs_f64();
        self.tell(format_args!("flushed into {segments} with a search graph in {seconds:.2} s"))
    }

    fn copy(&mut self, environment: &Environment) -> Result<(), Failure> {
        self.say("Copy: the whole directory except its anchors, as a backup would")?;
        let uncopied = |error| Failure::Io("the directory cannot be copied", error);
        let anchors = copy::anchors(&self.live);
        let bytes = copy::copy(&self.live, &self.copied, Some(&anchors)).map_err(uncopied)?;
        self.report.copied_bytes = bytes;
        self.tell(format_args!("{bytes} bytes copied"))?;

        let control = self.live.with_extension("control");
        copy::copy(&self.live, &control, None).map_err(uncopied)?;
        let opened = self.open(&control)?;
        self.tell("a copy with its anchors opens by itself; this one is deleted again:")?;
        self.check_count(&opened.open_environment(ENVIRONMENT)?, self.lexicon.len())?;
        opened.close()?;
        copy::remove(&control).map_err(uncopied)?;
        let opened = self.open_records(environment, true)?;
        self.tell(format_args!("with the live keyring it yields {opened} records, all of them as stored"))
    }

    fn erase(&mut self, environment: &Environment) -> Result<(), Failure> {
        let leaver = self.lexicon.leaver();
        let expected = self.leavers().count() as u64;
        self.say(&format!("Erase: {leaver} leaves"))?;
        let start = Instant::now();
        let erasure = environment.erase(&leaver).reason("demonstration").run()?;
        let seconds = start.elapsed().as_secs_f64();
        let found = erasure.records_deleted;
        check(found == expected, format!("{expected} records should have been erased, {found} were"))?;
        self.tell(format_args!(
            "{found} records gone in {seconds:.2} s: {} purged, indexes: {} rebuilt and {} repaired for now, keys destroyed",
            count(erasure.segments_purged, "segment"),
            erasure.indexes_rebuilt,
            erasure.indexes_repaired
        ))?;
        (self.report.erased_records, self.report.erase_seconds) = (found, seconds);
        Ok(())
    }

    fn look_for_the_leaver(&mut self, environment: &Environment) -> Result<(), Failure> {
        self.say("Look for the erased records in the live database")?;
        let collection = environment.open_collection(COLLECTION)?;
        let filter = || Filter::entity(self.lexicon.leaver());
        let mut searches = 0;
        for position in self.leavers() {
            let vector = self.lexicon.vector(position);
            for exact in [false, true] {
                let hits = collection.search(vector).limit(K).exact(exact).run()?;
                check(!hits.iter().any(|hit| self.is_leavers(hit.id)), "no search should find an erased record")?;
                let hits = collection.search(vector).limit(K).exact(exact).filter(filter()).run()?;
                check(hits.is_empty(), "no search for the erased owner should find anything")?;
                searches += 2;
            }
            check(collection.get(position as u64)?.is_none(), "get should not return an erased record")?;
        }
        let count = collection.count().filter(filter()).run()?.count;
        check(count == 0, format!("the erased owner should own nothing, but count says {count}"))?;
        let page = collection.scroll().filter(filter()).run()?;
        check(page.records.is_empty(), "scroll should not return records of the erased owner")?;
        let left = self.scroll(&collection)?;
        self.tell(format_args!(
            "{searches} searches, get, scroll and count find nothing; {left} other records are left"
        ))
    }

    /// Goes through all records; they must be all but the leaver's.
    fn scroll(&self, collection: &Collection) -> Result<usize, Failure> {
        let mut left = 0;
        let mut scroll = collection.scroll();
        loop {
            let page = scroll.limit(PAGE).run()?;
            let is_clean = !page.records.iter().any(|record| self.is_leavers(record.id()));
            check(is_clean, "scroll should not return an erased record")?;
            left += page.records.len();
            match page.next {
                Some(next) => scroll = collection.scroll().after(next),
                None => break,
            }
        }
        let expected = self.lexicon.len() - self.leavers().count();
        check(left == expected, format!("{expected} records should be left, scroll gives {left}"))?;
        Ok(left)
    }

    fn open_the_copy(&mut self) -> Result<(), Failure> {
        self.say("Open the old copy with the same root key and all anchors that are left")?;
        let builder = Database::builder(&self.copied).root_key(RootKey::file(&self.root_key));
        let opened = builder.anchor_dir(copy::anchors(&self.live)).open();
        let opened = opened.and_then(|copy| copy.open_environment(ENVIRONMENT));
        match opened {
            Ok(_) => Err(Failure::Check("the old copy should not open".into())),
            Err(error) => {
                check(error.kind() == ErrorKind::KeyUnavailable, format!("the key should be missing, but: {error}"))?;
                self.tell(format_args!("refused: {error}"))
            }
        }
    }

    fn drill(&mut self, environment: &Environment) -> Result<(), Failure> {
        self.say("Open the old copy's segments with the live keyring, as a restore would")?;
        let opened = self.open_records(environment, false)?;
        self.report.opened_from_copy = opened;
        self.tell(format_args!("{opened} records as stored; the erased owner's stay sealed for ever"))
    }

    /// Opens the copy with the live keyring. It must yield exactly the stored records, with or without the leaver's.
    fn open_records(&self, environment: &Environment, with_leavers: bool) -> Result<usize, Failure> {
        let mut drill = environment.drill(&self.copied)?;
        let mut opened = BTreeSet::new();
        for found in drill.records() {
            let (collection, record) = found?;
            let position = match record.id() {
                RecordId::Num(id) => id as usize,
                RecordId::Uuid(_) => usize::MAX,
            };
            let is_right = collection == COLLECTION && self.lexicon.is_record(&record, position);
            check(is_right, "a record from the copy should be as it was stored")?;
            check(opened.insert(position), "no record should come out of the copy twice")?;
        }
        let positions = (0..self.lexicon.len()).filter(|position| with_leavers || !self.lexicon.is_leavers(*position));
        check(opened == positions.collect(), "the copy should yield every record but those of the erased owner")?;
        let report = drill.report();
        let rows = [[report.rows, report.opened, report.erased].map(|number| number.to_string())];
        let text = table(["rows", "opened", "key destroyed"], &rows);
        text.lines().try_for_each(|line| self.tell(line))?;
        Ok(opened.len())
    }

    fn scan(&mut self, home: &Path) -> Result<(), Failure> {
        self.say("Search every file of both directories for plain text")?;
        let unread = |error| Failure::Io("a file cannot be searched", error);
        let empty = home.join("empty");
        // With anchors in a place of their own, as the copy was opened: such a place bears a mark.
        let builder = Database::builder(empty.join("data")).root_key(RootKey::file(&self.root_key));
        let database = builder.anchor_dir(copy::anchors(&empty)).open()?;
        database.environment(ENVIRONMENT)?;
        database.close()?;
        let scanner = Scanner::new(&self.lexicon, &empty).map_err(unread)?;
        let wanted = scanner.len();
        self.tell(format_args!(
            "{wanted} byte strings: owners, vectors as f32 and f16, words of {WORD_BYTES_MIN} bytes and more"
        ))?;
        self.tell("(shorter words occur in random bytes by chance, and a few in the files of an empty database)")?;
        let control = scanner.prove(&home.join("control.txt")).map_err(unread)?;
        check(control == wanted, format!("the search should find {wanted} in a file with all, but finds {control}"))?;
        self.tell(format_args!("a control file holds all of them in clear, and all {control} are found"))?;
        let mut scanned = Scanned::default();
        for dir in [&self.live, &self.copied] {
            scanner.scan(dir, &mut scanned).map_err(unread)?;
        }
        let leaks: Vec<_> = scanned.leaks.iter().map(|path| path.display().to_string()).collect();
        check(leaks.is_empty(), format!("these files should hold no plain text: {}", leaks.join(", ")))?;
        let Scanned { files, bytes, .. } = scanned;
        (self.report.scanned_files, self.report.scanned_bytes, self.report.scanned_for) = (files, bytes, wanted);
        self.tell(format_args!("{files} files with {bytes} bytes: none of them anywhere"))
    }
}

fn ids(collection: &Collection, query: &[f32], exact: bool) -> Result<BTreeSet<RecordId>, Failure> {
    let hits = collection.search(query).limit(K).exact(exact).with_payload(false).run()?;
    Ok(hits.iter().map(|hit| hit.id).collect())
}

fn check(holds: bool, claim: impl Into<String>) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(Failure::Check(claim.into())) }
}
