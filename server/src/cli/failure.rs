//! Why a command failed, and the exit code for it.
//!
//! Invariant: 1 is a failure, 2 wrong usage, 3 damaged or lost data, 4 an exhausted privacy budget; scripts rely on it.

use std::io;

use benches::{DrawError, RunError};
use engine::ErrorKind;

use super::jsonl::LineError;
use crate::config::ConfigError;
use crate::rest::ServeError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] engine::Error),
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The arguments contradict each other or the data.
    #[error("{0}")]
    Usage(String),
    /// The server did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A vector file cannot be read.
    #[error("the data set cannot be read")]
    Data(#[from] datasets::OpenError),
    /// A line of an import file cannot be stored.
    #[error(transparent)]
    Line(#[from] LineError),
    /// The engine refused records of an import.
    #[error("records {first} to {last} of the file were not stored, those before were")]
    Batch {
        /// Counted from 1.
        first: u64,
        /// Counted from 1.
        last: u64,
        /// Why.
        source: engine::Error,
    },
    /// A measurement could not be made.
    #[error(transparent)]
    Bench(#[from] RunError),
    /// A picture could not be drawn.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// Stored bytes are damaged.
    #[error("{0} problems were found")]
    Damaged(usize),
    /// The demonstration did not show what it should.
    #[error("CHECK FAILED: {0}")]
    Check(String),
    /// A file or the terminal cannot be read or written.
    #[error("{0}")]
    Io(&'static str, #[source] io::Error),
}

impl Failure {
    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) => 2,
            Self::Damaged(_) => 3,
            Self::Engine(error) | Self::Batch { source: error, .. } => match error.kind() {
                ErrorKind::Corrupt => 3,
                ErrorKind::BudgetExhausted => 4,
                _ => 1,
            },
            _ => 1,
        }
    }

    /// Whether whoever read the output simply stopped reading, as `head` does.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io(_, error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
