//! What several suites need: a world with a seeded entropy source and a clock that only tests move, and a
//! naive model to hold the engine against.

#![forbid(unsafe_code)]

pub mod model;
pub mod world;
