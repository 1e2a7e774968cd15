//! A data set: what to store, what to ask, and the right answers if they are known.
//!
//! Invariant kept by every reader: `train` and `test` have the same dimension, and every neighbour is a row of `train`.
//! The layout is that of ann-benchmarks (Aumüller, Bernhardsson, Faithfull 2018), which the field shares.

use crate::{Distance, Matrix};

/// Vectors to store and vectors to search for.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    /// What the set is called; for a file, its name without extension.
    pub name: String,
    /// The distance the set was made for.
    pub metric: Distance,
    /// The vectors to store, by position.
    pub train: Matrix,
    /// The queries; empty in a bare vector file.
    pub test: Matrix,
    /// Per query the positions of its nearest rows of `train`, nearest first, if they are known.
    pub neighbors: Option<Vec<Vec<u32>>>,
}

impl Dataset {
    /// How many dimensions `train` seems to have around the queries: the maximum-likelihood estimate of Levina and Bickel
    /// (2004) from the distances to the known neighbours, averaged. Of real vectors with 100 or more numbers it is 10 to
    /// 30. `None` without neighbours at two distances or more, hence for the dot product, which is no distance.
    pub fn seeming_dimension(&self) -> Option<f64> {
        let of = |(query, row): (&[f32], &Vec<u32>)| {
            let far = |at: &u32| {
                let far = f64::from(self.metric.between(query, self.train.row(*at as usize)));
                // The cosine distance grows with the square of the Euclidean.
                if self.metric == Distance::Cosine { far.sqrt() } else { far }
            };
            let last = far(row.last()?);
            let logs = row.iter().map(far).filter(|far| *far > 0.0).map(|far| (last / far).ln());
            Some((row.len() - 1) as f64 / logs.sum::<f64>()).filter(|seeming| seeming.is_finite() && *seeming > 0.0)
        };
        let all: Vec<f64> = self.test.rows().zip(self.neighbors.as_ref()?).filter_map(of).collect();
        (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64)
    }
}
