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
