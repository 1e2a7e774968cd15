//! `lethedb bench`: one file a measurement.
//!
//! Leaves first: [`watch`] (progress); the measurements; and [`command`], which chooses between them.

mod audit;
mod churn;
mod command;
mod compare;
mod erase;
mod filter;
mod grow;
mod load;
mod payload;
mod plot;
mod privacy;
mod recall;
mod synth;
mod watch;

pub use command::{Command, run};
