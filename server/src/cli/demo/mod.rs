//! `lethedb demo`: the promise of this database, checked before the user's eyes on real words.
//!
//! Leaves first: what a plain copy of a directory is ([`copy`]), a search for plain text in files ([`scan`]), the
//! [`words`] and their invented owners; then the [`story`] and the [`stage`] it is
//! told on. Nothing is asserted that is not measured; the first check
//! that fails ends the demonstration with an error.

mod copy;
mod scan;
mod stage;
mod story;
mod words;

pub use stage::{Args, run};
