//! Checking files of the audit log offline: with the public key alone, without the database.
//!
//! Invariant: a file passes only if every line of it is what the writer wrote for an event that follows on the one before,
//! and every checkpoint in it was signed over exactly the events that stand before it. What no checkpoint covers yet is
//! counted, and said.

use privacy::VerifyingKey;
use privacy::audit::{Checkpoint, Hash, Log, Origin};
use serde::Serialize;

use crate::audit_event::unhex;
use crate::audit_line::{self, Head, Line};
use crate::error::{Error, ErrorKind, Result};

/// A check of one file, or of several that go on from each other, fed line by line.
pub struct AuditCheck {
    key: Option<VerifyingKey>,
    /// A checkpoint that was kept elsewhere: the files must lead to it.
    kept: Option<String>,
    state: Option<State>,
    line: u64,
}

struct State {
    origin: Origin,
    key: VerifyingKey,
    first: u64,
    log: Log,
    /// Where the file before ended, if this one begins earlier: it must come by there.
    due: Option<Log>,
    signed: Option<Checkpoint>,
    /// What was kept elsewhere, until the files come by there.
    kept: Option<Checkpoint>,
    unread: u64,
}

/// What a check found: all of it is as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFileReport {
    /// The name of the log.
    pub log: String,
    /// The first event that the files hold.
    pub from: u64,
    /// All before this one are there.
    pub through: u64,
    /// All before this one are covered by a signed checkpoint.
    pub signed_through: u64,
    /// Events whose meaning only a later version knows; they are in their places.
    pub unread: u64,
    /// The public key that signed, in hex.
    pub key: String,
    /// Whether that key is only what the file itself says it is.
    pub is_key_claimed: bool,
}

impl AuditCheck {
    /// A check against this key; without one, against the key that the first file names, which whoever forged the file
    /// would have forged, too.
    pub fn new(key: Option<VerifyingKey>) -> Self {
        Self { key, kept: None, state: None, line: 0 }
    }

    /// The files must lead to this checkpoint, which was kept elsewhere: that nothing was cut off their end.
    #[must_use]
    pub fn reaching(mut self, note: impl Into<String>) -> Self {
        self.kept = Some(note.into());
        self
    }

    /// Takes in the next line, without its end.
    ///
    /// # Errors
    /// `Corrupt`, naming the line, where it is not what was written there; `Invalid` for a key that is none.
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.line += 1;
        let number = self.line;
        let wrong = |what: &str| Error::corrupt(format!("line {number} of the audit file {what}"));
        match (Line::read(text).ok_or_else(|| wrong("is no line of one"))?, &mut self.state) {
            (Line::Head(head), state) => {
                let next = begin(&head, self.key, self.kept.as_deref())
                    .map_err(|error| error.within(&format!("line {number}")))?;
                *state = Some(match state.take() {
                    None => next,
                    Some(before) => {
                        before.go_on(next).ok_or_else(|| wrong("does not go on where the lines before end"))?
                    }
                });
                Ok(())
            }
            (_, None) => Err(wrong("stands before any head of a file")),
            (Line::Event(bytes), Some(state)) => state.event(text, &bytes).map_err(|error| match error {
                Some(error) => Error::with(ErrorKind::Corrupt, format!("line {number} of the audit file"), error),
                None => wrong("was changed"),
            }),
            (Line::Checkpoint(note), Some(state)) => match Checkpoint::open(&note, &state.origin, &state.key) {
                Ok(checkpoint) if checkpoint == state.log.checkpoint() && state.signed != Some(checkpoint) => {
                    state.signed = Some(checkpoint);
                    Ok(())
                }
                Ok(_) => Err(wrong("is a checkpoint of other events than those before it")),
                Err(error) => Err(Error::with(ErrorKind::Corrupt, format!("line {number} of the audit file"), error)),
            },
        }
    }

    /// Ends the check.
    ///
    /// # Errors
    /// `Corrupt` where the files end before a checkpoint that they must lead to, or have none at all.
    pub fn finish(self) -> Result<AuditFileReport> {
        let cut = |what: &str| Error::corrupt(format!("the audit file was cut: {what}"));
        let state = self.state.ok_or_else(|| cut("it has no head"))?;
        if state.due.is_some() {
            return Err(cut("its last part ends before the one before it does"));
        }
        if state.kept.is_some_and(|kept| kept.size < state.first) {
            let doing = "the checkpoint that was kept elsewhere is of events before the audit file; check the earlier ones, too";
            return Err(Error::invalid(doing));
        }
        if state.kept.is_some_and(|kept| kept.size > state.log.size()) {
            return Err(cut("it ends before the checkpoint that was kept elsewhere"));
        }
        if state.kept.is_some() {
            return Err(Error::corrupt(
                "the audit file holds other events than the checkpoint that was kept elsewhere",
            ));
        }
        let signed = state.signed.ok_or_else(|| cut("no signed checkpoint is in it"))?;
        Ok(AuditFileReport {
            log: state.origin.as_str().to_owned(),
            from: state.first,
            through: state.log.size(),
            signed_through: signed.size,
            unread: state.unread,
            key: state.key.to_string(),
            is_key_claimed: self.key.is_none(),
        })
    }
}

/// What a head says, checked as far as it can be by itself.
fn begin(head: &Head, key: Option<VerifyingKey>, kept: Option<&str>) -> Result<State> {
    let wrong = || Error::corrupt("the head of the audit file was changed");
    let claimed: Hash = unhex(&head.key).and_then(|key| key.try_into().ok()).ok_or_else(wrong)?;
    let key = key.unwrap_or(VerifyingKey(claimed));
    if key.0 != claimed {
        return Err(Error::corrupt("the audit file is signed by another key than the one asked for"));
    }
    let (scope, origin) = Origin::parse(&head.log).ok_or_else(wrong)?;
    let log = unhex(&head.watermark).and_then(|watermark| Log::claimed(&watermark).ok()).ok_or_else(wrong)?;
    if log.size() != head.first || (head.first == 0 && log != Log::start(scope)) {
        return Err(wrong());
    }
    let kept = kept.map(|note| Checkpoint::open(note, &origin, &key));
    let kept = kept.transpose().map_err(|error| {
        Error::with(ErrorKind::Invalid, "the checkpoint that was kept elsewhere is not of this log", error)
    })?;
    let mut state = State { origin, key, first: head.first, log, due: None, signed: None, kept, unread: 0 };
    state.come_by();
    Ok(state)
}

type Damage = Option<privacy::audit::ReplayError>;

impl State {
    /// The state of a file that goes on from this one; none if it does not.
    fn go_on(self, next: Self) -> Option<Self> {
        if self.due.is_some() || next.origin != self.origin || next.first > self.log.size() {
            return None;
        }
        // What was never synced may stand in two files.
        let due = (next.first < self.log.size()).then_some(self.log.clone());
        if due.is_none() && next.log != self.log {
            return None;
        }
        // They are told once more, and so is the checkpoint over them.
        let signed = self.signed.filter(|_| due.is_none());
        Some(Self { first: self.first.min(next.first), due, signed, kept: self.kept, unread: self.unread, ..next })
    }

    fn event(&mut self, text: &str, bytes: &[u8]) -> Result<(), Damage> {
        let event = self.log.replay(bytes).map_err(Some)?;
        let expected = audit_line::event(bytes, event.as_ref(), &self.log);
        if !audit_line::is_whole(event.as_ref()) {
            self.unread += 1;
        } else if expected.trim_end() != text {
            return Err(None);
        }
        match &self.due {
            Some(due) if due.size() == self.log.size() => {
                if *due != self.log {
                    return Err(None);
                }
                self.due = None;
            }
            _ => {}
        }
        self.come_by();
        Ok(())
    }

    /// Strikes off the checkpoint that was kept elsewhere, once the files lead to it.
    fn come_by(&mut self) {
        if self.kept.is_some_and(|kept| kept.size == self.log.size() && kept == self.log.checkpoint()) {
            self.kept = None;
        }
    }
}
