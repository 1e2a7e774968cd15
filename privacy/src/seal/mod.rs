//! Sealing: authenticated encryption of the two shapes of data this engine has.
//!
//! ```text
//! row      XAES-256-GCM      nonce 24 | ciphertext | tag 16                      a key per blob, no state
//! section  Cobblestone-256   salt 24 | commitment 32 | chunk 0 | chunk 1 | …     commits to its key, random access
//! ```
//!
//! Both derive a fresh AES-256-GCM key per message from 192 random bits, so no counter has to survive a restart, a
//! restored backup or a cloned directory. What a blob is bound to is written by [`context`](RowContext); the cipher
//! itself is known to `gcm` alone, so that another backend can stand beside it. One does: `plaintext`, which takes its
//! place where a measurement asks what encryption costs.

mod context;
#[cfg(not(lethedb_plaintext))]
mod gcm;
#[cfg(lethedb_plaintext)]
#[path = "plaintext.rs"]
mod gcm;
mod open_error;
mod row;
mod section;

pub use context::{RowContext, RowField, Scope, SectionContext, SectionKind};
pub use open_error::OpenError;
pub use row::{ROW_OVERHEAD, open_row, open_row_into, seal_row};
pub use section::{
    SECTION_CHUNK, SectionReader, open_section, open_section_into, seal_section, sealed_section_len, section_len,
};
