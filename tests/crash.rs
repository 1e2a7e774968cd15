//! Every operation of every workload is a place to crash: what was acknowledged is there afterwards, what was not is
//! whole or absent, and what was erased stays erased, whatever of the unsynced changes reached the disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::sync::Arc;

use lethedb_tests::case::{Counts, add, tell};
use lethedb_tests::crash::{Depth, Recorded};
use lethedb_tests::parallel::over;
use lethedb_tests::workload::all;

/// Of every crash at every moment of a kind of work alone.
const ALONE: Depth = Depth { subsets: 8, torn: 6, ahead: 3, prefixes: 4 };
/// Of those of a kind that comes after another, which does the same in other surroundings.
const AFTER: Depth = Depth { subsets: 3, torn: 2, ahead: 1, prefixes: 2 };

#[test]
fn every_operation_survives_every_crash() {
    let outcomes = over(all(), |workload| {
        let depth = if workload.shared > 0 { AFTER } else { ALONE };
        let recorded = Recorded::new(workload, 1, |disk| Arc::new(disk)).unwrap();
        let moments = recorded.own()..recorded.len();
        (moments.len(), recorded.crash_everywhere(depth, moments))
    });
    let (mut total, mut operations, mut violations) = (Counts::new(), 0, Vec::new());
    for (moments, outcome) in outcomes {
        operations += moments;
        match outcome {
            Ok(counts) => add(&mut total, &counts),
            Err(violation) => violations.push(violation.to_string()),
        }
    }
    tell(&format!("{} workloads, {operations} operations: {total:?}", all().len()));
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert!(total["crash images"] >= 30_000 && total["crashed again in recovery"] >= 3_000, "{total:?}");
}
