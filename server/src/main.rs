//! The `lethedb` binary: a thin shell around the engine. `cli` holds the commands, `rest` the server.
//!
//! Invariant: a failure is one line on standard error, with its causes, and an exit code that says its kind.
#![forbid(unsafe_code)]

#[cfg(lethedb_plaintext)]
compile_error!("this build would seal nothing: it serves to measure what sealing costs, and is never shipped");

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

/// The error and what caused it, each told once: some libraries repeat the cause in their own text.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.ends_with(&told) {
            text = format!("{text}: {told}");
        }
        cause = error.source();
    }
    text
}
