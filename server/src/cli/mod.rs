//! The command line: one file a command, and what they share.
//!
//! Leaves first: [`failure`] (exit codes), [`terminal`] (tables, JSON, progress), [`context`] (settings, and the database they
//! open), an [`argument`] that several have, the [`format`] of a file; the commands; and [`command`], which chooses between them.

mod aliases;
mod argument;
mod backup;
mod bench;
mod collections;
mod command;
mod context;
mod demo;
mod erase;
mod export;
mod failure;
mod format;
mod import;
mod indexes;
mod records;
mod restore;
mod salvage;
mod search;
mod serve;
mod terminal;
mod verify;

pub use command::{Cli, run};
pub use failure::causes;
