//! The durability contract: what a caller can rely on, event by event, and what nobody can promise.
//!
//! **A successful answer means safe.** `Ok` is returned, and `200` sent, after the write's log record was synced to
//! storage, with its name if the log was new. Many writers share one sync; nobody is answered before it. A write becomes
//! visible only once it is safe, so no reader sees what a crash could take back.
//!
//! **An error means one of two things.** [`Full`](crate::ErrorKind::Full), [`Io`](crate::ErrorKind::Io),
//! [`Busy`](crate::ErrorKind::Busy) and [`Invalid`](crate::ErrorKind::Invalid) from a write: nothing of it happened, now or
//! after a restart. [`Poisoned`](crate::ErrorKind::Poisoned), and no answer at all: it happened wholly or not at all, and
//! a restart tells. Sending the same records again is harmless in both cases.
//!
//! | event | what holds |
//! | --- | --- |
//! | the process is killed | no acknowledged write is lost; unanswered ones are whole or absent, never with holes |
//! | power is lost | the same, if the drive honours flushes: one that lies cannot be noticed |
//! | reads at the same time | an answer shows one commit, never half a batch; one begun after an acknowledgement shows it |
//! | the disk is full | writes answer `Full` (507); reads go on; erasures work in room that was set aside ([`Settings::reserve_bytes`](crate::Settings::reserve_bytes)); writes resume by themselves once there is room |
//! | a sync fails | the write in doubt and every later one answer `Poisoned` (503) until a restart; reads go on. There is no second try: after a failed sync the next one may report success for bytes that are lost (Rebello et al., ATC 2020) |
//! | what a failed sync left | opening writes the log, the manifest and the keyring's root page anew before anything older goes, because what it reads may be in memory only |
//! | a read fails, or a segment is damaged | the segment is left out and named: answers say `partial` and list it in `damaged`; never silently fewer results. Put its files back and open again, or [salvage](crate::Database::salvage) |
//! | an index or its file is damaged | nothing is missing: it is derived from the rows and is built again |
//! | rot | every stored byte is authenticated again every [`Settings::scrub_days`](crate::Settings::scrub_days) while the process runs, and by [`verify`](crate::Environment::verify) |
//! | the end of a log is torn | cut at the first bad frame. A bad frame that a later one calls synced is damage: opening is refused, and [salvage](crate::Database::salvage) is explicit. Damage to the very last synced group looks like a tear |
//! | the manifest, the keyring or a log is damaged | opening is refused, naming the file; nothing on disk is changed |
//! | the audit log was cut, replaced, or an older one put back | opening is refused, saying which; found by the mark beside it and by the checkpoint in every anchor store. What was told after the newest checkpoint, a minute at most while upkeep runs, can be cut unseen, and so can all of it by whoever puts the anchor stores back too |
//! | the wrong root key | `KeyUnavailable`, told apart from damage by the key's fingerprint; nothing is changed |
//! | a second process | `Busy` at once, naming the first; the lock ends with its owner. Network file systems are not supported |
//! | a newer format | `Unsupported`, naming both versions; not one byte is changed |
//!
//! **What is told.** A privileged act is in the audit log, synced, before it takes effect, so no crash hides one; one that
//! fails is told again as failed. Batches of writes are told by collection and minute, and counted again from the log of
//! writes after a crash, once each.
//!
//! **Erasure** goes forward only. From `hidden_at` on no read returns the person. From `shredded_at` on no key that is
//! left opens a byte of theirs, in the live files or in a copy made before. From `purged_at` on their ciphertext is gone
//! from the live files too, but for segments in quarantine, which are counted: what they hold of the person opens for
//! nobody. From `rebuilt_at` on no graph remembers them either: the graph of a large segment is repaired first, which takes
//! every id, code and vector of theirs out of it, and upkeep builds it anew from the rows that are left, byte for byte as if
//! the person had never been there, within [`Settings::rebuild_hours`](crate::Settings::rebuild_hours). A crash or an error at any step leaves a job that upkeep or the next opening ends; what was
//! written for the same person after the erasure began is kept. On a full disk the keys are destroyed first, and the bytes
//! follow when there is room. The reserve must hold what is not in segments yet, once more, and the largest segment that
//! is touched; where it cannot, the erasure answers `Full`, the person stays hidden, and upkeep goes on with it. It is bytes: a file system without free inodes may still refuse.
//! While an anchor store or a keyring mirror is away, an erasure hides the person, answers that the destruction of the
//! keys is [pending](crate::Erasure::pending), and ends by itself once it is back; there is no receipt before every store
//! has destroyed the old anchor. A receipt counts the same segments whether or not a crash came between.
//!
//! **Backups** hold exactly one commit point, and are read again and authenticated before they count; a crash or a full
//! disk leaves the earlier ones whole and no half one. A file that another backup named is copied once. Neither writers nor
//! upkeep nor an erasure wait for a backup: one that an erasure overtakes holds what opens for nobody, as every earlier
//! one does, and a removed file takes its room until the backup has read it. **A restore** opens a backup with the
//! *live* keyring, which has one home. In place, one manifest makes the environment what the backup holds, so that a crash
//! leaves the one or the other; elsewhere, the old directory opens no more, and the new one once the restore has ended,
//! for which it may be run again. Whoever was erased since stays erased. Numbers of writes go on above every one that
//! was ever given out.
//!
//! **Limits.** Segments are mapped into memory: a sector that the medium cannot read at all ends the process by SIGBUS
//! instead of putting its segment into quarantine. A drive, or a kernel that is shutting a file system down, may report a sync that did not happen: nothing
//! acknowledged before the fault is lost, but an answer that crosses the fault may be wrong. Segments and logs are
//! protected from tampering, not from deletion of the whole directory or from its replacement by an older whole copy.
//! What medium and file system keep of removed files (wear levelling, snapshots) is sealed under keys that are gone.
//!
//! ```
//! # use lethedb::{Database, ErrorKind, Health, Record, RootKey};
//! # fn main() -> lethedb::Result<()> {
//! # let dir = tempfile::tempdir().expect("a scratch directory");
//! let db = Database::builder(dir.path()).root_key(RootKey::bytes([7; 32])).open()?;
//! let docs = db.environment("acme")?.collection("docs").dimension(2).open_or_create()?;
//! match docs.upsert([Record::new(1, vec![0.6, 0.8])]) {
//!     Ok(as_of) => assert!(as_of.sequence > 0),                         // safe, and visible
//!     Err(e) if e.kind() == ErrorKind::Full => {}                       // nothing happened; make room
//!     Err(e) if e.kind() == ErrorKind::Poisoned => {}                   // unknown; restart and look
//!     Err(e) => return Err(e),
//! }
//! assert_eq!(db.health(), Health::Ready);
//! assert!(!docs.search(&[1.0, 0.0]).run()?.partial);
//! # Ok(())
//! # }
//! ```
//!
//! How it is tested: `storage/src/backend/faulty` simulates a disk that forgets, tears, reorders and fails; the suites
//! `crash`, `errors`, `damage`, `decode`, `schedules` and `sabotage` in `tests/` crash, fail and damage everything on it, and
//! `cargo run --release -p lethedb-tests --example torture` goes on for hours, with real kills, power cuts and full disks.
