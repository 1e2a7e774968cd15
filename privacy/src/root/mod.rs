//! The root key at the edge: how it is written as text, and the sources one may be taken from.
//!
//! The key itself is [`crate::RootKey`]; reading files and variables is the engine's work.

mod source;

pub use source::{ParseError, RootKeySource, format_root_key, parse_root_key};
