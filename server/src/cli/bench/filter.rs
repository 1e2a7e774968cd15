//! `lethedb bench filter`: what a filter costs.

use std::path::PathBuf;

use benches::FilterOptions;

use super::super::context::Context;
use super::super::failure::Failure;
use super::watch::Watch;

/// Arguments of `bench filter`.
#[derive(clap::Args)]
pub struct Args {
    /// File with train, test and neighbors, as ann-benchmarks makes them.
    #[arg(long, value_name = "FILE.hdf5")]
    dataset: PathBuf,
    /// How many neighbours to ask for and to score.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Widths of the graph search to measure.
    #[arg(long, value_delimiter = ',', default_value = "32,64")]
    ef: Vec<usize>,
    /// How many of the queries to ask.
    #[arg(long, default_value_t = 500)]
    queries: usize,
    /// How often each is measured; the fastest pass counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The core on which all search; by default the last one that this process may use.
    #[arg(long, value_name = "NUMBER")]
    core: Option<usize>,
    /// Also write the JSON report here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the measurement. The stores lie in a directory of their own in `--data` while they are measured.
pub fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let options = FilterOptions {
        dataset: args.dataset,
        k: args.k,
        ef: args.ef,
        queries: args.queries,
        rounds: args.rounds,
        core: args.core,
        folder: context.data.clone(),
    };
    let mut watch = Watch::new(&context.terminal);
    let filtering = benches::filter(&options, &mut |stage, done, total| watch.tell(stage, done, total))?;
    drop(watch);
    if let Some(path) = args.json {
        benches::write_json(&filtering, &path).map_err(|error| Failure::Io("the report cannot be written", error))?;
    }
    context.terminal.show(&filtering, &filtering)
}
