//! Which format a file of records has: by its extension, or as the user says.
//!
//! Invariant: import and export mean the same by a name.

use std::ffi::OsStr;
use std::path::Path;

use clap::ValueEnum;

use super::failure::Failure;

/// A format that records are read from or written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// A record a line, as JSON.
    Jsonl,
    /// Columns, with ids, entities and payloads.
    Parquet,
    /// The `train` rows of ann-benchmarks.
    Hdf5,
    /// A NumPy array.
    Npy,
    /// Vectors of Big-ANN-Benchmarks.
    Fbin,
    /// The same as bytes.
    U8bin,
    /// Vectors of TEXMEX.
    Fvecs,
    /// The same as bytes.
    Bvecs,
}

impl FileFormat {
    /// What `said` says, else what the extension of `path` does. Pipes, named `-`, are lines of JSON.
    pub fn of(path: &Path, said: Option<Self>) -> Result<Self, Failure> {
        if let Some(said) = said {
            return Ok(said);
        }
        match path.extension().and_then(OsStr::to_str) {
            None if is_pipe(path) => Ok(Self::Jsonl),
            Some("jsonl" | "ndjson") => Ok(Self::Jsonl),
            Some("parquet") => Ok(Self::Parquet),
            Some("hdf5" | "h5") => Ok(Self::Hdf5),
            Some("npy") => Ok(Self::Npy),
            Some("fbin") => Ok(Self::Fbin),
            Some("u8bin") => Ok(Self::U8bin),
            Some("fvecs") => Ok(Self::Fvecs),
            Some("bvecs") => Ok(Self::Bvecs),
            _ => Err(Failure::Usage(
                "the extension names no known format: say it with --format (jsonl, parquet, hdf5, npy, fbin, u8bin, fvecs \
                 or bvecs)"
                    .into(),
            )),
        }
    }
}

/// Whether `path` means standard input or output.
pub fn is_pipe(path: &Path) -> bool {
    path == Path::new("-")
}
