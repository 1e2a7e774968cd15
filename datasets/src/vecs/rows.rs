//! The rows of a vector file, one at a time.
//!
//! Invariant: at most one row is in memory beside the caller's; after an error nothing more is yielded. It is the door
//! of this room, so a file larger than memory can be imported.
#![expect(clippy::disallowed_methods, reason = "reads a file that the user names; no file of ours")]

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::format::Format;
use super::layout::Layout;
use super::source::{ReadError, Source};
use crate::Matrix;

/// A reader of rows: an iterator of vectors, `dimension()` values each.
pub struct Rows<R> {
    source: Source<R>,
    layout: Layout,
    /// Rows not yet read.
    left: usize,
    /// The row as stored.
    bytes: Vec<u8>,
}

impl Rows<BufReader<File>> {
    /// Opens the vector file at `path` and checks its head against its length.
    pub fn open(path: &Path, format: Format) -> Result<Self, ReadError> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Self::new(BufReader::new(file), format, length)
    }
}

impl<R: Read> Rows<R> {
    /// Reads the head of a file of `length` bytes from `reader`, which stands at its first byte.
    pub fn new(reader: R, format: Format, length: u64) -> Result<Self, ReadError> {
        let mut source = Source::new(reader);
        let layout = format.layout(&mut source, length)?;
        Ok(Self { source, layout, left: layout.rows, bytes: Vec::new() })
    }

    /// Values a row, at least 1.
    pub fn dimension(&self) -> usize {
        self.layout.dimension
    }

    /// Rows not yet read.
    pub fn left(&self) -> usize {
        self.left
    }

    /// Reads all remaining rows into memory.
    pub fn read_all(mut self) -> Result<Matrix, ReadError> {
        let dimension = self.layout.dimension;
        // No overflow and no surprise: the layout was checked against the length of the file.
        let mut data = Vec::with_capacity(self.left * dimension);
        while self.left > 0 {
            self.read_row(&mut data)?;
        }
        Ok(Matrix { dimension, data })
    }

    /// Appends the next row to `out`.
    fn read_row(&mut self, out: &mut Vec<f32>) -> Result<(), ReadError> {
        let Layout { element, dimension, rows, led } = self.layout;
        if led && self.left < rows {
            let offset = self.source.offset();
            let found = self.source.number()? as usize;
            if found != dimension {
                return Err(ReadError::Dimension { offset, expected: dimension, found });
            }
        }
        self.bytes.resize(dimension * element.size(), 0);
        self.source.fill(&mut self.bytes)?;
        element.decode(&self.bytes, out);
        self.left -= 1;
        Ok(())
    }
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<Vec<f32>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        let mut row = Vec::with_capacity(self.layout.dimension);
        let result = self.read_row(&mut row);
        if result.is_err() {
            self.left = 0;
        }
        Some(result.map(|()| row))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}
