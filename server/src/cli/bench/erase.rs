//! `lethedb bench erase`: what forgetting costs.

use std::path::PathBuf;

use benches::{EraseOptions, Part};

use super::super::context::Context;
use super::super::failure::Failure;
use super::watch::Watch;

/// How long searches have the machine to themselves before each erasure.
const IDLE_MS: u64 = 1000;

/// Arguments of `bench erase`.
#[derive(clap::Args)]
pub struct Args {
    /// What to measure: stages, together, epochs, flush.
    #[arg(long = "part", value_delimiter = ',', default_value = "stages,together,epochs,flush")]
    parts: Vec<Part>,
    /// Records that are left after all erasures; those that are erased come on top.
    #[arg(long, default_value_t = 100_000)]
    records: usize,
    /// Numbers in a vector.
    #[arg(long, default_value_t = 128)]
    dimension: usize,
    /// Records of the entities whose erasure is followed stage by stage.
    #[arg(long, value_delimiter = ',', default_value = "1,100,10000")]
    held: Vec<usize>,
    /// How many entities, of one record each, are erased at once.
    #[arg(long, value_delimiter = ',', default_value = "1,10,100")]
    together: Vec<usize>,
    /// How many entities, of one record each, the keyrings have whose change is measured.
    #[arg(long, value_delimiter = ',', default_value = "100000,300000")]
    epochs: Vec<usize>,
    /// Records of a flush.
    #[arg(long, default_value_t = 65_536)]
    flush_records: usize,
    /// New entities that own them.
    #[arg(long, default_value_t = 20_000)]
    flush_entities: usize,
    /// How often each is measured; medians count.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Also write the JSON report here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the measurement. Each store lies in a directory of its own in `--data` while it is measured.
pub fn run(context: &Context, args: Args) -> Result<(), Failure> {
    let options = EraseOptions {
        parts: args.parts,
        records: args.records,
        dimension: args.dimension,
        held: args.held,
        together: args.together,
        epochs: args.epochs,
        flush_records: args.flush_records,
        flush_entities: args.flush_entities,
        rounds: args.rounds,
        idle_ms: IDLE_MS,
        folder: context.data.clone(),
    };
    let mut watch = Watch::new(&context.terminal);
    let erasing = benches::erase(&options, &mut |stage, done, total| watch.tell(stage, done, total))?;
    drop(watch);
    if let Some(path) = args.json {
        benches::write_json(&erasing, &path).map_err(|error| Failure::Io("the report cannot be written", error))?;
    }
    context.terminal.show(&erasing, &erasing)
}
