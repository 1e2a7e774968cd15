//! What several suites need: a world with a seeded entropy source and a clock that only tests move, a naive
//! model to hold the engine against, a disk that dies, and the history of many threads.

#![forbid(unsafe_code)]

pub mod autopsy;
pub mod case;
pub mod crash;
pub mod damage;
pub mod decode;
pub mod errors;
pub mod forge;
pub mod furnished;
pub mod groups;
pub mod guard;
pub mod history;
pub mod model;
pub mod mutation;
pub mod oracle;
pub mod parallel;
pub mod readers;
pub mod reading;
pub mod reopening;
pub mod workload;
pub mod world;
