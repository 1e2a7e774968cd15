//! `lethedb bench grow`: what a query costs as the store or the question grows.

use std::path::PathBuf;

use benches::{Case, GrowOptions, Growing};
use clap::builder::RangedU64ValueParser;

use super::super::context::Context;
use super::super::failure::Failure;
use super::watch::Watch;

/// Arguments of `bench grow`.
#[derive(clap::Args)]
pub struct Args {
    /// What grows: n, dimension, segments, deleted (% of the rows), k, threads. All of them, one after the other, unless
    /// named.
    #[arg(long, value_name = "AXIS", value_delimiter = ',', default_values = Growing::ALL.map(Growing::as_str))]
    axis: Vec<Growing>,
    /// Its values, of a single axis.
    #[arg(long, value_name = "VALUES", value_delimiter = ',')]
    sizes: Vec<usize>,
    /// Small stores, for a quick look.
    #[arg(long)]
    quick: bool,
    /// Rows, unless they grow; 50000, or 4000 for a quick look.
    #[arg(long)]
    rows: Option<usize>,
    /// Numbers in a vector, unless they grow; 384, or 64 for a quick look.
    #[arg(long)]
    dim: Option<usize>,
    /// Neighbours to ask for, unless they grow.
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Queries asked of each store.
    #[arg(long, default_value_t = 200, value_parser = RangedU64ValueParser::<usize>::new().range(1..=100_000))]
    queries: usize,
    /// The share of the true neighbours to be found, at which figures are read.
    #[arg(long, default_value_t = 0.95)]
    recall: f64,
    /// Also write the JSON report here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw a picture of each axis into this directory, grow-AXIS.svg.
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
}

impl Args {
    fn options(&self, folder: Option<PathBuf>) -> Result<GrowOptions, Failure> {
        if !self.sizes.is_empty() && self.axis.len() > 1 {
            return Err(Failure::Usage("--sizes are those of one axis: name it with --axis".into()));
        }
        if !(self.recall > 0.0 && self.recall <= 1.0) {
            return Err(Failure::Usage("--recall must be above 0 and at most 1".into()));
        }
        let (rows, dimension) = if self.quick { (4_000, 64) } else { (50_000, 384) };
        let values =
            |axis: Growing| if self.sizes.is_empty() { axis.usual(self.quick).to_vec() } else { self.sizes.clone() };
        Ok(GrowOptions {
            base: Case {
                n: self.rows.unwrap_or(rows),
                dimension: self.dim.unwrap_or(dimension),
                segments: 1,
                deleted: 0,
                k: self.k,
                threads: 1,
            },
            axes: self.axis.iter().map(|axis| (*axis, values(*axis))).collect(),
            queries: self.queries,
            recall: self.recall,
            folder,
        })
    }
}

/// Runs the measurement. The stores lie in directories of their own in `--data` while they are measured.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let options = args.options(context.data.clone())?;
    let mut watch = Watch::new(&context.terminal);
    let growth = benches::grow(&options, &mut |stage, done, total| watch.tell(stage, done, total))?;
    drop(watch);
    if let Some(path) = &args.json {
        benches::write_json(&growth, path).map_err(|error| Failure::Io("the report cannot be written", error))?;
    }
    if let Some(folder) = &args.svg {
        for along in &growth.axes {
            benches::draw(&along.picture(&growth), &folder.join(format!("grow-{}.svg", along.axis)))?;
        }
    }
    context.terminal.show(&growth, &growth)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        args: Args,
    }

    fn options(line: &str) -> Result<GrowOptions, Failure> {
        Cli::parse_from(line.split_whitespace()).args.options(None)
    }

    #[test]
    fn all_axes_grow_unless_one_is_named() {
        assert_eq!(options("grow --quick").unwrap().axes.len(), Growing::ALL.len());
        let named = options("grow --axis deleted --sizes 0,30 --rows 9000").unwrap();
        assert_eq!(named.axes, [(Growing::Deleted, vec![0, 30])]);
        assert_eq!((named.base.n, named.base.dimension, named.base.k), (9000, 384, 10));
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        for line in ["grow --sizes 1,2", "grow --axis n,k --sizes 1", "grow --recall 0", "grow --recall NaN"] {
            assert!(matches!(options(line), Err(Failure::Usage(_))), "{line}");
        }
    }
}
