//! What a message will take once it is read, told from its bytes before it is.
//!
//! Invariant: no message becomes much more than its own bytes in memory. Two bytes may stand for a whole inner message, so
//! the bytes are walked first, without keeping any of them, and refused beyond a bound. The walk knows the fields of our
//! messages; one that is not ours is refused as REST refuses a member that it does not know, and not left out of sight.

use super::shape::{Field, Shapes, named, take};
use crate::rest::{Problem, Refusal};

/// Bytes that a message may take beside those that were sent.
const BYTES_MAX: usize = 256 << 20;
/// A field in a message of Rust: most hold a text, a list, or a pointer, with a flag.
const TYPED_FIELD: usize = 32;
/// A message that is known by its description: the first leaf of its map of fields.
const DYNAMIC_MESSAGE: usize = 1 << 10;
/// An item of a list in one.
const DYNAMIC_ITEM: usize = 64;

/// What messages become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Types of Rust.
    Typed,
    /// Messages known by their description alone.
    Dynamic,
}

/// Says whether the message of this name may be read from these bytes.
///
/// # Errors
/// `broken_body`, `invalid_body` for a field that is not ours, `body_too_large`.
pub fn admit(name: &str, bytes: &[u8], held: Held) -> Result<(), Problem> {
    let (shapes, at) = named(name)?;
    let mut walk = Walk { shapes, held, bytes: 0, has_unknown: false };
    walk.message(at, bytes, 0)?;
    if walk.has_unknown {
        let detail = "it has a field that this server does not know; ask for its description";
        return Err(Problem::new(Refusal::InvalidBody, detail));
    }
    Ok(())
}

struct Walk<'a> {
    shapes: &'a Shapes,
    held: Held,
    bytes: usize,
    has_unknown: bool,
}

impl Walk<'_> {
    fn message(&mut self, at: usize, mut bytes: &[u8], depth: usize) -> Result<(), Problem> {
        let shape = self.shapes.at(at, depth)?;
        self.hold(match self.held {
            Held::Typed => TYPED_FIELD.saturating_mul(shape.places),
            Held::Dynamic => DYNAMIC_MESSAGE,
        })?;
        while !bytes.is_empty() {
            let written = take(&mut bytes)?;
            match written.number.and_then(|number| shape.fields.get(&number)) {
                None => self.has_unknown = true,
                Some(Field::Message(inner) | Field::Entry(inner)) if written.is_delimited => {
                    self.message(*inner, written.value, depth + 1)?;
                }
                Some(Field::Number(least)) if written.is_delimited => {
                    self.items(written.value.len() / least, *least)?;
                }
                Some(_) => self.items(1, 0)?,
            }
        }
        Ok(())
    }

    /// Counts so many items of a list of which each took at least so many bytes.
    fn items(&mut self, count: usize, least: usize) -> Result<(), Problem> {
        let each = match self.held {
            // A text of its own; a number that was written short takes eight bytes.
            Held::Typed if least == 0 => TYPED_FIELD,
            Held::Typed => 8 / least,
            Held::Dynamic => DYNAMIC_ITEM,
        };
        self.hold(count.saturating_mul(each))
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Problem> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes <= BYTES_MAX {
            return Ok(());
        }
        Err(Problem::new(Refusal::LargeBody, "it has too many parts for one message: split the request"))
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::prost::{Message, encode_length_delimiter};

    use super::super::schema::proto::{NewRecord, RecordId, SearchBatchRequest, UpsertRequest, record_id};
    use super::*;

    const BATCH: &str = "lethedb.v1.SearchBatchRequest";

    fn refused(name: &str, bytes: &[u8], held: Held) -> Option<&'static str> {
        admit(name, bytes, held).err().map(|problem| problem.code)
    }

    #[test]
    fn small_messages_that_become_large_are_refused_unread() {
        // Two bytes each for a search with nothing in it.
        let bomb = [0x12, 0].repeat(32 << 20);
        assert_eq!(refused(BATCH, &bomb, Held::Typed), Some("body_too_large"));
        let few = [0x12, 0].repeat(1000);
        assert_eq!(refused(BATCH, &few, Held::Typed), None);
        assert_eq!(SearchBatchRequest::decode(&*few).unwrap().searches.len(), 1000);
        // Texts of nothing, and messages known by their description.
        let texts = [0x3a, 0].repeat(16 << 20);
        assert_eq!(refused("lethedb.v1.UpdateRequest", &texts, Held::Typed), Some("body_too_large"));
        let inner = [0x0a, 0].repeat(1 << 20);
        assert_eq!(refused("lethedb.v1.Values", &inner, Held::Dynamic), Some("body_too_large"));
    }

    #[test]
    fn the_largest_batches_that_the_engine_takes_are_let_in() {
        let record = |id| NewRecord {
            id: Some(RecordId { id: Some(record_id::Id::Number(id)) }),
            vector: vec![0.5; 1536],
            entity: Some("somebody".into()),
            ..NewRecord::default()
        };
        let all = UpsertRequest {
            collection: "docs".into(),
            records: (0..10_000).map(record).collect(),
            ..Default::default()
        };
        assert_eq!(refused("lethedb.v1.UpsertRequest", &all.encode_to_vec(), Held::Typed), None);
    }

    #[test]
    fn what_is_not_ours_is_refused_and_what_is_no_message_is_told_apart() {
        // Field 15, at the top and inside.
        for unknown in [&[0x78, 1][..], &[0x12, 2, 0x78, 1]] {
            assert_eq!(refused(BATCH, unknown, Held::Typed), Some("invalid_body"), "{unknown:?}");
        }
        for broken in [&[0x12, 5][..], &[0x13], &[0xff], &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]] {
            assert_eq!(refused(BATCH, broken, Held::Typed), Some("broken_body"), "{broken:?}");
        }
        let mut deep = Vec::new();
        for _ in 0..200 {
            deep = [&[0x0a][..], &length(&deep), &deep].concat();
            deep = [&[0x32][..], &length(&deep), &deep].concat();
        }
        assert_eq!(refused("lethedb.v1.Value", &deep, Held::Dynamic), Some("invalid_body"));
    }

    fn length(of: &[u8]) -> Vec<u8> {
        let mut written = Vec::new();
        encode_length_delimiter(of.len(), &mut written).unwrap();
        written
    }
}
