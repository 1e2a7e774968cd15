//! Files, logs, segments and the manifest of lethedb.
//!
//! The engine decides what is written; this crate says what the bytes are, makes them durable, and reads them back
//! without ever trusting them: any bytes give a value or a typed error. It knows neither graphs nor distances (an index
//! is sections of opaque bytes), nor the clock, nor threads of its own, and randomness comes in as a parameter. Only
//! [`backend`] touches files.
//!
//! | room | holds |
//! |---|---|
//! | [`id`], [`record`] | names of things; a record and its two plaintexts |
//! | [`codec`], [`packed`] | numbers and lengths as bytes; lists of numbers as bits |
//! | [`backend`] | the contract of a place for files; the disk, and one in memory |
//! | [`frame_log`], [`wal`] | append-only frames with a torn tail; the write-ahead log in them |
//! | [`memtable`] | records that are in no segment yet |
//! | [`segment`] | rows, index sections, tombstones, and the two maps that are held in memory |
//! | [`manifest`] | the numbered list of live files |
//! | [`backup`] | what a backup holds, and its files |
//! | [`journal`] | what must not be forgotten, as logs that the manifest names |
//! | [`compaction`], [`recovery`] | which segments to rewrite; which files to remove |
//! | [`key_file`], [`anchor_dir`] | a root key outside the data; anchors as files |
//! | [`sync`] | locks and threads, which a test can put its own scheduler under |
//!
//! # An environment on disk
//!
//! ```text
//! env/<name>/
//! ├── MANIFEST-00000000000000000007          which of the files below count; sealed
//! ├── consent-00000000000000000002.log       who has revoked consent, from the first revocation on; sealed
//! ├── wal/000000000000000c.wal               ← writes not flushed yet, oldest first
//! └── seg/
//!     ├── 000000000000002a.rec               rows: blobs under their owners' keys, table under the environment's
//!     ├── 000000000000002a.idx               codes, graph, maps under the file's own key; derived from the .rec
//!     └── 000000000000002a-0000000000000003.del   dead rows, third version
//!
//! write → wal ─→ memtable ─flush→ .rec .idx ─compaction→ .rec .idx
//!                                     └──── MANIFEST-n+1 names them, then the old files go ────┘
//! ```

pub mod anchor_dir;
pub mod backend;
pub mod backup;
pub mod codec;
pub mod compaction;
#[cfg(test)]
mod fixtures;
pub mod frame_log;
pub mod id;
pub mod journal;
pub mod key_file;
pub mod manifest;
pub mod memtable;
mod numbered;
pub mod packed;
pub mod record;
pub mod recovery;
pub mod segment;
pub mod sync;
pub mod wal;
