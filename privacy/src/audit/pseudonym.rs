//! What the log holds of a person: a pseudonym, and details sealed beside it.
//!
//! Invariant: both hang on the blind in the entity's entry. While it lives, whoever has the keyring can tell which
//! events are about an entity; once an epoch has dropped the entry, nobody can, the operator with every key and every
//! older file included. Events about one entity stay linked to each other.

use std::fmt;

use hkdf::HmacImpl;
use hkdf::hmac::Hmac;
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::keyring::Tag;
use crate::seal::{OpenError, Scope, SectionContext, SectionKind, open_section, seal_section};
use crate::secret::{Blind, SectionKey};

/// The name of an entity in the log: HMAC-SHA-256 of its tag under the blind of its entry. An entity that returns after
/// an erasure has another blind, hence another pseudonym.
///
/// It has a second one in events about lists that keep its tag: see [`Pseudonym::listed`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym([u8; 32]);

impl Pseudonym {
    /// The pseudonym of the entity with this tag and this blind.
    pub fn of(blind: &Blind, scope: Scope, tag: &Tag) -> Pseudonym {
        Pseudonym::labelled(b"lethedb pseudonym v1\0", blind, scope, tag)
    }

    /// The pseudonym of the same entity in events about a list that keeps tags themselves: the consent latch, legal holds.
    ///
    /// Such a list outlives the blind, and shows by order and time which event put a tag there, so whoever guesses a name
    /// knows that event to be about it. The pseudonym of all other events must not stand in it.
    pub fn listed(blind: &Blind, scope: Scope, tag: &Tag) -> Pseudonym {
        Pseudonym::labelled(b"lethedb pseudonym of lists v1\0", blind, scope, tag)
    }

    fn labelled(label: &[u8], blind: &Blind, scope: Scope, tag: &Tag) -> Pseudonym {
        Pseudonym(keyed(blind, &[label, &scope.database, &scope.environment, tag.as_bytes()]))
    }

    /// The pseudonym with these bytes, as read from an event.
    pub fn from_bytes(bytes: [u8; 32]) -> Pseudonym {
        Pseudonym(bytes)
    }

    /// The bytes, for an event or an answer of the audit interface.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonym(..)")
    }
}

/// Seals what event `sequence` says of the person with this blind, such as the reason given for an erasure.
pub fn seal_detail(
    blind: &Blind,
    scope: Scope,
    sequence: u64,
    detail: &[u8],
    rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<u8> {
    seal_section(&detail_key(blind), &context(scope, sequence), detail, rng)
}

/// Opens a detail of [`seal_detail`].
///
/// # Errors
/// [`OpenError`], if it was sealed under another blind or for another event, or was changed.
pub fn open_detail(blind: &Blind, scope: Scope, sequence: u64, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    open_section(&detail_key(blind), &context(scope, sequence), sealed)
}

fn detail_key(blind: &Blind) -> SectionKey {
    SectionKey::from_bytes(keyed(blind, &[b"lethedb audit detail v1\0"]))
}

fn context(scope: Scope, sequence: u64) -> SectionContext {
    SectionContext { scope, kind: SectionKind::AuditDetail, file: 0, place: sequence }
}

fn keyed(blind: &Blind, parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as HmacImpl>::new_from_slice(blind.expose());
    for part in parts {
        HmacImpl::update(&mut mac, part);
    }
    HmacImpl::finalize(mac).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    const SCOPE: Scope = Scope { database: [1; 16], environment: [2; 16] };

    #[test]
    fn every_input_of_a_pseudonym_counts() {
        let of = |blind: u8, scope: Scope, tag: u8| {
            Pseudonym::of(&Blind::from_bytes([blind; 32]), scope, &Tag::from_bytes([tag; 32]))
        };
        let base = of(1, SCOPE, 1);
        assert_eq!(base, of(1, SCOPE, 1));
        let other = Scope { environment: [3; 16], ..SCOPE };
        let others =
            [of(2, SCOPE, 1), of(1, other, 1), of(1, Scope { database: [3; 16], ..SCOPE }, 1), of(1, SCOPE, 2)];
        assert!(others.iter().all(|other| *other != base));
        let listed = Pseudonym::listed(&Blind::from_bytes([1; 32]), SCOPE, &Tag::from_bytes([1; 32]));
        assert_ne!(listed, base, "the events of lists are linked to the others");
        assert_eq!(format!("{base:?}"), "Pseudonym(..)");
    }

    #[test]
    fn details_open_only_in_their_place_and_under_their_blind() {
        let (rng, blind) = (&mut StdRng::seed_from_u64(1), Blind::from_bytes([1; 32]));
        let sealed = seal_detail(&blind, SCOPE, 7, b"Art. 17 request 882", rng);
        assert_eq!(&**open_detail(&blind, SCOPE, 7, &sealed).unwrap(), b"Art. 17 request 882");
        let other = Blind::from_bytes([2; 32]);
        assert_eq!(open_detail(&other, SCOPE, 7, &sealed), Err(OpenError::WrongKey));
        assert_eq!(open_detail(&blind, SCOPE, 8, &sealed), Err(OpenError::WrongKey));
        // The blind itself seals nothing: a detail's key says nothing about pseudonyms.
        assert!(open_section(&SectionKey::from_bytes([1; 32]), &context(SCOPE, 7), &sealed).is_err());
    }
}
