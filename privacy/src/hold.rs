//! Legal holds: whose data must not be erased yet, and why.
//!
//! Unlike consent, a hold ends: it is released by whoever may, and nothing of it is kept then. A hold names its entity by
//! tag alone. The reason is somebody's own words and may say more about the person than it should, hence it is sealed
//! wherever it is kept, wiped, and never printed.

use std::collections::BTreeMap;
use std::fmt;

use minicbor::Decoder;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::cbor::{Malformed, array, decoded, fixed, length, rising, written};
use crate::keyring::Tag;

/// The format written, and the newest that is read.
const FORMAT: u64 = 1;

/// Why an entity is held, and since when.
#[derive(Clone, PartialEq, Eq)]
pub struct Hold {
    /// In the words of whoever placed it.
    pub reason: Zeroizing<String>,
    /// Since then, in milliseconds since the Unix epoch.
    pub since_ms: u64,
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").field("since_ms", &self.since_ms).finish_non_exhaustive()
    }
}

/// The holds of one environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holds {
    held: BTreeMap<Tag, Hold>,
}

/// Bytes that are no list of holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the list of legal holds is damaged, or of a newer version of this engine")]
pub struct HoldsError;

impl Holds {
    /// Holds an entity; one that is held already gets the new reason and keeps its time. Whether it was not held.
    pub fn place(&mut self, tag: Tag, hold: Hold) -> bool {
        let before = self.held.get(&tag).map(|hold| hold.since_ms);
        self.held.insert(tag, Hold { since_ms: before.unwrap_or(hold.since_ms), ..hold });
        before.is_none()
    }

    /// Releases an entity; whether it was held.
    pub fn release(&mut self, tag: &Tag) -> bool {
        self.held.remove(tag).is_some()
    }

    /// The hold on an entity, if there is one.
    pub fn get(&self, tag: &Tag) -> Option<&Hold> {
        self.held.get(tag)
    }

    /// Every hold, without whose it is; those placed first come first.
    pub fn list(&self) -> Vec<Hold> {
        let mut holds: Vec<Hold> = self.held.values().cloned().collect();
        holds.sort_by_key(|hold| hold.since_ms);
        holds
    }

    /// The same holds, all for one reason: for where the words of those who placed them must not go.
    #[must_use]
    pub fn with_reason(&self, reason: &str) -> Holds {
        let same = |hold: &Hold| Hold { reason: reason.to_owned().into(), since_ms: hold.since_ms };
        Holds { held: self.held.iter().map(|(tag, hold)| (*tag, same(hold))).collect() }
    }

    /// Whether nobody is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The holds as bytes, to be sealed.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        written(|e| {
            e.array(2)?.u64(FORMAT)?.array(self.held.len() as u64)?;
            self.held.iter().try_for_each(|(tag, hold)| {
                e.array(3)?.bytes(tag.as_bytes())?.u64(hold.since_ms)?.str(&hold.reason).map(drop)
            })
        })
    }

    /// Reads holds.
    ///
    /// # Errors
    /// [`HoldsError`]: without the holds nobody may be erased.
    pub fn decode(bytes: &[u8]) -> Result<Holds, HoldsError> {
        let read = |d: &mut Decoder<'_>| {
            fixed(d, 2)?;
            if d.u64()? != FORMAT {
                return Err(Malformed);
            }
            let mut held = BTreeMap::new();
            for _ in 0..length(d)? {
                fixed(d, 3)?;
                let tag = Tag::from_bytes(array(d)?);
                rising(held.last_key_value().map(|(last, _)| last), &tag)?;
                let since_ms = d.u64()?;
                held.insert(tag, Hold { since_ms, reason: d.str()?.to_owned().into() });
            }
            Ok(Holds { held })
        };
        decoded(bytes, Holds::encode, read).map_err(|Malformed| HoldsError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hold(reason: &str, since_ms: u64) -> Hold {
        Hold { reason: reason.to_owned().into(), since_ms }
    }

    proptest! {
        /// Against a map, over every restart.
        #[test]
        fn holds_are_a_map(steps in prop::collection::vec((0u8..5, prop::option::of(any::<u64>())), 0..30)) {
            let (mut holds, mut model) = (Holds::default(), BTreeMap::new());
            for (who, since_ms) in steps {
                let tag = Tag::from_bytes([who; 32]);
                match since_ms {
                    Some(since_ms) => {
                        let reason = format!("case {since_ms}");
                        prop_assert_eq!(holds.place(tag, hold(&reason, since_ms)), !model.contains_key(&who));
                        let since = model.get(&who).map_or(since_ms, |(_, since)| *since);
                        model.insert(who, (reason, since));
                    }
                    None => prop_assert_eq!(holds.release(&tag), model.remove(&who).is_some()),
                }
                holds = Holds::decode(&holds.encode()).unwrap();
                for who in 0..5 {
                    let found = holds.get(&Tag::from_bytes([who; 32]));
                    let expected = model.get(&who).map(|(reason, since)| hold(reason, *since));
                    prop_assert_eq!(found, expected.as_ref());
                }
                let times: Vec<u64> = holds.list().iter().map(|hold| hold.since_ms).collect();
                prop_assert!(times.is_sorted() && times.len() == model.len());
                prop_assert_eq!(holds.is_empty(), model.is_empty());
            }
        }

        #[test]
        fn any_bytes_are_holds_or_an_error(bytes: Vec<u8>) {
            if let Ok(holds) = Holds::decode(&bytes) {
                prop_assert_eq!(&**holds.encode(), &bytes[..]);
            }
        }
    }

    #[test]
    fn nothing_shows_whose_or_why() {
        let mut holds = Holds::default();
        holds.place(Tag::from_bytes([0x41; 32]), hold("Jane Roe v. Acme", 7));
        let shown = format!("{holds:?}");
        assert!(!shown.contains("Jane") && !shown.contains("41") && !shown.contains("65"), "{shown}");
    }
}
