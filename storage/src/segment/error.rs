//! How opening or reading a segment's files can fail.
//!
//! Damage, a wrong key, an absent file and a newer format are four different answers, because four different things
//! are to be done about them.

use std::io;

use privacy::OpenError;

/// Why a file of a segment could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
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
    /// The file is sealed under another key or for another place.
    #[error("{file} does not open under this key")]
    WrongKey {
        /// Its name.
        file: String,
    },
    /// Written by a later version of lethedb.
    #[error("segment format {found} is newer than {max}, the newest known")]
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

impl SegmentError {
    pub(super) fn damaged(file: &str, what: &'static str) -> Self {
        Self::Damaged { file: file.to_owned(), what }
    }

    /// What it means that a sealed part did not open.
    pub(super) fn sealed(file: &str, what: &'static str, error: OpenError) -> Self {
        match error {
            OpenError::WrongKey => Self::WrongKey { file: file.to_owned() },
            OpenError::Damaged | OpenError::TooShort => Self::damaged(file, what),
        }
    }
}
