//! The command line: one file a command, and what they share.
//!
//! Leaves first: lines of [`jsonl`]; [`failure`] (exit codes), [`terminal`] (tables, JSON, progress), [`context`]
//! (settings, and the database they open), the [`source`] of an import; the commands; and [`command`], which chooses between them.

mod bench;
mod command;
mod context;
mod demo;
mod erase;
mod failure;
mod import;
mod index;
mod jsonl;
mod salvage;
mod search;
mod serve;
mod source;
mod terminal;
mod verify;

pub use command::{Cli, run};
