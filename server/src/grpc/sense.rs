//! What a message says, however it was written.
//!
//! Invariant: two messages that say the same have the same sense, and two that do not have not. Protobuf gives no order to the
//! members of a map, and libraries write them in another one each time, by which a call that is sent again would not be known.

use super::shape::{Field, Shapes, named, take};
use crate::rest::Problem;

/// The sense of the message of this name in these bytes.
///
/// # Errors
/// `broken_body`.
pub fn sense(name: &str, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    let (shapes, at) = named(name)?;
    let mut sense = Vec::with_capacity(bytes.len());
    add(shapes, at, bytes, 0, &mut sense)?;
    Ok(sense)
}

/// Adds what a message says: its fields as they come, and then the members of its maps in an order of ours. What was added
/// before a length is told by it, so that no two parts run into each other.
fn add(shapes: &Shapes, at: usize, mut bytes: &[u8], depth: usize, sense: &mut Vec<u8>) -> Result<(), Problem> {
    let shape = shapes.at(at, depth)?;
    let mut members = Vec::new();
    while !bytes.is_empty() {
        let written = take(&mut bytes)?;
        let field = written.number.and_then(|number| shape.fields.get(&number));
        match field {
            Some(Field::Message(inner)) if written.is_delimited => {
                sense.extend_from_slice(written.key);
                let begun = sense.len();
                add(shapes, *inner, written.value, depth + 1, sense)?;
                end(sense, begun);
            }
            Some(Field::Entry(inner)) if written.is_delimited => {
                let mut member = written.number.unwrap_or_default().to_be_bytes().to_vec();
                add(shapes, *inner, written.value, depth + 1, &mut member)?;
                members.push(member);
            }
            _ => {
                sense.extend_from_slice(written.key);
                sense.extend_from_slice(written.value);
            }
        }
    }
    members.sort_unstable();
    for member in members {
        let begun = sense.len();
        sense.extend_from_slice(&member);
        end(sense, begun);
    }
    Ok(())
}

fn end(sense: &mut Vec<u8>, begun: usize) {
    let length = (sense.len() - begun) as u64;
    sense.extend_from_slice(&length.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use prost_reflect::prost::encode_length_delimiter;

    use super::*;

    const OF: &str = "lethedb.v1.Value";

    /// A value with objects, whose members are written in the order of `turn`.
    #[derive(Clone, Debug, PartialEq)]
    enum Said {
        Text(String),
        List(Vec<Said>),
        Object(BTreeMap<String, Said>),
    }

    fn delimited(number: u8, bytes: &[u8]) -> Vec<u8> {
        let mut written = vec![number << 3 | 2];
        encode_length_delimiter(bytes.len(), &mut written).unwrap();
        [written, bytes.to_vec()].concat()
    }

    fn write(said: &Said, turn: usize) -> Vec<u8> {
        match said {
            Said::Text(text) => delimited(5, text.as_bytes()),
            Said::List(items) => {
                let items: Vec<u8> = items.iter().flat_map(|item| delimited(1, &write(item, turn))).collect();
                delimited(6, &items)
            }
            Said::Object(members) => {
                let entry = |(name, said): (&String, &Said)| {
                    delimited(1, &[delimited(1, name.as_bytes()), delimited(2, &write(said, turn))].concat())
                };
                let mut entries: Vec<Vec<u8>> = members.iter().map(entry).collect();
                if !entries.is_empty() {
                    let at = turn % entries.len();
                    entries.rotate_left(at);
                }
                delimited(7, &entries.concat())
            }
        }
    }

    fn said() -> impl Strategy<Value = Said> {
        "[ab]{0,2}".prop_map(Said::Text).prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Said::List),
                prop::collection::btree_map("[ab]{0,2}", inner, 0..4).prop_map(Said::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn messages_that_say_the_same_have_one_sense_and_no_others(one in said(), other in said(), turn in 0..9usize) {
            let of = |said: &Said, turn| sense(OF, &write(said, turn)).unwrap();
            prop_assert_eq!(of(&one, 0), of(&one, turn));
            prop_assert_eq!(of(&one, 0) == of(&other, turn), one == other);
        }
    }

    #[test]
    fn what_is_no_message_has_no_sense() {
        assert_eq!(sense(OF, &[0x3a, 5]).unwrap_err().code, "broken_body");
    }
}
