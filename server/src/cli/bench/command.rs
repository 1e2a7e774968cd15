//! What can be typed after `lethedb bench`.

use super::super::context::Context;
use super::super::failure::Failure;
use super::{audit, churn, compare, erase, filter, grow, load, payload, plot, privacy, recall, synth};

/// What to measure.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Recall and queries a second of an ann-benchmarks file, searched in an encrypted environment reopened from disk.
    Run(recall::Args),
    /// Ours beside other engines on one pinned core, in turns: speed at equal recall, build time, memory, bytes on disk.
    Compare(compare::Args),
    /// A picture of recall against speed from the JSON reports of `run` and `compare`.
    Plot(plot::Args),
    /// What a query costs at equal recall as rows, dimension, segments, deletes, k or threads grow: distance evaluations,
    /// bytes, time, and how near that comes to what memory gives.
    Grow(grow::Args),
    /// What a filter costs by how many rows match and where they lie, beside the same search without it and beside comparing
    /// every match: recall, time, codes compared.
    Filter(filter::Args),
    /// What deletes and updates leave behind once they were compacted, beside a fresh store of the same records: recall,
    /// time, bytes on disk and in memory.
    Churn(churn::Args),
    /// What forgetting costs: each stage of an erasure by the records there are to erase, searches a second meanwhile, the
    /// change of keys by how many entities there are, and a flush with new entities.
    Erase(erase::Args),
    /// A server on this machine under more load than it can bear: what it serves, how late, what it refuses; a tenant beside
    /// one that asks for ten times its quota; and what the wire costs.
    Load(load::Args),
    /// Bytes on disk and in memory that the index of payloads takes for each record, for eight typical fields.
    Payload(payload::Args),
    /// How far private centroids are off, measured and predicted, by dimension, entities and ε, and where their time goes.
    Privacy(privacy::Args),
    /// How long it takes to check the account of what was done: in place, in slices, and offline from an export.
    Audit(audit::Args),
    /// Make a data set up, with its exact neighbours, in the layout of ann-benchmarks.
    Synth(synth::Args),
}

/// Runs a measurement.
pub fn run(context: &Context, command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => recall::run(context, args),
        Command::Compare(args) => compare::run(context, args),
        Command::Plot(args) => plot::run(context, &args),
        Command::Grow(args) => grow::run(context, &args),
        Command::Filter(args) => filter::run(context, args),
        Command::Churn(args) => churn::run(context, args),
        Command::Erase(args) => erase::run(context, args),
        Command::Load(args) => load::run(context, &args),
        Command::Payload(args) => payload::run(context, &args),
        Command::Privacy(args) => privacy::run(context, args),
        Command::Audit(args) => audit::run(context, &args),
        Command::Synth(args) => synth::run(context, &args),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::Parser;
    use clap::error::ErrorKind;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(subcommand)]
        command: Command,
    }

    fn refused(line: &str) -> ErrorKind {
        Cli::try_parse_from(line.split(' ')).map(drop).unwrap_err().kind()
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        assert_eq!(refused("bench compare"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("bench compare --dataset a.hdf5 --peers hnswlib,qdrant"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench compare --dataset a.hdf5 --grid medium"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench compare --dataset a.hdf5 --core first"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench plot --svg a.svg"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("bench plot a.json"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("bench grow --axis rows"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench grow --queries 0"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench filter --ef 32"), ErrorKind::MissingRequiredArgument);
        assert_eq!(refused("bench churn --dataset a.hdf5 --share some"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench erase --part all"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench erase --held some"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench privacy --epsilon some"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench load --records 0"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench load --part all"), ErrorKind::InvalidValue);
        assert_eq!(refused("bench payload --records 0"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench audit --events 0"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench synth --out a.hdf5 --metric hamming"), ErrorKind::ValueValidation);
        assert_eq!(refused("bench synth --out a.hdf5 --rows 0"), ErrorKind::ValueValidation);
    }

    #[test]
    fn the_peers_are_all_unless_named() {
        let parse = |line: &str| match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Compare(args) => args,
            _ => unreachable!("another command"),
        };
        let args = parse("bench compare --dataset a.hdf5");
        assert_eq!((args.peers.len(), args.python.as_path()), (9, Path::new("python3")));
        assert_eq!(parse("bench compare --dataset a.hdf5 --peers faiss,ngt").peers.len(), 2);
    }
}
