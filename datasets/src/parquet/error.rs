//! What can be wrong with a Parquet file, and with one of its rows.
//!
//! Invariant: columns are named by number, rows by position, and no value is shown. The lowest room here.

use parquet::errors::ParquetError;

/// Why a Parquet file cannot be read, or read on, or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Damaged, cut off, or not Parquet.
    #[error("the Parquet file is damaged, cut off, or cannot be written")]
    Format(#[from] ParquetError),
    /// A column that every record needs is missing.
    #[error("there is no column `{name}`")]
    NoColumn {
        /// As the caller named it.
        name: String,
    },
    /// A column cannot be part of a record.
    #[error("column {column} {what}")]
    Column {
        /// Counted from 1.
        column: usize,
        /// Why not.
        what: &'static str,
    },
    /// A column ends before the others do.
    #[error("row {row} is missing from column {column}: the file is damaged")]
    Short {
        /// Counted from 1.
        column: usize,
        /// Counted from 0.
        row: u64,
    },
}

/// Why a row is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column} {what}")]
pub struct Fault {
    /// Counted from 1.
    pub column: usize,
    /// What is wrong with its value.
    pub what: &'static str,
}
