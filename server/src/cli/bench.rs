//! `lethedb bench`: recall against speed, on the user's own machine and data.

use std::path::PathBuf;

use benches::{Baseline, Options, Stage};
use indicatif::ProgressBar;

use super::context::Context;
use super::failure::Failure;

/// What to measure.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Recall and queries a second of an ann-benchmarks file, searched in an encrypted environment reopened from disk.
    Run(Args),
}

/// Arguments of `bench run`.
#[derive(clap::Args)]
pub struct Args {
    /// File with train, test and neighbors, as ann-benchmarks makes them.
    #[arg(long, value_name = "FILE.hdf5")]
    dataset: PathBuf,
    /// How many neighbours to ask for and to score.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Widths of the graph search to measure.
    #[arg(long, value_delimiter = ',', default_value = "16,32,64,128,256")]
    ef: Vec<usize>,
    /// Threads that search, each one query at a time.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Spread the rows over this many invented entities, by Zipf's law.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    entities: u32,
    /// Also write the JSON report here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure another engine too, in the same run and in turns: hnsw_rs, in plain text and in memory.
    #[arg(long, value_name = "ENGINE")]
    baseline: Option<Baseline>,
}

/// Runs a measurement. `--data` keeps the store, and a store that holds the same set is not built again.
pub fn run(context: &Context, command: Command) -> Result<(), Failure> {
    let Command::Run(args) = command;
    let options = Options {
        dataset: args.dataset,
        k: args.k,
        ef: args.ef,
        threads: args.threads,
        entities: args.entities,
        data: context.data.clone(),
        baseline: args.baseline,
    };
    let mut bar = ProgressBar::hidden();
    let mut current = None;
    let report = benches::run(&options, &mut |stage: Stage, done, total| {
        if current != Some(stage) {
            bar.finish_and_clear();
            bar = context.terminal.progress(stage.as_str(), total);
            current = Some(stage);
        }
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    if let Some(path) = args.json {
        report.write(&path).map_err(|error| Failure::Io("the report cannot be written", error))?;
    }
    context.terminal.show(&report, &report)
}
