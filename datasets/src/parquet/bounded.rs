//! A file that is asked for no more bytes than it has.
//!
//! Invariant: whatever a damaged head claims about a piece of the file, no memory is set aside for bytes that are not
//! there. Here because the `parquet` crate sets aside what is claimed before it reads.

use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// A reader that knows where it ends.
pub(super) struct Bounded<R>(pub R);

impl<R: Length> Length for Bounded<R> {
    fn len(&self) -> u64 {
        self.0.len()
    }
}

impl<R: ChunkReader> ChunkReader for Bounded<R> {
    type T = R::T;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.0.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let end = start.checked_add(length as u64).filter(|end| *end <= self.0.len());
        end.ok_or_else(|| ParquetError::EOF("a piece of the file lies behind its end".into()))?;
        self.0.get_bytes(start, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_costs_nothing() {
        let file = Bounded(Bytes::from_static(b"0123"));
        assert_eq!(file.get_bytes(1, 3).unwrap(), "123");
        for (start, length) in [(1, 4), (5, 0), (0, usize::MAX), (u64::MAX, 1)] {
            assert!(matches!(file.get_bytes(start, length), Err(ParquetError::EOF(_))));
        }
        // A file would set this aside first.
        let file = tempfile::tempfile().unwrap();
        assert!(matches!(Bounded(file).get_bytes(0, 1 << 60), Err(ParquetError::EOF(_))));
    }
}
