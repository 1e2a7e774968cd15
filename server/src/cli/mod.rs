//! The command line: one file a command, and what they share.
//!
//! Leaves first: [`failure`] (exit codes), [`terminal`] (tables, JSON, progress), [`context`] (settings, and the database they
//! open), an [`argument`] that several have, the [`format`] of a file; the commands; and [`command`], which chooses between them.

mod aggregate;
mod aliases;
mod api_keys;
mod argument;
mod audit;
mod audit_files;
mod backup;
mod bench;
mod budget;
mod certificates;
mod collections;
mod command;
mod config;
mod consent;
mod context;
mod demo;
mod erase;
mod export;
mod failure;
mod format;
mod hold;
mod import;
mod indexes;
mod keys;
mod policy;
mod receipt;
mod records;
mod restore;
mod retention;
mod salvage;
mod seal;
mod search;
mod serve;
mod signals;
mod terminal;
mod traces;
mod verify;
mod verify_erasure;

pub use command::{Cli, run};
pub use failure::causes;
pub use signals::outlive_file_limits;
