//! Why a sealed blob does not open, the same for rows, sections and whatever cipher is under them.

use thiserror::Error;

/// Why a blob does not open. Says nothing about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum OpenError {
    /// The section's commitment names another key or another context (or was itself altered).
    #[error("sealed under another key or for another place")]
    WrongKey,
    /// Authentication failed: the bytes were changed, cut or moved, or (for rows) the key is another.
    #[error("authentication failed")]
    Damaged,
    /// Too short, or of a length no sealing produces.
    #[error("no sealed blob has this length")]
    TooShort,
}
