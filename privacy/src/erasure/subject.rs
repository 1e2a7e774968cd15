//! Whom a receipt is about, so that only who is told can tell.
//!
//! Invariant: SHA-256 over a salt of 32 random bytes and the id, and nothing else: anyone can compute it with any tool,
//! given both, and nobody can guess it without the salt, which is given to the caller once and stored nowhere.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::entity::EntityId;
use crate::secret::Salt;

/// An entity in a receipt. Displayed as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject([u8; 32]);

impl Subject {
    /// The subject that `salt` makes of an entity's id.
    pub fn of(salt: &Salt, entity: &EntityId) -> Subject {
        let hash = Sha256::new().chain_update(salt.expose()).chain_update(entity.as_str());
        Subject(hash.finalize().into())
    }

    /// The subject with these bytes, as read from a receipt.
    pub fn from_bytes(bytes: [u8; 32]) -> Subject {
        Subject(bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]
    use super::*;

    /// What `sha256sum` gives for 32 zero bytes followed by `abc`.
    #[test]
    fn a_subject_is_a_plain_hash() {
        let of = |salt: u8, id: &str| Subject::of(&Salt::from_bytes([salt; 32]), &EntityId::new(id).unwrap());
        assert_eq!(of(0, "abc").to_string(), "365aa7d8f7f9402c4b9434502b4cc89ddb09fe50d7cd95b493b834c62d5a5370");
        assert_ne!(of(1, "abc"), of(0, "abc"));
        assert_ne!(of(0, "abd"), of(0, "abc"));
    }
}
