//! Keys, sealing and the keyring of lethedb: what makes bytes unreadable, and what makes them stay so.
//!
//! This crate computes. State, change and randomness come in; pages, bytes and decisions go out. It touches no
//! file, network, thread, clock or operating-system entropy, so every promise it makes is tested without a disk.
//!
//! | room | holds |
//! |---|---|
//! | [`entity`] | whose data it is |
//! | [`secret`] | the keys: wiped on drop, unprintable |
//! | [`signature`] | Ed25519: what others can check without a secret |
//! | [`root`] | how a root key is written, wrapped under a passphrase, shared among people, and where one may come from |
//! | [`seal`] | the two sealings: rows (XAES-256-GCM) and sections (Cobblestone-256) |
//! | [`keyring`] | every other key of an environment, and the two changes it knows: extend and epoch |
//! | [`audit`] | the log of what was done: events, chain, tree, signed checkpoints, pseudonyms |
//! | [`erasure`] | how far an erasure has come, and its receipt |
//! | [`access`] | permissions, roles, scopes, API keys, rules for end users, approval by several |
//! | [`consent`] | whose data is never taken in again |
//! | [`hold`] | whose data must not be erased yet |
//! | [`retention`] | which records are past their window, and whether the clock may be believed |
//! | [`dp`] | answers about many that say little about any one: bounds, exact noise, what it costs |
//!
//! Promised: bytes sealed here open only with their key and only in their place; a key removed by an epoch is in
//! no page of that epoch, and older pages need an anchor that the epoch destroys. Not promised: anything against
//! someone who copied root key, anchor and pages before the erasure, or who reads the memory of a running process.

#![forbid(unsafe_code)]

pub mod access;
pub mod audit;
mod cbor;
pub mod consent;
pub mod dp;
pub mod entity;
pub mod erasure;
pub mod hold;
pub mod keyring;
pub mod retention;
pub mod root;
pub mod seal;
pub mod secret;
pub mod signature;

pub use consent::{Consent, Granted, Latch, LatchError, Revoked};
pub use entity::{EntityError, EntityId, MAX_ENTITY_BYTES};
pub use hold::{Hold, Holds, HoldsError};
pub use keyring::{
    AnchorStore, Epoch, Extension, Floor, Grade, InspectError, Keyring, KeyringError, OpenKeyringError, Part, Removal,
    RootHeader, Stamp, Tag, Wanted,
};
pub use retention::{Doubt, Reading, Trusted, Until, Watch, Window, WindowError};
pub use root::{
    BootstrapError, BootstrapHeader, CombineError, Cost, CostError, ParseError, ParseShareError, Passphrase,
    RootKeySource, Share, SplitError, combine_root_key, format_root_key, inspect_bootstrap, parse_root_key,
    split_root_key, unwrap_root_key, wrap_root_key,
};
pub use seal::{
    OpenError, ROW_OVERHEAD, RowContext, RowField, SECTION_CHUNK, Scope, SectionContext, SectionKind, SectionReader,
    open_row, open_row_into, open_section, open_section_into, seal_row, seal_section, sealed_section_len, section_len,
};
pub use secret::{
    Anchor, ApiSecret, Blind, Dek, Fingerprint, KeyId, LedgerKey, OrderKey, Pepper, RootKey, RotationSeed, Salt,
    SectionKey, SigningKey, TagKey,
};
pub use signature::{SignatureError, VerifyingKey};
