//! The table of expected errors that the guide prints: from the code that calibrates the noise, and from nothing else.
//!
//! Invariant: the guide holds this table word for word; a test compares them, and `lethedb bench privacy --table` prints
//! it.

use std::fmt::Write;

use super::clip::Clip;
use super::epsilon::{Delta, Epsilon, Guarantee};
use super::plan::{Groups, LEAST_GROUP, Plan, Question};

const DIMENSIONS: [usize; 2] = [128, 384];
const ENTITIES: [u64; 4] = [100, 1_000, 10_000, 100_000];
const EPSILONS: [f64; 5] = [0.1, 0.5, 1.0, 3.0, 10.0];
const DELTA: f64 = 1e-6;

/// Root of the mean square of the noise on a centroid of unit vectors, in L2, by dimension, entities and ε, as a table in
/// Markdown.
pub fn error_table() -> String {
    let mut table = String::from("| d | n |");
    for epsilon in EPSILONS {
        // Writing to a string cannot fail.
        let _ = write!(table, " ε={epsilon} |");
    }
    let _ = writeln!(table, " ε=1, δ=10⁻⁶ |\n|{}", "---|".repeat(EPSILONS.len() + 3));
    let gaussian = (1.0, Delta::new(DELTA).ok());
    for dimension in DIMENSIONS {
        for entities in ENTITIES {
            let _ = write!(table, "| {dimension} | {entities} |");
            for (epsilon, delta) in EPSILONS.into_iter().map(|epsilon| (epsilon, None)).chain([gaussian]) {
                let rmse = unit_plan(dimension, epsilon, delta).map(|plan| plan.predict(entities).rmse);
                let _ = write!(table, " {} |", rmse.map_or_else(|| "–".into(), two_digits));
            }
            table.push('\n');
        }
    }
    table
}

/// A centroid of vectors of length 1.
fn unit_plan(dimension: usize, epsilon: f64, delta: Option<Delta>) -> Option<Plan> {
    let question = Question::Centroid { clip: Clip::new(dimension, 1.0, None).ok()?, is_projected: false };
    let guarantee = Guarantee { epsilon: Epsilon::new(epsilon).ok()?, delta };
    Plan::new(question, guarantee, Groups::One, LEAST_GROUP).ok()
}

/// A positive number to two digits.
fn two_digits(number: f64) -> String {
    let places = (1.0 - number.log10().floor()).clamp(0.0, 12.0) as usize;
    format!("{number:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guide_has_this_table() {
        let table = error_table();
        assert!(include_str!("guide.md").contains(&table), "put this into guide.md:\n{table}");
    }
}
