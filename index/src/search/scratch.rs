//! The memory of a search, kept by its thread from query to query.
//!
//! Invariant: a search starts by resetting what it uses, so nothing of one query reaches the
//! results of another; after the first queries none of it allocates.

use super::filtered::Room;
use super::pool::Pool;
use super::visited::Visited;

/// Working memory of searches, for one thread at a time; usable with segments of any size.
#[derive(Default)]
pub struct Scratch {
    pub(super) visited: Visited,
    /// Positions to expand.
    pub(super) frontier: Pool,
    /// The nearest allowed positions.
    pub(super) found: Pool,
    /// Positions to compare next.
    pub(super) positions: Vec<u32>,
    /// Keys of the positions compared last.
    pub(super) keys: Vec<i32>,
    /// A list of neighbours that no graph holds.
    pub(super) links: Vec<u32>,
    /// What a walk through other rows remembers.
    pub(super) room: Room,
    pub(super) counters: Counters,
}

/// What one search did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Lists of neighbours read.
    pub hops: u64,
    /// Codes compared with the query.
    pub compared: u64,
    /// Bytes of the codes, lengths and lists of neighbours looked at, without what cache lines round them up to.
    pub bytes: u64,
}

impl Scratch {
    /// Fresh working memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// What the last walk or scan found.
    pub(crate) fn found(&self) -> &Pool {
        &self.found
    }

    /// Lends the memory of a walk through other rows, until it is [given back](Self::give_room).
    pub(crate) fn take_room(&mut self) -> Room {
        std::mem::take(&mut self.room)
    }

    pub(crate) fn give_room(&mut self, room: Room) {
        self.room = room;
    }

    /// Sorts what was found, nearest first.
    pub(crate) fn sort_found(&mut self) {
        self.found.sort();
    }

    /// What the last search with this scratch did.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Adds bytes that the search looked at, which only those know who hold them.
    pub(crate) fn count_bytes(&mut self, bytes: u64) {
        self.counters.bytes += bytes;
    }

    /// Adds codes that were compared beside those of the walk.
    pub(crate) fn count_compared(&mut self, codes: u64) {
        self.counters.compared += codes;
    }

    /// Starts the counting of a search.
    pub(crate) fn reset_counters(&mut self) {
        self.counters = Counters::default();
    }
}
