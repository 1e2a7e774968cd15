//! One seeded case of a suite: what every suite returns, so that the tests of CI and the long runs count and report
//! the same way. Invariant: a violation carries the words that replay it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

use serde::Serialize;

/// What a case did, by name: `images`, `errors injected`, `acknowledged writes`, …
pub type Counts = BTreeMap<&'static str, u64>;

/// A promise that did not hold.
#[derive(Debug, Serialize)]
pub struct Violation {
    /// The suite that found it.
    pub suite: &'static str,
    /// Which promise, and what was seen instead; never a vector or a payload.
    pub what: String,
    /// The case in the form that `torture --replay` takes.
    pub replay: String,
}

/// What came of a case.
pub type Outcome = Result<Counts, Violation>;

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { suite, what, replay } = self;
        write!(f, "{suite}: {what}\nreplay: cargo run -p lethedb-tests --example torture -- --replay {replay}")
    }
}

/// Adds the counts of a case to a total.
pub fn add(total: &mut Counts, counts: &Counts) {
    for (name, count) in counts {
        *total.entry(name).or_default() += count;
    }
}

/// Says what a suite counted, also where the harness swallows what tests print.
pub fn tell(counted: &str) {
    let _ = writeln!(std::io::stderr(), "{counted}");
}

impl Violation {
    /// What was found in the case that `seed` decides alone.
    #[must_use]
    pub fn of_seed(suite: &'static str, seed: u64, what: &impl ToString) -> Self {
        Self { suite, what: what.to_string(), replay: format!("{suite}/{seed}") }
    }
}

/// Runs the case that the words `<suite>/<seed>` name.
///
/// # Errors
/// What the case finds, or that the words name none.
pub fn replay_seed(suite: &'static str, words: &str, case: fn(u64) -> Outcome) -> Outcome {
    match words.split_once('/').and_then(|(_, seed)| seed.parse().ok()) {
        Some(seed) => case(seed),
        None => Err(Violation { suite, what: "the words name no case".into(), replay: words.to_owned() }),
    }
}
