//! Differential privacy: aggregates over people's data that say little about any one of them.
//!
//! Leaves first: `epsilon` (what it costs), `rho` (how Gaussian noise adds up), `sampler` (exact noise),
//! `contribution` (what one entity may add, and the sum) with its three kinds `clip` (vectors), `span` (numbers)
//! and `bins` (weights), `mechanism` (which noise keeps which guarantee), `plan` (question, cost, error, answer).
//!
//! The way of an answer: make a [`Plan`], pay its [`Cost`], and only then read. For every entity gather its records
//! ([`Clip::gather`], [`Span::gather`], [`Bins::gather`]), take its [`Contribution`], add it to the [`Sum`] of its group
//! once, and [`Plan::release`] each sum.

#![doc = include_str!("guide.md")]
#![doc = include_str!("proofs.md")]

mod bins;
mod clip;
mod contribution;
mod epsilon;
pub mod ledger;
mod mechanism;
#[cfg(test)]
mod mutant;
mod plan;
mod rho;
mod sampler;
mod span;
mod table;
#[cfg(test)]
mod tests;

pub use bins::{BINS_MAX, Bins, Weights};
pub use clip::{BoundError, Clip, DIMENSION_MAX, Vectors};
pub use contribution::{Bound, Contribution, Sum};
pub use epsilon::{Cost, DELTA_UNIT, Delta, DeltaError, EPSILON_UNIT, Epsilon, EpsilonError, Guarantee};
pub use plan::{Facts, GROUPS_MAX, Groups, LEAST_GROUP, NoiseName, Plan, PlanError, Prediction, Question, Release};
pub use rho::Rho;
pub use sampler::Noise;
pub use span::{Numbers, Span};
pub use table::error_table;
