//! Tokens of end users (JWT, RFC 7519): who signed one, for whom, until when, and what it claims.
//!
//! Leaves first: how [`signature`]s are verified; the [`key_set`] that an environment's tokens are signed with; the [`fetch`]
//! of one over HTTPS, the only connection that this program opens outwards beside that to a collector of traces; the [`cache`] of those; and [`verify`], which
//! asks for all of it.
//!
//! Invariant: nothing that a token says chooses a key but its `kid`, a place to fetch from, or an algorithm beyond those that
//! an administrator allowed (RFC 8725). A token that would be refused without its signature causes no fetch.

mod cache;
mod fetch;
mod key_set;
mod signature;
#[cfg(test)]
pub mod tests;
mod verify;

pub use cache::{Keys, PAUSE_MS};
pub use fetch::{Https, Reach};
pub use key_set::check_inline;
pub use verify::{Refused, verify};
