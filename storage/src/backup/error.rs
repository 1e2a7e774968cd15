//! How reading a backup can fail: damage, a wrong key, an absent file and a newer format are different answers.

use std::io;

/// Why a file of a backup could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is not there.
    #[error("{file} is missing")]
    Missing {
        /// Its name.
        file: String,
    },
    /// The bytes are not what was written.
    #[error("{file} is damaged: {what}")]
    Damaged {
        /// Its name.
        file: String,
        /// The part that makes no sense.
        what: &'static str,
    },
    /// It is sealed under another key or for another environment or number.
    #[error("{file} does not open under this key: it is of another environment, or of one that had other keys")]
    WrongKey {
        /// Its name.
        file: String,
    },
    /// Written by a later version of lethedb.
    #[error("backup format {found} is newer than {max}, the newest known")]
    NewerFormat {
        /// The version in the file.
        found: u16,
        /// The newest version this build reads.
        max: u16,
    },
    /// The storage failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}
