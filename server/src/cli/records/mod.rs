//! `lethedb records`: what is stored, looked at and changed from a shell.
//!
//! Leaves first: how records are [`show`]n, commands that [`read`], commands that [`change`], and the choice of one.

mod change;
mod command;
mod read;
mod show;

pub use command::{Command, run};
