//! The `lethedb` binary: a thin shell around the engine. `cli` holds the commands, `rest` the server, `grpc` its
//! calls for protobuf, `tokens` those of end users, `telemetry` what an operator's collector is told of requests.
//!
//! Invariant: a failure is one line on standard error, with its causes, and an exit code that says its kind.
#![forbid(unsafe_code)]

#[cfg(lethedb_plaintext)]
compile_error!("this build would seal nothing: it serves to measure what sealing costs, and is never shipped");

mod cli;
mod config;
mod grpc;
mod json;
mod origin;
mod rest;
mod telemetry;
mod tokens;

use std::io::Write;
use std::panic;
use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    report_panics();
    keep_keys_in_memory();
    cli::outlive_file_limits();
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            // If even standard error is gone, the exit code remains.
            _ = writeln!(std::io::stderr(), "lethedb: {}", cli::causes(&failure));
            ExitCode::from(failure.exit_code())
        }
    }
}

/// No core dump of this process, and no other process of its user, gets to see its memory, which holds keys. Where the
/// system refuses, the commands work all the same.
fn keep_keys_in_memory() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
        _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    }
}

/// Panics are reported, but for those that a damaged Parquet file causes in its decoders: these end in a failure, which is
/// told like any other.
fn report_panics() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !datasets::parquet::is_contained() {
            report(panic);
        }
    }));
}
