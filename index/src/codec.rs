//! The byte forms of codes and graphs: little-endian numbers behind one version byte, and how
//! reading them can fail.
//!
//! Invariant: reading is total. Any bytes give a value or a [`DecodeError`], and never more memory
//! than a small multiple of their length. A leaf, because both `codes` and `graph` are written and
//! read.

use thiserror::Error;

/// Why bytes are not the codes or graph they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// The format is of a later version.
    #[error("format version {found} is newer than {newest}")]
    NewerFormat {
        /// The version found.
        found: u8,
        /// The newest version this code reads.
        newest: u8,
    },
    /// The codes belong to another metric or dimension than the space.
    #[error("the codes belong to another space")]
    OtherSpace,
    /// The length does not fit what the header announces.
    #[error("the length does not fit the header")]
    Length,
    /// A number is outside its range: a version, position, degree, layer or norm.
    #[error("{what} is out of range")]
    Range {
        /// Which kind of number.
        what: &'static str,
    },
}

/// Bytes before the first row or list: the fields of the header, and zeros to the end of a cache line.
pub(crate) const HEADER: usize = 64;

/// A header that begins with `fields`.
pub(crate) fn header(fields: [u8; 4], rows: usize) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..4].copy_from_slice(&fields);
    bytes[4..8].copy_from_slice(&(rows as u32).to_le_bytes());
    bytes
}

/// Reads fields off the front of a slice.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Reads the version byte. Bytes of an older version are as good as none: they are derived, and derived again.
    pub(crate) fn version(&mut self, newest: u8) -> Result<(), DecodeError> {
        match self.byte()? {
            found if found > newest => Err(DecodeError::NewerFormat { found, newest }),
            found if found < newest => Err(DecodeError::Range { what: "version" }),
            _ => Ok(()),
        }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Length)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.bytes(1).map(|byte| byte[0])
    }

    fn number(&mut self) -> Result<u32, DecodeError> {
        self.words(1).map(|words| u32::from_le_bytes(words[0]))
    }

    /// The next `count` numbers, still as bytes.
    pub(crate) fn words(&mut self, count: usize) -> Result<&'a [[u8; 4]], DecodeError> {
        let bytes = self.bytes(count.checked_mul(4).ok_or(DecodeError::Length)?)?;
        Ok(bytes.as_chunks().0)
    }

    /// Reads what [`header`] writes after its first four bytes: the number of rows.
    pub(crate) fn rows(&mut self) -> Result<usize, DecodeError> {
        let rows = self.number()?;
        let zeros = self.bytes(HEADER - 8)?;
        if zeros.iter().any(|&byte| byte != 0) {
            return Err(DecodeError::Range { what: "reserved bytes" });
        }
        Ok(rows as usize)
    }

    /// Ends reading; whatever is left over is an error.
    pub(crate) fn end(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Length) }
    }
}
