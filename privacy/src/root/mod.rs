//! The root key at the edge: how it is written as text, wrapped under a passphrase, shared among people, and the
//! sources one may be taken from.
//!
//! The key itself is [`crate::RootKey`]; reading files and variables is the engine's work.

mod bootstrap;
mod passphrase;
mod shamir;
mod shares;
mod source;

pub use bootstrap::{BootstrapError, BootstrapHeader, inspect_bootstrap, unwrap_root_key, wrap_root_key};
pub use passphrase::{Cost, CostError, Passphrase};
pub use shares::{CombineError, ParseShareError, Share, SplitError, combine_root_key, split_root_key};
pub use source::{ParseError, RootKeySource, format_root_key, parse_root_key};
