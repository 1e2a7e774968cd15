//! `lethedb bench run`: recall against speed, on the user's own machine and data.

use std::path::PathBuf;

use benches::{Baseline, Options};

use super::super::context::Context;
use super::super::failure::Failure;
use super::watch::Watch;

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
pub fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let options = Options {
        dataset: args.dataset,
        k: args.k,
        ef: args.ef,
        threads: args.threads,
        entities: args.entities,
        data: context.data.clone(),
        baseline: args.baseline,
    };
    let mut watch = Watch::new(&context.terminal);
    let report = benches::run(&options, &mut |stage, done, total| watch.tell(stage, done, total))?;
    drop(watch);
    if let Some(path) = args.json {
        benches::write_json(&report, &path).map_err(|error| Failure::Io("the report cannot be written", error))?;
    }
    context.terminal.show(&report, &report)
}
