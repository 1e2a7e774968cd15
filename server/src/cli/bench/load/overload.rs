//! More load than the server can bear: what it serves, how late, and what it says to the others.

use std::sync::Arc;

use benches::{LoadStep, Told, closed_loop, open_loop, resident_bytes};

use super::super::super::failure::Failure;
use super::client::Client;
use super::hosted::{Hosted, asking};
use super::scene::Scene;
use crate::config::Config;

/// One of so many requests stores a record.
pub const UPSERT_EVERY: u64 = 16;
/// Connections that ask one request after the other, to see what can be served.
pub const CONNECTIONS: usize = 12;

/// What was found.
pub struct Overloaded {
    /// Right answers a second in a closed loop.
    pub capacity: f64,
    /// By load.
    pub steps: Vec<LoadStep>,
}

/// Measures the capacity of `scene` served as `config` has it, and then each of the `loads`, in parts of that capacity.
pub fn measure(
    scene: &Arc<Scene>,
    config: Config,
    environment: &'static str,
    loads: &[f64],
    seconds: f64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Overloaded, Failure> {
    let server = Hosted::start(scene, config)?;
    let client = Client::new(scene, server.address, environment);
    let runtime = asking()?;
    let ask = {
        let scene = Arc::clone(scene);
        move |number: u64| -> std::pin::Pin<Box<dyn Future<Output = Told> + Send>> {
            let is_upsert = number.is_multiple_of(UPSERT_EVERY);
            let question = if is_upsert { scene.upsert(number) } else { scene.search(number) };
            Box::pin(client.clone().ask(question))
        }
    };
    let all = loads.len() as u64 + 1;
    progress(0, all);
    let closed = runtime.block_on(closed_loop(CONNECTIONS, seconds, ask.clone()));
    let capacity = closed.per_second(closed.served());
    let mut steps = Vec::new();
    for (step, load) in loads.iter().enumerate() {
        progress(step as u64 + 1, all);
        let tally = runtime.block_on(open_loop(load * capacity, seconds, &ask));
        steps.push(LoadStep::of(*load, &tally, resident_bytes()));
    }
    Ok(Overloaded { capacity, steps })
}
