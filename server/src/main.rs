//! The `lethedb` binary: a thin shell around the engine. `cli` holds the commands, `rest` the server.
//!
//! Invariant: a failure is one line on standard error, with its causes, and an exit code that says its kind.
#![forbid(unsafe_code)]

mod cli;
mod config;
mod json;
mod rest;

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            // If even standard error is gone, the exit code remains.
            _ = writeln!(std::io::stderr(), "lethedb: {}", causes(&failure));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
