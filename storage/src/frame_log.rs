//! Append-only files of numbered frames, and how their end is read after a crash.
//!
//! Every frame says how many frames of its log were synced when it was made. Reading therefore tells two things apart
//! that look alike: what was never synced may be torn, reordered or missing after a crash, and is cut off; what a
//! later frame calls synced must be there, and is damage if it is not. Damage to the last synced frames, with no later
//! frame to witness them, looks like a tear.
//!
//! ```text
//! header  "LETHELOG" | version u16 | kind u16 | number u64 | base u64 | crc32c of all before u32
//! frame   "FRAM" | length u32 | number u64 | synced u64 | crc32c of payload u32 | crc32c of all before u32 | payload
//! ```
//!
//! Integers are little endian. Frames are numbered from 0 without gaps. The header is durable before the first frame
//! is written. Here because the write-ahead log, the keyring's new keys, the audit log and the ledgers all end the
//! same way.

use std::io;
use std::ops::Range;

use crate::backend::{Dir, LogFile, Poisoned};
use crate::codec::Reader;

const MAGIC: [u8; 8] = *b"LETHELOG";
const FRAME_MAGIC: [u8; 4] = *b"FRAM";
/// The newest format that this build reads, and the one it writes.
pub const VERSION: u16 = 1;
/// Length of a log's header in bytes; the same in every version, with the checksum at its end.
pub const HEADER_LEN: usize = 32;
/// Bytes of a frame before its payload.
pub const FRAME_HEADER_LEN: usize = 32;
/// The longest payload of a frame in bytes (256 MiB).
pub const MAX_PAYLOAD: usize = 256 << 20;

/// What a log holds. The codes are part of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum LogKind {
    /// Writes: `wal/<number>.wal`.
    Wal = 1,
    /// Keys added since the last epoch: `keyring/new.log`.
    NewKeys = 2,
    /// Audit events.
    Audit = 3,
    /// Charges against the privacy budget.
    Budget = 4,
    /// Who has revoked consent.
    Consent = 5,
    /// Whose data must not be erased yet.
    Holds = 6,
    /// Who may do what.
    Access = 7,
}

/// What stands at the start of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the log holds.
    pub kind: LogKind,
    /// The log's number among those of its kind.
    pub number: u64,
    /// What was durable before this log began, in the terms of its kind (for a write-ahead log the last synced
    /// sequence); 0 where that has no meaning.
    pub base: u64,
}

/// The frames of a log that can be relied on.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// [`Header::base`]; 0 if the log's creation never finished.
    pub base: u64,
    /// Where each payload lies in the bytes that were read. The index is the frame's number.
    pub payloads: Vec<Range<usize>>,
    /// Bytes at the end that belong to no intact frame and were never called synced.
    pub torn_bytes: u64,
}

/// Why a log cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameLogError {
    /// The header is not the one expected here, or a frame that was synced is not intact.
    #[error("damaged at byte {offset}")]
    Damaged {
        /// Where the header or the first bad frame begins.
        offset: u64,
    },
    /// Written by a later version.
    #[error("log format {found} is newer than {max}, the newest known")]
    NewerFormat {
        /// The version in the header.
        found: u16,
        /// The newest version this build reads.
        max: u16,
    },
}

/// Reads the whole bytes of a log of the given kind and number. Cuts a torn end off and reports its length.
///
/// # Errors
/// [`FrameLogError`]. Any bytes give frames or an error; memory stays below the length of `bytes`.
pub fn read_frames(bytes: &[u8], kind: LogKind, number: u64) -> Result<Frames, FrameLogError> {
    let torn_from = |offset: usize| (bytes.len() - offset) as u64;
    if bytes.len() <= HEADER_LEN && checked(bytes, HEADER_LEN).is_none() {
        // Nothing follows a header that was never durable: this is a creation cut short.
        return Ok(Frames { torn_bytes: torn_from(0), ..Frames::default() });
    }
    let mut frames = Frames { base: Header::read(bytes, kind, number)?.base, ..Frames::default() };
    let mut offset = HEADER_LEN;
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        let expected = frames.payloads.len() as u64;
        let Some(length) = intact_payload(rest, expected) else {
            if witnessed(rest, expected) {
                return Err(FrameLogError::Damaged { offset: offset as u64 });
            }
            frames.torn_bytes = torn_from(offset);
            break;
        };
        let start = offset + FRAME_HEADER_LEN;
        frames.payloads.push(start..start + length);
        offset = start + length;
    }
    Ok(frames)
}

/// What is left of a damaged log.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// [`Header::base`]; none if the header is damaged.
    pub base: Option<u64>,
    /// Number and payload of every intact frame, in the order of numbers.
    pub frames: Vec<(u64, Range<usize>)>,
    /// How many frames there were at least: those up to the last intact one, and all that any frame calls synced.
    pub written: u64,
}

/// Reads what [`read_frames`] refuses: every intact frame, before and after the damage.
///
/// # Errors
/// [`FrameLogError::NewerFormat`].
pub fn salvage_frames(bytes: &[u8], kind: LogKind, number: u64) -> Result<Remains, FrameLogError> {
    let base = match Header::read(bytes, kind, number) {
        Ok(header) => Some(header.base),
        Err(FrameLogError::Damaged { .. }) => None,
        Err(newer) => return Err(newer),
    };
    let mut remains = Remains { base, ..Remains::default() };
    let mut offset = if base.is_some() { HEADER_LEN } else { 0 };
    while let Some(rest) = bytes.get(offset..).filter(|rest| !rest.is_empty()) {
        if let Some((number, length)) = intact_frame(rest).filter(|(number, _)| *number >= remains.written) {
            let start = offset + FRAME_HEADER_LEN;
            remains.frames.push((number, start..start + length));
            remains.written = number.saturating_add(1);
            offset = start + length;
        } else {
            let magic = |bytes: &[u8]| bytes.starts_with(&FRAME_MAGIC);
            let next = rest.windows(FRAME_MAGIC.len()).skip(1).position(magic);
            offset += next.map_or(rest.len(), |skipped| skipped + 1);
        }
    }
    let synced = frame_headers(bytes).map(|frame| frame.synced).max().unwrap_or_default();
    remains.written = remains.written.max(synced);
    Ok(remains)
}

/// Length of the payload of the frame at the start of `bytes`, if it is whole and has the expected number.
fn intact_payload(bytes: &[u8], expected: u64) -> Option<usize> {
    intact_frame(bytes).filter(|(number, _)| *number == expected).map(|(_, length)| length)
}

/// Number and length of the payload of the frame at the start of `bytes`, if it is whole.
fn intact_frame(bytes: &[u8]) -> Option<(u64, usize)> {
    let frame = FrameHeader::read(bytes)?;
    let length = usize::try_from(frame.length).ok().filter(|&length| length <= MAX_PAYLOAD)?;
    let payload = bytes.get(FRAME_HEADER_LEN..)?.get(..length)?;
    (crc32c::crc32c(payload) == frame.payload_crc).then_some((frame.number, length))
}

/// Whether any frame header from here on says that frame `number` was synced. The header alone is proof: it was made
/// after that sync, whatever became of its payload.
fn witnessed(bytes: &[u8], number: u64) -> bool {
    frame_headers(bytes).any(|frame| (number + 1..=frame.number).contains(&frame.synced))
}

fn frame_headers(bytes: &[u8]) -> impl Iterator<Item = FrameHeader> {
    let windows = bytes.windows(FRAME_HEADER_LEN).filter(|window| window.starts_with(&FRAME_MAGIC));
    windows.filter_map(FrameHeader::read).filter(|frame| frame.synced <= frame.number)
}

impl Header {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.kind as u16).to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.base.to_le_bytes());
        with_checksum(out)
    }

    fn read(bytes: &[u8], kind: LogKind, number: u64) -> Result<Self, FrameLogError> {
        let parts = || {
            let mut reader = Reader::new(checked(bytes, HEADER_LEN)?);
            let magic = reader.array("magic").ok()?;
            let version = u16::from_le_bytes(reader.array("version").ok()?);
            let code = u16::from_le_bytes(reader.array("kind").ok()?);
            let found = reader.u64("number").ok()?;
            let header = Self { kind, number, base: reader.u64("base").ok()? };
            let ours = magic == MAGIC && code == kind as u16 && found == number && version > 0;
            ours.then_some((header, version))
        };
        let (header, found) = parts().ok_or(FrameLogError::Damaged { offset: 0 })?;
        if found > VERSION {
            return Err(FrameLogError::NewerFormat { found, max: VERSION });
        }
        Ok(header)
    }
}

struct FrameHeader {
    length: u32,
    number: u64,
    synced: u64,
    payload_crc: u32,
}

impl FrameHeader {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FRAME_HEADER_LEN);
        out.extend_from_slice(&FRAME_MAGIC);
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.synced.to_le_bytes());
        out.extend_from_slice(&self.payload_crc.to_le_bytes());
        with_checksum(out)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(checked(bytes, FRAME_HEADER_LEN)?);
        let magic = reader.array("magic").ok()?;
        let header = Self {
            length: reader.u32("length").ok()?,
            number: reader.u64("number").ok()?,
            synced: reader.u64("synced").ok()?,
            payload_crc: reader.u32("checksum").ok()?,
        };
        (magic == FRAME_MAGIC).then_some(header)
    }
}

fn with_checksum(mut fields: Vec<u8>) -> Vec<u8> {
    let checksum = crc32c::crc32c(&fields);
    fields.extend_from_slice(&checksum.to_le_bytes());
    fields
}

/// The first `length` bytes without the checksum at their end, if it is right.
fn checked(bytes: &[u8], length: usize) -> Option<&[u8]> {
    let (fields, checksum) = bytes.get(..length)?.split_last_chunk()?;
    (crc32c::crc32c(fields) == u32::from_le_bytes(*checksum)).then_some(fields)
}

/// Creates the file of a log, with its header and its name durable.
///
/// # Errors
/// `AlreadyExists` if `name` is taken. A full disk leaves nothing; after any other error a file without frames may be left.
pub(crate) fn create_log(dir: &Dir, name: &str, header: &Header) -> io::Result<Box<dyn LogFile>> {
    let mut file = dir.create(name)?;
    if let Err(error) = file.append(&header.bytes()) {
        // Nothing names it yet. Left behind, it would be in the way of the next attempt, when there is room again.
        let _ = dir.remove(name);
        return Err(error);
    }
    file.sync()?;
    dir.sync_dir()?;
    Ok(file)
}

/// Appends a frame to `out`. `synced` frames of its log were synced by now.
///
/// # Errors
/// [`TooLong`]; `out` is then unchanged.
pub(crate) fn put_frame(out: &mut Vec<u8>, number: u64, synced: u64, payload: &[u8]) -> Result<(), TooLong> {
    let length = u32::try_from(payload.len()).ok().filter(|&length| length as usize <= MAX_PAYLOAD).ok_or(TooLong)?;
    let payload_crc = crc32c::crc32c(payload);
    out.extend_from_slice(&FrameHeader { length, number, synced, payload_crc }.bytes());
    out.extend_from_slice(payload);
    Ok(())
}

/// The payload exceeds [`MAX_PAYLOAD`].
#[derive(Debug)]
pub(crate) struct TooLong;

/// Writes a log frame by frame, for one caller at a time.
pub struct FrameWriter {
    file: Box<dyn LogFile>,
    next: u64,
    synced: u64,
    poisoned: Option<Poisoned>,
}

impl FrameWriter {
    /// Creates a log, with its header and name durable on return. A log of an earlier process is never continued: its
    /// end may not be what reading shows.
    ///
    /// # Errors
    /// `AlreadyExists` if `name` is taken. A full disk leaves nothing; after any other error a log without frames may be
    /// left under `name`.
    pub fn create(dir: &Dir, name: &str, header: &Header) -> io::Result<Self> {
        Ok(Self { file: create_log(dir, name, header)?, next: 0, synced: 0, poisoned: None })
    }

    /// Appends a frame and returns its number. It is durable after [`sync`](Self::sync).
    ///
    /// # Errors
    /// `InvalidInput` if the payload exceeds [`MAX_PAYLOAD`]. Any other error took no number; if bytes of the frame
    /// stayed in the file the writer is poisoned, else it goes on.
    pub fn append(&mut self, payload: &[u8]) -> io::Result<u64> {
        self.check()?;
        let mut frame = Vec::with_capacity(FRAME_HEADER_LEN + payload.len());
        put_frame(&mut frame, self.next, self.synced, payload).map_err(|TooLong| io::ErrorKind::InvalidInput)?;
        let before = self.file.len();
        if let Err(error) = self.file.append(&frame) {
            self.poisoned = (self.file.len() != before).then(|| Poisoned { cause: error.kind() });
            return Err(error);
        }
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Makes all frames so far durable.
    ///
    /// # Errors
    /// Any error poisons the writer: whether the frames since the last good sync are durable is unknown.
    pub fn sync(&mut self) -> io::Result<()> {
        self.check()?;
        if let Err(error) = self.file.sync() {
            self.poisoned = Some(Poisoned { cause: error.kind() });
            return Err(error);
        }
        self.synced = self.next;
        Ok(())
    }

    /// Frames appended so far, hence the number of the next one.
    pub fn next_number(&self) -> u64 {
        self.next
    }

    /// Length of the file in bytes.
    pub fn bytes(&self) -> u64 {
        self.file.len()
    }

    /// Whether the writer refuses everything because an earlier failure left the file in doubt.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.is_some()
    }

    fn check(&self) -> io::Result<()> {
        self.poisoned.map_or(Ok(()), |poisoned| Err(io::Error::other(poisoned)))
    }
}

#[cfg(test)]
mod tests;
