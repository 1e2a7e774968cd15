//! Any import file as a stream of rows.
//!
//! Invariant: the file is read row by row; what one row lacks is told with the row, what the file lacks ends the stream.
#![expect(clippy::disallowed_methods, reason = "reads a file that the user names; no file of ours")]

use std::fs::File;
use std::path::Path;

use benches::entity_name;
use datasets::parquet::{self, Columns};
use datasets::vecs::{self, Format};
use datasets::{Distance, OpenError, hdf5, synthetic};
use engine::{Metric, Record};
use serde_json::Value;

use super::body::{beside, record, whole};
use super::lines::Lines;
use super::row::{Bad, Loaded, Row, Unit};
use crate::cli::failure::Failure;
use crate::cli::format::{FileFormat, is_pipe};
use crate::json::{self, JsonError, Payload};

/// What the rows of a file are, beyond what the file says.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Column of the ids in a Parquet file.
    pub id: &'a str,
    /// Column of the vectors in a Parquet file.
    pub vector: &'a str,
    /// Member of a payload, or column, that names the entity.
    pub entity: Option<&'a str>,
    /// How many invented entities own the rows of a vector file.
    pub entities: Option<u32>,
    /// Lines of JSON with what belongs to each row of a vector file.
    pub beside: Option<&'a Path>,
}

/// A file that is being imported.
pub struct Source {
    /// Numbers in a vector, if the file says so for all rows.
    pub dimension: Option<usize>,
    /// What the file says near means, if it does.
    pub metric: Option<Metric>,
    /// Bytes of a file of lines, rows of others; nothing for a pipe.
    pub total: Option<u64>,
    /// How rows are counted.
    pub unit: Unit,
    /// The rows in the order of the file.
    pub rows: Box<dyn Iterator<Item = Row>>,
}

type Vectors = Box<dyn Iterator<Item = Result<Vec<f32>, Failure>>>;

impl Source {
    /// Opens the file at `path`.
    pub fn open(path: &Path, format: FileFormat, reading: Reading<'_>) -> Result<Self, Failure> {
        if is_pipe(path) && format != FileFormat::Jsonl {
            return Err(Failure::Usage("only jsonl can be read from standard input".into()));
        }
        let vectors = match format {
            FileFormat::Jsonl => return Self::lines(path, reading),
            FileFormat::Parquet => return Self::columns(path, reading),
            FileFormat::Hdf5 => return Self::hdf5(path, reading),
            FileFormat::Npy => Format::Npy,
            FileFormat::Fbin => Format::Fbin,
            FileFormat::U8bin => Format::U8bin,
            FileFormat::Fvecs => Format::Fvecs,
            FileFormat::Bvecs => Format::Bvecs,
        };
        let rows = vecs::Rows::open(path, vectors).map_err(OpenError::from)?;
        let (dimension, total) = (rows.dimension(), rows.left() as u64);
        let vectors = rows.map(|row| row.map_err(|error| OpenError::from(error).into()));
        Self::vectors(dimension, total, None, Box::new(vectors), reading)
    }

    fn hdf5(path: &Path, reading: Reading<'_>) -> Result<Self, Failure> {
        let rows = hdf5::Rows::open(path).map_err(OpenError::from)?;
        let metric = rows.metric().map(|metric| match metric {
            Distance::Cosine => Metric::Cosine,
            Distance::Dot => Metric::Dot,
            Distance::L2 => Metric::L2,
        });
        let (dimension, total) = (rows.dimension(), rows.total());
        let vectors = rows.map(|row| row.map_err(|error| OpenError::from(error).into()));
        Self::vectors(dimension, total, metric, Box::new(vectors), reading)
    }

    fn lines(path: &Path, reading: Reading<'_>) -> Result<Self, Failure> {
        if reading.entities.is_some() || reading.beside.is_some() {
            return Err(Failure::Usage(
                "--entities and --payloads are for vector files; lines of jsonl say it all".into(),
            ));
        }
        let (lines, total) = Lines::open(path)?;
        let field = reading.entity.map(str::to_owned);
        let rows = lines.filter_map(move |line| match line {
            Ok(line) => whole(line, field.as_deref()).map(Ok),
            Err(failure) => Some(Err(failure)),
        });
        Ok(Self { dimension: None, metric: None, total, unit: Unit::Line, rows: Box::new(rows) })
    }

    fn columns(path: &Path, reading: Reading<'_>) -> Result<Self, Failure> {
        if reading.entities.is_some() || reading.beside.is_some() {
            return Err(Failure::Usage("--entities and --payloads are for vector files; Parquet has columns".into()));
        }
        let file = File::open(path).map_err(|source| Failure::File { file: path.display().to_string(), source })?;
        let Reading { id, vector, entity, .. } = reading;
        let rows = parquet::Rows::new(file, Columns { id, vector, entity })?;
        let total = rows.total();
        let rows = (0..).zip(rows).map(|(place, row)| {
            let bad = |reason| Bad { place, reason, data: None };
            Ok(row?.map_err(|fault| fault.to_string()).and_then(|row| column_record(row, place)).map_err(bad))
        });
        Ok(Self { dimension: None, metric: None, total: Some(total), unit: Unit::Row, rows: Box::new(rows) })
    }

    fn vectors(
        dimension: usize,
        total: u64,
        metric: Option<Metric>,
        vectors: Vectors,
        reading: Reading<'_>,
    ) -> Result<Self, Failure> {
        let rows = match reading.beside {
            Some(path) => Self::beside(path, total, vectors, reading)?,
            None if reading.entity.is_some() => {
                return Err(Failure::Usage(
                    "--entity-field needs rows with payloads: name them with --payloads".into(),
                ));
            }
            None => Self::bare(total, vectors, reading.entities),
        };
        Ok(Self { dimension: Some(dimension), metric, total: Some(total), unit: Unit::Row, rows })
    }

    /// Rows whose place is their id, owned by invented entities.
    fn bare(total: u64, vectors: Vectors, entities: Option<u32>) -> Box<dyn Iterator<Item = Row>> {
        let owners = entities.map(|entities| synthetic::owners(total as usize, entities, 1.0, 0)).unwrap_or_default();
        let mut owners = owners.into_iter();
        Box::new((0..).zip(vectors).map(move |(place, vector): (u64, Result<Vec<f32>, Failure>)| {
            let mut record = Record::new(place, vector?);
            if let Some(owner) = owners.next() {
                record = record.entity(entity_name(owner));
            }
            Ok(Ok(Loaded { bytes: size_of_val(record.vector()), record, place, progress: place + 1 }))
        }))
    }

    /// Rows that are told apart by the lines of the file at `path`, one for each.
    fn beside(
        path: &Path,
        total: u64,
        vectors: Vectors,
        reading: Reading<'_>,
    ) -> Result<Box<dyn Iterator<Item = Row>>, Failure> {
        if reading.entities.is_some() || is_pipe(path) {
            return Err(Failure::Usage("--payloads names a file, whose lines say who the entities are".into()));
        }
        // One line too few, and every vector after it would be sealed for somebody else.
        let counted = Lines::open(path)?.0.count()?;
        if counted != total {
            return Err(Failure::Usage(format!(
                "the file of vectors has {total} rows and that of payloads {counted} lines: they do not belong together"
            )));
        }
        let (mut lines, _) = Lines::open(path)?;
        let field = reading.entity.map(str::to_owned);
        Ok(Box::new((0..).zip(vectors).map(move |(place, vector)| {
            let line = lines.next().transpose()?;
            let line = line.ok_or_else(|| Failure::Usage("the file of payloads became shorter".into()))?;
            Ok(beside(line, vector?, place, field.as_deref()))
        })))
    }
}

/// The record that a row of columns is.
fn column_record(row: parquet::Row, place: u64) -> Result<Loaded, String> {
    let parquet::Row { id, vector, entity, payload } = row;
    let id = id.parse().map_err(|error: engine::ParseRecordIdError| error.to_string())?;
    let (payload, bytes) = match payload {
        None => (None, 0),
        Some(parquet::Payload::Members(members)) => (Some(Value::Object(members)), 64),
        Some(parquet::Payload::Text(text)) => {
            let payload: Payload =
                json::parse(text.as_bytes()).map_err(|error: JsonError| format!("the column `payload` is {error}"))?;
            (Some(payload.0), text.len())
        }
    };
    let bytes = bytes + size_of_val(vector.as_slice());
    Ok(Loaded { record: record(id, vector, entity, payload, None)?, bytes, place, progress: place + 1 })
}
