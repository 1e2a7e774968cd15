//! The fields of our messages, and bytes taken apart by them, for whoever looks at a message before it is read.
//!
//! Invariant: made of the `.proto` files alone; nothing of a message is kept here.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::prost::decode_length_delimiter;
use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use super::schema::FILES;
use crate::rest::{Problem, Refusal};

/// As deep as messages are read (prost's own limit).
const DEPTH_MAX: usize = 100;

// How a value is written, in the lowest bits of its key.
const VARINT: usize = 0;
const SIXTY_FOUR_BITS: usize = 1;
const DELIMITED: usize = 2;
const THIRTY_TWO_BITS: usize = 5;

/// What stands in a field.
pub enum Field {
    /// One of the shape at this place.
    Message(usize),
    /// The same, of which the order says nothing.
    Entry(usize),
    Text,
    /// A number, and the fewest bytes that one of them takes.
    Number(usize),
}

/// A message.
pub struct Shape {
    pub fields: HashMap<u32, Field>,
    /// Of which so many can be set at once, at least one.
    pub places: usize,
}

/// All our messages.
pub struct Shapes {
    shapes: Vec<Shape>,
    by_name: HashMap<String, usize>,
}

static SHAPES: LazyLock<Option<Shapes>> = LazyLock::new(|| DescriptorPool::decode(FILES).ok().map(Shapes::of));

/// All our messages, and where among them that of this name is.
///
/// # Errors
/// `internal`, which no client can cause.
pub fn named(name: &str) -> Result<(&'static Shapes, usize), Problem> {
    let unknown = || Problem::new(Refusal::Internal, "the message has no description");
    let shapes = SHAPES.as_ref().ok_or_else(unknown)?;
    Ok((shapes, *shapes.by_name.get(name).ok_or_else(unknown)?))
}

impl Shapes {
    fn of(pool: DescriptorPool) -> Self {
        let messages: Vec<_> = pool.all_messages().collect();
        let by_name: HashMap<_, _> =
            messages.iter().enumerate().map(|(at, message)| (message.full_name().to_owned(), at)).collect();
        let field = |field: FieldDescriptor| {
            let shape = match field.kind() {
                Kind::Message(of) => by_name.get(of.full_name()).map_or(Field::Text, |at| match field.is_map() {
                    true => Field::Entry(*at),
                    false => Field::Message(*at),
                }),
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
            let places = (alone + message.oneofs().count()).max(1);
            Shape { fields: message.fields().map(field).collect(), places }
        };
        Self { shapes: messages.iter().map(shape).collect(), by_name }
    }

    /// The message at this place, if one may stand so deep.
    ///
    /// # Errors
    /// `invalid_body`.
    pub fn at(&self, at: usize, depth: usize) -> Result<&Shape, Problem> {
        if depth > DEPTH_MAX {
            let detail = format!("over {DEPTH_MAX} messages in one another; an object takes three of them, a list two");
            return Err(Problem::new(Refusal::InvalidBody, detail));
        }
        self.shapes.get(at).ok_or_else(broken)
    }
}

/// A field as it stands in a message.
pub struct Written<'a> {
    /// None where it can be none of ours.
    pub number: Option<u32>,
    /// Whether its value has a length of its own: a text, a message, or many numbers.
    pub is_delimited: bool,
    /// What stands before its value: its number, kind and, if it has one, length.
    pub key: &'a [u8],
    pub value: &'a [u8],
}

/// Takes the first field off `bytes`.
///
/// # Errors
/// `broken_body`.
pub fn take<'a>(bytes: &mut &'a [u8]) -> Result<Written<'a>, Problem> {
    let whole = *bytes;
    let key = varint(bytes)?;
    let kind = key & 7;
    let length = match kind {
        VARINT => {
            let before = bytes.len();
            let mut rest = *bytes;
            varint(&mut rest)?;
            before - rest.len()
        }
        SIXTY_FOUR_BITS => 8,
        DELIMITED => varint(bytes)?,
        THIRTY_TWO_BITS => 4,
        // Groups are of the time before proto3.
        _ => return Err(broken()),
    };
    let key_bytes = &whole[..whole.len() - bytes.len()];
    let (value, rest) = bytes.split_at_checked(length).ok_or_else(broken)?;
    *bytes = rest;
    Ok(Written { number: u32::try_from(key >> 3).ok(), is_delimited: kind == DELIMITED, key: key_bytes, value })
}

fn varint(bytes: &mut &[u8]) -> Result<usize, Problem> {
    decode_length_delimiter(bytes).map_err(|_| broken())
}

/// The problem of bytes that are no message.
pub fn broken() -> Problem {
    Problem::new(Refusal::BrokenBody, "what was sent cannot be read as this call's message")
}
