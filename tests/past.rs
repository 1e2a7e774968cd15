//! Failures of the past, each as the words that replayed it then. What a number means moves with the code; the mistake
//! that it once met must not come back near it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use lethedb_tests::{crash, errors};

/// Power takes the only manifest, because opening removed what a name that was never synced had replaced.
const MANIFEST: &str = "crash/put+flush/1/103/process/36/torn-180";
/// A job file that was never finished stays.
const JOB: &str = "crash/erase/1/70/process";
/// A moved log carries the ids of deleted records past the erasure of their owner.
const DELETED_IDS: &str = "crash/put+erase/1/176/process";
/// Opening destroys the key of a log that only the newest manifest, seen and not on the disk, has let go of.
const LOG_KEY: &str = "crash/erase+drop/1/232/process/22/drop";
/// A committed manifest is reported as failed, and writes go to a log that nothing names.
const COMMITTED: &str = "errors/put+erase/1/135/interrupted/sticky";
/// An erasure that failed half-way takes later writes of the same entity with it.
const HALF_ERASED: &str = "errors/erase+step/1/121/interrupted/once";
/// A root page that only memory shows is taken for the newest, and what it replaced is destroyed.
const ROOT_PAGE: &str = "errors/epoch+reopen/1/149/interrupted/once";
/// A log of keys without a header keeps every later one from being made.
const HEADLESS: &str = "errors/create/1/103/io/sticky";
/// Tombstones that could not be read stay as a file that nothing names.
const TOMBSTONES: &str = "errors/put/1/18/io/once";

#[test]
fn what_failed_once_holds() {
    for words in [MANIFEST, JOB, DELETED_IDS, LOG_KEY] {
        crash::replay(words).unwrap_or_else(|violation| panic!("{violation}"));
    }
    for words in [COMMITTED, HALF_ERASED, ROOT_PAGE, HEADLESS, TOMBSTONES] {
        errors::replay(words).unwrap_or_else(|violation| panic!("{violation}"));
    }
}
