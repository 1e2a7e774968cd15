//! Bytes in order, and what can be wrong with them.
//!
//! Invariant: `offset` is the number of bytes taken so far, so every error can say where. The lowest room of the
//! readers: it knows of no format.

use std::io::{self, ErrorKind, Read};

/// Why a vector file could not be read. Offsets count bytes from the start of the file.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system could not read.
    #[error("cannot read the vector file")]
    Io(#[from] io::Error),
    /// The file ends inside a head or a row.
    #[error("the file ends early: more was promised after byte {offset}")]
    Truncated {
        /// Where the missing piece should begin.
        offset: u64,
    },
    /// The file is longer or shorter than its head says.
    #[error("the head before byte {offset} does not fit a file of {length} bytes")]
    Length {
        /// Where the rows begin.
        offset: u64,
        /// The length of the file in bytes.
        length: u64,
    },
    /// Rows differ in dimension, or have none (`expected` is then the least allowed).
    #[error("dimension {found} at byte {offset}, where {expected} was expected")]
    Dimension {
        /// Where the dimension stands.
        offset: u64,
        /// The dimension of the first row.
        expected: usize,
        /// What the file says.
        found: usize,
    },
    /// The NumPy header is damaged, or describes an array that is not a matrix of f16, f32 or f64.
    #[error("NumPy header at byte {offset}: {expected} expected")]
    Header {
        /// Where the header's text begins.
        offset: u64,
        /// What should stand there.
        expected: &'static str,
    },
}

/// A reader that knows how far it has come.
pub(super) struct Source<R> {
    inner: R,
    offset: u64,
}

impl<R: Read> Source<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, offset: 0 }
    }

    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Fills all of `bytes`, or says from where on the file is missing.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ReadError> {
        self.inner.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => ReadError::Truncated { offset: self.offset },
            _ => error.into(),
        })?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ReadError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next little-endian u32.
    pub(super) fn number(&mut self) -> Result<u32, ReadError> {
        self.array().map(u32::from_le_bytes)
    }
}
