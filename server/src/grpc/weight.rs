//! What a message will take once it is read, told from its bytes before it is.
//!
//! Invariant: no message becomes much more than its own bytes in memory. Two bytes may stand for a whole inner message, so
//! the bytes are walked first, without keeping any of them, and refused beyond a bound. The walk knows the fields of our
//! messages; one that is not ours is refused as REST refuses a member that it does not know, and not left out of sight.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::prost::decode_length_delimiter;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use super::schema::FILES;
use crate::rest::{Problem, Refusal};

/// Bytes that a message may take beside those that were sent.
const BYTES_MAX: usize = 256 << 20;
/// As deep as messages are read (prost's own limit).
const DEPTH_MAX: usize = 100;
/// A field in a message of Rust: most hold a text, a list, or a pointer, with a flag.
const TYPED_FIELD: usize = 32;
/// A message that is known by its description: the first leaf of its map of fields.
const DYNAMIC_MESSAGE: usize = 1 << 10;
/// An item of a list in one.
const DYNAMIC_ITEM: usize = 64;

// How a value is written, in the lowest bits of its key.
const VARINT: usize = 0;
const SIXTY_FOUR_BITS: usize = 1;
const DELIMITED: usize = 2;
const THIRTY_TWO_BITS: usize = 5;

/// What messages become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// Types of Rust.
    Typed,
    /// Messages known by their description alone.
    Dynamic,
}

enum Field {
    /// Of the shape at this place.
    Message(usize),
    Text,
    /// A number, and the fewest bytes that one of them takes.
    Number(usize),
}

struct Shape {
    fields: HashMap<u32, Field>,
    /// Of a message of Rust.
    bytes: usize,
}

/// The fields of all our messages.
struct Shapes {
    shapes: Vec<Shape>,
    by_name: HashMap<String, usize>,
}

static SHAPES: LazyLock<Option<Shapes>> = LazyLock::new(|| DescriptorPool::decode(FILES).ok().map(Shapes::of));

/// Says whether the message of this name may be read from these bytes.
///
/// # Errors
/// `broken_body`, `invalid_body` for a field that is not ours, `body_too_large`.
pub fn admit(name: &str, bytes: &[u8], held: Held) -> Result<(), Problem> {
    let unknown = || Problem::new(Refusal::Internal, "the message has no description");
    let shapes = SHAPES.as_ref().ok_or_else(unknown)?;
    let at = *shapes.by_name.get(name).ok_or_else(unknown)?;
    let mut walk = Walk { shapes: &shapes.shapes, held, bytes: 0, has_unknown: false };
    walk.message(at, bytes, 0)?;
    if walk.has_unknown {
        let detail = "it has a field that this server does not know; ask for its description";
        return Err(Problem::new(Refusal::InvalidBody, detail));
    }
    Ok(())
}

impl Shapes {
    fn of(pool: DescriptorPool) -> Self {
        let messages: Vec<_> = pool.all_messages().collect();
        let by_name: HashMap<_, _> =
            messages.iter().enumerate().map(|(at, message)| (message.full_name().to_owned(), at)).collect();
        let field = |field: FieldDescriptor| {
            let shape = match field.kind() {
                Kind::Message(of) => by_name.get(of.full_name()).map_or(Field::Text, |at| Field::Message(*at)),
                Kind::String | Kind::Bytes => Field::Text,
                Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Field::Number(4),
                Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Field::Number(8),
                _ => Field::Number(1),
            };
            (field.number(), shape)
        };
        let shape = |message: &MessageDescriptor| {
            // Fields of which one is set share a place.
            let alone = message.fields().filter(|field| field.containing_oneof().is_none()).count();
            let places = alone + message.oneofs().count();
            Shape { fields: message.fields().map(field).collect(), bytes: TYPED_FIELD.saturating_mul(places.max(1)) }
        };
        Self { shapes: messages.iter().map(shape).collect(), by_name }
    }
}

struct Walk<'a> {
    shapes: &'a [Shape],
    held: Held,
    bytes: usize,
    has_unknown: bool,
}

impl Walk<'_> {
    fn message(&mut self, at: usize, mut bytes: &[u8], depth: usize) -> Result<(), Problem> {
        let Some(shape) = self.shapes.get(at).filter(|_| depth <= DEPTH_MAX) else { return Err(broken()) };
        self.hold(if self.held == Held::Typed { shape.bytes } else { DYNAMIC_MESSAGE })?;
        while !bytes.is_empty() {
            let key = varint(&mut bytes)?;
            let kind = key & 7;
            let value = value(kind, &mut bytes)?;
            match u32::try_from(key >> 3).ok().and_then(|number| shape.fields.get(&number)) {
                None => self.has_unknown = true,
                Some(Field::Message(inner)) if kind == DELIMITED => {
                    self.message(*inner, value, depth + 1)?;
                }
                Some(Field::Number(least)) if kind == DELIMITED => {
                    self.items(value.len() / least, *least)?;
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

/// The bytes of a field's value, which are taken off.
fn value<'a>(kind: usize, bytes: &mut &'a [u8]) -> Result<&'a [u8], Problem> {
    let length = match kind {
        VARINT => return varint(bytes).map(|_| &[][..]),
        SIXTY_FOUR_BITS => 8,
        DELIMITED => varint(bytes)?,
        THIRTY_TWO_BITS => 4,
        // Groups are of the time before proto3.
        _ => return Err(broken()),
    };
    let (value, rest) = bytes.split_at_checked(length).ok_or_else(broken)?;
    *bytes = rest;
    Ok(value)
}

fn varint(bytes: &mut &[u8]) -> Result<usize, Problem> {
    decode_length_delimiter(bytes).map_err(|_| broken())
}

/// The problem of bytes that are no message.
pub fn broken() -> Problem {
    Problem::new(Refusal::BrokenBody, "what was sent cannot be read as this call's message")
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
        assert_eq!(refused("lethedb.v1.Value", &deep, Held::Dynamic), Some("broken_body"));
    }

    fn length(of: &[u8]) -> Vec<u8> {
        let mut written = Vec::new();
        encode_length_delimiter(of.len(), &mut written).unwrap();
        written
    }
}
