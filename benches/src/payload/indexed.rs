//! What a measurement of the index of payloads found: as one JSON object and as a table.
//!
//! Invariant: the member names are only ever added to; all figures are bytes for each record.

use std::fmt;

use serde::Serialize;

/// What indexes of payloads take.
#[derive(Clone, Debug, Serialize)]
pub struct Indexes {
    /// `lethedb`.
    pub engine: &'static str,
    /// Of the engine.
    pub version: &'static str,
    /// Records stored.
    pub records: usize,
    /// Bytes of a payload as JSON text, on average.
    pub payload_bytes: f64,
    /// Each field indexed alone.
    pub fields: Vec<Indexed>,
    /// All of them indexed.
    pub all: Indexed,
}

/// What an index takes more than none, by record.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Indexed {
    /// The field.
    pub field: &'static str,
    /// What is in it.
    pub what: &'static str,
    /// Bytes on disk.
    pub disk_bytes: f64,
    /// Bytes of memory once it is loaded, as the engine counts them.
    pub memory_bytes: f64,
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { engine, records, payload_bytes, fields, all, .. } = self;
        writeln!(
            f,
            "{engine} (encrypted): {records} records with payloads of {payload_bytes:.0} bytes, bytes for each"
        )?;
        write!(f, "{:>10}  {:<24} {:>8} {:>8}", "indexed", "", "disk", "memory")?;
        fields.iter().chain([all]).try_for_each(|indexed| {
            let Indexed { field, what, disk_bytes, memory_bytes } = indexed;
            write!(f, "\n{field:>10}  {what:<24} {disk_bytes:>8.2} {memory_bytes:>8.2}")
        })
    }
}
