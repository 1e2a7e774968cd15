//! The data subject: a short string that names whose data a record is.
//!
//! Invariant: 1 to 256 bytes of UTF-8 without control characters, wiped on drop, never printed. It stands at the
//! bottom because keys, consent, audit and storage all speak about entities.

use std::fmt;

use thiserror::Error;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The longest entity id, in bytes.
pub const MAX_ENTITY_BYTES: usize = 256;

/// The id of a data subject: 1 to [`MAX_ENTITY_BYTES`] bytes of UTF-8 without control characters.
///
/// Compared byte for byte; no Unicode normalisation is applied. `Debug` does not show the id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Zeroize, ZeroizeOnDrop)]
pub struct EntityId(String);

/// Why a string is no [`EntityId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EntityError {
    /// The string is empty.
    #[error("an entity id must not be empty")]
    Empty,
    /// The string is longer than [`MAX_ENTITY_BYTES`].
    #[error("an entity id has at most {MAX_ENTITY_BYTES} bytes, this one has {bytes}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The string holds a control character, which could not be shown or typed reliably.
    #[error("an entity id must not hold control characters")]
    Control,
}

impl EntityId {
    /// Checks and takes an id.
    pub fn new(id: impl Into<String>) -> Result<Self, EntityError> {
        // Wrapped before it is judged, so that a refused id is wiped too.
        let id = Self(id.into());
        match id.0.len() {
            0 => Err(EntityError::Empty),
            bytes if bytes > MAX_ENTITY_BYTES => Err(EntityError::TooLong { bytes }),
            _ if id.0.chars().any(char::is_control) => Err(EntityError::Control),
            _ => Ok(id),
        }
    }

    /// The id as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntityId(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_counted_in_bytes() {
        assert_eq!(EntityId::new(""), Err(EntityError::Empty));
        assert!(EntityId::new("a").is_ok());
        assert!(EntityId::new("é".repeat(128)).is_ok());
        assert_eq!(EntityId::new("é".repeat(129)), Err(EntityError::TooLong { bytes: 258 }));
    }

    #[test]
    fn control_characters_are_refused() {
        for id in ["a\0", "a\nb", "\u{7f}", "\u{85}"] {
            assert_eq!(EntityId::new(id), Err(EntityError::Control));
        }
        assert!(EntityId::new("user 42 / Ünï-cødé").is_ok());
    }

    #[test]
    fn debug_hides_the_id() {
        let shown = format!("{:?} {:?}", EntityId::new("alice"), EntityId::new("alice\n"));
        assert!(!shown.contains("alice"));
    }
}
