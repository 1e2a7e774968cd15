//! What several suites need: a world with a seeded entropy source and a clock that only tests move, a naive
//! model to hold the engine against, and a disk that dies.

#![forbid(unsafe_code)]

pub mod case;
pub mod damage_seen;
pub mod dying;
pub mod model;
pub mod partial;
pub mod world;
