//! Journals: what an environment must not forget, as a log of sealed changes that begins with the whole.
//!
//! A journal is the log that the manifest names by its [`Mark`], with at least as many frames as that says: so neither a
//! log that goes missing nor one cut short at its end passes for a shorter one. The first frame holds the state as it was
//! when the log was made, each later one a change; storage interprets neither. A process continues no log of another, but
//! begins its own.
//!
//! ```text
//! <name>-<number>.log: frame log of sealed sections, bound to (kind, number, place)
//! ```

use std::io;

use minicbor::{Decode, Encode};
use privacy::{OpenError, Scope, SectionContext, SectionKey, SectionKind, open_section, seal_section};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::backend::Dir;
use crate::frame_log::{FrameLogError, FrameWriter, Header, LogKind, read_frames};

/// What a journal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// Who has revoked consent.
    Consent,
    /// Whose data must not be erased yet.
    Holds,
    /// What was spent of the privacy budgets.
    Budget,
    /// Who may do what: API keys and roles.
    Access,
}

impl Subject {
    /// Every subject there is.
    pub const ALL: [Subject; 4] = [Subject::Consent, Subject::Holds, Subject::Budget, Subject::Access];

    fn name(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Holds => "holds",
            Self::Budget => "budget",
            Self::Access => "access",
        }
    }

    fn kinds(self) -> (LogKind, SectionKind) {
        match self {
            Self::Consent => (LogKind::Consent, SectionKind::Consent),
            Self::Holds => (LogKind::Holds, SectionKind::Holds),
            Self::Budget => (LogKind::Budget, SectionKind::Budget),
            Self::Access => (LogKind::Access, SectionKind::Access),
        }
    }

    /// Name of the log of this number.
    pub fn file_name(self, number: u64) -> String {
        format!("{}-{number:020}.log", self.name())
    }

    /// The number in a log's name; none for any other name.
    pub fn file_number(self, file: &str) -> Option<u64> {
        let number = file.strip_prefix(self.name())?.strip_prefix('-')?.strip_suffix(".log")?.parse().ok()?;
        (self.file_name(number) == file).then_some(number)
    }
}

/// How far a journal has come: which log it is, and the least number of its frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Mark {
    /// The number of the log.
    #[n(0)]
    pub number: u64,
    /// Frames that were synced when this was written.
    #[n(1)]
    pub frames: u64,
}

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Bytes that were synced are not there, or are not what was written.
    #[error("{file} is damaged")]
    Damaged {
        /// Its name.
        file: String,
    },
    /// Written by a later version of lethedb.
    #[error("{file} has format {found}, newer than {max}, the newest known")]
    NewerFormat {
        /// Its name.
        file: String,
        /// The version in the file.
        found: u16,
        /// The newest version this build reads.
        max: u16,
    },
    /// The storage failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where the journals of an environment are, and what seals them: the durable key, since no epoch may take them along.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The environment's directory.
    pub dir: &'a Dir,
    /// The key of its manifests.
    pub key: &'a SectionKey,
    /// The environment.
    pub scope: Scope,
}

/// Reads a journal: the state with which its log begins, then every change in its order.
///
/// # Errors
/// [`JournalError`]; frames are missing where there are fewer than `mark` says.
pub fn read(place: Place<'_>, subject: Subject, mark: Mark) -> Result<Vec<Zeroizing<Vec<u8>>>, JournalError> {
    let file = subject.file_name(mark.number);
    let bytes = place.dir.read(&file)?;
    let damaged = || JournalError::Damaged { file: file.clone() };
    let frames = read_frames(&bytes, subject.kinds().0, mark.number).map_err(|error| match error {
        FrameLogError::Damaged { .. } => damaged(),
        FrameLogError::NewerFormat { found, max } => JournalError::NewerFormat { file: file.clone(), found, max },
    })?;
    if (frames.payloads.len() as u64) < mark.frames.max(1) {
        return Err(damaged());
    }
    let open = |(at, range)| {
        let sealed = bytes.get::<std::ops::Range<usize>>(range).unwrap_or_default();
        let opened = open_section(place.key, &context(place.scope, subject, mark.number, at), sealed);
        opened.map_err(|_: OpenError| damaged())
    };
    (0..).zip(frames.payloads).map(open).collect()
}

/// Writes a journal, for one caller at a time.
pub struct Journal {
    subject: Subject,
    /// The log of this process; none until its first change, and after a failure.
    log: Option<FrameWriter>,
    /// The newest log there may be, this process's or not.
    number: u64,
}

impl Journal {
    /// The journal that the manifest names, if it names one. Touches nothing.
    pub fn resume(subject: Subject, mark: Option<Mark>) -> Self {
        Self { subject, log: None, number: mark.map_or(0, |mark| mark.number) }
    }

    /// Writes a change down, synced, as part of the log of this process, or begins that log with `whole`, which the change
    /// is part of. The change counts from when a manifest with the [`Mark`] is committed.
    ///
    /// # Errors
    /// Those of the backend. Whether the change is in the log is then unknown; the next one begins another log.
    pub fn append(
        &mut self,
        place: Place<'_>,
        change: &[u8],
        whole: &[u8],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> io::Result<Mark> {
        let log = match self.log.take() {
            Some(log) => Ok((log, change)),
            None => self.begin(place.dir).map(|log| (log, whole)),
        };
        let (mut log, plain) = log?;
        let context = context(place.scope, self.subject, self.number, log.next_number());
        log.append(&seal_section(place.key, &context, plain, rng))?;
        log.sync()?;
        let mark = Mark { number: self.number, frames: log.next_number() };
        self.log = Some(log);
        Ok(mark)
    }

    fn begin(&mut self, dir: &Dir) -> io::Result<FrameWriter> {
        self.number += 1;
        let name = self.subject.file_name(self.number);
        // What has this name already is of an attempt that no manifest tells of.
        if dir.exists(&name)? {
            dir.remove(&name)?;
        }
        FrameWriter::create(dir, &name, &Header { kind: self.subject.kinds().0, number: self.number, base: 0 })
    }

    /// Removes every other log of the subject, which the caller does once the manifest names this one.
    ///
    /// # Errors
    /// Those of the backend.
    pub fn remove_others(&self, dir: &Dir) -> io::Result<()> {
        for name in dir.list()? {
            if self.subject.file_number(&name).is_some_and(|number| number != self.number) {
                dir.remove(&name)?;
            }
        }
        Ok(())
    }
}

fn context(scope: Scope, subject: Subject, file: u64, place: u64) -> SectionContext {
    SectionContext { scope, kind: subject.kinds().1, file, place }
}

#[cfg(test)]
mod tests;
