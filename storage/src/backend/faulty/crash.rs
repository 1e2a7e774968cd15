//! What a crash leaves. The death of a process leaves everything in the cache; a loss of power leaves what is durable
//! and some of what was pending, and which part of that no program may rely on. Invariant: every image made here is one
//! that the contract allows, so that a store which cannot live with it is wrong.

use std::collections::BTreeMap;

use super::medium::{Contents, FileId, Medium, Write};
use crate::backend::names::{Names, Node};

/// The unit in which a disk writes or does not write.
const SECTOR: usize = 512;

/// A way to crash. The seeds choose among the many images that one way can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Crash {
    /// The process dies. What it wrote stays to be read, durable or not.
    Process,
    /// Power is lost; nothing that was pending had reached the disk.
    DropAll,
    /// Power is lost; everything pending had reached the disk.
    KeepAll,
    /// Power is lost; of what was pending, this many of the oldest changes had reached the disk.
    Prefix(usize),
    /// Power is lost; any of the pending changes had reached the disk, in any order.
    Subset(u64),
    /// As `Subset`, and of each write any of its sectors.
    Torn(u64),
    /// As `Subset`, but of each write that did not arrive the file's new length may have, with zeros for bytes.
    Ahead(u64),
}

impl Medium {
    /// This disk after a crash.
    #[must_use]
    pub fn crashed(&self, crash: Crash) -> Self {
        let mut choice = match crash {
            Crash::Process => return self.clone(),
            Crash::DropAll | Crash::KeepAll | Crash::Prefix(_) => Choice::new(0),
            Crash::Subset(seed) | Crash::Torn(seed) | Crash::Ahead(seed) => Choice::new(seed),
        };
        let last = match crash {
            Crash::Prefix(kept) => self.change_at(kept),
            _ => 0,
        };
        let mut keeps = |change: u64| match crash {
            Crash::Process | Crash::KeepAll => true,
            Crash::DropAll => false,
            Crash::Prefix(_) => change <= last,
            Crash::Subset(_) | Crash::Torn(_) | Crash::Ahead(_) => choice.flip(),
        };
        let mut names = self.durable.clone();
        for renaming in &self.renamings {
            if keeps(renaming.change) {
                renaming.what.apply(&mut names);
            }
        }
        let mut files: BTreeMap<FileId, Vec<u8>> = BTreeMap::new();
        for (id, contents) in &self.files {
            let mut bytes = contents.durable.clone();
            for write in &contents.writes {
                match (keeps(write.change), crash) {
                    (true, Crash::Torn(seed)) => tear(&mut bytes, write, &mut Choice::new(seed ^ write.change)),
                    (true, _) => Contents::put(&mut bytes, write.at, &write.bytes),
                    (false, Crash::Ahead(seed)) => grow(&mut bytes, write, &mut Choice::new(seed ^ write.change)),
                    (false, _) => {}
                }
            }
            files.insert(*id, bytes);
        }
        Self::settled(reachable(&names, &mut files), files)
    }

    /// The number of the `count`-th pending change, oldest first; 0 for none.
    fn change_at(&self, count: usize) -> u64 {
        let writes = self.files.values().flat_map(|file| &file.writes).map(|write| write.change);
        let mut changes: Vec<u64> = writes.chain(self.renamings.iter().map(|renaming| renaming.change)).collect();
        changes.sort_unstable();
        count.checked_sub(1).and_then(|last| changes.get(last.min(changes.len().saturating_sub(1)))).map_or(0, |at| *at)
    }
}

/// Writes some of the sectors that a write covers.
fn tear(bytes: &mut Vec<u8>, write: &Write, choice: &mut Choice) {
    let mut at = write.at;
    let mut rest = &*write.bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
        if choice.flip() {
            Contents::put(bytes, at, piece);
        }
        at += piece.len();
        rest = after;
    }
}

/// Lets the length of a write arrive without its bytes, or not.
fn grow(bytes: &mut Vec<u8>, write: &Write, choice: &mut Choice) {
    let end = write.at + write.bytes.len();
    if choice.flip() && bytes.len() < end {
        bytes.resize(end, 0);
    }
}

/// The names whose directories exist, and of `files` those that have one: the rest cannot be reached any more.
fn reachable(names: &Names<FileId>, files: &mut BTreeMap<FileId, Vec<u8>>) -> Names<FileId> {
    let mut kept = Names::default();
    for (path, node) in names.iter() {
        // A name in a directory that never became durable is refused here.
        let _ = kept.insert_new(path, node.clone());
    }
    files.retain(|id, _| kept.iter().any(|(_, node)| *node == Node::File(*id)));
    kept
}

/// Coin flips that one seed decides (SplitMix64; Steele, Lea, Flood, OOPSLA 2014).
struct Choice(u64);

impl Choice {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn flip(&mut self) -> bool {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (bits ^ (bits >> 31)) & 1 == 1
    }
}
