//! One tenant that keeps to its quota beside one that asks for ten times as much.

use benches::{Askers, Load, Neighbour};

use super::super::super::failure::Failure;
use super::hosted::Hosted;
use super::overload::{ask, unreachable};
use super::scene::Scene;
use crate::config::Config;

/// The quota of each, in parts of what can be served.
const QUOTA: f64 = 0.1;
/// What the calm one asks for, in parts of its quota.
const CALM: f64 = 0.5;
/// What the other asks for.
const FLOOD: f64 = 10.0;

/// Measures the environments `calm` and `flood` where so many requests a second can be served, each of which costs so many
/// units, over so many connections each.
pub fn measure(
    scene: &Scene,
    mut config: Config,
    askers: &Askers,
    [calm, flood]: [&str; 2],
    (capacity, units): (f64, u32),
    (connections, seconds): (usize, f64),
) -> Result<Neighbour, Failure> {
    let quota = (QUOTA * capacity).max(1.0);
    config.limits.environment_units = (quota * f64::from(units)) as u32;
    config.limits.burst_seconds = 1;
    let server = Hosted::start(scene, config)?;
    let askers = Askers { address: server.address, ..askers.clone() };
    let (calm, flood) = (scene.asked(calm, 0)?, scene.asked(flood, 0)?);
    let calm = Load { asks: &calm, per_second: Some(CALM * quota), connections };
    let solo = ask(&askers, calm, seconds)?;
    let flood = Load { asks: &flood, per_second: Some(FLOOD * quota), connections };
    let mut told = askers.ask(&[calm, flood], seconds).map_err(unreachable)?.into_iter();
    let (Some(beside), Some(flooded)) = (told.next(), told.next()) else {
        return Err(Failure::Usage("nothing was asked".into()));
    };
    Ok(Neighbour {
        quota,
        calm: beside.per_second(beside.offered()),
        solo_p99_us: solo.served_us(99),
        beside_p99_us: beside.served_us(99),
        refused: beside.offered() - beside.served(),
        flood: flooded.per_second(flooded.offered()),
        flood_served: flooded.served_per_second(),
    })
}
