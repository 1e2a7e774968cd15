//! Every operation of every workload is a place to crash: what was acknowledged is there afterwards, what was not is
//! whole or absent, and what was erased stays erased, whatever of the unsynced changes reached the disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use std::sync::Arc;

use lethedb_tests::case::{Counts, add, tell};
use lethedb_tests::crash::{Depth, Recorded};
use lethedb_tests::parallel::over;
use lethedb_tests::workload::all;

#[test]
fn every_operation_survives_every_crash() {
    let outcomes = over(all(), |workload| {
        let recorded = Recorded::new(workload, 1, |disk| Arc::new(disk)).unwrap();
        let depth = Depth { subsets: 8, torn: 6, ahead: 3, prefixes: 4 };
        (recorded.len(), recorded.crash_everywhere(depth, 0..recorded.len()))
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
