//! Reading a log back: its entries in order, or the reason why they cannot be relied on. Nothing is changed on disk;
//! what a crash tore off the end is left out and counted. Only whoever asks for a salvage gets what is left of a damaged
//! log.

use std::io;

use privacy::{OpenError, Scope, SectionKey, open_section};

use super::entry::Entry;
use super::writer::{frame_context, wal_name};
use crate::backend::Dir;
use crate::frame_log::{FRAME_HEADER_LEN, FrameLogError, HEADER_LEN, LogKind, read_frames, salvage_frames};
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
    if frames.torn_bytes == bytes.len() as u64 {
        // A log is named only once its header is durable: without one, it was damaged since.
        return Err(damaged(0));
    }
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

/// What is left of a log.
#[derive(Debug)]
pub struct Salvaged {
    /// Entries that open, in the order of their sequences.
    pub entries: Vec<(Sequence, Entry)>,
    /// What is missing; none if the log is as it was written.
    pub loss: Option<Loss>,
}

/// What is missing from a damaged log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Frames that were written and do not open.
    pub frames: u64,
    /// Bytes of them, and of what else is damaged.
    pub bytes: u64,
    /// The least sequence a lost write can have, and the greatest where a later write tells it.
    pub sequences: Option<(Sequence, Option<Sequence>)>,
    /// The greatest sequence that may have been given out.
    pub last: Sequence,
}

/// Reads every entry of log `number` that still opens, before and after the damage. The loss is none for a log that
/// [`replay`] reads.
///
/// # Errors
/// [`ReplayError::NewerFormat`] and [`ReplayError::Io`]; damage is none, and neither is a log that is not there.
pub fn salvage(dir: &Dir, number: u64, key: &SectionKey, scope: Scope) -> Result<Salvaged, ReplayError> {
    match replay(dir, number, key, scope) {
        Ok(replay) => return Ok(Salvaged { entries: replay.entries, loss: None }),
        Err(ReplayError::Missing { .. }) => return Ok(Salvaged { entries: Vec::new(), loss: Some(Loss::default()) }),
        Err(ReplayError::Damaged { .. } | ReplayError::WrongKey { .. }) => {}
        Err(error) => return Err(error),
    }
    let bytes = dir.read(&wal_name(number))?;
    let remains = salvage_frames(&bytes, LogKind::Wal, number).map_err(|error| match error {
        FrameLogError::NewerFormat { found, max } => ReplayError::NewerFormat { found, max },
        FrameLogError::Damaged { offset } => ReplayError::Damaged { file: dir.path(&wal_name(number)), offset },
    })?;
    let mut loss = Loss { last: remains.base.unwrap_or_default(), ..Loss::default() };
    let mut entries = Vec::with_capacity(remains.frames.len());
    let mut next = 0;
    let mut kept = if remains.base.is_some() { HEADER_LEN } else { 0 };
    let mut end = kept;
    for (frame, payload) in remains.frames {
        let sealed = bytes.get(payload.clone()).unwrap_or_default();
        let plain = open_section(key, &frame_context(scope, number, frame), sealed).ok();
        let entry = plain.and_then(|plain| Entry::decode(&plain).ok());
        let Some((sequence, entry)) = entry.filter(|(sequence, _)| *sequence > loss.last) else { continue };
        if frame > next {
            loss.add(frame - next, Some(sequence - 1));
        }
        next = frame + 1;
        kept += FRAME_HEADER_LEN + payload.len();
        end = payload.end;
        loss.last = sequence;
        entries.push((sequence, entry));
    }
    let mut torn = bytes.len() - end;
    if remains.written > next {
        loss.add(remains.written - next, None);
        loss.last += remains.written - next;
        torn = 0;
    }
    loss.bytes = (bytes.len() - kept - torn) as u64;
    Ok(Salvaged { entries, loss: Some(loss) })
}

impl Loss {
    /// Notes `frames` lost after the write `last`, the next that is left being the one after `through`.
    fn add(&mut self, frames: u64, through: Option<Sequence>) {
        self.frames += frames;
        let first = self.sequences.map_or(self.last + 1, |(first, _)| first);
        self.sequences = Some((first, through));
    }
}
