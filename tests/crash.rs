//! Every operation of every workload is a place to crash: what was acknowledged is there afterwards, what was not is
//! whole or absent, and what was erased stays erased, whatever of the unsynced changes reached the disk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed expectation is a failed test")]
#![allow(clippy::disallowed_methods, reason = "the images are shared among threads")]

use std::sync::{Arc, Mutex};

use lethedb_tests::case::{Counts, add, tell};
use lethedb_tests::crash::{Depth, Recorded};
use lethedb_tests::workload::all;

#[test]
fn every_operation_survives_every_crash() {
    let queue = Mutex::new(all());
    let total = Mutex::new((Counts::new(), 0usize));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let violations: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut violations = Vec::new();
                    loop {
                        let Some(workload) = queue.lock().unwrap().pop() else { return violations };
                        let recorded = Recorded::new(workload, 1, |disk| Arc::new(disk)).unwrap();
                        let depth = Depth { subsets: 8, torn: 6, ahead: 3, prefixes: 4 };
                        match recorded.crash_everywhere(depth, 0..recorded.len()) {
                            Ok(counts) => {
                                let mut total = total.lock().unwrap();
                                add(&mut total.0, &counts);
                                total.1 += recorded.len();
                            }
                            Err(violation) => violations.push(violation.to_string()),
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    let (counts, moments) = total.into_inner().unwrap();
    tell(&format!("{} workloads, {moments} operations: {counts:?}", all().len()));
    assert!(violations.is_empty(), "{}", violations.join("\n"));
    assert!(counts["crash images"] >= 30_000 && counts["crashed again in recovery"] >= 3_000, "{counts:?}");
}
