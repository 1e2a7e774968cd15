//! Parquet files of records: a column `id`, a column of vectors, and whatever else belongs to a record.
//!
//! | column    | read from                                             | written as                            |
//! |-----------|-------------------------------------------------------|---------------------------------------|
//! | `id`      | integers, text, or 16 bytes of a UUID                 | unsigned integers, text if any is a UUID |
//! | `vector`  | lists of floats or integers                           | lists of 32-bit floats                |
//! | `entity`  | text or integers; may be missing                      | text or null                          |
//! | `payload` | text that is JSON; may be missing                     | JSON text or null                     |
//! | others    | members of the payload, if there is no column `payload` | nothing                             |
//!
//! Times become RFC 3339 text (those without a zone are taken as UTC), decimals text, because JSON has no exact form for
//! either; a null in a column means that the record lacks the member. Written with the column interface of the `parquet`
//! crate: its record interface panics on types it does not know and quotes bytes of the file in its errors. Its decoders
//! assert, too; [`rows`](Rows) keeps that from going further.
//!
//! Invariant: a row is judged alone. What is wrong with one is a [`Fault`] and the next row follows; what is wrong with
//! the file is an [`Error`] and nothing follows. Neither holds anything of the data.
//! Leaves first: [`error`](Error); a [`bounded`] file; [`values`] and what [`kind`] they are, a [`leaf`] column, the [`node`]s that assemble them into JSON,
//! [`rows`](Rows) and their [`writer`](Writer).

mod bounded;
mod error;
mod kind;
mod leaf;
mod node;
mod rows;
#[cfg(test)]
mod tests;
mod values;
mod writer;

pub use error::{Error, Fault};
pub use rows::{Columns, Payload, Row, Rows, is_contained};
pub use writer::{Ids, Writer, Written};
