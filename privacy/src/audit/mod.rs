//! Audit: a log that cannot be changed unseen and holds nobody's name.
//!
//! ```text
//! entry ── event ──┬── chain: each names what stood before it          order, gaps
//!                  └── tree (RFC 6962) ── checkpoint (C2SP note) ──┬── anchor stores, witnesses: truncation
//!                                   └── proofs ────────────────────┴── receipts
//! ```
//!
//! Everything here is pure: the engine makes events durable before it answers, keeps the hashes of leaves for proofs,
//! signs checkpoints and lays them where a thief of the data directory does not reach.

mod act;
mod chain;
mod checkpoint;
mod event;
mod field;
mod later;
mod note;
mod proof;
mod pseudonym;
mod tree;

pub use act::Act;
pub use chain::{Appended, Log, ReplayError, ResumeError, link};
pub use checkpoint::{Checkpoint, CheckpointError, Origin, Standing};
pub use event::{Actor, Entry, Event, EventError, Head, Outcome, Source};
pub use field::{MAX_NAME_BYTES, Name, NameError};
pub use later::LaterAct;
pub use note::NoteError;
pub use proof::{ConsistencyProof, InclusionProof, ProofError, root_at};
pub use pseudonym::{Pseudonym, open_detail, seal_detail};
pub use tree::{Frontier, Hash, leaf_hash};
