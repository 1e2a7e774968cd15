//! Which rows match what, decided before the store is made: at random, or in spite of the query.
//!
//! A filter that has nothing to do with vectors leaves its matches everywhere. Real ones have: the documents of one
//! customer, the pictures of one place, and often not where the query is. So some rows are viewpoints, and of each, its
//! nearest rows and its farthest are matches of filters of their own; a query is asked with those of the viewpoints that
//! make it hard.
//!
//! Invariant: pure; one data set has one set of labels.

use std::fmt;

use datasets::{Dataset, Matrix, truth};
use serde::Serialize;

use crate::chance::chance;

/// The shares of all rows that match.
pub const SHARES: [f64; 6] = [0.5, 0.3, 0.1, 0.03, 0.01, 0.001];
/// Rows that filters against the query are made around.
const VIEWPOINTS: usize = 8;

/// How matches lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Placement {
    /// Anywhere: a hash of the row decides.
    Random,
    /// Together, in another place than the query: the rows nearest to the viewpoint that is farthest from it.
    Elsewhere,
    /// Away from the query: the rows farthest from the viewpoint that is nearest to it.
    Far,
}

impl Placement {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Random, Self::Elsewhere, Self::Far];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Elsewhere => "elsewhere",
            Self::Far => "far",
        }
    }
}

/// A set of rows that a filter finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    kind: Placement,
    viewpoint: usize,
    share: f64,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.kind.as_str(), self.viewpoint, self.share)
    }
}

/// The labels of all rows.
pub struct Labels {
    /// How many rows are nearer to each viewpoint, row by row.
    ranks: Vec<Vec<usize>>,
    /// The viewpoints nearest to and farthest from each query.
    ends: Vec<(usize, usize)>,
}

impl Labels {
    /// The labels of the rows of `set`, and of each query those that make it hard.
    pub fn new(set: &Dataset) -> Self {
        let rows = set.train.len();
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by_key(|row| chance(*row as u64));
        order.truncate(VIEWPOINTS);
        let points: Vec<f32> = order.iter().flat_map(|row| set.train.row(*row)).copied().collect();
        let points = Matrix::new(set.train.dimension(), points);
        let all = |rows: &Matrix, asked: &Matrix| truth::neighbors(set.metric, rows, asked, rows.len());
        let by_point = points.as_ref().map(|points| all(&set.train, points)).unwrap_or_default();
        let rank = |nearest: Vec<truth::Neighbor>| {
            let mut ranks = vec![0; rows];
            nearest.iter().enumerate().for_each(|(rank, row)| ranks[row.position as usize] = rank);
            ranks
        };
        let by_query = points.map(|points| all(&points, &set.test)).unwrap_or_default();
        let ends = |nearest: Vec<truth::Neighbor>| {
            let of = |end: Option<&truth::Neighbor>| end.map_or(0, |end| end.position as usize);
            (of(nearest.first()), of(nearest.last()))
        };
        Self { ranks: by_point.into_iter().map(rank).collect(), ends: by_query.into_iter().map(ends).collect() }
    }

    /// Those that a row has.
    pub fn of_row(&self, row: usize) -> Vec<Label> {
        let viewpoints = |kind| if kind == Placement::Random { 1 } else { self.ranks.len() };
        let of = |share: f64| Placement::ALL.into_iter().map(move |kind| (kind, share));
        let all = SHARES.into_iter().flat_map(of);
        let labels =
            all.flat_map(|(kind, share)| (0..viewpoints(kind)).map(move |at| Label { kind, viewpoint: at, share }));
        labels.filter(|label| self.has(row, *label)).collect()
    }

    /// Whether a row has a label.
    pub fn has(&self, row: usize, Label { kind, viewpoint, share }: Label) -> bool {
        if kind == Placement::Random {
            return (of_share(row, share) as f64) < share * u64::MAX as f64;
        }
        let Some(ranks) = self.ranks.get(viewpoint) else { return false };
        let matching = (ranks.len() as f64 * share).ceil() as usize;
        let rank = |row: usize| ranks.get(row).copied().unwrap_or_default();
        if kind == Placement::Elsewhere { rank(row) < matching } else { rank(row) >= ranks.len() - matching }
    }

    /// The label of this kind and share that a query is asked with.
    pub fn of_query(&self, query: usize, kind: Placement, share: f64) -> Label {
        let (nearest, farthest) = self.ends.get(query).copied().unwrap_or_default();
        let viewpoint = match kind {
            Placement::Random => 0,
            Placement::Elsewhere => farthest,
            Placement::Far => nearest,
        };
        Label { kind, viewpoint, share }
    }
}

/// A number for each row, another one for each share.
fn of_share(row: usize, share: f64) -> u64 {
    chance(row as u64 ^ share.to_bits())
}

#[cfg(test)]
mod tests {
    use datasets::Distance;
    use datasets::synthetic::Mixture;

    use super::*;

    #[test]
    fn as_many_rows_match_as_they_should_and_where_they_should() {
        const ROWS: usize = 4000;
        let set = Mixture::new(8, 5, 0.5, 1).dataset(Distance::L2, ROWS, 30, 1, 2);
        let labels = Labels::new(&set);
        for share in SHARES {
            for query in 0..set.test.len() {
                let of = |kind| {
                    let label = labels.of_query(query, kind, share);
                    let rows = (0..ROWS).filter(|row| labels.has(*row, label));
                    rows.map(|row| set.metric.between(set.test.row(query), set.train.row(row))).collect::<Vec<f32>>()
                };
                let [random, elsewhere, far] = Placement::ALL.map(of);
                let wanted = (ROWS as f64 * share).ceil();
                assert_eq!((elsewhere.len(), far.len()), (wanted as usize, wanted as usize));
                assert!((random.len() as f64 - wanted).abs() < 5.0 * wanted.sqrt() + 5.0, "{share}: {}", random.len());
                if share < 0.5 {
                    let mean = |all: &[f32]| all.iter().sum::<f32>() / all.len() as f32;
                    let (near, away) = (mean(&random).min(mean(&elsewhere)), mean(&far));
                    assert!(random.len() < 40 || away > near, "{share}: {near} {away}");
                }
            }
        }
        let of_row = labels.of_row(17);
        assert!(!of_row.is_empty() && of_row.iter().all(|label| labels.has(17, *label)));
        let names: std::collections::BTreeSet<String> = of_row.iter().map(Label::to_string).collect();
        assert_eq!(names.len(), of_row.len());
    }
}
