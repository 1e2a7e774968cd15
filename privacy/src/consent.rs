//! The consent latch: whose data is never taken in again.
//!
//! Invariant: the set only grows. There is no way to take a tag out, in this file or by its types: a [`Consent`] can be
//! revoked and nothing leads back, and two latches are merged as a union, so that neither a restore nor a crash brings
//! a revoked consent back. Types do not stop whoever edits files by hand; the audit log shows that.
//!
//! The latch keeps a tag of a person who asked to be forgotten, which is personal data still, kept to honour the
//! request. It is held and written by tag alone.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use minicbor::Decoder;
use thiserror::Error;

use crate::cbor::{Malformed, array, decoded, fixed, length, rising, written};
use crate::keyring::Tag;

/// The format written, and the newest that is read.
const FORMAT: u64 = 1;

/// Consent that stands: data may be taken in.
#[derive(Debug)]
pub enum Granted {}

/// Consent that was revoked, for good.
#[derive(Debug)]
pub enum Revoked {}

/// The consent of one entity, as a latch showed it. Ingest asks for a [`Consent<Granted>`], which only a latch gives
/// out.
///
/// Revoking takes it away and gives the other kind, from which nothing leads back:
///
/// ```
/// use lethedb_privacy::{Consent, Latch, Tag};
///
/// let (mut latch, tag) = (Latch::new(), Tag::from_bytes([1; 32]));
/// let granted = latch.consent(tag).expect("nobody has revoked it");
/// let revoked = latch.revoke(granted);
/// assert_eq!(revoked.tag(), tag);
/// assert!(latch.consent(tag).is_err());
/// ```
///
/// ```compile_fail,E0599
/// use lethedb_privacy::{Consent, Latch, Tag};
///
/// let (mut latch, tag) = (Latch::new(), Tag::from_bytes([1; 32]));
/// let granted = latch.consent(tag).expect("nobody has revoked it");
/// let revoked = latch.revoke(granted);
/// revoked.grant();
/// ```
///
/// What was revoked cannot be used as what stands, nor used again before it was; a token holds for as long as whoever
/// took it keeps the latch from changing:
///
/// ```compile_fail,E0308
/// use lethedb_privacy::{Consent, Granted, Latch, Revoked};
///
/// fn back(revoked: Consent<Revoked>) -> Consent<Granted> {
///     revoked
/// }
/// ```
///
/// ```compile_fail,E0382
/// use lethedb_privacy::{Latch, Tag};
///
/// let (mut latch, tag) = (Latch::new(), Tag::from_bytes([1; 32]));
/// let granted = latch.consent(tag).expect("nobody has revoked it");
/// latch.revoke(granted);
/// assert_eq!(granted.tag(), tag);
/// ```
///
/// Nor can it be made by hand, or taken out of the latch:
///
/// ```compile_fail,E0451
/// use lethedb_privacy::{Consent, Granted, Tag};
///
/// let forged = Consent::<Granted> { tag: Tag::from_bytes([1; 32]), kind: std::marker::PhantomData };
/// ```
///
/// ```compile_fail,E0599
/// use lethedb_privacy::{Latch, Tag};
///
/// Latch::new().remove(&Tag::from_bytes([1; 32]));
/// ```
#[derive(Debug)]
#[must_use = "what was asked of a latch decides whether data may be taken in"]
pub struct Consent<K> {
    tag: Tag,
    kind: PhantomData<K>,
}

impl<K> Consent<K> {
    fn of(tag: Tag) -> Self {
        Self { tag, kind: PhantomData }
    }

    /// Whose.
    pub fn tag(&self) -> Tag {
        self.tag
    }
}

/// The entities that have revoked their consent, in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Latch {
    revoked: BTreeSet<Tag>,
}

/// Bytes that are no latch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the consent latch is damaged, or of a newer version of this engine")]
pub struct LatchError;

impl Latch {
    /// A latch that nobody has closed.
    pub fn new() -> Self {
        Self::default()
    }

    /// The consent of an entity, as it stands.
    ///
    /// # Errors
    /// [`Consent<Revoked>`], if it was revoked.
    pub fn consent(&self, tag: Tag) -> Result<Consent<Granted>, Consent<Revoked>> {
        if self.revoked.contains(&tag) { Err(Consent::of(tag)) } else { Ok(Consent::of(tag)) }
    }

    /// Revokes a consent, for ever. The caller makes it durable before it answers.
    pub fn revoke(&mut self, consent: Consent<Granted>) -> Consent<Revoked> {
        self.revoked.insert(consent.tag);
        Consent::of(consent.tag)
    }

    /// Takes in all that another latch of the same environment holds, and loses nothing.
    pub fn merge(&mut self, other: &Latch) {
        self.revoked.extend(&other.revoked);
    }

    /// How many entities have revoked.
    pub fn len(&self) -> usize {
        self.revoked.len()
    }

    /// Whether nobody has.
    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty()
    }

    /// The latch as bytes, to be sealed.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = written(|e| {
            e.array(2)?.u64(FORMAT)?.array(self.revoked.len() as u64)?;
            self.revoked.iter().try_for_each(|tag| e.bytes(tag.as_bytes()).map(drop))
        });
        bytes.to_vec()
    }

    /// Reads a latch.
    ///
    /// # Errors
    /// [`LatchError`]: without the latch nothing may be taken in.
    pub fn decode(bytes: &[u8]) -> Result<Latch, LatchError> {
        let read = |d: &mut Decoder<'_>| {
            fixed(d, 2)?;
            if d.u64()? != FORMAT {
                return Err(Malformed);
            }
            let mut revoked = BTreeSet::new();
            for _ in 0..length(d)? {
                let tag = Tag::from_bytes(array(d)?);
                rising(revoked.last(), &tag)?;
                revoked.insert(tag);
            }
            Ok(Latch { revoked })
        };
        decoded(bytes, |latch: &Latch| latch.encode().into(), read).map_err(|Malformed| LatchError)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Revoke(u8),
        Ask(u8),
        MergeOlder(prop::sample::Index),
        Reopen,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            any::<u8>().prop_map(Step::Revoke),
            any::<u8>().prop_map(Step::Ask),
            any::<prop::sample::Index>().prop_map(Step::MergeOlder),
            Just(Step::Reopen),
        ]
    }

    proptest! {
        /// Whatever happens, older copies merged in included: who has revoked once, has.
        #[test]
        fn what_was_revoked_stays_so(steps in prop::collection::vec(step(), 0..60)) {
            let (mut latch, mut past, mut revoked) = (Latch::new(), vec![Latch::new()], BTreeSet::new());
            for step in steps {
                match step {
                    Step::Revoke(who) => {
                        if let Ok(granted) = latch.consent(Tag::from_bytes([who; 32])) {
                            let _ = latch.revoke(granted);
                        }
                        revoked.insert(who);
                    }
                    Step::Ask(who) => {
                        let found = latch.consent(Tag::from_bytes([who; 32]));
                        prop_assert_eq!(found.is_err(), revoked.contains(&who));
                    }
                    Step::MergeOlder(which) => {
                        // Either way round: the restored one takes in the live one, or the live one the restored.
                        let mut older = which.get(&past).clone();
                        older.merge(&latch);
                        latch.merge(which.get(&past));
                        prop_assert_eq!(&older, &latch);
                    }
                    Step::Reopen => {
                        let reopened = Latch::decode(&latch.encode());
                        prop_assert_eq!(reopened.as_ref(), Ok(&latch));
                    }
                }
                prop_assert_eq!((latch.len(), latch.is_empty()), (revoked.len(), revoked.is_empty()));
                past.push(latch.clone());
            }
        }

        #[test]
        fn changed_bytes_are_refused_or_another_latch(tags: BTreeSet<[u8; 32]>, at: prop::sample::Index, to: u8) {
            let latch = Latch { revoked: tags.into_iter().map(Tag::from_bytes).collect() };
            let mut bytes = latch.encode();
            for cut in 0..bytes.len() {
                prop_assert_eq!(Latch::decode(&bytes[..cut]), Err(LatchError));
            }
            let at = at.index(bytes.len());
            bytes[at] = to;
            if let Ok(latch) = Latch::decode(&bytes) {
                prop_assert_eq!(latch.encode(), bytes);
            }
        }

        #[test]
        fn any_bytes_are_a_latch_or_an_error(bytes: Vec<u8>) {
            let _ = Latch::decode(&bytes);
        }
    }

    #[test]
    fn nothing_shows_whose() {
        let mut latch = Latch::new();
        if let Ok(granted) = latch.consent(Tag::from_bytes([0x41; 32])) {
            let _ = latch.revoke(granted);
        }
        let shown = format!("{latch:?}");
        assert!(!shown.contains("41") && !shown.contains("65"), "{shown}");
    }
}
