//! Why bytes are no codes or graph.
//!
//! Invariant: reading is total. Any bytes give a value or a [`DecodeError`], and never more memory
//! than a small multiple of their length. A leaf, because codes, graphs and whatever they are read from fail with it.

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
