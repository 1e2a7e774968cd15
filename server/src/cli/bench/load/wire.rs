//! What the wire costs: the same questions to the engine in this process and through each face of the server.
//!
//! Another face takes a place in [`Face`] and a client in [`measure`]; everything else is the same for all.

use std::net::SocketAddr;

use benches::{Askers, Load, Pin, Tally, Wire, in_threads};
use tokio::runtime::Builder;

use super::super::super::failure::Failure;
use super::call::Calling;
use super::overload::ask;
use super::scene::Scene;

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

    /// One of so many requests stores a record.
    fn upsert_every(self) -> u64 {
        match self {
            Self::Search => 0,
            Self::Upsert => 1,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Upsert => "upsert",
        }
    }
}

/// Measures each operation through each face, for so many `clients` at once; `calls_at` is where the server takes calls of gRPC.
pub fn measure(
    scene: &Scene,
    (askers, calls_at): (&Askers, SocketAddr),
    environment: &'static str,
    clients: &[usize],
    seconds: f64,
) -> Result<Vec<Wire>, Failure> {
    let calling = Calling::new(scene, calls_at, environment)?;
    let mut found = Vec::new();
    for operation in Operation::ALL {
        for &clients in clients {
            for face in Face::ALL {
                let tally = match face {
                    Face::InProcess => here(scene, operation, clients, seconds),
                    Face::Rest => {
                        let asked = scene.asked(environment, operation.upsert_every())?;
                        ask(askers, Load { asks: &asked, per_second: None, connections: clients }, seconds)?
                    }
                    Face::Grpc => over_grpc(&calling, askers, operation, clients, seconds)?,
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

fn over_grpc(
    calling: &Calling,
    askers: &Askers,
    operation: Operation,
    clients: usize,
    seconds: f64,
) -> Result<Tally, Failure> {
    // The threads that are started here run where those of the other askers do.
    let _pin = Pin::among(&askers.cores);
    let runtime = Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Io("the threads that ask cannot be started", error))?;
    Ok(in_threads(clients, seconds, |number| match operation {
        Operation::Search => runtime.block_on(calling.search(number)),
        Operation::Upsert => runtime.block_on(calling.upsert(number)),
    }))
}
