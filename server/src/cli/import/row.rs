//! A row of an import file: a record, or why it is none.
//!
//! Invariant: a reason says what is wrong and shows nothing of the row.

use engine::Record;
use serde_json::Value;

use crate::cli::failure::Failure;

/// A row that can be stored.
pub struct Loaded {
    /// What to store.
    pub record: Record,
    /// About its size in memory.
    pub bytes: usize,
    /// Where it stands in the file, as [`Unit`] counts.
    pub place: u64,
    /// How much of the file is read, in the units of the source's total.
    pub progress: u64,
}

/// A row that cannot be stored.
pub struct Bad {
    /// Where it stands in the file, as [`Unit`] counts.
    pub place: u64,
    /// What is wrong.
    pub reason: String,
    /// The row itself, if it could be read: people's data.
    pub data: Option<Value>,
}

/// How the rows of a file are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Lines, from 1, as editors do.
    Line,
    /// Rows, from 0, as NumPy does.
    Row,
}

impl Unit {
    /// Its name in a list of rejects.
    pub fn name(self) -> &'static str {
        match self {
            Self::Line => "line",
            Self::Row => "row",
        }
    }
}

/// A row as it comes; the failure is one of the file, after which nothing follows.
pub type Row = Result<Result<Loaded, Bad>, Failure>;

/// The entity of a record: its own, else what the member `field` of its payload says, which then must.
pub fn owner(
    own: Option<String>,
    payload: Option<&Value>,
    field: Option<&str>,
) -> Result<Option<String>, &'static str> {
    let (Some(field), None) = (field, &own) else { return Ok(own) };
    match payload.and_then(|payload| payload.get(field)) {
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Number(number)) if number.is_u64() || number.is_i64() => Ok(Some(number.to_string())),
        _ => Err(
            "neither `entity` nor the payload member of --entity-field names the entity as a string or whole number",
        ),
    }
}
