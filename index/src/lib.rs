//! Codes, graph and search of lethedb: positions in, positions out; no files, record ids or time.
//!
//! From a vector to its neighbours: [`Metric::check`] admits it, [`Space`] turns it into an 8-bit
//! code, [`Codes`] keeps the codes of a segment in locked memory, [`Ann`] builds a graph over them
//! and searches it. A search gives [`Candidate`]s with estimated distances and error bounds; the
//! caller, who holds the exact vectors, ranks them again with [`Metric::distance`].
//!
//! The modules, leaves first: `metric`, `arena`, `kernel`, `decode_error`; `source`, `trailer`; `quantize`; `codes`,
//! `between`; `graph`; `search`; `ann`. Only `arena` and `kernel` contain `unsafe`.

mod ann;
mod arena;
mod between;
mod codes;
mod decode_error;
mod graph;
mod kernel;
mod metric;
mod packing;
mod quantize;
#[cfg(test)]
mod samples;
mod search;
mod source;
mod trailer;

pub use ann::Ann;
pub use codes::Codes;
pub use decode_error::DecodeError;
pub use graph::{BuildParams, Builder, FrozenGraph, Stop};
pub use metric::{MAX_DIMENSION, Metric, UnknownMetric, VectorError};
pub use quantize::{Query, Scale, Space};
pub use search::{Allow, Candidate, Counters, Reach, Scratch};
pub use source::{PAGE, Source};
