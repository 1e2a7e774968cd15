//! What is asked, and what the right answers are.
//!
//! Invariant: a right answer is, byte for byte, what the engine of this process answers, up to the time it carries. What is
//! stored goes elsewhere than what is searched, so that every answer stays right.

use std::path::Path;

use benches::Told;
use datasets::Matrix;
use datasets::synthetic::Mixture;
use engine::{Collection, Database, Environment, Hits, Record, RootKey, Settings};
use hyper::body::Bytes;
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

/// A database and questions about it.
pub struct Scene {
    /// It, for whoever serves it.
    pub database: Database,
    /// How large it is.
    pub size: Size,
    searched: Collection,
    written: Collection,
    queries: Matrix,
    /// A body, and how its answer begins.
    questions: Vec<(Bytes, Vec<u8>)>,
    /// Ids of records whose storing was acknowledged.
    acknowledged: Mutex<Vec<u64>>,
}

/// Where and what to ask, and what is to come of it.
pub struct Question {
    /// Under which path.
    pub path: String,
    /// `PUT` rather than `POST`.
    pub is_upsert: bool,
    /// What is sent.
    pub body: Bytes,
    number: usize,
    id: u64,
}

impl Scene {
    /// Makes it in `folder`, with the same records in each of the `environments`, the first of which is written to as well.
    /// `progress` hears how many records of how many are stored.
    pub fn new(
        folder: &Path,
        size: Size,
        environments: &[&str],
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self, Failure> {
        let Size { records, dimension, .. } = size;
        let mixture = Mixture::new(dimension, CLUSTERS, 1.0, SEED).flattened(RANK, DECAY, SEED);
        let (rows, queries) = (mixture.sample(records, SEED), mixture.sample(QUERIES, SEED + 1));
        let settings = Settings { memtable_rows_max: records.max(1), ..Settings::default() };
        // What is deleted at the end needs no secret.
        let database =
            Database::builder(folder.join("data")).root_key(RootKey::bytes([0; 32])).settings(settings).open()?;
        let mut opened = Vec::new();
        for name in environments {
            let environment = database.environment(name)?;
            let collection = environment.collection(SEARCHED).dimension(dimension).open_or_create()?;
            for start in (0..records).step_by(BATCH_RECORDS) {
                progress(start as u64, records as u64);
                let batch = start..records.min(start + BATCH_RECORDS);
                collection.upsert(batch.map(|row| Record::new(row as u64, rows.row(row).to_vec())))?;
            }
            environment.flush()?;
            opened.push((environment, collection));
        }
        let none = || Failure::Usage("there must be an environment".into());
        let (environment, searched): (Environment, Collection) = opened.into_iter().next().ok_or_else(none)?;
        let written = environment.collection(WRITTEN).dimension(dimension).open_or_create()?;
        let mut scene =
            Self { database, size, searched, written, queries, questions: Vec::new(), acknowledged: Mutex::default() };
        scene.questions = (0..QUERIES).map(|number| scene.question(number)).collect::<Result<_, Failure>>()?;
        Ok(scene)
    }

    fn question(&self, number: usize) -> Result<(Bytes, Vec<u8>), Failure> {
        let (vector, Size { k, ef, .. }) = (self.vector(number), self.size);
        let body = format!("{{\"vector\":{vector},\"limit\":{k},\"ef\":{ef},\"with_payload\":false}}");
        Ok((body.into(), self.answer(number)?))
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
        let search = self.searched.search(self.query(number)).limit(self.size.k).ef(self.size.ef);
        Ok(search.with_payload(false).run()?)
    }

    /// What the engine answers, as far as that is the same every time.
    fn answer(&self, number: usize) -> Result<Vec<u8>, Failure> {
        let text = serde_json::to_string(&SearchAnswer::from(self.hits(number)?)).unwrap_or_default();
        let stable = text.split("\"as_of\"").next().unwrap_or_default();
        Ok(stable.as_bytes().to_vec())
    }

    /// The search of this number.
    pub fn search(&self, number: u64) -> Question {
        let number = number as usize % QUERIES;
        let path = format!("/v1/collections/{SEARCHED}/search");
        Question { path, is_upsert: false, body: self.questions[number].0.clone(), number, id: 0 }
    }

    /// Storing the record of this number.
    pub fn upsert(&self, number: u64) -> Question {
        let vector = self.vector(number as usize);
        let body = format!("{{\"records\":[{{\"id\":{number},\"vector\":{vector}}}]}}");
        let path = format!("/v1/collections/{WRITTEN}/records");
        Question { path, is_upsert: true, body: body.into(), number: 0, id: number }
    }

    /// Says what an answer to `question` is, and remembers what it promises.
    pub fn judge(&self, question: &Question, status: u16, body: &[u8]) -> Told {
        match status {
            200 if question.is_upsert => {
                self.acknowledged.lock().push(question.id);
                Told::Right
            }
            200 if body.starts_with(&self.questions[question.number].1) => Told::Right,
            200 => Told::Wrong,
            429 => Told::Limited,
            503 => Told::Overloaded,
            _ => Told::Failed,
        }
    }

    /// The search of this number in this process; whether the answer is right.
    pub fn search_here(&self, number: u64) -> Told {
        match self.answer(number as usize) {
            Ok(answer) if answer == self.questions[number as usize % QUERIES].1 => Told::Right,
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
