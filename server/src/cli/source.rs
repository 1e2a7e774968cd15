//! Any import file as a stream of records.
//!
//! Invariant: dimension and metric are known before the first record is taken, because the collection needs them.

use std::iter;
use std::path::Path;

use benches::entity_name;
use datasets::vecs::{Format, Rows};
use datasets::{Dataset, Distance, OpenError, synthetic};
use engine::{Metric, Record};

use super::failure::Failure;
use super::jsonl::{Line, Lines, is_jsonl};

/// Who owns the records, beyond what the file says.
#[derive(Clone, Copy)]
pub struct Owners<'a> {
    /// Member of a jsonl payload that names the entity.
    pub field: Option<&'a str>,
    /// How many invented entities own the rows of a vector file.
    pub entities: Option<u32>,
}

/// A record, and how far the file is read.
pub struct Loaded {
    /// What to store.
    pub record: Record,
    /// About its size in memory.
    pub bytes: usize,
    /// Units of [`Source::total`] read so far.
    pub progress: u64,
}

/// A file that is being imported.
pub struct Source {
    /// Numbers in a vector.
    pub dimension: usize,
    /// What the file says near means, if it does.
    pub metric: Option<Metric>,
    /// Rows, or bytes of a jsonl file.
    pub total: u64,
    /// The records in the order of the file.
    pub records: Box<dyn Iterator<Item = Result<Loaded, Failure>>>,
}

impl Source {
    /// Opens the file at `path`; its extension says how to read it.
    pub fn open(path: &Path, owners: Owners<'_>) -> Result<Self, Failure> {
        let wrong = |flag: &str, files: &str| Err(Failure::Usage(format!("{flag} is for {files}")));
        if is_jsonl(path) {
            if owners.entities.is_some() {
                return wrong("--entities", "vector files; lines of jsonl name their entities");
            }
            return Self::lines(Lines::open(path, owners.field)?);
        }
        if owners.field.is_some() {
            return wrong("--entity-field", "jsonl; rows of a vector file have no members");
        }
        match Format::of(path) {
            Some(format) => {
                let rows = Rows::open(path, format).map_err(OpenError::from)?;
                let (dimension, total) = (rows.dimension(), rows.left());
                let vectors = rows.map(|row| row.map_err(|error| OpenError::from(error).into()));
                Ok(Self::rows(dimension, total, None, owners.entities, vectors))
            }
            None => {
                let Dataset { metric, train, .. } = datasets::open(path)?;
                let (dimension, total) = (train.dimension(), train.len());
                let mut position = 0;
                let vectors = iter::from_fn(move || {
                    let row = (position < train.len()).then(|| train.row(position).to_vec());
                    position += 1;
                    row.map(Ok)
                });
                Ok(Self::rows(dimension, total, Some(our_metric(metric)), owners.entities, vectors))
            }
        }
    }

    fn lines(mut lines: Lines) -> Result<Self, Failure> {
        let total = lines.total();
        let first = lines.next().transpose()?;
        let first = first.ok_or_else(|| Failure::Usage("the file holds no records".into()))?;
        let dimension = first.record.vector().len();
        lines.expect(dimension);
        let records = iter::once(Ok(first)).chain(lines).map(|line| {
            let Line { record, bytes, end } = line?;
            Ok(Loaded { record, bytes, progress: end })
        });
        Ok(Self { dimension, metric: None, total, records: Box::new(records) })
    }

    fn rows(
        dimension: usize,
        total: usize,
        metric: Option<Metric>,
        entities: Option<u32>,
        vectors: impl Iterator<Item = Result<Vec<f32>, Failure>> + 'static,
    ) -> Self {
        let owners = entities.map(|entities| synthetic::owners(total, entities, 1.0, 0)).unwrap_or_default();
        let mut owners = owners.into_iter();
        let records = (0..).zip(vectors).map(move |(row, vector): (u64, Result<Vec<f32>, Failure>)| {
            let mut record = Record::new(row, vector?);
            if let Some(owner) = owners.next() {
                record = record.entity(entity_name(owner));
            }
            Ok(Loaded { record, bytes: dimension * size_of::<f32>(), progress: row + 1 })
        });
        Self { dimension, metric, total: total as u64, records: Box::new(records) }
    }
}

fn our_metric(distance: Distance) -> Metric {
    match distance {
        Distance::Cosine => Metric::Cosine,
        Distance::Dot => Metric::Dot,
        Distance::L2 => Metric::L2,
    }
}
