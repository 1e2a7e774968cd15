//! Checking the audit log, and reading it: every event that is handed out was hashed now and leads to what was signed.
//!
//! Invariant: an event of a closed block is believed because the block's root, which the boundary's signed checkpoint
//! covers, was computed from the file again; one of the open block because the log in memory was made from it.

use privacy::audit::{Event, Hash, Head, InclusionProof, Log, leaf_hash, link};

use super::block::{BLOCK, split};
use super::log::{Trail, cut, replayed};
use super::mark::open_note;
use crate::error::{Error, Result};

/// The log as it was checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checked {
    /// The first event that was read from the disk and hashed.
    pub from: u64,
    /// How many events there are: all before this one.
    pub through: u64,
}

/// An event as it was read.
pub(crate) struct Told {
    pub sequence: u64,
    pub bytes: Vec<u8>,
    /// What it tells; none for one that a later version wrote.
    pub event: Option<Event>,
    /// The value of the chain after it.
    pub chain: Hash,
}

/// An event that was told, as a receipt needs it.
pub(crate) struct Proven {
    pub event: Vec<u8>,
    pub proof: InclusionProof,
    /// The signed checkpoint that the proof leads to.
    pub note: String,
}

impl Trail {
    /// The event at `sequence` with the proof that it is in the log as it was last signed; `None` if it was not yet.
    pub fn prove(&self, sequence: u64) -> Result<Option<Proven>> {
        let book = self.book.lock();
        let perfect = &mut |start, height| self.perfect(&book, start, height);
        let Some(proof) = InclusionProof::make(sequence, book.signed, perfect)? else { return Ok(None) };
        let (block, at) = split(sequence);
        let event = self.block(&book, block)?.into_iter().nth(at);
        Ok(event.map(|event| Proven { event, proof, note: book.mark.note.clone() }))
    }

    /// The last row of the ledger of privacy budgets that was told.
    pub fn ledger(&self) -> u64 {
        self.with_book(|book| Ok(book.ledger)).unwrap_or_default()
    }

    /// Reads the log from the disk and holds it against every signed checkpoint: from its first event if it is to be
    /// `deep`, else from where the open block begins.
    ///
    /// # Errors
    /// `Corrupt`, saying what is wrong.
    pub fn verify(&self, deep: bool) -> Result<Checked> {
        self.check_anchors()?;
        self.with_book(|book| {
            let key = self.verifying_key();
            let open_block = book.mark.roots.len() as u64;
            let from = if deep { 0 } else { open_block };
            let mut log =
                if deep { Log::start(self.scope()) } else { book.mark.log(self.scope(), self.origin(), &key)? };
            for block in from..=open_block {
                let events = self.stored(block)?;
                if block < open_block && events.len() != BLOCK {
                    return Err(cut(&format!("block {block} lacks events")));
                }
                for event in events {
                    replayed(&mut log, &event)?;
                    if log.size() == book.signed && open_note(&book.mark.note, self.origin(), &key)? != log.checkpoint()
                    {
                        return Err(Error::corrupt("the audit log is not what was signed"));
                    }
                }
                if block < open_block && book.mark.roots.get(split(log.size() - 1).0 as usize).is_none() {
                    return Err(Error::corrupt("the audit log has more events than were signed"));
                }
            }
            if log == book.log {
                return Ok(Checked { from: from * BLOCK as u64, through: log.size() });
            }
            Err(cut("the disk does not hold the events that this process told or read"))
        })
    }

    /// The events from `start` on that lie in its block, in order; none past the end.
    pub fn read(&self, start: u64) -> Result<Vec<Told>> {
        let (block, at) = split(start);
        let events =
            self.with_book(|book| if start < book.log.size() { self.block(book, block) } else { Ok(Vec::new()) })?;
        let told = |(sequence, bytes): (u64, Vec<u8>)| {
            let head = Head::decode(&bytes).map_err(|_| cut("an event of it cannot be read"))?;
            let chain = link(&head.previous, &leaf_hash(&bytes));
            Ok(Told { sequence, event: Event::decode(&bytes).ok(), bytes, chain })
        };
        (start..).zip(events.into_iter().skip(at)).map(told).collect()
    }

    /// Signs for all that was told, and gives how many events that are with the checkpoint over them.
    pub fn sealed(&self) -> Result<(u64, String)> {
        self.checkpoint()?;
        self.with_book(|book| Ok((book.signed, book.mark.note.clone())))
    }

    /// The newest signed checkpoint; empty before the first.
    pub fn signed_note(&self) -> String {
        self.with_book(|book| Ok(book.mark.note.clone())).unwrap_or_default()
    }
}
