//! Every byte of every file looked through for what must not be there.
//!
//! Invariant: a scanner is believed only after it found every needle in bytes that hold them all ([`Scanner::new`]): one
//! that finds nothing because it looks wrongly would prove nothing. Files are read in pieces that overlap, so that nothing
//! hides at a seam.
#![expect(clippy::disallowed_methods, reason = "reads files as they are, whatever wrote them")]

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;

use super::needle::Needle;

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

/// Finds any of many byte strings.
pub struct Scanner {
    needles: Vec<Needle>,
    automaton: AhoCorasick,
    longest: usize,
}

/// Something that was found where it must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// The file, or the directory whose file names have it.
    pub path: PathBuf,
    /// Which of the things that were asked for.
    pub what: usize,
    /// In which encoding.
    pub form: &'static str,
    /// Where in the file it starts; none in a name.
    pub offset: Option<u64>,
}

/// What a scan saw.
#[derive(Debug, Default)]
pub struct Scanned {
    /// Files read to their end.
    pub files: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What was found, once for every file and thing.
    pub leaks: Vec<Leak>,
    /// What is neither a file nor a directory, and was therefore not looked into.
    pub skipped: Vec<PathBuf>,
}

impl Scanner {
    /// Looks for `needles`; none if it would miss one of them.
    pub fn new(needles: Vec<Needle>) -> Option<Self> {
        let automaton = AhoCorasick::new(needles.iter().map(|needle| &needle.bytes)).ok()?;
        let longest = needles.iter().map(|needle| needle.bytes.len()).max().unwrap_or_default();
        let scanner = Self { needles, automaton, longest };
        let finds = |needle: &Needle| {
            let mut leaks = Vec::new();
            let planted = [b"\n", &needle.bytes[..], b"\n"].concat();
            scanner.look(&mut &planted[..], &mut |found, _| leaks.push(found.clone())).is_ok() && leaks.contains(needle)
        };
        let is_sound = scanner.needles.iter().all(finds);
        is_sound.then_some(scanner)
    }

    /// How many byte strings it looks for.
    pub fn len(&self) -> usize {
        self.needles.len()
    }

    /// Whether any of them is in `bytes`.
    pub fn finds(&self, bytes: &[u8]) -> bool {
        self.automaton.is_match(bytes)
    }

    /// Reads everything below `path`, names included.
    ///
    /// # Errors
    /// Those of reading: what was not read was not looked through.
    pub fn scan(&self, path: &Path, scanned: &mut Scanned) -> io::Result<()> {
        let metadata = fs::symlink_metadata(path)?;
        let name = path.file_name().unwrap_or_default();
        self.look(&mut name.as_encoded_bytes(), &mut |needle, _| scanned.leak(path, needle, None))?;
        if metadata.is_dir() {
            for entry in fs::read_dir(path)? {
                self.scan(&entry?.path(), scanned)?;
            }
            return Ok(());
        }
        if !metadata.is_file() {
            scanned.skipped.push(path.to_owned());
            return Ok(());
        }
        let read = self.look(&mut File::open(path)?, &mut |needle, at| scanned.leak(path, needle, Some(at)))?;
        scanned.files += 1;
        scanned.bytes += read;
        Ok(())
    }

    /// Gives every needle in `source` to `found`, with where it starts; returns how many bytes there were.
    fn look(&self, source: &mut impl Read, found: &mut dyn FnMut(&Needle, u64)) -> io::Result<u64> {
        let keep = self.longest.saturating_sub(1);
        let mut piece = Vec::with_capacity(PIECE + keep);
        let mut start = 0u64;
        let mut fresh = 0;
        loop {
            let read = source.by_ref().take(PIECE as u64).read_to_end(&mut piece)?;
            for hit in self.automaton.find_overlapping_iter(&piece) {
                // What ends in bytes that the last piece had too was found there.
                if hit.end() > fresh
                    && let Some(needle) = self.needles.get(hit.pattern().as_usize())
                {
                    found(needle, start + hit.start() as u64);
                }
            }
            if read == 0 {
                return Ok(start + piece.len() as u64);
            }
            let gone = piece.len().saturating_sub(keep);
            piece.drain(..gone);
            start += gone as u64;
            fresh = piece.len();
        }
    }
}

impl Scanned {
    fn leak(&mut self, path: &Path, needle: &Needle, offset: Option<u64>) {
        let is_told = |leak: &Leak| leak.path == path && leak.what == needle.what;
        if !self.leaks.iter().any(is_told) {
            self.leaks.push(Leak { path: path.to_owned(), what: needle.what, form: needle.form, offset });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::needle::forms;
    use super::*;

    fn needle(what: usize, bytes: &[u8]) -> Needle {
        Needle { what, form: "raw", bytes: bytes.to_vec() }
    }

    /// A source that gives as few bytes at a time as it likes.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(out.len()).min(self.1);
            out[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    proptest! {
        /// Against looking at every place.
        #[test]
        fn all_places_are_found_once(hay in prop::collection::vec(0u8..3, 0..60), needles in prop::collection::vec(
            prop::collection::vec(0u8..3, 1..5), 1..4), step in 1usize..9,
        ) {
            let needles: Vec<Needle> = (0..).zip(&needles).map(|(what, bytes)| needle(what, bytes)).collect();
            let mut expected = Vec::new();
            for needle in &needles {
                let places = (0..hay.len()).filter(|at| hay[*at..].starts_with(&needle.bytes));
                expected.extend(places.map(|at| (needle.what, at as u64)));
            }
            let scanner = Scanner::new(needles).unwrap();
            let mut found = Vec::new();
            let read = scanner.look(&mut Trickle(&hay, step), &mut |needle, at| found.push((needle.what, at))).unwrap();
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!((read, found), (hay.len() as u64, expected));
        }
    }

    #[test]
    fn nothing_hides_at_a_seam() {
        let scanner = Scanner::new(forms(0, "person-who-left")).unwrap();
        for at in (PIECE - 40..PIECE + 40).chain([2 * PIECE - 7]) {
            let mut hay = vec![b'.'; 3 * PIECE];
            hay[at..at + 15].copy_from_slice(b"person-who-left");
            let mut found = Vec::new();
            scanner.look(&mut &hay[..], &mut |needle, at| found.push((needle.form, at))).unwrap();
            assert_eq!(found, [("UTF-8", at as u64)]);
        }
    }

    #[test]
    fn files_names_and_what_is_no_file_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(inner.join("clean"), b"nothing here").unwrap();
        fs::write(inner.join("a.person-who-left.bak"), b"").unwrap();
        fs::write(inner.join("hex"), b"..706572736f6e2d77686f2d6c656674..").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", inner.join("link")).unwrap();
        let mut scanned = Scanned::default();
        Scanner::new(forms(0, "person-who-left")).unwrap().scan(dir.path(), &mut scanned).unwrap();
        scanned.leaks.sort_by(|a, b| a.path.cmp(&b.path));
        let leak = |name: &str, form, offset| Leak { path: inner.join(name), what: 0, form, offset };
        let expected = [leak("a.person-who-left.bak", "UTF-8", None), leak("hex", "hexadecimal", Some(2))];
        assert_eq!(
            (scanned.files, &scanned.leaks[..], &scanned.skipped[..]),
            (3, &expected[..], &[inner.join("link")][..])
        );
    }
}
