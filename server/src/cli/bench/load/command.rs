//! The arguments of `bench load`, and its parts one after the other.

use std::net::SocketAddr;
use std::path::PathBuf;

use benches::{Askers, Loaded, Machine, Pin, Shares, Stage};
use clap::builder::RangedU64ValueParser;

use super::super::super::context::Context;
use super::super::super::failure::Failure;
use super::super::watch::Watch;
use super::hosted::Hosted;
use super::scene::{Scene, Size};
use super::{neighbour, overload, wire};

/// The tenants: one that keeps to its quota, which is also the one of the other parts, and one that does not.
const TENANTS: [&str; 2] = ["calm", "flood"];

/// A number that is not 0.
fn count() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// Arguments of `bench load`.
#[derive(clap::Args)]
pub struct Args {
    /// Records to search.
    #[arg(long, default_value_t = 20_000, value_parser = count())]
    records: usize,
    /// Numbers in a vector.
    #[arg(long, default_value_t = 128, value_parser = count())]
    dim: usize,
    /// Neighbours to ask for.
    #[arg(long, default_value_t = 10, value_parser = count())]
    k: usize,
    /// Width of the graph search.
    #[arg(long, default_value_t = 256, value_parser = count())]
    ef: usize,
    /// Seconds of each step.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// How much to ask for, in parts of what a closed loop was served.
    #[arg(long, value_name = "PARTS", value_delimiter = ',', default_value = "0.8,1,2,5")]
    load: Vec<f64>,
    /// Connections over which that is asked; what is due while all are taken waits, which counts.
    #[arg(long, default_value_t = 512, value_parser = count())]
    connections: usize,
    /// Which parts to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Part::Overload, Part::Neighbour, Part::Wire])]
    part: Vec<Part>,
    /// Also write the JSON report here.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A part of the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// More load than the server can bear.
    Overload,
    /// One tenant beside a flood of another.
    Neighbour,
    /// The same questions in this process and over the wire.
    Wire,
}

/// Runs the measurement. The store lies in a directory of its own in `--data` while it is measured; the limits of the server
/// are those of the settings.
pub fn run(context: &Context, args: &Args) -> Result<(), Failure> {
    if !(args.seconds > 0.0 && args.load.iter().all(|load| *load > 0.0)) {
        return Err(Failure::Usage("--seconds and --load must be above 0".into()));
    }
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("lethedb-load-");
    let folder = context.data.as_ref().map_or_else(|| builder.tempdir(), |place| builder.tempdir_in(place));
    let folder = folder.map_err(|error| Failure::Io("the store has no directory", error))?;
    let mut watch = Watch::new(&context.terminal);
    let found = measure(context, args, folder.path(), &mut watch)?;
    drop(watch);
    if let Some(path) = &args.json {
        benches::write_json(&found, path).map_err(|error| Failure::Io("the report cannot be written", error))?;
    }
    context.terminal.show(&found, &found)
}

fn measure(context: &Context, args: &Args, folder: &std::path::Path, watch: &mut Watch<'_>) -> Result<Loaded, Failure> {
    let Args { records, dim, k, ef, seconds, connections, .. } = *args;
    let cores = benches::cores();
    let (shares, machine) = (Shares::of(&cores), Machine::here(cores.len()));
    let size = Size { records, dimension: dim, k, ef };
    // From here on all threads that are started are the server's, but for those that ask.
    let mut pin = None;
    let apart = || pin = Pin::among(&shares.server);
    let scene = Scene::new(folder, size, &TENANTS, &mut |done, all| watch.tell(Stage::Import, done, all), apart)?;
    let mut found = Loaded {
        engine: "lethedb",
        version: env!("CARGO_PKG_VERSION"),
        machine,
        records,
        dim,
        k,
        ef,
        upsert_every: overload::UPSERT_EVERY,
        server_cores: shares.server.len(),
        asker_cores: shares.askers.len(),
        connections,
        seconds,
        capacity: None,
        steps: Vec::new(),
        acknowledged: None,
        neighbour: None,
        wire: Vec::new(),
    };
    let server = Hosted::start(&scene, context.config.clone())?;
    let askers = Askers { address: server.address, is_alone: shares.are_apart(), cores: shares.askers };
    parts(context, args, (&scene, &askers, server.grpc_address), &mut found, watch)?;
    drop(server);
    scene.database.clone().close()?;
    drop(pin);
    Ok(found)
}

fn parts(
    context: &Context,
    args: &Args,
    (scene, askers, calls_at): (&Scene, &Askers, SocketAddr),
    found: &mut Loaded,
    watch: &mut Watch<'_>,
) -> Result<(), Failure> {
    let Args { k, ef, seconds, connections, .. } = *args;
    let ([calm, _], has) = (TENANTS, |part| args.part.contains(&part));
    if has(Part::Overload) || has(Part::Neighbour) {
        let loads = if has(Part::Overload) { &args.load[..] } else { &[] };
        let mut progress = |done, all| watch.tell(Stage::Search, done, all);
        let overloaded = overload::measure(scene, askers, calm, (loads, connections), seconds, &mut progress)?;
        found.capacity = Some((overload::CONNECTIONS, overloaded.capacity));
        found.steps = overloaded.steps;
        found.acknowledged = Some(scene.missing()?);
        if has(Part::Neighbour) {
            // As a search is charged: one, and one for every 64 of what is looked at and given.
            let costs = (overloaded.capacity, 1 + (k + ef) as u32 / 64);
            let config = context.config.clone();
            let found_beside = neighbour::measure(scene, config, askers, TENANTS, costs, (connections, seconds))?;
            found.neighbour = Some(found_beside);
        }
    }
    if has(Part::Wire) {
        let mut clients = vec![1, found.machine.cores];
        clients.dedup();
        found.wire = wire::measure(scene, (askers, calls_at), calm, &clients, seconds)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::super::super::context::Common;
    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn a_small_load_is_answered_rightly_and_nothing_acknowledged_is_lost() {
        let line = "load --records 600 --dim 8 --ef 32 --seconds 0.2 --load 0.5,2 --data";
        let folder = tempfile::tempdir().unwrap();
        let words = line.split(' ').map(Into::into).chain([folder.path().as_os_str().to_owned()]);
        let Cli { common, args } = Cli::parse_from(words);
        let context = Context::new(common).unwrap();
        let found = measure(&context, &args, folder.path(), &mut Watch::new(&context.terminal)).unwrap();
        let (_, capacity) = found.capacity.unwrap();
        assert!(capacity > 0.0 && found.steps.len() == 2);
        assert!(found.steps.iter().all(|step| step.served > 0.0 && step.wrong == 0 && step.failed == 0), "{found}");
        let (acknowledged, missing) = found.acknowledged.unwrap();
        assert!(acknowledged > 0 && missing == 0);
        let neighbour = found.neighbour.as_ref().unwrap();
        // How many are refused and how long they wait depends on what else the machine does.
        assert!(neighbour.flood > neighbour.flood_served && neighbour.flood_served > 0.0, "{found}");
        assert!(found.wire.len() >= 6 && found.wire.iter().all(|wire| wire.per_second > 0.0 && wire.others == 0));
        for word in ["closed loop", "sent +ms", "acknowledged", "quota", "in-process", "rest", "grpc", "p99"] {
            assert!(found.to_string().contains(word), "{word} is not in\n{found}");
        }
    }
}
