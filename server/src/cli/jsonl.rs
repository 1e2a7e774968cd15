//! Records as lines of JSON.
//!
//! Invariant: an error names the line and what is wrong, and shows nothing of the line; no line longer than
//! [`LINE_BYTES_MAX`] is ever held in memory.
#![expect(clippy::disallowed_methods, reason = "reads a file that the user names; no file of ours")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use engine::Record;
use serde_json::Value;

use crate::json::{self, JsonError, Object, RecordBody};

/// Longest line: room for a vector of 4096 numbers and the largest payload, many times over.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// A line that cannot be stored.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not JSON, or JSON of another shape.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Longer than any record.
    #[error("line {line} has more than {LINE_BYTES_MAX} bytes")]
    TooLong {
        /// Counted from 1.
        line: usize,
    },
    /// Another dimension than the lines before.
    #[error("line {line}: the vector has {found} numbers, those before have {expected}")]
    Dimension {
        /// Counted from 1.
        line: usize,
        /// That of the first record.
        expected: usize,
        /// That of this one.
        found: usize,
    },
    /// A number of the vector is too large for 32 bits.
    #[error("line {line}: the vector holds a number that no 32-bit float can hold")]
    NotFinite {
        /// Counted from 1.
        line: usize,
    },
    /// The payload member that should name the entity does not.
    #[error(
        "line {line}: neither `entity` nor the payload member of --entity-field names the entity as a string or whole number"
    )]
    Entity {
        /// Counted from 1.
        line: usize,
    },
    /// The file cannot be read on.
    #[error("line {line} cannot be read")]
    Read {
        /// Counted from 1.
        line: usize,
        /// What the system says.
        source: io::Error,
    },
}

/// A record, and where its line ends.
pub struct Line {
    /// What the line says.
    pub record: Record,
    /// Size of vector and line: about what the record takes in memory.
    pub bytes: usize,
    /// Bytes of the file up to the end of this line.
    pub end: u64,
}

/// Whether the name of `path` says that it holds lines of JSON.
pub fn is_jsonl(path: &Path) -> bool {
    matches!(path.extension().and_then(OsStr::to_str), Some("jsonl" | "ndjson"))
}

/// The records of a file, line by line; blank lines are passed over. Nothing follows an error.
pub struct Lines {
    reader: Box<dyn BufRead>,
    total: u64,
    entity_field: Option<String>,
    dimension: Option<usize>,
    line: usize,
    read: u64,
    is_over: bool,
}

impl Lines {
    /// Opens the file at `path`. With `entity_field`, that member of the payload names the entity where `entity` does
    /// not, and every record must have an owner.
    pub fn open(path: &Path, entity_field: Option<&str>) -> Result<Self, LineError> {
        let unreadable = |source| LineError::Read { line: 1, source };
        let file = File::open(path).map_err(unreadable)?;
        let total = file.metadata().map_err(unreadable)?.len();
        Ok(Self::new(Box::new(BufReader::new(file)), total, entity_field))
    }

    fn new(reader: Box<dyn BufRead>, total: u64, entity_field: Option<&str>) -> Self {
        let entity_field = entity_field.map(str::to_owned);
        Self { reader, total, entity_field, dimension: None, line: 0, read: 0, is_over: false }
    }

    /// Length of the file in bytes.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// From here on a vector must have `dimension` numbers.
    pub fn expect(&mut self, dimension: usize) {
        self.dimension = Some(dimension);
    }

    /// The next line that is not blank; `None` at the end.
    fn advance(&mut self) -> Result<Option<Line>, LineError> {
        let mut text = Vec::new();
        loop {
            self.line += 1;
            text.clear();
            let mut limited = self.reader.as_mut().take(LINE_BYTES_MAX + 1);
            let read = limited.read_until(b'\n', &mut text);
            let read = read.map_err(|source| LineError::Read { line: self.line, source })? as u64;
            self.read += read;
            if read == 0 {
                return Ok(None);
            }
            if read > LINE_BYTES_MAX {
                return Err(LineError::TooLong { line: self.line });
            }
            if !text.trim_ascii().is_empty() {
                return self.record(&text).map(Some);
            }
        }
    }

    fn record(&self, text: &[u8]) -> Result<Line, LineError> {
        let line = self.line;
        let Object(mut body): Object<RecordBody> = json::parse(text).map_err(|error| error.on_line(line))?;
        let (found, expected) = (body.vector.len(), self.dimension.unwrap_or(body.vector.len()));
        if found != expected {
            return Err(LineError::Dimension { line, expected, found });
        }
        if !body.vector.iter().all(|value| value.is_finite()) {
            return Err(LineError::NotFinite { line });
        }
        if let (Some(field), None) = (&self.entity_field, &body.entity) {
            let member = body.payload.as_ref().and_then(|payload| payload.0.get(field));
            body.entity = Some(member.and_then(entity).ok_or(LineError::Entity { line })?);
        }
        let bytes = size_of_val(body.vector.as_slice()) + text.len();
        Ok(Line { record: Record::from(body), bytes, end: self.read })
    }
}

fn entity(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        _ => None,
    }
}

impl Iterator for Lines {
    type Item = Result<Line, LineError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let next = self.advance().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

#[cfg(test)]
mod tests {
    use engine::RecordId;

    use super::*;

    fn lines(text: &'static str, entity_field: Option<&str>) -> Lines {
        Lines::new(Box::new(text.as_bytes()), text.len() as u64, entity_field)
    }

    fn error(text: &'static str, entity_field: Option<&str>) -> String {
        let mut lines = lines(text, entity_field);
        lines.expect(2);
        let error = lines.find_map(Result::err).map(|error| error.to_string());
        assert!(lines.next().is_none(), "nothing follows an error");
        error.unwrap_or_default()
    }

    #[test]
    fn records_come_out_as_they_went_in() {
        let text = concat!(
            "{\"id\": 7, \"vector\": [1, -2.5], \"entity\": \"ada\", \"payload\": {\"k\": [null]}}\r\n\n",
            "{\"id\": \"67e55044-10b1-426f-9247-bb680e5fe0c8\", \"vector\": [0, 1e-3]}",
        );
        let read: Vec<Line> = lines(text, None).map(Result::unwrap).collect();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].record.id(), RecordId::from(7));
        assert_eq!(read[0].record.vector(), [1.0, -2.5]);
        assert_eq!(read[0].record.entity_id(), Some("ada"));
        assert_eq!(read[0].record.payload_json(), Some(&serde_json::json!({"k": [null]})));
        assert_eq!(read[1].record.id().to_string(), "67e55044-10b1-426f-9247-bb680e5fe0c8");
        assert_eq!((read[1].record.entity_id(), read[1].record.payload_json()), (None, None));
        assert_eq!(read[1].end, text.len() as u64);
    }

    #[test]
    fn errors_name_the_line_and_show_nothing_of_it() {
        let good = "{\"id\": 1, \"vector\": [1, 2]}\n";
        for (bad, expected) in [
            ("s3cr3t", "not valid JSON at line 2, column 1"),
            ("{\"id\": 2, \"vector\": [1, NaN]}", "not valid JSON at line 2, column 25"),
            ("{\"id\": 2, \"vector\": [1, 1e39]}", "line 2: the vector holds a number that no 32-bit float can hold"),
            ("{\"id\": 2, \"vector\": [1]}", "line 2: the vector has 1 numbers, those before have 2"),
            ("{\"id\": 2, \"vector\": [1, 2], \"s3cr3t\": 1}", "an unknown member at line 2, column 36"),
            (
                "{\"id\": 2, \"vector\": [1, 2], \"payload\": {\"s3cr3t\": 1, \"s3cr3t\": 2}}",
                "a repeated member in `payload` at line 2, column 65",
            ),
            ("{\"vector\": [1, 2]}", "`id` is missing at line 2, column 18"),
            (
                "{\"id\": -2, \"vector\": [1, 2]}",
                "a wrong value in `id`: a whole number from 0 or a UUID is expected at line 2, column 9",
            ),
        ] {
            let text: &'static str = format!("{good}{bad}\n{good}").leak();
            assert_eq!(error(text, None), expected);
        }
    }

    #[test]
    fn a_payload_member_can_name_the_entity_and_then_must() {
        let entity = |text| lines(text, Some("user")).next().map(|first| first.map(|first| first.record));
        let record = entity("{\"id\": 1, \"vector\": [1, 2], \"payload\": {\"user\": 42}}").unwrap().unwrap();
        assert_eq!(record.entity_id(), Some("42"));
        let record = entity("{\"id\": 1, \"vector\": [1, 2], \"entity\": \"eve\"}").unwrap().unwrap();
        assert_eq!(record.entity_id(), Some("eve"));
        let error = error("{\"id\": 1, \"vector\": [1, 2], \"payload\": {\"user\": [\"s3cr3t\"]}}", Some("user"));
        assert!(error.starts_with("line 1: neither") && !error.contains("s3cr3t"), "{error}");
    }
}
