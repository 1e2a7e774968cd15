//! Finding candidates: along the graph, or by looking at every code.
//!
//! `pool` keeps the best of what was seen, `visited` what was seen, `scratch` the memory of both
//! between queries; `allow` says which positions count and `reach` how far to go; `traverse` (from its `starts`) and
//! `flat` are the two ways, `filtered` what a walk is shown where few rows match, with their `bits` and the `cells` it begins in, and
//! `refine` looks again at what a rough walk found. What a graph is and what is
//! sought, `traverse` knows only through the traits in `walkable`, because builders walk too.

mod allow;
mod bits;
mod candidate;
mod cells;
mod filtered;
mod flat;
mod planner;
mod pool;
mod reach;
mod refine;
mod scratch;
mod starts;
#[cfg(test)]
mod tests;
mod traverse;
mod visited;
mod walkable;

pub use allow::Allow;
pub use candidate::Candidate;
pub use reach::Reach;
pub use scratch::{Counters, Scratch};

pub(crate) use cells::Cells;
pub(crate) use filtered::Through;
pub(crate) use flat::scan;
pub(crate) use planner::{Way, way};
pub(crate) use refine::refine;
pub(crate) use starts::{sampled, starts};
pub(crate) use traverse::{Extent, walk};
pub(crate) use walkable::{Goal, Horizon, Links};
