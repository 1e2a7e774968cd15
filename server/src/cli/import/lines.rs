//! Lines of a file, one at a time.
//!
//! Invariant: no line longer than [`LINE_BYTES_MAX`] is ever held in memory; one that is longer is passed over and told.
#![expect(clippy::disallowed_methods, reason = "reads a file that the user names; no file of ours")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use crate::cli::failure::Failure;
use crate::cli::format::is_pipe;

/// Longest line: room for a vector of 4096 numbers and the largest payload, many times over.
pub const LINE_BYTES_MAX: usize = 16 << 20;

/// A line.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// Counted from 1.
    pub number: u64,
    /// Without its end; nothing if it is too long.
    pub text: Option<Vec<u8>>,
    /// Bytes read up to the end of this line.
    pub end: u64,
}

/// The lines of a file, blank ones included.
pub struct Lines {
    reader: Box<dyn BufRead>,
    number: u64,
    read: u64,
}

const UNREADABLE: &str = "the file cannot be read";

impl Lines {
    /// The lines of the file at `path`, `-` for standard input, and the file's length in bytes if it has one.
    pub fn open(path: &Path) -> Result<(Self, Option<u64>), Failure> {
        if is_pipe(path) {
            return Ok((Self::new(Box::new(BufReader::new(io::stdin()))), None));
        }
        let unreadable = |source| Failure::File { file: path.display().to_string(), source };
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        Ok((Self::new(Box::new(BufReader::new(file))), metadata.is_file().then_some(metadata.len())))
    }

    /// The lines of `reader`.
    pub fn new(reader: Box<dyn BufRead>) -> Self {
        Self { reader, number: 0, read: 0 }
    }

    /// How many lines there are; reads them all.
    pub fn count(mut self) -> Result<u64, Failure> {
        let unreadable = |error| Failure::Io(UNREADABLE, error);
        while self.reader.skip_until(b'\n').map_err(unreadable)? > 0 {
            self.number += 1;
        }
        Ok(self.number)
    }

    fn advance(&mut self) -> io::Result<Option<Line>> {
        let mut text = Vec::new();
        let read = self.reader.as_mut().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.read += read as u64;
        let is_whole = text.pop_if(|last| *last == b'\n').is_some();
        if !is_whole && read > LINE_BYTES_MAX {
            self.read += self.reader.skip_until(b'\n')? as u64;
            return Ok(Some(Line { number: self.number, text: None, end: self.read }));
        }
        Ok(Some(Line { number: self.number, text: Some(text), end: self.read }))
    }
}

impl Iterator for Lines {
    type Item = Result<Line, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().map_err(|error| Failure::Io(UNREADABLE, error)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: Vec<u8>) -> Vec<(u64, Option<usize>, u64)> {
        let lines = Lines::new(Box::new(io::Cursor::new(text)));
        lines.map(Result::unwrap).map(|line| (line.number, line.text.map(|text| text.len()), line.end)).collect()
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let longest = vec![b'x'; LINE_BYTES_MAX];
        let text = [b"a\n\n", &longest[..], b"\nbc\n", &longest, b"y\nlast"].concat();
        let max = LINE_BYTES_MAX as u64;
        let expected = [
            (1, Some(1), 2),
            (2, Some(0), 3),
            (3, Some(LINE_BYTES_MAX), max + 4),
            (4, Some(2), max + 7),
            (5, None, 2 * max + 9),
            (6, Some(4), 2 * max + 13),
        ];
        assert_eq!(lines(text.clone()), expected);
        assert_eq!(Lines::new(Box::new(io::Cursor::new(text))).count().unwrap(), 6);
    }
}
