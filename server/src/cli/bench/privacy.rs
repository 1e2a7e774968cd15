//! `lethedb bench privacy`: how far private answers are off, how long one takes, and what many records of one entity weigh.

use std::path::PathBuf;

use benches::{NoiseOptions, NoisePart};

use super::super::context::Context;
use super::super::failure::Failure;
use super::watch::Watch;

/// Arguments of `bench privacy`.
#[derive(clap::Args)]
pub struct Args {
    /// Print the table of expected errors that the guide has, in Markdown, and measure nothing.
    #[arg(long)]
    table: bool,
    /// What to measure: error, speed, crowd.
    #[arg(long = "part", value_delimiter = ',', default_value = "error,speed,crowd")]
    parts: Vec<NoisePart>,
    /// Dimensions of the vectors whose error is measured.
    #[arg(long, value_delimiter = ',', default_value = "128,384")]
    dimension: Vec<usize>,
    /// Entities of them, of one record each.
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000,100000")]
    entities: Vec<usize>,
    /// The ε of questions answered with Laplace noise.
    #[arg(long, value_delimiter = ',', default_value = "0.1,0.5,1,3,10")]
    epsilon: Vec<f64>,
    /// The δ of a question answered with Gaussian noise at ε = 1.
    #[arg(long, default_value_t = 1e-6)]
    delta: f64,
    /// How often each question is answered.
    #[arg(long, default_value_t = 100)]
    rounds: usize,
    /// Records of the centroid that is timed.
    #[arg(long, default_value_t = 100_000)]
    records: usize,
    /// Numbers in their vectors.
    #[arg(long, default_value_t = 384)]
    timed_dimension: usize,
    /// Records of the one entity that has many.
    #[arg(long, default_value_t = 1_000_000)]
    crowd: usize,
    /// Also write the JSON report here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw a picture of the errors of each dimension into this directory, privacy-DIMENSION.svg.
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
}

/// Runs the measurement. Each store lies in a directory of its own in `--data` while it is measured.
pub fn run(context: &Context, args: Args) -> Result<(), Failure> {
    if args.table {
        let table = benches::error_table();
        return context.terminal.show(&table, table.trim_end());
    }
    let options = NoiseOptions {
        parts: args.parts,
        dimensions: args.dimension,
        entities: args.entities,
        epsilons: args.epsilon,
        delta: args.delta,
        rounds: args.rounds,
        records: args.records,
        dimension: args.timed_dimension,
        crowd: args.crowd,
        folder: context.data.clone(),
    };
    let mut watch = Watch::new(&context.terminal);
    let found = benches::noise(&options, &mut |stage, done, total| watch.tell(stage, done, total))?;
    drop(watch);
    if let Some(path) = &args.json {
        benches::write_json(&found, path).map_err(|error| Failure::Io("the report cannot be written", error))?;
    }
    if let Some(folder) = &args.svg {
        for (dimension, picture) in found.pictures() {
            benches::draw(&picture, &folder.join(format!("privacy-{dimension}.svg")))?;
        }
    }
    context.terminal.show(&found, &found)
}
