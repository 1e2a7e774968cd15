//! Why a command failed, and the exit code for it.
//!
//! Invariant: 1 is a failure, 2 wrong usage, 3 damaged or lost data, 4 an exhausted privacy budget; scripts rely on it.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use benches::{DrawError, RunError};
use engine::ErrorKind;

use crate::config::ConfigError;
use crate::grpc::DoorError;
use crate::json;
use crate::rest::{ServeError, TlsError};

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
    /// A server that is running did not do it.
    #[error("{0}")]
    Refused(String),
    /// The server did not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// It has no gRPC.
    #[error(transparent)]
    Grpc(#[from] DoorError),
    /// The server cannot prove who it is.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A vector file cannot be read.
    #[error("the data set cannot be read")]
    Data(#[from] datasets::OpenError),
    /// A Parquet file cannot be read or written.
    #[error(transparent)]
    Parquet(#[from] datasets::parquet::Error),
    /// The engine refused a batch of an import.
    #[error("a batch of records was not stored, those before were")]
    Batch {
        /// Why.
        source: engine::Error,
    },
    /// Rows of an import are no records.
    #[error("{} rejected; {} says which and why", json::count(*count, unit), path.display())]
    Rejected {
        /// How many.
        count: u64,
        /// What they are.
        unit: &'static str,
        /// Where they are listed.
        path: PathBuf,
    },
    /// Segments are damaged, so that not all records can be read.
    #[error("damaged segments hold records that cannot be read: {}", .0.join(", "))]
    Partial(Vec<String>),
    /// A collection was written to while it was exported.
    #[error("the collection changed while it was read: export it again")]
    Changed,
    /// A measurement could not be made.
    #[error(transparent)]
    Bench(#[from] RunError),
    /// A picture could not be drawn.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// A file of the audit log is not what was written.
    #[error("{file}: {source}")]
    Altered {
        /// As the argument has it.
        file: String,
        /// What is wrong.
        source: engine::Error,
    },
    /// Stored bytes are damaged.
    #[error("{0} problems were found")]
    Damaged(usize),
    /// The demonstration did not show what it should.
    #[error("CHECK FAILED: {0}")]
    Check(String),
    /// What was asked for is not there.
    #[error("not found: {}", .0.join(", "))]
    Missing(Vec<String>),
    /// A file that an argument names cannot be read or written.
    #[error("{}", unusable(.file, .source))]
    File {
        /// As the argument has it.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// A file or the terminal cannot be read or written.
    #[error("{0}")]
    Io(&'static str, #[source] io::Error),
}

/// What is told of a file, before the reason.
fn unusable(file: &str, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AlreadyExists => format!("{file} is there already, and nothing is written over it"),
        _ => format!("{file} cannot be read or written"),
    }
}

impl Failure {
    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Config(_) => 2,
            Self::Damaged(_) | Self::Partial(_) | Self::Altered { .. } => 3,
            Self::Engine(error) | Self::Batch { source: error } => match error.kind() {
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

/// The error and what caused it, each told once: some libraries repeat the cause in their own text.
pub fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.ends_with(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}
