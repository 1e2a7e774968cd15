//! How far a long run has come, kept in a small file so that the next call goes on. Invariants: the file is replaced
//! whole, and a violation is on disk before the run goes on.

#![allow(clippy::disallowed_methods, reason = "a report of the tests' own, outside any database")]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::case::{Outcome, Violation};

/// What one suite has done so far.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// The seed that comes next.
    pub next_seed: u64,
    /// How long its cases took.
    pub seconds: f64,
    /// Cases run.
    pub cases: u64,
    /// Cases in which a promise did not hold.
    pub violations: u64,
    /// The sum of what the cases counted.
    pub counts: BTreeMap<String, u64>,
}

/// The state of a long run, by suite.
#[derive(Debug)]
pub struct Progress {
    path: PathBuf,
    /// What each suite has done.
    pub suites: BTreeMap<String, Tally>,
}

impl Progress {
    /// Reads the state at `path`; a run that begins has none.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no such state.
    pub fn load(path: &Path) -> io::Result<Self> {
        let suites = match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok(Self { path: path.to_owned(), suites })
    }

    /// Writes the state in place of the older one.
    ///
    /// # Errors
    /// Those of writing and renaming a file.
    pub fn save(&self) -> io::Result<()> {
        let staged = self.path.with_added_extension("new");
        fs::write(&staged, serde_json::to_vec_pretty(&self.suites)?)?;
        fs::rename(staged, &self.path)
    }

    /// Seconds that all suites took together.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.suites.values().map(|tally| tally.seconds).sum()
    }

    /// Cases in which a promise did not hold.
    #[must_use]
    pub fn violations(&self) -> u64 {
        self.suites.values().map(|tally| tally.violations).sum()
    }

    /// Counts what came of case `seed` of `suite`, and puts a violation on record.
    ///
    /// # Errors
    /// Those of appending to the file of violations.
    pub fn record(&mut self, suite: &str, seed: u64, outcome: &Outcome, seconds: f64) -> io::Result<()> {
        let tally = self.suites.entry(suite.to_owned()).or_default();
        tally.next_seed = seed + 1;
        tally.seconds += seconds;
        tally.cases += 1;
        match outcome {
            Ok(counts) => {
                for (name, count) in counts {
                    *tally.counts.entry((*name).to_owned()).or_default() += count;
                }
                Ok(())
            }
            Err(violation) => {
                tally.violations += 1;
                self.note(seed, violation)
            }
        }
    }

    fn note(&self, seed: u64, violation: &Violation) -> io::Result<()> {
        let Violation { suite, what, replay } = violation;
        let line = json!({ "suite": suite, "seed": seed, "replay": replay, "what": what });
        let path = self.path.with_added_extension("violations");
        writeln!(OpenOptions::new().create(true).append(true).open(path)?, "{line}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_run_goes_on_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("torture.json");
        let mut progress = Progress::load(&path).unwrap();
        progress.record("kill", 4, &Ok([("kills", 5)].into()), 2.0).unwrap();
        progress.save().unwrap();
        let mut progress = Progress::load(&path).unwrap();
        progress.record("kill", 5, &Err(Violation::of_seed("kill", 5, &"lost")), 1.0).unwrap();
        let tally = &progress.suites["kill"];
        assert_eq!((tally.next_seed, tally.cases, tally.violations, tally.counts["kills"]), (6, 2, 1, 5));
        assert_eq!((progress.seconds(), progress.violations()), (3.0, 1));
        let noted: serde_json::Value =
            serde_json::from_slice(&fs::read(dir.path().join("torture.json.violations")).unwrap()).unwrap();
        assert_eq!(noted, json!({ "suite": "kill", "seed": 5, "replay": "kill/5", "what": "lost" }));
    }
}
