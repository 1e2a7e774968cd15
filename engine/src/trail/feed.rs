//! Feeding the second sink: what the log has and the sink lacks is written there, in order, with the newest checkpoint.
//!
//! Invariant: the sink gets nothing that the log does not hold, and what it holds leads to the log's own chain. A sink that
//! knows of events which the log lacks, or of others in their places, is evidence that the log was cut or replaced: it is
//! left alone, and told.

use privacy::audit::{Event, Head, Log};

use super::block::{BLOCK, BLOCK_HEIGHT, split};
use super::log::{Book, Trail, replayed};
use super::sink::{Sink, Standing};
use crate::audit_line;
use crate::error::{Error, Result};

/// How long a sink that failed is left alone where nothing demands it, in milliseconds.
const RETRY_MS: u64 = 5_000;

/// How the second sink is.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SinkStanding {
    /// All events before this one are in it.
    pub through: u64,
    /// How many events of the log are not.
    pub behind: u64,
    /// What is wrong with it, if anything was when it was last written to.
    pub fault: Option<String>,
}

impl Trail {
    /// Has the log told a second time.
    pub fn also_told(mut self, sink: Option<Sink>) -> Self {
        self.sink = sink;
        self
    }

    /// How the second sink is; none if there is none.
    pub fn sink_standing(&self) -> Option<SinkStanding> {
        let standing = self.sink.as_ref()?.file.lock();
        let through = standing.log.as_ref().map_or(0, Log::size);
        let fault = standing.fault.as_ref().map(|(fault, _)| fault.clone());
        drop(standing);
        Some(SinkStanding { through, behind: self.size().saturating_sub(through), fault })
    }

    /// Brings a sink that is required up to the log, before anything more is told.
    ///
    /// # Errors
    /// Those of the sink: nothing is told then.
    pub(super) fn feed_required(&self, book: &Book, now_ms: u64) -> Result<()> {
        let Some(sink) = self.sink.as_ref().filter(|sink| sink.is_required()) else { return Ok(()) };
        let may_wait = {
            let standing = sink.file.lock();
            sink.lag_ms() > 0 && standing.log.is_some() && standing.fault.is_none()
        };
        if may_wait { Ok(()) } else { self.feed_now(sink, book, now_ms) }
    }

    /// Feeds the sink, if it is time; a failure is kept for whoever asks, and logged.
    pub(super) fn feed(&self, book: &Book, now_ms: u64) {
        let Some(sink) = &self.sink else { return };
        let is_due = {
            let mut standing = sink.file.lock();
            let since = *standing.waiting_since.get_or_insert(now_ms);
            let is_left_alone = standing.fault.as_ref().is_some_and(|(_, until)| now_ms < *until);
            !is_left_alone && now_ms.abs_diff(since) >= sink.lag_ms()
        };
        if is_due && let Err(error) = self.feed_now(sink, book, now_ms) {
            tracing::warn!(%error, "the audit log is not told a second time");
        }
    }

    /// Feeds the sink whatever waits, with the newest checkpoint.
    pub(super) fn feed_at_once(&self, book: &Book) {
        if let Some(sink) = &self.sink
            && let Err(error) = self.feed_now(sink, book, 0)
        {
            tracing::warn!(%error, "the audit log is not told a second time");
        }
    }

    fn feed_now(&self, sink: &Sink, book: &Book, now_ms: u64) -> Result<()> {
        let mut standing = sink.file.lock();
        match self.catch_up(sink, &mut standing, book) {
            Ok(()) => {
                (standing.fault, standing.waiting_since) = (None, None);
                Ok(())
            }
            Err(error) => {
                standing.fault = Some((error.to_string(), now_ms.saturating_add(RETRY_MS)));
                Err(error)
            }
        }
    }

    /// Writes what the sink lacks, block by block.
    fn catch_up(&self, sink: &Sink, standing: &mut Standing, book: &Book) -> Result<()> {
        if standing.log.is_none() {
            let found = sink.look(self.scope(), self.origin().lost())?;
            standing.log = Some(self.log_at(book, found.next, found.last.as_deref())?);
            standing.signed = if found.is_signed { found.next } else { 0 };
        }
        let place = (self.scope(), self.origin(), &self.verifying_key());
        while let Some(log) = standing.log.clone() {
            let mut lines = String::new();
            let mut next = log.clone();
            let is_signed = |log: &Log| log.size() == book.signed && log.size() > 0;
            let note = |log: &Log, lines: &mut String, signed: &mut u64| {
                if is_signed(log) && *signed != log.size() {
                    lines.push_str(&audit_line::checkpoint(&book.mark.note));
                    *signed = log.size();
                }
            };
            let mut signed = standing.signed;
            note(&next, &mut lines, &mut signed);
            let (block, at) = split(next.size());
            let stored;
            let events = if next.size() == book.log.size() {
                &[][..]
            } else if block == book.mark.roots.len() as u64 {
                book.open.get(at..).unwrap_or_default()
            } else {
                stored = self.block(book, block)?;
                stored.get(at..).unwrap_or_default()
            };
            for event in events {
                let told = replayed(&mut next, event)?;
                lines.push_str(&audit_line::event(event, told.as_ref(), &next));
                note(&next, &mut lines, &mut signed);
            }
            if lines.is_empty() {
                return Ok(());
            }
            sink.append(standing, place, &log, &lines)?;
            if signed != standing.signed {
                sink.rotate(standing);
            }
            (standing.log, standing.signed) = (Some(next), signed);
        }
        Ok(())
    }

    /// The log as it was before event `next`, whose last one a sink has as `last`.
    fn log_at(&self, book: &Book, next: u64, last: Option<&[u8]>) -> Result<Log> {
        let other = |what: &str| {
            Error::corrupt(format!(
                "the second audit sink {what}: the log, or the sink, was cut or replaced; compare them"
            ))
        };
        if next > book.log.size() {
            return Err(other("has events that the log lacks"));
        }
        let (block, at) = split(next);
        if block == book.mark.roots.len() as u64 && at == book.open.len() && last.is_none() {
            return Ok(book.log.clone());
        }
        // The block of the last event, which may be the one before.
        let (block, at) = if at == 0 && block > 0 { (block - 1, BLOCK) } else { (block, at) };
        let events = self.block(book, block)?;
        let roots = usize::try_from(block).ok().and_then(|block| book.mark.roots.get(..block)).unwrap_or_default();
        let chain = match events.first() {
            Some(first) => Head::decode(first).map_err(|_| other("cannot be compared"))?.previous,
            None => book.log.chain(),
        };
        let mut log = Log::over(chain, roots, BLOCK_HEIGHT).ok_or_else(|| other("cannot be compared"))?;
        let before = events.get(..at).ok_or_else(|| other("has events that the log lacks"))?;
        for event in before {
            replayed(&mut log, event)?;
        }
        if last.is_some() && last != before.last().map(Vec::as_slice) {
            return Err(other("has other events than the log"));
        }
        Ok(log)
    }

    /// The lines of an export of events from `start` on that lie in one block, `log` being the log before the first, which
    /// then is the one after the last; none past the end.
    pub fn lines(&self, log: &mut Log, through: u64) -> Result<String> {
        let (block, at) = split(log.size());
        let room = usize::try_from(through.saturating_sub(log.size())).unwrap_or(usize::MAX);
        let events = self.with_book(|book| self.block(book, block))?;
        let mut lines = String::new();
        for event in events.iter().skip(at).take(room) {
            let told: Option<Event> = replayed(log, event)?;
            lines.push_str(&audit_line::event(event, told.as_ref(), log));
        }
        Ok(lines)
    }
}
