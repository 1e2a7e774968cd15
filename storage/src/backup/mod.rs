//! Backups of an environment, in a directory that any number of them share.
//!
//! ```text
//! <archive>/env/<name>/
//! ├── 00000000000000000003.backup         what the backup holds: collections, their segments, which rows are dead; sealed
//! └── rec/<SHA-256 of the contents>.rec   rows as they lie in a segment, which any number of backups name
//! ```
//!
//! A backup is its list, and the list is written last and removed first: before and after that there is no backup, between
//! them there is a whole one.
//! Files of rows are named by their contents, so that one that is there already need not be copied again, no two are ever
//! mistaken for each other, and damage shows by the name. What is under an owner's key stays under it, so that an erasure
//! reaches every backup by destroying that key; the list and the tables are sealed under the environment's durable key.
//! No index is kept, since it is derived; no log, since a backup begins with a flush; and never a key or an anchor.

mod contents;
mod error;
mod objects;
mod shelf;

pub use contents::{
    BackedCollection, BackedSegment, Contents, number_of, numbers, read_contents, remove_contents, write_contents,
};
pub use error::BackupError;
pub use objects::{Digest, Objects, digest_of};
pub use shelf::shelf;
