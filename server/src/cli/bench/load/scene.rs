//! What is asked, and what the right answers are.
//!
//! Requests are rendered before they are asked, so that asking costs little beside answering. Invariant: a right answer is,
//! byte for byte, what the engine of this process answers, up to the time it carries. What is stored goes elsewhere than what
//! is searched, so that every answer stays right.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use benches::{Asks, Told};
use datasets::Matrix;
use datasets::synthetic::Mixture;
use engine::{Collection, Database, Hits, Record, RootKey, Settings};
use parking_lot::Mutex;

use super::super::super::failure::Failure;
use crate::rest::SearchAnswer;

/// The collection that is searched.
pub const SEARCHED: &str = "searched";
/// The collection that is written to.
pub const WRITTEN: &str = "written";
/// Searches that differ.
pub const QUERIES: usize = 1000;
/// Records stored at once.
const BATCH_RECORDS: usize = 5000;
/// Clusters of the vectors that are made up, and their form: that of `bench synth`.
const CLUSTERS: usize = 100;
const RANK: usize = 64;
const DECAY: f32 = 0.25;
const SEED: u64 = 1;

/// Ids of what is stored all have as many digits.
const ID_MIN: u64 = 10_000_000_000;

/// How large the scene is.
#[derive(Clone, Copy)]
pub struct Size {
    /// Records that are searched.
    pub records: usize,
    /// Numbers in a vector.
    pub dimension: usize,
    /// Neighbours to ask for.
    pub k: usize,
    /// Width of the graph search.
    pub ef: usize,
}

/// The searches of an environment.
struct Questions {
    /// Each as it is sent.
    searches: Vec<Vec<u8>>,
    /// How the answer to each begins. Environments turn the same vectors in other ways, and scores differ in their last digits.
    answers: Vec<Vec<u8>>,
}

/// A database and questions about it.
pub struct Scene {
    /// It, for whoever serves it.
    pub database: Database,
    /// How large it is.
    pub size: Size,
    searched: Collection,
    written: Collection,
    queries: Matrix,
    /// By environment.
    questions: BTreeMap<&'static str, Questions>,
    /// How the answer to each search of the first environment begins.
    answers: Vec<Vec<u8>>,
    /// Storing a record of the first environment, for each query, and where its id stands.
    upserts: Vec<(Vec<u8>, Range<usize>)>,
    /// Ids of records whose storing was acknowledged.
    acknowledged: Mutex<Vec<u64>>,
}

impl Scene {
    /// Makes it in `folder`, with the same records in each of the `environments`, the first of which is written to as well,
    /// and opens it again from there. `progress` hears how many records of how many are stored. The threads of the engine
    /// run where the current one may by the time that `open` is over.
    pub fn new(
        folder: &Path,
        size: Size,
        environments: &[&'static str],
        progress: &mut dyn FnMut(u64, u64),
        open: impl FnOnce(),
    ) -> Result<Self, Failure> {
        let Size { records, dimension, .. } = size;
        let mixture = Mixture::new(dimension, CLUSTERS, 1.0, SEED).flattened(RANK, DECAY, SEED);
        let (rows, queries) = (mixture.sample(records, SEED), mixture.sample(QUERIES, SEED + 1));
        let settings = Settings { memtable_rows_max: records.max(1), ..Settings::default() };
        // What is deleted at the end needs no secret.
        let database = || {
            let database = Database::builder(folder.join("data")).root_key(RootKey::bytes([0; 32]));
            database.settings(settings.clone()).open()
        };
        let filled = database()?;
        for name in environments {
            let environment = filled.environment(name)?;
            let collection = environment.collection(SEARCHED).dimension(dimension).open_or_create()?;
            for start in (0..records).step_by(BATCH_RECORDS) {
                progress(start as u64, records as u64);
                let batch = start..records.min(start + BATCH_RECORDS);
                collection.upsert(batch.map(|row| Record::new(row as u64, rows.row(row).to_vec())))?;
            }
            environment.flush()?;
        }
        filled.close()?;
        open();
        let database = database()?;
        let none = || Failure::Usage("there must be an environment".into());
        let environment = database.open_environment(environments.first().ok_or_else(none)?)?;
        let searched = environment.open_collection(SEARCHED)?;
        let written = environment.collection(WRITTEN).dimension(dimension).open_or_create()?;
        let (questions, answers, upserts) = (BTreeMap::new(), Vec::new(), Vec::new());
        let acknowledged = Mutex::default();
        let mut scene = Self { database, size, searched, written, queries, questions, answers, upserts, acknowledged };
        for name in environments {
            let collection = scene.database.open_environment(name)?.open_collection(SEARCHED)?;
            let searches = (0..QUERIES).map(|number| scene.render_search(name, number)).collect();
            let answers =
                (0..QUERIES).map(|number| scene.answer(&collection, number)).collect::<Result<_, Failure>>()?;
            scene.questions.insert(name, Questions { searches, answers });
        }
        let first = environments.first().copied().unwrap_or_default();
        scene.answers = scene.questions.get(first).map(|of| of.answers.clone()).unwrap_or_default();
        scene.upserts = (0..QUERIES).map(|number| scene.render_upsert(first, number)).collect();
        Ok(scene)
    }

    fn render_search(&self, environment: &str, number: usize) -> Vec<u8> {
        let (vector, Size { k, ef, .. }) = (self.vector(number), self.size);
        let body = format!("{{\"vector\":{vector},\"limit\":{k},\"ef\":{ef},\"with_payload\":false}}");
        rendered("POST", &format!("/v1/collections/{SEARCHED}/search"), environment, &body)
    }

    fn render_upsert(&self, environment: &str, number: usize) -> (Vec<u8>, Range<usize>) {
        let (begin, vector) = ("{\"records\":[{\"id\":", self.vector(number));
        let body = format!("{begin}{ID_MIN},\"vector\":{vector}}}]}}");
        let request = rendered("PUT", &format!("/v1/collections/{WRITTEN}/records"), environment, &body);
        let at = request.len() - body.len() + begin.len();
        (request, at..at + ID_MIN.to_string().len())
    }

    fn vector(&self, number: usize) -> String {
        format!("{:?}", self.query(number))
    }

    /// The vector of this number.
    pub fn query(&self, number: usize) -> &[f32] {
        self.queries.row(number % QUERIES)
    }

    /// What the engine finds near to it.
    pub fn hits(&self, number: usize) -> Result<Hits, Failure> {
        self.hits_in(&self.searched, number)
    }

    fn hits_in(&self, collection: &Collection, number: usize) -> Result<Hits, Failure> {
        let search = collection.search(self.query(number)).limit(self.size.k).ef(self.size.ef);
        Ok(search.with_payload(false).run()?)
    }

    /// What the engine answers, as far as that is the same every time.
    fn answer(&self, collection: &Collection, number: usize) -> Result<Vec<u8>, Failure> {
        let text = serde_json::to_string(&SearchAnswer::from(self.hits_in(collection, number)?)).unwrap_or_default();
        let stable = text.split("\"as_of\"").next().unwrap_or_default();
        Ok(stable.as_bytes().to_vec())
    }

    /// The searches of `environment`, and between them, one of so many, the storing of a record; 0 for none.
    pub fn asked<'a>(&'a self, environment: &str, upsert_every: u64) -> Result<Asked<'a>, Failure> {
        let none = || Failure::Usage("there is no such environment".into());
        let questions = self.questions.get(environment).ok_or_else(none)?;
        Ok(Asked { scene: self, questions, upsert_every })
    }

    /// The search of this number in this process; whether the answer is right.
    pub fn search_here(&self, number: u64) -> Told {
        match self.answer(&self.searched, number as usize) {
            Ok(answer) if answer == self.answers[number as usize % QUERIES] => Told::Right,
            Ok(_) => Told::Wrong,
            Err(_) => Told::Failed,
        }
    }

    /// Storing the record of this number, in this process.
    pub fn upsert_here(&self, number: u64) -> Told {
        let record = Record::new(number, self.query(number as usize).to_vec());
        if self.written.upsert([record]).is_ok() { Told::Right } else { Told::Failed }
    }

    /// How many records were acknowledged, and how many of them are not there.
    pub fn missing(&self) -> Result<(u64, u64), Failure> {
        let mut ids = std::mem::take(&mut *self.acknowledged.lock());
        ids.sort_unstable();
        ids.dedup();
        let mut missing = 0;
        for id in &ids {
            missing += u64::from(self.written.get(*id)?.is_none());
        }
        Ok((ids.len() as u64, missing))
    }
}

/// What is asked of one environment.
pub struct Asked<'a> {
    scene: &'a Scene,
    questions: &'a Questions,
    upsert_every: u64,
}

impl Asked<'_> {
    fn is_upsert(&self, number: u64) -> bool {
        self.upsert_every > 0 && number.is_multiple_of(self.upsert_every)
    }
}

impl Asks for Asked<'_> {
    fn write(&self, number: u64, request: &mut Vec<u8>) {
        let query = number as usize % QUERIES;
        if !self.is_upsert(number) {
            return request.extend_from_slice(&self.questions.searches[query]);
        }
        let (rendered, id) = &self.scene.upserts[query];
        request.extend_from_slice(&rendered[..id.start]);
        request.extend_from_slice((ID_MIN + number).to_string().as_bytes());
        request.extend_from_slice(&rendered[id.end..]);
    }

    /// Also remembers what an answer promises.
    fn judge(&self, number: u64, status: u16, body: &[u8]) -> Told {
        match status {
            200 if self.is_upsert(number) => {
                self.scene.acknowledged.lock().push(ID_MIN + number);
                Told::Right
            }
            200 if body.starts_with(&self.questions.answers[number as usize % QUERIES]) => Told::Right,
            200 => Told::Wrong,
            429 => Told::Limited,
            503 => Told::Overloaded,
            _ => Told::Failed,
        }
    }
}

/// A request as it is sent.
fn rendered(method: &str, path: &str, environment: &str, body: &str) -> Vec<u8> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json");
    let length = body.len();
    format!("{head}\r\nLethe-Environment: {environment}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}
