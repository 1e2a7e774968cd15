//! Which operations fail, and with what. Invariant: a fault is decided by the number of an operation and its kind
//! alone, so that a run which failed can be had again.

use std::io;

/// What an operation does; [`Fault`]s choose by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// Creates a file.
    Create,
    /// Reads, maps or measures a file.
    Read,
    /// Lists a directory.
    List,
    /// Creates one directory.
    MakeDir,
    /// Renames a file.
    Rename,
    /// Removes a file or directory.
    Remove,
    /// Syncs a directory.
    SyncDir,
    /// Takes a lock.
    Lock,
    /// Appends to a file.
    Append,
    /// Overwrites a file with zeros.
    Overwrite,
    /// Syncs a file.
    Sync,
}

impl OperationKind {
    /// Whether the disk is different after it.
    pub fn changes(self) -> bool {
        !matches!(self, Self::Read | Self::List | Self::Lock)
    }
}

/// One operation of a run, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub kind: OperationKind,
    /// To which file or directory.
    pub path: String,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// EIO: the medium fails.
    Io,
    /// ENOSPC: there is no room.
    Full,
    /// EMFILE: the process has too many files open.
    TooManyFiles,
    /// Half of an append is written, the rest fails, and the half cannot be cut off.
    Short,
    /// EINTR.
    Interrupted,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Io, Self::Full, Self::TooManyFiles, Self::Short, Self::Interrupted];

    /// Whether an operation can fail in this way.
    pub fn strikes(self, operation: OperationKind) -> bool {
        use OperationKind::{Append, Create, List, Lock, MakeDir, Overwrite, Read, Rename, Sync, SyncDir};
        match self {
            Self::Io | Self::Interrupted => true,
            Self::Full => matches!(operation, Create | MakeDir | Rename | Append | Sync | SyncDir | Lock),
            Self::TooManyFiles => matches!(operation, Create | Read | List | SyncDir | Lock | Overwrite),
            Self::Short => operation == Append,
        }
    }

    pub(super) fn error(self) -> io::Error {
        use rustix::io::Errno;
        match self {
            Self::Io | Self::Short => Errno::IO,
            Self::Full => Errno::NOSPC,
            Self::TooManyFiles => Errno::MFILE,
            Self::Interrupted => Errno::INTR,
        }
        .into()
    }
}

/// A failure to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fault {
    /// Number of the operation that fails; operations are counted from 0.
    pub at: u64,
    /// How.
    pub kind: FaultKind,
    /// Whether every later operation that can fail in this way does.
    pub sticky: bool,
}

impl Fault {
    pub(super) fn strikes(&self, number: u64, operation: OperationKind) -> bool {
        (number == self.at || (self.sticky && number > self.at)) && self.kind.strikes(operation)
    }
}
