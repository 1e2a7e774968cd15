//! What several suites need: a world with a seeded entropy source and a clock that only tests move, a naive
//! model to hold the engine against, a disk that dies, and the real server under load with a ledger beside it.

#![forbid(unsafe_code)]

pub mod autopsy;
pub mod case;
pub mod crash;
pub mod full;
pub mod kill;
pub mod ledger;
pub mod load;
pub mod model;
pub mod mount;
pub mod oracle;
pub mod power;
pub mod progress;
pub mod server;
pub mod thin;
pub mod workload;
pub mod world;
