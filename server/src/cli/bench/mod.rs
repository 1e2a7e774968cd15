//! `lethedb bench`: one file a measurement.
//!
//! Leaves first: [`watch`] (progress); the measurements; and [`command`], which chooses between them.

mod command;
mod compare;
mod grow;
mod plot;
mod recall;
mod synth;
mod watch;

pub use command::{Command, run};
