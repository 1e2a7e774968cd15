//! What the wire costs: the same questions to the engine in this process and through each face of the server.
//!
//! Another face takes a place in [`Face`] and a client in [`measure`]; everything else is the same for all.

use benches::{Askers, Load, Tally, Wire, in_threads};

use super::super::super::failure::Failure;
use super::overload::ask;
use super::scene::Scene;

/// Who answers.
#[derive(Clone, Copy)]
enum Face {
    InProcess,
    Rest,
}

impl Face {
    const ALL: [Self; 2] = [Self::InProcess, Self::Rest];

    fn as_str(self) -> &'static str {
        match self {
            Self::InProcess => "in-process",
            Self::Rest => "rest",
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

/// Measures each operation through each face, for so many `clients` at once.
pub fn measure(
    scene: &Scene,
    askers: &Askers,
    environment: &str,
    clients: &[usize],
    seconds: f64,
) -> Result<Vec<Wire>, Failure> {
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
