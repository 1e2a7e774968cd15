//! The keyring: every key of an environment but the root key, in pages that forget.
//!
//! ```text
//! root key ─┐
//! anchor e ─┴─ KEK ── seals ── root page e ── holds ──┬─ durable keys (tables, order, rotation, tags, audit)
//!                                                     ├─ live keys of logs, index files and jobs
//!                                                     ├─ the key of new.log ── seals ── its frames
//!                                                     └─ bucket keys ── seal ── bucket pages: entries, graveyard
//! ```
//!
//! Two changes only. An **extension** adds keys: one frame, made durable by the caller, then applied. An **epoch**
//! removes keys: a new root page under a new anchor, with every changed bucket sealed again under a fresh key.
//! What it removed is mentioned in no page of the new epoch except by random key id in the graveyard, and every
//! older page needs, directly or through an older root page, an anchor that the caller destroys.
//!
//! Everything here is pure: pages go out, the caller makes them durable in the order the types ask for.

mod anchor;
mod bucket;
mod entry;
mod epoch;
mod extension;
mod floor;
mod open;
mod page;
mod ring;
mod root_page;

pub use anchor::{AnchorStore, Grade};
pub use entry::Tag;
pub use epoch::{Epoch, Removal};
pub use extension::{Extension, KeyringError, Wanted};
pub use floor::Floor;
pub use open::{OpenKeyringError, Part};
pub use page::Stamp;
pub use ring::Keyring;
pub use root_page::{InspectError, RootHeader};

#[cfg(test)]
mod tests;
