//! A database in memory that random histories open, tend, close and open again, and how what it holds is read back.
//!
//! Invariant: each opening draws its own randomness, as each process does.

#![allow(clippy::unwrap_used, reason = "a sound store does what it is told, or the test fails")]

use std::ops::Range;

use engine::{Collection, Database, Environment, Record};
use storage::backend::Memory;

use crate::world::in_memory;

/// What is done to a store that changes nothing of what it holds.
#[derive(Clone, Copy, Debug)]
pub enum Upkeep {
    /// Makes the memtables segments.
    Flush,
    /// Merges all segments.
    Compact,
    /// One step of what the background thread does.
    Step,
    /// Closes the database and opens it again.
    Reopen,
}

/// What histories draw from: the commoner twice.
pub const DRAWN: [Upkeep; 7] = {
    use Upkeep::{Compact, Flush, Reopen, Step};
    [Flush, Flush, Compact, Step, Step, Reopen, Reopen]
};

/// The database, open if anybody asked for it since it was closed.
pub struct Tended {
    memory: Memory,
    seed: u64,
    db: Option<Database>,
}

impl Tended {
    /// An empty one.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { memory: Memory::new(), seed, db: None }
    }

    /// Its only environment.
    ///
    /// # Panics
    /// If it does not open.
    pub fn environment(&mut self) -> Environment {
        let (memory, seed) = (&self.memory, self.seed);
        let db = self.db.get_or_insert_with(|| in_memory(memory, seed).open().unwrap());
        db.environment("acme").unwrap()
    }

    /// Does a piece of upkeep.
    ///
    /// # Panics
    /// If that fails.
    pub fn tend(&mut self, upkeep: Upkeep) {
        let env = self.environment();
        match upkeep {
            Upkeep::Flush => env.flush().unwrap(),
            Upkeep::Compact => env.compact().unwrap(),
            Upkeep::Step => drop(env.step().unwrap()),
            Upkeep::Reopen => {
                drop(env);
                self.db.take().map_or(Ok(()), Database::close).unwrap();
                self.seed += 1;
            }
        }
    }
}

/// Reads each of `ids`, which must be what `expected` says of it, and counts; gives back what was found.
///
/// # Panics
/// Naming the first record that is another.
pub fn read_all(docs: &Collection, ids: Range<u64>, expected: impl Fn(u64) -> Option<Record>) -> Vec<(u64, Record)> {
    let mut all = Vec::new();
    for id in ids {
        let (found, expected) = (docs.get(id).unwrap(), expected(id));
        assert_eq!(found.is_some(), expected.is_some(), "record {id}");
        let (Some(found), Some(expected)) = (found, expected) else { continue };
        assert_eq!(found.vector(), expected.vector(), "record {id}");
        assert_eq!(found.entity_id(), expected.entity_id(), "record {id}");
        assert_eq!(found.payload_json(), expected.payload_json(), "record {id}");
        all.push((id, found));
    }
    assert_eq!(docs.count().run().unwrap().count, all.len() as u64);
    all
}
