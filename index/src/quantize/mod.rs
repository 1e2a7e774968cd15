//! From vectors to 8-bit codes: a keyed rotation that makes every coordinate look Gaussian, then a
//! fixed step.
//!
//! Nothing is trained, so a code depends on its own vector and the collection's seed alone: erasing
//! one record leaves no trace of it in the codes of others.

mod rotation;
mod sq8;
#[cfg(test)]
mod tests;

#[cfg(test)]
use rotation::Rotation;
pub use sq8::{Query, Scale, Space};
pub(crate) use sq8::{STEP, ratio};
