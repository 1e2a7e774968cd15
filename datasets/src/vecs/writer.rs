//! Rows into a vector file whose head counts them.
//!
//! Invariant: the head is true once [`RowWriter::finish`] returns; before, it promises no rows, so that a file that was
//! left unfinished is refused by every reader.

use std::io::{self, Error, Seek, SeekFrom, Write};

use super::npy;

/// The formats that are written: 32-bit floats after one head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// That of Big-ANN-Benchmarks; at most 2³² − 1 rows.
    Fbin,
    /// That of NumPy.
    Npy,
}

impl Head {
    fn bytes(self, rows: u64, dimension: usize) -> io::Result<Vec<u8>> {
        let too_large = |_| Error::other("the format cannot count so many rows or numbers");
        match self {
            Self::Fbin => {
                let rows = u32::try_from(rows).map_err(too_large)?;
                let dimension = u32::try_from(dimension).map_err(too_large)?;
                Ok([rows.to_le_bytes(), dimension.to_le_bytes()].concat())
            }
            Self::Npy => Ok(npy::head(usize::try_from(rows).map_err(too_large)?, dimension)),
        }
    }
}

/// Writes rows one at a time.
pub struct RowWriter<W> {
    out: W,
    head: Head,
    dimension: usize,
    rows: u64,
}

impl<W: Write + Seek> RowWriter<W> {
    /// Begins a file of rows of `dimension` numbers in `out`, which stands at its start.
    ///
    /// # Errors
    /// Those of writing.
    pub fn new(mut out: W, head: Head, dimension: usize) -> io::Result<Self> {
        out.write_all(&head.bytes(0, dimension)?)?;
        Ok(Self { out, head, dimension, rows: 0 })
    }

    /// Adds a row.
    ///
    /// # Errors
    /// Those of writing, and a row of another length.
    pub fn push(&mut self, row: &[f32]) -> io::Result<()> {
        if row.len() != self.dimension {
            return Err(Error::other("a row has another length than the first"));
        }
        row.iter().try_for_each(|value| self.out.write_all(&value.to_le_bytes()))?;
        self.rows += 1;
        Ok(())
    }

    /// Puts the count of rows into the head; gives back what the file was written into.
    ///
    /// # Errors
    /// Those of writing, and more rows than the format counts.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.seek(SeekFrom::Start(0))?;
        self.out.write_all(&self.head.bytes(self.rows, self.dimension)?)?;
        self.out.flush()?;
        Ok(self.out)
    }
}
