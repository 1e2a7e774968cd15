//! One leg of the measurement of what encryption costs: the store of a data set, searched at several widths.
//!
//! `benches/twin.py` builds this twice, as it is and with `--cfg lethedb_plaintext`, and lets the two take turns. Both
//! hold the same rows for the same owners and answer without payloads, re-ranking as they do for everyone; on a line of
//! JSON each says whether it encrypts.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement fails loudly and prints what it found")]

use lethedb_benches::{Options, run};

/// Owners of the rows.
const ENTITIES: u32 = 10_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let (Some(dataset), Some(data)) = (arguments.next(), arguments.next()) else {
        println!("run benches/twin.py instead, or give a data set, a directory for its store, and widths");
        return;
    };
    let options = Options {
        dataset: dataset.into(),
        k: 10,
        ef: arguments.map(|width| width.parse().unwrap()).collect(),
        threads: 1,
        entities: ENTITIES,
        data: Some(data.into()),
        baseline: None,
    };
    let report = run(&options, &mut |_, _, _| {}).unwrap();
    println!("{}", serde_json::to_string(&report).unwrap());
}
