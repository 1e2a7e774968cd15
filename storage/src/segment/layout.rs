//! What the files of a segment share: names, header, footer, and how they are written and opened.
//!
//! A file appears under its name only when complete and synced. The header's first 24 bytes keep their meaning in every
//! format to come, so that a newer file is told from a damaged one.
//!
//! ```text
//! header  magic 8 │ version 2 │ kind 2 │ segment 8 │ crc32c 4
//! footer  part offset 8 │ part length 8 │ count 8 │ file length 8 │ magic 8 │ crc32c 4
//! ```

use std::io;

use crate::backend::{Dir, NewFile, Region};
use crate::codec::Reader;
use crate::id::SegmentId;
use crate::segment::SegmentError;

/// The newest segment format this build reads, and the one it writes.
pub const FORMAT: u16 = 2;
/// Bytes of a header.
pub const HEADER_LEN: usize = 24;
/// Bytes of a footer.
pub const FOOTER_LEN: usize = 44;

const MAGIC: &[u8; 8] = b"lethseg\0";
const FOOTER_MAGIC: &[u8; 8] = b"lethend\0";
const WRITE_BUFFER: usize = 1 << 20;

/// Which of a segment's files this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `.rec`
    Rows = 1,
    /// `.idx`
    Index = 2,
    /// `.del`
    Tombstones = 3,
}

/// Name of a segment's rows.
pub fn rows_name(segment: SegmentId) -> String {
    format!("{segment}.rec")
}

/// Name of a segment's index.
pub fn index_name(segment: SegmentId) -> String {
    format!("{segment}.idx")
}

/// Name of one version of a segment's tombstones.
pub fn tombstones_name(segment: SegmentId, version: u64) -> String {
    format!("{segment}-{version:016x}.del")
}

/// Whether a file of this name is one that segments write.
pub fn is_segment_file(name: &str) -> bool {
    let is_hex = |text: &str| text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    match name.rsplit_once('.') {
        Some((segment, "rec" | "idx")) => is_hex(segment),
        Some((stem, "del")) => {
            stem.split_once('-').is_some_and(|(segment, version)| is_hex(segment) && is_hex(version))
        }
        _ => false,
    }
}

/// The header of a file of `segment`.
pub fn header(kind: Kind, segment: SegmentId) -> [u8; HEADER_LEN] {
    let mut out = [0; HEADER_LEN];
    out[..8].copy_from_slice(MAGIC);
    out[8..10].copy_from_slice(&FORMAT.to_le_bytes());
    out[10..12].copy_from_slice(&(kind as u16).to_le_bytes());
    out[12..20].copy_from_slice(&segment.0.to_le_bytes());
    let checksum = crc32c::crc32c(&out[..20]);
    out[20..].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// Checks the header that `file` starts with, and returns what follows it.
///
/// # Errors
/// [`SegmentError::Damaged`] or [`SegmentError::NewerFormat`].
pub fn check_header<'a>(file: &str, bytes: &'a [u8], kind: Kind, segment: SegmentId) -> Result<&'a [u8], SegmentError> {
    let damaged = || SegmentError::damaged(file, "header");
    let (head, rest) = bytes.split_first_chunk::<HEADER_LEN>().ok_or_else(damaged)?;
    let (fields, checksum) = head.split_last_chunk::<4>().ok_or_else(damaged)?;
    if !head.starts_with(MAGIC) || crc32c::crc32c(fields) != u32::from_le_bytes(*checksum) {
        return Err(damaged());
    }
    let version = u16::from_le_bytes([head[8], head[9]]);
    if version > FORMAT {
        return Err(SegmentError::NewerFormat { found: version, max: FORMAT });
    }
    if *head != header(kind, segment) { Err(damaged()) } else { Ok(rest) }
}

/// Maps a file of a segment and checks its header.
///
/// # Errors
/// [`SegmentError::Missing`], [`SegmentError::Io`], or as [`check_header`].
pub fn open(dir: &Dir, file: &str, kind: Kind, segment: SegmentId) -> Result<Region, SegmentError> {
    let region = dir.map(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SegmentError::Missing { file: file.to_owned() },
        // A place for files that knows what they should hold.
        io::ErrorKind::InvalidData => SegmentError::damaged(file, "contents"),
        _ => SegmentError::Io(error),
    })?;
    check_header(file, &region, kind, segment)?;
    Ok(region)
}

/// What a file's last bytes say: where its table or directory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Where the sealed table or directory starts; it ends where the footer starts.
    pub offset: u64,
    /// Rows or sections in it.
    pub count: u64,
}

impl Footer {
    fn encode(self, file_len: u64) -> [u8; FOOTER_LEN] {
        let len = file_len - self.offset - FOOTER_LEN as u64;
        let mut out = [0; FOOTER_LEN];
        out[..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..16].copy_from_slice(&len.to_le_bytes());
        out[16..24].copy_from_slice(&self.count.to_le_bytes());
        out[24..32].copy_from_slice(&file_len.to_le_bytes());
        out[32..40].copy_from_slice(FOOTER_MAGIC);
        let checksum = crc32c::crc32c(&out[..40]);
        out[40..].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads the footer of a whole file; also returns the bytes of the table or directory.
    ///
    /// # Errors
    /// [`SegmentError::Damaged`], above all for a file that was cut short.
    pub fn read<'a>(file: &str, bytes: &'a [u8]) -> Result<(Self, &'a [u8]), SegmentError> {
        Self::parse(bytes).ok_or_else(|| SegmentError::damaged(file, "footer"))
    }

    fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (before, footer) = bytes.split_last_chunk::<FOOTER_LEN>()?;
        let mut reader = Reader::new(footer);
        let (offset, _) = (reader.u64("footer").ok()?, reader.u64("footer").ok()?);
        let found = Self { offset, count: reader.u64("footer").ok()? };
        let part = before.get(usize::try_from(offset).ok()?..)?;
        // One footer fits the offset, the count and the length of the file: anything else is damage.
        (offset >= HEADER_LEN as u64 && *footer == found.encode(bytes.len() as u64)).then_some((found, part))
    }
}

/// Whether ranges (offset, length) fill the file from its header to the footer's part, one after the other.
pub(super) fn is_filled(mut ranges: impl Iterator<Item = (usize, usize)>, footer: &Footer) -> bool {
    let end = ranges.try_fold(HEADER_LEN, |end, (offset, len)| offset.checked_add(len).filter(|_| offset == end));
    end.is_some_and(|end| end as u64 == footer.offset)
}

/// Writes a file front to back through a buffer. It gets its name once it is whole and synced.
pub struct FileWriter {
    file: NewFile,
    buffer: Vec<u8>,
}

impl FileWriter {
    /// Starts a file with its header.
    ///
    /// # Errors
    /// Those of [`Dir::stage`].
    pub fn create(dir: &Dir, name: &str, kind: Kind, segment: SegmentId) -> io::Result<Self> {
        Ok(Self { file: dir.stage(name)?, buffer: header(kind, segment).to_vec() })
    }

    /// Appends bytes and returns the offset at which they start.
    ///
    /// # Errors
    /// Those of the backend; the writer must then be dropped.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let offset = self.file.len() + self.buffer.len() as u64;
        if self.buffer.len() + bytes.len() > WRITE_BUFFER {
            self.flush()?;
        }
        if bytes.len() > WRITE_BUFFER {
            self.file.append(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(offset)
    }

    /// Appends the sealed table or directory and the footer, and publishes the file. Returns its length.
    ///
    /// # Errors
    /// As [`Dir::write_new`].
    pub fn finish(mut self, part: &[u8], count: u64) -> io::Result<u64> {
        let offset = self.append(part)?;
        let footer = Footer { offset, count }.encode(offset + part.len() as u64 + FOOTER_LEN as u64);
        self.append(&footer)?;
        self.flush()?;
        let len = self.file.len();
        self.file.publish()?;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.append(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
