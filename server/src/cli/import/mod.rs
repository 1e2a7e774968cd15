//! `lethedb import`: a file of records into a collection.
//!
//! Invariant: the file is read row by row and stored batch by batch, so it may be larger than memory. A row that cannot be
//! stored is listed and the others go on; an import that ended early can be repeated, and goes on where it was.
//! Leaves first: a [`row`], [`lines`] of a file and what their [`body`] says, the [`source`] of rows, the [`rejects`],
//! the [`store`], the [`command`].

mod body;
mod command;
mod lines;
mod rejects;
mod row;
pub mod source;
mod store;

pub use command::{Args, run};
