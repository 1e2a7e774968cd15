//! Reading a log back: its entries in order, or the reason why they cannot be relied on. Nothing is changed on disk;
//! what a crash tore off the end is left out and counted.

use std::io;

use privacy::{OpenError, Scope, SectionKey, open_section};

use super::entry::Entry;
use super::writer::{frame_context, wal_name};
use crate::backend::Dir;
use crate::frame_log::{FRAME_HEADER_LEN, FrameLogError, LogKind, read_frames};
use crate::id::{NUMBER_MAX, Sequence};

/// What a log holds.
#[derive(Debug)]
pub struct Replay {
    /// The last sequence that was durable when the log was created. A log or manifest before it that ends earlier has
    /// lost something; 0 if the log's creation never finished.
    pub base: Sequence,
    /// Entries in the order of their sequences, all above `base`.
    pub entries: Vec<(Sequence, Entry)>,
    /// Bytes cut off the end: entries that nobody was told were durable.
    pub torn_bytes: u64,
}

/// Why a log cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such log.
    #[error("log {number} is missing")]
    Missing {
        /// The log's number.
        number: u64,
    },
    /// Something that was durable is damaged.
    #[error("{file} is damaged at byte {offset}")]
    Damaged {
        /// Path of the log inside the data directory.
        file: String,
        /// Where the first bad frame begins.
        offset: u64,
    },
    /// Written by a later version.
    #[error("log format {found} is newer than {max}, the newest known")]
    NewerFormat {
        /// The version in the log's header.
        found: u16,
        /// The newest version this build reads.
        max: u16,
    },
    /// The log is intact but sealed under another key or for another place.
    #[error("the key does not open log {number}")]
    WrongKey {
        /// The log's number.
        number: u64,
    },
    /// Reading failed.
    #[error("reading a log")]
    Io(#[from] io::Error),
}

/// Reads log `number` of `dir`, sealed under `key`.
///
/// # Errors
/// [`ReplayError`].
pub fn replay(dir: &Dir, number: u64, key: &SectionKey, scope: Scope) -> Result<Replay, ReplayError> {
    let name = wal_name(number);
    let damaged = |offset: u64| ReplayError::Damaged { file: dir.path(&name), offset };
    let bytes = dir.read(&name).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ReplayError::Missing { number },
        _ => ReplayError::Io(error),
    })?;
    let frames = read_frames(&bytes, LogKind::Wal, number).map_err(|error| match error {
        FrameLogError::Damaged { offset } => damaged(offset),
        FrameLogError::NewerFormat { found, max } => ReplayError::NewerFormat { found, max },
    })?;
    let mut entries = Vec::with_capacity(frames.payloads.len());
    let mut last = frames.base;
    for (frame, payload) in (0..).zip(frames.payloads) {
        let offset = payload.start.saturating_sub(FRAME_HEADER_LEN) as u64;
        let sealed = bytes.get(payload).unwrap_or_default();
        let plain = open_section(key, &frame_context(scope, number, frame), sealed).map_err(|error| match error {
            OpenError::WrongKey => ReplayError::WrongKey { number },
            OpenError::Damaged | OpenError::TooShort => damaged(offset),
        })?;
        let (sequence, entry) = Entry::decode(&plain).map_err(|_| damaged(offset))?;
        if sequence <= last || sequence > NUMBER_MAX {
            return Err(damaged(offset));
        }
        last = sequence;
        entries.push((sequence, entry));
    }
    Ok(Replay { base: frames.base, entries, torn_bytes: frames.torn_bytes })
}
