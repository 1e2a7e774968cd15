//! What several suites need: a world with a seeded entropy source and a clock that only tests move, a naive
//! model to hold the engine against, and a disk that dies.

#![forbid(unsafe_code)]

pub mod case;
pub mod damage;
pub mod decode;
pub mod dying;
pub mod forge;
pub mod furnished;
pub mod guard;
pub mod model;
pub mod mutation;
pub mod reading;
pub mod reopening;
pub mod world;
