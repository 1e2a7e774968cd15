//! `lethedb bench payload`: what indexes of payloads take.

use std::path::PathBuf;

use benches::PayloadOptions;
use clap::builder::RangedU64ValueParser;

use super::super::context::Context;
use super::super::failure::Failure;
use super::watch::Watch;

/// Arguments of `bench payload`.
#[derive(clap::Args)]
pub struct Args {
    /// Records to store, again for each field.
    #[arg(long, default_value_t = 100_000, value_parser = RangedU64ValueParser::<usize>::new().range(1..=10_000_000))]
    records: usize,
    /// Also write the JSON report here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the measurement. Each store lies in a directory of its own in `--data` while it is measured.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let options = PayloadOptions { records: args.records, folder: context.data.clone() };
    let mut watch = Watch::new(&context.terminal);
    let indexes = benches::payload(&options, &mut |stage, done, total| watch.tell(stage, done, total))?;
    drop(watch);
    if let Some(path) = &args.json {
        benches::write_json(&indexes, path).map_err(|error| Failure::Io("the report cannot be written", error))?;
    }
    context.terminal.show(&indexes, &indexes)
}
