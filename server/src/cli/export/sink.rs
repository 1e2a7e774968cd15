//! Where the records of an export go.
//!
//! Invariant: what a sink writes, the import reads back equal: ids, entities, payloads, and every bit of the vectors.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use datasets::parquet::{Ids, Writer, Written};
use datasets::vecs::{Head, RowWriter};
use engine::Record;
use serde::Serialize;

use super::draft::{Draft, keep_both};
use crate::cli::failure::Failure;
use crate::cli::format::{FileFormat, is_pipe};
use crate::json::{PortableRecord, RecordAnswer};

const NOT_WRITTEN: &str = "the export cannot be written";

/// A file, or files, of records in the making.
pub enum Sink {
    /// Lines of JSON into a pipe.
    Pipe(BufWriter<io::Stdout>),
    /// Lines of JSON into a file.
    Lines(Draft),
    /// Columns.
    Columns(Box<Writer<Draft>>),
    /// Vectors, and everything else as lines of JSON beside them.
    Vectors(RowWriter<Draft>, Draft),
}

impl Sink {
    /// Begins the file `path` of vectors of `dimension` numbers.
    pub fn open(
        path: &Path,
        format: FileFormat,
        dimension: usize,
        ids: impl FnOnce() -> Result<Ids, Failure>,
        replaces: bool,
    ) -> Result<Self, Failure> {
        let head = match format {
            FileFormat::Jsonl if is_pipe(path) => return Ok(Self::Pipe(BufWriter::new(io::stdout()))),
            _ if is_pipe(path) => return Err(Failure::Usage("only jsonl can be written to standard output".into())),
            FileFormat::Jsonl => return Ok(Self::Lines(Draft::new(path, replaces)?)),
            FileFormat::Parquet => {
                let writer = Writer::new(Draft::new(path, replaces)?, ids()?)?;
                return Ok(Self::Columns(Box::new(writer)));
            }
            FileFormat::Npy => Head::Npy,
            FileFormat::Fbin => Head::Fbin,
            FileFormat::Hdf5 | FileFormat::U8bin | FileFormat::Fvecs | FileFormat::Bvecs => {
                return Err(Failure::Usage("jsonl, parquet, npy and fbin can be written".into()));
            }
        };
        if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case(LINES)) {
            return Err(Failure::Usage(format!(
                "vectors cannot go into a file that ends in .{LINES}: that is where what belongs to them goes"
            )));
        }
        let lines = Draft::new(&beside(path), replaces)?;
        let rows = RowWriter::new(Draft::new(path, replaces)?, head, dimension);
        Ok(Self::Vectors(rows.map_err(not_written)?, lines))
    }

    /// Adds a record.
    pub fn push(&mut self, record: Record) -> Result<(), Failure> {
        match self {
            Self::Pipe(out) => write_line(out, &RecordAnswer::from(record)),
            Self::Lines(out) => write_line(out, &RecordAnswer::from(record)),
            Self::Columns(writer) => {
                let payload = record.payload_json().map(ToString::to_string);
                let (id, vector, entity) = (record.id().to_string(), record.vector(), record.entity_id());
                Ok(writer.push(Written { id, vector, entity, payload })?)
            }
            Self::Vectors(rows, out) => {
                rows.push(record.vector()).map_err(not_written)?;
                write_line(out, &RecordAnswer { vector: None, ..RecordAnswer::from(record) })
            }
        }
    }

    /// Adds a record of one of many collections; only lines say of which.
    pub fn push_of(&mut self, collection: &str, record: Record) -> Result<(), Failure> {
        match self {
            Self::Pipe(out) => write_line(out, &PortableRecord::new(collection, record)),
            Self::Lines(out) => write_line(out, &PortableRecord::new(collection, record)),
            other => other.push(record),
        }
    }

    /// Ends the file and gives it its name.
    pub fn finish(self) -> Result<(), Failure> {
        match self {
            Self::Pipe(mut out) => out.flush().map_err(not_written),
            Self::Lines(out) => out.keep(),
            Self::Columns(writer) => writer.finish()?.keep(),
            Self::Vectors(rows, out) => {
                // The vectors last: without them there is nothing to import.
                keep_both(out, rows.finish().map_err(not_written)?)
            }
        }
    }
}

/// How the file of the lines ends that belong to vectors.
const LINES: &str = "jsonl";

/// Where the lines go that belong to the vectors at `path`.
pub fn beside(path: &Path) -> PathBuf {
    path.with_extension(LINES)
}

fn write_line(out: &mut impl Write, record: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, record).map_err(io::Error::from).map_err(not_written)?;
    out.write_all(b"\n").map_err(not_written)
}

fn not_written(error: io::Error) -> Failure {
    Failure::Io(NOT_WRITTEN, error)
}
