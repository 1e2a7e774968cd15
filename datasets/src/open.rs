//! One door to all readers, by the extension of the file.
//!
//! Invariant: what comes out is a whole [`Dataset`], whichever reader made it.

use std::ffi::OsStr;
use std::path::Path;

use crate::hdf5::{self, Hdf5Error};
use crate::vecs::{Format, ReadError, Rows};
use crate::{Dataset, Distance, Matrix};

/// Why a data set could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The extension names no format that is read here.
    #[error("unknown extension; known are hdf5, h5, fvecs, bvecs, fbin, u8bin and npy")]
    Extension,
    /// A file of ann-benchmarks could not be read.
    #[error(transparent)]
    Hdf5(#[from] Hdf5Error),
    /// A vector file could not be read.
    #[error(transparent)]
    Vectors(#[from] ReadError),
}

/// Reads the data set at `path` into memory. A bare vector file becomes `train`, without queries and neighbours; it
/// does not say what it means by near, so its metric is [`Distance::L2`], that of the sets these formats come from.
pub fn open(path: impl AsRef<Path>) -> Result<Dataset, OpenError> {
    let path = path.as_ref();
    if matches!(path.extension().and_then(OsStr::to_str), Some("hdf5" | "h5")) {
        return Ok(hdf5::read(path)?);
    }
    let format = Format::of(path).ok_or(OpenError::Extension)?;
    let train = Rows::open(path, format)?.read_all()?;
    Ok(Dataset {
        name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        metric: Distance::L2,
        test: Matrix { dimension: train.dimension(), data: Vec::new() },
        train,
        neighbors: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the test makes the file it reads")]
    fn the_extension_decides() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = [&2_u32.to_le_bytes()[..], &[7, 9]].concat();
        let path = folder.path().join("tiny.bvecs");
        std::fs::write(&path, bytes).unwrap();
        let set = open(&path).unwrap();
        assert_eq!((set.name.as_str(), set.train.row(0), set.test.len()), ("tiny", &[7.0, 9.0][..], 0));
        assert!(matches!(open(folder.path().join("tiny.csv")), Err(OpenError::Extension)));
        assert!(matches!(open(folder.path().join("none.fbin")), Err(OpenError::Vectors(ReadError::Io(_)))));
        assert!(matches!(open(folder.path().join("none.hdf5")), Err(OpenError::Hdf5(Hdf5Error::Format(_)))));
    }
}
