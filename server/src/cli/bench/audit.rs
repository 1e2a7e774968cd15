//! `lethedb bench audit`: how long it takes to check the account of what was done.

use std::path::PathBuf;

use benches::AuditOptions;
use clap::builder::RangedU64ValueParser;

use super::super::context::Context;
use super::super::failure::Failure;
use super::watch::Watch;

/// Arguments of `bench audit`.
#[derive(clap::Args)]
pub struct Args {
    /// Events to tell.
    #[arg(long, default_value_t = 1_000_000, value_parser = RangedU64ValueParser::<u64>::new().range(1..=100_000_000))]
    events: u64,
    /// Also write the JSON report here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the measurement. The store lies in a directory of its own in `--data` while it is measured.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let options = AuditOptions { events: args.events, folder: context.data.clone() };
    let mut watch = Watch::new(&context.terminal);
    let audited = benches::audit(&options, &mut |stage, done, total| watch.tell(stage, done, total))?;
    drop(watch);
    if let Some(path) = &args.json {
        benches::write_json(&audited, path).map_err(|error| Failure::Io("the report cannot be written", error))?;
    }
    context.terminal.show(&audited, &audited)
}
