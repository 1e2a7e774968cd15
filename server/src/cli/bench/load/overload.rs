//! More load than the server can bear: what it serves, how late, and what it says to the others.

use benches::{Askers, Load, LoadStep, resident_bytes};

use super::super::super::failure::Failure;
use super::scene::Scene;

/// One of so many requests stores a record.
pub const UPSERT_EVERY: u64 = 16;
/// Connections that ask one request after the other, to see what can be served: as many as keep the server at work while some
/// of them wait for the disk.
pub const CONNECTIONS: usize = 24;

/// What was found.
pub struct Overloaded {
    /// Right answers a second in a closed loop.
    pub capacity: f64,
    /// By load.
    pub steps: Vec<LoadStep>,
}

/// Measures the capacity of `scene` as the server that `askers` asks has it, and then each of the `loads`, in parts of that
/// capacity, over so many connections.
pub fn measure(
    scene: &Scene,
    askers: &Askers,
    environment: &str,
    (loads, connections): (&[f64], usize),
    seconds: f64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Overloaded, Failure> {
    let asked = scene.asked(environment, UPSERT_EVERY)?;
    let all = loads.len() as u64 + 1;
    progress(0, all);
    let closed = ask(askers, Load { asks: &asked, per_second: None, connections: CONNECTIONS }, seconds)?;
    let capacity = closed.served_per_second();
    let mut steps = Vec::new();
    for (step, load) in loads.iter().enumerate() {
        progress(step as u64 + 1, all);
        let tally = ask(askers, Load { asks: &asked, per_second: Some(load * capacity), connections }, seconds)?;
        steps.push(LoadStep::of(*load, &tally, resident_bytes()));
    }
    Ok(Overloaded { capacity, steps })
}

/// What comes of one load.
pub fn ask(askers: &Askers, load: Load<'_>, seconds: f64) -> Result<benches::Tally, Failure> {
    let told = askers.ask(&[load], seconds).map_err(unreachable)?;
    told.into_iter().next().ok_or_else(|| Failure::Usage("nothing was asked".into()))
}

/// The server cannot be asked.
pub fn unreachable(error: std::io::Error) -> Failure {
    Failure::Io("the server cannot be asked", error)
}
