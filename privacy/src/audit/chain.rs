//! The log as it grows and as it is checked: every event names the chain's value before it, and is a leaf of the tree.
//!
//! ```text
//! chain 0 = SHA-256(label ‖ database ‖ environment)          leaf n = SHA-256(0 ‖ event n)
//! chain n+1 = SHA-256(label ‖ chain n ‖ leaf n)
//! ```
//!
//! Invariant: a log is a few hashes, whatever its length, and two logs are equal only if they told the same. Appending
//! gives the next log beside the event's bytes, so that a write that fails leaves the old one true. Since an event
//! holds the chain's value, a checkpoint over the tree signs the chain too, and any run of events shows by itself that
//! none was left out.

use minicbor::Decoder;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::checkpoint::Checkpoint;
use super::event::{Entry, Event, EventError, Head};
use super::tree::{Frontier, Hash, leaf_hash};
use crate::cbor::{Malformed, array, decoded, fixed, length, written};
use crate::seal::Scope;

/// The format of a watermark.
const FORMAT: u64 = 1;

/// All that is kept of a log to append to it, or to go on checking it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    chain: Hash,
    tree: Frontier,
}

/// An event to be made durable, and the log with it.
#[must_use = "the event must be made durable before the next log is true"]
pub struct Appended {
    /// The event's bytes.
    pub event: Vec<u8>,
    /// The log once they are durable.
    pub next: Log,
}

/// Why an event does not follow in a log. The log is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// The bytes are no event.
    #[error("audit event {sequence} is damaged")]
    Damaged {
        /// The place where it was read.
        sequence: u64,
    },
    /// An event was repeated, left out or moved.
    #[error("audit event {found} stands where event {expected} is due")]
    OutOfOrder {
        /// The place that is due.
        expected: u64,
        /// The place that the event names.
        found: u64,
    },
    /// What stood before this event was not what stands there now.
    #[error("audit event {sequence} does not follow on the events before it")]
    Unlinked {
        /// Its place.
        sequence: u64,
    },
}

/// Why a watermark cannot be gone on from; check the log from its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ResumeError {
    /// Not a watermark.
    #[error("the watermark of the audit log is damaged")]
    Damaged,
    /// Not of the log that the checkpoint was signed for, or of another length.
    #[error("the watermark is not of the audit log that the checkpoint was signed for")]
    Checkpoint,
}

impl Log {
    /// The log of an environment before its first event.
    pub fn start(scope: Scope) -> Log {
        let start = Sha256::new().chain_update(b"lethedb audit chain v1\0");
        let chain = start.chain_update(scope.database).chain_update(scope.environment).finalize().into();
        Log { chain, tree: Frontier::new() }
    }

    /// How many events there are, hence the place of the next.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The value of the chain after the last event.
    pub fn chain(&self) -> Hash {
        self.chain
    }

    /// Size and root, to be signed.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { size: self.size(), root: self.tree.root() }
    }

    /// The next event, which tells `entry`.
    pub fn append(&self, entry: Entry) -> Appended {
        let event = Event { sequence: self.size(), previous: self.chain, entry }.encode();
        let mut next = self.clone();
        next.add(&event);
        Appended { event, next }
    }

    /// Takes in the next event as read back. `None` for one that a later version wrote: it is in its place, and what it
    /// tells is not understood here.
    pub fn replay(&mut self, event: &[u8]) -> Result<Option<Event>, ReplayError> {
        let expected = self.size();
        let damaged = |_| ReplayError::Damaged { sequence: expected };
        let head = Head::decode(event).map_err(damaged)?;
        if head.sequence != expected {
            return Err(ReplayError::OutOfOrder { expected, found: head.sequence });
        }
        if head.previous != self.chain {
            return Err(ReplayError::Unlinked { sequence: expected });
        }
        let told = match Event::decode(event) {
            Err(EventError::Newer { .. }) => None,
            told => Some(told.map_err(damaged)?),
        };
        self.add(event);
        Ok(told)
    }

    fn add(&mut self, event: &[u8]) {
        let leaf = leaf_hash(event);
        self.chain = link(&self.chain, &leaf);
        self.tree.append(leaf);
    }

    /// How far the log was checked, as bytes. With the checkpoint signed at this size, checking goes on from here.
    pub fn watermark(&self) -> Vec<u8> {
        let bytes = written(|e| {
            e.array(4)?.u64(FORMAT)?.u64(self.size())?.bytes(&self.chain)?;
            e.array(self.tree.peaks().len() as u64)?;
            self.tree.peaks().iter().try_for_each(|peak| e.bytes(peak).map(drop))
        });
        bytes.to_vec()
    }

    /// The log as a watermark claims it, of which nothing is proven until it leads to a signed checkpoint: the peaks
    /// that a wrong claim has give another root, and events that were not told another chain.
    pub fn claimed(watermark: &[u8]) -> Result<Log, ResumeError> {
        read_watermark(watermark).map_err(|Malformed| ResumeError::Damaged)
    }

    /// The log whose chain has this value after perfect parts of `2^height` events each, of which these are the roots.
    /// `None` for more events than a log has.
    pub fn over(chain: Hash, roots: &[Hash], height: u32) -> Option<Log> {
        Some(Log { chain, tree: Frontier::over(roots, height)? })
    }

    /// Goes on from a watermark. `checkpoint` must have been opened with its signature; the caller keeps watermarks
    /// sealed, because the chain's value is not in a checkpoint.
    pub fn resume(watermark: &[u8], checkpoint: &Checkpoint) -> Result<Log, ResumeError> {
        let log = read_watermark(watermark).map_err(|Malformed| ResumeError::Damaged)?;
        if log.checkpoint() == *checkpoint { Ok(log) } else { Err(ResumeError::Checkpoint) }
    }
}

/// The value of the chain after an event with this leaf, before which it was `chain`.
pub fn link(chain: &Hash, leaf: &Hash) -> Hash {
    let link = Sha256::new().chain_update(b"lethedb audit link v1\0");
    link.chain_update(chain).chain_update(leaf).finalize().into()
}

fn read_watermark(bytes: &[u8]) -> Result<Log, Malformed> {
    decoded(
        bytes,
        |log: &Log| log.watermark().into(),
        |d: &mut Decoder<'_>| {
            fixed(d, 4)?;
            if d.u64()? != FORMAT {
                return Err(Malformed);
            }
            let (size, chain) = (d.u64()?, array(d)?);
            let peaks = (0..length(d)?).map(|_| array(d)).collect::<Result<_, _>>()?;
            Ok(Log { chain, tree: Frontier::from_parts(size, peaks).ok_or(Malformed)? })
        },
    )
}

#[cfg(test)]
mod tests;
