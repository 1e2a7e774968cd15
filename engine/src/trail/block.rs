//! Blocks: the files that hold the events of the audit log.
//!
//! Invariant: block `n` holds events `1024·n` and on, and its files are `events-<n>-<generation>.log`. A process never goes
//! on with the file of another, whose end may not be what reading shows: it writes what is in the open block into a first
//! frame of the next generation, syncs it, and lets the older file go. So the newest generation with a whole frame holds all
//! that the older ones hold, whatever a crash left of them. Frames are sealed under the audit key and bound to their file
//! and their place.

use privacy::audit::{Frontier, leaf_hash};
use privacy::{Scope, SectionContext, SectionKey, SectionKind, open_section, seal_section};
use rand_core::CryptoRng;
use storage::backend::Dir;
use storage::codec::Reader;
use storage::frame_log::{FrameWriter, Header, LogKind, read_frames};

use crate::error::{Error, ErrorKind, Result};
use crate::files::remove;

/// Directory of the audit log inside an environment.
pub(crate) const AUDIT: &str = "audit";
/// Events in a block, a power of two: a closed block is a perfect part of the tree.
pub(super) const BLOCK: usize = 1 << BLOCK_HEIGHT;
/// The height of the tree over a block.
pub(super) const BLOCK_HEIGHT: u32 = 10;

/// What seals the files of a trail, and where they are.
pub(super) struct Place<'a> {
    pub dir: &'a Dir,
    pub key: &'a SectionKey,
    pub scope: Scope,
}

/// The file of the open block.
pub(super) struct BlockWriter {
    file: FrameWriter,
    number: u64,
}

/// The files in a listing of the directory, by block, each with the generations that it has, rising.
pub(super) fn generations(names: &[String], block: u64) -> Vec<u64> {
    let mut found: Vec<u64> =
        names.iter().filter_map(|name| numbers(name)).filter(|(of, _)| *of == block).map(|(_, g)| g).collect();
    found.sort_unstable();
    found
}

/// The blocks of which there is a file.
pub(super) fn blocks(names: &[String]) -> Vec<u64> {
    let mut found: Vec<u64> = names.iter().filter_map(|name| numbers(name)).map(|(block, _)| block).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn name(block: u64, generation: u64) -> String {
    format!("events-{block:012}-{generation:08}.log")
}

fn numbers(file: &str) -> Option<(u64, u64)> {
    let (block, generation) = file.strip_prefix("events-")?.strip_suffix(".log")?.split_once('-')?;
    let numbers = (block.parse().ok()?, generation.parse().ok()?);
    (name(numbers.0, numbers.1) == file).then_some(numbers)
}

/// The number that the frames of a file are bound to.
fn file_number(block: u64, generation: u64) -> u64 {
    (block << 27) | generation
}

/// The events of a block, from the newest of `generations` that has any.
///
/// # Errors
/// `Corrupt` if a frame was changed, or stands where it was not written.
pub(super) fn read(place: &Place<'_>, block: u64, generations: &[u64]) -> Result<Vec<Vec<u8>>> {
    for generation in generations.iter().rev() {
        let events = read_file(place, block, *generation)?;
        if !events.is_empty() {
            return Ok(events);
        }
    }
    Ok(Vec::new())
}

fn read_file(place: &Place<'_>, block: u64, generation: u64) -> Result<Vec<Vec<u8>>> {
    let name = name(block, generation);
    let bytes = place.dir.read(&name).map_err(|e| Error::io("the audit log cannot be read", e))?;
    let damaged = || format!("the file {AUDIT}/{name} of the audit log is damaged; restore it from a copy");
    let number = file_number(block, generation);
    let frames =
        read_frames(&bytes, LogKind::Audit, number).map_err(|e| Error::with(ErrorKind::Corrupt, damaged(), e))?;
    let mut events = Vec::new();
    for (frame, at) in (0..).zip(frames.payloads) {
        let sealed = bytes.get(at).unwrap_or_default();
        let plain = open_section(place.key, &context(place.scope, number, frame), sealed)
            .map_err(|e| Error::with(ErrorKind::Corrupt, damaged(), e))?;
        unpack(&plain, &mut events).ok_or_else(|| Error::corrupt(damaged()))?;
    }
    if events.len() > BLOCK { Err(Error::corrupt(damaged())) } else { Ok(events) }
}

impl BlockWriter {
    /// Begins the next generation of a block with the events that are in it already, and lets the older ones go.
    pub fn begin(
        place: &Place<'_>,
        block: u64,
        older: &[u64],
        events: &[Vec<u8>],
        rng: &mut (impl CryptoRng + ?Sized),
    ) -> Result<Self> {
        let doing = "the audit log cannot be written";
        place.dir.make().map_err(|e| Error::io(doing, e))?;
        let generation = older.last().map_or(0, |newest| newest + 1);
        let number = file_number(block, generation);
        let header = Header { kind: LogKind::Audit, number, base: block * BLOCK as u64 };
        let file =
            FrameWriter::create(place.dir, &name(block, generation), &header).map_err(|e| Error::io(doing, e))?;
        let mut writer = Self { file, number };
        if !events.is_empty() {
            writer.append(place, events, rng)?;
        }
        for generation in older {
            remove(place.dir, &name(block, *generation))?;
        }
        Ok(writer)
    }

    /// Makes these events durable, all or none.
    pub fn append(&mut self, place: &Place<'_>, events: &[Vec<u8>], rng: &mut (impl CryptoRng + ?Sized)) -> Result<()> {
        let doing = "the audit log takes no event";
        let context = context(place.scope, self.number, self.file.next_number());
        let sealed = seal_section(place.key, &context, &pack(events), rng);
        self.file.append(&sealed).map_err(|e| Error::io(doing, e))?;
        self.file.sync().map_err(|e| Error::io(doing, e))
    }

    /// Whether it takes nothing any more.
    pub fn is_spent(&self) -> bool {
        self.file.is_poisoned()
    }
}

fn context(scope: Scope, file: u64, place: u64) -> SectionContext {
    SectionContext { scope, kind: SectionKind::AuditFrame, file, place }
}

/// Each event with its length before it.
fn pack(events: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(events.iter().map(|event| event.len() + 4).sum());
    for event in events {
        // An event is a few hundred bytes.
        out.extend_from_slice(&u32::try_from(event.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(event);
    }
    out
}

fn unpack(plain: &[u8], events: &mut Vec<Vec<u8>>) -> Option<()> {
    let mut reader = Reader::new(plain);
    while !reader.rest().is_empty() {
        let length = usize::try_from(reader.u32("length").ok()?).ok()?;
        events.push(reader.bytes(length, "event").ok()?.to_vec());
    }
    Some(())
}

/// The tree over these events.
pub(super) fn tree_of(events: &[Vec<u8>]) -> Frontier {
    let mut tree = Frontier::new();
    events.iter().for_each(|event| tree.append(leaf_hash(event)));
    tree
}

/// The block that holds an event, and its place there.
pub(super) fn split(sequence: u64) -> (u64, usize) {
    let block = BLOCK as u64;
    (sequence / block, (sequence % block) as usize)
}
