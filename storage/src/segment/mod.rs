//! A segment on disk: an immutable set of rows and its index.
//!
//! `<id>.rec` ([`rows`]) is the truth: row blobs as their owners' keys sealed them, and a table that finds them.
//! `<id>.idx` ([`index_file`]) is derived: sections of codes, graph and maps under one key that dies with the file.
//! `<id>-<version>.del` ([`tombstones`]) marks rows deleted or superseded; every change is a new file.
//! [`layout`] has the header, footer and names they share; [`id_map`], [`entity_map`] and [`field_map`] with its
//! [`column`]s of [`postings`] are sections of the index file as they are held in memory, and [`error`] says how opening any of these can fail.
//!
//! ```text
//! .rec  header │ vector blob, body blob │ vector blob, body blob │ … │ sealed row table │ footer
//! .idx  header │ sealed section │ sealed section │ … │ sealed directory │ footer
//! .del  header │ sealed bitmap
//! ```

pub mod column;
pub mod entity_map;
pub mod error;
pub mod field_map;
pub mod id_map;
pub mod index_file;
pub mod layout;
pub mod postings;
pub mod rows;
pub mod tombstones;

pub use column::Column;
pub use entity_map::EntityMap;
pub use error::SegmentError;
pub use field_map::{Field, FieldMap};
pub use id_map::IdMap;
pub use index_file::{IndexFile, write_index};
pub use postings::Postings;
pub use rows::{RowEntry, RowsFile, RowsMeta, RowsWriter, SealedRow};
pub use tombstones::{read_tombstones, write_tombstones};
