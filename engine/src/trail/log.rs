//! The trail: the log in memory, and how an event becomes durable before it counts.
//!
//! Invariant: what the log in memory holds is on the disk, in its order; what is signed is on the disk, and an anchor store
//! never keeps a checkpoint of more. A tell that fails changes nothing, but that its event may be found at the next opening,
//! whose outcome nobody was told. Opening refuses a log that is shorter than what was signed, or other than it.

use std::collections::BTreeMap;

use privacy::audit::{Act, Checkpoint, Entry, Event, Frontier, Hash, Log, Origin, Standing, leaf_hash, root_at};
use privacy::{Scope, VerifyingKey};
use storage::sync::Mutex;

use super::block::{self, AUDIT, BLOCK, BLOCK_HEIGHT, BlockWriter, Place, split, tree_of};
use super::home::Home;
use super::mark::{self, Mark, is_of_earlier, open_note};
use super::round::Round;
use super::sink::Sink;
use crate::entropy::generator;
use crate::error::{Error, ErrorKind, Result};

/// How long an event waits to be signed for, in milliseconds, while upkeep runs.
const PATIENCE_MS: u64 = 60_000;

/// The audit log of an environment.
pub(crate) struct Trail {
    pub(super) home: Home,
    pub(super) book: Mutex<Book>,
    /// Where it is told a second time. Its lock is taken after the book's.
    pub(super) sink: Option<Sink>,
    pub(super) patrol: Mutex<Round>,
}

/// What is kept of the log.
pub(super) struct Book {
    pub log: Log,
    /// The events of the open block.
    pub open: Vec<Vec<u8>>,
    /// The mark, which may be behind the log.
    pub mark: Mark,
    /// How many events the newest checkpoint signs.
    pub signed: u64,
    /// The file of the open block; `None` until this process tells something.
    writer: Option<BlockWriter>,
    /// Through which write the batches of each collection were told.
    told: BTreeMap<[u8; 16], u64>,
    /// The last row of the ledger of privacy budgets that was told.
    pub ledger: u64,
    /// Whether this process told anything.
    has_told: bool,
    /// The lock on the data directory is given up: nothing is written any more.
    is_closed: bool,
    /// When the first event was told that is not signed for, in milliseconds since the Unix epoch.
    unsigned_since: Option<u64>,
}

impl Trail {
    /// Opens the log, or one without events if there is none. Reads the mark, the open block and the anchor stores;
    /// changes nothing on disk.
    ///
    /// # Errors
    /// `Corrupt` if events are missing or others than those that were signed.
    pub fn open(home: Home) -> Result<Self> {
        let key = home.signing.verifying_key();
        let place = place(&home);
        let names = home.dir.list().map_err(|e| Error::io("the audit log cannot be listed", e))?;
        let (signed, mark) = mark::newest(&place, &names)?.unwrap_or_default();
        let log = mark.log(home.scope, &home.origin, &key)?;
        let mut book = Book::new(log, mark, signed);
        let open_block = book.mark.roots.len() as u64;
        let found = block::blocks(&names);
        if let Some(missing) = (0..open_block).find(|block| found.binary_search(block).is_err()) {
            return Err(cut(&format!("block {missing} of its events is missing")));
        }
        if found.last().is_some_and(|last| *last > open_block) {
            return Err(cut("the mark, which says what was signed, is older than its events"));
        }
        for event in block::read(&place, open_block, &block::generations(&names, open_block))? {
            book.replay(event)?;
            if book.log.size() == signed {
                book.check_mark(&home.origin, &key)?;
            }
        }
        if book.log.size() < signed {
            return Err(cut(&format!("{} events are gone that were signed", signed - book.log.size())));
        }
        let trail = Self::of(home, book);
        trail.check_anchors()?;
        Ok(trail)
    }

    /// A log without events, whatever lies in its directory; nothing may be told before [`Trail::set_aside`].
    pub fn unread(home: Home) -> Self {
        let book = Book::new(Log::start(home.scope), Mark::default(), 0);
        Self::of(home, book)
    }

    fn of(home: Home, book: Book) -> Self {
        Self { home, book: Mutex::new(book), sink: None, patrol: Mutex::default() }
    }

    /// Removes what a crash left of marks, and makes room in the anchor stores for checkpoints of this log.
    pub fn settle(&self) -> Result<()> {
        self.set_earlier_aside()?;
        mark::remove_unfinished(&self.home.dir, self.book.lock().signed)
    }

    /// Holds the log against every checkpoint that an anchor store keeps.
    ///
    /// # Errors
    /// `Corrupt` if the log is shorter than one, or was another then.
    pub fn check_anchors(&self) -> Result<()> {
        let key = self.verifying_key();
        for store in &self.home.anchors {
            let kept =
                store.checkpoint().map_err(|e| Error::io("the checkpoint in an anchor store cannot be read", e))?;
            let Some(note) = kept.filter(|note| !is_of_earlier(note, &self.home.origin, self.home.scope, &key)) else {
                continue;
            };
            let checkpoint = open_note(&note, &self.home.origin, &key)?;
            let book = self.book.lock();
            let root_at = |size| root_at(size, &mut |start, height| self.perfect(&book, start, height));
            match checkpoint.standing(book.log.size(), root_at)? {
                Standing::Same | Standing::Grown { .. } => {}
                Standing::Truncated { missing } => {
                    return Err(cut(&format!("an anchor store keeps a checkpoint of at least {missing} more events")));
                }
                Standing::Rewritten => {
                    return Err(Error::corrupt(
                        "the audit log is not the one whose checkpoint an anchor store keeps: its events were replaced; restore the directory audit/ of the environment",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Appends what `entries` tell, in this order; durable when it returns. Gives the places of the events.
    ///
    /// # Errors
    /// Those of the disk. Then none of the acts counts as told; some may be found at the next opening.
    pub fn tell(&self, entries: Vec<Entry>) -> Result<Vec<u64>> {
        let mut book = self.book.lock();
        book.check_open()?;
        let now_ms = entries.first().map_or(0, |entry| entry.time_ms);
        self.feed_required(&book, now_ms)?;
        let mut rng = generator(&*self.home.entropy)?;
        let mut places = Vec::with_capacity(entries.len());
        let (mut entries, mut first) = (entries.into_iter().peekable(), None);
        while entries.peek().is_some() {
            self.close_block(&mut book)?;
            let (mut log, mut events) = (book.log.clone(), Vec::new());
            let (mut told, mut ledger) = (book.told.clone(), book.ledger);
            let room = BLOCK - book.open.len();
            for entry in entries.by_ref().take(room) {
                first.get_or_insert(entry.time_ms);
                note_told(&mut told, &mut ledger, &entry.act);
                places.push(log.size());
                let appended = log.append(entry);
                events.push(appended.event);
                log = appended.next;
            }
            let place = place(&self.home);
            if book.writer.as_ref().is_none_or(BlockWriter::is_spent) {
                let names = self.home.dir.list().map_err(|e| Error::io("the audit log cannot be listed", e))?;
                let block = book.mark.roots.len() as u64;
                let older = block::generations(&names, block);
                book.writer = Some(BlockWriter::begin(&place, block, &older, &book.open, &mut rng)?);
            }
            if let Some(writer) = &mut book.writer {
                writer.append(&place, &events, &mut rng)?;
            }
            (book.log, book.told, book.ledger, book.has_told) = (log, told, ledger, true);
            book.unsigned_since = book.unsigned_since.or(first);
            book.open.append(&mut events);
        }
        if let Err(error) = self.close_block(&mut book) {
            // The events are durable. It is tried again before the next one.
            tracing::warn!(%error, "a full block of the audit log is not signed yet");
        }
        self.feed(&book, now_ms);
        Ok(places)
    }

    /// Signs the log as it is, if it grew since the last time, for this directory and for every anchor store.
    pub fn checkpoint(&self) -> Result<()> {
        let mut book = self.book.lock();
        self.sign(&mut book)?;
        self.feed_at_once(&book);
        Ok(())
    }

    /// Signs the log for the last time; nothing is told after that.
    pub fn close(&self) -> Result<()> {
        let mut book = self.book.lock();
        let signed = self.sign(&mut book);
        self.feed_at_once(&book);
        book.is_closed = true;
        signed
    }

    /// [`Trail::checkpoint`], if something told has waited for it for a minute.
    pub fn checkpoint_due(&self, now_ms: u64) -> Result<()> {
        let since = self.book.lock().unsigned_since;
        if since.is_some_and(|since| now_ms.abs_diff(since) >= PATIENCE_MS) {
            return self.checkpoint();
        }
        self.feed(&self.book.lock(), now_ms);
        Ok(())
    }

    /// Whether this process told anything yet.
    pub fn has_told(&self) -> bool {
        self.book.lock().has_told
    }

    /// How many events there are.
    pub fn size(&self) -> u64 {
        self.book.lock().log.size()
    }

    /// Through which write batches into this collection were told.
    pub fn told(&self, collection: &[u8; 16]) -> u64 {
        self.book.lock().told.get(collection).copied().unwrap_or_default()
    }

    /// What checkpoints are checked with.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.home.signing.verifying_key()
    }

    /// The name of the log, under which it is signed.
    pub fn origin(&self) -> &Origin {
        &self.home.origin
    }

    pub(super) fn scope(&self) -> Scope {
        self.home.scope
    }

    pub(super) fn with_book<T>(&self, look: impl FnOnce(&Book) -> Result<T>) -> Result<T> {
        look(&self.book.lock())
    }

    /// The events of a block as they are on disk, or in memory if it is the open one, hashed now: they are what was
    /// signed.
    pub(super) fn block(&self, book: &Book, block: u64) -> Result<Vec<Vec<u8>>> {
        let Some(root) = usize::try_from(block).ok().and_then(|block| book.mark.roots.get(block)) else {
            return Ok(book.open.clone());
        };
        let events = self.stored(block)?;
        if (events.len(), tree_of(&events).root()) == (BLOCK, *root) {
            return Ok(events);
        }
        Err(cut(&format!("block {block} does not hold the events that were signed")))
    }

    /// The events of a block as they are on disk, whatever was signed.
    pub(super) fn stored(&self, block: u64) -> Result<Vec<Vec<u8>>> {
        let names = self.home.dir.list().map_err(|e| Error::io("the audit log cannot be listed", e))?;
        block::read(&place(&self.home), block, &block::generations(&names, block))
    }

    /// The root of the perfect tree over `2^height` events from `start` on.
    pub(super) fn perfect(&self, book: &Book, start: u64, height: u32) -> Result<Hash> {
        let (block, at) = split(start);
        let mut tree = Frontier::new();
        match height.checked_sub(BLOCK_HEIGHT) {
            Some(above) => {
                let roots = book.mark.roots.iter().skip(usize::try_from(block).unwrap_or(usize::MAX));
                roots.take(1 << above).for_each(|root| tree.append(*root));
            }
            None => {
                let events = self.block(book, block)?;
                events.iter().skip(at).take(1 << height).for_each(|event| tree.append(leaf_hash(event)));
            }
        }
        Ok(tree.root())
    }

    /// Closes the open block if it is full, which signs the log.
    fn close_block(&self, book: &mut Book) -> Result<()> {
        if book.open.len() < BLOCK {
            return Ok(());
        }
        let mut next = book.mark.clone();
        next.roots.push(tree_of(&book.open).root());
        next.boundary = (self.note(&book.log.checkpoint()), book.log.watermark());
        self.publish(book, next)?;
        (book.open, book.writer) = (Vec::new(), None);
        Ok(())
    }

    fn sign(&self, book: &mut Book) -> Result<()> {
        book.check_open()?;
        self.close_block(book)?;
        if book.signed == book.log.size() || book.log.size() == 0 {
            return Ok(());
        }
        let next = book.mark.clone();
        self.publish(book, next)
    }

    /// Signs the log and makes `mark` durable with it, here and in every anchor store.
    fn publish(&self, book: &mut Book, mut mark: Mark) -> Result<()> {
        let checkpoint = book.log.checkpoint();
        mark.note = self.note(&checkpoint);
        (mark.told, mark.ledger) = (book.told.clone(), book.ledger);
        mark.write(&place(&self.home), checkpoint.size, &mut generator(&*self.home.entropy)?)?;
        (book.mark, book.signed, book.unsigned_since) = (mark, checkpoint.size, None);
        for store in &self.home.anchors {
            store
                .keep_checkpoint(checkpoint.size, &book.mark.note)
                .map_err(|e| Error::io("an anchor store does not keep the checkpoint of the audit log", e))?;
        }
        Ok(())
    }

    fn note(&self, checkpoint: &Checkpoint) -> String {
        checkpoint.sign(&self.home.origin, &self.home.signing)
    }
}

impl Book {
    pub(super) fn new(log: Log, mark: Mark, signed: u64) -> Self {
        let (told, ledger, open, writer) = (mark.told.clone(), mark.ledger, Vec::new(), None);
        Self { log, open, mark, signed, writer, told, ledger, has_told: false, is_closed: false, unsigned_since: None }
    }

    fn check_open(&self) -> Result<()> {
        if self.is_closed { Err(Error::new(ErrorKind::Closed, "the database was closed")) } else { Ok(()) }
    }

    /// Takes in the next event of the open block, as read back.
    fn replay(&mut self, event: Vec<u8>) -> Result<()> {
        let told = replayed(&mut self.log, &event)?;
        if let Some(Event { entry, .. }) = told {
            note_told(&mut self.told, &mut self.ledger, &entry.act);
        }
        self.open.push(event);
        Ok(())
    }

    /// Whether the log, which is as long as the mark says, is what the mark says.
    fn check_mark(&self, origin: &Origin, key: &VerifyingKey) -> Result<()> {
        if open_note(&self.mark.note, origin, key)? == self.log.checkpoint() {
            return Ok(());
        }
        Err(Error::corrupt(
            "the audit log is not what was signed: its events were replaced; restore the directory audit/ of the environment",
        ))
    }
}

/// Takes the next event into `log`.
///
/// # Errors
/// `Corrupt` if it does not follow.
pub(super) fn replayed(log: &mut Log, event: &[u8]) -> Result<Option<Event>> {
    log.replay(event).map_err(|e| {
        let doing = format!("the audit log in {AUDIT}/ does not hang together; restore it from a copy");
        Error::with(ErrorKind::Corrupt, doing, e)
    })
}

/// The error of a log that lacks events.
pub(super) fn cut(what: &str) -> Error {
    Error::corrupt(format!(
        "the audit log was cut or an older one was put back: {what}; restore the directory audit/ of the environment"
    ))
}

fn note_told(told: &mut BTreeMap<[u8; 16], u64>, rows: &mut u64, act: &Act) {
    match *act {
        Act::RecordsWritten { collection, last, .. } | Act::RecordsDeleted { collection, last, .. } => {
            let through = told.entry(collection).or_default();
            *through = last.max(*through);
        }
        Act::CollectionDropped { collection } => drop(told.remove(&collection)),
        Act::AggregateReleased { ledger, .. } | Act::BudgetSet { ledger, .. } | Act::BudgetForfeited { ledger } => {
            *rows = ledger.max(*rows)
        }
        _ => {}
    }
}

fn place(home: &Home) -> Place<'_> {
    Place { dir: &home.dir, key: &home.key, scope: home.scope }
}

#[cfg(test)]
mod tests;
