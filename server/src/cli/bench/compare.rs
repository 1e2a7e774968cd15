//! `lethedb bench compare`: ours beside other engines, on the user's own machine and data.

use std::path::PathBuf;
use std::time::Duration;

use benches::{CompareOptions, Grid, PeerName};

use super::super::context::Context;
use super::super::failure::Failure;
use super::watch::Watch;

/// Arguments of `bench compare`.
#[derive(clap::Args)]
pub struct Args {
    /// File with train, test and neighbors, as ann-benchmarks makes them.
    #[arg(long, value_name = "FILE.hdf5")]
    dataset: PathBuf,
    /// The other engines.
    #[arg(long, value_delimiter = ',', default_values = PeerName::ALL)]
    pub(super) peers: Vec<PeerName>,
    /// The Python that has them installed; it is started once for each row of the report.
    #[arg(long, value_name = "PROGRAM", default_value = "python3")]
    pub(super) python: PathBuf,
    /// How many neighbours to ask for and to score.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Spread our rows over this many invented entities, by Zipf's law; by default a third of the rows.
    #[arg(long, value_name = "COUNT")]
    entities: Option<u32>,
    /// Widths of our graph search to measure.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "10,12,14,16,20,24,28,32,40,48,56,64,80,96,128,160,192,256,384,512"
    )]
    ef: Vec<usize>,
    /// The core on which all search; by default the last one that this process may use.
    #[arg(long, value_name = "NUMBER")]
    core: Option<usize>,
    /// How often each point that decides is measured; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Settings that the peers may try: small is one or two good builds each, full is wide enough to find the best.
    #[arg(long, default_value = "full")]
    grid: Grid,
    /// Threads that build.
    #[arg(long, value_name = "COUNT", default_value_t = 2)]
    build_threads: usize,
    /// How long a peer may take for one command before it is given up.
    #[arg(long, value_name = "MINUTES", default_value_t = 30)]
    timeout: u64,
    /// Also write the JSON report here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw recall against speed here.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Runs the comparison. `--data` keeps our store, and a store that holds the same set is not built again.
pub fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let options = CompareOptions {
        dataset: args.dataset,
        peers: args.peers,
        python: args.python,
        k: args.k,
        entities: args.entities,
        ef: args.ef,
        core: args.core,
        rounds: args.rounds,
        grid: args.grid,
        build_threads: args.build_threads,
        timeout: Duration::from_secs(args.timeout.saturating_mul(60)),
        data: context.data.clone(),
    };
    let mut watch = Watch::new(&context.terminal);
    let comparison = benches::compare(&options, &mut |stage, done, total| watch.tell(stage, done, total))?;
    drop(watch);
    if let Some(path) = args.json {
        let written = benches::write_json(&comparison, &path);
        written.map_err(|error| Failure::Io("the report cannot be written", error))?;
    }
    if let Some(path) = args.svg {
        benches::draw(&comparison.curves(), &path)?;
    }
    context.terminal.show(&comparison, &comparison)
}
