//! What was checked, with what outcome, and what was not.
//!
//! Invariant: everything that could be checked is told, so that nobody takes what was left out for what held.

use std::fmt;

use serde::Serialize;

use crate::cli::terminal::table;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// Nobody can say, for want of what the detail names.
    NotChecked,
}

/// One check.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What was asked.
    what: &'static str,
    /// The answer.
    outcome: Outcome,
    /// What it rests on, or what was wrong.
    detail: String,
}

/// All checks, in the order in which they were made.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    checks: Vec<Check>,
}

impl Report {
    /// Notes a check.
    pub fn note(&mut self, what: &'static str, outcome: Outcome, detail: impl Into<String>) {
        self.checks.push(Check { what, outcome, detail: detail.into() });
    }

    /// Notes whether something holds.
    pub fn hold(&mut self, what: &'static str, holds: bool, detail: impl Into<String>) {
        self.note(what, if holds { Outcome::Holds } else { Outcome::Fails }, detail);
    }

    /// How many checks ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.checks.iter().filter(|check| check.outcome == outcome).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |outcome| match outcome {
            Outcome::Holds => "holds",
            Outcome::Fails => "FAILS",
            Outcome::NotChecked => "not checked",
        };
        let row = |check: &Check| [check.what.to_owned(), word(check.outcome).to_owned(), check.detail.clone()];
        f.write_str(&table(["check", "outcome", "detail"], &self.checks.iter().map(row).collect::<Vec<_>>()))?;
        let [holds, fails, left] = [Outcome::Holds, Outcome::Fails, Outcome::NotChecked].map(|o| self.count(o));
        write!(f, "\n{holds} hold, {fails} fail, {left} not checked")
    }
}
