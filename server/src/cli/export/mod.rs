//! `lethedb export`: the records of a collection into a file, in the clear.
//!
//! Invariant: the file is whole or not there, it holds every record that matches or the command fails, and memory holds a
//! page of them. Leaves first: a [`draft`], the [`sink`] that fills it, the [`command`].

mod command;
mod draft;
pub mod sink;
#[cfg(test)]
mod tests;

pub use command::{Args, run};
