//! What several suites need: a world with a seeded entropy source and a clock that only tests move, a naive
//! model to hold the engine against, a disk that dies, and the history of many threads.

#![forbid(unsafe_code)]

pub mod case;
pub mod dying;
pub mod groups;
pub mod history;
pub mod model;
pub mod readers;
pub mod world;
