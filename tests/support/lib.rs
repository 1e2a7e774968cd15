//! What several suites need: a world with a seeded entropy source and a clock that only tests move, a naive
//! model to hold the engine against, and a disk that dies.

#![forbid(unsafe_code)]

pub mod autopsy;
pub mod case;
pub mod crash;
pub mod model;
pub mod oracle;
pub mod progress;
pub mod workload;
pub mod world;
