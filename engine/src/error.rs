//! The façade's one error: what the caller was doing, and a kind that says what to do next.
//!
//! Invariant: no message holds a vector, payload, key, token or entity id, because errors end in logs.
//! Errors of the rooms below stay small enums; here they are sorted by what a caller can do about them.

use std::{fmt, io};

use index::VectorError;
use privacy::{EntityError, OpenError, WindowError};
use storage::backend::Poisoned;
use storage::journal::JournalError;
use storage::manifest::ManifestError;
use storage::segment::SegmentError;
use storage::wal::{ReplayError, WalError};

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request itself is wrong: mend it.
    Invalid,
    /// The named thing does not exist.
    NotFound,
    /// The named thing exists in another shape.
    Conflict,
    /// The caller may not do this.
    Denied,
    /// Others must approve it first, or their votes are not good.
    Unapproved,
    /// The data was erased on purpose and cannot come back.
    Erased,
    /// The data subject withdrew consent: do not send it again.
    ConsentRevoked,
    /// A legal hold keeps the data: release it first, if you may.
    Held,
    /// The privacy budget does not allow this release.
    BudgetExhausted,
    /// A key is missing, wrong or destroyed: provide it.
    KeyUnavailable,
    /// Another process or task holds what is needed: retry later.
    Busy,
    /// The disk is full: make room, then retry.
    Full,
    /// The collection holds as much as its limits allow: delete something or raise them.
    LimitReached,
    /// A sync failed: the outcome of the last writes is unknown, restart.
    Poisoned,
    /// Stored bytes are damaged: restore or repair.
    Corrupt,
    /// The operating system refused an operation.
    Io,
    /// This build cannot do it, for example a newer format.
    Unsupported,
    /// The database was closed.
    Closed,
}

impl ErrorKind {
    /// The kind as stable snake case, for machine-readable answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::Unapproved => "unapproved",
            Self::Erased => "erased",
            Self::ConsentRevoked => "consent_revoked",
            Self::Held => "held",
            Self::BudgetExhausted => "budget_exhausted",
            Self::KeyUnavailable => "key_unavailable",
            Self::Busy => "busy",
            Self::Full => "full",
            Self::LimitReached => "limit_reached",
            Self::Poisoned => "poisoned",
            Self::Corrupt => "corrupt",
            Self::Io => "io",
            Self::Unsupported => "unsupported",
            Self::Closed => "closed",
        }
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// What of a request that is `Invalid` is wrong, where that has a code of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// A vector: its dimension, a number that is not finite, or a length that the metric cannot use.
    Vector,
    /// A number that is outside of what is allowed for it.
    Range,
}

/// An error of the engine: its kind, what was being done, and the cause if there is one.
pub struct Error {
    kind: ErrorKind,
    doing: String,
    source: Option<Source>,
    is_out_of_range: bool,
}

/// The kind of an operating-system error.
fn kind_of(error: &io::Error) -> ErrorKind {
    match error.kind() {
        _ if Poisoned::is(error) => ErrorKind::Poisoned,
        io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory => ErrorKind::Busy,
        // ENFILE and EMFILE: too many files are open now, which says nothing about this one.
        _ if matches!(error.raw_os_error(), Some(23 | 24)) => ErrorKind::Busy,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => ErrorKind::Full,
        _ => ErrorKind::Io,
    }
}

/// The result of every fallible operation of the façade.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error without a cause below it. `doing` is a full sentence without user data.
    pub(crate) fn new(kind: ErrorKind, doing: impl Into<String>) -> Self {
        Self { kind, doing: doing.into(), source: None, is_out_of_range: false }
    }

    pub(crate) fn invalid(doing: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, doing)
    }

    /// A number is outside of what is allowed for it.
    pub(crate) fn out_of_range(doing: impl Into<String>) -> Self {
        Self { is_out_of_range: true, ..Self::invalid(doing) }
    }

    pub(crate) fn corrupt(doing: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, doing)
    }

    pub(crate) fn with(kind: ErrorKind, doing: impl Into<String>, source: impl Into<Source>) -> Self {
        Self { kind, doing: doing.into(), source: Some(source.into()), is_out_of_range: false }
    }

    /// The same error, of a part that `place` names.
    pub(crate) fn within(self, place: &str) -> Self {
        Self { doing: format!("{place}: {}", self.doing), ..self }
    }

    /// An operating-system error met while `doing`; a full disk and a poisoned one have kinds of their own.
    pub(crate) fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::with(kind_of(&source), doing, source)
    }

    /// Its cause, if that is of this type.
    pub(crate) fn cause<T: std::error::Error + 'static>(&self) -> Option<&T> {
        self.source.as_deref()?.downcast_ref()
    }

    /// What of the request is wrong, where that is told apart.
    pub fn wrong(&self) -> Option<Wrong> {
        match self.cause::<VectorError>() {
            Some(_) => Some(Wrong::Vector),
            None => self.is_out_of_range.then_some(Wrong::Range),
        }
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)?;
        let mut cause = self.source.as_deref().map(|s| s as &dyn std::error::Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}({self})", self.kind)
    }
}

// The causes are already part of `Display`; offering them again as `source` would print them twice.
impl std::error::Error for Error {}

impl From<EntityError> for Error {
    fn from(error: EntityError) -> Self {
        Self::with(ErrorKind::Invalid, "the entity id is not usable", error)
    }
}

impl From<WindowError> for Error {
    fn from(error: WindowError) -> Self {
        Self::with(ErrorKind::Invalid, "the retention window is not usable", error)
    }
}

impl From<SegmentError> for Error {
    fn from(error: SegmentError) -> Self {
        let kind = match &error {
            SegmentError::NewerFormat { .. } => ErrorKind::Unsupported,
            SegmentError::Io(error) => kind_of(error),
            _ => ErrorKind::Corrupt,
        };
        Self::with(kind, "a segment cannot be read", error)
    }
}

impl From<WalError> for Error {
    fn from(error: WalError) -> Self {
        let kind = match &error {
            WalError::Refused { kind } => kind_of(&(*kind).into()),
            WalError::TooLarge { .. } => ErrorKind::Invalid,
            _ => ErrorKind::Poisoned,
        };
        Self::with(kind, "the write was not logged", error)
    }
}

impl From<ReplayError> for Error {
    fn from(error: ReplayError) -> Self {
        let kind = match &error {
            ReplayError::NewerFormat { .. } => ErrorKind::Unsupported,
            ReplayError::Io(error) => kind_of(error),
            _ => ErrorKind::Corrupt,
        };
        Self::with(kind, "the write-ahead log cannot be replayed", error)
    }
}

impl From<ManifestError> for Error {
    fn from(error: ManifestError) -> Self {
        let kind = match &error {
            ManifestError::NewerFormat { .. } => ErrorKind::Unsupported,
            ManifestError::Io(error) => kind_of(error),
            _ => ErrorKind::Corrupt,
        };
        Self::with(kind, "the manifest cannot be read", error)
    }
}

impl From<JournalError> for Error {
    fn from(error: JournalError) -> Self {
        let kind = match &error {
            JournalError::NewerFormat { .. } => ErrorKind::Unsupported,
            JournalError::Io(error) => kind_of(error),
            JournalError::Damaged { .. } => ErrorKind::Corrupt,
        };
        Self::with(
            kind,
            "a journal of consent, legal holds or privacy budgets cannot be read; put a whole copy of the file back into the directory of the environment",
            error,
        )
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        Self::with(ErrorKind::Corrupt, "sealed bytes do not open", error)
    }
}
