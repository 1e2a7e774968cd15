//! Finding candidates: along the graph, or by looking at every code.
//!
//! `pool` keeps the best of what was seen, `visited` what was seen, `scratch` the memory of both
//! between queries; `allow` says which positions count; `traverse` and `flat` are the two ways.

mod allow;
mod candidate;
mod flat;
mod pool;
mod scratch;
#[cfg(test)]
mod tests;
mod traverse;
mod visited;

pub use allow::Allow;
pub use candidate::Candidate;
pub use scratch::{Counters, Scratch};

pub(crate) use flat::scan;
pub(crate) use traverse::walk;
