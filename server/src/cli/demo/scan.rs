//! Looking for plain text in files.
//!
//! Invariant: a scanner is trusted only after it found every needle in a file that holds them all, see
//! [`Scanner::prove`]; a search that finds nothing because it looks wrongly would prove nothing. It looks for nothing that
//! the files of an empty database hold, too: those words are not the data's.
#![expect(clippy::disallowed_methods, reason = "the demonstration plays a thief who reads files")]

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;
use half::f16;

use super::words::Lexicon;

/// Shorter words occur in random bytes by chance, so finding one would mean nothing.
pub const WORD_BYTES_MIN: usize = 7;
/// What identifies a vector: its first numbers, 16 bytes of them.
const VECTOR_BYTES: usize = 16;

/// Finds any of many byte strings.
pub struct Scanner {
    needles: Vec<Vec<u8>>,
    automaton: AhoCorasick,
}

/// What a scan saw.
#[derive(Default)]
pub struct Scanned {
    /// Files read.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Files in which plain text was found.
    pub leaks: Vec<PathBuf>,
}

impl Scanner {
    /// Looks for the long words of `lexicon`, its owners, and its vectors as 32-bit and as 16-bit floats, but for what
    /// the files in `empty`, a database without records, hold of them: the formats have words of their own.
    pub fn new(lexicon: &Lexicon, empty: &Path) -> io::Result<Self> {
        let mut needles: Vec<Vec<u8>> = Vec::new();
        needles.extend(lexicon.owners().map(String::into_bytes));
        for position in 0..lexicon.len() {
            let word = lexicon.word(position);
            if word.len() >= WORD_BYTES_MIN {
                needles.push(word.into());
            }
            let vector = lexicon.vector(position);
            needles.push(vector.iter().flat_map(|value| value.to_le_bytes()).take(VECTOR_BYTES).collect());
            let halves = vector.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes());
            needles.push(halves.take(VECTOR_BYTES).collect());
        }
        let all = Self::of(needles)?;
        let mut own = HashSet::new();
        each_file(empty, &mut |_, bytes| own.extend(all.found(&bytes)))?;
        let is_datas = |(at, needle)| (!own.contains(&at)).then_some(needle);
        Self::of(all.needles.into_iter().enumerate().filter_map(is_datas).collect())
    }

    fn of(needles: Vec<Vec<u8>>) -> io::Result<Self> {
        let automaton = AhoCorasick::new(&needles).map_err(io::Error::other)?;
        Ok(Self { needles, automaton })
    }

    /// The numbers of the needles that are in `bytes`.
    fn found(&self, bytes: &[u8]) -> HashSet<usize> {
        self.automaton.find_overlapping_iter(bytes).map(|found| found.pattern().as_usize()).collect()
    }

    /// How many byte strings it looks for.
    pub fn len(&self) -> usize {
        self.needles.len()
    }

    /// Writes every needle in clear to a file at `path` and tells how many of them it finds there: it must be all.
    pub fn prove(&self, path: &Path) -> io::Result<usize> {
        fs::write(path, self.needles.join(&b"\n"[..]))?;
        Ok(self.found(&fs::read(path)?).len())
    }

    /// Reads every file under `dir`.
    pub fn scan(&self, dir: &Path, scanned: &mut Scanned) -> io::Result<()> {
        each_file(dir, &mut |path, bytes| {
            scanned.files += 1;
            scanned.bytes += bytes.len() as u64;
            if self.automaton.is_match(&bytes) {
                scanned.leaks.push(path);
            }
        })
    }
}

fn each_file(dir: &Path, seen: &mut impl FnMut(PathBuf, Vec<u8>)) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            each_file(&path, seen)?;
        } else {
            let bytes = fs::read(&path)?;
            seen(path, bytes);
        }
    }
    Ok(())
}
