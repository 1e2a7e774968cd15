//! One tenant that keeps to its quota beside one that asks for ten times as much.

use std::sync::Arc;

use benches::{Neighbour, open_loop};

use super::super::super::failure::Failure;
use super::client::Client;
use super::hosted::{Hosted, asking};
use super::scene::Scene;
use crate::config::Config;

/// The quota of each, in parts of what can be served.
const QUOTA: f64 = 0.1;
/// What the calm one asks for, in parts of its quota.
const CALM: f64 = 0.5;
/// What the other asks for.
const FLOOD: f64 = 10.0;

/// Measures the environments `calm` and `flood` where so many requests a second can be served, each of which costs so many
/// units.
pub fn measure(
    scene: &Arc<Scene>,
    mut config: Config,
    [calm, flood]: [&'static str; 2],
    capacity: f64,
    units: u32,
    seconds: f64,
) -> Result<Neighbour, Failure> {
    let quota = (QUOTA * capacity).max(1.0);
    config.limits.environment_units = (quota * f64::from(units)) as u32;
    config.limits.burst_seconds = 1;
    let server = Hosted::start(scene, config)?;
    let [calm, flood] = [calm, flood].map(|environment| Client::new(scene, server.address, environment));
    let ask = |client: &Client| {
        let (client, scene) = (client.clone(), Arc::clone(scene));
        move |number: u64| client.clone().ask(scene.search(number))
    };
    let runtime = asking()?;
    let solo = runtime.block_on(open_loop(CALM * quota, seconds, ask(&calm)));
    let (beside, flooded) = runtime.block_on(async {
        let beside = open_loop(CALM * quota, seconds, ask(&calm));
        tokio::join!(beside, open_loop(FLOOD * quota, seconds, ask(&flood)))
    });
    Ok(Neighbour {
        quota,
        calm: beside.per_second(beside.offered()),
        solo_p99_us: solo.served_us(99),
        beside_p99_us: beside.served_us(99),
        refused: beside.offered() - beside.served(),
        flood: flooded.per_second(flooded.offered()),
        flood_served: flooded.per_second(flooded.served()),
    })
}
