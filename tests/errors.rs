//! Every operation fails in every way it can, once or for good: answers are typed, what was acknowledged stays, reads go
//! on, and a disk that is sound again is written to again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]

use lethedb_tests::case::{add, tell};
use lethedb_tests::errors::{Rehearsed, every};
use lethedb_tests::parallel::over;
use lethedb_tests::workload::all;
use storage::backend::faulty::Fault;

/// Every so many faults, where all of them strike in another workload: that which does the same alone, or the first that
/// opens the same store.
const STRIDE: usize = 23;

#[test]
fn every_operation_may_fail() {
    let outcomes = over(all(), |workload| {
        let (is_pair, opens_alike) = (workload.shared > 0, !workload.bare && workload.name != "put");
        let rehearsed = Rehearsed::new(workload, 1).unwrap();
        let strikes_elsewhere = |fault: &Fault| is_pair || (opens_alike && fault.at < rehearsed.opening());
        let faults = rehearsed.faults().into_iter().enumerate();
        let own = faults.filter(|(place, fault)| !strikes_elsewhere(fault) || place % STRIDE == 0);
        every(&rehearsed, own.map(|(_, fault)| fault))
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
