//! Bytes that must be nowhere, and a scan for them. Invariant: a text or vector is looked for in every writing that a
//! program is likely to have left of it; what is found is told with where it starts.
//!
//! Written apart from the scanner of `lethedb verify-erasure`, which it stands beside as a second opinion.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes read at once. Zeros of this length hold nothing, which spares most of an empty disk.
const PIECE: usize = 1 << 16;
/// Longer needles are cut: this much of one is enough to know it by.
const LONGEST: usize = 64;

/// Byte strings to look for.
#[derive(Default)]
pub struct Needles {
    all: Vec<(String, Vec<u8>)>,
}

/// What was found: its name, and the byte where it starts.
pub type Found = (String, u64);

impl Needles {
    /// Looks for these very bytes, too.
    pub fn raw(&mut self, name: &str, bytes: &[u8]) {
        let bytes = bytes.get(..LONGEST).unwrap_or(bytes);
        // What is shorter or even occurs by chance.
        if bytes.len() >= 6 && bytes.iter().any(|byte| *byte != 0) {
            self.all.push((name.to_owned(), bytes.to_vec()));
        }
    }

    /// Looks for a text as UTF-8 and UTF-16, and for its bytes as digits and as base64.
    pub fn text(&mut self, text: &str) {
        self.encoded(&format!("{text} as UTF-8"), text.as_bytes());
        for (name, bytes) in [("little", u16::to_le_bytes as fn(u16) -> [u8; 2]), ("big", u16::to_be_bytes)] {
            let wide: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
            self.raw(&format!("{text} as UTF-16, {name} endian"), &wide);
        }
    }

    /// Looks for the first four numbers of a vector, in either byte order and both widths.
    pub fn vector(&mut self, name: &str, vector: &[f32]) {
        let first = || vector.iter().take(4);
        let forms: [(&str, Vec<u8>); 4] = [
            ("32-bit little endian", first().flat_map(|x| x.to_le_bytes()).collect()),
            ("32-bit big endian", first().flat_map(|x| x.to_be_bytes()).collect()),
            ("64-bit little endian", first().flat_map(|x| f64::from(*x).to_le_bytes()).collect()),
            ("64-bit big endian", first().flat_map(|x| f64::from(*x).to_be_bytes()).collect()),
        ];
        forms.iter().for_each(|(form, bytes)| self.encoded(&format!("{name} as {form} floats"), bytes));
    }

    /// Looks for bytes, for their hexadecimal digits, and for their base64 at each of the three places in a group.
    pub fn encoded(&mut self, name: &str, bytes: &[u8]) {
        self.raw(name, bytes);
        let lower: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.raw(&format!("{name}, in digits"), lower.as_bytes());
        self.raw(&format!("{name}, in capital digits"), lower.to_uppercase().as_bytes());
        for place in 0..3 {
            self.raw(&format!("{name}, in base64"), base64_inside(bytes, place).as_bytes());
        }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Every needle in `source`; one that occurs many times once for each.
    ///
    /// # Errors
    /// Those of reading.
    pub fn find(&self, mut source: impl Read) -> io::Result<Vec<Found>> {
        let mut begins = vec![false; 1 << 16];
        for (_, bytes) in &self.all {
            begins[usize::from(u16::from_le_bytes([bytes[0], bytes[1]]))] = true;
        }
        let (mut found, mut piece, mut start) = (Vec::new(), Vec::new(), 0u64);
        loop {
            let read = source.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            // A place is looked at once all of the longest needle after it is there, or nothing more comes.
            let end = if read == 0 { piece.len() } else { piece.len().saturating_sub(LONGEST) };
            let is_empty = piece.iter().all(|byte| *byte == 0);
            for at in (0..end).filter(|_| !is_empty) {
                let Some([first, second]) = piece.get(at..at + 2) else { break };
                if begins[usize::from(u16::from_le_bytes([*first, *second]))] {
                    let here = self.all.iter().filter(|(_, bytes)| piece[at..].starts_with(bytes));
                    found.extend(here.map(|(name, _)| (name.clone(), start + at as u64)));
                }
            }
            if read == 0 {
                return Ok(found);
            }
            piece.drain(..end);
            start += end as u64;
        }
    }

    /// Every needle in a file, or in any file below a directory, and in their names.
    ///
    /// # Errors
    /// Those of reading.
    #[allow(clippy::disallowed_methods, reason = "reads files as they are")]
    pub fn find_below(&self, path: &Path) -> io::Result<Vec<Found>> {
        if !path.is_dir() {
            return self.find(File::open(path)?);
        }
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path)? {
            let inner = entry?.path();
            let name = inner.file_name().unwrap_or_default().as_encoded_bytes();
            found.extend(self.find(name)?.into_iter().map(|(what, _)| (format!("{what}, in a name"), 0)));
            found.extend(self.find_below(&inner)?);
        }
        Ok(found)
    }
}

/// The characters of base64 (RFC 4648) that `bytes` alone decide, where they begin at this place of a group of three.
fn base64_inside(bytes: &[u8], place: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let bits = three.iter().fold(0usize, |bits, byte| bits << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(ALPHABET[bits >> shift & 63]))
    };
    // Up to the next whole group; what is cut off here would depend on neighbours.
    let skipped = (3 - place) % 3;
    bytes.get(skipped..).unwrap_or_default().chunks_exact(3).flat_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_writing_is_found_where_it_is() {
        let mut needles = Needles::default();
        needles.text("someone-who-left");
        needles.vector("a vector", &[0.25, -1.5, 3.0, 0.1, 9.0]);
        needles.encoded("a key", &[0xA7; 32]);
        assert_eq!(needles.len(), 6 + 2 + 4 * 6 + 6);
        for (name, bytes) in &needles.all {
            // Also across the seam of two pieces.
            for before in [0, 3, PIECE - 5, 3 * PIECE - LONGEST - 1] {
                let hay = [vec![0; before], bytes.clone(), vec![0; 2 * PIECE]].concat();
                let found = needles.find(&hay[..]).unwrap();
                assert!(found.contains(&(name.clone(), before as u64)), "{name} at {before}: {found:?}");
            }
        }
        assert_eq!(needles.find(&vec![7; 3 * PIECE][..]).unwrap(), []);
    }

    /// RFC 4648 section 10, in the middle of other text.
    #[test]
    fn base64_of_a_part_is_part_of_the_base64() {
        let (whole, part) = (b"xyfoobarfoobarz", &b"foobarfoobar"[..]);
        let written = base64_inside(whole, 0);
        assert_eq!(base64_inside(b"foobar", 0), "Zm9vYmFy");
        assert!(written.contains(&base64_inside(part, 2)), "{written}");
        assert!(base64_inside(&whole[1..], 0).contains(&base64_inside(part, 1)));
    }
}
