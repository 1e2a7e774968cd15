//! Group commit, the swap of views and manifests, and readers that hold on to old ones, under thousands of seeded
//! schedules of the real code: shuttle decides at every lock which thread goes on, and reports a deadlock.
//!
//! Built with the feature `schedules` only. A schedule that fails prints how to walk it again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::print_stdout, reason = "how much was explored, and what failed, is for people")]

#[path = "schedules/engine.rs"]
mod engine_scenarios;
#[path = "schedules/explorer.rs"]
mod explorer;
#[path = "schedules/flaky.rs"]
mod flaky;
#[path = "schedules/log.rs"]
mod log;

use std::sync::Arc;

use explorer::{Explorer, Walk, explore, finds};
use lethedb_tests::groups::Groups;
use lethedb_tests::history::{Seen, versions};
use storage::sync::{Mutex, thread};
use storage::wal::{WalError, WalWriter};

#[test]
fn nobody_is_told_before_the_sync() {
    explore("log", || log::writers(WalWriter::commit, true));
}

#[test]
fn readers_see_whole_commits() {
    explore("commits", || engine_scenarios::commits(Groups::read));
}

#[test]
fn a_reader_keeps_what_compaction_removes() {
    explore("pinned", engine_scenarios::pinned);
}

#[test]
fn an_erasure_has_one_place_among_writes() {
    explore("erasure", engine_scenarios::erasure);
}

#[test]
fn a_rebuild_keeps_nobody_out_and_brings_nothing_back() {
    explore("rebuild", engine_scenarios::rebuilding);
}

#[test]
fn a_compaction_keeps_nobody_out_and_brings_nothing_back() {
    explore("compaction", engine_scenarios::compacting);
}

#[test]
fn a_dropped_collection_takes_no_writes() {
    explore("drop", engine_scenarios::dropping);
}

#[test]
fn closing_ends_everything_before_another_opens() {
    explore("close", engine_scenarios::closing);
}

const RANDOM: Walk = Walk { explorer: Explorer::Random, seed: 5, schedules: 100 };
const PCT: Walk = Walk { explorer: Explorer::Pct(3), seed: 6, schedules: 100 };

#[test]
fn a_commit_that_does_not_wait_is_found() {
    let at_once = |_: &WalWriter, _| Ok(());
    assert!(finds(RANDOM, move || log::writers(at_once, true)));
}

#[test]
fn a_commit_that_waits_for_the_entry_before_is_found() {
    fn one_too_early(log: &WalWriter, sequence: u64) -> Result<(), WalError> {
        if sequence == 1 { log.commit(1) } else { log.commit(sequence - 1) }
    }
    assert!(finds(RANDOM, || log::writers(one_too_early, true)));
    assert!(finds(PCT, || log::writers(one_too_early, true)));
}

#[test]
fn a_disk_that_only_says_it_synced_is_found() {
    assert!(finds(RANDOM, || log::writers(WalWriter::commit, false)));
}

#[test]
fn an_answer_put_together_from_two_moments_is_found() {
    fn in_halves(docs: &Groups, _: u64) -> Result<(), String> {
        let page = |after: Option<u64>| {
            let scroll = docs.collection.scroll().limit(8);
            let scroll = if let Some(after) = after { scroll.after(after) } else { scroll };
            scroll.run().map_err(|error| error.to_string())
        };
        docs.history.read(|| {
            let (first, second) = (page(None)?, page(Some(7))?);
            let records = first.records.iter().chain(&second.records);
            let records = records.map(|record| (number(record), record.payload_json().unwrap().as_u64().unwrap()));
            Ok(Seen::Versions(second.as_of.sequence, versions(docs.groups, records)?))
        })
    }
    fn number(record: &engine::Record) -> u64 {
        match record.id() {
            engine::RecordId::Num(number) => number,
            engine::RecordId::Uuid(_) => unreachable!("the scenarios number their records"),
        }
    }
    assert!(finds(RANDOM, || engine_scenarios::commits(in_halves)));
}

#[test]
fn locks_taken_in_two_orders_are_found() {
    let crossed = || {
        let locks = Arc::new((Mutex::new(()), Mutex::new(())));
        let other = Arc::clone(&locks);
        let thread = thread::spawn(move || drop((other.1.lock(), other.0.lock())));
        drop((locks.0.lock(), locks.1.lock()));
        thread.join().unwrap();
    };
    assert!(finds(RANDOM, crossed));
}
