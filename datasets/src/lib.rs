//! Vectors to measure and test with: readers of the field's file formats, seeded synthetic data, real words, and the
//! exact answers that approximate ones are judged by.
//!
//! Depends on none of our crates, so that nothing measured here can share a fault with what it measures.
//! Leaves first: [`Matrix`] and [`Distance`]; the exact [`truth`]; [`Dataset`]; the readers [`hdf5`] and [`vecs`]
//! behind one [`open`]; [`synthetic`] data and the bundled [`words`](words()).
#![forbid(unsafe_code)]

mod dataset;
mod distance;
pub mod hdf5;
mod matrix;
mod open;
#[cfg(feature = "parquet")]
pub mod parquet;
pub mod synthetic;
pub mod truth;
pub mod vecs;
mod words;

pub use dataset::Dataset;
pub use distance::{Distance, UnknownDistance};
pub use matrix::Matrix;
pub use open::{OpenError, open};
pub use words::{DIMENSION, Words, words};
