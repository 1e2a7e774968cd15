//! A record in the export of one person: a line that says where it was.

use engine::Record;
use serde::Serialize;

use super::record::RecordAnswer;

/// A record with the name of its collection.
#[derive(Serialize)]
pub struct PortableRecord<'a> {
    /// The collection.
    pub collection: &'a str,
    /// The record, whole.
    #[serde(flatten)]
    pub record: RecordAnswer,
}

impl<'a> PortableRecord<'a> {
    /// A line of an export.
    pub fn new(collection: &'a str, record: Record) -> Self {
        Self { collection, record: record.into() }
    }
}
