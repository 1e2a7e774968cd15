//! Every operation fails in every way it can, once or for good: answers are typed, what was acknowledged stays, reads go
//! on, and a disk that is sound again is written to again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use lethedb_tests::case::{add, tell};
use lethedb_tests::errors::{Rehearsed, every};
use lethedb_tests::parallel::over;
use lethedb_tests::workload::all;

/// Of the pairs, whose operations are those of the kinds alone in other surroundings, every so many faults.
const STRIDE: usize = 17;

#[test]
fn every_operation_may_fail() {
    let outcomes = over(all(), |workload| {
        let alone = !workload.name.contains('+');
        let rehearsed = Rehearsed::new(workload, 1).unwrap();
        let faults = rehearsed.faults();
        every(&rehearsed, faults.into_iter().step_by(if alone { 1 } else { STRIDE }))
    });
    let (mut total, mut violations) = (Default::default(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(counts) => add(&mut total, &counts),
            Err(violation) => violations.push(violation.to_string()),
        }
    }
    tell(&format!("{} workloads: {total:?}", all().len()));
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert!(total["errors injected"] >= 10_000, "{total:?}");
}
