//! The patrol: the log hashed anew from its first event while nobody asks, a slice at a time.
//!
//! Invariant: a slice is one block, so that nobody waits for long, and the whole takes a hundredth of the time. What is
//! found stays found until a later round comes through without it: it is in the log, in the answers of the audit interface
//! and in the readiness of the server.

use privacy::audit::Log;

use super::block::{BLOCK, tree_of};
use super::log::{Trail, cut, replayed};
use super::round::AuditWatch;
use crate::error::{ErrorKind, Result};

/// How much longer the patrol rests than it works.
const REST: u64 = 99;
/// How long it works at a time, in microseconds.
const SHIFT_US: u64 = 50_000;

impl Trail {
    /// What the patrol knows.
    pub fn watch(&self) -> AuditWatch {
        let patrol = self.patrol.lock();
        AuditWatch { through: patrol.through, whole_at: patrol.whole_ms, fault: patrol.fault.clone() }
    }

    /// Hashes slices for as long as a shift is, if it is time; `every_ms` after a round began anew, the next one does.
    ///
    /// # Errors
    /// Those of reading; damage is no error, but found.
    pub fn patrol_due(&self, every_ms: u64, now_us: &dyn Fn() -> u64, stop: &dyn Fn() -> bool) -> Result<()> {
        let begun = now_us();
        if every_ms == 0 || self.patrol.lock().next_ms > begun / 1000 {
            return Ok(());
        }
        let mut is_whole = false;
        while !is_whole && !stop() && now_us().saturating_sub(begun) < SHIFT_US {
            is_whole = self.patrol(begun / 1000)?;
        }
        let now = now_us();
        let rest = now.saturating_sub(begun).saturating_mul(REST) / 1000;
        self.patrol.lock().next_ms = now / 1000 + if is_whole { every_ms } else { rest };
        Ok(())
    }

    /// Hashes the next slice; says whether the round came to its end.
    ///
    /// # Errors
    /// Those of reading; damage is no error, but found.
    pub fn patrol(&self, now_ms: u64) -> Result<bool> {
        let (block, mut log) = {
            let mut patrol = self.patrol.lock();
            let log = patrol.log.take().unwrap_or_else(|| Log::start(self.scope()));
            (patrol.block, log)
        };
        let looked = self.look_at(block, &mut log);
        let mut patrol = self.patrol.lock();
        match looked {
            Ok(false) => {
                (patrol.block, patrol.through) = (block + 1, log.size());
                patrol.log = Some(log);
                return Ok(false);
            }
            Ok(true) => (patrol.through, patrol.whole_ms, patrol.fault) = (log.size(), Some(now_ms), None),
            Err(ref error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(%error, "the audit log is not what was told");
                patrol.fault = Some(error.to_string());
            }
            Err(_) => {}
        }
        (patrol.log, patrol.block) = (None, 0);
        match looked {
            Err(error) if error.kind() != ErrorKind::Corrupt => Err(error),
            _ => Ok(true),
        }
    }

    /// Reads a block and takes it into `log`; says whether it was the open one.
    fn look_at(&self, block: u64, log: &mut Log) -> Result<bool> {
        let at = usize::try_from(block).unwrap_or(usize::MAX);
        if let Some(root) = self.with_book(|book| Ok(book.mark.roots.get(at).copied()))? {
            // It never changes again, so nobody need wait for this.
            let events = self.stored(block)?;
            if (events.len(), tree_of(&events).root()) != (BLOCK, root) {
                return Err(cut(&format!("block {block} does not hold the events that were signed")));
            }
            events.iter().try_for_each(|event| replayed(log, event).map(drop))?;
            return Ok(false);
        }
        self.check_anchors()?;
        let is_open = self.with_book(|book| {
            // It may have been closed meanwhile, and is looked at once more then.
            if book.mark.roots.len() as u64 != block {
                return Ok(false);
            }
            for event in self.stored(block)? {
                replayed(log, &event)?;
            }
            if *log == book.log {
                Ok(true)
            } else {
                Err(cut("the disk does not hold the events that this process told or read"))
            }
        })?;
        if is_open { Ok(true) } else { self.look_at(block, log) }
    }
}
