//! `lethedb bench synth`: a data set made up, with its exact neighbours.

use std::ffi::OsStr;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use datasets::synthetic::Mixture;
use datasets::{Dataset, Distance, OpenError, hdf5};

use super::super::context::Context;
use super::super::failure::Failure;

/// A number that is not 0.
fn count() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// Arguments of `bench synth`.
#[derive(clap::Args)]
pub struct Args {
    /// Vectors to store.
    #[arg(long, default_value_t = 1_000_000, value_parser = count())]
    rows: usize,
    /// Numbers in a vector.
    #[arg(long, default_value_t = 128, value_parser = count())]
    dim: usize,
    /// What near means: cosine, dot or l2.
    #[arg(long, default_value_t = Distance::L2)]
    metric: Distance,
    /// Gaussian clusters; their centres have a standard deviation of 1 in each dimension. By default one for each 1000 rows.
    #[arg(long, value_parser = count())]
    clusters: Option<usize>,
    /// Standard deviation of a cluster in each dimension, on average: from about 1 on, clusters overlap.
    #[arg(long, default_value_t = 1.0)]
    spread: f32,
    /// Directions in which a cluster extends, chosen at random for each: real embeddings fill few of their dimensions.
    /// 0 makes clusters that extend in all alike, which are harder to search than anything real.
    #[arg(long, default_value_t = 64)]
    rank: usize,
    /// How fast a cluster gets thinner: its j-th direction has a standard deviation in proportion to 1 / j^decay.
    #[arg(long, default_value_t = 0.25)]
    decay: f32,
    /// Vectors to ask for, of the same mixture and none of the rows.
    #[arg(long, default_value_t = 1000, value_parser = count())]
    queries: usize,
    /// True neighbours of each query.
    #[arg(long, default_value_t = 100, value_parser = count())]
    k: usize,
    /// Other seeds make other sets of the same kind.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where to write the set, in the layout of ann-benchmarks.
    #[arg(long, value_name = "FILE.hdf5")]
    out: PathBuf,
}

/// Draws the vectors, compares each query with every row, and writes the set.
fn make(args: &Args) -> Result<Dataset, Failure> {
    if !matches!(args.out.extension().and_then(OsStr::to_str), Some("hdf5" | "h5")) {
        return Err(Failure::Usage("--out must end in .hdf5, by which the file is known when it is read".into()));
    }
    if args.k > args.rows {
        return Err(Failure::Usage("--k is more than there are rows".into()));
    }
    let mixture = Mixture::new(args.dim, args.clusters.unwrap_or(args.rows / 1000), args.spread, args.seed);
    let mixture = match args.rank {
        0 => mixture,
        rank => mixture.flattened(rank, args.decay, args.seed.wrapping_add(1)),
    };
    let set = mixture.dataset(args.metric, args.rows, args.queries, args.k, args.seed.wrapping_add(2));
    hdf5::write(&args.out, &set).map_err(OpenError::from)?;
    Ok(set)
}

/// Makes the set and says what it is like.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    let set = make(args)?;
    let (rows, dimension, metric) = (set.train.len(), set.train.dimension(), set.metric);
    let seeming = set.seeming_dimension().map_or(String::new(), |seeming| format!(", {seeming:.1} as neighbours show"));
    let what = format!("{rows} rows of {dimension} dimensions{seeming}, under {metric}");
    context.terminal.say(format!("{what}: {}", args.out.display()))
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

    fn args(line: &str, out: &std::path::Path) -> Args {
        let words = line.split_whitespace().map(Into::into);
        Cli::parse_from(words.chain(["--out".into(), out.to_owned().into_os_string()])).args
    }

    #[test]
    fn what_is_written_is_read_with_its_exact_neighbours() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("made.hdf5");
        for (metric, rank) in [("l2", 3), ("cosine", 0), ("dot", 3)] {
            let line =
                format!("synth --rows 300 --dim 8 --clusters 4 --queries 9 --k 5 --metric {metric} --rank {rank}");
            make(&args(&line, &out)).unwrap();
            let set = datasets::open(&out).unwrap();
            assert_eq!((set.train.len(), set.test.len(), set.metric.to_string().as_str()), (300, 9, metric));
            for (query, neighbors) in set.test.rows().zip(set.neighbors.as_ref().unwrap()) {
                let mut all: Vec<(f64, u32)> =
                    (0..).zip(set.train.rows()).map(|(at, row)| (far(set.metric, query, row), at)).collect();
                all.sort_by(|a, b| a.0.total_cmp(&b.0));
                let nearest: Vec<u32> = all[..5].iter().map(|(_, at)| *at).collect();
                assert_eq!(&nearest, neighbors, "{metric}");
                assert!(set.train.rows().all(|row| row != query), "a query is no row");
            }
        }
    }

    fn far(metric: Distance, a: &[f32], b: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        match metric {
            Distance::Cosine => -dot(a, b) / dot(b, b).sqrt(),
            Distance::Dot => -dot(a, b),
            Distance::L2 => dot(b, b) - 2.0 * dot(a, b),
        }
    }

    #[test]
    fn a_file_that_could_not_be_read_again_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let refused =
            |name: &str, line: &str| matches!(make(&args(line, &folder.path().join(name))), Err(Failure::Usage(_)));
        assert!(refused("made.fbin", "synth --rows 20 --dim 4 --k 5"));
        assert!(refused("made.hdf5", "synth --rows 20 --dim 4 --k 21"));
    }
}
