//! What the wire costs: the same questions to the engine in this process and through each face of the server.
//!
//! Another face takes a place in [`Face`] and a client in [`measure`]; everything else is the same for all.

use std::sync::Arc;

use benches::{Tally, Wire, closed_loop, in_threads};

use super::super::super::failure::Failure;
use super::call::Calling;
use super::client::Client;
use super::hosted::{Hosted, asking};
use super::scene::Scene;
use crate::config::Config;

/// Who answers.
#[derive(Clone, Copy)]
enum Face {
    InProcess,
    Rest,
    Grpc,
}

impl Face {
    const ALL: [Self; 3] = [Self::InProcess, Self::Rest, Self::Grpc];

    fn as_str(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Rest => "rest",
            Self::Grpc => "grpc",
        }
    }
}

/// What is asked.
#[derive(Clone, Copy)]
enum Operation {
    Search,
    Upsert,
}

impl Operation {
    const ALL: [Self; 2] = [Self::Search, Self::Upsert];

    fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Upsert => "upsert",
        }
    }
}

/// Measures each operation through each face, for so many `clients` at once.
pub fn measure(
    scene: &Arc<Scene>,
    config: &Config,
    environment: &'static str,
    clients: &[usize],
    seconds: f64,
) -> Result<Vec<Wire>, Failure> {
    let server = Hosted::start(scene, config.clone())?;
    let client = Client::new(scene, server.address, environment);
    let calling = Calling::new(scene, server.grpc_address, environment)?;
    let mut found = Vec::new();
    for operation in Operation::ALL {
        for &clients in clients {
            for face in Face::ALL {
                let tally = match face {
                    Face::InProcess => here(scene, operation, clients, seconds),
                    Face::Rest => over_rest(scene, &client, operation, clients, seconds)?,
                    Face::Grpc => over_grpc(&calling, operation, clients, seconds)?,
                };
                found.push(Wire::of(face.as_str(), operation.as_str(), clients, &tally));
            }
        }
    }
    Ok(found)
}

fn here(scene: &Scene, operation: Operation, clients: usize, seconds: f64) -> Tally {
    in_threads(clients, seconds, |number| match operation {
        Operation::Search => scene.search_here(number),
        Operation::Upsert => scene.upsert_here(number),
    })
}

fn over_rest(
    scene: &Arc<Scene>,
    client: &Client,
    operation: Operation,
    clients: usize,
    seconds: f64,
) -> Result<Tally, Failure> {
    let (scene, client) = (Arc::clone(scene), client.clone());
    let ask = move |number| {
        client.clone().ask(match operation {
            Operation::Search => scene.search(number),
            Operation::Upsert => scene.upsert(number),
        })
    };
    Ok(asking()?.block_on(closed_loop(clients, seconds, ask)))
}

fn over_grpc(calling: &Calling, operation: Operation, clients: usize, seconds: f64) -> Result<Tally, Failure> {
    let calling = calling.clone();
    let ask = move |number| {
        let calling = calling.clone();
        async move {
            match operation {
                Operation::Search => calling.search(number).await,
                Operation::Upsert => calling.upsert(number).await,
            }
        }
    };
    Ok(asking()?.block_on(closed_loop(clients, seconds, ask)))
}
